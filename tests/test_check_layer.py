"""check_layer passes a layer that keeps the rules, and names the rule that another one breaks."""

import time

import numpy as np
import pytest

from helpers import Scale
from minigrad import (
    Add,
    BatchNorm,
    Chain,
    Dense,
    Dropout,
    Identity,
    Layer,
    Multiply,
    Parameter,
    Sequential,
    Tanh,
    check_layer,
)
from minigrad.checks.rules import RULES
from minigrad.core.layer import build_once


class OtherShape(Scale):
    def build(self, input_shape, rng):
        super().build(input_shape, rng)
        return (*input_shape, 1)


class KerasBuild(Scale):
    def build(self, input_shape):
        self.factor = Parameter(np.ones(input_shape))


class NoShape(Scale):
    def build(self, input_shape, rng):
        self.factor = Parameter(np.ones(input_shape))


class SummedDelta(Scale):
    def backward(self, delta):
        return super().backward(delta).sum(axis=0)


class MeanGradient(Scale):
    def backward(self, delta):
        back = super().backward(delta)
        self.factor.grad = self.factor.grad / len(delta)
        return back


class HalfShortcut(Scale):
    def backward_parameters(self, delta):
        self.factor.grad = (delta * self.cache).sum(axis=0) / 2


class Upcast(Scale):
    def forward(self, x, *, training=True):
        return super().forward(x, training=training) * np.ones(1)


class InPlace(Scale):
    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        x *= self.factor.value
        return x


class PassedOn(Identity):
    def function(self, z):
        return z


class OwnCache(Scale):
    kept = None

    def forward(self, x, *, training=True):
        if training:
            self.kept = x
        return x * self.factor.value

    def backward(self, delta):
        self.factor.grad = (delta * self.kept).sum(axis=0)
        return delta * self.factor.value


class AddedUp(Scale):
    def backward(self, delta):
        self.factor.grad = self.factor.grad + (delta * self.cache).sum(axis=0)
        return delta * self.factor.value


class Counting(Scale):
    calls = 0

    def forward(self, x, *, training=True):
        self.calls += 1
        return super().forward(x, training=training)


class Overwriting(Scale):
    def forward(self, x, *, training=True):
        self.cache = x
        return x * self.factor.value


class Racing(Scale):
    """Changes nothing in the end, but shares a buffer between threads during a call."""

    def build(self, input_shape, rng):
        self.room = [None]
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        self.room[0] = x
        time.sleep(0.001)
        own, self.room[0] = self.room[0], None
        return super().forward(own, training=training)


class Centred(Scale):
    def forward(self, x, *, training=True):
        return super().forward(x - x.mean(axis=0), training=training)

    def backward(self, delta):
        back = super().backward(delta)
        return back - back.mean(axis=0)


class Halved(Scale):
    """Divides by the number of rows."""

    def forward(self, x, *, training=True):
        return super().forward(x / len(x), training=training)

    def backward(self, delta):
        return super().backward(delta) / len(delta)


class Noisy(Scale):
    def build(self, input_shape, rng):
        self.rng = rng
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        noise = self.rng.normal(size=x.shape).astype(x.dtype) if training else 0
        return super().forward(x + noise, training=training)


class CentredNoise(Noisy):
    """Draws random numbers, as declared, and mixes its rows."""

    stochastic = True

    def forward(self, x, *, training=True):
        return super().forward(x - x.mean(axis=0) if training else x, training=training)

    def backward(self, delta):
        back = super().backward(delta)
        return back - back.mean(axis=0)


class Running(Scale):
    """Updates a buffer with each batch."""

    buffers = ("largest",)

    def build(self, input_shape, rng):
        self.largest = np.zeros(input_shape)
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        if training:
            self.largest = self.moved(x).astype(x.dtype)
        return super().forward(x, training=training)

    def moved(self, x):
        return np.maximum(self.largest, x.max(axis=0))


class RunningMean(Running):
    def moved(self, x):
        return 0.9 * self.largest + 0.1 * x.mean(axis=0)


class GlobalNoise(Scale):
    def forward(self, x, *, training=True):
        if training:
            np.random.rand()
        return super().forward(x, training=training)


class Exponential(Scale):
    def forward(self, x, *, training=True):
        a = np.exp(x)
        if training:
            self.cache = a
        return a * self.factor.value

    def backward(self, delta):
        return super().backward(delta) * self.cache


class ScalarBuffer(Scale):
    buffers = ("running",)

    def build(self, input_shape, rng):
        self.running = np.float64(0)
        return super().build(input_shape, rng)


