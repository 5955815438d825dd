"""Smooth activations: SiLU, GELU, Softplus, Mish and Softsign."""

from __future__ import annotations

from math import pi, sqrt
from typing import Literal

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.layers.activations import Activation, sigmoid
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import one_of

_TANH_RATE = 2 * sqrt(2 / pi)
_TANH_CUBIC = 0.044715
_EXACT_FORM = "a = z Phi(z); g' = Phi(z) + z phi(z)"
_TANH_FORM = (
    "a = z (1 + tanh(0.7978846 (z + 0.044715 z^3))) / 2; "
    "g' = (1 + tanh(0.7978846 (z + 0.044715 z^3))) / 2 + z (0.3989423 + 0.05351615 z^2) "
    "(1 - tanh(0.7978846 (z + 0.044715 z^3))^2)"
)
_MILLS_RATIO = {
    8: (
        (
            0.9999999999973015, 26.866313256896497, 353.45378294148395, 2945.5899351873527,
            17006.59880480673, 70301.97114412769, 208095.98542331203, 427050.56801977626,
            556770.6914180004, 359061.6927340822,
        ),
        (
            1.0, 26.866313256329953, 354.4537829950345, 2972.4562454047323,
            17358.052704444737, 73193.8252125105, 224405.7446280378, 491728.91211606987,
            734328.4544036131, 672824.5116842461, 286489.78100826655,
        ),
    ),
    4: (
        (
            1.000010726210141, 9.843329037496439, 44.29598244891179, 105.77045056609752,
            120.38980347449339,
        ),
        (
            1.0, 9.843916573169931, 45.28214654769485, 115.80149699012807, 161.03518114906382,
            96.05716486564927,
        ),
    ),
}  # fmt: skip
"""The numerator and the denominator of a rational fit to the Mills ratio, by the bytes of a number.
The relative error is below 6e-17 on [0, 40] for float64, and below 7e-9 on [0, 15] for float32,
where exp(-u^2 / 2) ends. All coefficients are positive, so the sums lose no accuracy."""
_BLOCK = 32_768
"""So many numbers are computed at a time, since the cache holds them."""


@register
class SiLU(Activation):
    """a = z s, with s = sigmoid(z), and g' = s (1 + z (1 - s)); also called swish.

    Source: Elfwing et al., Sigmoid-weighted linear units, 2017, equations 3 and 4.

    >>> SiLU().forward(np.array([[-1000.0, 0.0, 1.0]]))
    array([[-0.        ,  0.        ,  0.73105858]])
    """

    equation = "a = z sigmoid(z); g' = sigmoid(z) (1 + z (1 - sigmoid(z)))"

    @override
    def function(self, z: Array) -> Array:
        return z * sigmoid(z)

    @override
    def derivative(self, cached: Array) -> Array:
        s = sigmoid(cached)
        return s * (1 + cached * (1 - s))


@register
@options
class GELU(Activation):
    """a = z Phi(z), with the standard normal distribution Phi; g' = Phi(z) + z phi(z).

    `approximate="tanh"` replaces Phi(z) by (1 + tanh(u)) / 2, which is sigmoid(2 u), with
    u = sqrt(2 / pi) (z + 0.044715 z^3); then g' = s (1 + 2 z (1 - s) u'), with s = sigmoid(2 u).

    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016, section 2.

    >>> GELU().forward(np.array([[-1000.0, 0.0, 1.0]]))
    array([[-0.        ,  0.        ,  0.84134475]])
    >>> GELU(approximate="tanh").forward(np.array([[1.0]]))
    array([[0.84119199]])
    """

    approximate: Literal["none", "tanh"] = option(one_of("none", "tanh"), default="none")
    """"none" for the exact form, the default of PyTorch and Keras, or "tanh"."""

    @override
    def __post_init__(self) -> None:
        self.equation = _EXACT_FORM if self.approximate == "none" else _TANH_FORM

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        below, rise = self._distribution(x)
        if training:
            rise += below
            self.cache = rise  # g'(z): backward would take long to compute Phi(z) again
        below *= x
        return below

    @override
    def backward(self, delta: Array) -> Array:
        slope: Array = self.cache
        self.check_delta(delta, slope.shape)
        return slope * delta

    @override
    def function(self, z: Array) -> Array:
        return z * self._distribution(z)[0]

    @override
    def derivative(self, cached: Array) -> Array:
        below, rise = self._distribution(cached)
        return below + rise

    def _distribution(self, z: Array) -> tuple[Array, Array]:
        """Return Phi(z), or its approximation, and z times its derivative."""
        if self.approximate == "none":
            below, rise = normal(z)
            rise *= z
            return below, rise
        s, bend = _tanh_sigmoid(z)
        return s, s * (1 - s) * bend


