"""The script of a run: what was done in which order, so that it can be done again."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from minigrad.playground.settings import Settings

Action: TypeAlias = tuple[Any, ...]
"""("fit", epochs), ("set", settings), or ("weight", layer, source, unit, value)."""

_MOST: Final = 2000


class Script:
    """The settings at the beginning of a run, and the steps since then.

    >>> script = Script(Settings())
    >>> script.add(("fit", 3))
    >>> script.add(("fit", 4))
    >>> script.add(("set", {"learning_rate": 0.5}))
    >>> script.steps
    [('fit', 7), ('set', {'learning_rate': 0.5})]
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.steps: list[Action] = []
        self.complete = True

    def add(self, step: Action) -> None:
        """Add a step, and merge it with the last one where the result is the same."""
        kind, *given = step
        last = self.steps[-1] if self.steps else ("",)
        if kind == last[0] == "fit":
            self.steps[-1] = ("fit", last[1] + given[0])
        elif kind == last[0] == "weight" and last[1:-1] == step[1:-1]:
            self.steps[-1] = step
        elif len(self.steps) < _MOST:
            self.steps.append(step)
        else:
            self.complete = False

    def check_complete(self) -> None:
        """Raise ValueError if the run had more steps than are kept."""
        if not self.complete:
            raise ValueError(
                f"this run had over {_MOST} changes, more than are kept: start again for a run "
                "that can be repeated"
            )
