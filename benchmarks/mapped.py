"""Peak of allocated memory while minigrad trains on a memory-mapped file."""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

from benchmarks.workloads import SEED, Data
from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid

PART = 100_000
BATCH_SIZE = 4096


def write(folder: Path, rows: int) -> Data:
    """The sum-of-two data in two files, written part by part and opened as read-only maps."""
    rng = np.random.default_rng(SEED)
    paths = [folder / name for name in ("x.npy", "y.npy")]
    x, y = (
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(rows, width))
        for path, width in zip(paths, (2, 1), strict=True)
    )
    for start in range(0, rows, PART):
        part = rng.random((min(PART, rows - start), 2))
        x[start : start + PART] = part
        y[start : start + PART] = part.sum(axis=1, keepdims=True)
    return Data(*(np.load(path, mmap_mode="r") for path in paths))


def main() -> None:
    """Print the peak in bytes of one epoch over a number of rows, shuffled or not."""
    rows, shuffle = int(sys.argv[1]), bool(int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as folder:
        data = write(Path(folder), rows)
        model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=SEED)
        model.compile(optimizer=SGD(learning_rate=0.5), loss=MSELoss())
        tracemalloc.start()
        model.fit(*data, batch_size=BATCH_SIZE, shuffle=shuffle, verbose=0)
        print(tracemalloc.get_traced_memory()[1])


if __name__ == "__main__":
    main()
