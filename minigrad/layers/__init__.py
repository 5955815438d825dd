"""The layers a network is made of, one idea a module."""

from minigrad.layers.activations import Activation, Identity, ReLU, Sigmoid, Softmax, Tanh
from minigrad.layers.base import Layer
from minigrad.layers.chain import Chain
from minigrad.layers.dense import Dense

__all__ = [
    "Activation", "Chain", "Dense", "Identity", "Layer", "ReLU", "Sigmoid", "Softmax", "Tanh",
]  # fmt: skip
