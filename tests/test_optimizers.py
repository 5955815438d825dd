"""Optimizers: steps, frozen parameters, clipping, chunks, state, and errors."""

import copy
import json
from math import inf, nan, sqrt
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import torch_script
from minigrad import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CosineDecay,
    Dense,
    Lion,
    Nadam,
    Optimizer,
    Parameter,
    Parameters,
    RMSprop,
    Schedule,
    Sequential,
    Tanh,
)
from minigrad.core import optimizer as base
from minigrad.util.serialization import from_config, to_config

REFERENCE = Path(__file__).with_name("reference") / "optimizers.json"
RECORD = json.loads(REFERENCE.read_text())
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
EXAMPLES = [
    SGD(learning_rate=0.1),
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, clip_value=0.5),
    SGD(learning_rate=CosineDecay(initial_learning_rate=0.5, decay_steps=10), momentum=0.5),
    RMSprop(momentum=0.9, weight_decay=0.1, clip_norm=1.0),
    Adagrad(weight_decay=0.1),
    Adam(weight_decay=0.1, clip_norm=1.0),
    AdamW(clip_norm=1.0),
    Adam(amsgrad=True),
    AdamW(amsgrad=True, clip_value=0.5),
    Nadam(weight_decay=0.1),
    Lion(weight_decay=0.1),
]


def fresh(optimizer: Optimizer) -> Optimizer:
    return copy.deepcopy(optimizer)


def some_parameters(*sizes: int, dtype: str = "float64", seed: int = 0) -> Parameters:
    rng = np.random.default_rng(seed)
    parameters = Parameters([Parameter(rng.normal(size=n)) for n in sizes or (6, 5)], dtype=dtype)
    parameters.grad = rng.normal(size=parameters.size)
    return parameters


def walk(optimizer: Optimizer, start, gradients, dtype: str) -> list[np.ndarray]:
    """Return the values after each step."""
    parameters = some_parameters(6, 5, dtype=dtype)
    parameters.value = start
    values = []
    for gradient in gradients:
        parameters.grad = gradient
        optimizer.step(parameters)
        values.append(parameters.value.copy())
    return values


def assert_follows(ours, theirs, dtype: str) -> None:
    np.testing.assert_allclose(
        ours, np.array(theirs, dtype), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], strict=True
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", RECORD["optimizers"], ids=lambda c: f"{c['name']} {c['options']}")
def test_recorded_pytorch_results(case, dtype: str) -> None:
    optimizer = getattr(minigrad, case["name"])(**case["options"])
    ours = walk(optimizer, RECORD["start"], RECORD["gradients"], dtype)
    assert_follows(ours, case[dtype], dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(1, 4))
