"""Random NumPy code: its program gives NumPy's numbers for other data, or the code is refused.

The programs here are compared without the checks of a fit, which would notice most differences.
"""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("jax")

from minigrad.jit import NotCompilableError
from minigrad.jit.devices import precisely
from minigrad.jit.recorded import concrete
from minigrad.jit.recording import Recording

ROWS, WIDTH = 4, 3
TABLE = np.linspace(-1, 1, 24).reshape(8, 3)

# {a} and {b} are arrays or numbers made before, {i} is an array of indices, {k} a small integer,
# {c} a number, {m} a mask, {n} the new variable.
NEW = (
    """
-{a}|{a} + {b}|{a} - {b}|{a} * {b}|{a} * {c}|{c} - {a}|{a} / (1 + np.abs({b}))|{a} ** 2|{a} @ {b}
{a} > {b}|{a} <= {c}|({a} > {c}).astype(float)|{a}.astype(int)|{a} // 0.5|{a} % 0.7|~({a} > {c})
(3 * {a}).astype(int) % 3|np.floor_divide(3 * {a}, 2)|divmod({a}, 0.5)[1]|np.modf({a})[0]
np.exp(np.clip({a}, -3, 3))|np.tanh({a})|np.abs({a})|np.sqrt(np.abs({a}))|np.sign({a})
np.floor({a})|np.maximum({a}, {b})|np.minimum({a}, {c})|np.where({a} > {c}, {a}, {b})
np.square({a})|np.round({a}, 1)|np.where({m}, {a}, {c})
np.select([{a} > {c}, {a} < -1], [{a}, 1.0], 0.0)|np.logical_not({a} > 0)|np.heaviside({a}, {c})
np.hypot({a}, {b})|np.arctan2({a}, {b})|np.log1p(np.abs({a}))|np.rint({a})|{a}.sum()|{a}.sum({k})
{a}.mean(-1)|{a}.mean(0, keepdims=True)|{a}.max()|{a}.min(-1)|{a}.argmax(-1)|{a}.argmin()
{a}.argmax(0)|{a}.std()|{a}.var({k})|{a}.cumsum({k})|{a}.any()|({a} > {c}).all(0)|{a}.prod()
np.median({a})|np.linalg.norm({a})|np.count_nonzero({a} > {c})|np.argsort({a})|np.sort({a}, 0)
np.sum({a}, initial={c})|np.max({a}, initial={c})|np.add.reduce({a})|np.add.accumulate({a})
np.sum({a}, where={a} > 0)|np.mean({a}, where={m})|np.ptp({a}, -1)|np.average({a}, 0)
np.nanmax({a})|np.add.outer({a}, {b})|np.outer({a}, {b})|np.dot({a}, {b})
np.einsum('ij,kj->ik', {a}, {b})|np.inner({a}, {b})|np.tensordot({a}, {b}, 1)|np.matmul({a}, {b}.T)
np.trace({a})|np.linalg.inv({a}.T @ {a} + 9 * np.eye(3))|{a}.T|{a}[1:]|{a}[::-1]|{a}[:, {k}]
{a}[{k}]|{a}[..., None]|{a}[..., ::2]|{a}.reshape(-1)|{a}.ravel()|{a}.swapaxes(0, -1)|{a}[None]
{a}[()]|{a}.squeeze()|np.split({a}, 2)[1]|np.expand_dims({a}, 0)|np.array_split({a}, 2)[0]
np.hsplit({a}, [1])[1]|np.vsplit({a}, 2)[0]|np.atleast_2d({a})|np.flip({a}, 0)|np.fliplr({a})
np.rot90({a})|np.moveaxis({a}, 0, -1)|np.rollaxis({a}, 1)|np.broadcast_to({a}, (2, 4, 3))
np.diagonal({a})|np.diag({a})|np.real({a})|np.asarray({a})|np.ascontiguousarray({a})|{a}.view()
{a}.copy()|{a}.flatten()|np.array({a})|np.ravel({a}, 'F')|{a}.reshape(3, -1)
{a}.reshape(-1, order='F')|{a}.T.ravel('K')|{a}[-1]|{a}[:, -1:]|{a}[{k}:]|{a}[1:-1]|{a}[::2, ::-1]
{a}[..., {k}]|{a}[{k}, 1]|{a}[:2, None, 1:]|{a}[{i}]|{a}[:, {i}]|{a}[..., {i}]
{a}[np.arange(len({a})), {i}]|{a}[[0, 2]]|{a}[[1], [0]]|{a}[{i}, :1]
{a}[np.array([True, False, True, True])]|{a}[:, [False, True, True]]|np.take({a}, {i}, 0)
{a}.take({i})|np.take_along_axis({a}, np.argsort({a}, -1), -1)|TABLE[{i}]|np.array(TABLE)[{i}]
np.eye(4)[{i}]|{a}[{m}].sum()|np.choose({i}, [{a}, {b}, {a}])
np.searchsorted(np.sort({a}.ravel()), {c})|np.digitize({a}, [-1.0, 0, 1])
np.bincount({i}, minlength=4)|np.unique({i})|np.nonzero({a})[0]|{a}.nonzero()|{a}.flat[{k}]
{a}.imag|np.zeros((4, 3))|np.zeros_like({a})|np.ones_like({a})|np.full_like({a}, {c})
np.full((4, 3), {c})|np.arange(4.0)|np.eye(4, 3)|np.array([1.0, {c}, 2.0])
np.array([{c}, {a}.sum(), 1.0])|np.ones(3)|np.zeros({a}.shape)|np.stack([{a}, {a}])
np.concatenate([{a}, {b}])|np.vstack([{a}, {b}])|np.hstack([{a}, {b}])|np.tile({a}, 2)
np.repeat({a}, 2, -1)|np.roll({a}, 1, 0)|np.pad({a}, 1)|np.diff({a})|np.cumprod({a}, -1)
np.tril({a})|np.kron({a}, {b})|np.array([r * 2 for r in {a}])|np.array({a}, dtype=np.float32)
{a}.astype(np.float32) * {c}|{a}.astype(np.float32) + 1|max({a}.sum(), 0)|{a}.sum().item()
{a}.mean().item() * 2|{c} if {a}.sum() > 0 else {b}|abs({a}.sum())|len({a}) * {a}|sum({a})
min({a}[0, 0], {c})|{a} if ({a} > 3).any() else {a} * 2|[{a}, {b}][0]|{a}.sum() and {b}
{a}.clip(-1, {c})|np.apply_along_axis(np.sum, 0, {a})|np.nan_to_num({a} / {b})
np.interp({a}, [-1, 1], [0, 1])|np.isfinite({a} / {b})
""".strip()
    .replace("\n", "|")
    .split("|")
)
CHANGES = (
    """
{a} += {b}|{a} -= {c}|{a} *= {b}|{a} /= 2|{a} **= 2|{a} @= {b}|{a} //= 0.5|{a} %= 0.7|{a} &= {m}
{a}[{k}] = {b}|{a}[{k}] = {c}|{a}[:, {k}] = {c}|{a}[..., 1:] = {b}|{a}[::-1] = {b}|{a}[::2] += {c}
{a}[1:, ::2] *= {b}|{a}[...] = {b}|{a}[:] = {c}|{a}[{a} > {c}] = 0|{a}[{m}] = {c}|{a}[{m}] += {c}
{a}[{m}] = {b}|{a}[{a} < 0] *= {c}|{a}[{i}] = {c}|{a}[:, {i}] = {c}|{a}[{i}] += {c}
{a}[np.arange(len({a})), {i}] = {c}|{a}[np.arange(len({a})), {i}] -= {b}|{a}[[0, 2]] = {c}
{a}[[1], [0]] += {c}|{a}[:, [False, True, True]] = {b}|{a}[{i}] = {b}|{a}[{i}, 0] = {c}
{a}[..., {i}] += {b}|{a}.T[{k}] = {c}|{a}[1:][0] = {c}|{a}.reshape(-1)[{k}] = {c}
{a}.ravel()[::2] = {c}|{a}[None][0, 1] = {c}|{a}.T[...] = {b}|{a}.swapaxes(0, 1)[0] += {c}
np.split({a}, 2)[1][...] = {c}|{a}[1:].T[0] = {b}|{a}.reshape(2, -1)[0] -= {b}
{a}[:, 1:][::2] = {c}|np.add.at({a}, {i}, {c})|np.subtract.at({a}, {i}, {b})
np.maximum.at({a}, {i}, {c})|np.add.at({a}, (slice(None), {i}), {c})|np.copyto({a}, {b})
np.copyto({a}, {b}, where={m})|np.put_along_axis({a}, np.argsort({a}, -1)[:, :1], {c}, -1)
np.maximum({a}, {b}, out={a})|np.multiply({a}, {c}, out={a})|np.exp({a}, out={a}, where={a} < 0)
np.add({a}, {b}, out={a}[1:])|np.clip({a}, -1, 1, out={a})|np.cumsum({a}, 0, out={a})
np.dot({a}, {b}, out={a})|np.negative({a}, {a})|np.sum({b}, 0, out={a})|{a}.fill({c})|{a}.sort()
{a}.sort(0)|np.fill_diagonal({a}, {c})|np.put({a}, [0, 1], {c})|np.place({a}, {m}, [{c}])
np.putmask({a}, {m}, {c})|{a}.put([0], {c})|{a}.partition(1)|{a}.flat[{k}] = {c}|{a}.flat = {c}
{a}.shape = (-1,)|{a}.resize(3, 4)|{a}.itemset(0, 1.0)|{n} = {a}|{n} = {a}; {n} += {c}
{n} = {a}[1:]; {n} *= {c}|{n} = {a}.T; {n}[0] = {c}|{n} = {a}.copy(); {a} += 1
{n} = {a}[{k}]; {a}[{k}] = {c}|{n} = {a}.reshape(-1); {a} *= 2|{a}, {b} = {b}, {a}
{n} = {a}[{m}]; {n} += 1|if {a}.sum() > {c}: {a} *= 2|if ({a} > {c}).any(): {a}[0] = 1
if {m}.all(): {a} += 1|{a} += {a}.T|{a}[1:] += {a}[:-1]|{a}[1:] = {a}[:-1]|for r in {a}: r += {c}
for r in {a}: r *= r.sum()|for j, r in enumerate({a}): {a}[j] = r - {c}
while {a}.sum() > {c}: {a} -= 2|{a}[{i}][0] = {c}|{a}[np.newaxis, ...][0] -= {c}
{a}[{k}, ...] = {b}|{a}[-1:] = {b}|np.atleast_2d({a})[0] = {c}|np.flip({a}, 0)[0] = {c}
np.rot90({a})[0] = {c}|np.diagonal({a})[0] = {c}|np.moveaxis({a}, 0, 1)[0] = {c}
np.asarray({a})[0] = {c}|np.real({a})[0] = {c}|np.broadcast_to({a}, (4, 3))[0] = {c}
np.ascontiguousarray({a})[0] = {c}|{a}.view()[0] = {c}|np.squeeze({a})[0] = {c}
""".strip()
    .replace("\n", "|")
    .split("|")
)


