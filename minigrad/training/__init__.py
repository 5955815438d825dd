"""Training: the loop, what happens beside it, and what is shown and kept of it."""

from minigrad.training.loop import DivergedError, Training
from minigrad.training.measuring import evaluate

__all__ = ["DivergedError", "Training", "evaluate"]
