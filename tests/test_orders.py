from __future__ import annotations

import numpy as np
import pytest

from minigrad.data import permutation as orders
from minigrad.data.permutation import ComputedOrder, random_order
from minigrad.data.rows import Rows
from minigrad.util.random import RNG

SOURCES = [np.random.default_rng, np.random.RandomState]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("rows", [1, 2, 3, 10, 255, 256, 257, 4097, 100_000])
def test_a_computed_order_has_every_row_once(rows: int, source: type[RNG]) -> None:
    order = ComputedOrder(rows, source(1))[:]
    np.testing.assert_array_equal(np.sort(order), np.arange(rows), strict=True)


def test_its_slices_are_pieces_of_one_order() -> None:
    order = ComputedOrder(1000, np.random.default_rng(2))
    pieces = [order[start : start + 300] for start in range(0, 1000, 300)]
    assert [len(piece) for piece in pieces] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(pieces), order[:], strict=True)


def test_it_is_as_good_as_random() -> None:
    rows, count = 5000, 400
    rng = np.random.default_rng(3)
    found = np.stack([ComputedOrder(rows, rng)[:] for _ in range(count)])
    # Where a row comes, and what follows it, doesn't depend on which it is.
    where = np.argsort(found, axis=1)[:, [0, 1, rows // 2, rows - 1]]
    error = rows / np.sqrt(12 * count)
    assert (np.abs(where.mean(axis=0) - (rows - 1) / 2) < 4 * error).all()
    for order in found[:5]:
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 4 / np.sqrt(rows)
        assert abs(np.corrcoef(np.arange(rows), order)[0, 1]) < 4 / np.sqrt(rows)
    # One number stays where it was in a random order, as the mean of many: the fixed points.
    assert abs((found == np.arange(rows)).sum(axis=1).mean() - 1) < 4 / np.sqrt(count)


def test_every_order_is_another_and_a_seed_repeats_it() -> None:
    rng, same = np.random.default_rng(4), np.random.default_rng(4)
    first, second = ComputedOrder(100, rng)[:], ComputedOrder(100, rng)[:]
    assert (first != second).any()
    np.testing.assert_array_equal(first, ComputedOrder(100, same)[:], strict=True)


def test_few_rows_are_held_and_many_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(random_order(10, np.random.default_rng(0)), np.ndarray)
    monkeypatch.setattr(orders, "_MOST_HELD", 9)
    assert isinstance(random_order(10, np.random.default_rng(0)), ComputedOrder)
    rows = Rows(np.arange(10.0)[:, None], np.arange(10.0)[:, None])
    batches = [batch.x.ravel() for batch in rows.batches(4, np.random.default_rng(0))]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    seen = np.concatenate(batches)
    assert (seen != np.arange(10)).any()
    np.testing.assert_array_equal(np.sort(seen), np.arange(10.0), strict=True)
