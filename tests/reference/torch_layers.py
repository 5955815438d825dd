"""Write layers.json: what PyTorch's layers make of given inputs, weights and deltas.

Run it by hand where PyTorch is installed: python tests/reference/torch_layers.py
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

GRID = [-9.0, -5.0, -3.2, -2.9, -2.0, -1.1, -0.9, -0.75, -0.1, 0.1, 0.5, 0.9, 1.1, 2.9, 3.2, 9.0]
ROWS, FEATURES, UNITS = 5, 4, 3
STEPS = 3


class Softplus(nn.Module):
    """Softplus without PyTorch's threshold, above which it is the identity."""

    def forward(self, x):
        return torch.logaddexp(x, torch.zeros_like(x))


class Hardsigmoid(nn.Module):
    """By its definition: PyTorch's own multiplies by a 1/6 of float32 in its backward."""

    def forward(self, x):
        return nn.functional.relu6(x + 3) / 6


class Branches(nn.Module):
    """Two branches that are merged; a tanh between two linear maps, and one linear map."""

    def __init__(self, merge, one, two):
        super().__init__()
        self.merge, self.one, self.two = merge, one, two

    def forward(self, x):
        outputs = self.one(x), self.two(x)
        if self.merge == "concat":
            return torch.cat(outputs, dim=-1)
        total = outputs[0] + outputs[1]
        return total / 2 if self.merge == "mean" else total


class Residual(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


class Merged(nn.Module):
    """Two linear maps that are merged, the first one twice."""

    def __init__(self, merge):
        super().__init__()
        self.merge, self.one, self.two = merge, linear(), linear()

    def forward(self, x):
        one, two = self.one(x), self.two(x)
        return self.merge(one, two, one)


class Tied(nn.Module):
    """Two linear maps with one weight, and a tanh between them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(FEATURES, FEATURES)
        self.second = nn.ParameterList([torch.zeros(FEATURES)])

    def forward(self, x):
        return torch.tanh(self.first(x)) @ self.first.weight.T + self.second[0]


ACTIVATIONS = {
    "Identity()": nn.Identity(),
    "Sigmoid()": nn.Sigmoid(),
    "Tanh()": nn.Tanh(),
    "ReLU()": nn.ReLU(),
    "LeakyReLU()": nn.LeakyReLU(),
    "LeakyReLU(0.3)": nn.LeakyReLU(0.3),
    "ELU()": nn.ELU(),
    "ELU(0.7)": nn.ELU(0.7),
    "SELU()": nn.SELU(),
    "Hardtanh()": nn.Hardtanh(),
    "Hardsigmoid()": Hardsigmoid(),
    "GELU()": nn.GELU(),
    "GELU(approximate='tanh')": nn.GELU(approximate="tanh"),
    "SiLU()": nn.SiLU(),
    "Softplus()": Softplus(),
    "Mish()": nn.Mish(),
    "Softsign()": nn.Softsign(),
    "Softmax()": nn.Softmax(dim=-1),
    "LogSoftmax()": nn.LogSoftmax(dim=-1),
}


MERGES = {
    "Add": lambda *inputs: sum(inputs),
    "Average": lambda *inputs: sum(inputs) / len(inputs),
    "Multiply": lambda *inputs: math.prod(inputs),
    "Concatenate": lambda *inputs: torch.cat(inputs, dim=-1),
}


def merged(name):
    """Return the code of a graph that merges two layers, the first one twice."""
    table = f"{{'a': (Dense(3), 'x'), 'b': (Dense(3), 'x'), 'h': ({name}(), 'a', 'b', 'a')}}"
    return f"Graph({{'x': (4,)}}, {table}, 'h')"


def linear(inputs=FEATURES, units=UNITS, **options):
    return nn.Linear(inputs, units, **options)


def block():
    return nn.Sequential(linear(), nn.Tanh(), linear(UNITS, FEATURES))


LAYERS = {
    "Dense(3)": linear,
    "Dense(3, use_bias=False)": lambda: linear(bias=False),
    "Dense(3, 'gelu')": lambda: nn.Sequential(linear(), nn.GELU()),
    "LayerNorm()": lambda: nn.LayerNorm(FEATURES),
    "LayerNorm(epsilon=0.01)": lambda: nn.LayerNorm(FEATURES, eps=0.01),
    "BatchNorm()": lambda: nn.BatchNorm1d(FEATURES),
    "BatchNorm(momentum=0.3, epsilon=0.01)": lambda: nn.BatchNorm1d(FEATURES, 0.01, 0.3),
    "Flatten()": nn.Flatten,
    "Residual([Dense(3), Tanh(), Dense(4)])": lambda: Residual(block()),
    "tied": Tied,
    **{
        f"Parallel([[Dense(3), Tanh(), Dense(4)], Dense(4)], merge='{merge}')": (
            lambda merge=merge: Branches(merge, block(), linear(FEATURES, FEATURES))
        )
        for merge in ("add", "mean", "concat")
    },
    **{merged(name): lambda merge=merge: Merged(merge) for name, merge in MERGES.items()},
    "Chain([Dense(3), BatchNorm(), LeakyReLU(), Dense(4)])": lambda: nn.Sequential(
        linear(), nn.BatchNorm1d(UNITS), nn.LeakyReLU(), linear(UNITS, FEATURES)
    ),
}


def data(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).round(3)


def ours(array):
    """Return an array of PyTorch's in our form: a weight is (*kernel, inputs, units)."""
    array = array.detach().double()
    return (array.permute(*range(2, array.ndim), 1, 0) if array.ndim > 1 else array).tolist()


def run(layer, inputs, dtype):
    """Return what a layer gives for each input and delta, in training and then in inference."""
    dtype = getattr(torch, dtype)
    layer = layer.to(dtype).train()
    for index, parameter in enumerate(layer.parameters()):
        parameter.data = torch.tensor(data(parameter.shape, 100 + index), dtype=dtype)
    case = {"parameters": [ours(p) for p in layer.parameters()], "steps": []}
    for number, rows in enumerate(inputs):
        x = torch.tensor(rows, dtype=dtype, requires_grad=True)
        output = layer(x)
        delta = data(output.shape, 200 + number).tolist()
        layer.zero_grad()
        output.backward(torch.tensor(delta, dtype=dtype))
        case["steps"].append(
            {
                "input": rows,
                "delta": delta,
                "output": output.double().tolist(),
                "input_delta": x.grad.double().tolist(),
                "gradients": [ours(p.grad) for p in layer.parameters()],
                "buffers": [ours(b) for b in layer.buffers() if b.dtype == dtype],
            }
        )
    case["inference"] = layer.eval()(x).double().tolist()
    return case


def cases(dtype):
    """Return all cases by the code that makes our layer; "tied" has none."""
    found = {code: run(layer, [[GRID, GRID[::-1]]], dtype) for code, layer in ACTIVATIONS.items()}
    for code, make in LAYERS.items():
        shape = (ROWS, 2, 2) if code.startswith("Flatten") else (ROWS, FEATURES)
        steps = STEPS if "BatchNorm" in code else 1
        found[code] = run(make(), [data(shape, seed).tolist() for seed in range(steps)], dtype)
    return found


def write(name, cases):
    document = {"made_with": f"PyTorch {torch.__version__}", "cases": cases}
    Path(__file__).with_name(name).write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    write("layers.json", cases("float64"))
