"""An optimizer: changes all parameters at once, a step at a time, by the gradient they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf, isfinite, sqrt
from typing import Any
from weakref import ref

import numpy as np

from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array
from minigrad.optimizers.schedules import Schedule
from minigrad.util.config import Configurable
from minigrad.util.options import check_not_negative, check_positive

_CHUNK = 65_536
"""Numbers changed at a time: what a step makes on the way then stays in the cache."""


class Optimizer(Configurable):
    """Changes a model's flat parameter vector, whatever its depth.

    Before each step the gradient g of the trainable parameters is clipped, if that is asked for,
    and then d theta is added to it, the gradient of d/2 |theta|^2. That happens on the way: the
    parameters' own `grad` stays what `backward` computed. Frozen parameters stay, with all that
    is kept for them. Where PyTorch and Keras define a method differently, PyTorch is followed.

    A new optimizer defines `update`, and names in `slots` the vectors that it keeps from step to
    step, each as long as the parameters and zero at first.

    All that it remembers is `steps`, the number of steps made, and `state`, the slots' flat arrays
    by name: `steps` and a copy of `state`, assigned to another optimizer with the same options, go
    on in the same bits.

    Args:
        learning_rate: the step size eta, above 0, or a `Schedule` that gives it for each step. It
            may be reassigned at any time; `rate` is the number that it comes to.
        weight_decay: d, 0 for none.
        clip_norm: c, which scales g by c / (|g| + 1e-6) where that is below 1; |g| is the norm
            over all parameters of the step (PyTorch's `clip_grad_norm_`, Keras's
            `global_clipnorm`).
        clip_value: or c, to which each number of g is cut: from -c to c (PyTorch's
            `clip_grad_value_`, Keras's `clipvalue`).

    Raises:
        TypeError, ValueError: a value out of its range, or both ways of clipping.

    Source of the clipping: Pascanu et al., On the difficulty of training recurrent neural
    networks, ICML 2013, algorithm 1.

    Sign descent, theta <- theta - eta sign(g):

    >>> class SignDescent(Optimizer):
    ...     def update(self, value, grad, state):
    ...         value -= self.rate * np.sign(grad)
    >>> p = Parameter(np.array([1.0, 2.0]))
    >>> p.grad = np.array([0.5, -7.0])
    >>> SignDescent(learning_rate=0.25).step([p])
    >>> p.value
    array([0.75, 2.25])
    """

    def __init__(
        self,
        *,
        learning_rate: float | Schedule,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        if clip_norm is not None and clip_value is not None:
            raise ValueError(
                f"{type(self).__name__} expects clip_norm or clip_value, got both: leave one out"
            )
        self.learning_rate = learning_rate
        self.weight_decay = check_not_negative(weight_decay, "weight_decay", self)
        self.clip_norm = None if clip_norm is None else check_positive(clip_norm, "clip_norm", self)
        self.clip_value = (
            None if clip_value is None else check_positive(clip_value, "clip_value", self)
        )
        self.steps = 0
        self.state: dict[str, Array] = {}
        self._first: ref[Parameter] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_first": None}

    @property
    def learning_rate(self) -> float | Schedule:
        """A number, or the schedule that gives one for each step."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, new: float | Schedule) -> None:
        self._learning_rate = (
            new if isinstance(new, Schedule) else check_positive(new, "learning_rate", self)
        )

    @property
    def rate(self) -> float:
        """The learning rate of the step that comes next, or that is under way."""
        rate = self._learning_rate
        return self._scheduled(rate) if isinstance(rate, Schedule) else rate

    def _scheduled(self, schedule: Schedule) -> float:
        rate = float(schedule(self.steps))
        if not 0 <= rate < inf:
            raise ValueError(
                f"{type(self).__name__} expects a learning rate of zero or above; {schedule!r} "
                f"gives {rate} for step {self.steps}"
            )
        return rate

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the vectors kept in `state`."""
        return ()

    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        """Change a piece of the parameters, and of the slots, in place; `grad` is only read."""
        raise NotImplementedError(f"{type(self).__name__} must define update(value, grad, state)")

    def decay(self, value: Array, grad: Array) -> Array:
        """Return the gradient that has the weight decay in it, a new array: g + d theta."""
        return grad + self.weight_decay * value

    def step(self, parameters: Sequence[Parameter]) -> None:
        """Make one step from the gradients that the parameters hold.

        Raises:
            TypeError: a model in the place of its parameters.
            ValueError: this optimizer holds the state of a model of another size or dtype; a
                schedule gives a rate below zero.
        """
        if isinstance(parameters, Configurable):
            raise TypeError(
                f"step of {type(self).__name__} expects parameters, got a "
                f"{type(parameters).__name__}: pass model.parameters"
            )
        if not isinstance(parameters, Parameters):
            parameters = Parameters(parameters)
        slots = self.slots
        if self._first is None and parameters:
            self._first = ref(parameters[0])
        if slots:
            self._prepare(parameters, slots)
        clip = self._clipping(parameters)
        for place, theta, g in parameters.trainable_pieces(_CHUNK):
            if clip is not None:
                g = clip(g)
            if self.weight_decay:
                g = self.decay(theta, g)
            held = {slot: self.state[slot][place] for slot in slots} if slots else {}
            given = [*held.values()]
            if self.update(theta, g, held) is not None:  # type: ignore[func-returns-value]
                raise TypeError(
                    f"update of {type(self).__name__} returned something: change value in place, "
                    "as in value -= ..., and return nothing"
                )
            if held and [*map(id, held.values())] != [*map(id, given)]:
                raise TypeError(
                    f"update of {type(self).__name__} put new arrays into state: name in slots "
                    "what it keeps, and change those in place, as in state[slot] *= ..."
                )
        self.steps += 1

    def check_free(self, parameters: Iterable[Parameter]) -> None:
        """Refuse to go on with what was remembered of parameters that aren't among these.

        Raises:
            ValueError: this optimizer has trained another model.
        """
        remembers = self.steps and (self.state or isinstance(self.learning_rate, Schedule))
        if not remembers or self._first is None:
            return
        if all(p is not self._first() for p in parameters):
            raise ValueError(
                f"this {type(self).__name__} remembers {self.steps} steps of another model: make a "
                "new optimizer for each model"
            )

    def _clipping(self, parameters: Parameters) -> Callable[[Array], Array] | None:
        """Return what clips a piece of this step's gradient; None where nothing is to be done."""
        if self.clip_value is not None:
            bound = self.clip_value
            return lambda grad: np.clip(grad, -bound, bound)
        if self.clip_norm is not None:
            pieces = [grad for _, _, grad in parameters.trainable_runs()]
            factor = self.clip_norm / (_norm(pieces) + 1e-6)
            if factor < 1:
                return lambda grad: factor * grad
        return None

    def _prepare(self, parameters: Parameters, slots: tuple[str, ...]) -> None:
        size = parameters.size
        dtype = parameters[0].value.dtype if size else np.dtype(np.float64)
        for slot in slots:
            held = self.state.get(slot)
            if held is None:
                self.state[slot] = np.zeros(size, dtype)
            elif held.size != size or held.dtype != dtype:
                has, given = (held.size, size) if held.size != size else (held.dtype, dtype)
                raise ValueError(
                    f"this {type(self).__name__} holds the state of a model with {has} parameters "
                    f"and is given {given}: make a new optimizer for each model"
                )


def _norm(pieces: Sequence[Array]) -> float:
    """Return the root of the sum of all squares, also where a square is too large for the dtype."""
    with np.errstate(over="ignore"):
        square = sum(float(np.dot(g, g)) for g in pieces)
    if isfinite(square):
        return sqrt(square)
    largest = max(float(np.abs(g).max()) for g in pieces)
    return largest * _norm([g / largest for g in pieces]) if isfinite(largest) else largest
