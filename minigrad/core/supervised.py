"""A network held against targets: how far off it is, and what its gradient is made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from minigrad.core.layer import Layer
from minigrad.core.measuring import evaluate
from minigrad.core.network import Network
from minigrad.core.objective import Objective
from minigrad.data.batches import Accept, Batches, as_batches
from minigrad.data.rows import Rows, as_pair, as_rows
from minigrad.layers.activations import Sigmoid
from minigrad.layers.softmax import Softmax
from minigrad.core.loss import Loss, as_loss
from minigrad.metrics import Metric, named_metrics
from minigrad.optimizers import Optimizer
from minigrad.util.config import as_object

if TYPE_CHECKING:
    from minigrad.explain import Explanation


class Supervised(Network):
    """A network that is told by `compile` what is made small, and measures it; see `Sequential`.

    Attributes:
        optimizer: what is trained by, once the model is compiled.
        loss: what is made small, likewise.
        metrics: what is reported beside it, by name.
    """

    optimizer: Optimizer | None = None
    loss: Loss | None = None
    metrics: Mapping[str, Metric] = MappingProxyType({})

    def compile(
        self,
        *,
        optimizer: Optimizer | str,
        loss: Loss | str,
        metrics: Sequence[str | Metric] | None = (),
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: such as `SGD(learning_rate=0.1)`, or a name for its defaults: "sgd".
            loss: such as `MSELoss()`, or a name for its defaults: "mse".
            metrics: reported beside the loss: names such as "mae", "accuracy" or "top_3_accuracy",
                or functions of (target, prediction).

        Raises:
            TypeError: a class in the place of an object, or something else.
            ValueError: an unknown name, or an optimizer that remembers another model's steps.

        Warns:
            UserWarning: the model ends in a Softmax or a Sigmoid, and the loss has one in it.
        """
        optimizer = as_object(Optimizer, optimizer, "optimizer")
        optimizer.check_free(p for _, p in self.named_parameters())
        loss = as_loss(loss)
        self.optimizer, self.loss = optimizer, loss
        self.metrics = named_metrics(metrics, threshold=loss.decision_threshold)
        last: Layer = self
        while last.children:
            last = last.children[-1]
        if loss.takes_logits and isinstance(last, (Softmax, Sigmoid)):
            warnings.warn(
                f"{last.label} makes probabilities, and {loss.label} makes them once more: it "
                f"takes logits, so leave {last.label} out",
                stacklevel=3,
            )

    def evaluate(
        self,
        x: ArrayLike | Batches,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Return the loss and the metrics over all rows, by name; x and y are as in `fit`.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: as `fit`.
        """
        _, loss = self._compiled("evaluate")
        data = as_batches(x, y, self._rows_from(loss), sample_weight=sample_weight)
        return evaluate(self, loss, self.metrics, data)

    def objective(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        loss: Loss | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Objective:
        """Return theta -> (J, dJ/dtheta) over these rows, for SciPy's optimizers.

        `scipy.optimize.minimize(f, model.parameters.value.copy(), jac=True, method="L-BFGS-B")`
        takes it as it is. Each call sets the model's parameters to theta; the last one isn't
        always the best: assign `result.x` in the end. See `Objective`.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            loss: J; by default the compiled loss.
            sample_weight: as in `fit`.

        Raises:
            RuntimeError: no loss is given, and the model isn't compiled.
            TypeError, ValueError: as `fit`.
        """
        if loss is None:
            _, loss = self._compiled("objective")
        return Objective(self, loss, self.rows(x, y, loss, sample_weight=sample_weight))

    def explain(self, x: ArrayLike, y: ArrayLike, *, loss: Loss | str | None = None) -> Explanation:
        """Tell how these rows went forward and back, as equations with this network's numbers.

        The model isn't touched. What is returned holds every layer's arrays, prints as text, and
        writes itself as LaTeX and as a page to step through.

        Args:
            x: rows of the input shape; a few of them.
            y: a target for each row.
            loss: a loss, or a name for its defaults; by default the compiled one.

        Raises:
            RuntimeError: no loss is given and the model isn't compiled.
            TypeError, ValueError: data that can't be used.

        >>> import numpy as np
        >>> from minigrad import Dense, Sequential, Sigmoid
        >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
        >>> explanation = model.explain(np.array([[0.5, 1.0]]), np.array([1.0]), loss="mse")
        >>> explanation["dense_1"].weight_gradients.shape
        (1, 2, 3)
        >>> explanation
        Explanation(rows=1, layers=3, steps=14, J=0.415753): print it
        """
        from minigrad.explain import Explanation

        loss = self.loss if loss is None else as_loss(loss)
        if loss is None:
            raise RuntimeError(
                "explain needs a loss, where backpropagation starts: pass one, such as "
                "explain(x, y, loss=MSELoss()), or compile the model"
            )
        rows = self.rows(x, y, loss)
        return Explanation(self, self._accept(rows.x), rows.y, loss)

    def rows(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: Loss,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Rows:
        """Return inputs, targets and weights, checked as `fit` does; the model is built if it must.

        Raises:
            TypeError, ValueError: as `fit`.
        """
        inputs, targets = as_pair(x, y)
        self.check_input_shape(inputs)
        assert self.output_shape is not None
        return as_rows(
            inputs,
            targets,
            output_shape=self.output_shape,
            loss=loss,
            sample_weight=sample_weight,
            dtype=self.dtype,
        )

    def _rows_from(self, loss: Loss) -> Accept:
        """Return what makes rows of each batch."""

        def accept(x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Rows:
            return self.rows(x, y, loss, sample_weight=weight)

        return accept

    def _compiled(self, what: str) -> tuple[Optimizer, Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{what} needs a compiled model: call model.compile(optimizer=..., loss=...) first"
            )
        return self.optimizer, self.loss
