"""Depthwise convolution: each channel has kernels of its own; and separable convolution."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers.base import InitializerLike, check_initializer
from minigrad.layers.convolution import Kernel
from minigrad.layers.weighted import new_parameter
from minigrad.layers.windows import Windows, make_windows
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_int
from minigrad.util.random import RNG


@options
class Depthwise(Kernel):
    """The base of layers with kernels for each channel, of shape (*kernel, channels, multiplier).

    The products of one place of the kernel are those of whole arrays in the order of `Windows`,
    (width, channels, height, batch), with an axis for the multiplier after the channels.
    """

    axes = 2
    depth_multiplier: int = option(check_int, default=1)
    """How many kernels each channel has, at least 1."""

    @override
    def matrix_shape(self, channels: int) -> Shape:
        return channels, self.depth_multiplier

    def by_channel(self, windows: Windows, x: Array) -> Array:
        """Return the output channels, those of one input channel side by side."""
        z = None
        for view, factors in zip(windows.views(windows.pad(x)), self._factors(), strict=True):
            product = view[:, :, np.newaxis] * factors
            z = product if z is None else z + product
        assert z is not None
        return windows.restored(z.reshape(z.shape[0], -1, *z.shape[3:]))

    def kernel_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        """Return dJ/dW for delta = dJ/dz of `by_channel`."""
        delta = self._by_multiplier(windows, delta)
        views = windows.views(windows.pad(x))
        return np.stack([np.einsum("wchb,wcmhb->cm", view, delta) for view in views])

    def spread(self, windows: Windows, delta: Array) -> Array:
        """Return dJ/dx for delta = dJ/dz of `by_channel`."""
        delta = self._by_multiplier(windows, delta)
        lengths = [n + sum(ends) for n, ends in zip(windows.lengths, windows.pads, strict=True)]
        shape = lengths[1], delta.shape[1], lengths[0], delta.shape[-1]
        padded = np.zeros(shape, delta.dtype)
        for view, factors in zip(windows.views(padded), self._factors(), strict=True):
            view += (delta * factors).sum(axis=2)
        return windows.crop(padded)

    def _factors(self) -> Array:
        """Return the weights of each place of the kernel, for (channels, multiplier, 1, 1)."""
        weight: Array = self.weight.value
        return weight.reshape(-1, *weight.shape[2:], 1, 1)

    def _by_multiplier(self, windows: Windows, delta: Array) -> Array:
        """Return delta in the order of computation, with an axis for the multiplier."""
        delta = windows.transposed(delta)
        return delta.reshape(len(delta), -1, self.depth_multiplier, *delta.shape[2:])


@register
@options
class DepthwiseConv2D(Depthwise):
    r"""z = W * x + b for each channel alone: W has the shape (height, width, channels, multiplier).

    With stride s, dilation d, x padded, and output channel k of channel c at the place c m + k for
    a multiplier m:

        z[u, v, c m + k] = sum over i, j of x[s u + d i, s v + d j, c] W[i, j, c, k] + b[c m + k]

    Backward, with delta = dJ/dz, and sums over the rows of the batch for dJ/dW and dJ/db:

        dJ/dW[i, j, c, k] = sum over u, v of x[s u + d i, s v + d j, c] delta[u, v, c m + k]
        dJ/dx[p, q, c] = sum over u, v, i, j, k of delta[u, v, c m + k] W[i, j, c, k]
        with s u + d i = p and s v + d j = q

    Equals `torch.nn.Conv2d` with as many groups as channels. See `Conv2D` for the other options.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an argument out of range; when the layer is built, an input without channels or
            smaller than the kernel.

    Source: Howard et al., MobileNets, 2017, section 3.1.

    >>> layer = DepthwiseConv2D((1, 2), weight_initializer="ones")
    >>> layer.build((1, 3, 2), np.random.default_rng(0))
    (1, 2, 2)
    >>> layer.forward(np.array([1.0, 10.0, 2.0, 20.0, 3.0, 30.0]).reshape(1, 1, 3, 2))
    array([[[[ 3., 30.],
             [ 5., 50.]]]])
    """

    @override
    def output_channels(self, channels: int) -> int:
        return channels * self.depth_multiplier

    @override
    def linear(self, windows: Windows, x: Array) -> Array:
        return self.by_channel(windows, x)

    @override
    def weight_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        return self.kernel_gradient(windows, x, delta)

    @override
    def input_delta(self, windows: Windows, delta: Array) -> Array:
        return self.spread(windows, delta)


@register
@options
class SeparableConv2D(Depthwise):
    r"""z = P h + b with h = W * x by channel: a `DepthwiseConv2D`, and a `Conv2D` of one pixel.

    W has the shape (height, width, channels, multiplier), and P, which mixes the channels,
    (channels multiplier, filters). With c for the channels of h:

        z[u, v, f] = sum over c of h[u, v, c] P[c, f] + b[f]
        dJ/dP[c, f] = sum over u, v of h[u, v, c] delta[u, v, f]
        dJ/dh[u, v, c] = sum over f of delta[u, v, f] P[c, f]

    Backward computes h again, which saves its memory. See `Conv2D` for the other options.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an argument out of range; when the layer is built, an input without channels or
            smaller than the kernel.

    Source: Chollet, Xception, CVPR 2017, section 1.

    >>> layer = SeparableConv2D(4, 3)
    >>> layer.build((5, 5, 2), np.random.default_rng(0))
    (3, 3, 4)
    >>> layer.weight.shape, layer.pointwise_weight.shape
    ((3, 3, 2, 1), (2, 4))
    """

    filters: int = option(check_int, kw_only=False)
    """The number of output channels, at least 1."""
    pointwise_initializer: InitializerLike = option(check_initializer, default="glorot_uniform")
    """Of P: a name, an `Initializer`, or an array of the shape."""
    pointwise_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """The same for P as `weight_regularizer` for W."""

    @override
    def output_channels(self, channels: int) -> int:
        return self.filters

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = super().build(input_shape, rng)
        self.pointwise_weight: Parameter = new_parameter(
            self,
            "pointwise_weight",
            (int(input_shape[-1]) * self.depth_multiplier, self.filters),
            rng,
            self.pointwise_initializer,
            self.pointwise_regularizer,
        )
        return shape

    @property
    def _pixel(self) -> Array:
        """P as the weight of a kernel of one pixel."""
        return self.pointwise_weight.value[np.newaxis, np.newaxis]

    @override
    def linear(self, windows: Windows, x: Array) -> Array:
        return self._pixels(windows).correlate(self.by_channel(windows, x), self._pixel)

    @override
    def weight_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        h, pixels = self.by_channel(windows, x), self._pixels(windows)
        shape = self.pointwise_weight.shape
        self.pointwise_weight.grad = pixels.weight_gradient(h, delta).reshape(shape)
        return self.kernel_gradient(windows, x, pixels.spread(delta, self._pixel))

    @override
    def input_delta(self, windows: Windows, delta: Array) -> Array:
        return self.spread(windows, self._pixels(windows).spread(delta, self._pixel))

    def _pixels(self, windows: Windows) -> Windows:
        """Return windows of one pixel over h."""
        return make_windows(self.label, windows.outputs, 1)
