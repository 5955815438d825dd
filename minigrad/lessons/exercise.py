"""What an exercise is: a layer, a loss or an optimizer to correct, and how it is checked.

See `minigrad.lessons.collection` for exercises of one's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.checks.differences import difference
from minigrad.core.layer import Layer, build_once
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.lessons.mistakes import ROWS, agree, compare, separate_causes, summed_causes
from minigrad.util.names import kind_of

FEATURES = 3
_STEP = 1e-5
_MARGIN = 0.05  # how far the share of dropped numbers, and the mean, may be off by chance


class WrongParametersError(ValueError):
    """A layer doesn't hold, or no longer holds, the parameters that its exercise asks for."""


@dataclass(frozen=True)
class Exercise(ABC):
    """An exercise.

    Attributes:
        name: a word, which names its sheet.
        about: what the sheet holds, for the list of exercises.
        allowed: other classes of minigrad that a solution may use.
    """

    name: str
    about: str
    base: ClassVar[type] = Layer
    """The class that the sheet's class derives from."""
    allowed: tuple[type, ...] = field(default=(), kw_only=True)

    def make(self, cls: type) -> Any:
        """Return an object of the sheet's class."""
        return cls()

    @abstractmethod
    def check(self, thing: Any) -> list[str]:
        """Return what is wrong with an object of the sheet's class, in a sentence each."""


@dataclass(frozen=True)
class Numbers:
    """The arrays of one pass: x, a = forward(x), delta = dJ/da, and the parameters' values."""

    forward: Callable[[Array], Array]
    x: Array
    delta: Array
    values: Mapping[str, Array]

    def slope(self, z: Array) -> Array:
        """Return the derivative of an elementwise forward at z."""
        return (self.forward(z + _STEP) - self.forward(z - _STEP)) / (2 * _STEP)


# Returns the arrays that usual mistakes give, by the words that name the mistakes.
Mistakes: TypeAlias = Callable[[Numbers], Mapping[str, Array]]


def _none(_: Numbers) -> Mapping[str, Array]:
    return {}


