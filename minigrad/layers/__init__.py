"""Layers, one kind per module."""

# fmt: off
# isort: off
from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.layers.activations import Activation, Identity, Sigmoid, Tanh
from minigrad.layers.attention import MultiHeadAttention
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.convolution import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose
from minigrad.layers.dense import Dense
from minigrad.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from minigrad.layers.dropout import Dropout, GaussianNoise, SpatialDropout1D, SpatialDropout2D
from minigrad.layers.embedding import Embedding, PositionEmbedding, SinusoidalPositions
from minigrad.layers.function import Lambda
from minigrad.layers.gru import GRU
from minigrad.layers.lstm import LSTM
from minigrad.layers.masks import Mask
from minigrad.layers.merge import (
    Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract,
)
from minigrad.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from minigrad.layers.padding import Cropping1D, Cropping2D, ZeroPadding1D, ZeroPadding2D
from minigrad.layers.pooling import (
    AveragePooling1D, AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, MaxPooling1D, MaxPooling2D,
)
from minigrad.layers.rectifiers import ELU, SELU, Hardsigmoid, Hardtanh, LeakyReLU, PReLU, ReLU
from minigrad.layers.recurrent import Bidirectional, SimpleRNN
from minigrad.layers.rescaling import Rescaling
from minigrad.layers.shape import Flatten, Permute, RepeatVector, Reshape, Slice
from minigrad.layers.smooth import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.layers.upsampling import UpSampling1D, UpSampling2D
# isort: on
# fmt: on
from minigrad.util.lookup import unknown_in

__all__ = [
    "ELU", "GELU", "GRU", "LSTM", "SELU", "Activation", "Add", "Average", "AveragePooling1D",
    "AveragePooling2D", "BatchNorm", "Bidirectional", "Chain", "Concatenate", "Conv1D",
    "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Cropping1D", "Cropping2D", "Dense",
    "DepthwiseConv2D", "Dot", "Dropout", "Embedding", "Flatten", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GroupNorm", "Hardsigmoid", "Hardtanh", "Identity", "Lambda", "Layer", "LayerNorm", "LeakyReLU",
    "LogSoftmax", "Mask", "MaxPooling1D", "MaxPooling2D", "Maximum", "Minimum", "Mish",
    "MultiHeadAttention", "Multiply", "PReLU", "Parallel", "Permute", "PositionEmbedding",
    "RMSNorm", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Residual", "SeparableConv2D",
    "SiLU", "Sigmoid", "SimpleRNN", "SinusoidalPositions", "Slice", "Softmax", "Softplus",
    "Softsign", "SpatialDropout1D", "SpatialDropout2D", "Subtract", "Tanh", "UpSampling1D",
    "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
