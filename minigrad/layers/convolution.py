"""Convolution: the same small dense layer, applied to every window of an image or a sequence."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape
from minigrad.layers.affine import Affine, as_activation
from minigrad.layers.windows import (
    Padding,
    Size,
    Windows,
    check_axes,
    check_padding,
    check_sizes,
    make_windows,
    per_axis,
)
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_int
from minigrad.util.random import RNG


@options
class Kernel(Affine):
    """The base of layers with a kernel that moves: options, parameters, and both passes.

    The cache holds x only: both passes copy the rows under the kernel, which takes a tenth of the
    time and saves memory of the size of the kernel's height times x.
    """

    axes: ClassVar[int]
    """The number of axes that the kernel moves along."""
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    kernel_size: Size = option(check_sizes, kw_only=False)
    """The kernel's height and width: an int for both, or two ints."""
    strides: Size = option(check_sizes, default=1)
    """How far the kernel moves from one output to the next."""
    padding: Padding = option(check_padding, default="valid")
    """"valid" for none; "same" for the zeros that make the output as large as the input divided by
    the strides, rounded up, with more of them at the end, as in Keras; an int for so many zeros at
    every end, as in PyTorch, or two ints for height and width."""
    dilation_rate: Size = option(check_sizes, default=1)
    """The distance of the inputs under neighboring numbers of the kernel."""
    activation: As[str | Layer | None, Layer | None] = option(as_activation, default=None)
    """See `Dense`."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        lengths, channels = check_axes(self, input_shape, self.axes)
        shape = (*self.output_lengths(lengths), self.output_channels(channels))
        kernel = per_axis(self.kernel_size, self.axes)
        self.weight = self.parameter("weight", (*kernel, *self.matrix_shape(channels)), rng)
        self.bias = self.parameter("bias", shape[-1:], rng) if self.use_bias else None
        self.input_shape = input_shape
        return build_once(self.activation, shape, rng) if self.activation else shape

    def output_channels(self, channels: int) -> int:
        """Return the number of output channels."""
        raise NotImplementedError(f"{self.label} must define output_channels(channels)")

    def matrix_shape(self, channels: int) -> Shape:
        """Return the shape of the weight at one place of the kernel."""
        raise NotImplementedError(f"{self.label} must define matrix_shape(channels)")

    def output_lengths(self, lengths: Shape) -> Shape:
        """Return the lengths of the output's axes without batch and filters."""
        return self.windows(lengths).outputs

    def windows(self, lengths: Shape) -> Windows:
        """Return the windows of an input with these lengths."""
        return make_windows(
            self.label,
            lengths,
            self.kernel_size,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
        )

    def linear(self, windows: Windows, x: Array) -> Array:
        """Return z without the bias."""
        raise NotImplementedError(f"{self.label} must define linear(windows, x)")

    def weight_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        """Return dJ/dW."""
        raise NotImplementedError(f"{self.label} must define weight_gradient(windows, x, delta)")

    def input_delta(self, windows: Windows, delta: Array) -> Array:
        """Return dJ/dx."""
        raise NotImplementedError(f"{self.label} must define input_delta(windows, delta)")

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        windows = self.windows(x.shape[1:-1])
        z = self.linear(windows, x)
        if self.bias is not None:
            z += self.bias.value
        if training:
            self.cache = windows, x, z.shape
        return self.activation.forward(z, training=training) if self.activation else z

    @override
    def backward(self, delta: Array) -> Array:
        return self.input_delta(self.cache[0], self._parameter_gradients(delta))

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> Array:
        """Assign dJ/dW and dJ/db, and return delta = dJ/dz."""
        windows, x, shape = self.cache
        delta = self.delta_z(delta, shape, x.dtype)
        self.weight.grad = self.weight_gradient(windows, x, delta).reshape(self.weight.shape)
        if self.bias is not None:
            self.bias.grad = delta.sum(axis=tuple(range(delta.ndim - 1)))
        return delta


@options
class Convolution(Kernel):
    """The base of convolutions: each filter sums over all channels."""

    filters: int = option(check_int, kw_only=False)
    """The number of output channels, at least 1."""

    @override
    def output_channels(self, channels: int) -> int:
        return self.filters

    @override
    def matrix_shape(self, channels: int) -> Shape:
        return channels, self.filters

    @override
    def linear(self, windows: Windows, x: Array) -> Array:
        return windows.correlate(x, self.weight.value)

    @override
    def weight_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        return windows.weight_gradient(x, delta)

    @override
    def input_delta(self, windows: Windows, delta: Array) -> Array:
        return windows.spread(delta, self.weight.value)