@dataclass(frozen=True)
class LayerExercise(Exercise):
    """A layer to correct; `forward` is compared with a function, gradients with differences.

    Attributes:
        forward: the right forward pass as a function of x and the parameters' values.
        parameters: the shapes of the layer's parameters by name; a layer with parameters of the
            same shapes in the same order may name them differently.
        mistakes: functions that return the results of usual mistakes, by what they are mistakes
            in: "output", "x" for dJ/dx, or the name of a parameter for its gradient.
        input_shape: the shape of a row.

    >>> square = LayerExercise(
    ...     "square", "a square without its derivative", lambda x: x**2,
    ...     mistakes={"x": lambda n: {"lacks the factor x": 2 * n.delta}},
    ... )
    >>> class Square(Layer):
    ...     def forward(self, x, *, training=True):
    ...         self.cache = x
    ...         return x**2
    ...     def backward(self, delta):
    ...         return 2 * delta
    >>> square.check(Square())
    ['the result of backward, dJ/dx, lacks the factor x']
    """

    forward: Callable[..., Array]
    parameters: Mapping[str, Shape] = field(default_factory=dict)
    mistakes: Mapping[str, Mistakes] = field(default_factory=dict)
    input_shape: Shape = (FEATURES,)

    @override
    def check(self, thing: Layer) -> list[str]:
        layer = Watched(thing, self)
        numbers = self.numbers(layer)
        x, expected = numbers.x, numbers.forward(numbers.x)
        wrong = self.mistakes.get("output", _none)(numbers)
        for training, mode in ((True, "training"), (False, "inference")):
            if found := compare(
                layer.forward(x.copy(), training=training), expected, mistakes=wrong
            ):
                return [f"the result of forward in {mode} {found}"]
        return self._check_backward(layer, numbers)

    def numbers(self, layer: Watched) -> Numbers:
        """Give the layer's parameters random values, and return the arrays of a pass."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(ROWS, *self.input_shape))
        for parameter in layer.parameters.values():
            parameter.value += rng.normal(size=parameter.shape)
        values = {name: p.value.copy() for name, p in layer.parameters.items()}

        def forward(x: Array) -> Array:
            return self.forward(x, *values.values())

        return Numbers(forward, x, rng.normal(size=forward(x).shape), values)

    def right(self, n: Numbers) -> dict[str, Array]:
        """Return dJ/dx and the gradient of each parameter, for J = sum(delta * output)."""

        def differences(array: Array) -> Array:
            slopes = [difference(objective, array, i, _STEP) for i in np.ndindex(array.shape)]
            return np.reshape(slopes, array.shape)

        def objective() -> float:
            return float(np.sum(n.forward(n.x) * n.delta))

        return {name: differences(array) for name, array in {**n.values, "x": n.x}.items()}

    def _check_backward(self, layer: Watched, n: Numbers) -> list[str]:
        known = [set(vars(parameter)) for parameter in layer.parameters.values()]
        layer.forward(n.x.copy(), training=True)
        given = n.delta.copy()
        layer.backward(given)
        if not np.array_equal(given, n.delta):
            return ["backward writes to its argument delta: create a new array"]
        for name, parameter in layer.parameters.items():
            if not np.array_equal(parameter.value, n.values[name]):
                at = layer.names[name]
                return [f"backward changes the value of {at}: assign only {at}.grad"]
        first = [parameter.grad.copy() for parameter in layer.parameters.values()]
        input_delta = layer.backward(n.delta.copy())  # a second call shows added gradients
        right, features = self.right(n), int(np.prod(self.input_shape))
        mistakes = {name: wrong(n) for name, wrong in self.mistakes.items()}
        wrong = []
        for (name, p), once, names in zip(layer.parameters.items(), first, known, strict=True):
            got, expected, at = p.grad.copy(), right[name], layer.names[name]
            if agree(once, expected) and agree(got, 2 * expected):
                found = "is added to the old one (+=): assign it (=)"
            elif not got.any() and (unknown := vars(p).keys() - names):
                found = f"is zero: assign {at}.grad; nothing reads {at}.{min(unknown)}"
            else:
                found = compare(got, expected, summed_causes(features), mistakes.get(name))
            if found:
                wrong.append(f"the gradient of {at} {found}")
        found = compare(input_delta, right["x"], separate_causes(features), mistakes.get("x"))
        return [*wrong, f"the result of backward, dJ/dx, {found}"] if found else wrong


class Watched:
    """A layer whose parameters must stay the same objects in each pass.

    Attributes:
        parameters: the layer's parameters by the exercise's names.
        names: the layer's own names for them.
    """

    def __init__(self, layer: Layer, exercise: LayerExercise) -> None:
        self.layer = layer
        build_once(layer, exercise.input_shape, np.random.default_rng(1))
        own, asked = dict(layer.own_parameters()), exercise.parameters
        if len(own) != len(asked):
            number = {0: "no Parameter", 1: "one Parameter"}.get(
                len(asked), f"{len(asked)} Parameters"
            )
            way = "create it in build, as self.NAME = Parameter(array)"
            raise WrongParametersError(
                f"the layer expects {number}, got {len(own)}" + f": {way}" * (len(own) < len(asked))
            )
        names = list(asked) if own.keys() == asked.keys() else list(own)
        self.names = dict(zip(asked, names, strict=True))
        self.parameters = {name: own[at] for name, at in self.names.items()}
        for name, shape in asked.items():
            if (got := self.parameters[name].shape) != shape:
                raise WrongParametersError(
                    f"{self.names[name]} expects shape {shape}, got {got}: use input_shape"
                )

    def forward(self, x: Array, *, training: bool) -> object:
        """Run the layer's forward pass."""
        return self._kept("forward", partial(self.layer.forward, x, training=training))

    def backward(self, delta: Array) -> object:
        """Run the layer's backward pass."""
        return self._kept("backward", partial(self.layer.backward, delta))

    def _kept(self, method: str, run: Callable[[], object]) -> object:
        try:
            return run()
        finally:  # what is wrong with a parameter explains an error, too
            for name, parameter in self.parameters.items():
                at = self.names[name]
                now = vars(self.layer).get(at)
                if now is not parameter:
                    what = "another Parameter" if isinstance(now, Parameter) else kind_of(now)
                    raise WrongParametersError(
                        f"{method} assigns {what} to self.{at}, which is a Parameter: assign a "
                        f"gradient to self.{at}.grad, and new numbers to self.{at}.value"
                    )


@dataclass(frozen=True)
class DropoutExercise(Exercise):
    """Dropout to correct: a layer with an argument `rate`, whose random numbers are counted."""

    rate: float = 0.25
    """The probability; at 1/2 dropped and kept numbers would look the same."""

    @override
    def check(self, thing: Layer) -> list[str]:
        layer: Layer = type(thing)(rate=self.rate)  # type: ignore[call-arg]
        build_once(layer, (FEATURES,), np.random.default_rng(1))
        ones = np.ones((2000, FEATURES))
        inferred, output = layer.forward(ones, training=False), layer.forward(ones)
        wrong = []
        if not np.array_equal(inferred, ones):
            wrong.append(
                "forward in inference must return its input, but ones become "
                f"{float(np.mean(inferred)):.2f}: scale in training instead"
            )
        dropped, mean = float(np.mean(output == 0)), float(np.mean(output))
        if abs(dropped - self.rate) > _MARGIN:
            wrong.append(
                f"forward in training drops {dropped:.0%}, expected the rate {self.rate:.0%}"
            )
        elif abs(mean - 1) > _MARGIN:
            wrong.append(
                f"forward in training changes the mean of ones to {mean:.2f} at a rate of "
                f"{self.rate}: divide what is kept by the probability of keeping it, "
                f"{1 - self.rate}"
            )
        if not np.allclose(layer.backward(np.ones_like(ones)), output):
            wrong.append("backward must multiply delta by the same scaled mask as forward")
        return wrong


