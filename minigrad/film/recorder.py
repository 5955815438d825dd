"""The film of a training run: a callback that keeps the parameters of some updates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
from typing_extensions import override

from minigrad.callbacks.base import Callback, EpochFunction
from minigrad.core.layer import walk
from minigrad.core.loss import Loss
from minigrad.core.trainer import DivergedError, Trainer
from minigrad.data.arrays import Array
from minigrad.data.by_name import Arrays, Data
from minigrad.explain import Explanation
from minigrad.explain.page import page as explanation_page
from minigrad.explain.passes import Pass
from minigrad.film.moments import moments
from minigrad.film.player import page, summary
from minigrad.film.scenes import Scenes, spread
from minigrad.models.last_good_epoch import weights_of
from minigrad.util.arguments import refuse_options
from minigrad.util.atomic import StrPath, atomic_write
from minigrad.util.names import missing
from minigrad.util.options import check_int, check_number
from minigrad.util.webpage import framed

_ROWS: Final = 2000
"""The most rows over which a film computes its loss."""
_BYTES: Final = 2**28
"""The most memory for parameters."""
_PAGES: Final = 600_000
"""The most characters of the explanations on a page."""
_NOTEBOOK_PAGES: Final = 300_000
"""The most in a notebook, which keeps them in its file."""


class Trainable(Protocol):
    """A `Model`, which opens this door and therefore can't be imported here."""

    def fit(self, *args: Any, **options: Any) -> Any: ...


def film(
    model: Trainable,
    x: Arrays,
    y: Arrays,
    *,
    frames: int = 300,
    title: str = "",
    lines: Mapping[str, float] | None = None,
    callbacks: Sequence[Callback | EpochFunction] = (),
    **options: Any,
) -> Film:
    """Train a model, and return a film of it; see `Film`.

    Training that diverges ends the film without an error. The other options are those of `fit`.
    """
    made = Film(x, y, frames=frames, title=title, lines=lines)
    refuse_options(options, film, model.fit)
    try:
        model.fit(x, y, callbacks=[*callbacks, made], **options)
    except DivergedError as error:
        made.ended = str(error)
    return made


class Frame(NamedTuple):
    """The parameters and buffers after an update of an epoch."""

    update: int
    epoch: int
    weights: list[Array]


