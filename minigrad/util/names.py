"""Names as options take them, and the nearest one where there is no such name."""

from __future__ import annotations

import re
from collections.abc import Iterable


def snake_case(name: str) -> str:
    """Turn a class name into the name that an option takes.

    >>> snake_case("GlorotUniform"), snake_case("LeakyReLU"), snake_case("MSELoss")
    ('glorot_uniform', 'leaky_relu', 'mse_loss')
    """
    for word in ("ReLU", "SiLU", "RMSprop", "AdamW"):
        name = name.replace(word, word.capitalize())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def with_article(noun: str) -> str:
    """Put "a" or "an" before the name of a type.

    >>> with_article("Loss"), with_article("Optimizer"), with_article("ndarray")
    ('a Loss', 'an Optimizer', 'an ndarray')
    """
    return f"{'an' if noun == 'ndarray' or noun[0].upper() in 'AEIO' else 'a'} {noun}"


def kind_of(value: object) -> str:
    """Say what something is: "an int"."""
    return with_article(type(value).__name__)


def nearest(name: str, known: Iterable[str], *, option: bool = False) -> str:
    """Say which known name is meant, for the end of a message; `option` as in `guess`.

    >>> nearest("sigmod", ["sigmoid", "tanh"])
    "did you mean 'sigmoid'? Known: 'sigmoid', 'tanh'"
    """
    known = sorted(known)
    meant = guess(name, known, option=option)
    if not meant.endswith("?"):
        return f"{meant}{'; ' * bool(meant)}the known ones are {listed(known, ', ')}"
    return f"{meant} Known: {listed(known, ', ')}"


def guess(name: str, known: Iterable[str], *, option: bool = False) -> str:
    """Ask for the known names that are meant: by another library's name, or nearly this one.

    Where it is the name of an `option`, by another library's option too.

    >>> guess("LayerNormalization", ["LayerNorm", "Normal"]), guess("sigmod", ["sigmoid"])
    ("did you mean 'LayerNorm'?", "did you mean 'sigmoid'?")
    """
    import difflib

    from minigrad.util.synonyms import OPTIONS, SYNONYMS

    synonyms = {**SYNONYMS, **OPTIONS} if option else SYNONYMS
    snake = {snake_case(other): other for other in known}
    spellings = [name, snake_case(name), snake_case(name).removesuffix("_loss")]
    for spelling in spellings:
        if spelling in synonyms:
            meant = [snake.get(f"{n}_loss") or snake.get(n) for n in synonyms[spelling]]
            found = [other for other in meant if other]
            ways = [way for way in synonyms[spelling] if " " in way]
            return _ask(found) or "".join(ways)
    short = spellings[-1]
    close = [n for n in (short, f"{short}_loss") if n in snake][:1]
    close = close or difflib.get_close_matches(spellings[1], snake, n=1)
    return _ask(snake[n] for n in close)


def _ask(names: Iterable[str]) -> str:
    said = listed(names, " or ")
    return f"did you mean {said}?" if said else ""


def listed(names: Iterable[str], separator: str) -> str:
    """Write names in quotes, with something between."""
    return separator.join(map(repr, names))