@register
class Softplus(Activation):
    """a = log(1 + exp(z)), and g' = sigmoid(z).

    PyTorch's returns z for z > 20, which differs by at most 2e-9.
    Source: Dugas et al., Incorporating second-order functional knowledge, 2001, equation 4.

    >>> Softplus().forward(np.array([[-1000.0, 0.0, 1000.0]]))
    array([[0.00000000e+00, 6.93147181e-01, 1.00000000e+03]])
    """

    equation = "a = log(1 + exp(z)); g' = sigmoid(z)"

    @override
    def function(self, z: Array) -> Array:
        return _softplus(z)

    @override
    def derivative(self, cached: Array) -> Array:
        return sigmoid(cached)


@register
class Mish(Activation):
    """a = z t, with t = tanh(log(1 + exp(z))), and g' = t + z (1 - t^2) sigmoid(z).

    Source: Misra, Mish: a self regularized non-monotonic activation function, BMVC 2020.

    >>> Mish().forward(np.array([[-1000.0, 0.0, 1.0]]))
    array([[-0.        ,  0.        ,  0.86509839]])
    """

    equation = (
        "a = z tanh(softplus(z)); g' = tanh(softplus(z)) + z (1 - tanh(softplus(z))^2) sigmoid(z)"
    )

    @override
    def function(self, z: Array) -> Array:
        t: Array = np.tanh(_softplus(z))
        return z * t

    @override
    def derivative(self, cached: Array) -> Array:
        t: Array = np.tanh(_softplus(cached))
        return t + cached * (1 - t * t) * sigmoid(cached)


@register
class Softsign(Activation):
    """a = z / (1 + |z|), and g' = 1 / (1 + |z|)^2.

    Source: Bergstra et al., Quadratic polynomials learn better image features, 2009.

    >>> Softsign().forward(np.array([[-1.0, 0.0, 3.0]]))
    array([[-0.5 ,  0.  ,  0.75]])
    """

    equation = "a = z / (1 + |z|); g' = 1 / (1 + |z|)^2"

    @override
    def function(self, z: Array) -> Array:
        a: Array = z / (1 + np.abs(z))
        return a

    @override
    def derivative(self, cached: Array) -> Array:
        with np.errstate(under="ignore"):
            slope: Array = 1 / (1 + np.abs(cached))
            slope *= slope
        return slope


def _softplus(z: Array) -> Array:
    with np.errstate(under="ignore"):
        a: Array = np.logaddexp(0, z)
    return a


def _tanh_sigmoid(z: Array) -> tuple[Array, Array]:
    """Return sigmoid(2 u), and z times the derivative of 2 u, for the tanh form of GELU."""
    near = np.clip(z, -40, 40)  # beyond, the sigmoid is 0 or 1, and z^3 may overflow
    cube = _TANH_CUBIC * near * near * near
    return sigmoid(_TANH_RATE * (near + cube)), _TANH_RATE * (near + 3 * cube)


def normal(z: Array) -> tuple[Array, Array]:
    """Return Phi(z) and phi(z), the standard normal distribution function and its density.

    The tail 1 - Phi(u) is phi(u) m(u), with u = |z| and the Mills ratio m, which a quotient of two
    polynomials fits. So Phi is accurate to about z^2 eps for large negative z too, where
    (1 + erf) / 2 isn't.
    """
    z = z if z.flags.forc else z.copy()
    below, density = np.empty_like(z), np.empty_like(z)
    flat = [array.ravel(order="K") for array in (z, below, density)]
    for start in range(0, z.size, _BLOCK):
        _normal(*(array[start : start + _BLOCK] for array in flat))
    return below, density


def _normal(z: Array, below: Array, density: Array) -> None:
    """Write Phi(z) and phi(z), with few new arrays."""
    u = np.abs(z)
    np.minimum(u, 40, out=u)  # exp(-u^2 / 2) is zero above 40
    np.multiply(u, u, out=density)
    density *= -0.5
    with np.errstate(under="ignore"):
        np.exp(density, out=density)
        density *= 1 / sqrt(2 * pi)
        numerator, denominator = _MILLS_RATIO[u.itemsize]
        np.divide(_polynomial(numerator, u), _polynomial(denominator, u), out=below)
        below *= density
    below -= z >= 0
    np.abs(below, out=below)  # 1 - tail for z >= 0


def _polynomial(coefficients: tuple[float, ...], u: Array) -> Array:
    """Return the value of a polynomial, the highest power first."""
    first, second, *others = coefficients
    total = u + second if first == 1 else first * u + second
    for coefficient in others:
        total *= u
        total += coefficient
    return total
