"""A page's session: what it trains, driven by messages in JSON.

The same session runs behind the local server and in Pyodide. A message is an object with the name
of an action, "do", and its arguments; so is the answer, with "did", or with "error".
"""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.trainer import DivergedError
from minigrad.diagnose import diagnose
from minigrad.explain import Explanation
from minigrad.history import History
from minigrad.playground.long_film import Recording
from minigrad.playground.networks import (
    blocks_of,
    compile_model,
    make_model,
    make_regularizer,
    matrices,
)  # fmt: skip
from minigrad.playground.remedies import PRESETS, remedy
from minigrad.playground.script import Script
from minigrad.playground.settings import (
    ACTIVATIONS,
    FEATURES,
    INITIALIZERS,
    LOSSES,
    MOST_LAYERS,
    MOST_ROWS,
    MOST_UNITS,
    OPTIMIZERS,
    OUTPUTS,
    REGULARIZERS,
    Problem,
    Settings,
    check_points,
)  # fmt: skip
from minigrad.playground.sources import SOURCES
from minigrad.playground.views import Curve, View, finite
from minigrad.util.options import check_int, check_number

Answer: TypeAlias = dict[str, Any]

_LIVE: Final = {
    "learning_rate", "batch_size", "optimizer", "loss", "regularizer", "strength",
    "data", "rows", "noise", "test_share", "scale", "standardize", "points",
}  # fmt: skip
"""Settings that change while the network keeps its weights."""
_FRAMES: Final = 300
_MOST_LINK: Final = 1_000_000
_EXPLAINED: Final = 8


