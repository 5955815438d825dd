"""Regularizers: counted once in the reported loss and once in the gradient."""

import numpy as np
import pytest

from minigrad import (
    L1,
    L1L2,
    L2,
    SGD,
    Dense,
    Identity,
    MSELoss,
    Parallel,
    Residual,
    Sequential,
    Tanh,
    check_gradients,
)

X = np.random.default_rng(0).normal(size=(64, 3))
Y = X[:, 0]


def make(weight_regularizer=None, bias_regularizer=None) -> Sequential:
    first = Dense(4, weight_regularizer=weight_regularizer, bias_regularizer=bias_regularizer)
    model = Sequential([first, Tanh(), Residual(Dense(4)), Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss(), metrics=["mse"])
    first.bias.value = [0.5, -0.5, 0.25, 0.0]
    return model


CASES = [
    (L1(0.1), None, lambda w, b: 0.1 * np.abs(w).sum()),
    (L2(0.1), L1(0.2), lambda w, b: 0.1 * (w**2).sum() + 0.2 * np.abs(b).sum()),
    (None, L1L2(l1=0.1, l2=0.3), lambda w, b: 0.1 * np.abs(b).sum() + 0.3 * (b**2).sum()),
]


@pytest.mark.parametrize(("weight", "bias", "equation"), CASES)
def test_the_reported_loss(weight, bias, equation) -> None:
    model, plain = make(weight, bias), make()
    term = equation(model[0].weight.value, model[0].bias.value)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(plain.evaluate(X, Y)["loss"] + term)
    assert model.evaluate(X, Y)["mse"] == plain.evaluate(X, Y)["mse"]
    for batch_size in (None, 16):
        model = make(weight, bias)
        history = model.fit(X, Y, batch_size=batch_size, verbose=0, validation_data=(X, Y))
        term = equation(model[0].weight.value, model[0].bias.value)
        assert history["val_loss"][0] == pytest.approx(history["val_mse"][0] + term, rel=1e-12)
        if batch_size is None:
            assert history["loss"][0] == pytest.approx(make(weight, bias).evaluate(X, Y)["loss"])


@pytest.mark.parametrize(("weight", "bias", "equation"), CASES)
def test_the_step(weight, bias, equation) -> None:
    model, plain = make(weight, bias), make()
    w, b = model[0].weight.value.copy(), model[0].bias.value.copy()
    for m in (model, plain):
        m.fit(X, Y, batch_size=None, verbose=0)
    for at, parameter, moved in (
        (w, "weight", lambda s: equation(w + s, b) - equation(w - s, b)),
        (b, "bias", lambda s: equation(w, b + s) - equation(w, b - s)),
    ):
        expected = np.zeros_like(at)
        for index in np.ndindex(at.shape):
            step = np.zeros_like(at)
            step[index] = 1e-6
            expected[index] = moved(step) / 2e-6
        ours = getattr(model[0], parameter).value - getattr(plain[0], parameter).value
        np.testing.assert_allclose(ours, -0.1 * expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("weight", "bias"), [case[:2] for case in CASES])
def test_gradients_are_exact(weight, bias) -> None:
    assert check_gradients(make(weight, bias), X[:5], Y[:5], MSELoss(reduction="sum"))


def test_a_large_batch_counts_the_term_once() -> None:
    x = np.random.default_rng(0).normal(size=(60_000, 3))
    model = make(L2(0.5))
    before = model.evaluate(x, x[:, 0])["loss"]
    history = model.fit(x, x[:, 0], batch_size=None, verbose=0)
    assert history["loss"][0] == pytest.approx(before, rel=1e-12)


def test_a_shared_parameter_counts_once() -> None:
    first = Dense(3, use_bias=False, weight_regularizer=L2(0.1))
    Sequential([first], input_shape=(3,), rng=0)
    both = Parallel([Dense(3, weight=first.weight, use_bias=False), Identity()])
    model = Sequential([first, both], input_shape=(3,), rng=0)
    assert model.parameters.regularization() == pytest.approx(0.1 * (first.weight.value**2).sum())
    assert check_gradients(model, X[:5], X[:5], MSELoss())
    again = Dense(3, weight=first.weight, weight_regularizer=L1(0.1), name="again")
    with pytest.raises(ValueError, match=r"Dense 'again' .* has a weight_regularizer"):
        Sequential([again], input_shape=(3,))


def test_a_frozen_parameter_still_counts() -> None:
    model = make(L2(0.1))
    before = model.evaluate(X, Y)["loss"]
    model[0].trainable = False
    assert model.evaluate(X, Y)["loss"] == before
    kept = model[0].weight.value.copy()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model[0].weight.value, kept, strict=True)


def test_l2_is_half_of_a_weight_decay() -> None:
    penalized, decayed = make(L2(0.05), L2(0.05)), make()
    for model in (penalized, decayed):
        model[2].trainable = model[3].trainable = False
    decayed.compile(optimizer=SGD(learning_rate=0.1, weight_decay=0.1), loss=MSELoss())
    for model in (penalized, decayed):
        model.fit(X, Y, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        penalized.parameters.value, decayed.parameters.value, rtol=1e-12, strict=True
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_small_batches_count_the_term_once(reduction: str) -> None:
    model = make(L2(1.0))
    model.compile(optimizer=SGD(learning_rate=1e-15), loss=MSELoss(reduction=reduction))
    history = model.fit(X, Y, batch_size=3, verbose=0)
    assert history["loss"][0] == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-9)


def test_l1_makes_weights_zero() -> None:
    x = np.random.default_rng(0).normal(size=(200, 6))
    y = 3 * x[:, 0] - 2 * x[:, 1]
    model = Sequential([Dense(1, weight_regularizer=L1(0.2))], input_shape=(6,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.01), loss=MSELoss())
    model.fit(x, y, epochs=300, batch_size=None, verbose=0)
    weight = np.abs(model[0].weight.value.ravel())
    assert (weight[:2] > 1.5).all()
    assert (weight[2:] < 0.01).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: L2(-1), ValueError, "L2 expects strength >= 0, got -1"),
        (lambda: L1L2(l1=0.1, l2=float("inf")), ValueError, "L1L2 expects l2 >= 0, got inf"),
        (
            lambda: Dense(1, weight_regularizer=0.1),
            TypeError,
            "weight_regularizer expects a Regularizer",
        ),
        (
            lambda: Dense(1, bias_regularizer=L2),
            TypeError,
            "bias_regularizer expects a Regularizer",
        ),
    ],
)
def test_invalid_regularizers(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
