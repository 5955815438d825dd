"""Which of the rules for layers a layer breaks, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Shape


@dataclass(frozen=True)
class LayerReport:
    """What `check_layer` found: for each broken rule, how it shows.

    An error is told once, at the first rule that met it; `untried` counts the rules that it kept
    from being tried after that.

    >>> print(LayerReport("Scale()", {"forward keeps its word": "it gave 3 rows for 2"}, 20))
    FAILED: Scale() breaks 1 of 20 rules
      forward keeps its word:
        it gave 3 rows for 2
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
        later = f"; {self.untried} are left until that is mended" if self.untried else ""
        lines = [f"FAILED: {self.layer} breaks {len(self.broken)} of {self.rules} rules{later}"]
        for sentence, found in self.broken.items():
            lines += [f"  {sentence}:", f"    {found}"]
        return "\n".join(lines)


def check_layer(layer: Layer, input_shape: Shape) -> LayerReport:
    """Try a layer on everything that models rely on, and tell which rules it breaks.

    The rules: the declared shape, exact gradients, the dtype, fresh arrays, the cache, inference
    that leaves no trace and serves many threads, rows and random numbers, large inputs, buffers,
    the configuration, copies, freezing. Each is tried on copies; the layer is left as it is.

    Args:
        layer: an example of it, not yet built; small is quick, as each number of it is varied.
        input_shape: the shape of a row, such as (3,).

    Returns:
        A report: true if all rules are kept, and readable when it is printed.

    Raises:
        ValueError: the layer is built already.

    >>> import numpy as np
    >>> from minigrad import Dense, Tanh
    >>> print(check_layer(Dense(2), (3,)))
    passed: Dense(2) keeps all 20 rules
    >>> class Bent(Tanh):
    ...     def derivative(self, cached):
    ...         return 1 - cached
    >>> print(check_layer(Bent(), (1,)))  # doctest: +ELLIPSIS
    FAILED: Bent() breaks 1 of 20 rules
      backward gives the exact derivatives of what forward gives:
        with MSELoss(), input[...] is ..., central differences give ... (relative error ...)
    """
    # Only here, so that it costs nothing to those who import minigrad and never call it.
    from minigrad.checks.example import Example
    from minigrad.checks.layer import RULES, BrokenRuleError

    if layer.output_shape is not None:
        raise ValueError(f"check_layer takes a layer that isn't built, and {layer.label} is")
    example = Example(layer, input_shape)
    broken: dict[str, str] = {}
    errors: set[str] = set()
    untried = 0
    for number, (sentence, rule) in enumerate(RULES.items()):
        try:
            rule(example)
        except BrokenRuleError as error:
            broken[sentence] = str(error)
        except Exception as error:  # whatever a layer raises is a finding
            found = f"{type(error).__name__}: {error}"
            alike = re.sub(r"\d+", "", found)  # the same error, for another number of rows
            if alike in errors:
                untried += 1
                continue
            errors.add(alike)
            broken[sentence] = found
        if broken and number == 0:
            untried = len(RULES) - 1
            break
    return LayerReport(repr(layer), broken, len(RULES), untried)
