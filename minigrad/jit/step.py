"""A training step as a function of arrays: the gradient program, then the update program.

Here a batch is cut into row blocks, and shared by several devices. The gradients of the parts are
added up before the update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from minigrad.core.gradient import blocks
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array
from minigrad.data.by_name import each, labelled, row_count, take
from minigrad.jit.devices import Devices, precisely
from minigrad.jit.draws import Draw, numbers_of
from minigrad.jit.gradient_program import GradientProgram
from minigrad.jit.update_program import UpdateProgram


class RecordedStep:
    """One training step for batches of one shape.

    Args:
        gradient: computes the batch, or a block of it.
        update: makes the optimizer's step.
        draws: what layers draw for the batch, in the order and the blocks of a step by NumPy.
        rows: in a batch.
        block: rows in a block; the gradients of the blocks are added up.
        rest: computes the last, smaller block, if there is one.
        devices: compute a part of the batch each; with None, one program computes all of it.
        predictions: whether the predictions are reported.
        targets: whether y and the weight are reported.

    Attributes:
        part: rows of a batch that a device computes.
        reports: names of what is reported, beside J and the regularization in it.
    """

    def __init__(
        self,
        gradient: GradientProgram,
        update: UpdateProgram,
        draws: list[Draw],
        *,
        rows: int,
        block: int,
        rest: GradientProgram | None,
        devices: Devices | None,
        predictions: bool,
        targets: bool,
    ) -> None:
        self.gradient, self.update, self.draws = gradient, update, draws
        self.rows, self.block, self.rest = rows, block, rest
        self.devices = devices
        self.predictions = predictions
        self.reports = ["prediction"] * predictions + ["y", "weight"] * targets
        self.part = rows // devices.count if devices else rows

    @property
    def held(self) -> int:
        """The bytes of what a step is given for draws, and of what it reports."""
        held = 24 + sum(np.asarray(draw.example).nbytes for draw in self.draws)
        if self.predictions:
            block = sum(a.nbytes for _, a in labelled(self.gradient.prediction, ""))
            held += block * self.rows // self.block
        return held

    def difference(self, other: RecordedStep) -> str | None:
        """Return the place of the first instruction that another recording has otherwise."""
        found = self.gradient.program.difference(other.gradient.program)
        return found or self.update.program.difference(other.update.program)

    def __call__(
        self, state: Any, batch: Any, rate: Any, draws: Any, total: Any, *, careful: bool
    ) -> tuple[Any, Any, Any]:
        """Return the state after a step, what is reported of it, and whether it may be kept.

        `total` is the sum of the weights, if a device has a part of the batch. Only a careful step
        looks whether the gradient is finite.
        """
        found = self._forward_backward(state, batch, draws, total)
        done = self.update(state["theta"], found["grad"], state["slots"], rate, state["steps"])
        j = found["j"] + done["regularization"]
        good = found["ok"] & done["ok"] & jnp.isfinite(j)
        if careful:
            good &= all_finite(done["grad"])
        new = {
            "theta": done["theta"],
            "grad": done["grad"],
            "slots": done["slots"],
            "buffers": found["buffers"],
            "steps": state["steps"] + 1,
        }
        report = {"j": j, "regularization": done["regularization"]}
        report = {name: jnp.asarray(number, float) for name, number in report.items()}
        found |= {"y": batch[1], "weight": batch[2]}
        return new, report | {name: found[name] for name in self.reports}, good

    def passes_on(self, state: Any, rate: float) -> bool:
        """Return whether each parameter isn't finite after a gradient that isn't.

        Then a look at the parameters after many steps finds such a gradient in any of them.
        """
        theta, update = state["theta"], jax.jit(self.update.__call__)
        for bad in (np.inf, np.nan):
            with precisely():
                grad = [np.full_like(p, bad) for p in theta]
                done = update(theta, grad, state["slots"], rate, state["steps"])
            if any(np.isfinite(p).any() for p in done["theta"]):
                return False
        return True

    def gradients(self, state: Any, batch: Any, draws: Any) -> dict[str, Any]:
        """Return J and its gradient; the update has no optimizer."""
        found = self._forward_backward(state, batch, draws)
        done = self.update(state["theta"], found["grad"])
        ok = found["ok"] & done["ok"]
        return {"j": found["j"] + done["regularization"], "grad": done["grad"], "ok": ok}

    def _forward_backward(
        self, state: Any, batch: Any, draws: Any, total: Any = None
    ) -> dict[str, Any]:
        """Return J, its gradient, the buffers, and the prediction: of this device's rows only."""
        theta, buffers, weight = state["theta"], state["buffers"], batch[2]
        if self.block == self.rows:
            total = None
        elif weight is None:
            total = float(self.rows)
        elif total is None:
            total = jax.tree.map(jnp.sum, weight)
        if self.block < self.part:
            summed, buffers, prediction = self._in_blocks(theta, buffers, batch, draws, total)
        else:
            draws = [*self._joined(numbers_of(self.draws, draws))]
            found = self.gradient(theta, buffers, batch, draws, total)
            summed, buffers, prediction = _addends(found), found["buffers"], found["prediction"]
        if self.devices is not None:
            summed = self.devices.add_up(summed, jnp.result_type(float, *theta))
        return {
            "j": summed["j"],
            "grad": summed["grad"],
            "ok": summed["bad"] == 0,
            "buffers": buffers,
            "prediction": prediction,
        }

    def _in_blocks(
        self, theta: Any, buffers: Any, batch: Any, draws: Any, total: Any
    ) -> tuple[Any, Any, Any]:
        """Add up J and the gradients of the blocks; no block's activations outlive it."""
        draws_each, count = len(self.gradient.draws), self.part // self.block
        whole = count * self.block
        first, rest = draws[: count * draws_each], draws[count * draws_each :]

        def of_block(number: Any, draws: Any, buffers: Any) -> Any:
            cut = partial(jax.lax.dynamic_slice_in_dim, start_index=number * self.block)
            rows = jax.tree.map(partial(cut, slice_size=self.block), batch)
            numbers = numbers_of(self.gradient.draws, draws)
            return self.gradient(theta, buffers, rows, numbers, total)

        def body(carry: Any, block: Any) -> tuple[Any, Any]:
            (summed, buffers), (number, own) = carry, block
            found = of_block(number, own, buffers)
            summed = jax.tree.map(jnp.add, summed, _addends(found))
            return (summed, found["buffers"]), found["prediction"] if self.predictions else None

        example = jax.eval_shape(lambda: _addends(of_block(0, draws[:draws_each], buffers)))
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), example)
        given = jnp.arange(count), [jnp.stack(first[i::draws_each]) for i in range(draws_each)]
        (summed, buffers), prediction = jax.lax.scan(body, (zero, buffers), given)
        prediction = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), prediction)
        if self.rest is not None:
            rows = jax.tree.map(lambda a: a[whole:], batch)
            numbers = numbers_of(self.rest.draws, rest)
            found = self.rest(theta, buffers, rows, numbers, total)
            summed = jax.tree.map(jnp.add, summed, _addends(found))
            buffers = found["buffers"]
            if self.predictions:
                prediction = jax.tree.map(
                    lambda *a: jnp.concatenate(a), prediction, found["prediction"]
                )
        return summed, buffers, prediction

    def _joined(self, draws: Any) -> Iterator[Any]:
        """Join what NumPy draws in blocks, and yield the rows of this device."""
        for i, draw in enumerate(self.gradient.draws):
            pieces, shape = draws[i :: len(self.gradient.draws)], np.shape(draw.numbers)
            if self.part not in shape:
                yield pieces[0]
                continue
            axis = shape.index(self.part)
            joined = jnp.concatenate(pieces, axis)
            yield self.devices.part(joined, self.part, axis) if self.devices else joined


