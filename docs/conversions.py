"""Make the table of conversions: python docs/conversions.py writes docs/how-to/conversions.txt.

Each layer is converted, and its output is compared with minigrad's. This needs more memory than the
documentation, so the table is made apart, and committed with its date.
"""

import os
import tempfile
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import onnxruntime
import torch

import minigrad as mg
from minigrad.interop.keras import to_keras
from minigrad.interop.onnx import export
from minigrad.interop.torch import to_torch

ROW, TIME, IMAGE = (4,), (5, 4), (6, 6, 4)
shapes = {
    ROW: "Identity Sigmoid Tanh ReLU LeakyReLU ELU SELU Hardtanh Hardsigmoid GELU SiLU Softplus "
    "Mish Softsign Softmax LogSoftmax BatchNorm LayerNorm RMSNorm PReLU",
    TIME: "PositionEmbedding SinusoidalPositions MaxPooling1D AveragePooling1D GlobalMaxPooling1D "
    "GlobalAveragePooling1D Flatten UpSampling1D ZeroPadding1D",
    IMAGE: "MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D UpSampling2D "
    "ZeroPadding2D",
}
cases = [(getattr(mg, name)(), shape) for shape, names in shapes.items() for name in names.split()]
cases += [
    (mg.Dense(3), ROW),
    (mg.Dropout(0.2), ROW),
    (mg.GroupNorm(2), IMAGE),
    (mg.Reshape((2, 2)), ROW),
    (mg.Embedding(2, 3), TIME),
    (mg.Conv1D(3, 3), TIME),
    (mg.Conv2D(3, 3), IMAGE),
    (mg.Conv1DTranspose(3, 3), TIME),
    (mg.Conv2DTranspose(3, 3), IMAGE),
    (mg.DepthwiseConv2D(3), IMAGE),
    (mg.SeparableConv2D(3, 3), IMAGE),
    (mg.Cropping1D(1), TIME),
    (mg.Cropping2D(1), IMAGE),
    (mg.Permute((2, 1)), TIME),
    (mg.RepeatVector(2), ROW),
    (mg.Slice(":2"), ROW),
    (mg.Rescaling(2.0), ROW),
    (mg.Lambda(np.sin, lambda delta, x: delta * np.cos(x)), ROW),
    (mg.GaussianNoise(0.1), ROW),
    (mg.SpatialDropout1D(0.2), TIME),
    (mg.SpatialDropout2D(0.2), IMAGE),
    (mg.SimpleRNN(3), TIME),
    (mg.GRU(3), TIME),
    (mg.LSTM(3), TIME),
    (mg.Bidirectional(mg.LSTM(3)), TIME),
    (mg.MultiHeadAttention(2), TIME),
    (mg.Mask(0), TIME),
    (mg.Residual(mg.Dense(4)), ROW),
    (mg.Parallel([mg.Dense(2), mg.Tanh()], merge="concat"), ROW),
    (mg.Add(), (ROW, ROW)),
    (mg.Average(), (ROW, ROW)),
    (mg.Multiply(), (ROW, ROW)),
    (mg.Subtract(), (ROW, ROW)),
    (mg.Maximum(), (ROW, ROW)),
    (mg.Minimum(), (ROW, ROW)),
    (mg.Dot(1), (ROW, ROW)),
    (mg.Concatenate(), (ROW, ROW)),
    (mg.Chain([mg.Dense(3)]), ROW),
    (mg.Graph({"x": ROW}, {"h": (mg.Dense(4), "x"), "sum": (mg.Add(), "h", "x")}, "sum"), ROW),
]


def through_onnx(model: mg.Model, x: list[np.ndarray]) -> np.ndarray:
    """Return the output of the exported model."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "layer.onnx"))
        export(model, path)
        session = onnxruntime.InferenceSession(path)
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), x, strict=True)})[0]


def through_torch(model: mg.Model, x: list[np.ndarray]) -> np.ndarray:
    """Return the output of the PyTorch module."""
    return to_torch(model).eval()(*map(torch.from_numpy, x)).detach().numpy()


def through_keras(model: mg.Model, x: list[np.ndarray]) -> np.ndarray:
    """Return the output of the Keras model."""
    given = [torch.from_numpy(a) for a in x]
    given = dict(zip(model.input_names, given, strict=True)) if model.input_names else given[0]
    return to_keras(model)(given).detach().numpy()


def verdict(convert: Callable[..., np.ndarray], layer: mg.Layer, shape: Any) -> str:
    """Return "yes" if a converted layer computes the same, "no" if it is refused."""
    several = isinstance(shape[0], tuple)
    inputs = [mg.Input(s) for s in (shape if several else (shape,))]
    model = mg.Model(inputs=inputs, outputs=layer(*inputs), rng=0, dtype="float32")
    rng = np.random.default_rng(0)
    ids = isinstance(layer, mg.Embedding)
    x = [rng.integers(2, size=(3, *i.shape)) for i in inputs]
    x = x if ids else [rng.normal(size=a.shape).astype("float32") for a in x]
    try:
        found = convert(model, x)
    except (TypeError, ValueError):
        return "no"
    wanted = model.predict(dict(zip(model.input_names, x, strict=False)) or x[0])
    return "yes" if np.abs(found - wanted).max() < 1e-4 else "differs"


ways = {"ONNX": through_onnx, "PyTorch": through_torch, "Keras": through_keras}


def table() -> dict[str, list[str]]:
    """Return the verdict of each way for each layer, by the layer's name."""
    ordered = sorted(cases, key=lambda case: type(case[0]).__name__.lower())
    return {
        type(layer).__name__: [
            verdict(convert, deepcopy(layer), shape) for convert in ways.values()
        ]
        for layer, shape in ordered
    }


def page() -> str:
    """Return the table in Markdown, with its date and the versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "keras"))
    head = [f"| layer | {' | '.join(ways)} |", f"|---|{'---|' * len(ways)}"]
    rows = [f"| `{name}` | {' | '.join(found)} |" for name, found in table().items()]
    made = f"Made on {date.today():%Y-%m-%d} with {packages}."
    return "\n".join([*head, *rows, "", made, ""])


if __name__ == "__main__":
    target = Path(__file__).parent / "how-to" / "conversions.txt"
    target.write_text(page(), encoding="utf-8")
