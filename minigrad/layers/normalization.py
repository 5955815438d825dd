"""Normalization layers: subtract the mean, divide by the standard deviation, scale and shift."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, column_sums, features, size_of
from minigrad.initializers import initialize
from minigrad.layers.weighted import new_parameter
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_fraction, check_int, check_positive
from minigrad.util.random import RNG


@options
class Normalization(Layer):
    """The base of these layers: h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon).

    `gamma` and `beta` hold one number per feature, that is, per index of the last axis. Mean and
    variance depend on x. With delta_n = gamma delta and means over the same axes:

        dJ/dx = (delta_n - mean(delta_n) - n mean(n delta_n)) / sqrt(variance + epsilon)

    A subclass defines `arrange` and `axes`.
    """

    epsilon: float | None = option(check_positive, default=1e-5)
    """Prevents a division by zero for a constant row; above 0."""
    centered: ClassVar[bool] = True
    """Whether the mean is subtracted and `beta` is added."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.feature_shape: Shape = (features(input_shape, self.label),)
        self.gamma = new_parameter(self, "gamma", self.feature_shape, rng, "ones")
        self.beta: Parameter | None = None
        if self.centered:
            self.beta = new_parameter(self, "beta", self.feature_shape, rng, "zeros")
        self.input_shape = input_shape
        return input_shape

    def arrange(self, x: Array) -> Array:
        """Return a batch in the shape for `axes`, whose last axes are `feature_shape`."""
        raise NotImplementedError(f"{self.label} must define arrange(x)")

    def axes(self, x: Array) -> tuple[int, ...]:
        """Return the axes over which mean and variance of an arranged batch are taken."""
        raise NotImplementedError(f"{self.label} must define axes(x)")

    def mean(self, x: Array, y: Array | None = None) -> Array:
        """Return the mean of x, or of x y, over `axes`, which keep the length 1."""
        mean: Array = (x if y is None else x * y).mean(axis=self.axes(x), keepdims=True)
        return mean

    def sum(self, x: Array, y: Array | None = None) -> Array:
        """Return the sum of x, or of x y, for each feature."""
        rows = tuple(range(x.ndim - len(self.feature_shape)))
        total: Array = (x if y is None else x * y).sum(axis=rows)
        return total.ravel()

    def deviation(self, x: Array, training: bool) -> tuple[Array, Array]:
        """Return x - mean, and the variance."""
        deviation = x - self.mean(x)
        return deviation, self.mean(deviation, deviation)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        gamma = self.gamma.value.reshape(self.feature_shape)  # raises if the layer isn't built
        self.check_input(x)
        n, variance = self.deviation(self.arrange(x), training)
        rate = 1 / np.sqrt(variance + (self.epsilon or np.finfo(x.dtype).eps))
        n *= rate
        if training:
            self.cache = n, rate, x.shape
        h: Array = n * gamma
        if self.beta is not None:
            h += self.beta.value.reshape(self.feature_shape)
        return h.reshape(x.shape)

    @override
    def backward(self, delta: Array) -> Array:
        n, rate, shape = self.cache
        gamma = self.gamma.value.reshape(self.feature_shape)
        input_delta = self._parameter_gradients(delta) * gamma
        along = self.mean(input_delta, n)
        if self.centered:
            input_delta -= self.mean(input_delta)
        input_delta -= n * along
        input_delta *= rate
        return input_delta.reshape(shape)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> Array:
        """Assign dJ/dgamma and dJ/dbeta, and return delta, arranged."""
        n, _, shape = self.cache
        self.check_delta(delta, shape)
        delta = self.arrange(delta)
        self.gamma.grad = self.sum(delta, n)
        if self.beta is not None:
            self.beta.grad = self.sum(delta)
        return delta


