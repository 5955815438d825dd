"""What a network computed, forward and back, told as equations with its own numbers."""

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.layer_story import LayerStory
from minigrad.explain.lines import Line, Step, Term
from minigrad.explain.story import Explanation

__all__ = ["EQUATIONS", "Explanation", "LayerStory", "Line", "Step", "Term"]
