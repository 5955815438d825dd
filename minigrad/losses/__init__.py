"""Losses for regression and classification."""

from minigrad.core.loss import Loss
from minigrad.losses.classification import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
)
from minigrad.losses.regression import HuberLoss, L1Loss, MSELoss

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss", "L1Loss", "Loss",
    "MSELoss",
]  # fmt: skip
