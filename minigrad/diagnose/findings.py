"""What a diagnosis says: findings, each with its evidence in numbers and what to do about it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal, TypeAlias, overload

from typing_extensions import override

Severity: TypeAlias = Literal["error", "warning"]

SEVERITIES: Final[Mapping[Severity, str]] = {
    "error": "the network can't learn what it should",
    "warning": "it learns worse, or more slowly, than it could",
}
WIDTH: Final = 100


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a name for programs, such as "learning_rate".
        severity: "error" or "warning".
        title: what is wrong, in a line.
        why: what the evidence says.
        remedy: what to do.
        evidence: numbers by name.
        layer: the path of the layer that it is about, or None.
    """

    kind: str
    severity: Severity
    title: str
    why: str
    remedy: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    layer: str | None = None

    @property
    def told(self) -> dict[str, str]:
        """The evidence as it is printed, without infinite numbers: what has no bound is no news."""
        return {name: number(value) for name, value in self.evidence.items() if isfinite(value)}

    @override
    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.told.items())
        parts = {"": self.why, "evidence: ": told, "to do: ": self.remedy}
        return "\n".join(
            [
                _wrapped(f"{self.severity.upper()}: {self.title}"),
                *(_wrapped(f"{head}{said}", "  ") for head, said in parts.items() if said),
            ]
        )


class Diagnosis(Sequence[Finding]):
    """Findings, the gravest first; empty, and so false, where nothing was found.

    Args:
        findings: in any order.
        notes: how it was looked for, and what wasn't.

    >>> finding = Finding("constant_targets", "error", "y doesn't vary", "It is 1.", "Vary it.")
    >>> diagnosis = Diagnosis([finding], notes=["looked at 10 rows"])
    >>> print(diagnosis)
    1 error
    <BLANKLINE>
    ERROR: y doesn't vary
      It is 1.
      to do: Vary it.
    <BLANKLINE>
    (looked at 10 rows)
    >>> diagnosis["constant_targets"] is diagnosis[0], "learning_rate" in diagnosis.kinds
    (True, False)
    """

    def __init__(self, findings: Iterable[Finding], *, notes: Iterable[str] = ()) -> None:
        grave = list(SEVERITIES)
        self._findings = sorted(findings, key=lambda finding: grave.index(finding.severity))
        self.notes = tuple(notes)

    @property
    def kinds(self) -> list[str]:
        """The kind of each finding."""
        return [finding.kind for finding in self]

    @property
    def headline(self) -> str:
        """How many findings of each severity."""
        counts = {name: sum(f.severity == name for f in self) for name in SEVERITIES}
        told = [f"{n} {name}{'s' * (n > 1)}" for name, n in counts.items() if n]
        return ", ".join(told) or "nothing found"

    @overload
    def __getitem__(self, key: int | str) -> Finding: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Finding]: ...
    @override
    def __getitem__(self, key: int | str | slice) -> Finding | Sequence[Finding]:
        """Return a finding by its place, or the first of a kind.

        Raises:
            IndexError: fewer findings.
            KeyError: none of that kind.
        """
        if not isinstance(key, str):
            return self._findings[key]
        for finding in self:
            if finding.kind == key:
                return finding
        raise KeyError(f"nothing of the kind {key!r} was found; found: {self.kinds}")

    @override
    def __len__(self) -> int:
        return len(self._findings)

    @override
    def __str__(self) -> str:
        notes = "\n".join(_wrapped(f"({note})") for note in self.notes)
        return "\n\n".join([self.headline, *map(str, self), *([notes] if notes else [])])

    @override
    def __repr__(self) -> str:
        return f"Diagnosis({self.headline}: {', '.join(self.kinds) or 'print it'})"

    def _repr_html_(self) -> str:
        """Return it for a notebook."""
        from minigrad.diagnose.page import page

        return page(self)


def number(value: float) -> str:
    """Write a number in four digits, a count in all of its own.

    >>> number(0.0831723), number(10000), number(1.5e-9), number(575.2)
    ('0.08317', '10,000', '1.5e-09', '575.2')
    """
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def ending(j: float) -> str:
    """Say where a trial's J ends.

    >>> from math import inf
    >>> ending(0.5), ending(inf)
    ('end at J = 0.5', 'let J grow beyond all bounds')
    """
    return f"end at J = {number(j)}" if isfinite(j) else "let J grow beyond all bounds"


def percent(share: float) -> str:
    """Write a share in whole percent, and 0% and 100% only where it is nothing and all.

    >>> percent(0.256), percent(0.9967), percent(1.0), percent(0.003)
    ('26%', 'over 99%', '100%', 'under 1%')
    """
    if 0.995 <= share < 1:
        return "over 99%"
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"


def _wrapped(said: str, indent: str = "") -> str:
    return textwrap.fill(said, WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")
