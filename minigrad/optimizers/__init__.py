"""Optimizers: gradient descent, adaptive methods, and learning rate schedules."""

from minigrad.core.optimizer import Optimizer
from minigrad.optimizers.adaptive import Adagrad, Adam, AdamW, RMSprop
from minigrad.optimizers.schedules import CosineDecay, ExponentialDecay, Schedule, StepDecay
from minigrad.optimizers.sgd import SGD
from minigrad.util.lookup import unknown_in

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "CosineDecay", "ExponentialDecay", "Optimizer", "RMSprop",
    "Schedule", "StepDecay",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
