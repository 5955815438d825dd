"""Write attention.json: what PyTorch's attention, embedding and normalization layers compute.

Run it by hand where PyTorch is installed: python tests/reference/torch_attention.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROWS, QUERIES, PLACES, FEATURES = 2, 3, 4, 4
PADDED = [[1, 1, 0, 0], [1, 1, 1, 1]]  # for each place of the value
CHOSEN = [[[1, 0, 1, 0], [1, 1, 0, 1], [0, 1, 0, 0]], [[1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]]]


class Attention(nn.Module):
    """PyTorch's layer, with a mask of 1 where a query may look."""

    def __init__(self, heads, *, causal=False, bias=True):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.inner = nn.MultiheadAttention(FEATURES, heads, bias=bias, batch_first=True)

    def forward(self, query, value=None, mask=None):
        value = query if value is None else value
        rows, queries, places = len(query), query.shape[1], value.shape[1]
        look = torch.ones(rows, queries, places, dtype=torch.bool)
        if self.causal:
            look = look.tril()
        if mask is not None:
            look = look & (mask.bool() if mask.ndim == 3 else mask.bool()[:, None])
        hidden = ~look.repeat_interleave(self.heads, dim=0)
        return self.inner(query, value, value, attn_mask=hidden, need_weights=False)[0]


class GroupNorm(nn.GroupNorm):
    """PyTorch's layer, with the channels last."""

    def forward(self, x):
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


class PositionEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.ParameterList([torch.zeros(QUERIES, FEATURES)])

    def forward(self, x):
        return x + self.table[0]


class SinusoidalPositions(nn.Module):
    """The definition of Vaswani et al., section 3.5."""

    def forward(self, x):
        places, features = x.shape[1:]
        table = torch.zeros(places, features, dtype=torch.float64)
        for t in range(places):
            for i in range(features):
                angle = torch.tensor(t / 10000 ** (2 * (i // 2) / features), dtype=torch.float64)
                table[t, i] = torch.cos(angle) if i % 2 else torch.sin(angle)
        return x + table.to(x.dtype)


def data(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).round(3).tolist()


QUERY, VALUE = data((ROWS, QUERIES, FEATURES), 1), data((ROWS, PLACES, FEATURES), 2)
IMAGE = data((ROWS, 2, 3, FEATURES), 3)
LAYERS = {
    "MultiHeadAttention(1)": (Attention(1), QUERY),
    "MultiHeadAttention(2)": (Attention(2), QUERY),
    "MultiHeadAttention(4, use_bias=False)": (Attention(4, bias=False), QUERY),
    "MultiHeadAttention(2, causal=True)": (Attention(2, causal=True), QUERY),
    "MultiHeadAttention(2), cross": (Attention(2), QUERY, VALUE),
    "MultiHeadAttention(2, use_bias=False), cross": (Attention(2, bias=False), QUERY, VALUE),
    "MultiHeadAttention(2, causal=True), cross": (Attention(2, causal=True), QUERY, VALUE),
    "MultiHeadAttention(2, causal=True), long query": (Attention(2, causal=True), VALUE, QUERY),
    "MultiHeadAttention(2), padded": (Attention(2), QUERY, VALUE, PADDED),
    "MultiHeadAttention(2), chosen": (Attention(2), QUERY, VALUE, CHOSEN),
    "MultiHeadAttention(4, causal=True), padded": (
        Attention(4, causal=True), QUERY, VALUE, PADDED,
    ),
    "Embedding(5, 3)": (nn.Embedding(5, 3), [[1, 4, 1], [0, 1, 4]]),
    "PositionEmbedding()": (PositionEmbedding(), QUERY),
    "SinusoidalPositions()": (SinusoidalPositions(), QUERY),
    "SinusoidalPositions(), odd": (SinusoidalPositions(), data((1, PLACES, 5), 4)),
    "LayerNorm(epsilon=0.01)": (nn.LayerNorm(FEATURES, eps=0.01), QUERY),
    "RMSNorm()": (nn.RMSNorm(FEATURES), QUERY),
    "RMSNorm(epsilon=0.01)": (nn.RMSNorm(FEATURES, eps=0.01), IMAGE),
    "GroupNorm(2)": (GroupNorm(2, FEATURES), IMAGE),
    "GroupNorm(1)": (GroupNorm(1, FEATURES), QUERY),
    "GroupNorm(2, epsilon=0.01)": (GroupNorm(2, FEATURES, eps=0.01), data((3, FEATURES), 5)),
}  # fmt: skip


def run(layer, inputs, dtype):
    """Return what a layer makes of its inputs and delta, with weights as (inputs, units)."""
    layer = layer.to(dtype)
    turned = isinstance(layer, Attention)

    def ours(array):
        array = array.detach().double()
        return (array.T if turned and array.ndim == 2 else array).tolist()

    for index, parameter in enumerate(layer.parameters()):
        parameter.data = torch.tensor(data(parameter.shape, 100 + index), dtype=dtype)
    arrays = [np.array(x) for x in inputs]
    tensors = [
        torch.tensor(x, dtype=dtype, requires_grad=True) if x.dtype.kind == "f" else torch.tensor(x)
        for x in arrays
    ]
    output = layer(*tensors)
    delta = data(output.shape, 200)
    layer.zero_grad()
    output.backward(torch.tensor(delta, dtype=dtype))
    return {
        "inputs": inputs,
        "delta": delta,
        "parameters": [ours(p) for p in layer.parameters()],
        "output": output.double().tolist(),
        "input_deltas": [x.grad.double().tolist() if x.requires_grad else None for x in tensors],
        "gradients": [ours(p.grad) for p in layer.parameters()],
    }


def cases(dtype):
    """Return all cases by the code that makes our layer, and a note after the comma."""
    dtype = getattr(torch, dtype)
    return {code: run(layer, inputs, dtype) for code, (layer, *inputs) in LAYERS.items()}


if __name__ == "__main__":
    document = {"made_with": f"PyTorch {torch.__version__}", "cases": cases("float64")}
    text = json.dumps(document)
    Path(__file__).with_name("attention.json").write_text(text + "\n")
