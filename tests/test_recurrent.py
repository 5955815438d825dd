"""Recurrent layers: parameters, directions, single steps, long sequences, bad input."""

import numpy as np
import pytest

from minigrad import (
    GRU,
    L2,
    LSTM,
    Adam,
    Bidirectional,
    Constant,
    Dense,
    Layer,
    MSELoss,
    Sequential,
    SimpleRNN,
    Tanh,
    check_gradients,
    load,
)

CELLS = [SimpleRNN, GRU, LSTM]


@pytest.fixture(params=CELLS, ids=lambda c: c.__name__)
def cell(request):
    return request.param


def built(layer: Layer, shape=(None, 3), dtype: str = "float64") -> Layer:
    """A layer with random parameters, its biases included."""
    model = Sequential([layer], input_shape=shape, rng=0, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters:
        p.value = rng.normal(scale=0.7, size=p.shape)
    return model[0]


def numbers(*shape: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_weights_have_a_block_of_columns_for_each_gate() -> None:
    for layer, gates in (SimpleRNN(4), 1), (GRU(4), 3), (LSTM(4), 4):
        built(layer)
        assert layer.weight.shape == (3, 4 * gates)
        assert layer.recurrent_weight.shape == (4, 4 * gates)
        assert layer.bias.shape == (4 * gates,)


def test_initial_values_are_those_of_keras() -> None:
    layer = LSTM(4)
    layer.build((None, 3), np.random.default_rng(0))
    np.testing.assert_array_equal(layer.bias.value, [0] * 4 + [1] * 4 + [0] * 8)
    rows = layer.recurrent_weight.value
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-12)
    assert np.abs(layer.weight.value).max() <= np.sqrt(6 / (3 + 16))
    plain = LSTM(4, unit_forget_bias=False)
    plain.build((None, 3), np.random.default_rng(0))
    assert not plain.bias.value.any()


def test_initial_values_may_be_arrays(cell) -> None:
    gates = {SimpleRNN: 1, GRU: 3, LSTM: 4}[cell]
    given = [numbers(3, 2 * gates), numbers(2, 2 * gates), numbers(2 * gates)]
    options = {"unit_forget_bias": False} if cell is LSTM else {}
    names = "weight_initializer", "recurrent_initializer", "bias_initializer"
    layer = cell(2, **dict(zip(names, given, strict=True)), **options)
    layer.build((None, 3), np.random.default_rng(0))
    made = layer.weight, layer.recurrent_weight, layer.bias
    for parameter, array in zip(made, given, strict=True):
        np.testing.assert_array_equal(parameter.value, array)


def test_regularizers_belong_to_their_parameters(cell) -> None:
    one, two, three = L2(0.1), L2(0.2), L2(0.3)
    layer = cell(2, weight_regularizer=one, recurrent_regularizer=two, bias_regularizer=three)
    built(layer)
    assert layer.weight.regularizer is one
    assert layer.recurrent_weight.regularizer is two
    assert {p.regularizer for p in layer.parameters[2:]} == {three}


def test_the_state_starts_at_zero_in_each_batch(cell) -> None:
    layer, x = built(cell(4)), numbers(2, 5, 3)
    first = layer.forward(x)
    layer.forward(numbers(2, 5, 3, seed=9))
    np.testing.assert_array_equal(layer.forward(x), first)


def test_backwards_means_on_the_reversed_sequence_in_its_order(cell) -> None:
    x, delta = numbers(2, 5, 3), numbers(2, 5, 4)
    ahead, back = (
        built(cell(4, return_sequences=True, go_backwards=backwards)) for backwards in (False, True)
    )
    np.testing.assert_array_equal(back.forward(x), ahead.forward(x[:, ::-1]))
    np.testing.assert_array_equal(back.backward(delta), ahead.backward(delta)[:, ::-1])


def test_bidirectional_puts_the_backward_outputs_in_the_order_of_time(cell) -> None:
    both = built(Bidirectional(cell(4, return_sequences=True)))
    x = numbers(2, 5, 3)
    ahead, back = np.split(both.forward(x), 2, axis=-1)
    np.testing.assert_array_equal(ahead, both.layer.forward(x))
    changed = x.copy()
    changed[:, 2] += 1  # the past of the later steps, and the future of the earlier ones
    new_ahead, new_back = np.split(both.forward(changed), 2, axis=-1)
    assert ((new_ahead != ahead).any(axis=(0, 2)) == [False, False, True, True, True]).all()
    assert ((new_back != back).any(axis=(0, 2)) == [True, True, True, False, False]).all()


def test_bidirectional_without_sequences_returns_both_last_states(cell) -> None:
    whole, last = (
        built(Bidirectional(cell(4, return_sequences=sequences))) for sequences in (True, False)
    )
    x = numbers(2, 5, 3)
    outputs = whole.forward(x)
    expected = np.concatenate([outputs[:, -1, :4], outputs[:, 0, 4:]], axis=1)
    np.testing.assert_array_equal(last.forward(x), expected)


def test_bidirectional_makes_a_second_layer_with_the_same_options() -> None:
    both = Bidirectional(LSTM(4, use_bias=False, weight_regularizer=L2(0.1), name="words"))
    both.build((None, 3), np.random.default_rng(0))
    ahead, back = both.layers
    assert (ahead.name, back.name) == ("words", "backward")
    assert {**back.get_config(), "name": "words"} == {**ahead.get_config(), "go_backwards": True}
    assert len(both.parameters) == 4
    assert not np.array_equal(ahead.weight.value, back.weight.value)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_give_the_numbers_of_forward(cell, dtype: str) -> None:
    layer, x = built(cell(4, return_sequences=True), dtype=dtype), numbers(2, 5, 3).astype(dtype)
    expected, state = layer.forward(x), None
    attributes = vars(layer).copy()
    for t in range(5):
        before = np.copy(state) if t else None
        output, new = layer.step(x[:, t], state)
        assert output.dtype == dtype
        rtol = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(output, expected[:, t], rtol=rtol)
        if t:
            np.testing.assert_array_equal(state, before)
        output[...] = np.nan  # the state doesn't depend on what becomes of the output
        state = new
    assert vars(layer) == attributes
    assert isinstance(state, tuple) == (cell is LSTM)
    np.testing.assert_allclose(state[0] if cell is LSTM else state, expected[:, -1], rtol=1e-5)


def test_the_number_of_steps_may_vary(cell, tmp_path) -> None:
    layers = [Bidirectional(cell(4, return_sequences=True)), Tanh(), cell(2)]
    model = Sequential(layers, input_shape=(None, 3), rng=0)
    assert model.output_shape == (2,)
    assert model[0].output_shape == (None, 8)
    for steps in (1, 4):
        x, y = numbers(2, steps, 3), numbers(2, 2)
        report = check_gradients(model, x, y, MSELoss())
        assert report.passed, report
    model.save(tmp_path / "net.safetensors")
    twin = load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(twin.predict(x), model.predict(x), strict=True)


def test_an_lstm_learns_a_sum() -> None:
    x = numbers(256, 6, 1)
    y = x.sum(axis=1)
    model = Sequential([LSTM(8), Dense(1)], input_shape=(None, 1), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.02), loss=MSELoss())
    history = model.fit(x, y, epochs=40, verbose=0)
    assert history["loss"][-1] < 0.02 * y.var()


