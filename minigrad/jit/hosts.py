"""Several processes that train one model together, as `jax.distributed.initialize` started them.

The jitted step is one program that runs in all of them; its batch is the batches of all. So all
must make the same calls. What Python decides (how many steps, whether to stop, an error, Ctrl-C),
they tell each other between the calls, in messages by the service that `initialize` started.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from minigrad.callbacks.base import Callback
from minigrad.core.layer import walk
from minigrad.core.trainer import Trainer
from minigrad.data.by_name import each
from minigrad.data.rows import Rows
from minigrad.data.stream import Stream
from minigrad.jit.devices import precisely
from minigrad.jit.state import buffers_of
from minigrad.util.display import Display
from minigrad.util.random import is_rng, rng_state

_MILLISECONDS = 500
"""How long a process waits for a message before it looks whether the sender has ended."""


class Hosts:
    """The processes of one `fit`; each gives its share of the rows.

    Attributes:
        count: how many processes there are.
        rows: of each process, where they aren't equally many: the smaller shares are padded by
            rows of weight 0.
    """

    _fits = 0

    def __init__(self) -> None:
        Hosts._fits += 1
        self._prefix = f"minigrad/{Hosts._fits}"
        self._round = 0
        self._me = jax.process_index()
        self.count = jax.process_count()
        self.rows: list[int] | None = None

    def begin(
        self,
        trainer: Trainer,
        data: Rows | Stream,
        validation: Rows | Stream | None,
        callbacks: Sequence[Callback],
    ) -> tuple[Rows | Stream, Rows | None, Sequence[Callback]]:
        """Return padded rows, the validation rows of all, and the callbacks of this process.

        Raises:
            ValueError: the models differ, or the data can't be shared.
        """
        if isinstance(validation, Stream):
            raise ValueError("several processes need arrays as validation_data, got an iterable")
        heard = self.agree(
            "begin",
            model=_digest(trainer),
            rows=len(data) if isinstance(data, Rows) else None,
            weighted=isinstance(data, Rows) and data.weight is not None,
            validation=0 if validation is None else len(validation),
        )
        if len({message["model"] for message in heard}) > 1:
            raise ValueError(
                "fit expects the same compiled model in each process, got others: build, compile, "
                "load and fit it alike, from the same rng, such as rng=0"
            )
        rows = [message["rows"] for message in heard]
        if isinstance(data, Rows) and None not in rows:
            if len({*rows}) > 1:
                self.rows = rows
                self._check_independent(trainer)
            if self.rows or any(message["weighted"] for message in heard):
                data = _padded(data, max(rows))
        shares = [message["validation"] for message in heard]
        if any(shares) and not all(shares):
            raise ValueError(f"fit expects validation data in each process, got {shares} rows")
        if validation is not None:
            whole = self.whole(_padded(validation, max(shares)))
            real = [np.arange(max(shares)) < share for share in shares]
            validation = whole.take(np.flatnonzero(real))
        if self._me:
            assert trainer.run is not None
            trainer.run.progress = Display()
            callbacks = [callback for callback in callbacks if not callback.writes_files]
        return data, validation, callbacks

    def agree(self, place: str, **said: Any) -> list[dict[str, Any]]:
        """Tell the others where this process is, and return what each says there.

        Raises:
            KeyboardInterrupt: another process was interrupted.
            RuntimeError: another process has failed, or is elsewhere.
            ConnectionError: another process ended.
        """
        self._round += 1
        said["place"] = place
        _client().key_value_set(f"{self._prefix}/{self._round}/{self._me}", json.dumps(said))
        heard = [
            said if process == self._me else self._hear(process) for process in range(self.count)
        ]
        with suppress(Exception):  # everyone has read it
            _client().key_value_delete(f"{self._prefix}/{self._round - 1}/{self._me}")
        for process, other in enumerate(heard):
            if other["place"] == "interrupted":
                raise KeyboardInterrupt
            if other["place"] == "failed":
                raise RuntimeError(f"fit ended, since process {process} failed: {other['error']}")
            if other["place"] != place:
                raise RuntimeError(
                    f"fit expects the same calls and batches in each process, got '{place}' in "
                    f"process {self._me} and '{other['place']}' in process {process}"
                )
        return heard

    def leave(self, error: BaseException | None, *, interrupted: bool) -> None:
        """Tell the others that this process leaves `fit`, and wait for them if all is well."""
        if error is None and not interrupted:
            self.agree("end")
            return
        stopped = error is None or isinstance(error, KeyboardInterrupt)
        said = {"place": "interrupted" if stopped else "failed"}
        said["error"] = f"{type(error).__name__}: {error}"
        with suppress(Exception):  # the service may have ended
            key = f"{self._prefix}/{self._round + 1}/{self._me}"
            _client().key_value_set(key, json.dumps(said))

    def whole(self, rows: Rows) -> Rows:
        """Return the rows of all processes; each has as many."""
        given = rows.x, rows.y, rows.weight
        with precisely(), connected():
            found = process_allgather(given)
        return Rows(*jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found))

    def real(self, numbers: Any) -> Any:
        """Return which rows of all processes' batch aren't padding, by their numbers in a share."""
        if self.rows is None:
            return slice(None)
        return np.concatenate([np.asarray(numbers) < rows for rows in self.rows])

    def _hear(self, process: int) -> Any:
        client = _client()
        while True:
            try:
                key = f"{self._prefix}/{self._round}/{process}"
                return json.loads(client.blocking_key_value_get(key, _MILLISECONDS))
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise ConnectionError(f"process {process} can't be reached") from error
            with suppress(jax.errors.JaxRuntimeError):
                client.key_value_try_get(f"minigrad/ended/{process}")
                raise ConnectionError(f"fit ended, since process {process} ended before")

    def _check_independent(self, trainer: Trainer) -> None:
        for _, layer in walk(trainer.model):
            if layer.batch_dependent:
                raise ValueError(
                    f"{layer.label} computes with all rows of a batch, and expects as many rows "
                    f"in each process, got {self.rows}: give each as many"
                )


@contextmanager
def connected() -> Iterator[None]:
    """Say what an error of JAX's communication means."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if not any(library in str(error) for library in ("Gloo", "NCCL")):
            raise
        raise ConnectionError(
            "fit ended, since another process ended or can't be reached"
        ) from error


