"""Charts with Matplotlib: metrics over epochs, values by layer, fitted functions, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array, as_data, check_finite
from minigrad.data.rows import as_pair
from minigrad.graphs.joint_loss import as_losses
from minigrad.metrics import confusion_matrix
from minigrad.trace import Traced, trace
from minigrad.util.optional import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_ROWS = 1000  # of a histogram
_MAX_VALUE = 1e300  # the difference of two larger numbers could overflow


def history(
    history: Mapping[str, Sequence[float]],
    *,
    names: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw losses or metrics over the epochs, on a logarithmic axis if they span a factor of 100.

    Args:
        history: a `History`, or lists of numbers by name; NaN leaves a gap.
        names: the lists to draw; by default "loss" and "val_loss".
        ax: Matplotlib axes; None makes a pyplot figure.

    Raises:
        ValueError: the history is empty, or has no list of that name.

    >>> from matplotlib.figure import Figure
    >>> ax = history({"loss": [0.5, 0.3], "mae": [0.6, 0.4]}, ax=Figure().add_subplot())
    >>> [line.get_label() for line in ax.lines]
    ['loss']
    """
    if not any(map(len, history.values())):
        raise ValueError("plots.history expects at least one epoch, got an empty history: call fit")
    if isinstance(names, str):
        names = [names]
    if names is None:
        names = [name for name in ("loss", "val_loss") if name in history] or list(history)
    for name in names:
        if name not in history:
            known = ", ".join(map(repr, history))
            raise ValueError(f"plots.history expects names among {known}, got {name!r}")
    ax = ax or _new_axes("history")
    for name in names:
        epochs = range(1, len(history[name]) + 1)
        ax.plot(epochs, history[name], label=name, marker="." if len(epochs) <= 30 else "")
    values = np.concatenate([history[name] for name in names])
    values = values[np.isfinite(values)]
    if values.size and 0 < values.min() <= values.max() / 100:
        ax.set_yscale("log")
    if ax.get_xscale() == "linear":
        ax.locator_params("x", integer=True)
    ax.set(xlabel="epoch", ylabel="loss" if {*names} <= {"loss", "val_loss"} else "value")
    ax.legend()
    return ax


def histograms(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss | str | None = None,
    axes: ArrayLike | None = None,
) -> NDArray[np.object_]:
    """Draw the distribution of each layer's output, and with y also of its delta and gradient.

    There is a row of axes for each layer: output, delta (dJ/doutput), gradients of the layer's own
    parameters. A container that returns its last layer's output has no row. Only the first 1,000
    rows of x are used. The model isn't changed.

    Args:
        model: a built model.
        x: rows of the model's input shape.
        y: a target for each row; without y only the outputs are drawn.
        loss: a loss or its name; by default the compiled one.
        axes: an array of Matplotlib axes, (layers, 3) with y and (layers, 1) without; None makes
            a pyplot figure. The result has this shape.

    Raises:
        RuntimeError: the model isn't built; or there is a y and no loss.
        TypeError, ValueError: data that the model or the loss refuses; another number of axes.

    >>> from matplotlib.figure import Figure
    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> x = np.random.default_rng(0).uniform(size=(100, 2))
    >>> histograms(model, x, x.sum(axis=1), loss="mse", axes=Figure().subplots(3, 3)).shape
    (3, 3)
    """
    rows, targets = _rows(model, x, y, "histograms")
    loss = getattr(model, "loss", None) if loss is None else as_losses(loss)
    if loss is None and targets is not None:
        raise RuntimeError("histograms with y expects a loss: pass loss=, or compile the model")
    targets = targets if targets is None else targets[:_MAX_ROWS]
    steps: dict[int, Traced] = {}
    rows = rows[:_MAX_ROWS].astype(getattr(model, "dtype", rows.dtype), copy=False)
    for step in trace(model, rows, targets, loss, training=y is not None).steps:
        if id(step.output) not in steps or any(step.layer.own_parameters()):
            steps[id(step.output)] = step
    columns = ["output"] if y is None else ["output", "delta", "gradient"]
    shape = len(steps), len(columns)
    if axes is None:
        axes = _new_axes("histograms", *shape, figsize=(4.0 * shape[1], 1.0 + 1.5 * shape[0]))
    grid = np.asarray(axes, dtype=object)
    if grid.size != shape[0] * shape[1]:
        raise ValueError(f"histograms expects axes of shape {shape}, got {grid.shape}")
    grid = grid.reshape(shape)
    for row, step in zip(grid, steps.values(), strict=True):
        gradients = [gradient.ravel() for gradient in (step.gradients or {}).values()]
        values = [step.output, step.delta, np.concatenate(gradients) if gradients else None]
        for ax, value in zip(row, values, strict=False):
            _histogram(ax, value)
        row[0].set_ylabel(step.path, fontsize="small")
    for ax, name in zip(grid[0], columns, strict=True):
        ax.set_title(name)
    return grid