def test_deltas_that_explode_give_no_warning(cell) -> None:
    layer = cell(2, recurrent_initializer=Constant(50), return_sequences=True)
    layer.build((None, 1), np.random.default_rng(0))
    layer.forward(np.zeros((1, 3000, 1)))
    delta = np.ones((1, 3000, 2))
    assert not np.isfinite(layer.backward(delta)).all()
    layer.backward_parameters(delta)


def test_saturated_gates_give_finite_numbers(cell) -> None:
    layer = built(cell(4), dtype="float32")
    for scale in (1e4, -1e30):
        x = np.full((2, 500, 3), scale, np.float32)
        assert np.isfinite(layer.forward(x)).all()
        assert np.isfinite(layer.backward(np.ones((2, 4), np.float32))).all()


def test_an_lstm_with_open_gates_counts_the_steps() -> None:
    layer = built(LSTM(1), (None, 1))
    layer.weight.value, layer.recurrent_weight.value = np.zeros((1, 4)), np.zeros((1, 4))
    layer.bias.value = np.full(4, 100.0)
    state = None
    for _ in range(1000):
        _, state = layer.step(np.zeros((1, 1)), state)
    assert state[1] == 1000


def test_stored_counts_inputs_states_and_gates() -> None:
    for layer, kept in (SimpleRNN(4), 1), (GRU(4), 5), (LSTM(4), 7):
        assert built(layer, (10, 3)).stored == 10 * (3 + 1 + kept * 4)
    assert built(LSTM(4)).stored == 64 * (3 + 1 + 7 * 4)


