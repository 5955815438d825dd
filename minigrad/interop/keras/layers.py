"""The Keras layer and activation of each layer, in tables that are read in both directions."""

from __future__ import annotations

from typing import Any

from keras import layers

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop.models import Counterpart, counterpart

ACTIVATIONS: dict[type[Layer], str] = {
    mg.Identity: "linear",
    mg.Sigmoid: "sigmoid",
    mg.Tanh: "tanh",
    mg.ReLU: "relu",
    mg.SELU: "selu",
    mg.Hardtanh: "hard_tanh",
    mg.Hardsigmoid: "hard_sigmoid",
    mg.GELU: "gelu",
    mg.SiLU: "silu",
    mg.Softplus: "softplus",
    mg.Mish: "mish",
    mg.Softsign: "softsign",
    mg.Softmax: "softmax",
    mg.LogSoftmax: "log_softmax",
}

LAYERS: dict[type[Layer], Counterpart] = {
    mg.LeakyReLU: counterpart(layers.LeakyReLU, slope="negative_slope"),
    mg.ELU: counterpart(layers.ELU, "alpha"),
    mg.Dropout: counterpart(layers.Dropout, "rate"),
    mg.Dense: counterpart(layers.Dense, "units", "use_bias"),
    mg.Conv1D: counterpart(layers.Conv1D, "filters", "use_bias"),
    mg.Conv2D: counterpart(layers.Conv2D, "filters", "use_bias"),
    mg.Conv2DTranspose: counterpart(layers.Conv2DTranspose, "filters", "use_bias"),
    mg.MaxPooling1D: counterpart(layers.MaxPooling1D),
    mg.MaxPooling2D: counterpart(layers.MaxPooling2D),
    mg.AveragePooling1D: counterpart(layers.AveragePooling1D),
    mg.AveragePooling2D: counterpart(layers.AveragePooling2D),
    mg.GlobalMaxPooling1D: counterpart(layers.GlobalMaxPooling1D),
    mg.GlobalMaxPooling2D: counterpart(layers.GlobalMaxPooling2D),
    mg.GlobalAveragePooling1D: counterpart(layers.GlobalAveragePooling1D),
    mg.GlobalAveragePooling2D: counterpart(layers.GlobalAveragePooling2D),
    mg.UpSampling2D: counterpart(layers.UpSampling2D, "size", "interpolation"),
    mg.BatchNorm: counterpart(layers.BatchNormalization, "epsilon"),
    mg.LayerNorm: counterpart(layers.LayerNormalization, "epsilon"),
    mg.RMSNorm: counterpart(layers.RMSNormalization, "epsilon"),
    mg.GroupNorm: counterpart(layers.GroupNormalization, "groups", "epsilon"),
    mg.Flatten: counterpart(layers.Flatten),
    mg.Reshape: counterpart(layers.Reshape),
    mg.Embedding: counterpart(layers.Embedding, "input_dim", "output_dim"),
    **{
        ours: counterpart(theirs, "units", "use_bias", "return_sequences", "go_backwards")
        for ours, theirs in [
            (mg.SimpleRNN, layers.SimpleRNN),
            (mg.GRU, layers.GRU),
            (mg.LSTM, layers.LSTM),
        ]
    },
    mg.Bidirectional: counterpart(layers.Bidirectional),
    mg.MultiHeadAttention: counterpart(layers.MultiHeadAttention, "num_heads", "use_bias"),
    mg.Add: counterpart(layers.Add),
    mg.Average: counterpart(layers.Average),
    mg.Multiply: counterpart(layers.Multiply),
    mg.Concatenate: counterpart(layers.Concatenate),
}


def cells_of(layer: Layer, there: Any) -> list[tuple[Any, Any]]:
    """Return the layers that have weights themselves, with their counterparts."""
    if isinstance(layer, mg.Bidirectional):
        return [*zip(layer.layers, (there.forward_layer, there.backward_layer), strict=True)]
    return [(layer, there)]
