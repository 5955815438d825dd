"""Find the loops of a program again, and run them as loops of JAX.

A recurrent layer's code is a loop over time steps, which the recording unrolls: the same
instructions come again and again. XLA takes minutes for so many, so they become a `lax.scan`. A
stretch of instructions is a loop if it repeats one period of them, each from the same place in the
code, and each number that one of them takes is, in all iterations,

- the same number from before the loop;
- of the same iteration, or of the one before (which is carried);
- one from before the loop for each iteration, such as a step of an earlier loop;
- a constant for each iteration, such as the index of the time step.

What isn't such a loop, or isn't long, stays unrolled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from minigrad.jit import operations
from minigrad.jit.program import Instruction, Value

_FEWEST = 8
"""A loop of fewer iterations stays unrolled, since XLA joins neighbouring operations."""
_SAVED = 64
"""How many instructions a loop must save."""
_NUMBERS = {operations.apply, operations.full, operations.index, operations.put}
"""What takes a computed number where a step has a number of Python's."""


class Loop(NamedTuple):
    """`iterations` of `period` instructions, from instruction `start` on.

    `read` are the places in the period whose results are read after the loop. One more iteration
    follows unrolled, so that of large arrays, which each iteration changes, only the last is read.
    """

    start: int
    period: int
    iterations: int
    read: frozenset[int]

    @property
    def stop(self) -> int:
        """The instruction after the loop."""
        return self.start + self.iterations * self.period

    def run(self, instructions: Sequence[Instruction], known: dict[Any, Any]) -> Any:
        """Return the results by instruction; none if the loop must stay unrolled after all."""
        try:
            return self._scanned(instructions, known)
        except Exception:  # an array changes its form, or a function wants a constant
            return {}

    def _scanned(self, instructions: Sequence[Instruction], known: dict[Any, Any]) -> Any:
        start, period, count = self.start, self.period, self.iterations
        carried: dict[Any, Any] = {}  # (place in the period, first value): its first number
        each: list[Any] = []  # what each iteration is given
        body: list[tuple[Instruction, Any, list[tuple[str, Any]]]] = []
        for i in range(start, start + period):
            flat = [_flat(instructions[i + k * period]) for k in range(count)]
            sources: list[tuple[str, Any]] = []
            for given in zip(*(leaves for leaves, _ in flat), strict=True):
                kind, where = "constant", given[0]
                if isinstance(given[0], Value):
                    places = np.array([value.index for value in given])
                    kind, where = _source(places, start, period)
                    if kind == "constant":
                        where = known[where]
                    elif kind == "carried":
                        carried[where] = jnp.asarray(known[where[1]])
                    elif kind == "each":
                        where = len(each)
                        each.append(_stacked(places, known))
                elif _movable(instructions[i], where) and any(_differ(a, where) for a in given):
                    kind, where = "each", len(each)
                    each.append(np.stack(given))
                sources.append((kind, where))
            body.append((instructions[i], flat[0][1], sources))

        def iteration(carry: Any, given: Any) -> tuple[Any, Any]:
            local: list[Any] = []
            numbers = {"carried": carry, "each": given, "local": local}
            for instruction, form, sources in body:
                leaves = [numbers[k][w] if k in numbers else w for k, w in sources]
                local.append(instruction.run(*jax.tree.unflatten(form, leaves)))
            return {key: local[key[0]] for key in carry}, {i: local[i] for i in self.read}

        carry, reports = jax.lax.scan(iteration, carried, each, length=count)
        found: dict[Any, Any] = {start + (count - 1) * period + i: a for (i, _), a in carry.items()}
        for place, rows in reports.items():
            for k in range(count):
                found[start + k * period + place] = rows[k]
                found["row", start + k * period + place] = rows, k
        return found


def _flat(instruction: Instruction) -> Any:
    """Return what an instruction takes, and the form of its arguments."""
    return jax.tree.flatten((instruction.arguments, instruction.options))


def _movable(instruction: Instruction, leaf: Any) -> bool:
    """Return whether a constant may be another one in each iteration."""
    if isinstance(leaf, (np.ndarray, operations.Start)):
        return True
    number = isinstance(leaf, (int, float, np.number)) and not isinstance(leaf, bool)
    return number and instruction.function in _NUMBERS


def _differ(one: Any, two: Any) -> bool:
    return not np.array_equal(one, two)


