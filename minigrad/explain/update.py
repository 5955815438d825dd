"""The steps of the update: the optimizer's step for each parameter, and the loss after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Final

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, norm
from minigrad.explain.formula import Formula, equation_of, right_sides
from minigrad.explain.places import NamedParameter, Names
from minigrad.explain.steps import Rule, Step, at, factor, number, sum_of

_CONSTANTS: Final = {"eta": "η", "rho": "ρ", "epsilon": "ε", "beta_1": "β_1", "beta_2": "β_2"}


class Update:
    """One step of an optimizer, on copies: the numbers of each parameter before and after it.

    They are those of the optimizer's slots, "value", and after the step "grad": the gradient after
    clipping and weight decay. `model` is the copy after the step.

    Args:
        model, optimizer: they aren't changed.
        gradients: dJ/dparameter by the parameter's path; others are zero.
    """

    def __init__(self, model: Layer, optimizer: Optimizer, gradients: Mapping[str, Array]) -> None:
        self.model, made = copy.deepcopy((model, optimizer))
        self.parameters = {path: p.source for path, p in self.model.named_parameters()}
        held, grads, update = self.model.parameters, list[Array](), made.update
        held.grad = np.zeros_like(held.grad)
        for path, gradient in gradients.items():
            self.parameters[path].grad = gradient
        self.norm = norm([grad for _, _, grad in held.trainable_runs()])
        before: dict[str, Array] = {slot: np.zeros(held.size) for slot in made.slots}
        before |= {slot: vector.copy() for slot, vector in made.state.items()}
        before["value"] = held.value.copy()

        def recorded(value: Array, grad: Array, state: dict[str, Array]) -> None:
            grads.append(grad.copy())
            return update(value, grad, state)

        vars(made)["update"] = recorded  # hides the method of this copy, to see each gradient
        with np.errstate(all="ignore"):
            made.step(held)
        after = {**made.state, "value": held.value.copy(), "grad": np.zeros(held.size)}
        runs = [slice(start, start + value.size) for start, value, _ in held.trainable_runs()]
        if runs:
            after["grad"][np.r_[tuple(runs)]] = np.concatenate(grads)
        self.before, self.after = (
            {name: held.split(vector) for name, vector in vectors.items()}
            for vectors in (before, after)
        )


def update_steps(
    names: Names,
    gradients: Mapping[str, Array],
    j: float,
    model: Layer,
    optimizer: Optimizer,
    measure: Callable[[Layer], float],
) -> Iterator[Step]:
    """Yield the steps of the optimizer for each parameter, and that of the new loss.

    `gradients` has dJ/dparameter by its name, such as "∂J/∂w1", `j` is the loss before the step,
    and `measure` returns that of a model.
    """
    held = [uses[0] for uses in names.parameters.values()]
    known = {p.path: gradients[p.total] for p in held if p.total in gradients}
    update, linear = Update(model, optimizer, known), 0.0
    for named in held:
        p = update.parameters[named.path]
        if p.trainable:
            yield from _parameter_steps(update, optimizer, p, named)
            change = update.after["value"][p] - update.before["value"][p]
            linear += float(np.sum(change * p.grad))
    new = measure(update.model)
    told = f"to first order: the sum of gradient times change is {number(linear)}"
    rule = _changed("J", np.array([j]), np.array([new - j]))._replace(note=lambda _, __: [told])
    yield Step(
        phase="update", title=f"the loss after the update: J {number(j)} → {number(new)}",
        name="J_new", rule=rule, values=np.array([new]),
    )  # fmt: skip


def _parameter_steps(
    update: Update, optimizer: Optimizer, p: Parameter, named: NamedParameter
) -> Iterator[Step]:
    """Yield a step for each side of the optimizer's equation; the last is the parameter's own."""
    kind, name, gradient = type(optimizer).__name__, named.name, p.grad[None]
    slots = {slot[0]: slot for slot in optimizer.slots}
    raw = named.total, gradient
    arrays = {"w": (name, update.before["value"][p][None]), "gradient": raw, "g": raw}
    for letter, slot in slots.items():
        arrays[letter] = f"{letter}_{name}", update.before[slot][p][None]
    sides, used = right_sides(equation_of(optimizer), "w"), _gradient_used(optimizer, update.norm)
    if sides and used != "gradient":
        sides, arrays["g"] = {"g": used} | sides, (f"g_{name}", gradient)
    rate = optimizer.rate * p.learning_rate_factor
    options = {"eta": rate, "t": optimizer.steps + 1, "norm": update.norm}
    options = {word.lstrip("_"): value for word, value in vars(optimizer).items()} | options
    constants = {word: (shown, ()) for word, shown in _CONSTANTS.items()}
    index = ",".join("fhijk"[-len(p.shape) :]) if p.shape else ""
    vectors = {"w": "value", "g": "grad", **slots}
    if unknown := sides.keys() - vectors.keys():
        raise ValueError(
            f"the equation of {kind} expects the left sides {', '.join(sorted(vectors))}, got "
            f"{', '.join(sorted(unknown))}: a slot is known by its first letter"
        )
    for letter, side in (sides or {"w": ""}).items():
        left, before = arrays[letter]
        after = update.after[vectors[letter]][p][None]
        formula = Formula(side, dict(arrays), SimpleNamespace(**options), constants)
        title = f"the {slots.get(letter, 'gradient')} that {kind} uses"
        if letter == "w":
            title = f"update by {kind}, learning rate {number(rate)}"
        rule = formula.rule(index) if side else _changed(left, before, after - before, index)
        yield Step(
            phase="update", path=named.path, title=title, name=left, rule=rule, values=after,
            sizes=gradient, sign="=" if letter == "g" else "←",
        )  # fmt: skip
        arrays[letter] = left, after


def _gradient_used(optimizer: Optimizer, length: float) -> str:
    """Write the gradient that `update` gets: clipped, and with weight decay."""
    used = "gradient"
    if optimizer.clip_value is not None:
        used = "min(max(gradient, -clip_value), clip_value)"
    elif optimizer.clip_norm is not None and optimizer.clip_norm < length + 1e-6:
        used = "clip_norm gradient / (norm + 1e-6)"
    decays = optimizer.weight_decay and type(optimizer).decay is Optimizer.decay
    return f"{used} + weight_decay w" if decays else used


def _changed(name: str, before: Array, change: Array, unit: str = "k") -> Rule:
    """Return the rule of numbers that change in a way which no equation tells."""
    return Rule(
        f"{at(name, before.shape[1:], unit)} + change",
        lambda _, index, __: sum_of(
            [("change", float(change.flat[index]))], first=(factor(name, before[0], index),)
        ),
        unit,
    )
