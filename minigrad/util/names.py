"""Names of classes and options: spelling, paths, and suggestions for unknown names."""

from __future__ import annotations

import re
from collections.abc import Iterable


def snake_case(name: str) -> str:
    """Turn a class name into the name that an option takes.

    >>> snake_case("GlorotUniform"), snake_case("LeakyReLU"), snake_case("MSELoss")
    ('glorot_uniform', 'leaky_relu', 'mse_loss')
    >>> snake_case("Conv2DTranspose"), snake_case("SimpleRNN"), snake_case("RMSNorm")
    ('conv2d_transpose', 'simple_rnn', 'rms_norm')
    """
    name = re.sub(r"(?<=[0-9])D", "d", name)
    for word in ("PReLU", "ReLU", "SiLU", "RMSprop", "AdamW"):
        name = name.replace(word, word.capitalize())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def is_default_name(name: str, kind: str) -> bool:
    """Tell whether a container gives such a name to a layer of this class: 'dense', 'dense_1'."""
    return re.fullmatch(rf"{re.escape(snake_case(kind))}(_\d+)?", name) is not None


def join(path: str, name: str) -> str:
    """Return the path of `name` inside the layer at `path`; the model's own path is empty."""
    return f"{path}.{name}" if path else name


def with_article(noun: str) -> str:
    """Put "a" or "an" before the name of a type, such as "an ndarray"."""
    return f"{'an' if noun == 'ndarray' or noun[0].upper() in 'AEIO' else 'a'} {noun}"


def kind_of(value: object) -> str:
    """Return the type of a value with its article, such as "an int"."""
    return with_article(type(value).__name__)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: a guess, and the known names."""
    known = sorted(known)
    names = ", ".join(map(repr, known))
    meant = guess(name, known)
    return f"{meant} Known: {names}" if meant else f"the known ones are {names}"


def guess(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that another library spells `name`, or the most similar one.

    >>> guess("LayerNormalization", ["LayerNorm", "Normal"])
    "did you mean 'LayerNorm'?"
    """
    import difflib

    from minigrad.util.synonyms import SYNONYMS

    here = {snake_case(other): other for other in known}
    full = snake_case(name)
    short = full.removesuffix("_loss")
    if spellings := [n for n in (name, full, short) if n in SYNONYMS]:
        meant = SYNONYMS[spellings[0]].split()
    elif short in here or f"{short}_loss" in here:
        meant = [short]
    else:
        meant = difflib.get_close_matches(full, here, n=1)
    found = [here.get(f"{n}_loss") or here.get(n) for n in meant]
    asked = " or ".join(repr(n) for n in found if n)
    return f"did you mean {asked}?" if asked else ""
