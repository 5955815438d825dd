r"""Read the equations of docstrings, which are plain text, and write them as LaTeX.

`dJ/dW = x^T delta        sum over rows` becomes
`\frac{\partial J}{\partial W} = x^T \delta \qquad \text{sum over rows}`. What isn't certainly an
equation stays text.
"""

import re

SIGNS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η",
    "theta": "θ", "lambda": "λ", "mu": "μ", "rho": "ρ", "sigma": "σ", "pi": "π", "phi": "φ",
    "Phi": "Φ", "Gamma": "Γ", "Delta": "Δ",
}  # fmt: skip
FUNCTIONS = {
    "exp", "log", "tanh", "sigmoid", "softmax", "softplus", "sign", "max", "min", "cos", "sin",
    "mean", "erf",
}  # fmt: skip
MOST_WORDS = 9  # in a line of equations; a line with more is a sentence
TOKEN = re.compile(
    r"""
    (?P<partial>\bd(?P<of>[A-Za-z]\w?)/d(?P<by>[A-Za-z]+)(?![A-Za-z]))
    | (?P<sum>\bsum\ over\ (?P<index>[a-z](?:,\ [a-z])*|rows)\ of\b)
    | (?P<arrow><-) | (?P<least><=) | (?P<most>>=)
    | (?P<word>[A-Za-z]+\d?)
    | (?P<under>_)(?P<low>\([^()]*\)|\w+) | (?P<over>\^)(?P<high>\([^()]*\)|-?\d+|[A-Za-z])
    | (?P<list>\[[^\[\]]*\])
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<sign>[-+=/(){}|,'<>])
    | (?P<times>\*)
    | (?P<space>\s+)
    """,
    re.VERBOSE,
)


def symbol(word: str) -> str:
    """Return a name, or a word of a sentence, in LaTeX."""
    if word in SIGNS:
        return rf"\{word} "
    if len(word) == 1 or (len(word) == 2 and word[1].isdigit()):
        return word
    if word == "sqrt":
        return r"\sqrt "
    return rf"\operatorname{{{word}}}" if word in FUNCTIONS else rf"\text{{ {word} }}"


def inner(text: str) -> str | None:
    """Return an index or an exponent in LaTeX."""
    text = text[1:-1] if text.startswith("(") else text
    parts = re.fullmatch(r"[a-z]{2,3}", text)
    return text if parts and text not in SIGNS else expression(text)


def expression(text: str) -> str | None:
    """Return an expression in LaTeX; None if it holds anything else."""
    made, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            return None
        place = match.end()
        kind = match.lastgroup if match.lastgroup not in ("of", "by") else "partial"
        kind = {"index": "sum", "low": "under", "high": "over"}.get(kind or "", kind)
        if kind == "partial":
            piece = rf"\frac{{\partial {match['of']}}}{{\partial {symbol(match['by'])}"
            after = re.match(r"_(\([^()]*\)|\w+)|\[[^\[\]]*\]", text[place:])
            if after:
                low = inner(after[1] or after[0][1:-1])
                if low is None:
                    return None
                piece += f"_{{{low}}}"
                place += after.end()
            piece += "}"
        elif kind == "sum":
            index = r"\text{rows}" if match["index"] == "rows" else match["index"]
            piece = rf"\sum_{{{index}}} "
        elif kind == "word":
            piece = symbol(match["word"])
        elif kind in ("under", "over"):
            low = inner(match["low"] or match["high"])
            piece = None if low is None else f"{'_' if kind == 'under' else '^'}{{{low}}}"
        elif kind == "list":
            low = expression(match["list"][1:-1])
            piece = None if low is None else f"_{{{low}}}"
        else:
            piece = {
                "arrow": r"\leftarrow ",
                "least": r"\le ",
                "most": r"\ge ",
                "times": r"\cdot ",
            }.get(kind or "", match[0] if kind != "space" else " ")
            piece = {"{": r"\{", "}": r"\}"}.get(piece, piece)
        if piece is None:
            return None
        made.append(piece)
    return roots("".join(made))


def roots(latex: str) -> str:
    r"""Write \sqrt (x) as a root of what is in the parentheses."""
    while (start := latex.find(r"\sqrt (")) >= 0:
        first, depth = start + len(r"\sqrt "), 0
        for end in range(first, len(latex)):
            depth += {"(": 1, ")": -1}.get(latex[end], 0)
            if depth == 0:
                break
        latex = f"{latex[:start]}\\sqrt{{{latex[first + 1 : end]}}}{latex[end + 1 :]}"
    return latex


def equations(lines: list[str]) -> list[str] | None:
    """Return the lines of an environment `split`, or None for a block that isn't equations."""
    made = []
    for line in filter(str.strip, lines):
        formula, *rest = re.split(r"\s{2,}", re.sub(r"\s+(=|<-)", r" \1", line.strip()))
        latex = expression(formula)
        if latex is None or "//" in line or latex.count(r"\text{ ") > MOST_WORDS:
            return None
        said = "".join(rf" \qquad {aside(words)}" for words in rest)
        relation = re.match(r"([^=]*?)(\\leftarrow |\+=|=)(.*)", latex)
        if re.match(r"(with|over|\+) ", formula):
            made.append(rf"& \quad {latex}{said}")
        elif relation and relation[1].count(r"\text{ ") < 2:
            made.append(f"{relation[1]} &{relation[2]} {relation[3]}{said}")
        else:
            return None
    return made or None


def aside(words: str) -> str:
    """Return what stands beside an equation: another one, or words."""
    latex = expression(words) if re.search(r"<-|=", words) else None
    if latex is not None:
        return latex
    parts = re.split(r"\b(\w+_\w+)\b", words)
    parts[::2] = [rf"\text{{{re.sub(r'[{}$&#%^]', '', part)}}}" for part in parts[::2]]
    parts[1::2] = [expression(part) or "" for part in parts[1::2]]
    return "".join(parts)
