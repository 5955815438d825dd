"""Check a layer: test it against the rules that models rely on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from typing_extensions import override

from minigrad.checks.rules import RULES, BrokenRuleError, Trial
from minigrad.core.layer import Layer
from minigrad.data.arrays import Shape
from minigrad.util.options import check_int


@dataclass(frozen=True)
class LayerReport:
    """The result of `check_layer`: the broken rules, each with what the layer does instead.

    An error that several rules meet is listed once, at the first rule; `untried` counts the other
    rules, which it keeps from being checked.
    """

    layer: str
    broken: dict[str, str]
    rules: int
    untried: int = 0

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken

    def __bool__(self) -> bool:
        return self.passed

    @override
    def __str__(self) -> str:
        if self.passed:
            return f"passed: {self.layer} keeps all {self.rules} rules"
        lines = [f"FAILED: {self.layer} breaks {len(self.broken)} of {self.rules} rules"]
        if self.untried:
            cause = "this one" if len(self.broken) == 1 else "these"
            lines[0] += f"; {self.untried} rules were not checked because {cause} failed"
        for rule, found in self.broken.items():
            lines += [f"  {rule}:", f"    {found}"]
        return "\n".join(lines)


def check_layer(layer: Layer, input_shape: Shape) -> LayerReport:
    """Test a layer against the rules that models rely on, and report which ones it breaks.

    The rules cover the declared shape, exact gradients, the dtype, fresh arrays, the cache,
    inference from many threads, rows and random numbers, large inputs, buffers, the configuration,
    copies, and freezing. The check works on copies; the layer doesn't change.

    Args:
        layer: an example of the layer, not built; a small one is fast, as each number is varied.
        input_shape: the shape of one row, such as (3,).

    Returns:
        A report, which is true if the layer keeps all rules, and readable when printed.

    Raises:
        TypeError: `layer` isn't a `Layer` object, or `input_shape` isn't a tuple of integers.
        ValueError: the layer is already built, or a size in `input_shape` is below 1.

    >>> import numpy as np
    >>> from minigrad import Dense, Tanh
    >>> print(check_layer(Dense(2), (3,)))
    passed: Dense(2) keeps all 20 rules
    >>> class Bent(Tanh):
    ...     def derivative(self, cached):
    ...         return 1 - cached
    >>> print(check_layer(Bent(), (1,)))  # doctest: +ELLIPSIS
    FAILED: Bent() breaks 1 of 20 rules
      backward returns the exact derivatives of forward:
        with MSELoss(), input[...] is ..., central differences give ... (relative error ...)
    """
    if not isinstance(layer, Layer):
        raise TypeError(
            f"check_layer expects a Layer object, got {layer!r}: pass one, such as Dense(2)"
        )
    if layer.output_shape is not None:
        raise ValueError(f"check_layer expects a layer that isn't built, got {layer.label}, built")
    if not isinstance(input_shape, tuple):
        raise TypeError(
            f"check_layer expects input_shape as a tuple, got {input_shape!r}: pass (3,) for rows "
            "of 3 features"
        )
    trial = Trial(layer, tuple(check_int(n, "input_shape", "check_layer") for n in input_shape))
    broken: dict[str, str] = {}
    errors: set[str] = set()
    untried = 0
    for number, (sentence, rule) in enumerate(RULES.items()):
        try:
            rule(trial)
        except BrokenRuleError as error:
            broken[sentence] = str(error)
        except Exception as error:  # any error of the layer is a finding
            found = f"{type(error).__name__}: {error}"
            alike = re.sub(r"\d+", "", found)  # the same error, for another number of rows
            if alike in errors:
                untried += 1
                continue
            errors.add(alike)
            broken[sentence] = found
        if broken and number == 0:  # a layer that can't be built can't be checked further
            untried = len(RULES) - 1
            break
    return LayerReport(repr(layer), broken, len(RULES), untried)
