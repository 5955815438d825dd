"""Schedules: the learning rate as a function of the number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from typing_extensions import override

from minigrad.util.config import Configurable, register
from minigrad.util.fields import option, options
from minigrad.util.options import check_int, check_not_negative, check_positive


@options
class Schedule(Configurable):
    """A learning rate eta(t), where t = 0, 1, 2, ... is the number of steps before.

    A step is one update of the parameters, so an epoch has as many steps as batches. Pass a
    schedule to an optimizer instead of a number. A subclass defines `__call__`.

    >>> from minigrad import SGD
    >>> sgd = SGD(learning_rate=ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.5))
    >>> sgd.step([])
    >>> sgd.rate
    0.05
    """

    initial_learning_rate: float = option(check_positive, kw_only=False)
    """eta_0, above 0."""

    def __call__(self, step: int) -> float:
        """Return the learning rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")


@register
@options
class StepDecay(Schedule):
    """eta(t) = eta_0 * r^floor(t / n): multiplied by r every n steps, as PyTorch's StepLR.

    >>> schedule = StepDecay(initial_learning_rate=0.5, decay_rate=0.5, decay_steps=2)
    >>> [schedule(step) for step in range(5)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    initial_learning_rate: float = option(check_positive, kw_only=False)
    decay_rate: float = option(check_positive)
    """r, above 0."""
    decay_steps: int = option(check_int)
    """n, a whole number of at least 1."""

    @override
    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** (step // self.decay_steps)


@register
@options
class ExponentialDecay(Schedule):
    """eta(t) = eta_0 * r^(t / n): multiplied by r over n steps, as Keras's ExponentialDecay.

    With n = 1, the default, it is PyTorch's ExponentialLR. The options are those of `StepDecay`.

    >>> schedule = ExponentialDecay(initial_learning_rate=0.5, decay_rate=0.25, decay_steps=2)
    >>> [schedule(step) for step in range(4)]
    [0.5, 0.25, 0.125, 0.0625]
    """

    initial_learning_rate: float = option(check_positive, kw_only=False)
    decay_rate: float = option(check_positive)
    decay_steps: int = option(check_int, default=1)

    @override
    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * math.pow(self.decay_rate, step / self.decay_steps)


@register
@options
class CosineDecay(Schedule):
    """Half a cosine from eta_0 down to eta_1, after w steps of linear warm-up.

        t < w:     eta(t) = eta_0 (t + 1) / (w + 1)
        t < w + n: eta(t) = eta_1 + (eta_0 - eta_1) (1 + cos(pi (t - w) / n)) / 2
        later:     eta(t) = eta_1

    PyTorch's CosineAnnealingLR rises again after n steps; this one stays at eta_1.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, equation 5; the warm-up: Goyal et al.,
    Accurate, large minibatch SGD, 2017, section 2.2.

    >>> schedule = CosineDecay(initial_learning_rate=0.5, decay_steps=2, warmup_steps=1)
    >>> [schedule(step) for step in range(5)]
    [0.25, 0.5, 0.25, 0.0, 0.0]
    """

    initial_learning_rate: float = option(check_positive, kw_only=False)
    decay_steps: int = option(check_int)
    """n, a whole number of at least 1, without the warm-up."""
    warmup_steps: int = option(partial(check_int, least=0), default=0)
    """w, a whole number; 0 for no warm-up."""
    final_learning_rate: float = option(check_not_negative, default=0.0)
    """eta_1, at least 0."""

    @override
    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.initial_learning_rate * (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / self.decay_steps)
        height = self.initial_learning_rate - self.final_learning_rate
        return self.final_learning_rate + height * (1 + math.cos(math.pi * progress)) / 2


@register
class Warmup(Schedule):
    """A linear rise over the first w steps, to a learning rate or to another schedule's start.

        t < w: eta(t) = eta_0 (t + 1) / (w + 1)
        later: eta(t) = eta_0, or what the other schedule gives for t - w

    Args:
        learning_rate: eta_0, above 0, or a schedule, which starts with eta_0.
        warmup_steps: w, a whole number of at least 1.

    Source: Goyal et al., Accurate, large minibatch SGD, 2017, section 2.2.

    >>> schedule = Warmup(0.5, warmup_steps=3)
    >>> [schedule(step) for step in range(5)]
    [0.125, 0.25, 0.375, 0.5, 0.5]
    >>> decay = ExponentialDecay(initial_learning_rate=0.5, decay_rate=0.5)
    >>> schedule = Warmup(decay, warmup_steps=1)
    >>> [schedule(step) for step in range(4)]
    [0.25, 0.5, 0.25, 0.125]
    """

    def __init__(self, learning_rate: float | Callable[[int], float], *, warmup_steps: int) -> None:
        given: Any = learning_rate
        constant = isinstance(given, type) or not callable(given)
        self.learning_rate: float | Callable[[int], float] = (
            check_positive(given, "learning_rate", self) if constant else given
        )
        self.warmup_steps = check_int(warmup_steps, "warmup_steps", self)

    @property
    def initial_learning_rate(self) -> float:  # type: ignore[override]
        """eta_0."""
        if not callable(self.learning_rate):
            return self.learning_rate
        return check_not_negative(self.learning_rate(0), "learning_rate(0)", self)

    @override
    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.initial_learning_rate * (step + 1) / (self.warmup_steps + 1)
        if callable(self.learning_rate):
            return self.learning_rate(step - self.warmup_steps)
        return self.learning_rate
