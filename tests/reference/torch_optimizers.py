"""Write optimizers.json: what PyTorch's optimizers and schedules make of given gradients.

Run it by hand where PyTorch is installed: python tests/reference/torch_optimizers.py
"""

import json
from pathlib import Path

import numpy as np
import torch

SHAPES = [(3, 2), (5,)]
STEPS = 8
RMSPROP = {"learning_rate": 0.02, "rho": 0.9, "momentum": 0.7, "epsilon": 0.003}
ADAGRAD = {"learning_rate": 0.1, "epsilon": 0.003}
ADAM = {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.003}

OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "clip_norm": 1.5}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.05, "clip_value": 0.4}),
    ("RMSprop", {}),
    ("RMSprop", {**RMSPROP, "weight_decay": 0.05, "clip_norm": 1.5}),
    ("Adagrad", {}),
    ("Adagrad", {**ADAGRAD, "weight_decay": 0.05, "clip_value": 0.4}),
    ("Adam", {}),
    ("Adam", {**ADAM, "weight_decay": 0.05, "clip_norm": 1.5}),
    ("AdamW", {}),
    ("AdamW", {**ADAM, "weight_decay": 0.3, "clip_value": 0.4}),
    ("Adam", {**ADAM, "amsgrad": True, "weight_decay": 0.05}),
    ("AdamW", {**ADAM, "amsgrad": True, "weight_decay": 0.3}),
    ("Nadam", {}),
    ("Nadam", {**ADAM, "momentum_decay": 0.3, "weight_decay": 0.05, "clip_norm": 1.5}),
]
RENAMED = {"learning_rate": "lr", "rho": "alpha", "epsilon": "eps", "Nadam": "NAdam"}

# Each with PyTorch's schedulers, one after another, and the steps at which they change.
SCHEDULES = [
    ("StepDecay", {"decay_rate": 0.3, "decay_steps": 3}, [("StepLR", [3, 0.3])], []),
    ("ExponentialDecay", {"decay_rate": 0.9}, [("ExponentialLR", [0.9])], []),
    (
        "CosineDecay",
        {"decay_steps": 11, "final_learning_rate": 0.01},
        [("CosineAnnealingLR", [11, 0.01])],
        [],
    ),
    (
        "CosineDecay",
        {"decay_steps": 8, "warmup_steps": 3, "final_learning_rate": 0.01},
        [("LinearLR", [1 / 4, 1.0, 3]), ("CosineAnnealingLR", [8, 0.01])],
        [3],
    ),
    ("Warmup", {"warmup_steps": 3}, [("LinearLR", [1 / 4, 1.0, 3])], []),
]


def data(seed):
    """Return where the parameters start, and a gradient for each step; one of them is all zero."""
    rng = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for shape in SHAPES)
    gradients = rng.normal(size=(STEPS, size)) * rng.uniform(0.01, 2, size=(STEPS, 1))
    gradients[3] = 0
    return rng.normal(size=size).tolist(), gradients.tolist()


def run(name, options, start, gradients, dtype):
    """Return the values after each step, flat."""
    dtype = getattr(torch, dtype)
    cuts = np.cumsum([int(np.prod(shape)) for shape in SHAPES])[:-1].tolist()

    def shaped(flat):
        pieces = torch.tensor(flat, dtype=dtype).tensor_split(cuts)
        return [piece.clone().reshape(s) for piece, s in zip(pieces, SHAPES, strict=True)]

    theirs = {RENAMED.get(key, key): value for key, value in options.items()}
    clip_norm, clip_value = theirs.pop("clip_norm", None), theirs.pop("clip_value", None)
    if "beta_1" in theirs:
        theirs["betas"] = theirs.pop("beta_1"), theirs.pop("beta_2")
    parameters = [torch.nn.Parameter(piece) for piece in shaped(start)]
    optimizer = getattr(torch.optim, RENAMED.get(name, name))(parameters, **theirs)
    values = []
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # the product of NAdam has the default type
    for gradient in gradients:
        for parameter, piece in zip(parameters, shaped(gradient), strict=True):
            parameter.grad = piece
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        if clip_value:
            torch.nn.utils.clip_grad_value_(parameters, clip_value)
        optimizer.step()
        values.append(torch.cat([p.detach().ravel() for p in parameters]).tolist())
    torch.set_default_dtype(kept)
    return values


def rates(schedulers, changes, initial, steps):
    """Return the learning rate of each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial)
    made = [getattr(torch.optim.lr_scheduler, name)(optimizer, *o) for name, o in schedulers]
    scheduler = made[0]
    if changes:
        scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, made, milestones=changes)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def main():
    start, gradients = data(0)
    record = {
        "made_with": f"PyTorch {torch.__version__}",
        "start": start,
        "gradients": gradients,
        "optimizers": [
            {
                "name": name,
                "options": options,
                "float64": run(name, options, start, gradients, "float64"),
                "float32": run(name, options, start, gradients, "float32"),
            }
            for name, options in OPTIMIZERS
        ],
        "schedules": [
            {"name": name, "options": options, "rates": rates(schedulers, changes, 0.5, 12)}
            for name, options, schedulers, changes in SCHEDULES
        ],
    }
    Path(__file__).with_name("optimizers.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
