"""One suite for every registered class, with the objects of registered_examples.py."""

import copy
import inspect
import json
import math
import pickle

import numpy as np
import pytest

import minigrad
from helpers import rows_for
from minigrad import (
    Constant,
    Identity,
    Initializer,
    Layer,
    Loss,
    Model,
    Normal,
    Optimizer,
    Orthogonal,
    Parameter,
    Parameters,
    Uniform,
    check_gradients,
    check_layer,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import walk
from minigrad.metrics import AtThreshold, TopK
from minigrad.util.config import Configurable, as_object, registered
from minigrad.util.serialization import from_config, to_config
from minigrad.util.spelling import snake_case
from registered_examples import FUNCTIONS


def locked(array: np.ndarray, dtype: str = "float64") -> np.ndarray:
    array = array.astype(dtype) if array.dtype.kind == "f" else array.copy()
    array.flags.writeable = False
    return array


def test_every_registered_class_has_an_example(examples) -> None:
    ours = {n for n, c in registered(Configurable).items() if c.__module__.startswith("minigrad.")}
    assert ours == {type(e).__name__ for e in examples}


def test_the_public_layers_and_losses_are_registered() -> None:
    for base in (Layer, Loss):
        public = {c for c in vars(minigrad).values() if isinstance(c, type) and issubclass(c, base)}
        assert public - set(registered(base).values()) <= {base, minigrad.Activation}


def test_config_round_trip(example) -> None:
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(to_config(example, "example", arrays))
    again = from_config(json.loads(text), FUNCTIONS, arrays)
    assert repr(again) == repr(example)
    assert type(again) is type(example)


def test_repr_is_code_that_makes_an_equal_object(example) -> None:
    known = {cls.__name__: cls for cls in registered(Configurable).values()}
    again = eval(repr(example), {"np": np, **FUNCTIONS, **known})
    assert repr(again) == repr(example)
    assert type(again) is type(example)


def test_unknown_option_is_named(example) -> None:
    with pytest.raises(TypeError, match=r"has no option 'bananas'|takes no arguments"):
        type(example)(**example.get_config(), bananas=1)


def test_layer_passes_check_layer(layer_of_each_class) -> None:
    report = check_layer(*layer_of_each_class)
    assert report.passed, report


def test_a_layer_refuses_a_delta_of_another_shape(any_layer_example) -> None:
    model = model_of(*any_layer_example)
    layer, output = model.children[0], model.forward(rows_for(*any_layer_example))
    for shape in ((1, *output.shape[1:]), output.shape[1:], (*output.shape, 1)):
        for backward in (layer.backward, layer.backward_parameters):
            names = "|".join(inner.name for _, inner in walk(layer))  # a graph names its output
            with pytest.raises(ValueError, match=f"({names}).* expects delta of shape"):
                backward(np.ones(shape))


def test_a_pickled_layer_computes_the_same(any_layer_example) -> None:
    model = model_of(*any_layer_example)
    x = rows_for(*any_layer_example)
    model.forward(x)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(x), model.predict(x), strict=True)
    np.testing.assert_array_equal(twin.forward(x), model.forward(x), strict=True)


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loss_has_exact_gradients(loss_example, reduction: str, scale: float) -> None:
    loss, prediction, target = loss_example
    loss = type(loss)(**{**loss.get_config(), "reduction": reduction, "scale": scale})
    report = check_gradients(Identity(), prediction, target, loss)
    assert report.passed, report


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_keeps_dtype_and_arrays(loss_example, dtype: str, weighted: bool) -> None:
    loss, prediction, target = loss_example
    prediction, target = locked(prediction, dtype), locked(target)
    weight = locked(np.arange(float(len(target)))) if weighted else None
    j = loss.forward(prediction, target, sample_weight=weight)
    delta = loss.backward()
    assert type(j) is float
    assert delta.dtype == dtype
    assert delta.shape == prediction.shape
    assert not np.shares_memory(delta, prediction)
    np.testing.assert_array_equal(loss.backward(), delta, strict=True)
    before = vars(loss).copy()
    assert loss.forward(prediction, target, sample_weight=weight, training=False) == j
    assert all(vars(loss)[name] is value for name, value in before.items())
    assert vars(loss).keys() == before.keys()


