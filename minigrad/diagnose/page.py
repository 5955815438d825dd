"""A diagnosis as HTML for a notebook, readable on light and dark pages."""

from __future__ import annotations

from html import escape
from typing import Final

from minigrad.diagnose.findings import Diagnosis, Finding
from minigrad.plots.palette import FONT, variables

_SCOPE: Final = ".minigrad-diagnosis"
_RULES: Final = {
    "": f"font:14px/1.5 {FONT};background:var(--paper);color:var(--ink);padding:16px 20px;"
    "border-radius:8px;max-width:52rem",
    " h3": "font-size:17px;margin:0 0 8px;color:inherit",
    " h4": "font-size:15px;margin:0 0 4px;color:inherit",
    " p": "margin:0 0 6px",
    " article": "background:var(--panel);border-left:5px solid var(--edge);border-radius:4px;"
    "padding:10px 14px;margin:0 0 12px",
    " .error": "border-color:var(--series-1)",
    " .warning": "border-color:var(--series-5)",
    " dl": "display:grid;grid-template-columns:max-content 1fr;gap:0 14px;margin:0 0 6px;"
    "font-variant-numeric:tabular-nums",
    " dt": "color:var(--muted);font-weight:400",
    " dd": "margin:0",
    " small": "display:block;color:var(--muted);font-size:12.5px",
}


def page(diagnosis: Diagnosis) -> str:
    """Write all findings, with their evidence as a list; whatever names hold is escaped."""
    rules = "".join(f"{_SCOPE}{part}{{{rule}}}" for part, rule in _RULES.items())
    findings = "".join(map(_article, diagnosis))
    notes = "".join(f"<small>{escape(note)}</small>" for note in diagnosis.notes)
    return (
        f'<section class="{_SCOPE[1:]}"><style>{variables(_SCOPE)}{rules}</style>'
        f"<h3>{escape(diagnosis.headline)}</h3>{findings}{notes}</section>"
    )


def _article(finding: Finding) -> str:
    evidence = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(value)}</dd>"
        for name, value in finding.told.items()
    )
    return (
        f'<article class="{escape(finding.severity)}">'
        f"<h4>{escape(finding.severity)}: {escape(finding.title)}</h4>"
        f"<p>{escape(finding.why)}</p><dl>{evidence}</dl>"
        f"<p><strong>To do:</strong> {escape(finding.remedy)}</p></article>"
    )