def test_installed_pytorch(seed: int, dtype: str) -> None:
    theirs = torch_script("optimizers")
    start, gradients = theirs.data(seed)
    for name, options in theirs.OPTIMIZERS:
        ours = walk(getattr(minigrad, name)(**options), start, gradients, dtype)
        assert_follows(ours, theirs.run(name, options, start, gradients, dtype), dtype)


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_step_keeps_the_gradient_and_the_dtype(optimizer: Optimizer, dtype: str) -> None:
    optimizer, parameters = fresh(optimizer), some_parameters(dtype=dtype)
    before, grad = parameters.value.copy(), parameters.grad.copy()
    optimizer.step(parameters)
    np.testing.assert_array_equal(parameters.grad, grad, strict=True)
    assert (parameters.value != before).all()
    assert {v.dtype for v in [parameters.value, *optimizer.state.values()]} == {np.dtype(dtype)}


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_numpy_options_keep_float32(optimizer: Optimizer) -> None:
    options = optimizer.get_config()
    wide = {k: np.float64(v) if type(v) is float else v for k, v in options.items()}
    ours, theirs = some_parameters(dtype="float32"), some_parameters(dtype="float32")
    for _ in range(3):
        optimizer = type(optimizer)(**options)
        optimizer.step(ours)
        type(optimizer)(**wide).step(theirs)
    np.testing.assert_array_equal(ours.value, theirs.value, strict=True)


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_frozen_parameters_and_their_state_stay(optimizer: Optimizer) -> None:
    optimizer, parameters = fresh(optimizer), some_parameters(3, 4, 5)
    optimizer.step(parameters)
    middle, kept = slice(3, 7), parameters.value.copy()
    state = {slot: vector.copy() for slot, vector in optimizer.state.items()}
    parameters[1].trainable = False
    for _ in range(3):
        optimizer.step(parameters)
    np.testing.assert_array_equal(parameters.value[middle], kept[middle], strict=True)
    for slot, vector in optimizer.state.items():
        np.testing.assert_array_equal(vector[middle], state[slot][middle], strict=True)
    assert (np.delete(parameters.value, range(3, 7)) != np.delete(kept, range(3, 7))).all()


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
@pytest.mark.parametrize("frozen", [False, True])
def test_chunk_size_makes_no_difference(
    optimizer: Optimizer, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = []
    for chunk in (1000, 4):
        monkeypatch.setattr(base, "_PIECE", chunk)
        one, parameters = fresh(optimizer), some_parameters(3, 2, 9)
        parameters[1].trainable = not frozen
        for _ in range(3):
            one.step(parameters)
        values.append(parameters.value.copy())
    np.testing.assert_array_equal(*values, strict=True)


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_steps_and_state_continue_training(optimizer: Optimizer) -> None:
    one, through = fresh(optimizer), some_parameters()
    stopped = some_parameters()
    for _ in range(3):
        one.step(through)
    stopped.value = through.value
    again = from_config(to_config(optimizer, "optimizer"))
    again.steps = one.steps
    again.state = {slot: vector.copy() for slot, vector in one.state.items()}
    for _ in range(3):
        one.step(through)
        again.step(stopped)
    np.testing.assert_array_equal(stopped.value, through.value, strict=True)
    assert again.steps == 6
    for vector in one.state.values():
        assert vector.shape == (through.size,)


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
def test_config_and_repr_round_trip(optimizer: Optimizer) -> None:
    config = json.loads(json.dumps(to_config(optimizer, "optimizer")))
    for again in (from_config(config), eval(repr(optimizer), vars(minigrad))):
        assert repr(again) == repr(optimizer)
        ours, theirs = some_parameters(), some_parameters()
        again.step(ours)
        fresh(optimizer).step(theirs)
        np.testing.assert_array_equal(ours.value, theirs.value, strict=True)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad", "adam", "adamw", "nadam", "lion"])
def test_each_trains_by_name(name: str) -> None:
    x = np.linspace(-1, 1, 64)[:, None]
    model = Sequential([Dense(8), Tanh(), Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer=name, loss="mse")
    history = model.fit(x, x**2, epochs=30, batch_size=8, verbose=0)
    assert history["loss"][-1] < 0.7 * history["loss"][0]


def test_lion_follows_its_formula() -> None:
    rng = np.random.default_rng(0)
    w, m, gradients = rng.normal(size=11), np.zeros(11), rng.normal(size=(20, 11))
    optimizer = Lion(learning_rate=0.1, beta_1=0.6, beta_2=0.8, weight_decay=0.3)
    values = walk(optimizer, w, gradients, "float64")
    for value, g in zip(values, gradients, strict=True):
        w = w - 0.1 * (np.sign(0.6 * m + 0.4 * g) + 0.3 * w)
        m = 0.8 * m + 0.2 * g
        np.testing.assert_allclose(value, w, rtol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(momentum=0.9), RMSprop(), Adagrad(), Adam(), AdamW(), Nadam(), Lion()],
    ids=repr,
)
def test_model_of_another_size_or_dtype_is_refused(optimizer: Optimizer) -> None:
    optimizer.step(some_parameters(13))
    name = type(optimizer).__name__
    message = f"this {name} .*{{}}.* got .*{{}}"
    with pytest.raises(ValueError, match=message.format(13, 17)):
        optimizer.step(some_parameters(17))
    with pytest.raises(ValueError, match=message.format("float64", "float32")):
        optimizer.step(some_parameters(13, dtype="float32"))
    assert optimizer.steps == 1


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "gone"])
def test_optimizer_of_another_model_is_refused(keep: bool) -> None:
    optimizer = SGD(momentum=0.9)
    first = Sequential([Dense(1)], input_shape=(1,), rng=0)
    first.compile(optimizer=optimizer, loss="mse")
    first.fit(np.ones((8, 1)), np.zeros(8), batch_size=2, verbose=0)
    first.compile(optimizer=optimizer, loss="l1")
    if not keep:
        del first
    second = Sequential([Dense(1)], input_shape=(1,), rng=0)
    with pytest.raises(ValueError, match=r"this SGD .* 4 steps .* another model"):
        second.compile(optimizer=optimizer, loss="mse")
    second.compile(optimizer=copy.deepcopy(optimizer), loss="mse")