class Film(Callback):
    """Records a training run, and writes a page that plays it; `Model.film` makes one.

    As a callback it records each `fit` that it is given to; a later `fit` of the same model
    continues the film. Training isn't changed: the film copies the parameters of some updates, and
    computes all else from them later. Early updates are recorded densely: the steps between frames
    grow with the 2/3 power of the update.

    Args:
        x: rows for the loss and the pictures; of more than 2,000, evenly spaced ones are used.
        y: a target for each row.
        frames: the most moments that are kept; fewer if their parameters would take over 128 MiB.
        title: the heading; by default the optimizer.
        lines: levels of the loss to draw beside its curve, by their labels.

    Attributes:
        ended: why training stopped early, if `Model.film` caught a `DivergedError`.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> film = Film([[0], [1]], [0, 1], frames=5)
    >>> history = model.fit([[0], [1]], [0, 1], epochs=60, callbacks=[film], verbose=0)
    >>> film.updates
    [0, 1, 9, 26, 60]
    >>> film.losses[1] == history["loss"][1]
    True
    """

    def __init__(
        self,
        x: Arrays,
        y: Arrays,
        *,
        frames: int = 300,
        title: str = "",
        lines: Mapping[str, float] | None = None,
    ) -> None:
        self.x, self.y = x, y
        self.frames = check_int(frames, "frames", self, least=2)
        self.title = title
        self.lines = {k: check_number(v, f"lines[{k!r}]", self) for k, v in (lines or {}).items()}
        self.ended = ""
        self._frames: list[Frame] = []

    if not TYPE_CHECKING:
        __getattr__ = missing

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        if not self._frames:
            self._begin(trainer)
        elif len(trainer.model.parameters.value) != len(self._model.parameters.value):
            raise ValueError("Film expects the model that it began with: make a film for each one")
        self._latest = self._frame(trainer, trainer.epoch)
        self._keep(self._latest)

    def _begin(self, trainer: Trainer) -> None:
        model: Any = trainer.model
        rows = model.objective(self.x, self.y, loss=trainer.loss).rows
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.intp)
        self._rows, self._rows_of = rows.take(chosen), len(rows)
        self._model, self.loss = copy.deepcopy(model), copy.copy(trainer.loss)
        self._model.trainer = None
        self.title = self.title or repr(trainer.optimizer)
        self._start = self._update = trainer.optimizer.steps
        size = sum(array.nbytes for array in weights_of(model)())
        self._most, self._gap = max(2, min(self.frames, _BYTES // (2 * size + 1))), 0.0

    @override
    def on_update_end(self, trainer: Trainer) -> None:
        self._update += 1
        if self._pace(self._update) >= self._pace(self._frames[-1].update) + self._gap:
            self._keep(self._frame(trainer, trainer.epoch + 1))

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._latest = self._frame(trainer, epoch)

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        self._keep(self._latest)
        if len(self._frames) > self._most:
            self._thin()
        vars(self).pop("_scenes", None)

    def _frame(self, trainer: Trainer, epoch: int) -> Frame:
        return Frame(self._update, epoch, [array.copy() for array in weights_of(trainer.model)()])

    def _keep(self, frame: Frame) -> None:
        new = not self._frames or frame.update > self._frames[-1].update
        if new and all(np.isfinite(array).all() for array in frame.weights):
            self._frames.append(frame)
        if len(self._frames) >= 2 * self._most:
            self._thin()

    def _thin(self) -> None:
        """Leave out frames, so that the others are evenly paced."""
        self._frames = [self._frames[i] for i in spread(self.paces, self._most)]
        self._gap = self.paces[-1] / self._most

    def _pace(self, update: int) -> float:
        return float((update - self._start) ** (1 / 3))

    @property
    def paces(self) -> list[float]:
        """The times at which the film shows its frames."""
        return [self._pace(update) for update in self.updates]

    @property
    def updates(self) -> list[int]:
        """The number of updates before each frame."""
        return [frame.update for frame in self._frames]

    @property
    def epochs(self) -> list[int]:
        """The epoch of each frame."""
        return [frame.epoch for frame in self._frames]

    @property
    def losses(self) -> list[float]:
        """The loss at each frame over the film's rows, with the regularizers, as in `evaluate`."""
        return self._scenes.losses

    @property
    def parameters(self) -> list[Array]:
        """The flat vector of all parameters at each frame."""
        return [frame.weights[0] for frame in self._frames]

    def explain(self, frame: int, *, row: int = 0) -> Explanation:
        """Return the explanation of one of the film's rows with the parameters of a frame.

        A model that can't train on a single row, since it has a BatchNorm, gets the next one too.

        Raises:
            IndexError: there is no such frame or row.
        """
        return Explanation(*self._moment(frame, row))

    def _moment(self, frame: int, row: int) -> tuple[Any, Data, Data, Loss]:
        if not 0 <= row < len(self._rows):
            raise IndexError(f"Film has rows 0 to {len(self._rows) - 1}, got {row}")
        least = max(layer.min_batch_size for _, layer in walk(self._model))
        rows = self._rows.take((row + np.arange(least)) % len(self._rows))
        return self.at(frame), rows.x, rows.y, self.loss

    def beside(self, *others: Film) -> Films:
        """Return films that play together, with one slider for their updates."""
        return Films([self, *others])

    def to_html(self, path: StrPath, *, row: int = 0) -> None:
        """Write a page that plays the film; it needs no network connection.

        Args:
            path: the file to create or replace.
            row: the row whose explanation the page opens.

        Raises:
            IndexError: there is no such row.
            OSError: the file can't be written.
        """
        Films([self]).to_html(path, row=row)

    def _repr_html_(self) -> str:
        return Films([self])._repr_html_()

    @cached_property
    def _scenes(self) -> Scenes:
        if not self._frames:
            raise RuntimeError("Film has no frames: pass it to fit, as in callbacks=[film]")
        scenes = Scenes(self._model, self.loss, self._rows)
        for frame in range(len(self._frames)):
            self.at(frame)
            scenes.add()
        return scenes

    def at(self, frame: int) -> Any:
        """Return the film's copy of the model with the parameters of a frame, until the next call.

        Raises:
            IndexError: there is no such frame.
        """
        kept_arrays = self._frames[frame].weights
        for array, kept in zip(weights_of(self._model)(), kept_arrays, strict=True):
            array[...] = kept
        return self._model

    def data(self, row: int, most: int) -> dict[str, Any]:
        """Return what the page shows, as plain data, with explanations of `most` characters."""
        scenes = self._scenes.data()
        of = f"{len(self._rows):,} of {self._rows_of:,}" if len(self._rows) < self._rows_of else ""
        ended = f" {self.ended[0].upper()}{self.ended[1:]}." if self.ended else ""
        explained, pages = moments(
            lambda frame: explanation_page(Pass(*self._moment(frame, row)), [0], cells=False),
            self.paces,
            most,
        )
        return {
            "title": self.title,
            "summary": summary(self.updates, self.losses) + ended,
            "ended": bool(self.ended),
            "lines": list(self.lines.items()),
            "updates": self.updates,
            "epochs": self.epochs,
            "rows": of or f"{self._rows_of:,}",
            "moments": explained,
            "pages": pages.text,
            "numbers": pages.numbers,
            **scenes,
        }

    @override
    def __repr__(self) -> str:
        if not self._frames:
            return f"Film(frames={self.frames}): pass it to fit"
        first, last = self.losses[0], self.losses[-1]
        counted = f"{len(self._frames)} frames of {self._update - self._start:,} updates"
        ended = ", diverged" if self.ended else ""
        return f"Film({counted}, loss {first:.4g} to {last:.4g}{ended})"


class Films:
    """Films that play together, with one slider; `Film.beside` makes one."""

    def __init__(self, films: Sequence[Film]) -> None:
        self.films = list(films)

    def to_html(self, path: StrPath, *, row: int = 0) -> None:
        """Write the page; arguments and errors as `Film.to_html`."""
        atomic_write(path, [self._page(row, _PAGES).encode()])

    def _page(self, row: int, most: int) -> str:
        return page([film.data(row, most // len(self.films)) for film in self.films], row)

    def _repr_html_(self) -> str:
        height = 860 if len(self.films) == 1 else 1200
        title = "A film of a training run" if len(self.films) == 1 else "Films of training runs"
        return framed(self._page(0, _NOTEBOOK_PAGES), title, height)

    @override
    def __repr__(self) -> str:
        return f"Films({', '.join(map(repr, self.films))})"
