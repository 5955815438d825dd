"""A forward and backward pass as equations, filled in with the network's numbers."""

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.explanation import Explanation, LayerPass
from minigrad.explain.steps import Line, Step, Term

__all__ = ["EQUATIONS", "Explanation", "LayerPass", "Line", "Step", "Term"]
