"""The documentation writes the equations of docstrings as LaTeX, and leaves other text alone."""

import runpy
from pathlib import Path

import pytest

FORMULAS = Path(__file__).parents[1] / "docs" / "_extensions" / "formulas.py"
equations = runpy.run_path(str(FORMULAS))["equations"]


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("dJ/dW = x^T delta", r"\frac{\partial J}{\partial W} &= x^{T} \delta"),
        ("dJ/dv_j = sum over i of a_ji", r"\frac{\partial J}{\partial v_{j}} &= \sum_{i} a_{ji}"),
        ("h_(t-1) = z[u, v]", r"h_{t-1} &= z_{u, v}"),
        ("s <- s / (sqrt(s + 1) + 2)", r"s &\leftarrow s / (\sqrt{s + 1} + 2)"),
        ("m_i  = tanh(z)^2", r"m_{i} &= \operatorname{tanh}(z)^{2}"),
        ("a = b        the gate", r"a &= b \qquad \text{the gate}"),
        ("a = b        of delta_k", r"a &= b \qquad \text{of }\delta _{k}\text{}"),
    ],
)
def test_equations(text: str, latex: str) -> None:
    (made,) = equations([f"    {text}"])
    assert "".join(made.split()) == "".join(latex.split())


@pytest.mark.parametrize(
    "text",
    [
        "model.fit(x, y)",
        "one sentence without a sign",
        "reach = (length - 1) // stride",
        'name = "text"',
        "t < w: eta(t) = 1",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert equations([f"    {text}"]) is None


def test_every_line_must_be_an_equation() -> None:
    assert equations(["    a = b", "    and then it stops, as a rule"]) is None
