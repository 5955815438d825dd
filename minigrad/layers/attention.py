"""Attention: the output at each position is a weighted mean over the positions of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, column_sums, features, fits, size_of
from minigrad.initializers import InitializerLike, check_initializer
from minigrad.layers.masks import as_mask, shapes_of
from minigrad.layers.weighted import new_parameter
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool, check_fraction, check_int
from minigrad.util.random import RNG

_ROLES = ("query", "value", "mask")


@register
@options
class MultiHeadAttention(Layer):
    r"""Scaled dot-product attention: each query position attends to the positions of the value.

    `weight` (features, 3 num_heads width) and `bias` project the query to q, and the value to k
    and v. Each head has `width` columns of q, k and v for itself. This is `key_dim`, by default
    features / num_heads:

        s_ji = k_j q_i / sqrt(width)
        a_ji = exp(s_ji) / (sum over j of exp(s_ji))
        m_i  = sum over j of a_ji v_j
        h    = m W + b

    s_ji is the score of key j for query i, and the sums run over the keys that query i attends to.
    W is `output_weight`, and b `output_bias`.

    Backward, with delta = dJ/dh and delta_m = delta W^T, in each head:

        dJ/dv_j  = sum over i of a_ji delta_m_i
        dJ/ds_ji = a_ji (v_j delta_m_i - m_i delta_m_i)
        dJ/dq_i  = sum over j of dJ/ds_ji k_j / sqrt(width), and dJ/dk_j in the same way

    The inputs are query; query and value; query and mask; or query, value and mask. Query and value
    have rows of shape (positions, features). A query alone is its own value: self-attention. The
    mask is 1 where a query attends and 0 elsewhere, in rows of shape (value positions,), or beside
    a value also (query positions, value positions). A query that attends to nothing gets m = 0. For
    several inputs `backward` returns a tuple, with None for the mask.

    In training, `dropout` sets each a_ji to 0 with this probability, and divides the others by
    1 - dropout.

    This is `torch.nn.MultiheadAttention(features, num_heads, batch_first=True)` with its weights
    transposed. PyTorch's boolean masks are the opposite, True where a query doesn't attend.

    Raises:
        ValueError: rows that aren't (positions, features), a value with other features than the
            query, or a mask that doesn't fit the two.

    Source: Vaswani et al., Attention is all you need, 2017, section 3.2.

    >>> layer = MultiHeadAttention(2, causal=True)
    >>> layer.build((3, 4), np.random.default_rng(0))
    (3, 4)
    >>> layer.attention_weights(np.zeros((1, 3, 4)))[0, 0].round(2)
    array([[1.  , 0.  , 0.  ],
           [0.5 , 0.5 , 0.  ],
           [0.33, 0.33, 0.33]])
    """

    num_heads: int = option(check_int, kw_only=False)
    """The number of heads; without `key_dim` it divides the number of features."""
    key_dim: int | None = option(check_int, default=None, kw_only=False)
    """The width of a head, at least 1; by default features / num_heads."""
    dropout: float = option(check_fraction, default=0.0)
    """The fraction of the attention weights to drop in training, from 0 to below 1."""
    causal: bool = option(check_bool, default=False)
    """True lets position i of the query attend to positions 0 to i only."""
    use_bias: bool = option(check_bool, default=True)
    """False leaves `bias` and `output_bias` out."""
    weight_initializer: InitializerLike = option(check_initializer, default="glorot_uniform")
    """A name or an `Initializer`, for both projections."""
    bias_initializer: InitializerLike = option(check_initializer, default="zeros")
    """The same for both biases."""

    @override
    def __post_init__(self) -> None:
        self.stochastic = self.dropout > 0

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self._shapes = shapes_of(input_shape)
        size = self._check_shapes()
        self.rng = rng
        self.width = size // self.num_heads if self.key_dim is None else self.key_dim
        inner = self.num_heads * self.width

        def parameter(name: str, shape: Shape) -> Parameter:
            source = self.weight_initializer if len(shape) == 2 else self.bias_initializer
            return new_parameter(self, name, shape, rng, source)

        self.weight = parameter("weight", (size, 3 * inner))
        self.bias = parameter("bias", (3 * inner,)) if self.use_bias else None
        self.output_weight = parameter("output_weight", (inner, size))
        self.output_bias = parameter("output_bias", (size,)) if self.use_bias else None
        return self._shapes[0]

    @override
    def forward(
        self,
        query: Array,
        value: Array | None = None,
        mask: Array | None = None,
        *,
        training: bool = True,
    ) -> Array:
        inputs, projected, (q, k, v), a = self._attend(query, value, mask)
        factor = self._draw(a) if training and self.dropout else None
        kept = a if factor is None else a * factor
        rows, heads, _, width = v.shape
        mixed = np.empty((rows, query.shape[1], heads, width), v.dtype)
        np.matmul(kept.swapaxes(-1, -2), v, out=mixed.swapaxes(1, 2))
        h: Array = np.dot(mixed.reshape(-1, heads * width), self.output_weight.value)
        if self.output_bias is not None:
            h += self.output_bias.value
        if training:
            self.cache = inputs, projected, (q, k, v), (a, factor), mixed
        return h.reshape(query.shape)

    def _draw(self, a: Array) -> Array:
        """Return the factors of dropout: 0, or 1 / (1 - dropout)."""
        factor = (self.rng.random(a.shape) >= self.dropout).astype(a.dtype)
        factor /= 1 - self.dropout
        return factor

    def _attend(self, query: Array, value: Array | None, mask: Array | None) -> Any:
        """Return the inputs, their projections, these by head, and the weights a by key and query.

        With the keys first, the softmax runs over whole rows of the array, which is fast.
        """
        inputs, attends = self.attended(query, value, mask)
        projected: list[Array] = []
        weight = self._scaled(self.weight.value)
        bias = None if self.bias is None else self._scaled(self.bias.value)
        for x, columns in zip(inputs, self._columns(inputs), strict=True):
            z: Array = np.dot(x.reshape(-1, x.shape[-1]), weight[:, columns])
            if bias is not None:
                z += bias[columns]
            projected.append(z)
        q, k, v = self._heads(inputs, projected)
        a: Array = k @ q.swapaxes(-1, -2)
        if attends is not None:
            a += np.where(attends, a.dtype.type(0), a.dtype.type(-np.inf))
        with np.errstate(under="ignore"):
            a -= np.maximum.reduce(a, axis=-2, keepdims=True, initial=np.finfo(a.dtype).min)
            np.exp(a, out=a)
            total = np.ones((1, a.shape[-2]), a.dtype) @ a
            a *= 1 / np.maximum(total, 1)  # the largest is 1, unless a query attends to nothing
        return inputs, projected, (q, k, v), a

    @override
    def backward(self, delta: Array) -> Any:
        deltas = self._parameter_gradients(delta)
        inputs, weight = self.cache[0], self._scaled(self.weight.value)
        back: list[Array | None] = [
            np.dot(dz, weight[:, columns].T).reshape(x.shape)
            for dz, columns, x in zip(deltas, self._columns(inputs), inputs, strict=True)
        ]
        if "mask" in self._roles:
            back.append(None)
        return tuple(back) if len(back) > 1 else back[0]

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> list[Array]:
        """Assign the parameters' gradients, and return dJ/dz for each input's projection z."""
        inputs, projected, (q, k, v), (a, factor), mixed = self.cache
        self.check_delta(delta, inputs[0].shape)
        size, width = delta.shape[-1], self.width
        delta = delta.reshape(-1, size)
        self.output_weight.grad = np.dot(mixed.reshape(len(delta), -1).T, delta)
        if self.output_bias is not None:
            self.output_bias.grad = column_sums(delta)
        delta = np.dot(delta, self.output_weight.value.T).reshape(mixed.shape)
        along = np.dot((mixed * delta).reshape(-1, width), np.ones(width, delta.dtype))
        along = along.reshape(mixed.shape[:3]).swapaxes(1, 2)[:, :, np.newaxis].copy()
        delta = delta.swapaxes(1, 2)

        deltas = [np.empty_like(z) for z in projected]
        dq, dk, dv = self._heads(inputs, deltas)
        np.matmul(a if factor is None else a * factor, delta, out=dv)
        ds: Array = v @ delta.swapaxes(-1, -2)
        if factor is not None:
            ds *= factor
        ds -= along
        ds *= a
        np.matmul(ds, q, out=dk)
        np.matmul(ds.swapaxes(-1, -2), k, out=dq)

        pairs = zip(inputs, deltas, strict=True)
        products = [np.dot(x.reshape(-1, size).T, dz) for x, dz in pairs]
        self.weight.grad = self._scaled(np.concatenate(products, axis=-1))
        if self.bias is not None:
            self.bias.grad = self._scaled(np.concatenate([column_sums(dz) for dz in deltas]))
        return deltas

    def attention_weights(
        self, query: Array, value: Array | None = None, mask: Array | None = None
    ) -> Array:
        """Return a, of shape (batch, heads, query positions, value positions)."""
        a: Array = self._attend(query, value, mask)[-1]
        return a.swapaxes(-1, -2)

    def _scaled(self, columns: Array) -> Array:
        """Return a copy with the factor 1 / sqrt(width) in the columns of q.

        As a part of the weight it costs less than on q, which is as long as the batch.
        """
        scaled = columns.copy()
        scaled[..., : self.num_heads * self.width] *= self.width**-0.5
        return scaled

    def _columns(self, inputs: Sequence[Array]) -> list[slice]:
        """Return each input's columns of the weight: of q, k and v, or of q and of k and v."""
        size = self.num_heads * self.width
        return [slice(None)] if len(inputs) == 1 else [slice(size), slice(size, None)]

    def _heads(self, inputs: Sequence[Array], projected: Sequence[Array]) -> list[Array]:
        """Return q, k and v as views of the projections, (batch, heads, positions, width)."""
        heads: list[Array] = []
        for x, z in zip(inputs, projected, strict=True):
            rows, positions, _ = x.shape
            split = z.reshape(rows, positions, -1, self.num_heads, self.width)
            heads.extend(split.transpose(2, 0, 3, 1, 4))
        return heads

    def attended(self, query: Array, value: Array | None = None, mask: Array | None = None) -> Any:
        """Return the inputs, and where a query attends, by key and query, or None: everywhere."""
        if self.masked_query and mask is None:
            value, mask = None, value
        named = zip(_ROLES, (query, value, mask), strict=True)
        given = {role: x for role, x in named if x is not None}
        if tuple(given) != self._roles:
            raise ValueError(
                f"{self.label} was built for {', '.join(self._roles)}, got {', '.join(given)}"
            )
        for (role, x), shape in zip(given.items(), self._shapes, strict=True):
            if role != "mask":  # it has one of two shapes
                self.check_input(x, shape)
            if len(x) != len(query):
                raise ValueError(
                    f"{self.label} expects a {role} with {len(query)} rows, as many as the query, "
                    f"got {len(x)}"
                )
        inputs = (query,) if value is None else (query, value)
        queries, keys = query.shape[1], inputs[-1].shape[1]
        attends = np.triu(np.ones((keys, queries), bool)) if self.causal else None
        if mask is None:
            return inputs, attends
        self._check_mask(mask.shape[1:], queries, keys)
        seen = as_mask(mask, self.label)
        seen = (seen[:, :, np.newaxis] if mask.ndim == 2 else seen.swapaxes(1, 2))[:, np.newaxis]
        return inputs, seen if attends is None else seen & attends

    def _check_shapes(self) -> int:
        """Return the number of features, and refuse shapes that don't go together."""
        if len(self._shapes) > 3:
            raise ValueError(
                f"{self.label} expects query, value and mask, got {len(self._shapes)} inputs"
            )
        masked = len(self._shapes) == 2 and len(self._shapes[1]) == 1
        self._roles = ("query", "mask") if masked else _ROLES[: len(self._shapes)]
        for role, shape in zip(self._roles, self._shapes, strict=True):
            if role != "mask" and len(shape) != 2:
                raise ValueError(
                    f"{self.label} expects a {role} of shape (batch, positions, features), got "
                    f"rows of shape {shape}"
                )
        query, value = self._shapes[0], self._value_shape
        size = features(query, self.label)
        if size % self.num_heads and self.key_dim is None:
            raise ValueError(
                f"{self.label} expects features that its {self.num_heads} heads divide, got "
                f"{size}: pass key_dim, the width of a head"
            )
        if value[1] != size:
            raise ValueError(
                f"{self.label} expects a value with the {size} features of the query, got "
                f"{value[1]}: put Dense({size}) before it"
            )
        if "mask" in self._roles:
            self._check_mask(self._shapes[-1], query[0], value[0])
        return size

    def _check_mask(self, shape: Shape, queries: int | None, keys: int | None) -> None:
        one, each = (keys,), (queries, keys)
        if not (fits(shape, one) or fits(shape, each)):
            way = ": pass the query and the value, of which it makes the keys"
            raise ValueError(
                f"{self.label} expects a mask with rows of shape {one} or {each}, got {shape}"
                f"{way if shape == self._shapes[1] else ''}"
            )

    @property
    def masked_query(self) -> bool:
        """Whether the second of two inputs is a mask, not a value."""
        return self._roles == ("query", "mask")

    @property
    def _value_shape(self) -> Shape:
        return self._shapes[self._roles.index("value") if "value" in self._roles else 0]

    @property
    @override
    def stored(self) -> int:
        """The projections q, k and v, the weights of each head, m, and the output."""
        (queries, size), (keys, _) = self._shapes[0], self._value_shape
        inner = self.num_heads * self.width
        return (
            size_of((queries, 2 * inner + size))
            + size_of((keys, 2 * inner))
            + size_of((self.num_heads, queries, keys))
        )
