"""Losses for regression, classification, distributions and vectors."""

from minigrad.core.loss import Loss
from minigrad.losses.classification import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    FocalWithLogitsLoss,
    HingeLoss,
)
from minigrad.losses.likelihood import KLDivLoss, PoissonNLLLoss
from minigrad.losses.regression import HuberLoss, L1Loss, MSELoss
from minigrad.losses.similarity import CosineSimilarityLoss, TripletMarginLoss
from minigrad.util.lookup import unknown_in

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CosineSimilarityLoss", "CrossEntropyLoss",
    "FocalWithLogitsLoss", "HingeLoss", "HuberLoss", "KLDivLoss", "L1Loss", "Loss", "MSELoss",
    "PoissonNLLLoss", "TripletMarginLoss",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
