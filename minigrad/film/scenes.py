"""What a film shows of each frame: the loss, the weights, and what the network computes."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.blocks.block_gradient import predict
from minigrad.core.loss import Loss
from minigrad.core.model import BaseModel
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.trace import Traced, trace

_UNITS, _CELLS = 12, 14  # the most that are drawn: units of a layer, rows or columns of a table
_PARTS, _LAYERS = 12, 6  # the most tables of parameters and histograms that a page has room for
_POINTS = 240  # the most rows that are drawn as points
_CURVE, _MAP, _AREAS = 121, 48, 96  # the points along an axis; areas have hard edges
_BINS, _SAMPLE = 32, 1000  # of a histogram: its bars, and the values that it counts
_FAR = 20  # a frame has diverged if its loss is so many times the first one


class Scenes:
    """The pictures of a model, frame by frame; `add` makes one of its present parameters."""

    def __init__(self, model: BaseModel, loss: Loss, rows: Rows) -> None:
        self.model, self.loss, self.rows = model, loss, rows
        self.losses: list[float] = []
        self.weights = Weights(model, rows)
        self.labels = _Labels(loss, rows, model.output_shape)
        inputs = model.input_shape if self.labels.width else None
        kind = OverInputs if inputs in ((1,), (2,)) else Histograms
        self.picture: OverInputs | Histograms = kind(model, rows, self.labels)
        self._accuracies: list[float] = []

    def add(self) -> None:
        """Add a frame."""
        with np.errstate(all="ignore"):
            prediction = predict(self.model.network, self.rows.x, self.model.dtype)
            j = self.loss.measure(prediction, self.rows.y, training=False)
            self.losses.append(j + self.model.parameters.regularization())
            if self.labels.right is not None:
                chosen = self.labels.decide(prediction)
                self._accuracies.append(float((chosen == self.labels.right).mean()))
            self.weights.add()
            self.picture.add(self.model)

    def data(self) -> dict[str, Any]:
        """Return all frames as plain data."""
        return {
            "losses": [j if isfinite(j) else None for j in self.losses],
            "accuracies": self._accuracies,
            "weights": self.weights.data(np.array(self.losses) <= _FAR * self.losses[0]),
            "picture": self.picture.data(),
        }


class _Labels:
    """The classes of the targets, if there are any, and the class that a prediction stands for.

    Attributes:
        width: the number of outputs; 0 if the prediction isn't one row of numbers.
        right: the class of each row, or None.
        border: the prediction between class 0 and 1 of a single output.
    """

    def __init__(self, loss: Loss, rows: Rows, output_shape: Any) -> None:
        plain = isinstance(output_shape, tuple) and len(output_shape) == 1
        self.width: int = output_shape[0] if plain else 0
        self.right: NDArray[Any] | None = None
        self.border: float | None = None
        self.logits = loss.takes_logits and self.width == 1
        y = rows.y
        if self.width > 1 and y.ndim == 1:
            self.right = y.astype(np.intp)
        elif self.width > 1 and ((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all():
            self.right = y.argmax(axis=-1)
        elif self.width == 1 and len(values := np.unique(y)) == 2:
            self.border = 0.5 if self.logits else float(values.mean())
            self.right = (y.ravel() > values.mean()).astype(np.intp)

    def decide(self, prediction: Array) -> NDArray[Any]:
        """Return the class of each prediction."""
        if self.border is None:
            return np.asarray(prediction.argmax(axis=-1))
        return (self.shown(prediction) > self.border).astype(np.intp)

    def shown(self, prediction: Array) -> NDArray[np.float64]:
        """Return the first output, as a probability if it is a logit."""
        first = prediction[:, 0].astype(float)
        return np.asarray(1 / (1 + np.exp(-first)) if self.logits else first)

    def range(self, rows: Rows, margin: float) -> tuple[float, float]:
        """Return the range to show of the first output: its targets' range and a margin."""
        y = rows.y.reshape(len(rows), -1)[:, 0].astype(float)
        low, high = (0.0, 1.0) if self.logits else (float(y.min()), float(y.max()))
        room = 1.0 if low == high else 0.0 if self.logits else margin * (high - low)
        return low - room, high + room


