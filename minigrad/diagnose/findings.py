"""Findings: what is wrong, the evidence in numbers, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, overload

import numpy as np
from typing_extensions import override

from minigrad.util.markup import escape
from minigrad.util.terminal import Style, Terminal

Severity: TypeAlias = Literal["error", "warning"]

_COLOURS: Final[Mapping[Severity, tuple[Style, str]]] = {
    "error": ("red", "#cf4a3c"), "warning": ("yellow", "#a88400")
}  # fmt: skip
"""The color of each severity in a terminal and on a page."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a name for programs, such as "learning_rate".
        severity: "error" if the network can't learn its task; "warning" if it learns badly.
        title: what is wrong, in one line.
        why: what the evidence shows.
        remedy: what to do.
        evidence: numbers by name.
        layer: the path of the layer that is at fault, or None.
    """

    kind: str
    severity: Severity
    title: str
    why: str
    remedy: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None

    def _paragraphs(self) -> list[str]:
        numbers = ", ".join(f"{name} {number(value)}" for name, value in self.evidence.items())
        parts = {"": self.why, "evidence: ": numbers, "to do: ": self.remedy}
        return [f"{head}{text}" for head, text in parts.items() if text]

    @override
    def __str__(self) -> str:
        terminal, word = Terminal.of(), self.severity.upper()
        _, _, title = terminal.fill(f"{word}: {self.title}").partition(word)
        painted = terminal.paint(word, "bold", _COLOURS[self.severity][0]) + title
        return "\n".join([painted, *(terminal.fill(text, "  ") for text in self._paragraphs())])

    def _repr_html_(self) -> str:
        style = (
            f"border-left:5px solid {_COLOURS[self.severity][1]};padding-left:14px;margin:12px 0"
        )
        return (
            f'<article class="{self.severity}" style="{style}">'
            f"<strong>{self.severity}: {escape(self.title)}</strong>"
            f"{''.join(f'<p>{escape(text)}</p>' for text in self._paragraphs())}</article>"
        )


class Diagnosis(Sequence[Finding]):
    """Findings, most severe first. It is empty, and so false, if nothing was found.

    It prints as text, and shows as HTML in a notebook. `notes` say what was checked and how.

    >>> finding = Finding("constant_targets", "error", "y is constant", "y is 1.", "Check y.")
    >>> diagnosis = Diagnosis([finding], notes=["checked 10 rows"])
    >>> print(diagnosis)
    1 error
    <BLANKLINE>
    ERROR: y is constant
      y is 1.
      to do: Check y.
    <BLANKLINE>
    (checked 10 rows)
    >>> diagnosis["constant_targets"] is diagnosis[0], "learning_rate" in diagnosis.kinds
    (True, False)
    """

    def __init__(self, findings: Iterable[Finding], *, notes: Iterable[str] = ()) -> None:
        order = list(_COLOURS)
        self._findings = sorted(findings, key=lambda finding: order.index(finding.severity))
        self.notes = tuple(notes)

    @property
    def kinds(self) -> list[str]:
        """The kind of each finding."""
        return [finding.kind for finding in self]

    @property
    def headline(self) -> str:
        """The number of findings of each severity."""
        counts = {name: sum(f.severity == name for f in self) for name in _COLOURS}
        parts = [f"{n} {name if n == 1 else name + 's'}" for name, n in counts.items() if n]
        return ", ".join(parts) or "no findings"

    @overload
    def __getitem__(self, key: int | str) -> Finding: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Finding]: ...
    @override
    def __getitem__(self, key: int | str | slice) -> Finding | Sequence[Finding]:
        """Return a finding by its index, or the first one of a kind."""
        if not isinstance(key, str):
            return self._findings[key]
        if key not in self.kinds:
            raise KeyError(f"there is no finding of kind {key!r}; the kinds found are {self.kinds}")
        return self._findings[self.kinds.index(key)]

    @override
    def __len__(self) -> int:
        return len(self._findings)

    @override
    def __str__(self) -> str:
        terminal = Terminal.of()
        notes = "\n".join(terminal.paint(terminal.fill(f"({note})"), "dim") for note in self.notes)
        return "\n\n".join([self.headline, *map(str, self), *([notes] if notes else [])])

    @override
    def __repr__(self) -> str:
        kinds = f": {', '.join(self.kinds)}" if self else ""
        return f"Diagnosis({self.headline}{kinds})"

    def _repr_html_(self) -> str:
        findings = "".join(finding._repr_html_() for finding in self)
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"<section><h3>{self.headline}</h3>{findings}{notes}</section>"


def evidence(**numbers: float | np.number[Any]) -> dict[str, float]:
    """Return numbers by name, those of NumPy as Python's."""
    return {name: np.asarray(value).item() for name, value in numbers.items()}


def number(value: float) -> str:
    """Format a number with four digits, and a whole number with all of its digits."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}".replace("inf", "infinity")


def percent(share: float) -> str:
    """Format a share in whole percent; only 0 is 0% and only 1 is 100%."""
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"
