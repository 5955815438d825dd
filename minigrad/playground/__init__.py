"""A page on which a network trains: change anything, and see every number.

`python -m minigrad.playground` serves it on this machine. The page draws, and Python computes. In
reading order: `problems` (rows to learn), `settings`, `networks`, `script` (what was done, so that
it can be done again), `sources` (the program of a run), `long_film`, `views` (what the page draws),
`remedies`, `session` (a page's session, driven by messages), `site` (the page with Python in the
browser), `cells` (code of a page, run there), `server`.
"""

from minigrad.playground.cells import Cells
from minigrad.playground.session import Session

__all__ = ["Cells", "Session"]
