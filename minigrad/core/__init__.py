"""The core: one layer's mathematics, and how a batch becomes a step."""