def _addends(found: dict[str, Any]) -> dict[str, Any]:
    """Return the results that are added up over the parts of a batch."""
    return {"j": found["j"], "grad": found["grad"], "bad": ~found["ok"]}


def all_finite(arrays: Any) -> Any:
    """Return whether no number in some arrays is infinite or NaN."""
    return jnp.all(jnp.array([jnp.isfinite(array).all() for array in arrays]))


def step_for(
    network: Layer,
    loss: Loss,
    batch: Any,
    most: int,
    update: Callable[[list[Array]], UpdateProgram],
    *,
    predicts: bool,
    targets: bool = False,
    devices: Devices | None = None,
) -> RecordedStep:
    """Record the step for batches such as x, y and weight, in blocks of at most so many rows.

    Several devices compute an equal part of the rows each, where the rows don't depend on each
    other and there are no buffers; else XLA splits the program of the whole batch.
    """
    rows = row_count(batch[0])
    several = devices is not None and not devices.single
    tied = any(layer.batch_dependent or layer.buffers for _, layer in walk(network))
    apart = devices if devices and several and not tied and rows % devices.count == 0 else None
    weighted = float(rows) if batch[2] is None else each(lambda w: float(w.sum()), batch[2])

    @cache
    def program(count: int) -> GradientProgram:
        part = tuple(take(data, slice(0, count)) for data in batch)
        return GradientProgram(network, loss, part, None if count == rows else weighted)

    part = rows // apart.count if apart else rows
    sizes = _sizes(part, most)
    if several and (apart is None or program(sizes[0]).draws):
        sizes = [part]
    first, last = program(sizes[0]), program(sizes[-1])
    by_numpy = _sizes(rows, most) if first.draws else []
    return RecordedStep(
        first,
        update(first.gradients),
        [draw for size in by_numpy for draw in program(size).draws],
        rows=rows,
        block=sizes[0],
        rest=None if last is first else last,
        devices=apart,
        predictions=predicts,
        targets=targets,
    )


def _sizes(rows: int, most: int) -> list[int]:
    return [block.stop - block.start for block in blocks(rows, most)]