Pair: TypeAlias = tuple[Array, Array]


def _numbers(rng: np.random.Generator) -> Pair:
    prediction, target = rng.normal(size=(2, ROWS, FEATURES))
    return prediction, target


@dataclass(frozen=True)
class LossExercise(Exercise):
    """A loss to correct; it defines `terms`, which returns terms and derivatives.

    Attributes:
        terms: the right terms as a function of prediction and target, one each row or element.
        mistakes: a function of prediction and target that returns the derivatives dterm/dprediction
            that usual mistakes give.
        data: draws the prediction and the target.
    """

    base: ClassVar[type] = Loss
    terms: Callable[[Array, Array], Array]
    mistakes: Callable[[Array, Array], Mapping[str, Array]] = lambda _a, _t: {}
    data: Callable[[np.random.Generator], Pair] = _numbers

    @override
    def check(self, thing: Loss) -> list[str]:
        prediction, target = self.data(np.random.default_rng(0))
        expected = self.terms(prediction, target)
        terms, slope = thing.terms(prediction.copy(), target.copy())
        causes = {
            1 / ROWS: "is divided by the number of rows: Loss takes the mean itself",
            1 / prediction.size: "is divided by the number of elements: Loss takes the mean itself",
            1 / 2: "is half the right one: is a factor 2 missing?",
            2: "is twice the right one",
        }
        if np.ndim(terms) == 0:
            return ["the first result of terms is one number: return one for each row or element"]
        if found := compare(terms, expected, causes):
            return [f"the first result of terms {found}"]
        found = compare(
            slope, self.right(prediction, target), causes, self.mistakes(prediction, target)
        )
        return [f"the second result of terms, the derivative, {found}"] if found else []

    def right(self, prediction: Array, target: Array) -> Array:
        """Return dterm/dprediction, by central differences."""

        def total() -> float:
            return float(self.terms(prediction, target).sum())

        slopes = [difference(total, prediction, i, _STEP) for i in np.ndindex(prediction.shape)]
        return np.reshape(slopes, prediction.shape)


# Returns a parameter's next value from its value, its gradient, the rate, and what it remembers.
Update: TypeAlias = Callable[[Array, Array, float, dict[str, Any]], Array]


@dataclass(frozen=True)
class OptimizerExercise(Exercise):
    """An optimizer to correct; it defines `slots` and `update`, and is compared for three steps.

    Attributes:
        update: the right update as a function of value, gradient, learning rate and a dict, empty
            before the first step, for what is remembered. It returns the new value.
        mistakes: such functions with the usual mistakes, by the words that name them.
    """

    base: ClassVar[type] = Optimizer
    update: Update
    mistakes: Mapping[str, Update] = field(default_factory=dict)
    rate: float = 0.1

    @override
    def make(self, cls: type) -> Any:
        return cls(learning_rate=self.rate)

    @override
    def check(self, thing: Optimizer) -> list[str]:
        optimizer: Optimizer = self.make(type(thing))
        parameter = Parameter(self.start())
        taken = []
        for grad in self.grads():
            parameter.grad = grad
            optimizer.step([parameter])
            taken.append(parameter.value.copy())
            if not np.array_equal(parameter.grad, grad):
                return ["update writes to the gradient: create a new array"]
        steps = zip(taken, self.path(self.update), strict=True)
        wrong = next((i for i, (got, right) in enumerate(steps) if not agree(got, right)), None)
        if wrong is None:
            return []
        for words, update in self.mistakes.items():
            if agree(np.array(taken), np.array(self.path(update))):
                return [f"the update {words}"]
        before = taken[wrong - 1] if wrong else self.start()
        change, right = taken[wrong] - before, self.path(self.update)[wrong] - before
        causes = {
            1 / self.rate: "lacks the learning rate",
            self.rate: "has the learning rate twice",
        }
        return [f"the change of the value in step {wrong + 1} {compare(change, right, causes)}"]

    def start(self) -> Array:
        """Return the value before the first step."""
        return np.array([1.0, -2.0, 0.5])

    def grads(self) -> Iterator[Array]:
        """Yield the gradient of each step."""
        yield from np.random.default_rng(0).normal(size=(3, FEATURES))

    def path(self, update: Update) -> list[Array]:
        """Return the value after each step of an update."""
        value, state, values = self.start(), dict[str, Any](), []
        for grad in self.grads():
            value = update(value, grad, self.rate, state)
            values.append(value)
        return values