def surface(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    output: int = 0,
    boundary: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the predictions over the range of x: a curve for one input, a map for two.

    Args:
        model: a built model of input shape (1,) or (2,).
        x: rows; with y they are drawn as points.
        y: a target for each row, or one for each output. On a map up to six different values are
            classes with a marker each; more are colors on the map's own scale.
        output: the index of the output to draw.
        boundary: a level to draw as a heavy line, such as 0.5 for a probability or 0 for a logit.
        ax: Matplotlib axes; None makes a pyplot figure.

    Raises:
        RuntimeError: the model isn't built.
        TypeError, ValueError: x isn't rows of one or two finite numbers; y has another number of
            rows; there is no such output, or it is nowhere finite.

    >>> from matplotlib.figure import Figure
    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> ax = surface(model, x, [0, 1, 1, 1], boundary=0.5, ax=Figure().add_subplot())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x[:, 0]', 'x[:, 1]')
    """
    points, targets = _rows(model, x, y, "surface")
    if model.input_shape not in ((1,), (2,)) or points.shape[1:] != model.input_shape:
        got = f"{model.input_shape} and x of shape {points.shape}"
        raise ValueError(f"surface expects input_shape (1,) or (2,) and rows of it, got {got}")
    inputs = points.shape[1]
    axis = [np.linspace(*_range(column), 401 if inputs == 1 else 101) for column in points.T]
    grid = np.meshgrid(*axis)
    with np.errstate(all="ignore"):  # an output that isn't finite isn't drawn
        rows = np.stack([values.ravel() for values in grid], axis=1)
        rows = rows.astype(getattr(model, "dtype", points.dtype))
        predicted = model.forward(rows, training=False)
    outputs = predicted.reshape(len(predicted), -1).astype(np.float64)
    if not 0 <= output < outputs.shape[1]:
        raise ValueError(f"surface expects output 0 to {outputs.shape[1] - 1}, got {output}")
    drawn = np.ma.masked_where(~(np.abs(outputs) <= _MAX_VALUE), outputs)[:, output]
    if not drawn.count():
        raise ValueError(f"surface expects finite predictions, got {outputs[0, output]} everywhere")
    if targets is not None and targets.ndim > 1:
        targets = targets[:, output if targets.shape[1] > 1 else 0]
    ax = ax or _new_axes("surface")
    ax.set_xlabel("x[:, 0]")
    if inputs == 2:
        _map(ax, axis, drawn.reshape(grid[0].shape), f"output {output}", boundary)
        if targets is not None:
            _scatter(ax, points, targets)
        return ax
    ax.plot(*axis, drawn, color="C1", label=f"output {output}")
    if targets is not None:
        ax.scatter(points[:, 0], targets, s=9, alpha=0.6, label="target")
    if boundary is not None:
        ax.axhline(boundary, color="black", linewidth=2, label=f"boundary {boundary:g}")
    ax.legend()
    return ax


def confusion(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the confusion matrix: a row for each true class, a column for each predicted class.

    The arguments and errors are those of `minigrad.confusion_matrix`.

    >>> from matplotlib.figure import Figure
    >>> ax = confusion([0, 1, 1], [0.9, 0.8, 0.1], ax=Figure().add_subplot())
    >>> [text.get_text() for text in ax.texts]
    ['0', '1', '1', '1']
    """
    counts = confusion_matrix(target, prediction, threshold=threshold)
    ax = ax or _new_axes("confusion")
    ax.imshow(counts, cmap="Blues", vmin=0)
    if len(counts) <= 20:  # numbers of more classes would overlap
        ax.set(xticks=range(len(counts)), yticks=range(len(counts)))
        for (i, j), count in np.ndenumerate(counts):
            color = "white" if 2 * count > counts.max() else "black"
            ax.text(j, i, f"{count:,}", ha="center", va="center", color=color)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def _new_axes(function: str, *shape: int, **options: Any) -> Any:
    """Make a pyplot figure, and return its axes."""
    pyplot = optional("matplotlib.pyplot", f"plots.{function}")
    return pyplot.subplots(*shape, layout="constrained", **options)[1]


def _rows(model: Layer, x: ArrayLike, y: ArrayLike | None, function: str) -> tuple[Array, Any]:
    """Check that the model is built, and return the rows and the targets as arrays."""
    if model.input_shape is None:
        raise RuntimeError(f"{function} expects a built model: pass it input_shape=, or call fit")
    rows, targets = (as_data(x, "x"), None) if y is None else as_pair(x, y)
    check_finite(rows, "x")
    return rows, targets


def _histogram(ax: Axes, values: Array | None) -> None:
    """Draw the values that are finite, and say how many are not."""
    ax.set_yticks([])
    if values is None:
        ax.set_axis_off()
        return
    shown = values[np.abs(values) <= _MAX_VALUE].astype(np.float64)
    if shown.size:
        ax.hist(shown, bins=40, range=_range(shown, margin=0.0))
        ax.locator_params("x", nbins=5)
    if missing := values.size - shown.size:
        ax.set_xlabel(f"{missing:,} of {values.size:,} values are not finite")


def _range(values: Any, margin: float = 0.05) -> tuple[float, float]:
    """Return the range of the values with a margin on both sides; it is never empty."""
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    wide = high - low > max(1e-9 * size, 1e-290)
    room = margin * (high - low) if wide else max(0.05 * size, 0.5)
    return low - room, high + room


def _map(ax: Axes, axis: Sequence[Array], values: Any, label: str, boundary: float | None) -> None:
    """Draw filled contours with a color bar, and the boundary."""
    from matplotlib.colors import CenteredNorm
    from matplotlib.ticker import MaxNLocator

    levels = np.asarray(MaxNLocator(10).tick_values(*_range(values, margin=0.0)))
    norm = None if boundary is None else CenteredNorm(boundary)
    cmap = "viridis" if boundary is None else "RdBu"
    contours = ax.contourf(*axis, values, levels, cmap=cmap, norm=norm)
    if boundary is not None and values.min() < boundary < values.max():
        ax.contour(*axis, values, [boundary], colors="black", linewidths=2)
    ax.figure.colorbar(contours, ax=ax, label=label)
    ax.set_ylabel("x[:, 1]")
    ax.locator_params(nbins=6)


def _scatter(ax: Axes, points: Array, targets: Any) -> None:
    """Draw the rows over a map: with a marker for each class, or in the colors of the map."""
    x, y = points.T
    if len(classes := np.unique(targets)) > 6:
        look: dict[str, Any] = {key: getattr(ax.collections[0], key) for key in ("cmap", "norm")}
        ax.scatter(x, y, c=targets, s=16, edgecolors="black", linewidths=0.5, **look)
        return
    form = "" if classes.dtype.kind in "OSU" else "g"
    colors = ("C1", "C0", "C2", "C3", "C4", "C5")  # of a film: class 0 is orange, class 1 blue
    for value, marker, color in zip(classes.tolist(), "os^Dv*", colors, strict=False):
        own = targets == value
        look = {
            "color": color,
            "marker": marker,
            "edgecolors": "white",
            "label": f"target {value:{form}}",
        }
        ax.scatter(x[own], y[own], s=24, linewidths=0.6, **look)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