class Forgetful(Scale):
    def __init__(self, start=1.0, *, name=""):
        super().__init__(name=name)
        self.start = start

    def build(self, input_shape, rng):
        self.factor = Parameter(np.full(input_shape, self.start))
        return input_shape

    def get_config(self):
        return {"name": self.name}


class Nameless(Scale):
    def __init__(self, start=1.0, *, name=""):
        super().__init__(name=name)


class TiedCopy(Scale):
    def build(self, input_shape, rng):
        self.output_shape = super().build(input_shape, rng)
        return self.output_shape

    def __deepcopy__(self, memo):
        if self.output_shape is None:
            return type(self)(name=self.name)
        return self


class DeafWhenFrozen(Scale):
    def backward(self, delta):
        back = super().backward(delta)
        return back if self.trainable else 0 * back


class Unsummed(Scale):
    def backward(self, delta):
        self.factor.grad = delta * self.cache
        return delta * self.factor.value


class PlainArrays(Scale):
    buffers = ("known",)

    def build(self, input_shape, rng):
        self.known, self.shift, self.start = np.ones(3), np.zeros(3), np.ones(3)
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        return super().forward(x, training=training) + self.shift


class Wrapped(Layer):
    """Leaves the check for backward before forward to the layer inside."""

    def __init__(self, inner, *, name=""):
        super().__init__(name=name)
        self.inner = inner

    def build(self, input_shape, rng):
        return build_once(self.inner, input_shape, rng)

    def forward(self, x, *, training=True):
        return self.inner.forward(x, training=training)

    def backward(self, delta):
        return self.inner.backward(delta)


class Unconnected(Wrapped):
    def build(self, input_shape, rng):
        return self.inner.build(input_shape, rng)


class Twice(Wrapped):
    def forward(self, x, *, training=True):
        if training:
            self.cache = x.shape
        return super().forward(x, training=training) + super().forward(x / 2, training=training)

    def backward(self, delta):
        self.check_delta(delta, self.cache)
        return super().backward(delta) / 2 + super().backward(delta)


BROKEN = [
    (NoShape(), "build creates", "NoShape"),
    (KerasBuild(), "build creates", "expects build(self, input_shape, rng)"),
    (OtherShape(), "forward returns rows", "build returned (3, 1), but"),
    (SummedDelta(), "backward returns dJ/dx", "(6, 3), but backward returned (3,)"),
    (MeanGradient(), "backward returns the exact", "; 1/6x: mean, not sum?"),
    (HalfShortcut(), "backward_parameters assigns", "'factor'"),
    (Upcast(), "all arrays have the dtype", "in float32, forward gives float64"),
    (InPlace(), "forward and backward return", "read-only"),
    (PassedOn(), "forward and backward return", "forward(training=False) returns x's memory"),
    (OwnCache(), "backward before forward", "NoneType"),
    (AddedUp(), "backward assigns gradients", "gradient differs"),
    (Counting(), "forward(training=False)", "counting_1.calls"),
    (Overwriting(), "inference between forward", "differs"),
    (Racing(), "inference in eight threads", ""),
    (Centred(), "a row's output", "rows 2 and 3 differs without"),
    (CentredNoise(), "a row's output", "rows 2 and 3 differs next to"),
    (Halved(), "a row's output", "rows 2 and 3 differs without"),
    (RunningMean(), "buffers end the same", "running_mean_1.largest differs"),
    (Noisy(), "random numbers", "stochastic is False"),
    (GlobalNoise(), "random numbers", "global state"),
    (Exponential(), "x of -10,000 and 10,000", "overflow encountered in exp"),
    (ScalarBuffer(), "buffers names", "scalar_buffer_1.running is a float64"),
    (Forgetful(0.5), "the layer's configuration", "start=0.5 became 1.0"),
    (Nameless(), "the layer's configuration", "self.start"),
    (TiedCopy(), "a deep copy", "changes the layer"),
    (DeafWhenFrozen(), "trainable = False", "frozen layer gives other numbers"),
]


@pytest.mark.parametrize(
    ("layer", "rule", "found"), BROKEN, ids=[type(b[0]).__name__ for b in BROKEN]
)
def test_broken_rule_is_named(layer: Layer, rule: str, found: str) -> None:
    report = check_layer(layer, (3,))
    assert not report
    sentence = next(s for s in RULES if s.startswith(rule))
    assert found in report.broken[sentence]
    text = str(report)
    assert " ".join(f"{sentence}: {report.broken[sentence]}".split()) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_every_rule_has_a_broken_layer() -> None:
    starts = tuple(rule for _, rule, _ in BROKEN)
    assert [sentence for sentence in RULES if not sentence.startswith(starts)] == []