def announce_end() -> None:
    """Tell the others when this process ends, if there are others."""
    if jax.distributed.is_initialized():
        atexit.unregister(_say_ended)
        atexit.register(_say_ended)


def _say_ended() -> None:
    with suppress(Exception):
        _client().key_value_set(f"minigrad/ended/{jax.process_index()}", "")


def _client() -> Any:
    """Return the service's client: keys and values, and reads that end after some time.

    JAX has no public way to it. What `multihost_utils` offers is a collective, which waits for a
    process that has ended.
    """
    from jax._src.distributed import global_state

    return global_state.client


def _digest(trainer: Trainer) -> str:
    """Return something short for all that must be the same in each process."""
    layers = [layer for _, layer in walk(trainer.model)]
    rngs = [rng for layer in layers for rng in vars(layer).values() if is_rng(rng)]
    arrays = [trainer.model.parameters.value, *trainer.optimizer.state.values()]
    arrays += [getattr(layer, name) for layer, name in buffers_of(trainer.model)]
    optimizer = trainer.optimizer
    options = optimizer.rate, optimizer.steps, trainer.epoch, trainer.epochs
    digest = blake2b(repr((options, [*map(rng_state, rngs)])).encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


def _padded(data: Rows, most: int) -> Rows:
    """Return so many rows with their weights; the last row is repeated with weight 0."""
    real = np.arange(most) < len(data)
    rows = data.take(slice(None) if all(real) else np.minimum(np.arange(most), len(data) - 1))
    weight = np.ones(most) if rows.weight is None else rows.weight
    weight = each(lambda w: w * real.reshape(-1, *[1] * (w.ndim - 1)), weight)
    return Rows(rows.x, rows.y, weight)
