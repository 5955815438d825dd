"""PCG64 in a jitted step draws the bits that NumPy's generator draws."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("jax")

import jax

from minigrad.jit import pcg64
from minigrad.jit.devices import precisely

DTYPES = ["float64", "float32"]
LARGEST = {
    "bit_generator": "PCG64",
    "state": {"state": 2**128 - 1, "inc": 2**128 - 1},
    "has_uint32": 1,
    "uinteger": 2**32 - 1,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 50)])
def test_numbers(shape: tuple[int, ...], dtype: str) -> None:
    """From a new state, a used one, one with half an output left, and one full of ones."""
    run = jax.jit(partial(pcg64.random, shape=shape, dtype=dtype))
    rng = np.random.default_rng(1)
    for used, last in ((0, "float64"), (7, "float64"), (3, "float32"), (1, "float64"), (None, "")):
        if used is None:
            rng.bit_generator.state = LARGEST
        else:
            rng.random(used, last)
        words = np.array(pcg64.GeneratorState.of(rng.bit_generator).words, np.uint64)
        with precisely():
            found = np.asarray(run(words))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, rng.random(shape, dtype))


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(1, 2000), st.sampled_from(DTYPES)), max_size=8),
)
def test_states(seed: int, draws: list[tuple[int, str]]) -> None:
    rng, other = np.random.default_rng(seed), np.random.default_rng()
    state = pcg64.GeneratorState.of(rng.bit_generator)
    for count, dtype in draws:
        rng.random(count, dtype)
        state = state.after(count, np.dtype(dtype))
        state.give(other.bit_generator)
        assert other.bit_generator.state == rng.bit_generator.state


@pytest.mark.parametrize(
    ("rng", "method", "computed"),
    [
        (np.random.default_rng(0), "random", True),
        (np.random.default_rng(0), "normal", False),
        (np.random.Generator(np.random.PCG64DXSM(0)), "random", False),
        (np.random.RandomState(0), "random", False),
    ],
)
def test_which_draws_are_computed(rng, method: str, computed: bool) -> None:
    assert pcg64.computes(rng, method, getattr(rng, method)(size=5000)) is computed
    assert not pcg64.computes(rng, method, getattr(rng, method)(size=5))
    assert not pcg64.computes(rng, method, getattr(rng, method)())
