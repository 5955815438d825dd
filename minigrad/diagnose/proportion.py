"""Whether the learning rate is out of all proportion, by trial: much too high, or much too low."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite

from minigrad.diagnose.findings import Finding, ending, number
from minigrad.diagnose.patient import Patient

_LOWER = [10.0**-k for k in range(1, 6)]
_HIGHER = [10.0**k for k in range(2, 16)]
_LEARNED = 0.5
_NOTHING = 0.9
"""Both are shares of a loss: so much is left where a rate does well, and where it does nothing."""
_HALVING = 1e5
_ROUNDING = 1e-9


def out_of_proportion(patient: Patient) -> Iterator[Finding]:
    """Descend at the learning rate, and if that comes to nothing at others, powers of ten apart.

    It is too high if it ends no better than it began, or than the best constant prediction is, and
    a lower one ends at less than half of all three. It is too low if J would take more than 1e5
    steps to halve, and one at least a hundred times higher halves it in the trial. All is done on
    copies, with one batch of the sample's rows; nothing is said where no other rate does better.
    """
    optimizer = patient.optimizer
    if optimizer is None:
        return
    landscape, steps, rate = patient.landscape(), patient.trial_steps, optimizer.rate
    start = landscape(landscape.start)[0]
    end = landscape.descend(optimizer, steps)
    trial = _Trial(type(optimizer).__name__, rate, steps, start, end)

    def best(factors: list[float]) -> tuple[float, float]:
        """Return the J that the best of other rates leads to, and that rate."""
        rates = [factor * rate for factor in factors]
        return min((landscape.descend(optimizer, steps, rate=other), other) for other in rates)

    constant = patient.constant * patient.terms_scale
    if isfinite(constant) and end > min(_NOTHING * constant, start):
        better, other = best(_LOWER)
        if better < _LEARNED * min(constant, start, end):
            yield _too_high(trial, constant, other, better)
            return
    if end <= (1 + _ROUNDING) * start and trial.pace * _HALVING < start / 2:
        better, other = best(_HIGHER)
        if better < _LEARNED * start:
            yield _too_low(trial, other, better)


@dataclass(frozen=True)
class _Trial:
    """A descent of some steps at the learning rate in question."""

    optimizer: str
    rate: float
    steps: int
    start: float
    end: float

    @property
    def pace(self) -> float:
        """By how much a step lowers J."""
        return max(0.0, self.start - self.end) / self.steps

    @property
    def told(self) -> str:
        return (
            f"Tried on a copy, {number(self.steps)} steps of {self.optimizer} at "
            f"{number(self.rate)}"
        )

    @property
    def evidence(self) -> dict[str, float]:
        return {
            "learning_rate": self.rate,
            "trial_steps": self.steps,
            "loss_before": self.start,
            "loss_at_this_rate": self.end,
        }


def _too_high(trial: _Trial, constant: float, other: float, better: float) -> Finding:
    return Finding(
        "learning_rate",
        "error",
        f"the learning rate {number(trial.rate)} is too high",
        f"{trial.told} begin at J = {number(trial.start)} and {ending(trial.end)}; the best "
        f"constant prediction has {number(constant)}, so nothing is learned. At {number(other)} "
        f"they {ending(better)}.",
        f"Lower it to about {number(other)}, the best of those tried.",
        trial.evidence
        | {"loss_of_a_constant": constant, "lower_rate": other, "loss_at_lower_rate": better},
    )


def _too_low(trial: _Trial, other: float, better: float) -> Finding:
    halving = trial.start / 2 / trial.pace if trial.pace else inf
    pace = f"at that pace J takes {number(halving)} steps to halve"
    return Finding(
        "learning_rate",
        "error",
        f"the learning rate {number(trial.rate)} is too low",
        f"{trial.told} lower J = {number(trial.start)} by {number(trial.start - trial.end)}: "
        f"{pace if trial.pace else 'it stays as it is'}. At {number(other)} they "
        f"{ending(better)}.",
        f"Raise it to about {number(other)}, the best of those tried.",
        trial.evidence
        | {"steps_to_halve": halving, "higher_rate": other, "loss_at_higher_rate": better},
    )
