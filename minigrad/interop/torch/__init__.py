"""PyTorch: models as modules of `torch.nn`, and back, with what an optimizer remembers.

- What corresponds: `modules` (what `torch.nn` has no module for), `layers` (the table of layers and
  modules), `optimizers` (the same with their options and state).
- To PyTorch: `writer`; and from it: `reader`.
"""

from minigrad.util.optional import optional

optional("torch", "minigrad.interop.torch", extra="torch", least="2.4")

from minigrad.interop.torch.modules import (
    Attention,
    Branches,
    ChannelsFirst,
    GraphModule,
    Merge,
    Positions,
    RecurrentRows,
    Sinusoids,
)
from minigrad.interop.torch.reader import from_torch
from minigrad.interop.torch.writer import to_torch, to_torch_training

__all__ = [
    "Attention",
    "Branches",
    "ChannelsFirst",
    "GraphModule",
    "Merge",
    "Positions",
    "RecurrentRows",
    "Sinusoids",
    "from_torch",
    "to_torch",
    "to_torch_training",
]
