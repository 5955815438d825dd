"""A training step as a function of arrays: two programs, recorded from the model's own code.

The first computes J and its gradient (forward, loss, backward), the second adds the regularizers
and runs the optimizer. The layers, the loss and the optimizer are copies that hold recorded
arrays, and compute as ever.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from typing_extensions import override

from minigrad.compiled import pcg64
from minigrad.compiled.devices import AXES, Devices, precisely
from minigrad.compiled.program import NotCompilableError, Program, refusal
from minigrad.compiled.recorded import Recorded, concrete
from minigrad.compiled.recording import Recording
from minigrad.core.gradient import BatchGradient, blocks
from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, each, labelled, row_count, take
from minigrad.regularizers import Regularizer
from minigrad.util.random import RNG, is_rng, rng_state, set_rng_state


class Draw(NamedTuple):
    """A call of a layer's random generator in a step.

    A compiled step is given the numbers; or, if it can compute them, the generator's state.
    """

    layer: int
    attribute: str
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    numbers: Any
    computed: bool

    @property
    def example(self) -> Any:
        """What a compiled step is given."""
        return np.zeros(6, np.uint64) if self.computed else self.numbers

    def generator(self, network: Layer) -> RNG:
        """Return the generator of a network that draws."""
        _, layer = [*walk(network)][self.layer]
        found: RNG = vars(layer)[self.attribute]
        return found

    def draw(self, rng: RNG) -> Any:
        """Draw the next numbers."""
        return getattr(rng, self.method)(*self.arguments, **self.options)


def drawn(draws: Sequence[Draw], rngs: Sequence[Any], count: int, capacity: int = 1) -> list[Array]:
    """Return what `count` steps are given for each draw, in arrays for `capacity` steps."""
    examples = [np.asarray(draw.example) for draw in draws]
    arrays = [np.zeros((capacity, *example.shape), example.dtype) for example in examples]
    states: dict[Any, pcg64.State] = {}  # newer than those of the generators
    for i in range(count):
        for array, draw, rng in zip(arrays, draws, rngs, strict=True):
            if draw.computed:
                source = rng.bit_generator
                state = states.get(source) or pcg64.State.of(source)
                array[i] = state.words
                states[source] = state.after(draw.numbers.size, draw.numbers.dtype)
            else:
                _give(states)
                array[i] = draw.draw(rng)
    _give(states)
    return arrays


def _give(states: dict[Any, pcg64.State]) -> None:
    while states:
        source, state = states.popitem()
        state.give(source)


def numbers_of(draws: Sequence[Draw], given: Sequence[Any]) -> list[Any]:
    """Return the numbers of each draw, in a compiled step, from what it is given."""
    return [
        pcg64.random(one, draw.numbers.shape, draw.numbers.dtype.name) if draw.computed else one
        for draw, one in zip(draws, given, strict=True)
    ]


class _NotingRNG:
    """Stands for a layer's generator: what it draws becomes an input of the program."""

    def __init__(self, recording: Recording, draws: list[Draw], place: Any, rng: RNG) -> None:
        self._recording, self._draws = recording, draws
        self._place, self._rng = place, rng

    def __getattr__(self, method: str) -> Any:
        def draw(*arguments: Any, **options: Any) -> Any:
            c = getattr(self._rng, method)(*arguments, **options)
            layer, attribute = self._place
            computed = pcg64.computes(self._rng, method, c)
            self._draws.append(Draw(layer, attribute, method, arguments, options, c, computed))
            return self._recording.given(c)

        return draw