def test_two_models_compiled_with_one_optimizer() -> None:
    optimizer = SGD(momentum=0.9)
    one, two = (Sequential([Dense(1)], input_shape=(1,), rng=0) for _ in range(2))
    for model in (one, two):
        model.compile(optimizer=optimizer, loss="mse")
    one.fit(np.ones((8, 1)), np.zeros(8), verbose=0)
    with pytest.raises(ValueError, match=r"this SGD .* 1 steps .* another model"):
        two.fit(np.ones((8, 1)), np.zeros(8), verbose=0)


def test_optimizer_without_state_can_be_reused() -> None:
    def trained(optimizer: Optimizer) -> Sequential:
        model = Sequential([Dense(1)], input_shape=(1,), rng=0)
        model.compile(optimizer=optimizer, loss="mse")
        model.fit(np.ones((8, 1)), np.zeros(8), verbose=0)
        return model

    plain = SGD(learning_rate=0.1)
    assert [trained(plain), trained(plain)]
    reset = Adam()
    trained(reset)
    reset.steps, reset.state = 0, {}
    assert trained(reset)
    scheduled = SGD(learning_rate=CosineDecay(initial_learning_rate=0.5, decay_steps=10))
    trained(scheduled)
    with pytest.raises(ValueError, match=r"this SGD .* 1 steps .* another model"):
        trained(scheduled)


def test_update_must_declare_slots() -> None:
    class Kept(Optimizer):
        @property
        def slots(self):
            return ("mean",)

        def update(self, value, grad, state):
            state["mean"] = 0.9 * state["mean"] + grad

    class Extra(Kept):
        def update(self, value, grad, state):
            state["other"] = grad

    for kind in (Kept, Extra):
        with pytest.raises(TypeError, match=f"update of {kind.__name__} .*state in place"):
            kind(learning_rate=0.1).step(some_parameters())


def test_update_may_not_change_the_gradient() -> None:
    class Doubling(Optimizer):
        def update(self, value, grad, state):
            grad *= 2

    with pytest.raises(ValueError, match="read-only"):
        Doubling(learning_rate=0.1).step(some_parameters())


def test_update_that_returns_a_value_is_refused() -> None:
    class Functional(Optimizer):
        def update(self, value, grad, state):
            return value - self.rate * grad

    with pytest.raises(TypeError, match=r"update of Functional must change value"):
        Functional(learning_rate=0.1).step(some_parameters())


@pytest.mark.parametrize("rate", [nan, -0.1, inf])
def test_schedule_with_wrong_rate(rate: float) -> None:
    class Wrong(Schedule):
        def __call__(self, step: int) -> float:
            return rate

    parameters = some_parameters()
    kept = parameters.value.copy()
    with pytest.raises(ValueError, match=f"SGD expects a learning rate .*{rate} .*step 0"):
        SGD(learning_rate=Wrong(initial_learning_rate=0.1)).step(parameters)
    np.testing.assert_array_equal(parameters.value, kept, strict=True)


def test_sgd_takes_integers() -> None:
    ours, theirs = some_parameters(), some_parameters()
    SGD(learning_rate=1, momentum=0, weight_decay=0).step(ours)
    SGD(learning_rate=1.0).step(theirs)
    np.testing.assert_array_equal(ours.value, theirs.value, strict=True)
    assert repr(SGD(learning_rate=1, momentum=0)) == "SGD(learning_rate=1.0)"


def test_no_trainable_parameters() -> None:
    optimizer = Adam(clip_norm=1.0)
    optimizer.step([])
    frozen = some_parameters()
    for parameter in frozen:
        parameter.trainable = False
    kept = frozen.value.copy()
    optimizer = Adam(clip_norm=1.0)
    optimizer.step(frozen)
    np.testing.assert_array_equal(frozen.value, kept, strict=True)


def test_momentum_and_learning_rate_may_be_reassigned() -> None:
    parameter = Parameter(np.zeros(1))
    parameter.grad = np.ones(1)
    sgd = SGD(learning_rate=0.5)
    sgd.step([parameter])
    sgd.learning_rate = 2
    sgd.step([parameter])
    sgd.momentum = 0.5
    sgd.step([parameter])
    sgd.step([parameter])
    assert parameter.value.tolist() == [-(0.5 + 2 + 2 + 2 * 1.5)]
    with pytest.raises(ValueError, match="SGD expects learning_rate > 0, got 0"):
        sgd.learning_rate = 0
    assert sgd.rate == 2


def changes(parameters: Parameters, **options: float) -> np.ndarray:
    """Return the clipped gradient, from one step of SGD with learning rate 1."""
    parameters.value = np.zeros(parameters.size)
    SGD(learning_rate=1, **options).step(parameters)
    return -parameters.value


