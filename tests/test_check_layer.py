"""check_layer passes a layer that keeps the rules, and says which rule another one breaks."""

import time

import numpy as np
import pytest

from minigrad import (
    BatchNorm,
    Chain,
    Dense,
    Dropout,
    Identity,
    Layer,
    Parameter,
    Sequential,
    Tanh,
    check_layer,
)
from minigrad.checks.layer import RULES
from minigrad.core.layer import connect


class Scaled(Layer):
    """Keeps every rule; the others break one of them each."""

    def build(self, input_shape, rng):
        self.factor = Parameter(np.ones(input_shape))
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x * self.factor.value

    def backward(self, delta):
        self.factor.grad = (delta * self.cache).sum(axis=0)
        return delta * self.factor.value


class OtherShape(Scaled):
    def build(self, input_shape, rng):
        super().build(input_shape, rng)
        return (*input_shape, 1)


class NoShape(Scaled):
    def build(self, input_shape, rng):
        self.factor = Parameter(np.ones(input_shape))


class SummedDelta(Scaled):
    def backward(self, delta):
        return super().backward(delta).sum(axis=0)


class MeanGradient(Scaled):
    def backward(self, delta):
        back = super().backward(delta)
        self.factor.grad = self.factor.grad / len(delta)
        return back


class HalfShortcut(Scaled):
    def backward_parameters(self, delta):
        self.factor.grad = (delta * self.cache).sum(axis=0) / 2


class Upcast(Scaled):
    def forward(self, x, *, training=True):
        return super().forward(x, training=training) * np.ones(1)


class InPlace(Scaled):
    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        x *= self.factor.value
        return x


class PassedOn(Identity):
    def function(self, z):
        return z


class OwnCache(Scaled):
    kept = None

    def forward(self, x, *, training=True):
        if training:
            self.kept = x
        return x * self.factor.value

    def backward(self, delta):
        self.factor.grad = (delta * self.kept).sum(axis=0)
        return delta * self.factor.value


class AddedUp(Scaled):
    def backward(self, delta):
        self.factor.grad = self.factor.grad + (delta * self.cache).sum(axis=0)
        return delta * self.factor.value


class Counting(Scaled):
    calls = 0

    def forward(self, x, *, training=True):
        self.calls += 1
        return super().forward(x, training=training)


class Overwriting(Scaled):
    def forward(self, x, *, training=True):
        self.cache = x
        return x * self.factor.value


class Racing(Scaled):
    """Leaves no trace after a call, and is not safe during one."""

    def build(self, input_shape, rng):
        self.room = [None]
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        self.room[0] = x
        time.sleep(0.001)
        own, self.room[0] = self.room[0], None
        return super().forward(own, training=training)


class Centred(Scaled):
    def forward(self, x, *, training=True):
        return super().forward(x - x.mean(axis=0), training=training)

    def backward(self, delta):
        back = super().backward(delta)
        return back - back.mean(axis=0)


class Halved(Scaled):
    """Divides by the number of rows."""

    def forward(self, x, *, training=True):
        return super().forward(x / len(x), training=training)

    def backward(self, delta):
        return super().backward(delta) / len(delta)


class Noisy(Scaled):
    def build(self, input_shape, rng):
        self.rng = rng
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        noise = self.rng.normal(size=x.shape).astype(x.dtype) if training else 0
        return super().forward(x + noise, training=training)


class CentredNoise(Noisy):
    """Draws, as it says, and ties its rows."""

    stochastic = True

    def forward(self, x, *, training=True):
        return super().forward(x - x.mean(axis=0) if training else x, training=training)

    def backward(self, delta):
        back = super().backward(delta)
        return back - back.mean(axis=0)


class Running(Scaled):
    """Moves a buffer by each batch it is given."""

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


class GlobalNoise(Scaled):
    def forward(self, x, *, training=True):
        if training:
            np.random.rand()
        return super().forward(x, training=training)


class Exponential(Scaled):
    def forward(self, x, *, training=True):
        a = np.exp(x)
        if training:
            self.cache = a
        return a * self.factor.value

    def backward(self, delta):
        return super().backward(delta) * self.cache


class ScalarBuffer(Scaled):
    buffers = ("running",)

    def build(self, input_shape, rng):
        self.running = np.float64(0)
        return super().build(input_shape, rng)


class Forgetful(Scaled):
    def __init__(self, start=1.0, *, name=""):
        super().__init__(name=name)
        self.start = start

    def build(self, input_shape, rng):
        self.factor = Parameter(np.full(input_shape, self.start))
        return input_shape

    def get_config(self):
        return {"name": self.name}


class Nameless(Scaled):
    def __init__(self, start=1.0, *, name=""):
        super().__init__(name=name)


class TiedCopy(Scaled):
    def build(self, input_shape, rng):
        self.output_shape = super().build(input_shape, rng)
        return self.output_shape

    def __deepcopy__(self, memo):
        if self.output_shape is None:
            return type(self)(name=self.name)
        return self


class DeafWhenFrozen(Scaled):
    def backward(self, delta):
        back = super().backward(delta)
        return back if self.trainable else 0 * back


class Unsummed(Scaled):
    def backward(self, delta):
        self.factor.grad = delta * self.cache
        return delta * self.factor.value


class PlainArrays(Scaled):
    buffers = ("known",)

    def build(self, input_shape, rng):
        self.known, self.shift, self.start = np.ones(3), np.zeros(3), np.ones(3)
        return super().build(input_shape, rng)

    def forward(self, x, *, training=True):
        return super().forward(x, training=training) + self.shift


