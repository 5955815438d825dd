"""Write losses.json: what PyTorch's losses make of given predictions and targets.

Run it by hand where PyTorch is installed: python tests/reference/torch_losses.py
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROWS = 4


def cases(seed):
    """Return the losses, their options, and data for them; plain lists of numbers."""
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        return (rng.integers(-300, 300, size=shape) / 64).tolist()

    def chances(*shape):
        return (rng.integers(1, 63, size=shape) / 64).tolist()

    weights = chances(ROWS)
    weights[2] = 0.0
    found = []
    for width in (1, 3):
        prediction, target = numbers(ROWS, width), numbers(ROWS, width)
        labels = rng.integers(0, 2, size=(ROWS, width)).astype(float).tolist()
        large = (50 * np.array(prediction)).tolist()
        found += [
            ("MSELoss", {}, prediction, target, None),
            ("MSELoss", {}, prediction, target, weights),
            ("L1Loss", {}, prediction, target, None),
            ("HuberLoss", {}, prediction, target, None),
            ("HuberLoss", {"delta": 0.3}, prediction, target, None),
            ("BCELoss", {}, chances(ROWS, width), labels, None),
            ("BCELoss", {}, chances(ROWS, width), chances(ROWS, width), weights),
            ("BCEWithLogitsLoss", {}, prediction, labels, None),
            ("BCEWithLogitsLoss", {}, large, labels, None),
            ("BCEWithLogitsLoss", {}, prediction, chances(ROWS, width), weights),
        ]
    for classes in (2, 5):
        logits, indices = numbers(ROWS, classes), rng.integers(0, classes, size=ROWS).tolist()
        one_hot = np.eye(classes)[indices].tolist()
        shares = rng.dirichlet(np.ones(classes), size=ROWS).tolist()
        for smoothing in ({}, {"label_smoothing": 0.2}):
            found += [
                ("CrossEntropyLoss", smoothing, logits, indices, None),
                ("CrossEntropyLoss", smoothing, logits, one_hot, None),
                ("CrossEntropyLoss", smoothing, logits, shares, None),
                ("CrossEntropyLoss", smoothing, logits, indices, weights),
            ]
    for width in (1, 3):
        prediction, target = numbers(ROWS, width), numbers(ROWS, width)
        labels = rng.integers(0, 2, size=(ROWS, width)).astype(float).tolist()
        counts = rng.poisson(2, size=(ROWS, width)).astype(float).tolist()
        found += [
            ("BCEWithLogitsLoss", {"pos_weight": 5.0}, prediction, labels, None),
            ("BCEWithLogitsLoss", {"pos_weight": chances(width)}, prediction, labels, weights),
            ("PoissonNLLLoss", {}, prediction, counts, None),
            ("PoissonNLLLoss", {"log_input": False}, chances(ROWS, width), counts, weights),
            ("CosineSimilarityLoss", {}, prediction, target, None),
            ("CosineSimilarityLoss", {}, prediction, target, weights),
        ]
    none = [0] * ROWS
    for width in (3, 6):
        shares, logs = rng.dirichlet(np.ones(width), size=(2, ROWS))
        shares[0] = np.eye(width)[1]
        found += [
            ("KLDivLoss", {}, np.log(logs).tolist(), shares.tolist(), None),
            ("TripletMarginLoss", {}, numbers(ROWS, width), none, None),
            ("TripletMarginLoss", {"margin": 3.0}, numbers(ROWS, width), none, weights),
        ]
    keys = ["name", "options", "prediction", "target", "sample_weight"]
    made = [dict(zip(keys, case, strict=True)) for case in found]
    return [
        {**case, "options": {**case["options"], "reduction": reduction}}
        for case in made
        for reduction in ("mean", "sum")
    ]


def loss_of(name, a, t, **options):
    """Return what the class of this name gives."""
    return getattr(torch.nn, name)(**options)(a, t)


def kl(name, a, t, **options):
    """Divide a mean by the number of rows."""
    reduction = options.pop("reduction").replace("mean", "batchmean")
    return loss_of(name, a, t, reduction=reduction, **options)


def cosine(name, a, t, **options):
    """Return 1 minus the cosine of each row."""
    return torch.nn.CosineEmbeddingLoss(**options)(a, t, torch.ones(len(a)))


def triplet(name, a, t, **options):
    """Take the three vectors apart."""
    return torch.nn.TripletMarginLoss(**options)(*a.tensor_split(3, dim=1))


THEIRS = {"KLDivLoss": kl, "CosineSimilarityLoss": cosine, "TripletMarginLoss": triplet}


def compute(case, dtype):
    """Return J and dJ/dprediction."""
    kind = getattr(torch, dtype)
    a = torch.tensor(case["prediction"], dtype=kind, requires_grad=True)
    indices = isinstance(case["target"][0], int)
    t = torch.tensor(case["target"], dtype=torch.int64 if indices else kind)
    made = partial(THEIRS.get(case["name"], loss_of), case["name"])
    options = dict(case["options"])
    if "pos_weight" in options:
        options["pos_weight"] = torch.tensor(options["pos_weight"], dtype=kind)
    if case["sample_weight"] is None:
        j = made(a, t, **options)
    else:
        w = torch.tensor(case["sample_weight"], dtype=kind)
        terms = made(a, t, **{**options, "reduction": "none"})
        w = w.reshape(-1, *[1] * (terms.ndim - 1))
        j = (w * terms).sum()
        if case["options"]["reduction"] == "mean":
            j = j / w.broadcast_to(terms.shape).sum()
    j.backward()
    # 9 digits tell any float32.
    digits = 17 if dtype == "float64" else 9
    gradient = [[float(f"{value:.{digits}g}") for value in row] for row in a.grad.tolist()]
    return {"j": float(f"{j.item():.{digits}g}"), "gradient": gradient}


def main():
    record = {
        "made_with": f"PyTorch {torch.__version__}",
        "cases": [
            {**case, "float64": compute(case, "float64"), "float32": compute(case, "float32")}
            for case in cases(0)
        ],
    }
    Path(__file__).with_name("losses.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
