"""Compare the layers with Equations 1 to 11 of the tutorial, computed index by index."""

import re
from itertools import pairwise
from math import exp
from pathlib import Path

import numpy as np
import pytest

from minigrad import Dense, MSELoss, Sequential, Sigmoid
from minigrad.explain import EQUATIONS

ROOT = Path(__file__).parent.parent
ROWS = 5


def g(z: float) -> float:
    return 1 / (1 + exp(-z))


def g_prime(z: float) -> float:
    return exp(-z) / (1 + exp(-z)) ** 2


class ByHand:
    """A sigmoid network of any widths, computed in loops over rows and units."""

    def __init__(self, widths: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.widths = widths
        self.w = [rng.normal(size=pair) for pair in pairwise(widths)]
        self.b = [rng.normal(size=width) for width in widths[1:]]
        self.x = rng.uniform(size=(ROWS, widths[0]))
        self.t = rng.uniform(size=(ROWS, widths[-1]))
        layers = []
        for units, w, b in zip(widths[1:], self.w, self.b, strict=True):
            layers += [Dense(units, weight_initializer=w, bias_initializer=b), Sigmoid()]
        self.model = Sequential(layers, input_shape=(widths[0],), rng=0)
        self.loss = MSELoss(reduction="sum", scale=0.5)
        self.j = self.loss.forward(self.model.forward(self.x), self.t)
        self.model.backward(self.loss.backward())
        self.z, self.a = self._forward()
        self.delta = self._deltas()

    def _forward(self):
        """Equation 8: z_k = b_k + sum over j of g_j(z_j) w_jk."""
        a = [self.x.tolist()]
        z = []
        for w, b in zip(self.w, self.b, strict=True):
            z.append(
                [
                    [b[k] + sum(row[j] * w[j, k] for j in range(len(row))) for k in range(len(b))]
                    for row in a[-1]
                ]
            )
            a.append([[g(value) for value in row] for row in z[-1]])
        return z, a

    def _deltas(self):
        """Equation 5 at the output; below, delta_j = g'(z_j) sum over k of delta_k w_jk."""
        outputs = range(self.widths[-1])
        delta = [
            [
                [(self.a[-1][n][k] - self.t[n, k]) * g_prime(self.z[-1][n][k]) for k in outputs]
                for n in range(ROWS)
            ]
        ]
        for layer in range(len(self.w) - 2, -1, -1):
            above, w = delta[0], self.w[layer + 1]
            delta.insert(
                0,
                [
                    [
                        g_prime(self.z[layer][n][j])
                        * sum(above[n][k] * w[j, k] for k in range(w.shape[1]))
                        for j in range(w.shape[0])
                    ]
                    for n in range(ROWS)
                ],
            )
        return delta

    def dense(self, layer: int) -> Dense:
        found = self.model.layers[2 * layer]
        assert isinstance(found, Dense)
        return found


@pytest.fixture(scope="module")
def net() -> ByHand:
    return ByHand([2, 3, 1])


def close(ours: object, by_hand: object) -> None:
    np.testing.assert_allclose(ours, by_hand, rtol=1e-12, atol=1e-15)


def test_equation_1_the_error(net: ByHand) -> None:
    close(net.j, 0.5 * sum((net.a[2][n][0] - net.t[n, 0]) ** 2 for n in range(ROWS)))


def test_equation_2_the_loss_derivative(net: ByHand) -> None:
    close(net.loss.backward(), [[net.a[2][n][0] - net.t[n, 0]] for n in range(ROWS)])


def test_equation_3_the_chain_through_the_output(net: ByHand) -> None:
    sigmoid = Sigmoid()
    sigmoid.forward(np.array(net.z[1]))
    through = sigmoid.backward(net.loss.backward())
    close(
        through, [[(net.a[2][n][0] - net.t[n, 0]) * g_prime(net.z[1][n][0])] for n in range(ROWS)]
    )


def test_equation_4_the_output_weights(net: ByHand) -> None:
    gradient = [
        [
            sum(
                (net.a[2][n][0] - net.t[n, 0]) * g_prime(net.z[1][n][0]) * net.a[1][n][j]
                for n in range(ROWS)
            )
        ]
        for j in range(3)
    ]
    close(net.dense(1).weight.grad, gradient)


def test_equation_5_the_output_delta(net: ByHand) -> None:
    assert net.dense(1).bias is not None
    close(net.dense(1).bias.grad, [sum(net.delta[1][n][0] for n in range(ROWS))])


def test_equation_6_delta_times_activation(net: ByHand) -> None:
    gradient = [[sum(net.delta[1][n][0] * net.a[1][n][j] for n in range(ROWS))] for j in range(3)]
    close(net.dense(1).weight.grad, gradient)


def test_equation_7_the_sum_over_outputs() -> None:
    net = ByHand([2, 3, 4])
    gradient = np.zeros((2, 3))
    for n, i, j, k in np.ndindex(ROWS, 2, 3, 4):
        dz_dw = net.w[1][j, k] * g_prime(net.z[0][n][j]) * net.x[n, i]
        gradient[i, j] += (net.a[2][n][k] - net.t[n, k]) * g_prime(net.z[1][n][k]) * dz_dw
    close(net.dense(0).weight.grad, gradient)


def test_equation_8_forward(net: ByHand) -> None:
    close(net.model.forward(net.x), net.a[2])
    close(net.dense(1).forward(np.array(net.a[1])), net.z[1])


def test_equation_9_how_an_output_depends_on_a_hidden_weight(net: ByHand) -> None:
    step = 1e-6
    for i, j in np.ndindex(2, 3):
        for n in range(ROWS):
            row, w = net.x[n : n + 1], net.dense(0).weight.value.copy()
            outputs = []
            for change in (step, -step):
                w_changed = w.copy()
                w_changed[i, j] += change
                hidden = [
                    g(net.b[0][c] + sum(row[0, r] * w_changed[r, c] for r in range(2)))
                    for c in range(3)
                ]
                outputs.append(net.b[1][0] + sum(hidden[c] * net.w[1][c, 0] for c in range(3)))
            by_difference = (outputs[0] - outputs[1]) / (2 * step)
            by_equation = net.w[1][j, 0] * g_prime(net.z[0][n][j]) * net.x[n, i]
            assert by_difference == pytest.approx(by_equation, rel=1e-6, abs=1e-9)
            net.model.forward(row)
            net.model.layers[2].forward(np.array([net.a[1][n]]))
            delta = net.model.layers[1].backward(net.model.layers[2].backward(np.ones((1, 1))))
            net.model.layers[0].backward(delta)
            close(net.dense(0).weight.grad[i, j], by_equation)


@pytest.mark.parametrize("depth", range(1, 9))
def test_equations_10_and_11_at_any_depth(depth: int) -> None:
    net = ByHand([2, 5, 3, 4, 1, 6, 2, 3, 2][: depth + 1], seed=depth)
    for layer in range(depth):
        dense, delta = net.dense(layer), net.delta[layer]
        gradient = np.zeros(dense.weight.shape)
        for n, i, j in np.ndindex(ROWS, *dense.weight.shape):
            gradient[i, j] += delta[n][j] * net.a[layer][n][i]
        close(dense.weight.grad, gradient)
        assert dense.bias is not None
        close(
            dense.bias.grad, [sum(delta[n][j] for n in range(ROWS)) for j in range(len(delta[0]))]
        )


def as_text(equation: str) -> str:
    """Write an equation of the code as docstrings and comments write it."""
    for sign, word in {"Σ_k ": "sum ", "Σ_j ": "sum ", "δ": "delta"}.items():
        equation = equation.replace(sign, word)
    return re.sub(r"\[([ijk]),?([ijk]?)\]", r"_\1\2", equation)


def plain(text: str) -> str:
    """Write prose, TeX or comments without markup."""
    text = re.sub(r"\\[td]?frac\{(.*?)\}\{(.*?\}?)\}(?!\})", r"\1/\2", text)
    text = text.replace(r"\tfrac12", "1/2").replace(r"\partial", "∂").replace(r"\sum_", "sum_")
    text = re.sub(r"\\(qquad|quad|[,;])|[\\{}$#`]", " ", text.replace(r"\delta", "delta"))
    text = re.sub(r"sum(_\w| over \w of)", "sum", re.sub(r"\s+", " ", text))
    text = re.sub(r"([aw]|delta)_ (\w+)", r"\1_\2", text)
    return re.sub(r"∂ ", "∂", text)


def test_the_derivation_displays_each_equation_with_its_number():
    page = (ROOT / "docs/explanation/derivation.md").read_text(encoding="utf-8")
    shown = re.findall(r"\$\$([^$]*?)\\qquad \((\d+)\)\$\$", page)
    assert [int(number) for _, number in shown] == list(EQUATIONS)
    for equation, number in shown:
        told, expected = plain(equation), as_text(EQUATIONS[int(number)])
        assert re.sub(r"\s", "", told) == re.sub(r"\s", "", expected)


BESIDE = {
    1: ["1/2 sum (a_k - t_k)^2"],
    5: ["(a_k - t_k) g'(z_k)"],
    6: ["delta_k a_j"],
    7: ["(a_k - t_k) g'(z_k)"],
    8: ["a_j w_jk"],
    10: ["sum delta_k w_jk"],
    11: ["delta_j a_i", "g'(z_j)"],
}
"""Of each equation, the parts that may stand beside its number in prose."""


def test_every_mention_of_an_equation_has_the_equation_beside_it():
    for number, parts in BESIDE.items():
        assert all(part in as_text(EQUATIONS[number]) for part in parts)
    files = [*(ROOT / "minigrad").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    files += [*(ROOT / "examples").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    found, wrong = 0, []
    for path in [ROOT / "README.md", *files]:
        if path.parent.name == "explain":
            continue  # its numbers are those of `equations.py`
        lines = path.read_text(encoding="utf-8").split("\n")
        for place, line in enumerate(lines):
            near = plain(" ".join(lines[max(0, place - 2) : place + 3]))
            hidden = near.replace("a_i w_ij", "a_j w_jk")  # the sum of the layer before
            if re.search(r"Equations \d", line) and "Equations 1 to 11" not in line:
                wrong.append((path.name, line))
            for number in map(int, re.findall(r"Equation (\d+)", line)):
                found += 1
                parts = BESIDE[number]
                if not any(part in near or part in hidden for part in parts):
                    wrong.append((path.name, line))
    assert not wrong
    assert found >= 15