def _source(places: Any, start: int, period: int) -> tuple[str, Any]:
    """Return where the iterations find a number, for the instructions that give it to each."""
    own = places - start - period * np.arange(len(places))
    if own[0] >= 0 and (own == own[0]).all():
        return "local", int(own[0])
    if (places >= start)[0]:
        return "", None
    if (places == places[0]).all():
        return "constant", int(places[0])
    if -period <= own[1] < 0 <= own[1] + period and (own[1:] == own[1]).all():
        return "carried", (int(own[1]) + period, int(places[0]))
    return ("each", None) if (places < start).all() else ("", None)


def _stacked(places: Any, known: dict[Any, Any]) -> Any:
    """Return the results of some instructions in one array."""
    runs: list[tuple[Any, list[int]]] = []  # of an earlier loop, forwards or backwards
    for n in map(int, places):
        rows, number = known.get(("row", n), (known[n][None], 0))
        if runs and rows is runs[-1][0] and {*np.diff([*runs[-1][1], number])} in ({1}, {-1}):
            runs[-1][1].append(number)
        else:
            runs.append((rows, [number]))
    pieces = [rows[min(ns) : max(ns) + 1][:: 1 if ns[0] <= ns[-1] else -1] for rows, ns in runs]
    return jnp.concatenate(pieces)


def find_loops(instructions: Sequence[Instruction], outputs: Any) -> dict[int, Loop]:
    """Return the loops of a program, by their first instruction."""
    if len(instructions) < _SAVED + _FEWEST:
        return {}
    numbers: dict[Any, int] = {}
    names = np.array([numbers.setdefault(_name(i), len(numbers)) for i in instructions])
    taken = [[v.index for v in _flat(i)[0] if isinstance(v, Value)] for i in instructions]
    free = np.ones(len(names), bool)
    found: list[tuple[int, int, int]] = []
    for start, stop, period in sorted(_repeats(names), key=lambda r: r[0] + r[2] - r[1]):
        for first in range(start, min(start + period, stop - _FEWEST * period + 1)):
            count = (stop - first) // period
            place = slice(first, first + count * period)
            if free[place].all() and _is_loop(taken[place], first, period, count):
                free[place] = False
                found.append((first, period, count))
                break
    read = [(n, at) for at, values in enumerate(taken) for n in values]
    read += [(v.index, len(names)) for v in jax.tree.leaves(outputs) if isinstance(v, Value)]
    return {first: _loop(first, period, count - 1, read) for first, period, count in found}


def _name(instruction: Instruction) -> Any:
    """Return what is equal for the instructions that may be one in a loop."""
    leaves, form = _flat(instruction)
    names = [
        "value" if isinstance(leaf, Value)
        else (leaf.shape, leaf.dtype) if isinstance(leaf, np.ndarray)
        else type(leaf) if _movable(instruction, leaf)
        else repr(leaf)
        for leaf in leaves
    ]  # fmt: skip
    return (instruction.function, form, *names, instruction.shape, *instruction[4:])


def _repeats(names: Any) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop, period) of the stretches that repeat a period."""
    order = np.argsort(names, kind="stable")
    gaps = np.diff(order)[np.diff(names[order]) == 0]
    periods, counts = np.unique(gaps, return_counts=True)
    for period in periods[counts >= _FEWEST - 1]:
        same = np.concatenate([[0], names[period:] == names[:-period], [0]])
        edges = np.flatnonzero(np.diff(same))
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            if end - first >= max(_SAVED, (_FEWEST - 1) * period):
                yield int(first), int(end + period), int(period)


def _is_loop(taken: Sequence[list[int]], start: int, period: int, count: int) -> bool:
    """Return whether the numbers that the iterations take come from where a loop's do."""
    parts = [[*chain(*taken[k * period : (k + 1) * period])] for k in range(count)]
    kinds = {_source(places, start, period)[0] for places in np.array(parts).T}
    return "carried" in kinds and "" not in kinds


def _loop(start: int, period: int, count: int, read: list[tuple[int, int]]) -> Loop:
    stop = start + count * period
    following = range(stop, stop + period)
    used = {
        n - start
        for n, at in read
        if start <= n < stop <= at and not (n >= stop - period and at in following)
    }
    return Loop(start, period, count, frozenset(n % period for n in used))
