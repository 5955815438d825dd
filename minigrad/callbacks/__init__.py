"""Callbacks: hooks before, during and after training."""

from minigrad.callbacks.base import Callback
from minigrad.callbacks.csv_logger import CSVLogger
from minigrad.callbacks.learning_rate import LearningRateScheduler, ReduceOnPlateau
from minigrad.callbacks.monitors import EarlyStopping, ModelCheckpoint

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LearningRateScheduler", "ModelCheckpoint",
    "ReduceOnPlateau",
]  # fmt: skip
