"""scikit-learn's multilayer perceptron, through `fit` with a warm start and the SGD solver."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload


class SklearnFit(Peer):
    """Its regressor always has biases and a linear output, so it trains that network."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        classifies = workload.output == "softmax"
        self.x, y = workload.data()
        self.y = y if classifies else y.ravel()
        # Its squared loss is halved, so twice the learning rate gives the same update.
        self.scale = 1 if classifies else 2
        self.model: Any = (MLPClassifier if classifies else MLPRegressor)(
            hidden_layer_sizes=workload.widths[1:-1],
            activation="relu" if classifies else "logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=workload.batch,
            learning_rate_init=workload.learning_rate * self.scale,
            shuffle=False,
            tol=0.0,
            momentum=0.0,
            nesterovs_momentum=False,
            n_iter_no_change=np.inf,
        )
        # The first pass creates the arrays; then the given weights overwrite them.
        first = slice(workload.batch)
        classes = {"classes": np.arange(workload.widths[-1])} if classifies else {}
        self.model.partial_fit(self.x[first], self.y[first], **classes)
        self.model.set_params(warm_start=True)
        for i, (weight, bias) in enumerate(workload.weights()):
            self.model.coefs_[i][...] = weight
            self.model.intercepts_[i][...] = bias

    @override
    @classmethod
    def adapted(cls, workload: Workload) -> Workload:
        if workload.output == "softmax":
            return workload
        return replace(workload, output="identity", bias=True)

    @override
    def run(self, epochs: int) -> list[float]:
        self.model.set_params(max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.x, self.y)
        return [float(loss) * self.scale for loss in self.model.loss_curve_[-epochs:]]

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x)


PEER = SklearnFit