class Weights:
    """The parameters that are drawn: the lines of a chain of units, or else tables of squares."""

    def __init__(self, model: BaseModel, rows: Rows) -> None:
        self._values: list[NDArray[np.float32]] = []
        self._columns: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self._read: list[tuple[Any, Any]] = []
        if not self._chain(model, rows):
            self._columns, self._parts, self._read = [], [], []
            self._tables(model)

    def _chain(self, model: BaseModel, rows: Rows) -> bool:
        """Choose units and lines, if each layer takes what the one before returns."""
        leaves = _leaves(model, rows, 1)
        parameters = dict(model.named_parameters())
        passed = [leaves[0].input, *(leaf.output for leaf in leaves)]
        if any(len(leaf.inputs) > 1 for leaf in leaves) or any(array.ndim != 2 for array in passed):
            return False
        if any(leaf.input is not x for leaf, x in zip(leaves, passed, strict=False)):
            return False
        self._add_column("input", passed[0].shape[1])
        for leaf in leaves:
            last, width = self._columns[-1], leaf.output.shape[1]
            held = [parameters[f"{leaf.path}.{name}"] for name, _ in leaf.layer.own_parameters()]
            weight = next((p for p in held if p.value.shape == (last["size"], width)), None)
            bias = next((p for p in held if p.value.shape == (width,)), None)
            if weight is not None:
                self._add_column(leaf.path, width)
                self._add(weight, last["shown"], self._columns[-1]["shown"], bias=False)
                if bias is not None:
                    self._add(bias, [0], self._columns[-1]["shown"], bias=True)
            elif width == last["size"]:
                last["title"] += f", {leaf.path}"
            else:
                return False
        return bool(self._parts) and passed[-1].shape[1:] == model.output_shape

    def _add_column(self, title: str, size: int) -> None:
        self._columns.append({"title": title, "size": size, "shown": _evenly(size, _UNITS)})

    def _tables(self, model: BaseModel) -> None:
        named = [(path, p) for path, p in model.named_parameters() if p.value.ndim > 1]
        for i in _evenly(len(named), _PARTS):
            path, p = named[i]
            units = p.value.shape[-1]
            rows, columns = _evenly(p.size // units, _CELLS), _evenly(units, _CELLS)
            self._add(p, rows, columns, path=path, shape=p.value.shape)

    def _add(self, p: Any, rows: Sequence[int], columns: Sequence[int], **part: Any) -> None:
        self._read.append((p, np.ix_(rows, columns)))
        part |= {"size": [len(rows), len(columns)], "column": len(self._columns) - 1}
        self._parts.append(part)

    def add(self) -> None:
        tables = [p.value.reshape(-1, p.value.shape[-1])[chosen] for p, chosen in self._read]
        values = [table.ravel() for table in tables]
        self._values.append(_bounded(np.concatenate([*values, []])))

    def data(self, usual: NDArray[np.bool_]) -> dict[str, Any]:
        """Return all frames; the widest line is that of the usual ones, before a divergence."""
        values, start = np.array(self._values), 0
        sizes = np.abs(values[usual] if usual.any() else values)
        for part in self._parts:
            end = start + part["size"][0] * part["size"][1]
            own = sizes if self._columns else sizes[:, start:end]
            part["scale"] = float(np.quantile(own, 0.97)) or 1.0
            start = end
        return {"columns": self._columns, "parts": self._parts, "values": packed(values, "f4")}


class OverInputs:
    """The first output over the range of the inputs: a curve for one, a map for two.

    A map of classes has areas with hard edges.
    """

    def __init__(self, model: BaseModel, rows: Rows, labels: _Labels) -> None:
        self.labels = labels
        self.ranges = [_range(column) for column in rows.x.T]
        self.is_map = len(self.ranges) > 1
        self.areas = self.is_map and labels.right is not None and labels.width > 1
        self.size = _AREAS if self.areas else _MAP if self.is_map else _CURVE
        self.height = labels.range(rows, 0.0 if self.is_map else 0.1)
        across, *up = (np.linspace(*ends, self.size) for ends in self.ranges)
        grid = np.meshgrid(across, *(values[::-1] for values in up))
        self.grid = np.stack([values.ravel() for values in grid], axis=1).astype(model.dtype)
        self.frames: list[NDArray[Any]] = []
        chosen = _evenly(len(rows), _POINTS)
        classes = labels.right if self.is_map else None
        targets = rows.y.reshape(len(rows), -1)[:, 0] if classes is None else classes
        points = np.stack([*rows.x[chosen].T, targets[chosen]], axis=1)
        self.points = points.astype(float).round(4).tolist()

    def add(self, model: BaseModel) -> None:
        prediction = model.forward(self.grid, training=False)
        if self.areas:
            self.frames.append(self.labels.decide(prediction).astype(np.uint8))
        elif self.is_map:
            low, high = self.height
            share = np.nan_to_num((self.labels.shown(prediction) - low) / (high - low))
            self.frames.append((255 * share.clip(0, 1)).round().astype(np.uint8))
        else:
            self.frames.append(_bounded(self.labels.shown(prediction)))

    def data(self) -> dict[str, Any]:
        shared = {"points": self.points, "size": self.size, "border": self.labels.border}
        shared["values"] = packed(np.array(self.frames), "u1" if self.is_map else "f4")
        if not self.is_map:
            return {"kind": "curve", "x": self.ranges[0], "y": self.height, **shared}
        classes = 0 if self.labels.right is None else max(2, self.labels.width)
        x, y = self.ranges
        own = {"kind": "map", "x": x, "y": y, "values_from": self.height, "classes": classes}
        return {**own, **shared}


class Histograms:
    """The outputs of the layers over some rows."""

    def __init__(self, model: BaseModel, rows: Rows, labels: _Labels) -> None:
        self._rows = rows.take(np.array(_evenly(len(rows), 100)))
        self._layers: dict[str, list[NDArray[Any]]] = {}

    def add(self, model: BaseModel) -> None:
        leaves = _leaves(model, self._rows, len(self._rows))
        for i in _evenly(len(leaves), _LAYERS):
            values = leaves[i].output.ravel()
            kept = values[_evenly(values.size, _SAMPLE)]
            self._layers.setdefault(leaves[i].path, []).append(_bounded(kept))

    def data(self) -> dict[str, Any]:
        layers, counts = [], []
        for path, frames in self._layers.items():
            values = np.array(frames, float)
            low, high = _range(np.quantile(values, [0.005, 0.995]), 0.02)
            cells = ((values - low) / (high - low) * _BINS).clip(0, _BINS - 1).astype(np.intp)
            counted = np.array([np.bincount(frame, minlength=_BINS) for frame in cells])
            counts.append(255 * counted / counted.max(axis=1, keepdims=True))
            layers.append({"title": path, "range": [low, high]})
        shares = packed(np.stack(counts, axis=1).round(), "u1")
        return {"kind": "histograms", "layers": layers, "size": _BINS, "values": shares}


def spread(places: Sequence[float], most: int) -> list[int]:
    """Return the indices of at most `most` places: the first, the last, and evenly spaced ones.

    >>> spread([0, 1, 2, 3, 10, 20, 30], 4)
    [0, 4, 5, 6]
    """
    if len(places) <= most:
        return list(range(len(places)))
    chosen: list[int] = []
    for count in range(most, 4 * most):  # places that coincide leave room for more
        found = np.unique(np.searchsorted(places, np.linspace(places[0], places[-1], count)))
        if len(found) > most:
            break
        chosen = found.tolist()
    return chosen


def packed(values: NDArray[Any], dtype: str) -> str:
    """Compress numbers into text; they are little-endian."""
    return deflated(values.astype(f"<{dtype}").tobytes())


def deflated(content: bytes) -> str:
    """Compress bytes into text: raw deflate, in base64."""
    made = zlib.compressobj(wbits=-15)
    return base64.b64encode(made.compress(content) + made.flush()).decode()


def _leaves(model: BaseModel, rows: Rows, count: int) -> list[Traced]:
    """Return the steps of the first rows, without those of containers, and those inside layers.

    A layer that has parameters, such as a Dense with an activation, counts as one.
    """
    traced = model.network if model.network.transparent else model  # the same paths
    steps = trace(traced, rows.take(slice(count)).x, training=False).steps
    whole = tuple(f"{s.path}." for s in steps if s.layer.children and s.layer.own_parameters())
    outer = [step for step in steps if not step.path.startswith(whole)]
    return [s for s in outer if not s.layer.children or s.layer.own_parameters()]


def _evenly(size: int, most: int) -> list[int]:
    """Return at most `most` indices, evenly spaced."""
    indices: list[int] = np.linspace(0, size - 1, min(size, most)).round().astype(int).tolist()
    return indices


def _bounded(values: Array) -> NDArray[np.float32]:
    """Return numbers that a picture can hold."""
    return np.nan_to_num(values).clip(-1e30, 1e30).astype(np.float32)


def _range(values: NDArray[Any], margin: float = 0.05) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) or 0.5
    return low - room, high + room
