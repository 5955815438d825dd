"""Callbacks: hooks before, during and after training."""

from minigrad.callbacks.base import Callback, LambdaCallback
from minigrad.callbacks.csv_logger import CSVLogger
from minigrad.callbacks.learning_rate import LearningRateScheduler, ReduceOnPlateau
from minigrad.callbacks.monitors import EarlyStopping, ModelCheckpoint
from minigrad.callbacks.moving_average import ExponentialMovingAverage
from minigrad.util.lookup import unknown_in

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "ExponentialMovingAverage", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceOnPlateau",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
