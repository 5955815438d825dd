"""The peers: one file each, named by its key in `PEERS`."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, NamedTuple, TypeAlias, cast

from benchmarks.peers.base import Peer

Timed: TypeAlias = Literal["fit", "step", "epoch", "hand", "limit"]
TIMED: dict[Timed, str] = {
    "fit": "the library's public `fit`, with all that it does around a step",
    "step": "a loop over bare steps (forward, backward, update) written by its user",
    "epoch": "one compiled call for all steps of an epoch",
    "hand": "formulas written out for these networks, without a library",
    "limit": "a bound that no peer is expected to reach",
}


class Entry(NamedTuple):
    """The title of a peer, what is timed, and whether it compiles a network first."""

    title: str
    timed: Timed
    compiles: bool = False


PEERS = {
    "minigrad_fit": Entry("minigrad `fit`", "fit"),
    "minigrad_jit": Entry("minigrad `fit`, compiled", "fit", compiles=True),
    "pytorch_eager": Entry("PyTorch eager", "step"),
    "pytorch_compiled": Entry("PyTorch compiled", "step", compiles=True),
    "jax_step": Entry("JAX jit, step alone", "step", compiles=True),
    "jax_sliced": Entry("JAX jit, with slicing", "step", compiles=True),
    "jax_epoch": Entry("JAX jit, epoch scanned", "epoch", compiles=True),
    "keras_fit": Entry("Keras on JAX `fit`", "fit", compiles=True),
    "sklearn_fit": Entry("scikit-learn `fit`", "fit"),
    "neuralnetlib_fit": Entry("neuralnetlib `fit`", "fit"),
    "plain_numpy": Entry("NumPy by hand", "hand"),
    "tutorial": Entry("the tutorial's code", "hand"),
    "fused_c": Entry("fused C loop, one thread", "limit"),
}


def peer_class(name: str) -> type[Peer]:
    """The class in the peer's file; imports its library."""
    module = import_module(f"{__name__}.{name}")
    return cast(type[Peer], module.PEER)
