"""Can a file do harm? `python -m trials.strangers` loads files that were changed at random.

Whatever a file holds, `minigrad.load` returns a model or raises `FileFormatError`. An audit hook
sees that it imports, opens and runs nothing else. With the package atheris, the changes are guided
by the lines that they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.util
import json
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

FILE = Path(tempfile.mkdtemp()) / "stranger.safetensors"
TEXT = """
Dense Sequential Model LSTM Bidirectional MultiHeadAttention SGD Adam MSELoss PCG64 MT19937 array.0
os.system builtins.eval __import__ eval exec open subprocess.run minigrad.load pickle.loads lambda
../../etc/passwd /etc/passwd class config items array function layers input_shape float32 weight
axis units activation rng __class__ __init__ __reduce__ state bit_generator dense bias
"""
NAMES = TEXT.split()
NUMBERS = [-1, 0, 1, 2, 3, 0.5, 1e300, 2**31, 2**63, 10**12, 10**30, True, float("nan")]
ROOMS = "util", "data", "core", "graphs", "models", "layers", "metrics", "saving"
OWN = ["difflib", "minigrad.summary"]
OWN += [
    f"minigrad.{room}.{p.stem}" for room in ROOMS for p in Path("minigrad", room).glob("[a-z]*")
]
"""What a message may need."""
ALLOWED = {
    "object.__getattr__",
    "object.__setattr__",
    "sys._getframe",
    "sys._getframemodulename",
    "array.__new__",
    "builtins.id",
    "open",
    "cpython.run_interactivehook",
}
"""Events of the audit hook that say nothing; `open` is looked at."""


class Watch:
    """Notes what the interpreter does beside reading the file."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[str] = []
        sys.addaudithook(self.see)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Keep an event, unless it is the file's own opening."""
        if not self.on:
            return
        own = event == "open" and str(arguments[0]) == str(FILE) and "w" not in str(arguments[1])
        if event not in ALLOWED or (event == "open" and not own):
            self.events.append(f"{event} {arguments!r:.200}")


