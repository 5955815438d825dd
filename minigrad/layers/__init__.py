"""Layers, one kind per module."""

from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.layers.activations import Activation, Identity, Sigmoid, Tanh
from minigrad.layers.attention import MultiHeadAttention
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.dense import Dense
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding, PositionEmbedding, SinusoidalPositions
from minigrad.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from minigrad.layers.rectifiers import ELU, SELU, Hardsigmoid, Hardtanh, LeakyReLU, ReLU
from minigrad.layers.shape import Flatten, Reshape
from minigrad.layers.smooth import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "ELU", "GELU", "SELU", "Activation", "BatchNorm", "Chain", "Dense", "Dropout", "Embedding",
    "Flatten", "GroupNorm", "Hardsigmoid", "Hardtanh", "Identity", "Layer", "LayerNorm",
    "LeakyReLU", "LogSoftmax", "Mish", "MultiHeadAttention", "Parallel", "PositionEmbedding",
    "RMSNorm", "ReLU", "Reshape", "Residual", "SiLU", "Sigmoid", "SinusoidalPositions", "Softmax",
    "Softplus", "Softsign", "Tanh",
]  # fmt: skip
