"""Losses for regression and classification."""

from minigrad.core.loss import Loss
from minigrad.losses.classification import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
)
from minigrad.losses.regression import HuberLoss, L1Loss, MSELoss
from minigrad.util.lookup import unknown_in

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss", "L1Loss", "Loss",
    "MSELoss",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
