"""Numbers on their way into a picture: checked arrays, and short texts."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

# Beyond this a difference of two values could overflow: larger values are drawn as infinite ones.
LARGEST: Final = 1e300
SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_numbers(values: ArrayLike, name: str, *, ndim: int | None = None) -> Numbers:
    """`values` as a float64 array; None becomes NaN.

    Raises:
        TypeError: if `values` holds anything but real numbers.
        ValueError: if it hasn't `ndim` dimensions.

    >>> as_numbers([1, None], "'loss'", ndim=1)
    array([ 1., nan])
    """
    expected = "numbers" if ndim is None else f"numbers in {ndim} dimension{'s' * (ndim > 1)}"
    try:
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"dtype {array.dtype}")
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold {expected}, got {error}") from None
    if ndim is not None and numbers.ndim != ndim:
        raise ValueError(f"{name} must hold {expected}, got an array of shape {numbers.shape}")
    return numbers


def is_drawable(values: Numbers) -> NDArray[np.bool_]:
    """True where a value is finite and small enough to be placed on an axis."""
    return np.abs(values) <= LARGEST


def format_number(value: float, *, digits: int = 3, power: bool | None = None) -> str:
    """`value` to `digits` significant digits.

    With a power of ten if `power` says so; by default only for very large and small values.

    >>> [format_number(v) for v in (0, -0.08943408, 10000, 3.2e-9, float("inf"))]
    ['0', '−0.0894', '10,000', '3.2×10⁻⁹', '∞']
    """
    value = float(value)
    if not math.isfinite(value):
        return ("−" if value < 0 else "") + ("nan" if math.isnan(value) else "∞")
    if value == 0:
        return "0"
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    order = int(exponent)
    if power is None:
        power = not -4 <= order < 7
    after = max(0, digits - 1 - order)
    number = mantissa if power else f"{round(abs(value), digits - 1 - order):,.{after}f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    sign = "−" if value < 0 else ""
    return sign + number + ("×" + power_of_ten(order) if power else "")


def power_of_ten(exponent: int) -> str:
    """Ten to a whole power, as text.

    >>> power_of_ten(-5)
    '10⁻⁵'
    """
    return "10" + str(exponent).translate(SUPERSCRIPTS)
