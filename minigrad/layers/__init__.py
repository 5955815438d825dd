"""Layers, one kind per module."""

from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.layers.activations import Activation, Identity, Sigmoid, Tanh
from minigrad.layers.attention import MultiHeadAttention
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.dense import Dense
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding, PositionEmbedding, SinusoidalPositions
from minigrad.layers.gru import GRU
from minigrad.layers.lstm import LSTM
from minigrad.layers.merge import Add, Average, Concatenate, Multiply
from minigrad.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from minigrad.layers.rectifiers import ELU, SELU, Hardsigmoid, Hardtanh, LeakyReLU, ReLU
from minigrad.layers.recurrent import Bidirectional, SimpleRNN
from minigrad.layers.shape import Flatten, Reshape
from minigrad.layers.smooth import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "ELU", "GELU", "GRU", "LSTM", "SELU", "Activation", "Add", "Average", "BatchNorm",
    "Bidirectional", "Chain", "Concatenate", "Dense", "Dropout", "Embedding", "Flatten",
    "GroupNorm", "Hardsigmoid", "Hardtanh", "Identity", "Layer", "LayerNorm", "LeakyReLU",
    "LogSoftmax", "Mish", "MultiHeadAttention", "Multiply", "Parallel", "PositionEmbedding",
    "RMSNorm", "ReLU", "Reshape", "Residual", "SiLU", "Sigmoid", "SimpleRNN", "SinusoidalPositions",
    "Softmax", "Softplus", "Softsign", "Tanh",
]  # fmt: skip
