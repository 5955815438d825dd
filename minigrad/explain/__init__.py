"""A forward and backward pass as equations, filled in with the network's numbers.

- The words: `equations` (the tutorial's), `steps` (an array, its equation, and a line for each
  number), `formula` (an `equation` of a layer, a loss or an optimizer with numbers).
- The pass: `places` (layers in order, and the names of their arrays), `passes` (all steps in order,
  and which numbers are shown).
- The steps: `layer_steps`, `loss_steps`, `update`. A number of a layer is a sum of `products`, of
  its `families`, a formula, one of the `sums` of whole arrays, or found by `derivatives`.
- What is shown: `text`, `latex`, `page`, and `explanation`, the object with all of them.
"""

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.explanation import Explanation, LayerPass
from minigrad.explain.steps import Line, Step, Term

__all__ = ["EQUATIONS", "Explanation", "LayerPass", "Line", "Step", "Term"]