class EpochCount(History):
    """A history that counts epochs and keeps no numbers, so that a long run takes no memory."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    @override
    def append(self, logs: Mapping[str, float]) -> None:
        self._count += 1

    @property
    @override
    def epochs(self) -> int:
        return self._count


class Session:
    """Trains a network step by step as a page asks for it.

    >>> session = Session()
    >>> answer = json.loads(session.handle('{"do": "open", "settings": {"data": "xor"}}'))
    >>> answer["settings"]["data"], answer["epoch"]
    ('xor', 0)
    >>> json.loads(session.handle('{"do": "frame", "epochs": 2}'))["epoch"]
    2
    >>> json.loads(session.handle('{"do": "dance"}'))["error"]
    "there is no action 'dance'"
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._pace = 0.01  # seconds an epoch
        self._begin(Settings())

    def handle(self, message: str) -> str:
        """Answer a message. Work that needs only a copy is done outside the lock."""
        name: Any = None
        try:
            asked = json.loads(message)
            name = asked.pop("do", None)
            if name not in _ACTIONS:
                raise ValueError(f"there is no action {name!r}")
            with self._lock:
                answer = _ACTIONS[name](self, **asked)
            if callable(answer):
                answer = answer()
            return json.dumps({"did": name, **answer}, allow_nan=False)
        except Exception as error:  # whatever a message causes, the page shows it
            return json.dumps({"did": name, "error": str(error) or type(error).__name__})

    # The run

    def _begin(self, settings: Settings) -> None:
        """Begin with a new network."""
        self.settings, self.problem = settings, Problem(settings)
        self.model = make_model(settings, self.problem)
        assert self.model.trainer is not None
        self.model.trainer.history = EpochCount()
        self.view, self.curve = View(settings, self.problem), Curve()
        self.script = Script(settings)
        self.film = Recording(self.problem.x, self.problem.y, frames=_FRAMES)
        self.ended, self.trained = "", 0.0
        self._waiting: list[tuple[Any, ...]] = []
        self._measure()

    def _measure(self) -> None:
        """Compute the losses of the rows to train with and to test."""
        p = self.problem
        with np.errstate(all="ignore"):
            self.scores = {"train": self.model.evaluate(p.x, p.y)}
            if len(p.x_test):
                self.scores["test"] = self.model.evaluate(p.x_test, p.y_test)
        test = self.scores.get("test", {}).get("loss")
        self.curve.add(self.epoch, self.scores["train"]["loss"], test)

    @property
    def epoch(self) -> int:
        return self.model.history.epochs

    @property
    def steps(self) -> int:
        """The number of steps of this run."""
        return self.film.updates[-1] if self.film.updates else 0

    def _train(self, epochs: int) -> None:
        """Train for some epochs; a divergence ends the run."""
        p, start = self.problem, time.perf_counter()
        self.script.add(("fit", epochs))
        try:
            self.model.fit(
                p.x, p.y, epochs=epochs, batch_size=self.settings.batch_size,
                callbacks=[self.film], verbose=0,
            )  # fmt: skip
        except DivergedError as error:
            self.ended = self.film.ended = str(error)
            self._waiting = []
        spent = time.perf_counter() - start
        self.trained += spent
        self._pace += 0.3 * (spent / epochs - self._pace)

    def _replay(self, budget: float) -> None:
        """Make the next steps of a link's script."""
        end = time.perf_counter() + budget
        while self._waiting and time.perf_counter() < end:
            kind, *given = self._waiting.pop(0)
            if kind == "fit":
                (epochs,) = given
                now = min(epochs, max(1, int(budget / self._pace)))
                if epochs > now:
                    self._waiting.insert(0, ("fit", epochs - now))
                self._train(now)
            elif kind == "set":
                self._change(*given)
            else:
                self._set_weight(*given)

    def _change(self, changes: dict[str, Any]) -> bool:
        """Change settings; return whether the network kept its weights."""
        settings = self.settings.changed(changes)
        own, new = self.settings.get_config(), settings.get_config()
        changed = {name: value for name, value in new.items() if value != own[name]}
        problem = self.problem if not changed.keys() & _DATA else Problem(settings)
        began = bool(self.script.steps) and not self.ended
        if not (began and changed.keys() <= _LIVE and problem.fits(self.problem)):
            self._begin(settings)
            return False
        self.script.add(("set", changed))
        self.settings = settings
        if changed.keys() & {"optimizer", "loss"}:
            compile_model(self.model, settings, problem)
        elif "learning_rate" in changed and self.model.optimizer is not None:
            self.model.optimizer.learning_rate = settings.learning_rate
        if changed.keys() & {"regularizer", "strength"}:
            for weight in matrices(self.model):
                weight.regularizer = make_regularizer(settings)
        if problem is not self.problem or "loss" in changed:
            self.problem, self.view = problem, View(settings, problem)
        return True

    def _set_weight(self, layer: int, source: int | None, unit: int, value: float) -> None:
        """Set a weight of a layer, or a bias if it has no source."""
        blocks = blocks_of(self.model)
        value = check_number(value, "value", "weight")
        dense = blocks[check_int(layer, "layer", "weight", least=0)].dense
        shape = dense.weight.shape
        if not (0 <= unit < shape[1] and (source is None or 0 <= source < shape[0])):
            raise ValueError(f"the weights of this layer have the shape {shape}")
        if source is None:
            assert dense.bias is not None
            dense.bias.value[unit] = value
        else:
            dense.weight.value[source, unit] = value
        self.script.add(("weight", layer, source, unit, value))

    def _state(self, row: int = 0) -> Answer:
        """Return what a frame shows."""
        optimizer = self.model.optimizer
        scores = {k: {n: finite(v) for n, v in s.items()} for k, s in self.scores.items()}
        waiting = sum(step[1] if step[0] == "fit" else 1 for step in self._waiting)
        last = [self.epoch, *(scores.get(k, {}).get("loss") for k in ("train", "test"))]
        return {
            "epoch": self.epoch, "steps": optimizer.steps if optimizer else 0,
            "scores": scores, "curve": [*self.curve.points, last],
            "ended": self.ended, "waiting": waiting,
            "moments": len(self.film.updates), "learning_rate": self.settings.learning_rate,
            **self.view.picture(self.model, row),
        }  # fmt: skip

    def _all(self, row: int = 0) -> Answer:
        """Return what a frame shows, the settings and the data."""
        blocks = blocks_of(self.model)
        layers = [block.dense.weight.shape for block in blocks]
        return {
            "settings": self.settings.get_config(), "data": self.view.data(), "shapes": layers,
            "parameters": self.model.parameters.size, **self._state(row),
        }  # fmt: skip

    # The actions

    def open(self, settings: dict[str, Any] | None = None, link: str = "") -> Answer:
        """Begin with settings, or with those of a link, whose steps the next frames make again."""
        preset = ""
        if link.startswith("preset="):
            preset = link.removeprefix("preset=")
            if preset not in PRESETS:
                raise ValueError(f"there is no preset {preset!r}")
            self._begin(Settings(**PRESETS[preset].settings))
        elif link:
            given, steps = read_link(link)
            self._begin(Settings(**given))
            self._waiting = steps
        else:
            self._begin(Settings(**(settings or {})))
        choices = {
            "activation": ACTIVATIONS, "output": OUTPUTS, "initializer": INITIALIZERS,
            "optimizer": OPTIMIZERS, "regularizer": REGULARIZERS, "loss": LOSSES,
            "features": FEATURES, "layers": MOST_LAYERS, "units": MOST_UNITS,
        }  # fmt: skip
        presets = {
            name: {"title": p.title, "about": p.about, "settings": p.settings}
            for name, p in PRESETS.items()
        }
        return {"choices": choices, "presets": presets, "preset": preset, **self._all()}

    def change(self, settings: dict[str, Any], row: int = 0) -> Answer:
        """Change settings."""
        kept = self._change(settings)
        self._measure()
        return {"kept": kept, **self._all(row)}

    def restart(self, settings: dict[str, Any] | None = None) -> Answer:
        """Begin again, with the given settings or the present ones."""
        self._begin(self.settings if settings is None else Settings(**settings))
        return self._all()

    def frame(self, epochs: int = 0, budget: float = 0.025, row: int = 0) -> Answer:
        """Train for some epochs, or for about `budget` seconds."""
        before, trained = self.model.optimizer, self.trained
        made = before.steps if before else 0
        if self._waiting and not self.ended:
            self._replay(budget)
        elif not self.ended:
            self._train(check_int(epochs, "epochs", "frame", least=0) or self._affordable(budget))
        self._measure()
        state, passed = self._state(row), self.trained - trained
        return {**state, "made": max(0, state["steps"] - made), "seconds": passed}

    def _affordable(self, budget: float) -> int:
        return max(1, int(min(budget, 1.0) / self._pace))

    def weight(
        self, layer: int, source: int | None, unit: int, value: float, row: int = 0
    ) -> Answer:
        """Set a weight, or a bias if it has no source."""
        self._set_weight(layer, source, unit, value)
        self._measure()
        return self._state(row)

    def look(self, moment: int, row: int = 0) -> Answer:
        """Return what the network was at a moment of the film."""
        past = self.film.at(self._moment(moment))
        p = self.problem
        past.trainer = self.model.trainer
        scores = {"train": past.evaluate(p.x, p.y)}
        if len(p.x_test):
            scores["test"] = past.evaluate(p.x_test, p.y_test)
        past.trainer = None
        return {
            "moment": moment, "update": self.film.updates[moment],
            "scores": {k: {n: finite(v) for n, v in s.items()} for k, s in scores.items()},
            "at_epoch": self.film.epochs[moment], **self.view.picture(past, row),
        }  # fmt: skip

    def _moment(self, moment: int) -> int:
        if not 0 <= moment < len(self.film.updates):
            raise ValueError(f"the run has {len(self.film.updates)} moments, got {moment}")
        return moment

    def explain(
        self,
        row: int = 0,
        layer: int | None = None,
        unit: int = 0,
        source: int | None = None,
        part: str = "unit",
        moment: int | None = None,
    ) -> Callable[[], Answer]:
        """Return the page of a step on some rows that opens a unit, a weight or a bias."""
        model = self.model if moment is None else self.film.at(self._moment(moment))
        model, optimizer, loss = copy.deepcopy((model, self.model.optimizer, self.model.loss))
        assert loss is not None
        p, many = self.problem, min(_EXPLAINED, self.settings.batch_size)
        rows = (row + np.arange(max(2, many) if self.settings.batch_norm else many)) % len(p.x)
        x, y = p.x[rows], p.y[rows]
        path = None if layer is None else blocks_of(model)[layer].path

        def made() -> Answer:
            explanation = Explanation(model, x, y, loss, optimizer)
            selected: Any = None
            if path is not None:
                places = {"unit": unit, "bias": (unit,), "weight": (source, unit)}
                selected = (path, part, places[part])
            shown = range(min(2, len(rows)))
            return {"html": _page(lambda to: explanation.to_html(to, rows=shown, select=selected))}

        return made

    def make_film(self) -> Callable[[], Answer]:
        """Return the page that plays the run."""
        if len(self.film.updates) < 2:
            raise ValueError("the film has no frames yet: train first")
        film = copy.deepcopy(self.film)
        return lambda: {"html": _page(film.to_html)}

    def diagnose(self) -> Callable[[], Answer]:
        """Return the findings, each with the change that it asks for."""
        model, p, settings = copy.deepcopy(self.model), self.problem, self.settings

        def made() -> Answer:
            found = diagnose(model, p.x, p.y, batch_size=settings.batch_size)
            findings = []
            for one in found:
                change = remedy(one, settings)
                findings.append({
                    "kind": one.kind, "severity": one.severity, "title": one.title, "why": one.why,
                    "remedy": one.remedy, "action": change[0] if change else None,
                    "settings": change[1] if change else None,
                })  # fmt: skip
            return {"findings": findings, "notes": list(found.notes)}

        return made

    def code(self, library: str = "minigrad") -> Answer:
        """Return the program of this run."""
        if library not in SOURCES:
            raise ValueError(f"there is no code for {library!r}")
        return {"library": library, "text": SOURCES[library](self.script)}

    def link(self) -> Answer:
        """Return the settings and the steps of this run as text for an address."""
        return {"text": write_link(self.script)}

    def save(self) -> Answer:
        """Return the model as a file that `minigrad.load` reads."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            self.model.save(path)
            return {"file": base64.b64encode(path.read_bytes()).decode()}

    def paste(self, text: str, row: int = 0) -> Answer:
        """Take rows of numbers, the target last, in lines of comma-separated values."""
        return self.change({"data": "own", "points": read_table(text)}, row)


_DATA: Final = {
    "data", "rows", "noise", "test_share", "scale", "standardize", "features", "points", "seed"
}  # fmt: skip

_ACTIONS: Final[dict[Any, Callable[..., Any]]] = {
    "open": Session.open, "change": Session.change, "restart": Session.restart,
    "frame": Session.frame, "weight": Session.weight, "look": Session.look,
    "explain": Session.explain, "film": Session.make_film, "diagnose": Session.diagnose,
    "code": Session.code, "link": Session.link, "save": Session.save, "paste": Session.paste,
}  # fmt: skip


def read_table(text: str) -> list[list[float]]:
    r"""Return the rows of comma-separated values; a first line of names is left out.

    >>> read_table("a,b,target\n1,2,0\n3,4,1\n")
    [[1.0, 2.0, 0.0], [3.0, 4.0, 1.0]]
    """
    lines = text.strip().splitlines()
    delimiter = next((sign for sign in ",;\t" if lines and sign in lines[0]), ",")
    table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    rows = list[list[float]]()
    for number, row in enumerate(table, 1):
        try:
            rows.append([float(cell) for cell in row])
        except ValueError as error:
            if number > 1:
                raise ValueError(f"line {number} expects numbers, got {','.join(row)!r}") from error
    if len(rows) > MOST_ROWS:
        raise ValueError(f"a table has at most {MOST_ROWS} rows here, got {len(rows)}")
    return check_points(rows, "points", Settings())


def write_link(script: Script) -> str:
    """Write a run as text that an address can hold; `read_link` reads it.

    >>> script = Script(Settings(data="xor"))
    >>> script.add(("fit", 3))
    >>> read_link(write_link(script))
    ({'data': 'xor'}, [('fit', 3)])
    """
    script.check_complete()
    run = [script.settings.differences(), script.steps]
    packed = zlib.compress(json.dumps(run, separators=(",", ":")).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_link(text: str) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Read the settings and the steps of a link, which may come from anyone."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpacked = zlib.decompressobj()
        written = unpacked.decompress(packed, _MOST_LINK)
        settings, steps = json.loads(written)
        checked = [_checked_step(*step) for step in steps]
        if unpacked.unconsumed_tail or not isinstance(settings, dict):
            raise ValueError("too long")
    except Exception as error:
        raise ValueError("the link is damaged: copy the whole of it") from error
    return settings, checked


def _checked_step(kind: str, *given: Any) -> tuple[Any, ...]:
    if kind == "fit":
        (epochs,) = given
        return kind, check_int(epochs, "epochs", "link")
    if kind == "set":
        (changes,) = given
        return kind, dict(changes)
    layer, source, unit, value = given
    source = None if source is None else int(source)
    return "weight", int(layer), source, int(unit), float(value)


def _page(write: Callable[[Path], None]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        write(path)
        return path.read_text(encoding="utf-8")