def test_clip_norm_covers_all_trainable_parameters() -> None:
    a, b, frozen = (Parameter(np.zeros(1)) for _ in range(3))
    parameters = Parameters([a, frozen, b])
    parameters.grad = np.array([3.0, 100.0, 4.0])
    frozen.trainable = False
    np.testing.assert_allclose(
        changes(parameters, clip_norm=2.5), [1.5, 0, 2], rtol=1e-6, strict=True
    )
    np.testing.assert_array_equal(changes(parameters, clip_norm=5.1), [3, 0, 4])


@pytest.mark.parametrize(("dtype", "huge"), [("float64", 1e300), ("float32", 1e30)])
def test_clip_norm_of_huge_gradients(dtype: str, huge: float) -> None:
    parameters = some_parameters(1, 1, dtype=dtype)
    parameters.grad = np.array([3 * huge, -4 * huge])
    np.testing.assert_allclose(changes(parameters, clip_norm=5.0), [3, -4], rtol=1e-6)


def test_clip_value_clips_each_element() -> None:
    parameters = some_parameters(2, 2)
    parameters.grad = np.array([0.25, -0.75, 2.0, -0.5])
    np.testing.assert_array_equal(changes(parameters, clip_value=0.5), [0.25, -0.5, 0.5, -0.5])


def test_adam_counts_steps_from_one() -> None:
    """In the first step m' is g and s' is g^2, so each element changes by the learning rate."""
    parameters = some_parameters()
    before = parameters.value.copy()
    Adam(learning_rate=0.125).step(parameters)
    np.testing.assert_allclose(
        before - parameters.value, 0.125 * np.sign(parameters.grad), rtol=1e-6, strict=True
    )


def test_epsilon_is_added_to_the_root() -> None:
    for optimizer, factor in ((Adagrad, 1.0), (Adam, 1.0), (RMSprop, sqrt(0.01))):
        parameter = Parameter(np.zeros(1))
        parameter.grad = np.full(1, 0.25)
        optimizer(learning_rate=1.0, epsilon=0.5).step([parameter])
        expected = -0.25 / (factor * 0.25 + 0.5)
        np.testing.assert_allclose(parameter.value, [expected], rtol=1e-14)


