"""PyTorch: models as modules of `torch.nn`, and back, with what an optimizer remembers."""

from minigrad.util.optional import optional

optional("torch", "minigrad.interop.torch", least="2.4")

from minigrad.interop.torch.model import from_torch, to_torch, to_torch_training
from minigrad.interop.torch.modules import (
    Attention,
    Branches,
    ChannelsFirst,
    Dot,
    Ended,
    GraphModule,
    Merge,
    Noise,
    Permuted,
    Positions,
    RealSteps,
    RecurrentRows,
    Repeated,
    Scaled,
    Sinusoids,
    Sliced,
)

__all__ = [
    "Attention",
    "Branches",
    "ChannelsFirst",
    "Dot",
    "Ended",
    "GraphModule",
    "Merge",
    "Noise",
    "Permuted",
    "Positions",
    "RealSteps",
    "RecurrentRows",
    "Repeated",
    "Scaled",
    "Sinusoids",
    "Sliced",
    "from_torch",
    "to_torch",
    "to_torch_training",
]
