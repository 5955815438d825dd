"""The bits don't depend on the number of threads or the process."""

import subprocess
import sys
from threading import Thread

import numpy as np
import pytest

from minigrad import (
    GRU,
    SGD,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    MSELoss,
    MultiHeadAttention,
    Sequential,
    Sigmoid,
    check_layer,
)
from minigrad.blocks.block_gradient import BlockGradient, Plan, thread_count
from minigrad.util.threads import (
    ThreadPool,
    blas_functions,
    can_start_threads,
    one_blas_thread,
)

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


def sequences(threads: int | None, dtype: str) -> Sequential:
    layers = [Embedding(50, 16), MultiHeadAttention(2, causal=True), Dense(50)]
    model = Sequential(layers, input_shape=(64,), rng=4, dtype=dtype)
    model.compile(optimizer=SGD(learning_rate=0.5), loss="cross_entropy")
    x = np.random.default_rng(0).integers(50, size=(200, 64))
    assert Plan(model).rows < 67
    model.fit(x, x, epochs=2, batch_size=200, threads=threads, verbose=0)
    predictions = [model.predict(x, threads=count) for count in (threads, 1)]
    np.testing.assert_array_equal(*predictions, strict=True)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_of_sequences(dtype: str) -> None:
    one, *several = (sequences(threads, dtype) for threads in (1, 2, 3, None))
    for model in several:
        np.testing.assert_array_equal(model.parameters.value, one.parameters.value, strict=True)
        assert model.history == one.history


def rows_of(input_shape, *layers) -> int:
    return Plan(Sequential(list(layers), input_shape=input_shape, rng=4)).rows


def test_rows_in_a_block() -> None:
    image = (28, 28, 1)
    assert rows_of((64,), Dense(32)) == 2 * 2**20 // (8 * 96)
    assert rows_of((64,), Dense(2000), Dense(10)) == 1024
    assert rows_of(image, Conv2D(6, 5), Flatten(), Dense(10)) == 2 * (
        2**19 // (784 + 2 * 24 * 24 * 6 + 10)
    )
    assert rows_of(image, Conv2D(64, 5), Conv2D(64, 5)) == 2 * 8
    assert rows_of((64, 8), MultiHeadAttention(2)) == 2**19 // (64 * 8 * 6 + 64 * 64 * 2)
    assert rows_of((50, 200), GRU(100, return_sequences=True)) == 128
    assert rows_of((50,), Embedding(10_000, 64)) == 4 * 640_000 // (50 + 50 * 64)
    assert rows_of(image, Conv2D(6, 5), BatchNorm()) > 10**9


@pytest.mark.skipif(blas_functions() is None, reason="NumPy has another BLAS")
def test_number_of_blas_threads_is_restored() -> None:
    functions = blas_functions()
    assert functions is not None
    get_threads, set_threads = functions
    before = get_threads()
    set_threads(2)
    try:
        with one_blas_thread():
            with pytest.raises(ZeroDivisionError), one_blas_thread():
                raise ZeroDivisionError
            assert get_threads() == 1
        assert get_threads() == 2
        with ThreadPool(3, one_blas_thread=True) as pool:
            assert get_threads() == 2
            assert pool.map(lambda *_: get_threads(), range(9)) == [1] * 9
            assert get_threads() == 1
        assert get_threads() == 2
        pool = ThreadPool(1, one_blas_thread=True)
        assert pool.map(lambda *_: get_threads(), range(2)) == [1] * 2
        assert get_threads() == 2
        for layer, expected in (GRU(2), 1), (Dense(2), 2):
            model = Sequential([layer, Dropout(0.5)], input_shape=(3, 2), rng=0)
            with BlockGradient(model, MSELoss()):
                assert get_threads() == expected
            assert get_threads() == 2
    finally:
        set_threads(before)


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
        with pytest.raises(ValueError, match=rf"threads expects .* got {bad}"):
            thread_count(bad)  # type: ignore[arg-type]
    monkeypatch.setenv("MINIGRAD_THREADS", "two")
    with pytest.raises(ValueError, match=r"MINIGRAD_THREADS expects .* got 'two'"):
        thread_count()


@pytest.fixture
def no_threads(monkeypatch):
    """A platform without threads, as in a browser."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    can_start_threads.cache_clear()
    yield
    can_start_threads.cache_clear()


def test_without_threads_all_is_computed_in_one(no_threads):
    x = np.random.default_rng(0).uniform(size=(150_000, 2))
    model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    model.fit(x, x.sum(axis=1), epochs=1, batch_size=None, verbose=0, threads=4)
    assert ThreadPool(4).threads == 1
    assert model.predict(x, threads=4).shape == (150_000, 1)
    assert check_layer(Dense(3), (2,)).passed
