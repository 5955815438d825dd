"""Reads and writes of parts of arrays, simplified when they are written down.

Layers keep the steps of a sequence in one array, and change it in place: `z[t] += shift`. In a
program each write gives a new array. So a read of what was just written takes the number that was
written, not the array, and a write drops one before that it covers. Then a loop over time steps
passes a step's numbers on, and not whole arrays, which XLA would copy.
"""

from __future__ import annotations

from typing import Any

from minigrad.jit import operations
from minigrad.jit.program import Program, Value

_DEPTH = 4
"""How many writes before the last are searched for a number."""
_FILLED = 4
"""A part of so many times the length of another is a whole array, the other one a step's."""


def append(program: Program, function: Any, arguments: Any, options: Any, form: Any) -> Value:
    """Append an instruction to a program, or a simpler one; return the value that it gives.

    `form` is the shape and the dtype of the result.
    """
    if function is operations.part:
        array, *place, shape = arguments
        return _read(program, array, tuple(place), shape, form[1])
    if function is operations.put_part:
        below, *place, new = arguments
        while (before := _write(program, below)) and _inside(before[1:4], place):
            below = before[0]
        value = program.append(function, (below, *place, new), {}, *form)
        base, low, high = below, *_bounds(place)
        if (before := _write(program, below)) and _like(before[2], place[1]):
            base, low, high = program.written[below.index]
        own_low, own_high = _bounds(place)
        program.written[value.index] = base, [*map(min, low, own_low)], [*map(max, high, own_high)]
        return value
    if function is operations.reshape and arguments[2] == "C":
        return _reshaped(program, arguments[0], arguments[1], form[1])
    if function is operations.reshaped and arguments[2] == "C":
        return _reshaped(program, arguments[3], arguments[1], form[1])
    if function is operations.assigned and len(arguments) == 3:
        new = program.instructions[arguments[0].index] if _is_value(arguments[0]) else None
        if new is not None and (new.shape, new.dtype) == form:
            return arguments[0]  # type: ignore[no-any-return]
    return program.append(function, arguments, options, *form)


def _is_value(x: Any) -> bool:
    return isinstance(x, Value)


def _write(program: Program, array: Value) -> tuple[Any, ...] | None:
    """Return the arguments of the write that gave an array, if one did."""
    instruction = program.instructions[array.index]
    return instruction.arguments if instruction.function is operations.put_part else None


def _read(
    program: Program,
    array: Value,
    place: tuple[Any, Any, Any],
    shape: Any,
    dtype: Any,
    depth: int = _DEPTH,
) -> Value:
    """Return a part of an array: of what was written there, if it is known."""
    starts, lengths, steps = place
    if depth > 0 and (write := _write(program, array)):
        below, *there, new = write
        if place == tuple(there):
            return _reshaped(program, new, shape, dtype)
        if _disjoint(place, there) and _like(lengths, there[1]):
            return _read(program, below, place, shape, dtype, depth - 1)
        if {*steps, *there[2]} == {1} and (starts[0], lengths[0]) == (there[0][0], there[1][0]):
            (low, high), (least, most) = _bounds(place), _bounds(there)
            low, high = [*map(max, low, least)], [*map(min, high, most)]
            common = tuple(b - a for a, b in zip(low, high, strict=True))
            new = _reshaped(program, new, there[1], dtype)
            new = _read(program, new, (_less(low, least), common, steps), common, dtype)
            if common != lengths:  # a write into the part
                old = _read(program, below, place, lengths, dtype, depth - 1)
                arguments = old, _less(low, starts), common, steps, new
                new = program.append(operations.put_part, arguments, {}, lengths, dtype)
            return _reshaped(program, new, shape, dtype)
    base, *box = program.written.get(array.index, (array, (), ()))
    low, high = _bounds(place)
    if depth > -_DEPTH and any(
        a >= d or b <= c for a, b, c, d in zip(low, high, *box, strict=False)
    ):  # none of many writes
        return _read(program, base, place, shape, dtype, min(depth, 0) - 1)
    made = program.instructions[array.index]
    if made.function is operations.reshape and _write(program, made.arguments[0]):
        of, whole = made.arguments[0], made.shape or ()
        rows = program.instructions[of.index].shape or ()
        n = ([a == b for a, b in zip(rows, whole, strict=False)] + [False]).index(False)
        if n and made.arguments[2] == "C" and lengths[:n] != whole[:n]:  # first rows, then of these
            zeros, ones = (operations.Start(0),) * len(rows), (1,) * len(rows)
            first = starts[:n] + zeros[n:], lengths[:n] + rows[n:], steps[:n] + ones[n:]
            row = _read(program, of, first, lengths[:n] + whole[n:], dtype)
            place = zeros[:n] + starts[n:], lengths, ones[:n] + steps[n:]
            return _read(program, row, place, shape, dtype)
    if lengths == made.shape and {*steps} <= {1}:
        return _reshaped(program, array, shape, dtype)
    return program.append(operations.part, (array, *place, shape), {}, shape, dtype)


def _reshaped(program: Program, array: Value, shape: Any, dtype: Any) -> Value:
    made = program.instructions[array.index]
    if made.function is operations.reshape and made.arguments[2] == "C":
        return _reshaped(program, made.arguments[0], shape, dtype)
    if made.shape == shape:
        return array
    return program.append(operations.reshape, (array, shape, "C"), {}, shape, dtype)


def _like(lengths: Any, other: Any) -> bool:
    """Return whether a part isn't much larger than another: neither is a whole array of steps."""
    return all(a < _FILLED * b for a, b in zip(lengths, other, strict=True))


def _less(starts: Any, offsets: Any) -> Any:
    return tuple(operations.Start(a - b) for a, b in zip(starts, offsets, strict=True))


def _inside(part: Any, other: Any) -> bool:
    """Return whether a part lies within another, which has no gaps."""
    return all(
        c == 1 == f and d <= a and a + b <= d + e
        for a, b, c, d, e, f in zip(*part, *other, strict=True)
    )


def _bounds(part: Any) -> tuple[Any, Any]:
    """Return the least index on each axis, and the end."""
    ranges = [range(a, a + b * c, c) for a, b, c in zip(*part, strict=True)]
    return tuple(min(r, default=0) for r in ranges), tuple(max(r, default=-1) + 1 for r in ranges)


def _disjoint(part: Any, other: Any) -> bool:
    low, high = _bounds(part)
    return any(a >= d or b <= c for a, b, c, d in zip(low, high, *_bounds(other), strict=True))
