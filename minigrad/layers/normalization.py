"""Normalization layers: subtract the mean, divide by the standard deviation, scale and shift."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, features, size_of
from minigrad.initializers import initialize
from minigrad.util.config import register
from minigrad.util.options import check_fraction, check_positive
from minigrad.util.random import RNG


class Normalization(Layer):
    """The base of both layers: h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon).

    `gamma` and `beta` hold one number per feature, that is, per index of the last axis. Mean and
    variance depend on x. With delta_n = gamma delta and means over the same axes:

        dJ/dx = (delta_n - mean(delta_n) - n mean(n delta_n)) / sqrt(variance + epsilon)
    """

    equation = "h = gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta"

    gamma: Parameter
    beta: Parameter
    order: ClassVar[Literal["C", "F"]]
    """The memory order: sums run over contiguous axes, where NumPy adds numbers pairwise."""

    def __init__(self, *, epsilon: float = 1e-5, name: str = "") -> None:
        super().__init__(name=name)
        self.epsilon = check_positive(epsilon, "epsilon", self)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = (features(input_shape, self.label),)
        self.gamma = Parameter(initialize("ones", shape, rng, f"the gamma of {self.label}"))
        self.beta = Parameter(initialize("zeros", shape, rng, f"the beta of {self.label}"))
        self.input_shape = input_shape
        return input_shape

    def axes(self, x: Array) -> tuple[int, ...]:
        """Return the axes over which mean and variance are taken."""
        raise NotImplementedError(f"{self.label} must define axes(x)")

    def statistics(self, x: Array, axes: tuple[int, ...], training: bool) -> tuple[Array, Array]:
        """Return the mean and the variance over these axes, which keep the length 1."""
        mean: Array = x.mean(axis=axes, keepdims=True)
        deviation = x - mean
        deviation *= deviation
        return mean, deviation.mean(axis=axes, keepdims=True)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        gamma = self.gamma.value  # raises if the layer isn't built
        assert self.input_shape is not None
        self.check_input(x, self.input_shape)
        x = np.asarray(x, order=self.order)
        mean, variance = self.statistics(x, self.axes(x), training)
        rate = 1 / np.sqrt(variance + self.epsilon)
        n: Array = (x - mean) * rate
        if training:
            self.cache = n, rate
        h = n * gamma
        h += self.beta.value
        return h

    @override
    def backward(self, delta: Array) -> Array:
        n, rate = self.cache
        delta = np.asarray(delta, order=self.order)
        self.backward_parameters(delta)
        axes = self.axes(n)
        input_delta = delta * self.gamma.value
        along = (input_delta * n).mean(axis=axes, keepdims=True)
        input_delta -= input_delta.mean(axis=axes, keepdims=True)
        input_delta -= n * along
        input_delta *= rate
        return input_delta

    @override
    def backward_parameters(self, delta: Array) -> None:
        n: Array = self.cache[0]
        self.check_delta(delta, n.shape)
        delta = np.asarray(delta, order=self.order)
        rows = tuple(range(n.ndim - 1))
        self.gamma.grad = (delta * n).sum(axis=rows)
        self.beta.grad = delta.sum(axis=rows)


@register
class LayerNorm(Normalization):
    """h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon), row by row.

    Mean and variance are taken over the last axis; the variance divides by the number of features.
    This is `torch.nn.LayerNorm(features)`; Keras's epsilon is 1e-3.

    Args:
        epsilon: prevents a division by zero for a constant row; above 0.
        name: see `Layer`.

    Raises:
        ValueError: rows that are single numbers.

    Source: Ba et al., Layer normalization, 2016, equations 3 and 4.

    >>> layer = LayerNorm()
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[1.0, 3.0], [20.0, 10.0]])).round(4)
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    order = "C"

    @override
    def axes(self, x: Array) -> tuple[int, ...]:
        return (-1,)


@register
class BatchNorm(Normalization):
    """h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon), feature by feature.

    In training, mean and variance are those of the batch, over all axes but the last. Each batch
    updates the running statistics, which inference uses:

        running <- (1 - momentum) running + momentum * batch

    The variance of n divides by the number of rows N; the running variance is unbiased, it divides
    by N - 1. This is PyTorch's definition (`torch.nn.BatchNorm1d`). Keras's `momentum` is one minus
    this one, its epsilon is 1e-3, and its running variance is biased.

    A batch whose statistics aren't finite doesn't change the running statistics, nor does
    `momentum=0`. Freezing the layer freezes gamma and beta only: training still uses and updates
    the statistics. (In Keras, a frozen layer runs as in inference.)

    Args:
        momentum: the weight of a new batch in the running statistics, from 0 to below 1.
        epsilon: prevents a division by zero for a constant feature; above 0.
        name: see `Layer`.

    Raises:
        ValueError: training on a single row, which has no variance; rows that are single numbers.

    Source: Ioffe and Szegedy, Batch normalization, ICML 2015, algorithm 1.

    >>> layer = BatchNorm()
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[1.0, 30.0], [3.0, 10.0]])).round(4)
    array([[-1.,  1.],
           [ 1., -1.]])
    >>> layer.running_mean, layer.running_variance
    (array([0.2, 2. ]), array([ 1.1, 20.9]))
    """

    order = "F"
    batch_dependent = True
    buffers = ("running_mean", "running_variance")
    running_mean: Array
    running_variance: Array

    def __init__(self, *, momentum: float = 0.1, epsilon: float = 1e-5, name: str = "") -> None:
        super().__init__(epsilon=epsilon, name=name)
        self.momentum = check_fraction(momentum, "momentum", self)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = super().build(input_shape, rng)
        shape, label = self.beta.shape, self.label
        self.running_mean = initialize("zeros", shape, rng, f"the running_mean of {label}")
        self.running_variance = initialize("ones", shape, rng, f"the running_variance of {label}")
        self.min_batch_size = 2 if size_of(input_shape[:-1]) == 1 else 1
        return output_shape

    @override
    def axes(self, x: Array) -> tuple[int, ...]:
        return tuple(range(x.ndim - 1))

    @override
    def statistics(self, x: Array, axes: tuple[int, ...], training: bool) -> tuple[Array, Array]:
        if not training:
            return self.running_mean, self.running_variance
        count = x.size // x.shape[-1]
        if count < 2:
            raise ValueError(
                f"{self.label} expects training batches of at least 2 rows, got 1: choose a "
                "batch_size that leaves no single row over"
            )
        mean, variance = super().statistics(x, axes, training)
        unbiased = variance.ravel() * (count / (count - 1))
        if np.isfinite(unbiased).all():
            old, new = 1 - self.momentum, self.momentum
            self.running_mean = old * self.running_mean + new * mean.ravel()
            self.running_variance = old * self.running_variance + new * unbiased
        return mean, variance
