"""The loss over some data as a function of all parameters, for SciPy's optimizers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.data.rows import Rows


class Objective:
    """theta -> (J, g), with J the loss over all rows, regularizers included, and g = dJ/dtheta.

    theta and g are laid out as `model.parameters.value`. Frozen parameters are constants: their
    elements of theta are ignored, and their gradient is 0. With a stochastic layer such as
    Dropout J differs from call to call, which line searches can't follow: leave such layers out.

    Args:
        model: the network, built.
        loss: J.
        rows: the data, validated.
        gradient: what computes J and g, made of the model and the loss.

    Raises:
        ValueError: theta has another shape.

    >>> from minigrad import Dense, MSELoss, Sequential
    >>> model = Sequential([Dense(1, use_bias=False)], input_shape=(1,), rng=0)
    >>> f = model.objective(np.array([[1.0], [2.0]]), np.array([3.0, 6.0]), loss=MSELoss())
    >>> f([2.0])
    (2.5, array([-5.]))
    >>> model.parameters.value
    array([2.])
    """

    def __init__(
        self, model: Layer, loss: Loss, rows: Rows, gradient: type[BlockGradient] = BlockGradient
    ) -> None:
        self.loss, self.rows = loss, rows
        self._gradient = gradient(model, loss)

    def __call__(self, theta: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Set the model's parameters to theta, and return J and g as float64.

        Both may be infinite or NaN where theta is very large.
        """
        self._gradient.use(self._gradient.network.parameters)
        parameters, rows = self._gradient.parameters, self.rows
        theta = np.asarray(theta)
        if theta.shape != (parameters.size,):
            raise ValueError(
                f"the objective expects theta of shape ({parameters.size},), got {theta.shape}"
            )
        for start, value, _ in parameters.trainable_runs():
            value[...] = theta[start : start + value.size]
        with self._gradient, np.errstate(all="ignore"):
            j = self._gradient(rows.x, rows.y, rows.weight)
        g = np.zeros(parameters.size)
        for start, _, grad in parameters.trainable_runs():
            g[start : start + grad.size] = grad
        return j, g
