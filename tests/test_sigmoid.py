"""The sigmoid against exact decimal arithmetic."""

from decimal import Context, Decimal

import numpy as np
import pytest

from minigrad import Sigmoid

EXACT = Context(prec=60, Emin=-999_999, Emax=999_999)


def exact(z: np.ndarray) -> np.ndarray:
    one = Decimal(1)
    return np.array([float(EXACT.divide(one, one + EXACT.exp(-Decimal(float(v))))) for v in z])


@pytest.mark.parametrize(("dtype", "low"), [(np.float64, -745.0), (np.float32, -103.0)])
def test_relative_accuracy(dtype: type[np.floating], low: float) -> None:
    z = np.concatenate([np.linspace(low, -low, 3001), [1e-300, -1e-300, 0.0, -709.9, -87.5, -0.5]])
    z = z.astype(dtype)
    for part in (z, z[z > -80], z[z < 0]):
        with np.errstate(all="raise", under="ignore"):
            ours = Sigmoid().forward(part)
        # Subnormal results have an absolute error of one spacing.
        np.testing.assert_allclose(
            ours.astype(np.float64),
            exact(part),
            rtol=4 * np.finfo(dtype).eps,
            atol=float(np.finfo(dtype).smallest_subnormal),
        )
    assert Sigmoid().forward(np.array([low], dtype)).item() > 0


@pytest.mark.parametrize("value", [-1e308, -1e5, -746.0, 746.0, 1e5, 1e308, np.inf, -np.inf])
def test_large_inputs_give_no_warning(value: float) -> None:
    layer = Sigmoid()
    with np.errstate(all="raise", under="ignore"):
        a = layer.forward(np.array([[value, 0.0]]))
        back = layer.backward(np.ones((1, 2)))
    np.testing.assert_array_equal(a, [[float(value > 0), 0.5]])
    np.testing.assert_array_equal(back, [[0.0, 0.25]])
