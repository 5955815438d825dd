"""What a program for Keras has to change; `python -m minigrad.port program.py` prints it."""

from minigrad.port.reader import Finding, findings

__all__ = ["Finding", "findings"]
