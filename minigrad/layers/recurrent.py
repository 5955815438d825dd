"""Recurrent layers: a state is passed on from time step to time step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, describe, features, size_of
from minigrad.initializers import InitializerLike, check_initializer
from minigrad.layers.branches import MergeName, Parallel
from minigrad.layers.masks import RealSteps, check_mask_shape, real_steps, shapes_of
from minigrad.layers.weighted import new_parameter
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool, check_fraction, check_int
from minigrad.util.random import RNG

RecurrentState: TypeAlias = Array | tuple[Array, ...]

_SEQUENCES = (
    ": for one feature a step, pass x[:, :, np.newaxis]; a recurrent layer before this one needs "
    "return_sequences=True"
)


@options
class Recurrent(Layer):
    """The base of recurrent layers: z_t = x_t W + h_(t-1) U + b, and h_t is computed from z_t.

    `weight` W has shape (features, gates * units), `recurrent_weight` U (units, gates * units), and
    `bias` b (gates * units,). Rows have the shape (time, features), where the time may be None: a
    length that varies from batch to batch. In each batch the state starts at zero, or with
    `initial_state` at the last input.

    A mask as the second input, with rows of shape (time,), is 1 for real steps and 0 for padding,
    where the state stays as it is: h_t = h_(t-1). The last output is that of the last real step.
    With several inputs, `backward` returns a delta for each, None for the mask.

    In training, `dropout` sets features of x_t to 0 before W, and `recurrent_dropout` units of
    h_(t-1) before U; the others are divided by 1 - rate. Each row draws its own, once for all steps
    and gates (Gal and Ghahramani, NeurIPS 2016).

    Backward through time, from the last step to the first, with delta_t = dJ/dz_t, which a subclass
    computes from dJ/dh_t:

        dJ/dh_(t-1) = delta_t U^T + the delta of the output h_(t-1)
        dJ/dx_t = delta_t W^T
        dJ/dW = sum over t of x_t^T delta_t
        dJ/dU = sum over t of h_(t-1)^T delta_t
        dJ/db = sum over t and rows of delta_t

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown name; rows that aren't (time, features); a sequence without a step.

    Source: Werbos, Backpropagation through time, Proceedings of the IEEE 78, 1990.
    """

    gates: ClassVar[int] = 1
    """The number of blocks of `units` columns in W, U and b."""
    states: ClassVar[tuple[str, ...]] = ("h",)
    """What each step passes to the next; h, the output, comes first."""
    kept: ClassVar[int] = 1
    """How many numbers the cache holds for each unit and step."""
    restores_order = False
    """Whether the steps run backwards and the outputs are in the order of time."""

    stepwise = True
    units: int = option(check_int, kw_only=False)
    """The length of h, at least 1."""
    return_sequences: bool = option(check_bool, default=False)
    """True returns h of all steps, (time, units), False of the last step."""
    go_backwards: bool = option(check_bool, default=False)
    """True reads the sequence from its end; as in Keras, the outputs are in the order in which they
    are computed."""
    dropout: float = option(check_fraction, default=0.0)
    """The fraction of the features of x_t to drop in training, from 0 to below 1."""
    recurrent_dropout: float = option(check_fraction, default=0.0)
    """The same for the units of h_(t-1) before U."""
    return_state: bool = option(check_bool, default=False)
    """True returns all that a step passes on in place of h: [h, c] side by side for an `LSTM`."""
    initial_state: bool = option(check_bool, default=False)
    """True takes the first state as the last input, in the form that `return_state` gives."""
    use_bias: bool = option(check_bool, default=True)
    """False leaves b out."""
    weight_initializer: InitializerLike = option(check_initializer, default="glorot_uniform")
    """A name, an `Initializer`, or an array of the shape."""
    recurrent_initializer: InitializerLike = option(check_initializer, default="orthogonal")
    """The same for U."""
    bias_initializer: InitializerLike = option(check_initializer, default="zeros")
    """The same for b."""
    weight_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """A term added to the loss, such as `L2(1e-4)`."""
    recurrent_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """The same for U."""
    bias_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """The same for b."""

    @override
    def __post_init__(self) -> None:
        self.stochastic = self.dropout > 0 or self.recurrent_dropout > 0

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.rng = rng
        input_shape, *others = shapes_of(input_shape)
        if len(input_shape) != 2:
            raise ValueError(
                f"{self.label} expects input of shape (batch, time, features), got rows of shape "
                f"{input_shape}{_SEQUENCES if len(input_shape) == 1 else ''}"
            )
        mask, start = self._others(others)
        if mask is not None:
            check_mask_shape(mask, input_shape[0], self.label)
        if start not in (None, (self._size,)):
            raise ValueError(
                f"{self.label} expects a first state with rows of shape ({self._size},), got "
                f"{start}"
            )
        columns = self.gates * self.units
        self.weight = self._parameter("weight", (features(input_shape, self.label), columns), rng)
        self.recurrent_weight = self._parameter("recurrent_weight", (self.units, columns), rng)
        self.bias = self._parameter("bias", (columns,), rng) if self.use_bias else None
        width = self._size if self.return_state else self.units
        return (input_shape[0], width) if self.return_sequences else (width,)

    @property
    def _size(self) -> int:
        """The length of the state: of h, or of [h, c]."""
        return len(self.states) * self.units

    def _others(self, others: Sequence[Any]) -> tuple[Any, Any]:
        """Return what was given for the mask and for the first state, or None."""
        if self.initial_state > len(others) or len(others) > 1 + self.initial_state:
            names = "x, a mask and the first state" if self.initial_state else "x and a mask"
            raise TypeError(
                f"{self.label} expects {names}, got {1 + len(others)} inputs: only the mask may be "
                "left out, and only with initial_state=True is there a first state"
            )
        start = others[-1] if self.initial_state else None
        mask = others[0] if len(others) > self.initial_state else None
        return mask, start

    def _parameter(self, name: str, shape: Shape, rng: RNG) -> Parameter:
        option = name.removesuffix("_weight")  # of recurrent_weight
        initializer = getattr(self, f"{option}_initializer")
        regularizer = getattr(self, f"{option}_regularizer")
        return new_parameter(self, name, shape, rng, initializer, regularizer)

    def matrix(self) -> Array:
        """Return [U; W; b], by which a step multiplies [h_(t-1), x_t, 1]."""
        weight, recurrent_weight = self.weight.value, self.recurrent_weight.value
        bias = np.zeros_like(weight[0]) if self.bias is None else self.bias.value
        return np.concatenate([recurrent_weight, weight, bias[np.newaxis]])

    def assign_gradients(self, inputs: Array, delta: Array) -> None:
        """Assign dJ/dU, dJ/dW and dJ/db, the sums over steps and rows."""
        gradient = np.tensordot(inputs, delta, axes=((0, 2), (0, 2)))
        self.recurrent_weight.grad = gradient[: self.units]
        self.weight.grad = gradient[self.units : -1]
        if self.bias is not None:
            self.bias.grad = gradient[-1]

    def forward_steps(
        self, inputs: Array, states: list[Array], factor: Array | None
    ) -> tuple[Array, ...]:
        """Compute each state[t + 1] from inputs[t] and state[t], and return what backward needs.

        The batch is the last axis, which makes each gate contiguous: inputs[t] is [h_(t-1), x_t, 1]
        of shape (units + features + 1, batch), and state[t] has the shape (units, batch). The first
        state, h, is a view of `inputs`. Dropout multiplies inputs[t] by a factor.
        """
        raise NotImplementedError(f"{self.label} must define forward_steps(inputs, states, factor)")

    def backward_steps(
        self,
        deltas: list[Array],
        states: list[Array],
        kept: tuple[Array, ...],
        factor: Array | None,
    ) -> Array:
        """Return delta_t of all steps, (time, gates * units, batch), to which a GRU adds delta_k.

        `deltas` has an array for each state: delta_h[t] is the delta of the output h[t], and step
        t + 1 adds its own part of dJ/dh[t] to it. The factor is that of h[t].
        """
        raise NotImplementedError(
            f"{self.label} must define backward_steps(deltas, states, kept, factor)"
        )

    @override
    def check_input(self, x: Array, input_shape: Shape | None = None) -> None:
        if x.ndim == 2 and input_shape is not None and len(input_shape) == 2:
            raise ValueError(
                f"{self.label} expects input of shape {describe(input_shape)}, got {x.shape}: pass "
                "x[np.newaxis] for one sequence, or x[:, :, np.newaxis] for one feature a step"
            )
        super().check_input(x, input_shape)
        if 0 in x.shape[1:]:
            raise ValueError(f"{self.label} expects at least 1 time step, got input {x.shape}")

    @override
    def forward(self, x: Array, *others: Array, training: bool = True) -> Array:
        mask, start = self._others(others)
        time = self._input_shape[0]
        self.check_input(x, (time, len(self.weight.value)))
        real = None if mask is None else self._real_steps(mask, x)
        factor = self._draw(*x.shape[::2]) if training and self.stochastic else None
        inputs, states, kept = self._run(x, self._parts(start, len(x)), real, factor)
        if training:
            self.cache = inputs, states, kept, factor, real
        returned = states if self.return_state else states[:1]
        if real is not None:
            returned = [real.held(state) for state in returned]
        state = returned[0] if len(returned) == 1 else np.concatenate(returned, axis=1)
        if self.return_sequences:
            return _rows_first(state[1:], backwards=self.restores_order)
        last: Array = state[-1].T.copy()
        return last

    def _parts(self, start: Array | None, rows: int) -> list[Array] | None:
        """Return h, and c, of a first state."""
        if start is None:
            return None
        if start.shape != (rows, self._size):
            raise ValueError(
                f"{self.label} expects a first state of shape {(rows, self._size)}, got "
                f"{start.shape}"
            )
        return np.split(start, len(self.states), axis=1)

    def _real_steps(self, mask: Array, x: Array) -> RealSteps:
        real = real_steps(mask, x, self.label)
        return RealSteps((real[:, ::-1] if self.go_backwards else real).T)

    def _draw(self, rows: int, width: int) -> Array:
        """Return the factors of [h_(t-1), x_t, 1]: 0, or 1 / (1 - rate)."""
        sizes, rates = (self.units, width, 1), (self.recurrent_dropout, self.dropout, 0.0)
        parts = [
            (self.rng.random((size, rows)) >= rate) / (1 - rate) if rate else np.ones((size, rows))
            for size, rate in zip(sizes, rates, strict=True)
        ]
        return np.concatenate(parts).astype(self.weight.value.dtype)

    def _run(
        self,
        x: Array,
        start: Sequence[Array] | None = None,
        real: RealSteps | None = None,
        factor: Array | None = None,
    ) -> tuple[Array, list[Array], tuple[Array, ...]]:
        """Run the steps, or the real ones, from a state, zero by default."""
        rows, steps, width = x.shape
        dtype = self.weight.value.dtype
        inputs = np.ones((steps + 1, self.units + width + 1, rows), dtype)
        x = _steps_first(x, backwards=self.go_backwards)
        inputs[:-1, self.units : -1] = x if real is None else real.moved(x)
        h = inputs[:, : self.units]
        states = [h, *(np.empty(h.shape, dtype) for _ in self.states[1:])]
        for index, state in enumerate(states):
            state[0] = start[index].T if start else 0.0
        return inputs, states, self.forward_steps(inputs, states, factor)

    def step(self, x: Array, state: RecurrentState | None = None) -> tuple[Array, RecurrentState]:
        """Return h for one time step, and the state for the next call; nothing else changes.

        Args:
            x: of shape (batch, features).
            state: what the last call returned; None before the first step.

        Raises:
            ValueError: x or the state has another shape.

        >>> layer = SimpleRNN(1, weight_initializer="ones", recurrent_initializer="ones")
        >>> layer.build((None, 1), np.random.default_rng(0))
        (1,)
        >>> h, state = layer.step(np.array([[0.5]]))
        >>> h, state = layer.step(np.array([[0.5]]), state)
        >>> h.round(4), layer.forward(np.array([[[0.5], [0.5]]])).round(4)
        (array([[0.7452]]), array([[0.7452]]))
        """
        self.check_input(x, (len(self.weight.value),))
        start = state if isinstance(state, tuple) or state is None else (state,)
        expected = [(len(x), self.units)] * len(self.states)
        if start is not None and (got := [np.shape(part) for part in start]) != expected:
            names = ", ".join(self.states)
            raise ValueError(
                f"{self.label} expects a state {names} of shape {expected[0]}, got {got}: pass the "
                "state that the last step returned, or None before the first"
            )
        _, states, _ = self._run(x[:, np.newaxis], start)
        h, *others = (state[1].T.copy() for state in states)
        return h.copy(), (h, *others) if others else h

    @override
    @np.errstate(over="ignore", invalid="ignore")  # deltas may explode on the way back in time
    def backward(self, delta: Array) -> Any:
        weight, (*_, factor, real) = self.weight.value, self.cache
        delta_z, start_delta = self._parameter_gradients(delta)
        delta_z = delta_z[:, : weight.shape[1]]  # without a GRU's delta_k
        input_delta = np.matmul(weight, delta_z)
        if factor is not None:
            input_delta *= factor[self.units : -1]
        if real is not None:
            input_delta = real.back(input_delta)
        delta_x = _rows_first(input_delta, backwards=self.go_backwards)
        others = [*([] if real is None else [None]), *([start_delta] if self.initial_state else [])]
        return (delta_x, *others) if others else delta_x

    @override
    @np.errstate(over="ignore", invalid="ignore")
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> tuple[Array, Array]:
        """Assign dJ/dW, dJ/dU and dJ/db; return delta_t of all steps, and of the first state."""
        inputs, states, kept, factor, real = self.cache
        steps, rows = len(inputs) - 1, inputs.shape[2]
        width = self._size if self.return_state else self.units
        of_state = np.zeros((steps + 1, self._size, rows), inputs.dtype)
        if self.return_sequences:
            self.check_delta(delta, (rows, steps, width))
            of_state[1:, :width] = _steps_first(delta, backwards=self.restores_order)
        else:
            self.check_delta(delta, (rows, width))
            of_state[-1, :width] = delta.T
        if real is not None:
            of_state = real.gathered(of_state)
        of_h = None if factor is None else factor[: self.units]
        deltas = np.split(of_state, len(states), axis=1)  # views: the steps add to them
        delta_z = self.backward_steps(deltas, states, kept, of_h)
        self.assign_gradients(dropped(inputs[:-1], factor), delta_z)
        return delta_z, of_state[0].T.copy()

    @property
    def _input_shape(self) -> Shape:
        """The shape of a row of x, without those of other inputs."""
        return shapes_of(self.input_shape)[0] or (None, 0)

    @property
    @override
    def stored(self) -> int:
        time, width = self._input_shape
        return size_of((time, width + 1 + self.kept * self.units))


def dropped(x: Array, factor: Array | None) -> Array:
    """Return x after dropout by a factor, if there is one."""
    return x if factor is None else x * factor


def _steps_first(rows: Array, *, backwards: bool) -> Array:
    """Turn (batch, time, features) into (time, features, batch), in the order of the steps."""
    return (rows[:, ::-1] if backwards else rows).transpose(1, 2, 0)


def _rows_first(steps: Array, *, backwards: bool) -> Array:
    """Undo `_steps_first`, in a new array."""
    return (steps[::-1] if backwards else steps).transpose(2, 0, 1).copy()


@register
class SimpleRNN(Recurrent):
    """h_t = tanh(x_t W + h_(t-1) U + b), with h_0 = 0.

    Backward, with delta_t = dJ/dz_t, from the last step to the first:

        delta_t = dJ/dh_t (1 - h_t^2)
        dJ/dh_(t-1) = delta_t U^T + the delta of the output h_(t-1)

    Each step back multiplies delta by U^T and by a slope of at most 1, so that over many steps it
    vanishes or explodes: use a `GRU` or an `LSTM` for long sequences.

    This is `torch.nn.RNN`, whose two biases add up to b. `Recurrent` has the options, and dJ/dW,
    dJ/dU, dJ/db and dJ/dx.

    Source: Elman, Finding structure in time, Cognitive Science 14, 1990.

    >>> layer = SimpleRNN(1, weight_initializer="ones", recurrent_initializer="ones")
    >>> layer.build((None, 1), np.random.default_rng(0))
    (1,)
    >>> layer.forward(np.array([[[0.5], [0.5]]])).round(4)  # tanh(0.5 + tanh(0.5))
    array([[0.7452]])
    """

    @override
    def forward_steps(
        self, inputs: Array, states: list[Array], factor: Array | None
    ) -> tuple[Array, ...]:
        matrix, (h,) = self.matrix().T, states
        for t in range(len(h) - 1):
            z = np.matmul(matrix, dropped(inputs[t], factor), out=h[t + 1])
            np.tanh(z, out=z)
        return ()

    @override
    def backward_steps(
        self,
        deltas: list[Array],
        states: list[Array],
        kept: tuple[Array, ...],
        factor: Array | None,
    ) -> Array:
        (delta_h,), (h,) = deltas, states
        weight = self.recurrent_weight.value
        delta = 1 - h[1:] * h[1:]
        for t in reversed(range(len(delta))):
            delta[t] *= delta_h[t + 1]
            delta_h[t] += dropped(np.dot(weight, delta[t]), factor)
        return delta


@register
class Bidirectional(Parallel):
    """Two recurrent layers side by side, of which one reads the sequence backwards.

    With `return_sequences`, the outputs of both are in the order of time. Without, they are the
    last ones of both: of the end of the sequence forwards, of its start backwards. Each has its
    own parameters. With merge="concat" this is PyTorch's `bidirectional=True`.

    Args:
        layer: the forward layer; a second one is made from its options, with `go_backwards`.
        merge: "concat", "add" or "mean"; see `Parallel`.
        name: see `Layer`.

    A mask as the second input goes to both.

    Raises:
        TypeError: `layer` isn't a recurrent layer.
        ValueError: `layer` goes backwards, or an unknown `merge`.

    Source: Schuster and Paliwal, Bidirectional recurrent neural networks, IEEE Transactions on
    Signal Processing 45, 1997.

    >>> layer = Bidirectional(SimpleRNN(3, return_sequences=True))
    >>> layer.build((5, 2), np.random.default_rng(0))
    (5, 6)
    """

    def __init__(self, layer: Recurrent, *, merge: MergeName = "concat", name: str = "") -> None:
        if not isinstance(layer, Recurrent):
            raise TypeError(
                f"Bidirectional expects a recurrent layer, such as LSTM(8), got {layer!r}"
            )
        if layer.go_backwards:
            raise ValueError(
                f"Bidirectional expects a layer that goes forwards, got {layer!r}: leave out "
                "go_backwards, which the second layer has"
            )
        if layer.initial_state:
            raise ValueError(
                f"Bidirectional starts both layers at zero, got {layer!r}: leave out initial_state"
            )
        layer.name = layer.name or "forward"
        options = {**layer.get_config(), "go_backwards": True, "name": "backward"}
        second = type(layer)(**options)
        second.restores_order = True
        super().__init__([layer, second], merge=merge, name=name)

    @property
    def layer(self) -> Layer:
        """The layer that goes forwards."""
        return self.layers[0]

    @override
    def forward(self, x: Array, mask: Array | None = None, *, training: bool = True) -> Array:
        return self.run(x, *(() if mask is None else (mask,)), training=training)

    @override
    def backward(self, delta: Array) -> Any:
        deltas = [n.backward(part) for n, part in zip(self.layers, self._parts(delta), strict=True)]
        if isinstance(deltas[0], tuple):  # with a mask
            return deltas[0][0] + deltas[1][0], None
        return deltas[0] + deltas[1]
