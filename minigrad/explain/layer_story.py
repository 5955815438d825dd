"""The arrays of one layer, under the names that a reader knows: z, activation, delta."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.explain.jacobian import Jacobian
from minigrad.explain.places import Place


class LayerStory:
    """What one layer computed; the first axis of each array counts the rows.

    Args:
        place: the layer in the pass.
        activation: the activation that follows it, or that it is.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(1, weight_initializer="zeros"), Sigmoid()], input_shape=(2,))
    >>> story = model.explain(np.array([[3.0, 1.0]]), np.array([1.0]), loss="mse")["dense_1"]
    >>> story.z, story.activation, story.delta
    (array([[0.]]), array([[0.5]]), array([[-0.25]]))
    >>> story.weight_gradients.shape
    (1, 2, 1)
    """

    def __init__(self, place: Place, activation: Place | None) -> None:
        self._place, self._activation = place, activation

    @property
    def path(self) -> str:
        """Where the layer is, such as 'residual_1.dense_1'."""
        return self._place.path

    @property
    def layer(self) -> Layer:
        """A replica of the layer."""
        return self._place.layer

    @property
    def input(self) -> Array:
        """What it was given."""
        return self._place.input

    @property
    def output(self) -> Array:
        """What it returned."""
        return self._place.output

    @property
    def z(self) -> Array:
        """What the activation is applied to; the output where there is none."""
        return self.output if self._activation is None else self._activation.input

    @property
    def activation(self) -> Array:
        """What the activation returned; z where there is none."""
        return self.output if self._activation is None else self._activation.output

    @property
    def delta(self) -> Array | None:
        """dJ/dz; None where no delta came back."""
        place = self._activation
        return self._place.delta if place is None else place.input_delta

    @property
    def output_delta(self) -> Array | None:
        """dJ/doutput, as it came back."""
        return self._place.delta

    @property
    def input_delta(self) -> Array | None:
        """dJ/dinput, as it was passed on."""
        return self._place.input_delta

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradient of the loss by each parameter's attribute name, over all rows."""
        return self._place.gradients

    def row_gradients(self, attribute: str) -> Array:
        """Return what each row adds to the gradient of a parameter, of shape (rows, ...).

        Raises:
            ValueError: it has no such parameter, or no delta came back.
        """
        place = self._place
        if attribute not in place.gradients or place.delta is None:
            raise ValueError(
                f"{place.layer.label} has no gradient of '{attribute}': "
                f"it has {sorted(place.gradients) or 'none'}"
            )
        if not place.linear:
            return Jacobian(place).by_row(attribute)
        if attribute == "bias":
            return place.delta.copy()
        with np.errstate(all="ignore"):
            return place.input[:, :, None] * place.delta[:, None, :]

    @property
    def weight_gradients(self) -> Array:
        """What each row adds to the gradient of `weight`, of shape (rows, inputs, units)."""
        return self.row_gradients("weight")

    @property
    def bias_gradients(self) -> Array:
        """What each row adds to the gradient of `bias`, of shape (rows, units)."""
        return self.row_gradients("bias")

    @override
    def __repr__(self) -> str:
        return f"LayerStory({self._place.layer.label}, rows={len(self.input)})"
