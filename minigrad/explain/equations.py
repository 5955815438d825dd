"""The tutorial's equations 1 to 11, and which of them each part of the computation is."""

from __future__ import annotations

from typing import Final

EQUATIONS: Final = {
    1: "E = 1/2 Σ_k (a[k] - t[k])^2",
    2: "∂E/∂a[k] = a[k] - t[k]",
    3: "∂E/∂w[j,k] = (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[j,k]",
    4: "∂E/∂w[j,k] = (a[k] - t[k]) g'(z[k]) a[j]",
    5: "δ[k] = (a[k] - t[k]) g'(z[k])",
    6: "∂E/∂w[j,k] = δ[k] a[j]",
    7: "∂E/∂w[i,j] = Σ_k (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[i,j]",
    8: "z[k] = b[k] + Σ_j a[j] w[j,k], a[j] = g(z[j])",
    9: "∂z[k]/∂w[i,j] = w[j,k] g'(z[j]) a[i]",
    10: "∂E/∂w[i,j] = a[i] g'(z[j]) Σ_k δ[k] w[j,k]",
    11: "∂E/∂w[i,j] = δ[j] a[i], δ[j] = g'(z[j]) Σ_k δ[k] w[j,k]",
}
"""By their numbers; i, j and k count the units of three layers in a row. Only the last three were
meant; but as δ[j] has the form of δ[k], Equation 11 takes it back through any number of layers."""

_TAGS: Final = {
    # part: (in the output layer, in a layer before it)
    "output": ("8", "8"),
    "slope": ("3", "9"),
    "delta": ("5", "11"),
    "weight gradient": ("4, 6", "10, 11"),
    "gradient": ("6", "11"),
    "input delta": ("7, 10", "7, 10"),
}


def tag(part: str, *, hidden: bool, exact: bool = True) -> str:
    """Return the numbers of the equations that a part of a layer's computation is.

    Args:
        part: "output", "slope", "delta", "weight gradient", "gradient" or "input delta".
        hidden: whether a `Dense` follows on the way to the loss.
        exact: False where something else takes the equation's place.

    >>> tag("delta", hidden=False), tag("output", hidden=True, exact=False)
    ('5', 'as 8')
    """
    numbers = _TAGS[part][hidden]
    return numbers if exact else f"as {numbers}"