class Wrapped(Layer):
    """Says nothing itself of a backward before forward."""

    def __init__(self, inner, *, name=""):
        super().__init__(name=name)
        self.inner = inner

    def build(self, input_shape, rng):
        return connect(self.inner, input_shape, rng)

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
    (NoShape(), "build makes the parameters", "must return its output shape"),
    (OtherShape(), "forward gives rows of", "build returned (3, 1); for 6 rows with training=True"),
    (SummedDelta(), "backward returns dJ/dx", "x has shape (6, 3), and backward gave (3,)"),
    (MeanGradient(), "backward gives the exact", "; 1/6: a mean for a sum?"),
    (HalfShortcut(), "backward_parameters assigns", "the gradient of 'factor' is another"),
    (Upcast(), "all numbers have the dtype", "in float32, forward gives float64"),
    (InPlace(), "what forward and backward return", "read-only"),
    (PassedOn(), "what forward and backward return", "forward(training=False) returns x's memory"),
    (OwnCache(), "backward before forward raises", "NoneType"),
    (AddedUp(), "backward assigns gradients", "gradient is another the second time"),
    (Counting(), "forward(training=False) writes", "it made counting_1.calls"),
    (Overwriting(), "inference between forward", "other numbers after it"),
    (Racing(), "eight threads at once infer", ""),
    (Centred(), "a row's output depends on", "rows 2 and 3 give other numbers without the others"),
    (CentredNoise(), "a row's output depends on", "rows 2 and 3 give other numbers among others"),
    (Halved(), "a row's output depends on", "rows 2 and 3 give other numbers without the others"),
    (
        RunningMean(),
        "training moves buffers",
        "running_mean_1.largest ends with other numbers: set",
    ),
    (Noisy(), "random numbers come from", "the same rows give two outputs, undeclared"),
    (GlobalNoise(), "random numbers come from", "it draws from NumPy's global state"),
    (Exponential(), "x of -10,000 and 10,000", "overflow encountered in exp"),
    (ScalarBuffer(), "buffers names arrays", "scalar_buffer_1.running is a float64"),
    (Forgetful(0.5), "its configuration makes", "start=0.5 became 1.0"),
    (Nameless(), "its configuration makes", "set self.start in __init__"),
    (TiedCopy(), "a deep copy computes", "to change the copy changes the layer"),
    (DeafWhenFrozen(), "trainable = False stops", "frozen, it gives other numbers"),
]


@pytest.mark.parametrize(
    ("layer", "rule", "found"), BROKEN, ids=[type(b[0]).__name__ for b in BROKEN]
)
def test_names_the_rule_that_is_broken(layer: Layer, rule: str, found: str) -> None:
    report = check_layer(layer, (3,))
    assert not report
    sentence = next(s for s in RULES if s.startswith(rule))
    assert found in report.broken[sentence]
    assert f"  {sentence}:\n    {report.broken[sentence]}" in str(report)


def test_there_is_a_broken_layer_for_every_rule() -> None:
    starts = tuple(rule for _, rule, _ in BROKEN)
    assert [sentence for sentence in RULES if not sentence.startswith(starts)] == []


def test_one_fault_is_one_broken_rule() -> None:
    faults = {type(layer).__name__: len(check_layer(layer, (3,)).broken) for layer, _, _ in BROKEN}
    alone = (MeanGradient, HalfShortcut, Upcast, PassedOn, OwnCache, GlobalNoise)
    alone += (Centred, CentredNoise, Halved, RunningMean)
    assert {faults[cls.__name__] for cls in alone} == {1}


@pytest.mark.parametrize(
    ("layer", "rule", "hint"),
    [
        (Unsummed(), "backward returns", "got (6, 3): sum over the rows, as .sum(axis=0)"),
        (
            PlainArrays(),
            "all numbers have",
            "float64: plain_arrays_1.shift and plain_arrays_1.start are arrays that no model casts",
        ),
        (Wrapped(Tanh()), "backward before forward", "; read self.cache before a layer inside"),
        (Unconnected(Chain([Tanh()])), "build makes", "unconnected_1.inner has no output_shape"),
        (Twice(Chain([Tanh()])), "backward gives the exact", "twice_1.inner runs 2 times a pass"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_one_cause_is_told_once_with_what_to_do(layer: Layer, rule: str, hint: str) -> None:
    report = check_layer(layer, (3,))
    ((sentence, found),) = report.broken.items()
    assert sentence.startswith(rule)
    assert hint in found


def test_what_an_error_hides_is_counted() -> None:
    report = check_layer(Unsummed(), (3,))
    assert report.untried == 10
    head = f"breaks 1 of {len(RULES)} rules; 10 are left until that is mended"
    assert str(report).splitlines()[0].endswith(head)
    assert check_layer(NoShape(), (3,)).untried == len(RULES) - 1


SHARED = Dense(2, weight=Parameter(np.ones((3, 2))), bias_initializer="normal")


@pytest.mark.parametrize(
    "layer",
    [Scaled(), Dense(2), Dropout(0.5), BatchNorm(), Running(), SHARED, Chain([SHARED, Tanh()])],
)
def test_passes_what_keeps_the_rules(layer: Layer) -> None:
    report = check_layer(layer, (3,))
    assert report.passed, report
    assert str(report) == f"passed: {layer!r} keeps all {len(RULES)} rules"


def test_leaves_the_layer_alone() -> None:
    layer = Dense(2)
    before = vars(layer).copy()
    check_layer(layer, (3,))
    assert vars(layer) == before
    Sequential([layer], input_shape=(3,), rng=0)
    with pytest.raises(ValueError, match="takes a layer that isn't built, and Dense 'dense_1' is"):
        check_layer(layer, (3,))
