"""Optimizers of torch.optim with their state, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop.layouts import Part, Weight, join_state, split_state
from minigrad.interop.models import Counterpart, check_trainable
from minigrad.interop.torch.modules import Tensor

_ADAM = {"mean": "exp_avg", "square": "exp_avg_sq", "largest": "max_exp_avg_sq"}

_OPTIMIZERS: dict[type, tuple[Counterpart, dict[str, str]]] = {
    mg.SGD: (
        Counterpart(torch.optim.SGD, "momentum", "nesterov"),
        {"velocity": "momentum_buffer"},
    ),
    mg.RMSprop: (
        Counterpart(torch.optim.RMSprop, "momentum", rho="alpha", epsilon="eps"),
        {"square": "square_avg", "velocity": "momentum_buffer"},
    ),
    mg.Adagrad: (Counterpart(torch.optim.Adagrad, epsilon="eps"), {"sum": "sum"}),
    mg.Adam: (Counterpart(torch.optim.Adam, "amsgrad", epsilon="eps"), _ADAM),
    mg.AdamW: (Counterpart(torch.optim.AdamW, "amsgrad", epsilon="eps"), _ADAM),
    mg.Nadam: (
        Counterpart(torch.optim.NAdam, "momentum_decay", epsilon="eps"),
        {**_ADAM, "correction": "mu_product"},
    ),
}
"""The class in torch.optim with its options, and the names there of our slots."""


def check_convertible(model: mg.Model, function: str) -> None:
    """Refuse a model that isn't compiled, and training that torch.optim lacks."""
    optimizer = check_trainable(model, function)
    if type(optimizer) not in _OPTIMIZERS:
        known = ", ".join(kind.__name__ for kind in _OPTIMIZERS)
        raise TypeError(
            f"{function} expects an optimizer that torch.optim has, one of {known}, got "
            f"{type(optimizer).__name__}"
        )
    for option in ("clip_norm", "clip_value"):
        if getattr(optimizer, option) is not None:
            raise ValueError(
                f"torch.optim has no {option}: set optimizer.{option} = None, and call "
                "torch.nn.utils.clip_grad_norm_ or clip_grad_value_ before each step"
            )
    if not isinstance(optimizer.learning_rate, float):
        raise ValueError(
            f"torch.optim expects a number as learning_rate, got {optimizer.learning_rate!r}: "
            "assign optimizer.learning_rate = optimizer.rate, and use a torch.optim.lr_scheduler"
        )


def write_optimizer(
    model: mg.Model, tensors: Iterable[Tensor], parts: Mapping[int, list[Part]]
) -> Any:
    """Return the optimizer of a model for tensors, whose parts are given by their id."""
    ours: Any = model.optimizer
    row, slots = _OPTIMIZERS[type(ours)]
    options = row.theirs(ours)
    if isinstance(ours, (mg.Adam, mg.Nadam)):
        options["betas"] = ours.beta_1, ours.beta_2
    tensors = [*tensors]
    there = row.kind(tensors, lr=ours.rate, weight_decay=ours.weight_decay, **options)
    for tensor in tensors if ours.steps else ():
        if tensor.requires_grad:
            if not isinstance(ours, mg.SGD):
                there.state[tensor]["step"] = torch.tensor(float(ours.steps))
            for slot in ours.slots:
                array = split_state(model, ours.state[slot], parts[id(tensor)])
                if slot == "correction":  # one number, and 0 where a tensor isn't trained
                    array = 1 - array.max()
                there.state[tensor][slots[slot]] = torch.tensor(array)
    return there


def read_optimizer(there: Any) -> Any:
    """Return the counterpart of a PyTorch optimizer, without its state."""
    kinds = {row.kind: kind for kind, (row, _) in _OPTIMIZERS.items()}
    if type(there) not in kinds:
        raise TypeError(
            f"from_torch expects an optimizer of {', '.join(k.__name__ for k in kinds)}, got "
            f"{type(there).__name__}"
        )
    kind = kinds[type(there)]
    if len(there.param_groups) > 1:
        raise ValueError(
            f"from_torch expects an optimizer with one group of parameters, got "
            f"{len(there.param_groups)}"
        )
    group = there.param_groups[0]
    lacking = ["maximize", "dampening", "centered", "lr_decay"]
    lacking += ["decoupled_weight_decay"] if kind is mg.Nadam else []
    for option in lacking:
        if group.get(option):
            raise ValueError(
                f"{kind.__name__} of minigrad has no {option}, got {option}={group[option]}"
            )
    options = _OPTIMIZERS[kind][0].ours(group.__getitem__)
    if "betas" in group:
        options["beta_1"], options["beta_2"] = group["betas"]
    return kind(learning_rate=float(group["lr"]), weight_decay=group["weight_decay"], **options)


def read_state(
    model: mg.Model, there: Any, pairs: Iterable[tuple[Layer, Weight, list[Tensor]]]
) -> None:
    """Give the optimizer of a model the state of its Counterpart."""
    ours: Any = model.optimizer
    slots = _OPTIMIZERS[type(ours)][1]
    states = {id(t): state for t, state in there.state.items() if state and t.requires_grad}
    if not states:
        return
    steps = {int(state["step"]) for state in states.values() if "step" in state}
    if len(steps) > 1:
        raise ValueError(f"from_torch expects as many steps of all parameters, got {steps}")
    ours.steps = max(steps, default=1)
    for slot in ours.slots:
        if slot == "correction":
            product = next(iter(states.values()))[slots[slot]]
            ours.state[slot] = np.full_like(model.parameters.value, 1 - product.item())
            continue

        def state_of(tensor: Tensor, name: str = slots[slot]) -> Any:
            state = states.get(id(tensor), {})
            return state.get(name, torch.zeros_like(tensor)).detach().cpu().numpy()

        for layer, weight, tensors in pairs:
            arrays = [*map(state_of, tensors)]
            if len(arrays) > 1 and weight.join(0 * arrays[0], arrays[1]).any():
                raise ValueError(
                    f"{layer.label} has one {weight.attribute} for two that the optimizer trains "
                    "in PyTorch: call from_torch without the optimizer"
                )
        join_state(model, slot, pairs, state_of)