@register
class LayerNorm(Normalization):
    """h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon), row by row.

    Mean and variance are taken over the last axis; the variance divides by the number of features.
    This is `torch.nn.LayerNorm(features)`; Keras's epsilon is 1e-3.

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

    equation = "h = gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta"

    @override
    def arrange(self, x: Array) -> Array:
        return np.ascontiguousarray(x).reshape(-1, x.shape[-1])

    # Products and einsum are several times faster than `mean` and `sum` on short rows.

    @override
    def mean(self, x: Array, y: Array | None = None) -> Array:
        size = x.shape[1]
        total: Array = x @ np.ones(size, x.dtype) if y is None else np.einsum("ij,ij->i", x, y)
        mean: Array = total[:, np.newaxis] / size
        return mean

    @override
    def sum(self, x: Array, y: Array | None = None) -> Array:
        return column_sums(x) if y is None else np.einsum("ij,ij->j", x, y)


@register
@options
class RMSNorm(LayerNorm):
    """h = gamma n, with n = x / sqrt(mean(x^2) + epsilon), row by row: LayerNorm without a mean.

    With delta_n = gamma delta, dJ/dx = (delta_n - n mean(n delta_n)) / sqrt(mean(x^2) + epsilon).
    This is `torch.nn.RMSNorm(features)`; Keras's epsilon is 1e-6.

    Raises:
        ValueError: rows that are single numbers.

    Source: Zhang and Sennrich, Root mean square layer normalization, NeurIPS 2019, equation 4.

    >>> layer = RMSNorm()
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[1.0, 7.0], [-3.0, 3.0]])).round(4)
    array([[ 0.2,  1.4],
           [-1. ,  1. ]])
    """

    equation = ""
    centered = False

    epsilon: float | None = option(check_positive, default=None)
    """None, as in PyTorch, is the machine epsilon of x: 1.2e-7 for float32, 2.2e-16 for float64."""

    @override
    def deviation(self, x: Array, training: bool) -> tuple[Array, Array]:
        return x.copy(), self.mean(x, x)


@register
@options
class GroupNorm(Normalization):
    """h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon), group by group.

    The features (channels), the last axis, are cut into groups of neighbors. Mean and variance of a
    row's group are taken over its features and over all axes between, such as height and width.
    This is `torch.nn.GroupNorm(groups, features)` with channels last; Keras's epsilon is 1e-3.

    Raises:
        ValueError: rows that are single numbers, or features that `groups` doesn't divide.

    Source: Wu and He, Group normalization, ECCV 2018, equations 1, 2 and 7.

    >>> layer = GroupNorm(2)
    >>> layer.build((4,), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.array([[1.0, 3.0, 20.0, 10.0]])).round(4)
    array([[-1.,  1.,  1., -1.]])
    """

    groups: int = option(check_int, kw_only=False)
    """Divides the number of features. 1 takes all features of a row together; as many as there are
    features take each alone (instance normalization)."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = super().build(input_shape, rng)
        size, left = divmod(self.gamma.size, self.groups)
        if left:
            raise ValueError(
                f"{self.label} expects features that its {self.groups} groups divide, got "
                f"{self.gamma.size}"
            )
        self.feature_shape = (self.groups, size)
        return output_shape

    @override
    def arrange(self, x: Array) -> Array:
        return np.ascontiguousarray(x).reshape(len(x), -1, *self.feature_shape)

    @override
    def axes(self, x: Array) -> tuple[int, ...]:
        return (1, 3)


@register
@options
class BatchNorm(Normalization):
    """h = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon), feature by feature.

    In training, mean and variance are those of the batch, over all axes but the last. Each batch
    updates the running statistics, which inference uses:

        running <- (1 - momentum) running + momentum * batch

    The variance of n divides by the number of rows N; the running variance is unbiased, it divides
    by N - 1. This is PyTorch's definition (`torch.nn.BatchNorm1d`). Keras's `momentum` is one minus
    this one, its epsilon is 1e-3, and its running variance is biased.

    A batch whose statistics aren't finite doesn't change the running statistics, nor does
    `momentum=0`. A frozen layer (`trainable = False`) uses the running statistics in training, too,
    and doesn't change them, as in Keras. They are constants there:

        dJ/dx = gamma delta / sqrt(running variance + epsilon)

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

    batch_dependent = True
    buffers = ("running_mean", "running_variance")
    momentum: float = option(check_fraction, default=0.1)
    """The weight of a new batch in the running statistics, from 0 to below 1."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = super().build(input_shape, rng)
        shape, label = self.gamma.shape, self.label
        self.running_mean = initialize("zeros", shape, rng, f"the running_mean of {label}")
        self.running_variance = initialize("ones", shape, rng, f"the running_variance of {label}")
        return output_shape

    @property
    def equation(self) -> str:  # type: ignore[override]
        """That of training, with the statistics that it uses."""
        if self.trainable:
            return LayerNorm.equation
        return "h = gamma (x - running_mean) / sqrt(running_variance + epsilon) + beta"

    @property
    def min_batch_size(self) -> int:  # type: ignore[override]
        """2 where each row is one number of a feature, which has no variance alone."""
        single = self.input_shape is not None and size_of(self.input_shape[:-1]) == 1
        return 2 if single and self.trainable else 1

    @override
    def arrange(self, x: Array) -> Array:
        # With the rows last in memory, sums run over long runs, which NumPy adds pairwise.
        return x if x.strides[0] == x.itemsize else np.asarray(x, order="F")

    @override
    def axes(self, x: Array) -> tuple[int, ...]:
        return tuple(range(x.ndim - 1))

    @override
    def deviation(self, x: Array, training: bool) -> tuple[Array, Array]:
        if not training or not self.trainable:
            return x - self.running_mean, self.running_variance
        count = x.size // x.shape[-1]
        if count < 2:
            raise ValueError(
                f"{self.label} expects training batches of at least 2 rows, got 1: choose a "
                "batch_size that leaves no single row over"
            )
        mean = self.mean(x)
        deviation = x - mean
        variance = self.mean(deviation, deviation)
        unbiased = variance.ravel() * (count / (count - 1))
        if np.isfinite(unbiased).all():
            old, new = 1 - self.momentum, self.momentum
            self.running_mean = old * self.running_mean + new * mean.ravel()
            self.running_variance = old * self.running_variance + new * unbiased
        return deviation, variance

    @override
    def backward(self, delta: Array) -> Array:
        _, rate, shape = self.cache
        if rate.ndim > 1:  # of the batch: it has all axes
            return super().backward(delta)
        delta = self._parameter_gradients(delta) * (self.gamma.value * rate)
        return delta.reshape(shape)
