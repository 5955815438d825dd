"""Metrics: numbers reported beside the loss, computed over all rows at once."""

from minigrad.metrics.classification import (
    accuracy,
    binary_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    top_k_accuracy,
)
from minigrad.metrics.named import (
    METRICS,
    Metrics,
    OfOutput,
    better_of,
    metric,
    named_metrics,
)
from minigrad.metrics.probabilities import log_loss, pr_auc, roc_auc
from minigrad.metrics.regression import huber, mae, mse, r2, rmse
from minigrad.metrics.running import Metric, as_number
from minigrad.metrics.with_options import AtThreshold, OfProbabilities, TopK
from minigrad.util.lookup import unknown_in

__all__ = [
    "METRICS", "AtThreshold", "Metric", "Metrics", "OfOutput", "OfProbabilities", "TopK",
    "accuracy", "as_number", "better_of", "binary_accuracy", "confusion_matrix", "f1", "huber",
    "log_loss", "mae", "metric", "mse", "named_metrics", "pr_auc", "precision", "r2", "recall",
    "rmse", "roc_auc", "top_k_accuracy",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
