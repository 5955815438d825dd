"""The tutorial's equations, and the numbers of those that each kind of step follows.

Every number of an equation in the package comes from here; the docs and the docstrings are compared
with it by a test.
"""

from __future__ import annotations

from typing import Final

EQUATIONS: Final = {
    1: "J = 1/2 Σ_k (a[k] - t[k])^2",
    2: "∂J/∂w[j,k] = (a[k] - t[k]) ∂(a[k] - t[k])/∂w[j,k]",
    3: "∂J/∂w[j,k] = (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[j,k]",
    4: "∂J/∂w[j,k] = (a[k] - t[k]) g'(z[k]) a[j]",
    5: "δ[k] = (a[k] - t[k]) g'(z[k])",
    6: "∂J/∂w[j,k] = δ[k] a[j]",
    7: "∂J/∂w[i,j] = Σ_k (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[i,j]",
    8: "z[k] = b[k] + Σ_j a[j] w[j,k], a[j] = g(z[j])",
    9: "∂z[k]/∂w[i,j] = w[j,k] g'(z[j]) a[i]",
    10: "∂J/∂w[i,j] = a[i] g'(z[j]) Σ_k δ[k] w[j,k]",
    11: "∂J/∂w[i,j] = δ[j] a[i], δ[j] = g'(z[j]) Σ_k δ[k] w[j,k]",
}
"""δ[j] has the form of δ[k], so Equation 11 applies to any number of layers; i, j and k count the
units of three consecutive ones."""

ERROR: Final = "1"
ERROR_SLOPE: Final = "2"
FORWARD: Final = "8"
SUM_OVER_UNITS: Final = "7"
BACK: Final = "7, 10"
"""The sum of δ w over the units that a unit leads to."""
SLOPE: Final = ("3", "9")
DELTA: Final = ("5", "11")
WEIGHTS: Final = ("4, 6", "10, 11")
BIASES: Final = ("6", "11")
"""In the output layer, and in a hidden one."""
