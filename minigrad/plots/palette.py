"""The colours of every picture, each light and dark, and the style sheet they make."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SERIES: Final = ("series-0", "series-1", "series-2", "series-3", "series-4", "series-5")

LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#ffffff",
        "panel": "#eef1f5",
        "grid": "#dde2e8",
        "edge": "#8a94a0",
        "muted": "#57606a",
        "ink": "#1c2128",
        "series-0": "#0a5fc0",
        "series-1": "#c2410c",
        "series-2": "#731e51",
        "series-3": "#00796b",
        "series-4": "#3b2fb0",
        "series-5": "#6b6400",
    }
)

DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#0d1117",
        "panel": "#1d242d",
        "grid": "#2a313a",
        "edge": "#6b7682",
        "muted": "#9ba4ae",
        "ink": "#e8edf2",
        "series-0": "#58a6ff",
        "series-1": "#ff9248",
        "series-2": "#f3c0de",
        "series-3": "#2fae8f",
        "series-4": "#a198ff",
        "series-5": "#d8d06a",
    }
)

# A surface keeps its colours in both modes. Lightness rises steadily in the first ramp; the second
# runs from blue to orange, which no common colour blindness confuses.
SEQUENTIAL: Final = ("#16235c", "#24598f", "#3f9098", "#86c08a", "#d3dd86", "#fdf3b4")
DIVERGING: Final = ("#0b4a94", "#4f93d2", "#aecfec", "#f5f4ef", "#f6c490", "#dd8033", "#963200")

FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
SIZES: Final[Mapping[str, float]] = MappingProxyType({"small": 11.5, "body": 13.0, "title": 17.0})


def stylesheet(scope: str) -> str:
    """CSS in which every rule begins with the selector `scope`.

    Each colour has two classes, `fill-NAME` and `stroke-NAME`. Their rules set the light value
    first, for renderers that know no custom properties, and then the property, which
    `prefers-color-scheme` switches.

    >>> ".fill-ink{fill:#1c2128;fill:var(--ink)}" in stylesheet("#p")
    True
    """
    rules = [
        f"{scope}{{max-width:100%;height:auto;{_properties(LIGHT)}}}",
        f"{scope} text{{font-family:{FONT};font-weight:400}}",
    ]
    rules += [f"{scope} .{name}{{font-size:{size}px}}" for name, size in SIZES.items()]
    rules += [f"{scope} .title,{scope} .strong{{font-weight:600}}"]
    halo = f"stroke:{LIGHT['paper']};stroke:var(--paper)"
    rules.append(
        f"{scope} .halo{{{halo};stroke-width:6px;stroke-linejoin:round;paint-order:stroke}}"
    )
    for name, value in LIGHT.items():
        for kind in ("fill", "stroke"):
            rules.append(f"{scope} .{kind}-{name}{{{kind}:{value};{kind}:var(--{name})}}")
    rules.append(f"@media (prefers-color-scheme:dark){{{scope}{{{_properties(DARK)}}}}}")
    return "".join(rules)


def variables(scope: str) -> str:
    """CSS that gives the selector `scope` each colour as a variable, such as var(--ink).

    >>> variables(".page").count("--ink:")
    2
    """
    dark = f"@media (prefers-color-scheme:dark){{{scope}{{{_properties(DARK)}}}}}"
    return f"{scope}{{{_properties(LIGHT)}}}{dark}"


def _properties(colours: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


def blend(ramp: tuple[str, ...], position: float) -> str:
    """The colour at `position` (0 to 1) of a ramp of evenly spaced colours.

    >>> blend(("#000000", "#ffffff"), 0.5)
    '#808080'
    """
    place = min(max(position, 0.0), 1.0) * (len(ramp) - 1)
    index = min(int(place), len(ramp) - 2)
    share = place - index
    mixed = (
        round(
            (1 - share) * int(ramp[index][i : i + 2], 16)
            + share * int(ramp[index + 1][i : i + 2], 16)
        )
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)