class GradientProgram:
    """J, the gradient, the buffers and the prediction for a batch, as a function of arrays.

    Args:
        network: the layer, built; the program is recorded on a copy.
        loss: J.
        batch: x, y and weight: an example.
        total: the divisor of a mean, if the batch is a block of another one.
    """

    def __init__(self, network: Layer, loss: Loss, batch: Any, total: Any = None) -> None:
        network = replica(network)
        home = Parameters(p for _, p in network.named_parameters())
        for p in home:
            p.regularizer = None
        gradient = BatchGradient(network, copy.copy(loss), parameters=home, threads=1)
        gradient.rows = row_count(batch[0])
        self.draws: list[Draw] = []
        objects = [gradient.loss, *(layer for _, layer in walk(network))]
        with Recording(objects) as recording, np.errstate(all="ignore"):
            for p in home:
                p._value = recording.given(p.value)
            for p in {*home, *(p for _, p in network.named_parameters())}:
                grad: Any = Recorded(np.zeros(p.shape, p.value.dtype))
                p._grad = grad
            buffers = buffers_of(network)
            for layer, name in buffers:
                setattr(layer, name, recording.given(getattr(layer, name)))
            x, y, weight, total = jax.tree.map(recording.given, (*batch, total))
            for number, (_, layer) in enumerate(walk(network)):
                for name, rng in [*vars(layer).items()]:
                    if is_rng(rng):
                        noting = _NotingRNG(recording, self.draws, (number, name), rng)
                        setattr(layer, name, noting)
            before = {layer: {**vars(layer)} for _, layer in walk(network)}
            predictions: list[Data] = []
            j = gradient(x, y, weight, predictions, total=total)
            _refuse_memories(before)
            self.gradients = [concrete(p.grad) for p in home]
            self.prediction = concrete(predictions[0])
            self.program: Program = recording.finish(
                {
                    "j": j,
                    "grad": [p.grad for p in home],
                    "buffers": [getattr(layer, name) for layer, name in buffers],
                    "prediction": predictions[0],
                }
            )

    def __call__(
        self, theta: Any, buffers: Any, batch: Any, draws: Any, total: Any = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = self.program.run((theta, buffers, (*batch, total), draws))
        return found


def _refuse_memories(before: dict[Layer, dict[str, Any]]) -> None:
    """Refuse a layer that keeps something else than its cache from step to step."""
    for layer, held in before.items():
        for name, value in vars(layer).items():
            if name in held and name not in ("cache", *layer.buffers) and value is not held[name]:
                raise refusal(
                    f"forward or backward changes self.{name}, which no later step would see",
                    "keep it in self.cache, or name it in buffers",
                    owner=layer.label,
                )


class UpdateProgram:
    """The regularizers and the optimizer's step, as a function of arrays.

    Args:
        optimizer: None leaves the step out.
        parameters: those of the model.
        gradients: an example.
    """

    def __init__(
        self, optimizer: Optimizer | None, parameters: Parameters, gradients: Sequence[Array]
    ) -> None:
        objects = [optimizer, *(p.regularizer for p in parameters)]
        with Recording(objects) as recording, np.errstate(all="ignore"):
            given = recording.given
            home = _Apart(parameters)
            for p in home:
                p._value = given(p.value)
            for p, gradient in zip(home, gradients, strict=True):
                p._grad = given(gradient)
            outputs: dict[str, Any] = {"regularization": home.regularization()}
            home.add_regularizer_gradients()
            outputs["grad"] = [p.grad for p in home]
            if optimizer is not None:
                own, held = _recorded(optimizer, given, home)
                own.step(home)
                _refuse_changes(own, held)
                slots = {name: [*slot.values()] for name, slot in own.state.items()}  # type: ignore[attr-defined]
                outputs |= {"theta": [p.value for p in home], "slots": slots}
            self.program = recording.finish(outputs)

    def __call__(self, theta: Any, grad: Any, *optimizer: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.program.run((theta, grad, *optimizer))
        return found


class _Apart(Parameters):
    """Parameters apart from each other: XLA is faster without the flat vector."""

    def __init__(self, parameters: Parameters) -> None:
        self._items = tuple(
            Parameter(p.value, name=p.name, trainable=p.trainable, regularizer=p.regularizer)
            for p in parameters
        )
        self._starts = [*accumulate((p.size for p in self._items), initial=0)]

    @override
    def trainable_runs(self) -> Iterator[tuple[int, Array, Array]]:
        for start, p in zip(self._starts, self._items, strict=False):
            if p.trainable:
                yield start, p.value.reshape(-1), p.grad.reshape(-1)

    @override
    def trainable_pieces(self, size: int) -> list[tuple[slice, Array, Array]]:
        return [(slice(start, start + v.size), v, g) for start, v, g in self.trainable_runs()]


class _Slot(dict[int, Any]):
    """A vector of an optimizer's state, cut into a piece for each parameter."""

    def __init__(self, vector: Array, home: Parameters, given: Any) -> None:
        self.size, self.dtype = vector.size, vector.dtype
        for start, p in zip(home._starts, home, strict=False):
            self[start] = given(vector[start : start + p.size])

    @override
    def __getitem__(self, place: Any) -> Any:
        return super().__getitem__(place.start)


def _recorded(
    optimizer: Optimizer, given: Any, home: Parameters
) -> tuple[Optimizer, dict[str, Any]]:
    """Return a copy of an optimizer whose state, steps and rate are recorded."""
    own = copy.copy(optimizer)
    own.state = {
        name: _Slot(optimizer.state[name], home, given)  # type: ignore[misc]
        for name in sorted(optimizer.slots)
    }
    rate = given(float(optimizer.rate))
    own.steps = given(int(optimizer.steps))
    kind = type(optimizer)
    own.__class__ = type(kind.__name__, (kind,), {"rate": rate, "__module__": kind.__module__})
    return own, {**vars(own)}


def _refuse_changes(optimizer: Optimizer, held: dict[str, Any]) -> None:
    for name, value in vars(optimizer).items():
        if name not in ("state", "steps", "_first") and value is not held.get(name):
            raise refusal(
                f"update changes self.{name}, which would be the same in every step",
                "keep it in a slot",
                owner=type(optimizer).__name__,
            )


def buffers_of(network: Layer) -> list[tuple[Layer, str]]:
    """Return (layer, attribute) for each buffer."""
    return [(layer, name) for _, layer in walk(network) for name in layer.buffers]


class Step:
    """One training step for batches of one shape.

    Args:
        gradient: computes the batch, or a block of it.
        update: changes the parameters.
        draws: what NumPy draws for the batch, in this order.
        rows: in a batch.
        block: rows in a block; the gradients of the blocks are added up.
        rest: computes the last, smaller block, if there is one.
        devices: compute a part of the batch each; None computes all of it by one program.
        predictions: whether the predictions are returned.
        targets: whether y and the weight are.
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
        """The bytes that a step draws and returns."""
        held = 24 + sum(np.asarray(draw.example).nbytes for draw in self.draws)
        if self.predictions:
            block = sum(a.nbytes for _, a in labelled(self.gradient.prediction, ""))
            held += block * self.rows // self.block
        return held

    def difference(self, other: Step) -> str | None:
        """Return the first place that another recording of the step has otherwise."""
        found = self.gradient.program.difference(other.gradient.program)
        return found or self.update.program.difference(other.update.program)

    def __call__(
        self, state: Any, batch: Any, rate: Any, draws: Any, total: Any, *, careful: bool
    ) -> tuple[Any, Any, Any]:
        """Return the state after a step, what is reported of it, and whether it may be kept.

        `total` is the sum of the weights, if a device has a part of the batch. Only a careful step
        looks whether the gradient is finite.
        """
        found = self._found(state, batch, draws, total)
        theta = state["theta"]
        slots = [state["slots"][name] for name in sorted(state["slots"])]
        done = self.update(theta, found["grad"], slots, rate, state["steps"])
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
        report = {"j": j, "regularization": jnp.asarray(done["regularization"], float)}
        found |= {"y": batch[1], "weight": batch[2]}
        return new, report | {name: found[name] for name in self.reports}, good

    def passes_on(self, state: Any, rate: float) -> bool:
        """Return whether a gradient that isn't finite makes each parameter so, for good.

        Then one look at the parameters after many steps finds it.
        """
        theta, slots = state["theta"], [state["slots"][name] for name in sorted(state["slots"])]
        for bad in (np.inf, np.nan):
            with precisely():
                grad = [np.full_like(p, bad) for p in theta]
                done = self.update(theta, grad, slots, rate, state["steps"])
            if any(np.isfinite(p).any() for p in done["theta"]):
                return False
        return True

    def gradients(self, state: Any, batch: Any, draws: Any) -> dict[str, Any]:
        """Return J and its gradient without a step, for an update without an optimizer."""
        found = self._found(state, batch, draws)
        done = self.update(state["theta"], found["grad"])
        ok = found["ok"] & done["ok"]
        return {"j": found["j"] + done["regularization"], "grad": done["grad"], "ok": ok}

    def _found(self, state: Any, batch: Any, draws: Any, total: Any = None) -> dict[str, Any]:
        """Return J, its gradient, the buffers and the prediction; this device's one, of several."""
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
            summed, buffers, prediction = _summed(found), found["buffers"], found["prediction"]
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
        calls, count = len(self.gradient.draws), self.part // self.block
        whole = count * self.block
        first, rest = draws[: count * calls], draws[count * calls :]

        def found_in(number: Any, draws: Any, buffers: Any) -> Any:
            cut = partial(jax.lax.dynamic_slice_in_dim, start_index=number * self.block)
            rows = jax.tree.map(partial(cut, slice_size=self.block), batch)
            numbers = numbers_of(self.gradient.draws, draws)
            return self.gradient(theta, buffers, rows, numbers, total)

        def body(carry: Any, block: Any) -> tuple[Any, Any]:
            (summed, buffers), (number, own) = carry, block
            found = found_in(number, own, buffers)
            summed = jax.tree.map(jnp.add, summed, _summed(found))
            return (summed, found["buffers"]), found["prediction"] if self.predictions else None

        example = jax.eval_shape(lambda: _summed(found_in(0, draws[:calls], buffers)))
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), example)
        given = jnp.arange(count), [jnp.stack(first[i::calls]) for i in range(calls)]
        (summed, buffers), prediction = jax.lax.scan(body, (zero, buffers), given)
        prediction = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), prediction)
        if self.rest is not None:
            rows = jax.tree.map(lambda a: a[whole:], batch)
            numbers = numbers_of(self.rest.draws, rest)
            found = self.rest(theta, buffers, rows, numbers, total)
            summed = jax.tree.map(jnp.add, summed, _summed(found))
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


