"""The colours of SVG pictures and HTML pages, in a light and a dark version."""

from typing import Final

COLORS: Final = {
    "paper": ("#ffffff", "#0d1117"),
    "panel": ("#eef1f5", "#1d242d"),
    "grid": ("#dde2e8", "#2a313a"),
    "edge": ("#8a94a0", "#6b7682"),
    "muted": ("#57606a", "#9ba4ae"),
    "ink": ("#1c2128", "#e8edf2"),
    "series-0": ("#0a5fc0", "#58a6ff"),
    "series-1": ("#c2410c", "#ff9248"),
    "series-2": ("#731e51", "#f3c0de"),
    "series-5": ("#6b6400", "#d8d06a"),
}  # light, dark

FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def variables(scope: str) -> str:
    """Return CSS that defines each colour as a variable, such as var(--ink), in a selector's scope.

    >>> variables(".page").count("--ink:")
    2
    """
    light, dark = (
        ";".join(f"--{name}:{pair[mode]}" for name, pair in COLORS.items()) for mode in (0, 1)
    )
    return f"{scope}{{{light}}}@media (prefers-color-scheme:dark){{{scope}{{{dark}}}}}"
