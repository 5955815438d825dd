"""The module of each layer, in one table that is read in both directions."""

from __future__ import annotations

from torch import nn

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop.models import MERGES, Counterpart, counterpart
from minigrad.interop.torch.modules import Attention, Merge, Positions, Sinusoids

ELEMENTWISE: dict[type[Layer], Counterpart] = {
    mg.Identity: counterpart(nn.Identity),
    mg.Sigmoid: counterpart(nn.Sigmoid),
    mg.Tanh: counterpart(nn.Tanh),
    mg.ReLU: counterpart(nn.ReLU),
    mg.LeakyReLU: counterpart(nn.LeakyReLU, slope="negative_slope"),
    mg.ELU: counterpart(nn.ELU, "alpha"),
    mg.SELU: counterpart(nn.SELU),
    mg.Hardtanh: counterpart(nn.Hardtanh),
    mg.Hardsigmoid: counterpart(nn.Hardsigmoid),
    mg.GELU: counterpart(nn.GELU, "approximate"),
    mg.SiLU: counterpart(nn.SiLU),
    mg.Softplus: counterpart(nn.Softplus),
    mg.Mish: counterpart(nn.Mish),
    mg.Softsign: counterpart(nn.Softsign),
    mg.Dropout: counterpart(nn.Dropout, rate="p"),
}
"""Modules that treat each number alike, so that the order of axes doesn't matter."""

CHANNELS_FIRST: dict[type[Layer], Counterpart] = {
    mg.Conv1D: counterpart(nn.Conv1d, filters="out_channels"),
    mg.Conv2D: counterpart(nn.Conv2d, filters="out_channels"),
    mg.Conv2DTranspose: counterpart(nn.ConvTranspose2d, filters="out_channels"),
    mg.MaxPooling1D: counterpart(nn.MaxPool1d),
    mg.MaxPooling2D: counterpart(nn.MaxPool2d),
    mg.AveragePooling1D: counterpart(nn.AvgPool1d),
    mg.AveragePooling2D: counterpart(nn.AvgPool2d),
    mg.GlobalMaxPooling1D: counterpart(nn.AdaptiveMaxPool1d),
    mg.GlobalMaxPooling2D: counterpart(nn.AdaptiveMaxPool2d),
    mg.GlobalAveragePooling1D: counterpart(nn.AdaptiveAvgPool1d),
    mg.GlobalAveragePooling2D: counterpart(nn.AdaptiveAvgPool2d),
    mg.UpSampling2D: counterpart(nn.Upsample, interpolation="mode"),
    mg.BatchNorm: counterpart(nn.BatchNorm1d, "momentum", epsilon="eps"),  # BatchNorm2d for images
    mg.GroupNorm: counterpart(nn.GroupNorm, groups="num_groups", epsilon="eps"),
}
"""Modules that want the channels first."""

CHANNELS_LAST: dict[type[Layer], Counterpart] = {
    mg.Dense: counterpart(nn.Linear, units="out_features"),
    mg.LayerNorm: counterpart(nn.LayerNorm, epsilon="eps"),
    mg.RMSNorm: counterpart(nn.RMSNorm, epsilon="eps"),
    mg.Softmax: counterpart(nn.Softmax),
    mg.LogSoftmax: counterpart(nn.LogSoftmax),
    mg.Embedding: counterpart(nn.Embedding, input_dim="num_embeddings", output_dim="embedding_dim"),
    mg.PositionEmbedding: counterpart(Positions),
    mg.SinusoidalPositions: counterpart(Sinusoids),
    mg.MultiHeadAttention: counterpart(Attention, "causal"),
    mg.SimpleRNN: counterpart(nn.RNN, units="hidden_size", use_bias="bias"),
    mg.GRU: counterpart(nn.GRU, units="hidden_size", use_bias="bias"),
    mg.LSTM: counterpart(nn.LSTM, units="hidden_size", use_bias="bias"),
    mg.Reshape: counterpart(nn.Unflatten),
}
"""Modules that work along the last axis, or that depend on the order of the axes."""

MODULES: dict[type[Layer], Counterpart] = {
    **ELEMENTWISE,
    **CHANNELS_FIRST,
    **CHANNELS_LAST,
    **dict.fromkeys(MERGES, counterpart(Merge)),
    mg.Flatten: counterpart(nn.Flatten),
}