def test_a_loss_refuses_backward_before_forward(loss_example) -> None:
    loss, prediction, target = loss_example
    loss.forward(prediction, target, training=False)
    with pytest.raises(RuntimeError, match=f"backward of {type(loss).__name__} was called before"):
        loss.backward()


def test_a_loss_is_a_sum_over_rows(loss_example) -> None:
    loss, prediction, target = loss_example
    total = type(loss)(**{**loss.get_config(), "reduction": "sum"})
    whole = total.forward(prediction, target)
    rows = [total.forward(prediction[[i]], target[[i]]) for i in range(len(target))]
    assert whole == pytest.approx(math.fsum(rows), rel=1e-12)


@pytest.mark.parametrize("rng", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (5,), (1, 1), (2, 3, 4)])
def test_an_initializer_draws_from_the_rng_alone(initializer, shape, rng) -> None:
    state = str(np.random.get_state())
    value = initializer(shape, rng(3))
    assert value.shape == shape
    assert value.dtype == np.float64
    assert np.isfinite(value).all()
    np.testing.assert_array_equal(initializer(shape, rng(3)), value, strict=True)
    assert str(np.random.get_state()) == state


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regularizer_has_an_exact_derivative(regularizer, dtype: str) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 2))
    derivative = regularizer.derivative(locked(weight, dtype))
    assert derivative.dtype == dtype
    assert not np.shares_memory(derivative, weight)
    assert type(regularizer.value(locked(weight, dtype))) is float
    for index in np.ndindex(weight.shape):
        step = np.zeros_like(weight)
        step[index] = 1e-6
        slope = (regularizer.value(weight + step) - regularizer.value(weight - step)) / 2e-6
        assert derivative[index] == pytest.approx(slope, rel=1e-5 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_optimizer_keeps_dtype_gradients_and_frozen_values(optimizer, dtype: str) -> None:
    free, frozen = Parameter(np.ones(3, dtype)), Parameter(np.ones(2, dtype), trainable=False)
    parameters = Parameters([free, frozen])
    parameters.grad = np.arange(1.0, 6.0)
    gradient = parameters.grad.copy()
    optimizer.step(parameters)
    optimizer.step(parameters)
    assert (free.value < 1).all()
    np.testing.assert_array_equal(frozen.value, np.ones(2, dtype), strict=True)
    np.testing.assert_array_equal(parameters.grad, gradient, strict=True)
    assert all(array.dtype == dtype for array in [free.value, *optimizer.state.values()])


def test_copied_optimizer_continues_in_the_same_bits(optimizer) -> None:
    values = []
    parameter = Parameter(np.ones(3))
    parameter.grad = np.arange(1.0, 4.0)
    optimizer.step(Parameters([parameter]))
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), optimizer):
        twin = copy.deepcopy(parameter)
        for _ in range(3):
            again.step([twin])
        values.append(twin.value)
    np.testing.assert_array_equal(values[0], values[2], strict=True)
    np.testing.assert_array_equal(values[1], values[2], strict=True)


@pytest.mark.parametrize("wrong", ["a", None, math.nan, math.inf, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda v: Constant(v),
        lambda v: Normal(v),
        lambda v: Uniform(v),
        lambda v: Orthogonal(v),
        lambda v: AtThreshold("accuracy", threshold=[] if v is None else v),
        lambda v: TopK(k=v),
    ],
)
def test_numeric_options_are_checked(make, wrong) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"expects .*, got ({wrong!r}|\[\])"):
        make(wrong)


@pytest.mark.parametrize("kind", [Layer, Loss, Optimizer, Initializer], ids=lambda k: k.__name__)
def test_class_without_required_arguments_can_be_named(kind: type[Configurable]) -> None:
    for cls in registered(kind).values():
        if not cls.__module__.startswith("minigrad."):
            continue
        name = snake_case(cls.__name__)
        needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
        if needed or cls is Model:  # a network, or inputs and outputs
            with pytest.raises(ValueError, match=f"'{name}' needs arguments: pass an object"):
                as_object(kind, name, "option")
        else:
            assert repr(as_object(kind, name, "option")) == repr(cls())
