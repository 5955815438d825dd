"""Models: what users build, with graphs, training and tools."""

from minigrad.util.lookup import unknown_in

__getattr__ = unknown_in(__name__, ("Model", "Sequential"))
