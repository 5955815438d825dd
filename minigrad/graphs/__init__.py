"""Graphs: networks with several inputs and outputs by name, and their loss."""
