"""A forward and backward pass as equations, filled in with the network's numbers.

In reading order:

- The words: `equations` (the tutorial's), `steps` (an array, its equation, and a line for each
  number, which is evaluated before it is shown), `formula` (an `equation` of a layer, a loss or an
  optimizer with numbers, and whether its class computes it).
- The steps: `places` (layers in order, and the names of their arrays), `arithmetic` (how the
  numbers of layers are computed), `layer_steps`, `loss_steps`, `update`.
- The pass: `passes` (all steps in order, and which numbers are shown).
- What is shown: `text`, `latex`, `page`, and `explanation`, the object with all of them.
"""

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.explanation import Explanation, LayerPass
from minigrad.explain.steps import Line, Step, Term

__all__ = ["EQUATIONS", "Explanation", "LayerPass", "Line", "Step", "Term"]