class Trial:
    """Loads files, and counts what became of them."""

    def __init__(self, kind: str) -> None:
        import minigrad
        from minigrad.saving import safetensors

        self.kind, self.load, self.safetensors = kind, minigrad.load, safetensors
        self.models = self.refused = 0
        self.slowest = 0.0
        self.seeds = [self.packed(model) for model in seeds()]
        for module in OWN:  # what the library itself imports once is imported now
            importlib.import_module(module)
        for seed in self.seeds:
            self.try_(seed)
        self.models = self.refused = 0
        self.watch = Watch()

    def packed(self, model: Any) -> bytes:
        """Return the bytes that a change starts from: a file, or the JSON of its model."""
        model.save(FILE)
        if self.kind == "file":
            return FILE.read_bytes()
        tensors, metadata = self.safetensors.load(FILE)
        document = json.loads(metadata["model"])
        shapes = {n: [t.dtype.name, list(t.shape)] for n, t in tensors.items() if t.size < 1000}
        return json.dumps([document, shapes]).encode()

    def unpack(self, data: bytes) -> bytes:
        """Return the file that the bytes stand for."""
        if self.kind == "file":
            return data
        import numpy as np

        document, shapes = json.loads(data)
        arrays = {n: np.zeros(shape, dtype) for n, (dtype, shape) in shapes.items()}
        metadata = {"format": "minigrad", "version": "1", "minigrad": "0.1.0"}
        metadata["model"] = json.dumps(document)
        return b"".join(self.safetensors.dumps(arrays, metadata))

    def changed(self, data: bytes, rng: random.Random) -> bytes:
        """Return the bytes with a few changes."""
        if self.kind == "file":
            return changed_file(data, rng)
        try:
            tree = json.loads(data)
        except ValueError:
            tree = json.loads(rng.choice(self.seeds))
        for _ in range(rng.choice([1, 1, 2, 4])):
            change(tree if rng.random() < 0.1 else tree[0], rng)
        return json.dumps(tree).encode()

    def try_(self, data: bytes) -> None:
        """Load what the bytes stand for; any harm is an AssertionError."""
        try:
            file = self.unpack(data)
        except (ValueError, TypeError, AttributeError, OverflowError, MemoryError):
            return  # arrays that can't be made
        FILE.write_bytes(file)
        watch = getattr(self, "watch", None)
        begin = time.process_time()
        if watch:
            watch.events.clear()
            watch.on = True
        try:
            with warnings.catch_warnings(action="ignore"):
                self.load(FILE)
            self.models += 1
        except self.safetensors.FileFormatError:
            self.refused += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        finally:
            if watch:
                watch.on = False
        seconds = time.process_time() - begin
        self.slowest = max(self.slowest, seconds)
        assert seconds < 5, f"it took {seconds:.0f} s"
        assert not (watch and watch.events), f"it did {watch.events[:3]}"

    def summary(self, tried: int) -> str:
        """Return the figures."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"{self.kind}: {tried} changes, {self.refused} files refused, {self.models} loaded; "
            f"at most {self.slowest:.2f} s and {peak} MB; nothing imported, opened or run"
        )


def seeds() -> list[Any]:
    """Return small models of many kinds."""
    import numpy as np

    import minigrad as m

    a, b = m.Input((4,), name="a"), m.Input((3,), name="b")
    graph = m.Model(inputs=[a, b], outputs=m.Dense(2)(m.Concatenate()(m.Dense(3)(a), b)), rng=0)
    graph.compile(optimizer="adam", loss="mse", metrics=["mae"])
    chain = m.Sequential(
        [m.Dense(3, activation="relu"), m.Dropout(0.2), m.BatchNorm(), m.Dense(1)],
        input_shape=(4,),
        rng=0,
    )
    rate = m.Warmup(0.1, warmup_steps=3)
    chain.compile(optimizer=m.SGD(learning_rate=rate, momentum=0.9), loss="mse", metrics=["mae"])
    chain.fit(np.ones((8, 4)), np.ones(8), epochs=2, verbose=0)
    text = m.Sequential(
        [m.Embedding(9, 4), m.Bidirectional(m.LSTM(3, return_sequences=True)), m.LayerNorm()],
        input_shape=(5,),
        rng=np.random.RandomState(0),
    )
    pictures = m.Sequential(
        [m.Conv2D(2, 3), m.ReLU(), m.MaxPooling2D(2), m.Flatten(), m.Dense(2)],
        input_shape=(8, 8, 1),
        rng=0,
        dtype="float32",
    )
    pictures.compile(optimizer="adamw", loss=m.CrossEntropyLoss(label_smoothing=0.1))
    layers = [m.MultiHeadAttention(2), m.GlobalAveragePooling1D()]
    attention = m.Sequential(layers, input_shape=(4, 6), rng=0)
    return [chain, graph, text, pictures, attention]


def changed_file(data: bytes, rng: random.Random) -> bytes:
    """Return a file with a change in its bytes or in its header."""
    changed = bytearray(data)
    if rng.random() < 0.5 and len(data) > 8:
        (length,) = struct.unpack("<Q", data[:8])
        try:
            header = json.loads(data[8 : 8 + length])
            change(header, rng)
            text = json.dumps(header).encode()
            text += b" " * (-len(text) % 8)
            return struct.pack("<Q", len(text)) + text + data[8 + length :]
        except (ValueError, AttributeError, TypeError):
            pass
    for _ in range(rng.choice([1, 2, 8])):
        place = rng.randrange(len(changed) + 1)
        span = slice(place, place + rng.choice([0, 1, 8]))
        changed[span] = rng.randbytes(rng.choice([0, 1, 8]))
    return bytes(changed)


def change(tree: Any, rng: random.Random) -> None:
    """Change one place of a tree of lists and dicts."""
    places = [*every_place(tree)]
    if not places:
        return
    inner, key = rng.choice(places)
    way = rng.randrange(6)
    if way == 0:
        inner[key] = value(rng)
    elif way == 1:
        other, its = rng.choice(places)
        inner[key] = copy.deepcopy(other[its])
    elif way == 2:
        del inner[key]
    elif way == 3 and isinstance(inner, dict):
        inner[rng.choice(NAMES)] = inner.pop(key)
    elif way == 4 and isinstance(inner, list):
        inner.insert(key, copy.deepcopy(inner[key]))
    elif isinstance(inner[key], (int, float)):
        inner[key] = rng.choice(NUMBERS)
    else:
        inner[key] = rng.choice(NAMES)


def every_place(tree: Any) -> Any:
    """Yield each container with each of its keys."""
    if isinstance(tree, (dict, list)):
        for key in [*tree] if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from every_place(tree[key])


def value(rng: random.Random, depth: int = 0) -> Any:
    """Return any value of JSON."""
    way = rng.randrange(5 if depth < 3 else 3)
    if way == 0:
        return rng.choice(NUMBERS)
    if way == 1:
        return rng.choice(NAMES)
    if way == 2:
        return rng.choice([None, "", [], {}])
    if way == 3:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    kinds = (["class", "config"], ["items"], ["array"], ["function"], [rng.choice(NAMES)])
    return {key: value(rng, depth + 1) for key in rng.choice(kinds)}


def guided(kind: str, runs: int, seed: int) -> None:
    """Let atheris choose the changes; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["minigrad.saving", "minigrad.util", "minigrad.core"]):
        trial = Trial(kind)
    corpus = FILE.parent / "corpus"
    corpus.mkdir()
    for number, data in enumerate(trial.seeds):
        (corpus / str(number)).write_bytes(data)
    tried = 0

    def one(data: bytes) -> None:
        nonlocal tried
        tried += 1
        with contextlib.suppress(UnicodeDecodeError):
            trial.try_(data)
        if tried == runs:
            print(trial.summary(tried), "(guided)", flush=True)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        return trial.changed(data, random.Random(seed))

    options = [
        f"-atheris_runs={runs}",
        f"-seed={seed + 1}",
        "-max_len=20000",
        "-rss_limit_mb=4000",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Try both kinds of changes; 1 if one does harm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["file", "model"])
    parser.add_argument("--runs", type=int, default=5000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    if len(options.kinds) > 1:
        command = [sys.executable, "-m", "trials.strangers", f"--runs={options.runs}"]
        command += [f"--seed={options.seed}", *["--plain"] * options.plain]
        return max(subprocess.run([*command, kind]).returncode for kind in options.kinds)
    (kind,) = options.kinds
    if importlib.util.find_spec("atheris") and not options.plain:
        guided(kind, options.runs, options.seed)
        return 0
    trial, rng = Trial(kind), random.Random(options.seed)
    pool = list(trial.seeds)
    for _ in range(options.runs):
        data = trial.changed(rng.choice(pool), rng)
        before = trial.models
        try:
            trial.try_(data)
        except AssertionError as error:
            print(f"{kind}: FAILED: {error}\n{data[:3000]!r}", file=sys.stderr)
            return 1
        if trial.models > before and len(pool) < 500:
            pool.append(data)  # a changed model that still loads leads further
    print(trial.summary(options.runs), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
