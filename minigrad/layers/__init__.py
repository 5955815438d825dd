"""Layers, one kind per module."""

# fmt: off
# isort: off
from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.layers.activations import Activation, Identity, Sigmoid, Tanh
from minigrad.layers.attention import MultiHeadAttention
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.convolution import Conv1D, Conv2D, Conv2DTranspose
from minigrad.layers.dense import Dense
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding, PositionEmbedding, SinusoidalPositions
from minigrad.layers.gru import GRU
from minigrad.layers.lstm import LSTM
from minigrad.layers.masks import Mask
from minigrad.layers.merge import Add, Average, Concatenate, Multiply
from minigrad.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from minigrad.layers.pooling import (
    AveragePooling1D, AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, MaxPooling1D, MaxPooling2D, UpSampling2D,
)
from minigrad.layers.rectifiers import ELU, SELU, Hardsigmoid, Hardtanh, LeakyReLU, ReLU
from minigrad.layers.recurrent import Bidirectional, SimpleRNN
from minigrad.layers.shape import Flatten, Reshape
from minigrad.layers.smooth import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax
# isort: on
# fmt: on

__all__ = [
    "ELU", "GELU", "GRU", "LSTM", "SELU", "Activation", "Add", "Average", "AveragePooling1D",
    "AveragePooling2D", "BatchNorm", "Bidirectional", "Chain", "Concatenate", "Conv1D", "Conv2D",
    "Conv2DTranspose", "Dense", "Dropout", "Embedding", "Flatten", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GroupNorm",
    "Hardsigmoid", "Hardtanh", "Identity", "Layer", "LayerNorm", "LeakyReLU", "LogSoftmax", "Mask",
    "MaxPooling1D", "MaxPooling2D", "Mish", "MultiHeadAttention", "Multiply", "Parallel",
    "PositionEmbedding", "RMSNorm", "ReLU", "Reshape", "Residual", "SiLU", "Sigmoid", "SimpleRNN",
    "SinusoidalPositions", "Softmax", "Softplus", "Softsign", "Tanh", "UpSampling2D",
]  # fmt: skip
