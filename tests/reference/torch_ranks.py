"""Write ranks.json: PyTorch's linear map and cross-entropy for rows with several axes.

Run it by hand where PyTorch is installed: python tests/reference/torch_ranks.py
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

AXES = [(2,), (2, 2)]  # between the batch and the last axis
ROWS, FEATURES, UNITS = 3, 4, 3


def linear(axes, dtype):
    """Return tanh of a linear map, and all gradients."""
    rng = np.random.default_rng(len(axes))
    shapes = (ROWS, *axes, FEATURES), (UNITS, FEATURES), (UNITS,), (ROWS, *axes, UNITS)
    arrays = [torch.tensor(rng.normal(size=shape).round(3), dtype=dtype) for shape in shapes]
    x, weight, bias = (array.requires_grad_() for array in arrays[:3])
    output = torch.tanh(functional.linear(x, weight, bias))
    output.backward(arrays[3])
    case = {"x": x, "weight": weight.T, "bias": bias, "delta": arrays[3], "output": output}
    case |= {"dx": x.grad, "dweight": weight.grad.T, "dbias": bias.grad}
    return {name: array.tolist() for name, array in case.items()}


def cross_entropy(axes, form, weights, smoothing, reduction, dtype):
    """Return J and dJ/dz for class indices or probabilities, with weights of rows or of terms."""
    rng = np.random.default_rng(len(axes))
    z = (3 * rng.normal(size=(ROWS, *axes, UNITS))).round(3)
    indices = rng.integers(0, UNITS, size=(ROWS, *axes))
    shares = rng.multinomial(8, [1 / UNITS] * UNITS, size=(ROWS, *axes)) / 8
    mask = rng.integers(0, 2, size=(ROWS, *axes))
    weight = {"none": None, "rows": rng.uniform(size=ROWS).round(3), "terms": mask}[weights]
    a = torch.tensor(z, dtype=dtype, requires_grad=True)
    target = torch.tensor(indices)
    if form == "shares":
        target = torch.tensor(shares, dtype=dtype).movedim(-1, 1)

    def loss(reduction):
        options = {"label_smoothing": smoothing, "reduction": reduction}
        return functional.cross_entropy(a.movedim(-1, 1), target, **options)

    if weight is None:
        j = loss(reduction)
    else:
        terms = loss("none")
        w = torch.tensor(weight, dtype=dtype)
        w = w.reshape(*w.shape, *[1] * (terms.ndim - w.ndim)).broadcast_to(terms.shape)
        j = (w * terms).sum() / (w.sum() if reduction == "mean" else 1)
    j.backward()
    return {
        "options": {"label_smoothing": smoothing, "reduction": reduction},
        "z": z.tolist(),
        "target": (shares if form == "shares" else indices).tolist(),
        "weight": None if weight is None else weight.tolist(),
        "j": j.item(),
        "gradient": a.grad.tolist(),
    }


def cases(dtype):
    dtype = getattr(torch, dtype)
    options = ["indices", "shares"], ["none", "rows", "terms"], [0.0, 0.2], ["mean", "sum"]
    return {
        "linear": [linear(axes, dtype) for axes in AXES],
        "cross_entropy": [
            cross_entropy(axes, *chosen, dtype)
            for axes in AXES
            for chosen in itertools.product(*options)
        ],
    }


if __name__ == "__main__":
    document = {"made_with": f"PyTorch {torch.__version__}", **cases("float64")}
    Path(__file__).with_name("ranks.json").write_text(json.dumps(document) + "\n")