def names_in(scope: dict) -> list[str]:
    return [name for name in scope if name == "x" or re.fullmatch(r"v\d+", name)]


def run(lines: list[str], x: np.ndarray) -> dict:
    """Return the variables after some lines."""
    scope = {"np": np, "TABLE": TABLE.copy(), "x": x.copy()}
    with np.errstate(all="ignore"):
        exec("\n".join(lines), scope)
    return {name: scope[name] for name in names_in(scope)}


def is_kept(value: object) -> bool:
    """Return whether the test goes on with a value: numbers, and small arrays of them."""
    return isinstance(value, (int, float, np.generic)) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fib" and 0 < value.size <= 96
    )


@st.composite
def codes(draw: st.DrawFn, most: int = 7) -> list[str]:
    """Return lines of NumPy code that run, with x as their input."""
    lines, x = ["v0 = x * 1.0"], np.random.default_rng(1).normal(size=(ROWS, WIDTH))
    for number in range(1, draw(st.integers(2, most))):
        for _ in range(6):  # most lines that are drawn fit the shapes
            scope = run(lines, x)
            arrays = [name for name, value in scope.items() if np.ndim(value)]
            whole = [n for n in arrays if scope[n].dtype.kind == "i"]
            masks = [n for n in arrays if scope[n].dtype == bool]
            name = st.sampled_from([*arrays, *scope] if draw(st.booleans()) else arrays[-2:])
            new = f"v{number}"
            pattern = draw(st.sampled_from(NEW if draw(st.booleans()) else CHANGES))
            a = draw(name)
            indices = ["np.arange(3)", f"{a}.argmax(-1)", f"({a} > 0).astype(int)", f"{a}.argmax()"]
            line = pattern.format(
                a=a,
                b=draw(name),
                n=new,
                k=draw(st.integers(-1, 2)),
                c=draw(st.sampled_from(["0.5", "-0.3", "1", "2.0", "0"])),
                i=draw(st.sampled_from([*whole, *indices])),
                m=draw(st.sampled_from([*masks, f"({a} > 0)", f"({a} > {a}.mean())"])),
            )
            line = f"{new} = {line}" if pattern in NEW else line
            try:
                after = run([*lines, line], x)
            except Exception:
                continue
            if all(is_kept(value) for value in after.values()):
                lines.append(line)
                break
    return lines