def test_one_mistake_breaks_one_rule() -> None:
    alone = (MeanGradient, HalfShortcut, Upcast, PassedOn, OwnCache, GlobalNoise)
    alone += (Centred, CentredNoise, Halved, RunningMean)
    for cls in alone:
        assert len(check_layer(cls(), (3,)).broken) == 1


@pytest.mark.parametrize(
    ("layer", "rule", "hint"),
    [
        (Unsummed(), "backward returns dJ/dx", "(6, 3)"),
        (
            PlainArrays(),
            "all arrays have",
            "float64: no model casts, trains or saves plain_arrays_1.shift and",
        ),
        (Wrapped(Tanh()), "backward before forward", "; read self.cache before a layer inside"),
        (Unconnected(Chain([Tanh()])), "build creates", "unconnected_1.inner has no output_shape"),
        (Twice(Chain([Tanh()])), "backward returns the exact", "twice_1.inner runs 2 times"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_one_cause_is_reported_once_with_a_hint(layer: Layer, rule: str, hint: str) -> None:
    report = check_layer(layer, (3,))
    ((sentence, found),) = report.broken.items()
    assert sentence.startswith(rule)
    assert hint in found


def test_rules_that_an_error_hides_are_counted() -> None:
    report = check_layer(Unsummed(), (3,))
    assert report.untried == 10
    head = f"1 of {len(RULES)} rules; 10 rules were not checked because this one failed"
    assert report.headline.endswith(head)
    assert check_layer(NoShape(), (3,)).untried == len(RULES) - 1


class Halving(Add):
    def backward(self, delta):
        return tuple(part / 2 for part in super().backward(delta))


class FirstOnly(Add):
    def backward(self, delta):
        return super().backward(delta)[0]


class Summed(Add):
    def backward(self, delta):
        one, two = super().backward(delta)
        return one, two.sum(axis=0)


class Handed(Add):
    def backward(self, delta):
        return delta.copy(), delta


class Leaking(Multiply):
    def forward(self, *inputs, training=True):
        inputs[1][...] = 1
        return super().forward(*inputs, training=training)


@pytest.mark.parametrize(
    ("layer", "rule", "found"),
    [
        (Halving(), "backward returns the exact", "input 'x1'[; 1/2x"),
        (FirstOnly(), "backward returns dJ/dx", "2 inputs"),
        (Summed(), "backward returns dJ/dx", "(6, 3), but backward returned (3,)"),
        (Handed(), "forward and backward return", "delta's memory"),
        (Leaking(), "forward and backward return", "read-only"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_broken_rule_of_several_inputs_is_named(layer: Layer, rule: str, found: str) -> None:
    report = check_layer(layer, ((3,), (3,)))
    (text,) = [text for sentence, text in report.broken.items() if sentence.startswith(rule)]
    for part in found.split("; "):
        assert part in text


SHARED = Dense(2, weight=Parameter(np.ones((3, 2))), bias_initializer="normal")


@pytest.mark.parametrize(
    "layer",
    [Scale(), Dense(2), Dropout(0.5), BatchNorm(), Running(), SHARED, Chain([SHARED, Tanh()])],
)
def test_correct_layer_passes(layer: Layer) -> None:
    report = check_layer(layer, (3,))
    assert report.passed, report
    assert repr(layer) in str(report)
    assert str(len(RULES)) in str(report)


def test_layer_does_not_change() -> None:
    layer = Dense(2)
    before = vars(layer).copy()
    check_layer(layer, (3,))
    assert vars(layer) == before
    Sequential([layer], input_shape=(3,), rng=0)
    with pytest.raises(ValueError, match="Dense 'dense_1'"):
        check_layer(layer, (3,))


@pytest.mark.parametrize(
    ("layer", "input_shape", "error", "words"),
    [
        ("dense", (3,), TypeError, "'dense'"),
        (Dense, (3,), TypeError, "Dense"),
        (Dense(2), 3, TypeError, "input_shape"),
        (Dense(2), ("3",), TypeError, "input_shape"),
        (Dense(2), (0,), ValueError, "input_shape"),
        (Add(), ((3,), (0,)), ValueError, "input_shape"),
        (Add(), ((3,), 3), TypeError, "input_shape"),
    ],
)
def test_invalid_arguments_are_refused(layer, input_shape, error, words: str) -> None:
    with pytest.raises(error, match=f"check_layer expects .*{words}"):
        check_layer(layer, input_shape)