def _summed(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is added up over parts of a batch."""
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
) -> Step:
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
    return Step(
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


def compiled_loop(step: Step, devices: Devices, turned: bool, *, careful: bool) -> Any:
    """Compile `loop`: one program for all devices, or one for each, which meet once a step."""
    run = partial(loop, step, devices, turned, careful)
    if step.devices is not None:
        whole = P()
        given = (whole, P("processes"), *[whole] * 5)
        reports = {"j": whole, "regularization": whole}
        reports |= {name: P(None, AXES) for name in step.reports}
        run = devices.apart(run, given, (whole, reports, whole))
    return devices.compile(run)


def loop(
    step: Step,
    devices: Devices,
    turned: bool,
    careful: bool,
    state: Any,
    arrays: Any,
    rows: Any,
    rates: Any,
    draws: Any,
    start: Any,
    count: Any,
) -> tuple[Any, Any, Any]:
    """Make up to `count` steps, on one batch after another from `start` on; see `compiled_loop`.

    Batch i is the rows of `arrays`, or those that `rows` picks, from i times the batch size on;
    after the last comes the first again. With `turned`, x is given transposed. The loop ends before
    a step that may not be kept. One that isn't careful keeps none if the parameters aren't finite
    in the end.

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
        if turned:
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


@contextmanager
def unchanged(network: Layer) -> Iterator[None]:
    """Set the generators of a network's layers back at the end."""
    held = [value for _, layer in walk(network) for value in vars(layer).values()]
    states = [(rng, rng_state(rng)) for rng in held if is_rng(rng)]
    try:
        yield
    finally:
        for rng, state in states:
            set_rng_state(rng, state)


_TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
"""How much the first compiled numbers may differ from NumPy's, relative to the largest one."""


def check_close(what: str, found: Array, expected: Array, largest: float = 0.0) -> None:
    """Refuse numbers of a compiled step that differ from NumPy's by more than rounding.

    The rounding is that of the largest number, here or in arrays that are computed with these.
    """
    if not np.isfinite(expected).all():
        return
    scale = max(largest, float(np.abs(expected).max(initial=0))) or 1.0
    error = float(np.abs(found - expected).max(initial=0)) / scale
    tolerance = _TOLERANCE.get(expected.dtype.name, 1e-3)
    if not error <= tolerance:
        raise NotCompilableError(
            f"the first compiled step differs from NumPy's: {what} by {error:.1e}, more than "
            f"{tolerance:.0e}: look for a layer that computes with what is neither its input nor "
            "a parameter or a buffer, or with several rows where batch_dependent is False, or fit "
            "with engine='numpy'"
        )


_CHANGING = {
    "cache", "trainer", "_parameters", "_places", "_split_seed", "_building",  # of layers
    "state", "steps", "_learning_rate", "_first",  # of optimizers
}  # fmt: skip
"""Attributes that a recorded step doesn't have in it."""


def frozen(*objects: Any) -> Any:
    """Return something comparable for what a recorded step has in it: options and constants.

    Of a layer it holds those of the layers inside, too.
    """
    layers = [layer for x in objects if isinstance(x, Layer) for _, layer in walk(x)]
    others = [x for x in objects if not isinstance(x, Layer)]
    return tuple((type(x), _frozen(_held(x))) for x in (*layers, *others))


def _held(x: Any) -> dict[str, Any]:
    skipped = {*_CHANGING, *getattr(x, "buffers", ())}
    return {name: value for name, value in vars(x).items() if name not in skipped}


def _frozen(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str, bytes, type(None), np.generic, np.dtype)):
        return value
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, blake2b(value.tobytes()).digest()
    if isinstance(value, (tuple, list)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, Parameter):
        return value.shape, value.trainable, _frozen(value.regularizer), id(value.source)
    if isinstance(value, (Loss, Regularizer)):
        return type(value), _frozen(_held(value))
    return id(value)
