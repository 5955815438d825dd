"""Many training steps in one jitted call: a loop over batches, as a function of arrays."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from minigrad.jit.devices import AXES, Devices
from minigrad.jit.step import RecordedStep, all_finite


def jitted_loop(step: RecordedStep, devices: Devices, transposed: bool, *, careful: bool) -> Any:
    """Compile `_loop`: one program for all devices, or one for each of `step.devices`."""
    run = partial(_loop, step, devices, transposed, careful)
    if step.devices is not None:
        whole = P()
        given = (whole, P("processes"), *[whole] * 5)
        reports = {"j": whole, "regularization": whole}
        reports |= {name: P(None, AXES) for name in step.reports}
        run = devices.apart(run, given, (whole, reports, whole))
    return devices.compile(run)


def _loop(
    step: RecordedStep,
    devices: Devices,
    transposed: bool,
    careful: bool,
    state: Any,
    arrays: Any,
    rows: Any,
    rates: Any,
    draws: Any,
    start: Any,
    count: Any,
) -> tuple[Any, Any, Any]:
    """Make up to `count` steps from batch `start` on; after the last batch comes the first again.

    The loop ends before a step that may not be kept. One that isn't careful keeps none if the
    parameters aren't finite in the end.

    Args:
        step: makes one of them.
        devices: hold the arrays.
        transposed: whether x is given transposed.
        careful: whether each step looks at its gradient.
        state: before the first step, without the gradient.
        arrays: x, y and weight, with the rows of all batches.
        rows: the numbers of the rows, one batch after another; None takes them as they lie.
        rates: the learning rate of each step.
        draws: what each step is given for each draw.
        start: the number of the first batch.
        count: of steps; there may be more rates and draws.

    Returns:
        The state, the reports of all steps, and the number of steps that were good.
    """
    size = part = step.rows // devices.processes
    first = 0
    if step.devices is not None:
        part = step.part
        first = jax.lax.axis_index("devices") * part
    state = {**state, "grad": jax.tree.map(jnp.zeros_like, state["theta"])}
    totals = None

    def cut(number: Any) -> Any:
        def of(array: Any) -> Any:
            i = number % (len(array if rows is None else rows) // size)
            if rows is not None:
                picked = jax.lax.dynamic_slice_in_dim(rows, i * size + first, part)
                return jnp.take(array, picked, axis=0, mode="clip")
            if len(array) == part:
                return array
            return jax.lax.dynamic_slice_in_dim(array, i * size + first, part)

        x, y, weight = arrays
        if transposed:
            return x.T, y, weight
        if step.devices is not None:
            return jax.tree.map(lambda array: of(array[0]), arrays)
        return jax.tree.map(partial(devices.batch, of), arrays)

    def one(state: Any, i: Any) -> Any:
        total = jax.tree.map(lambda sums: sums[i], totals)
        given = cut(start + i), rates[i], [draw[i] for draw in draws], total
        return step(state, *given, careful=careful)

    def body(carry: Any) -> Any:
        i, _, state, reports = carry
        state, report, good = one(state, i)
        reports = jax.tree.map(lambda held, new: held.at[i].set(new), reports, report)
        return i + good, good, state, reports

    if step.devices is not None and arrays[2] is not None:
        weights = jax.vmap(lambda i: jax.tree.map(jnp.sum, cut(start + i)[2]))
        totals = devices.add_up(weights(jnp.arange(len(rates))), float)
    report = jax.eval_shape(one, state, 0)[1]
    reports = jax.tree.map(lambda a: jnp.zeros((len(rates), *a.shape), a.dtype), report)
    carry = jnp.zeros_like(count), jnp.array(True), state, reports
    good, _, state, reports = jax.lax.while_loop(lambda c: (c[0] < count) & c[1], body, carry)
    if not careful:
        good = jnp.where(all_finite(state["theta"]), good, 0)
    return state, reports, good
