"""The bits don't depend on the number of threads or the process."""

import subprocess
import sys

import numpy as np
import pytest

from minigrad import SGD, Dense, Dropout, Layer, MSELoss, Sequential, Sigmoid
from minigrad.core.gradient import thread_count
from minigrad.util.threads import ThreadPool

PROGRAM = """
import numpy as np
from minigrad import SGD, Dense, Sequential, Sigmoid
x = np.random.default_rng(0).uniform(size=(150_000, 2))
model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
model.fit(x, x.sum(axis=1), epochs=3, batch_size=None, verbose=0)
print(model.parameters.value.tobytes().hex(), end="")
"""


def trained(threads: int | None, *layers) -> Sequential:
    x = np.random.default_rng(0).uniform(size=(150_000, 2))
    model = Sequential([Dense(3), Sigmoid(), *layers, Dense(1)], input_shape=(2,), rng=4)
    model.compile(optimizer=SGD(learning_rate=0.5), loss=MSELoss())
    model.fit(x, x.sum(axis=1), epochs=3, batch_size=None, threads=threads, verbose=0)
    np.testing.assert_array_equal(
        model.predict(x, threads=threads), model.predict(x, threads=1), strict=True
    )
    return model


@pytest.mark.parametrize("threads", [2, 4, None])
@pytest.mark.parametrize("layers", [[], [Dropout(0.3)]], ids=["plain", "dropout"])
def test_number_of_threads_does_not_change_the_bits(threads: int | None, layers) -> None:
    one = trained(1, *[type(layer)(0.3) for layer in layers])
    several = trained(threads, *[type(layer)(0.3) for layer in layers])
    np.testing.assert_array_equal(one.parameters.value, several.parameters.value, strict=True)
    assert one.history == several.history


class Counts(Layer):
    """Counts the rows of its batches."""

    buffers = ("seen",)

    def build(self, input_shape, rng):
        self.seen = np.zeros(1)
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.seen = self.seen + len(x)
        return x.copy()

    def backward(self, delta):
        return delta.copy()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_buffers_see_every_block(threads: int) -> None:
    assert trained(threads, Counts())["counts_1"].seen == [450_000]


def test_same_bits_in_another_process() -> None:
    said = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)
    assert said == trained(2).parameters.value.tobytes().hex()


def test_error_in_a_thread_is_raised() -> None:
    def job(thread: int, item: str) -> None:
        if item == "b":
            raise ValueError("the second one")

    with ThreadPool(2) as pool, pytest.raises(ValueError, match="the second one"):
        pool.map(job, ["a", "b"])


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGRAD_THREADS", "3")
    assert thread_count() == 3
    assert thread_count(1) == 1
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match=rf"threads must be .* got {bad}"):
            thread_count(bad)  # type: ignore[arg-type]
    monkeypatch.setenv("MINIGRAD_THREADS", "two")
    with pytest.raises(ValueError, match=r"MINIGRAD_THREADS must be .* got 'two'"):
        thread_count()