@pytest.mark.parametrize("units", [0, -1, 2.5])
def test_units_are_checked(cell, units) -> None:
    with pytest.raises(ValueError, match=f"{cell.__name__} expects .* units >= 1, got {units}"):
        cell(units)


@pytest.mark.parametrize("shape", [(), (3,), (2, 4, 3)])
def test_rows_are_time_and_features(cell, shape) -> None:
    layer = cell(4, name="reader")
    with pytest.raises(ValueError, match=r"'reader' expects .*\(batch, time, features\)") as caught:
        layer.build(shape, np.random.default_rng(0))
    assert str(shape) in str(caught.value)
    assert ("x[:, :, np.newaxis]" in str(caught.value)) == (len(shape) == 1)


def test_the_number_of_features_must_be_known(cell) -> None:
    with pytest.raises(ValueError, match=r"needs the length of the last axis, got \(5, None\)"):
        Sequential([cell(4)], input_shape=(5, None))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3), r"\(batch, None, 3\), got \(2, 3\): pass x\[np.newaxis\]"),
        ((2, 5, 4), r"\(batch, None, 3\), got \(2, 5, 4\)"),
        ((2, 0, 3), r"at least 1 time step, got .*\(2, 0, 3\)"),
    ],
)
def test_bad_input_is_refused(cell, shape, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{cell.__name__} '.*' expects .*{expected}"):
        built(cell(4)).forward(np.zeros(shape))
    with pytest.raises(ValueError, match=r"2' expects .*\(4,\).*return_sequences=True"):
        Sequential([cell(4), cell(4)], input_shape=(None, 3))


def test_a_step_refuses_bad_input(cell) -> None:
    layer = built(cell(4))
    with pytest.raises(ValueError, match=r"expects input of shape \(batch, 3\), got \(2, 1, 3\)"):
        layer.step(np.zeros((2, 1, 3)))
    good = np.zeros((2, 4))
    number = (good,) if cell is LSTM else (good, good)
    for state in (np.zeros((1, 4)), np.zeros(4), number, (good, np.zeros((2, 5)))):
        with pytest.raises(ValueError, match=r"'.*' expects .*state .*\(2, 4\).*, got"):
            layer.step(np.zeros((2, 3)), state)


def test_bidirectional_refuses_what_it_cannot_mirror() -> None:
    with pytest.raises(TypeError, match=r"Bidirectional expects a recurrent layer.*Dense\(3\)"):
        Bidirectional(Dense(3))
    with pytest.raises(ValueError, match=r"Bidirectional expects .*go_backwards=True"):
        Bidirectional(LSTM(3, go_backwards=True))
    with pytest.raises(ValueError, match="'sum'"):
        Bidirectional(LSTM(3), merge="sum")


def test_a_layer_that_is_not_built_says_so(cell) -> None:
    for call in (cell(4).forward, cell(4).step):
        with pytest.raises(AttributeError, match=f"{cell.__name__} has no .*before it is built"):
            call(np.zeros((2, 5, 3)))
