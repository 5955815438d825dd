"""What the page draws of a network: its units, its weights, and what it computes of the data."""

from __future__ import annotations

import base64
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.layers.activations import sigmoid
from minigrad.models.sequential import Sequential
from minigrad.playground.networks import blocks_of, outputs_of
from minigrad.playground.settings import Problem, Settings

_MAP: Final = 60
"""The points along an axis of the plane; the maps of units have every second of them."""
_LINE: Final = 120
_POINTS: Final = 600
_SAMPLES: Final = 40
_CURVE: Final = 400


class View:
    """The pictures of the networks for a problem.

    Its `kind` says what shows the data: "map" for two inputs, "curve" for one, "pictures" for
    digits, and "table" else.
    """

    def __init__(self, settings: Settings, problem: Problem) -> None:
        self.problem, inputs = problem, problem.axes
        self.kind = {1: "curve", 2: "map"}.get(inputs, "table")
        if settings.data == "digits":
            self.kind = "pictures"
        self.logits = "Logits" in settings.loss
        both = np.concatenate([problem.shown, problem.shown_test])
        self.ranges = [_range(column) for column in both.T]
        targets = np.concatenate([problem.y, problem.y_test]).astype(float)
        self.height = (0.0, 1.0) if problem.kind == "binary" else _range(targets, 0.0)
        if inputs <= 2:
            size = _MAP if inputs == 2 else _LINE
            across, *up = (np.linspace(*ends, size) for ends in self.ranges)
            grid = np.meshgrid(across, *(values[::-1] for values in up))
            self.grid = problem.features(np.stack([values.ravel() for values in grid], axis=1))
        names = [f"x{column}" for column in range(problem.inputs)]
        self.names = settings.features if inputs == 2 else names

    def data(self) -> dict[str, Any]:
        """Return what stays as it is while the network trains."""
        p, shown = self.problem, min(self.problem.axes, 64)
        rows: dict[str, Any] = {}
        for name, x, y in (("train", p.shown, p.y), ("test", p.shown_test, p.y_test)):
            most = _POINTS if self.kind in ("map", "curve") else _SAMPLES
            rows[name] = {
                "x": x[:most, :shown].round(5).tolist(), "y": p.targets(y[:most]), "count": len(x)
            }  # fmt: skip
        return {
            "kind": self.kind, "targets": p.kind, "inputs": p.inputs, "outputs": p.outputs,
            "names": self.names,
            "maps": _encoded([self._unit_maps(self.grid)]) if self.kind == "map" else None,
            "ranges": self.ranges, "height": self.height, "size": _MAP, **rows,
        }  # fmt: skip

    def picture(self, model: Sequential, row: int) -> dict[str, Any]:
        """Return what the present parameters make of the data; `row` is one to train with."""
        with np.errstate(all="ignore"):
            x, blocks = self.problem.x, blocks_of(model)
            one = outputs_of(model, blocks, x[row % len(x)][np.newaxis])
            made: dict[str, Any] = {
                "layers": [_layer(block.dense, block.path) for block in blocks],
                "values": [_numbers(values[0]) for values in one],
                "inputs": _numbers(x[row % len(x)]),
            }
            if self.kind in ("map", "curve"):
                *hidden, last = outputs_of(model, blocks, self.grid)
                made["units"] = _encoded([self._unit_maps(values) for values in hidden])
                made["plane"] = self._plane(last)
            else:
                shown = {"train": x, "test": self.problem.x_test}
                made["predicted"] = {
                    name: self._answers(outputs_of(model, blocks, rows[:_SAMPLES])[-1])
                    if len(rows)
                    else []
                    for name, rows in shown.items()
                }
        return made

    def _unit_maps(self, values: Array) -> NDArray[np.uint8]:
        """Return a map of each unit as bytes: 0 is 128, and the largest size 1 or 255."""
        units = values.T
        if self.kind == "map":
            units = units.reshape(len(units), _MAP, _MAP)[:, ::2, ::2].reshape(len(units), -1)
        largest = np.abs(units).max(axis=1, keepdims=True)
        largest = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        return _bytes(128 + 127 * units / largest)

    def _plane(self, last: Array) -> Any:
        if self.kind == "curve":
            return _numbers(last[:, 0])
        if self.problem.kind == "classes":
            return _encoded([last.argmax(axis=1).astype(np.uint8)])
        low, high = self.height
        share = (self._shown(last) - low) / ((high - low) or 1.0)
        return _encoded([_bytes(255 * share)])

    def _shown(self, last: Array) -> Array:
        """Return the first output, as a probability if it is a logit."""
        return sigmoid(last[:, 0]) if self.logits else last[:, 0]

    def _answers(self, last: Array) -> list[float | None]:
        if self.problem.kind == "classes":
            return last.argmax(axis=1).tolist()  # type: ignore[no-any-return]
        return _numbers(self._shown(last))


class Curve:
    """The losses of a run: every so many epochs a point, and never more than a curve needs."""

    def __init__(self) -> None:
        self.points: list[tuple[int, float | None, float | None]] = []
        self._gap = 1

    def add(self, epoch: int, train: float, test: float | None) -> None:
        """Add the losses after an epoch, unless the last point is near."""
        if self.points and epoch < self.points[-1][0] + self._gap:
            return
        self.points.append((epoch, finite(train), finite(test)))
        if len(self.points) > _CURVE:
            del self.points[1::2]
            self._gap = max(1, 2 * self._gap, (epoch - self.points[0][0]) // _CURVE)


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return value if value is not None and isfinite(value) else None


def _layer(dense: Any, path: str) -> dict[str, Any]:
    weight, bias = dense.weight.value, dense.bias.value
    return {"path": path, "weight": _numbers(weight.ravel()), "bias": _numbers(bias)}


def _numbers(values: Array) -> list[float | None]:
    """Return plain numbers of six digits; None is what isn't finite."""
    return [finite(float(f"{value:.6g}")) for value in values.tolist()]


def _bytes(values: Array) -> NDArray[np.uint8]:
    return np.nan_to_num(values, nan=128).clip(0, 255).round().astype(np.uint8)


def _encoded(arrays: list[NDArray[np.uint8]]) -> str:
    return base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode()


def _range(values: Array, margin: float = 0.1) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else 0.5
    return low - room, high + room