@register
class Conv2D(Convolution):
    r"""z = W * x + b: a kernel W of shape (height, width, channels, filters) at every place of x.

    With stride s, dilation d, and x padded:

        z[u, v, f] = sum over i, j, c of x[s u + d i, s v + d j, c] W[i, j, c, f] + b[f]

    Backward, with delta = dJ/dz, where dJ/dW and dJ/db are also sums over the rows of the batch:

        dJ/dW[i, j, c, f] = sum over u, v of x[s u + d i, s v + d j, c] delta[u, v, f]
        dJ/db[f] = sum over u, v of delta[u, v, f]
        dJ/dx[m, n, c] = sum over u, v, i, j, f of delta[u, v, f] W[i, j, c, f]
        with s u + d i = m and s v + d j = n

    As in Keras and PyTorch this is a cross-correlation: the kernel isn't flipped. PyTorch orders
    the axes of x and W otherwise, and refuses "same" with strides.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an argument out of range; when the layer is built, an input without channels or
            smaller than the kernel.

    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998; Goodfellow
    et al., Deep Learning, 2016, equations 9.7 to 9.13.

    >>> import numpy as np
    >>> layer = Conv2D(1, (1, 2), weight_initializer=np.array([-1.0, 1.0]).reshape(1, 2, 1, 1))
    >>> layer.build((1, 4, 1), np.random.default_rng(0))
    (1, 3, 1)
    >>> layer.forward(np.array([1.0, 4.0, 9.0, 16.0]).reshape(1, 1, 4, 1)).ravel()
    array([3., 5., 7.])
    >>> layer.backward(np.ones((1, 1, 3, 1))).ravel(), layer.weight.grad.ravel()
    (array([-1.,  0.,  0.,  1.]), array([14., 29.]))
    """

    axes = 2


@register
class Conv1D(Convolution):
    r"""z = W * x + b along one axis, such as time; W has the shape (steps, channels, filters).

    Input has the shape (batch, steps, channels), where the number of steps may vary (None). With
    padding="causal", all zeros are at the start: output t depends on inputs up to t only. See
    `Conv2D` for the other options and the equations.

    Source: van den Oord et al., WaveNet, 2016, section 2.1, for causal and dilated convolution.

    >>> import numpy as np
    >>> layer = Conv1D(1, 2, padding="causal", weight_initializer="ones")
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[1.0], [2.0], [3.0]]])).ravel()
    array([1., 3., 5.])
    """

    axes = 1
    paddings = ("valid", "same", "causal")


class ConvolutionTranspose(Convolution):
    """The base of transposed convolutions: forward and backward of a convolution, exchanged."""

    @override
    def matrix_shape(self, channels: int) -> Shape:
        return self.filters, channels

    @override
    def output_lengths(self, lengths: Shape) -> Shape:
        strides = per_axis(self.strides, self.axes)
        if self.padding == "same":
            return tuple(n and n * s for n, s in zip(lengths, strides, strict=True))
        padding = 0 if isinstance(self.padding, str) else self.padding
        sizes = (per_axis(n, self.axes) for n in (self.kernel_size, self.dilation_rate, padding))
        outputs = tuple(
            None if n is None else (n - 1) * s + (k - 1) * d + 1 - 2 * p
            for n, s, k, d, p in zip(lengths, strides, *sizes, strict=True)
        )
        if any(n is not None and n < 1 for n in outputs):
            raise ValueError(
                f"{self.label} expects padding that leaves an output, got {self.padding}, which "
                f"leaves {outputs}: use less"
            )
        return outputs

    @override
    def windows(self, lengths: Shape) -> Windows:
        """Return the windows of the output for an input with these lengths."""
        return super().windows(self.output_lengths(lengths))

    @override
    def linear(self, windows: Windows, x: Array) -> Array:
        return windows.spread(x, self.weight.value)

    @override
    def weight_gradient(self, windows: Windows, x: Array, delta: Array) -> Array:
        return windows.weight_gradient(delta, x)

    @override
    def input_delta(self, windows: Windows, delta: Array) -> Array:
        return windows.correlate(delta, self.weight.value)


@register
class Conv2DTranspose(ConvolutionTranspose):
    r"""z as dJ/dx of a `Conv2D`: each input adds its multiple of the kernel to the output.

    W has the shape (height, width, filters, channels). With stride s and dilation d:

        z[m, n, f] = b[f] + sum of x[u, v, c] W[i, j, f, c]
        over u, v, i, j, c with s u + d i = m and s v + d j = n

    `padding` is that of the `Conv2D`: "same" multiplies height and width by the stride; an int
    removes so many numbers at every end. Backward is the forward pass of the `Conv2D`:

        dJ/dx[u, v, c] = sum over i, j, f of delta[s u + d i, s v + d j, f] W[i, j, f, c]

    Equals `torch.nn.ConvTranspose2d`; Keras's "valid" output is longer if strides are longer than
    the kernel. See `Conv2D` for the options.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, chapter
    4.

    >>> import numpy as np
    >>> layer = Conv2DTranspose(1, (1, 2), strides=2, weight_initializer="ones")
    >>> layer.build((1, 2, 1), np.random.default_rng(0))
    (1, 4, 1)
    >>> layer.forward(np.array([3.0, 5.0]).reshape(1, 1, 2, 1)).ravel()
    array([3., 3., 5., 5.])
    """

    axes = 2


@register
class Conv1DTranspose(ConvolutionTranspose):
    r"""z as dJ/dx of a `Conv1D`; W has the shape (steps, filters, channels).

    The number of steps may vary (None). See `Conv2DTranspose` for the equations and the options.

    >>> import numpy as np
    >>> layer = Conv1DTranspose(1, 2, strides=2, weight_initializer="ones")
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[3.0], [5.0]]])).ravel()
    array([3., 3., 5., 5.])
    """

    axes = 1