def test_adamw_decouples_weight_decay() -> None:
    parameter = Parameter(np.full(1, 8.0))
    AdamW(learning_rate=0.5, weight_decay=0.5).step([parameter])
    assert parameter.value.tolist() == [6.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(learning_rate=0), ValueError, "SGD expects learning_rate > 0, got 0"),
        (lambda: Adam(learning_rate=np.inf), ValueError, "Adam expects learning_rate > 0, got inf"),
        (lambda: SGD(learning_rate="1"), TypeError, "SGD expects learning_rate > 0, got '1'"),
        (lambda: SGD(learning_rate=True), TypeError, "SGD expects learning_rate > 0, got True"),
        (lambda: SGD(momentum=1), ValueError, "SGD expects 0 <= momentum < 1, got 1"),
        (lambda: SGD(nesterov=True), ValueError, "needs momentum"),
        (lambda: SGD(weight_decay=-1), ValueError, "SGD expects weight_decay >= 0, got -1"),
        (lambda: RMSprop(rho=1.0), ValueError, "RMSprop expects 0 <= rho < 1, got 1.0"),
        (lambda: RMSprop(momentum=-0.1), ValueError, "RMSprop expects 0 <= momentum < 1, got -0.1"),
        (lambda: Adagrad(epsilon=0), ValueError, "Adagrad expects epsilon > 0, got 0"),
        (lambda: Adam(beta_1=1), ValueError, "Adam expects 0 <= beta_1 < 1, got 1"),
        (lambda: AdamW(beta_2=np.nan), ValueError, "AdamW expects 0 <= beta_2 < 1, got nan"),
        (lambda: Adam(clip_norm=0), ValueError, "Adam expects clip_norm > 0, got 0"),
        (lambda: Adam(clip_value=-1), ValueError, "Adam expects clip_value > 0, got -1"),
        (lambda: Adam(amsgrad=1), TypeError, "Adam expects amsgrad True or False, got 1"),
        (lambda: Nadam(momentum_decay=-1), ValueError, "Nadam expects momentum_decay >= 0, got -1"),
        (lambda: Lion(beta_2=1), ValueError, "Lion expects 0 <= beta_2 < 1, got 1"),
        (lambda: SGD(clip_norm=1, clip_value=1), ValueError, "clip_norm or clip_value, got both"),
    ],
)
def test_options_out_of_range(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(learning_rat=1), "SGD has no option 'learning_rat': did you mean 'learning_"),
        (lambda: Adam(beta1=0.9), "Adam has no option 'beta1': did you mean 'beta_1'?"),
        (lambda: Dense(3, actvation="relu"), "Dense has no option 'actvation': did you mean 'act"),
        (lambda: Tanh(nmae="a"), "Tanh has no option 'nmae': did you mean 'name'?"),
        (lambda: CosineDecay(decay_step=3), "CosineDecay has no option 'decay_step': did you mean"),
        (lambda: Sequential([Tanh()], input_shap=3), "Sequential has no option 'input_shap': did"),
        (lambda: SGD(1, 1), "SGD expects only 'learning_rate' by position, got 2: pass options by"),
        (lambda: Dense(3, None, 1), "Dense expects only 'units', 'activation' by position, got 3"),
        (lambda: Sequential(Tanh(), Tanh()), "Sequential expects only 'layers' by position, got 2"),
    ],
)
def test_unknown_option(make, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert message in str(caught.value)


def test_option_name_of_another_library() -> None:
    with pytest.raises(TypeError) as caught:
        SGD(lr=1)
    known = "'clip_norm', 'clip_value', 'learning_rate', 'momentum', 'nesterov', 'weight_decay'"
    message = f"SGD has no option 'lr': did you mean 'learning_rate'? Known: {known} "
    assert str(caught.value).startswith(message)


def test_other_type_errors_are_not_changed() -> None:
    class Faulty(Optimizer):
        def __init__(self, *, learning_rate: float) -> None:
            super().__init__(learning_rate=learning_rate)
            len(3)

    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        Faulty(learning_rate=1.0)


def test_optimizer_without_update() -> None:
    with pytest.raises(NotImplementedError, match="Optimizer must define update"):
        Optimizer(learning_rate=1.0).step(some_parameters())


@pytest.mark.parametrize("optimizer", EXAMPLES, ids=repr)
@pytest.mark.parametrize("chunk", [1000, 4])
def test_a_learning_rate_factor_is_another_learning_rate(
    optimizer: Optimizer, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_PIECE", chunk)
    if not isinstance(optimizer.learning_rate, float):
        optimizer = type(optimizer)(**{**optimizer.get_config(), "learning_rate": 0.1})
    whole, slow, both = some_parameters(), some_parameters(), some_parameters()
    both[1].learning_rate_factor = 0.25
    makes = [fresh(optimizer) for _ in range(3)]
    makes[1].learning_rate *= 0.25
    for _ in range(3):
        for one, parameters in zip(makes, (whole, slow, both), strict=True):
            one.step(parameters)
    assert makes[2].rate == optimizer.rate
    np.testing.assert_array_equal(both[0].value, whole[0].value)
    np.testing.assert_array_equal(both[1].value, slow[1].value)
    both[1].learning_rate_factor = 1
    assert len(both.trainable_pieces(1000)) == 1


def test_a_layer_has_a_learning_rate_factor(tmp_path) -> None:
    layers = [Dense(4, name="first"), Sequential([Dense(3), Tanh()], name="inner"), Dense(1)]
    layers[1].learning_rate_factor = 0.5  # before it is built
    model = Sequential(layers, input_shape=(2,), rng=0)
    model["first"].learning_rate_factor = 2
    model[2].bias.learning_rate_factor = 0.125
    factors = [2.0, 2.0, 0.5, 0.5, 1.0, 0.125]
    assert [p.learning_rate_factor for p in model.parameters] == factors
    model.compile(optimizer=Adam(learning_rate=0.1), loss="mse")
    model.save(tmp_path / "net.safetensors")
    again = minigrad.load(tmp_path / "net.safetensors")
    x, y = np.random.default_rng(0).normal(size=(2, 8, 2))
    for one in (model, again):
        assert [p.learning_rate_factor for p in one.parameters] == factors
        assert [layer.learning_rate_factor for layer in one.layers] == [2.0, 0.5, 1.0]
        one.fit(x, y[:, :1], epochs=3, batch_size=3, verbose=0)
    np.testing.assert_array_equal(again.parameters.value, model.parameters.value)
    with pytest.raises(ValueError, match=r"Dense 'first' expects learning_rate_factor > 0, got 0"):
        model["first"].learning_rate_factor = 0
    with pytest.raises(TypeError, match="Parameter expects learning_rate_factor > 0, got '1'"):
        model[2].bias.learning_rate_factor = "1"
