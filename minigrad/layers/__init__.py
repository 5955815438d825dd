"""Layers, one kind per module."""

# fmt: off
# isort: off
from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.layers.activations import Activation, Identity, Sigmoid, Tanh
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.convolution import Conv1D, Conv2D, Conv2DTranspose
from minigrad.layers.dense import Dense
from minigrad.layers.dropout import Dropout
from minigrad.layers.merge import Add, Average, Concatenate, Multiply
from minigrad.layers.normalization import BatchNorm, LayerNorm
from minigrad.layers.pooling import (
    AveragePooling1D, AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, MaxPooling1D, MaxPooling2D, UpSampling2D,
)
from minigrad.layers.rectifiers import ELU, SELU, Hardsigmoid, Hardtanh, LeakyReLU, ReLU
from minigrad.layers.shape import Flatten, Reshape
from minigrad.layers.smooth import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax
# isort: on
# fmt: on

__all__ = [
    "ELU", "GELU", "SELU", "Activation", "Add", "Average", "AveragePooling1D", "AveragePooling2D",
    "BatchNorm", "Chain", "Concatenate", "Conv1D", "Conv2D", "Conv2DTranspose", "Dense", "Dropout",
    "Flatten", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "Hardsigmoid", "Hardtanh", "Identity", "Layer", "LayerNorm", "LeakyReLU",
    "LogSoftmax", "MaxPooling1D", "MaxPooling2D", "Mish", "Multiply", "Parallel", "ReLU", "Reshape",
    "Residual", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "UpSampling2D",
]  # fmt: skip