class Code:
    """Code as a method, as `Recording` finds the methods of layers."""

    def __init__(self, lines: list[str]) -> None:
        body = "\n".join(f"    {line}" for line in lines)
        source = f"def run(self, x):\n{body}\n    return {{**locals()}}"
        scope = {"np": np, "TABLE": TABLE.copy()}
        exec(compile(source, "random_code.py", "exec"), scope)
        kind = type("Method", (), {"run": scope["run"]})
        self.method = kind()

    def program(self, x: np.ndarray):
        with Recording([self.method]) as recording, np.errstate(all="ignore"):
            found = self.method.run(recording.given(x.copy()))
            kept = {name: found[name] for name in names_in(found)}
            return recording.finish({n: v for n, v in kept.items() if is_kept(concrete(v))})


def check(lines: list[str]) -> bool:
    """Compare the program with NumPy for other data, and return whether the code compiles."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, WIDTH))
    try:
        program = Code(lines).program(x)
        others = [x, -x, rng.normal(size=x.shape), np.floor(2 * x), 30 * x, np.zeros_like(x)]
        for other in others:
            with precisely():
                found = program.run([other.copy()])
            if not found.pop("ok"):
                continue  # NumPy makes this step
            expected = run(lines, other)
            for name, value in found.items():
                ours, theirs = np.asarray(value), np.asarray(expected[name])
                message = "; ".join(lines) + f" gives another {name} for {other.tolist()}"
                assert ours.shape == theirs.shape, message
                assert ours.dtype == theirs.dtype, message
                single = any(np.asarray(v).dtype == np.float32 for v in expected.values())
                size = np.abs(theirs[np.isfinite(theirs)]).max(initial=0) if theirs.size else 0
                np.testing.assert_allclose(
                    ours,
                    theirs,
                    rtol=1e-5 if single else 1e-9,
                    atol=(1e-5 if single else 1e-10) * max(1.0, float(size)),
                    err_msg=message,
                )
    except NotCompilableError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
@given(codes())
def test_random_code(lines: list[str]) -> None:
    check(lines)
