"""What a finding of the diagnosis asks for, as a change of the settings; and settings that fail."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from minigrad.diagnose import Finding
from minigrad.playground.settings import Settings


class Preset(NamedTuple):
    """Prepared settings: a title, what to look at, and how they differ from those of a new page."""

    title: str
    about: str
    settings: dict[str, Any]


PRESETS: Final = {
    "out_of_range": Preset(
        "Targets out of range",
        "The targets go up to 2, and a sigmoid ends at 1. The loss has a floor above 0.",
        {"data": "total", "noise": 0.0, "hidden": [3], "activation": "sigmoid",
         "output": "sigmoid", "learning_rate": 0.3},
    ),
    "high_rate": Preset(
        "Rate above 2 / λmax",
        "The learning rate is above the stability limit 2 / λmax: each step overshoots.",
        {"data": "total", "noise": 0.0, "hidden": [8], "activation": "tanh", "batch_size": 300,
         "learning_rate": 2.5},
    ),
    "dead_units": Preset(
        "Dead ReLUs",
        "The biases start so low that no unit is ever above 0. Its gradient is 0 in all rows.",
        {"data": "moons", "activation": "relu", "initial_bias": -5.0},
    ),
    "unscaled": Preset(
        "Unscaled inputs",
        "The inputs are 100 times larger, as in other units. Tanh units are at their ends.",
        {"data": "moons", "scale": 100.0},
    ),
    "equal_weights": Preset(
        "Equal weights",
        "All weights of a layer start equal. Its units get equal gradients, and stay copies.",
        {"data": "xor", "initializer": "equal", "hidden": [6, 4]},
    ),
    "vanishing": Preset(
        "Vanishing gradients",
        "Each sigmoid layer shrinks delta. The first layers hardly change.",
        {"data": "circles", "activation": "sigmoid", "hidden": [8, 8, 8, 8, 8, 8]},
    ),
    "linear": Preset(
        "No activation",
        "Layers without an activation compute one linear map. No line separates circles.",
        {"data": "circles", "activation": "linear"},
    ),
    "overfit": Preset(
        "Overfit",
        "A large network learns few noisy rows by heart. The test loss rises.",
        {"data": "moons", "rows": 60, "noise": 0.3, "hidden": [16, 16], "optimizer": "Adam",
         "learning_rate": 0.02, "test_share": 0.5},
    ),
}  # fmt: skip
"""Settings with which training fails, for lessons."""


def remedy(finding: Finding, s: Settings) -> tuple[str, dict[str, Any]] | None:
    """Return the change that a finding asks for, in words and as settings; None if there is none.

    >>> found = Finding("linear_stack", "warning", "no activation", "Why.", "Add an activation.")
    >>> remedy(found, Settings(activation="linear"))
    ('Set the activation to tanh', {'activation': 'tanh'})
    """
    rate = finding.evidence.get("lower_rate", finding.evidence.get("higher_rate"))
    match finding.kind:
        case "learning_rate" if rate:
            return f"Set the learning rate to {rate:.3g}", {"learning_rate": float(f"{rate:.3g}")}
        case "targets_out_of_range" | "loss_mismatch" if s.output != "linear":
            return "Make the output linear", {"output": "linear", "loss": None}
        case "unscaled_inputs" if not s.standardize:
            return "Standardize the inputs", {"standardize": True}
        case "identical_units" if s.initializer != "glorot_uniform":
            return "Start with random weights", {"initializer": "glorot_uniform"}
        case "dead_units" if s.initial_bias:
            return "Start the biases at 0", {"initial_bias": 0.0, "initializer": "he_normal"}
        case "dead_units" if s.activation != "leaky_relu":
            return "Set the activation to leaky ReLU", {"activation": "leaky_relu"}
        case "saturated_units" if s.scale != 1 and not s.standardize:
            return "Standardize the inputs", {"standardize": True}
        case "saturated_units" if s.initializer not in ("glorot_uniform", "he_normal"):
            return "Start with smaller weights", {"initializer": "glorot_uniform"}
        case "vanishing_gradients" if s.activation != "relu":
            changes = {"activation": "relu", "initializer": "he_normal"}
            return "Use ReLU with He's initial weights", changes
        case "exploding_gradients" if s.initializer != "glorot_uniform":
            return "Start with smaller weights", {"initializer": "glorot_uniform"}
        case "linear_stack" if s.activation == "linear":
            return "Set the activation to tanh", {"activation": "tanh"}
        case "strong_regularizers":
            return "Make the regularizer 100 times weaker", {"strength": s.strength / 100}
    return None
