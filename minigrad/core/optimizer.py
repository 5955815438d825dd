"""An optimizer: changes all parameters a step at a time, from the gradients they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf, nan
from typing import Any, TypeAlias
from weakref import ref

import numpy as np
from typing_extensions import override

from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array, norm
from minigrad.util.config import Configurable
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_not_negative, check_positive

Schedule: TypeAlias = Callable[[int], float]
"""The learning rate as a function of the steps made; see `minigrad.optimizers.schedules`."""

_PIECE = 32_768
"""Elements updated at a time, so that the intermediate arrays of an update stay in the cache."""


@options
class Optimizer(Configurable):
    """Changes the flat parameter vector of a model.

    Before each step the gradient g of the trainable parameters is clipped, if that is asked for,
    and weight decay adds d theta, the gradient of d/2 |theta|^2. The parameters' own `grad` stays
    what `backward` computed. Where PyTorch and Keras differ, the method is PyTorch's.

    A new optimizer defines `update`, and names in `slots` the vectors that it keeps from step to
    step; each is as long as all parameters and starts at zero.

    `steps`, the number of steps made, and `state`, the slots' arrays by name, are all that an
    optimizer remembers. Assigned to another optimizer with the same options, they continue the
    run in the same bits.

    Raises:
        TypeError, ValueError: a value out of its range, or both kinds of clipping.

    Source: Pascanu et al., On the difficulty of training recurrent neural networks, 2013.

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

    learning_rate: As[float | Schedule, float | Schedule] = option(kw_only=False)
    """The step size eta, above 0, or a `Schedule`. It may be reassigned at any time; `rate` is its
    present value."""
    weight_decay: float = option(check_not_negative, default=0.0)
    """d; 0 for none."""
    clip_norm: float | None = option(check_positive, default=None)
    """c: g is scaled by c / (|g| + 1e-6) where that is below 1, with |g| the norm over all
    parameters (PyTorch's `clip_grad_norm_`, Keras's `global_clipnorm`)."""
    clip_value: float | None = option(check_positive, default=None)
    """c: each element of g is clipped to [-c, c]."""

    @override
    def __post_init__(self) -> None:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError(
                f"{type(self).__name__} expects clip_norm or clip_value, got both: leave one out"
            )
        self.steps = 0
        self.state: dict[str, Array] = {}
        self._first: ref[Parameter] | None = None
        self._factor = 1.0  # of the parameters whose update is in progress

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate" and (isinstance(value, type) or not callable(value)):
            value = check_positive(value, name, self)
        if not hasattr(self, name):
            from minigrad.util.attributes import refuse_unknown

            refuse_unknown(self, name)
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_first": None, "_factor": 1.0}

    @property
    def rate(self) -> float:
        """The learning rate of the next step.

        In `update` it is that of the parameters in hand: times their `learning_rate_factor`.
        """
        if isinstance(self.learning_rate, float):
            return self.learning_rate * self._factor
        given = self.learning_rate(self.steps)
        rate = nan if given is None else float(given)
        if not 0 <= rate < inf:
            raise ValueError(
                f"{type(self).__name__} expects a learning rate of at least 0, got {given} from "
                f"{self.learning_rate!r} at step {self.steps}"
            )
        return rate * self._factor

    @property
    def equation(self) -> str:
        """The step of a parameter w as text, such as "v = momentum v + g; w - eta v".

        `explain` shows it with names and numbers. w and g are the parameter and its gradient, eta
        is the learning rate, t counts the steps from 1, a slot is known by its first letter, and an
        option by its name. Without an equation, `explain` shows the change.
        """
        return ""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the vectors in `state`."""
        return ()

    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        """Change a piece of the parameters and of the slots in place; `grad` is read-only."""
        raise NotImplementedError(f"{type(self).__name__} must define update(value, grad, state)")

    def decay(self, value: Array, grad: Array) -> Array:
        """Return the gradient with weight decay, a new array: g + d theta."""
        return grad + self.weight_decay * value

    def step(self, parameters: Sequence[Parameter]) -> None:
        """Make one step from the gradients that the parameters hold.

        State of a model of another size or dtype, or a negative rate, raises ValueError.
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
            self.prepare_state(parameters, slots)
        clip = self._clipping(parameters)
        try:
            for place, theta, g, factor in parameters.trainable_pieces(_PIECE):
                vars(self)["_factor"] = factor  # past `__setattr__`, which takes a moment
                if clip is not None:
                    g = clip(g)
                if self.weight_decay:
                    g = self.decay(theta, g)
                state = {slot: self.state[slot][place] for slot in slots} if slots else {}
                given = [*map(id, state.values())] if slots else []
                result = self.update(theta, g, state)  # type: ignore[func-returns-value]
                if result is not None or (state and [*map(id, state.values())] != given):
                    raise TypeError(
                        f"update of {type(self).__name__} must change value and the arrays of "
                        "state in place, as in value -= ..., and return None"
                    )
        finally:
            vars(self)["_factor"] = 1.0
        vars(self)["steps"] += 1

    def check_owner(self, parameters: Iterable[Parameter]) -> None:
        """Refuse parameters other than those whose steps this optimizer remembers."""
        remembers = self.steps and (self.state or callable(self.learning_rate))
        if not remembers or self._first is None:
            return
        if all(p.source is not self._first() for p in parameters):
            raise ValueError(
                f"this {type(self).__name__} has made {self.steps} steps with another model: make "
                "a new optimizer for each model"
            )

    def _clipping(self, parameters: Parameters) -> Callable[[Array], Array] | None:
        """Return the function that clips a piece of this step's gradient, or None."""
        if self.clip_value is not None:
            bound = self.clip_value
            return lambda grad: np.clip(grad, -bound, bound)
        if self.clip_norm is not None:
            pieces = [grad for _, _, grad in parameters.trainable_runs()]
            factor = np.minimum(self.clip_norm / (norm(pieces) + 1e-6), 1.0).item()
            return lambda grad: factor * grad
        return None

    def prepare_state(self, parameters: Parameters, slots: tuple[str, ...]) -> None:
        """Create missing slots, and refuse those of a model of another size or dtype."""
        size = parameters.size
        dtype = parameters[0].value.dtype if size else np.dtype(np.float64)
        for slot in slots:
            if slot not in self.state:
                self.state[slot] = np.zeros(size, dtype)
            vector = self.state[slot]
            if vector.size != size or vector.dtype != dtype:
                raise ValueError(
                    f"this {type(self).__name__} has the state of {vector.size} parameters in "
                    f"{vector.dtype}, got {size} in {dtype}: make a new optimizer for each model"
                )
