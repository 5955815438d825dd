"""What models rely on in every layer, and one function that tells what a layer breaks of it."""

from minigrad.checks.report import LayerReport, check_layer

__all__ = ["LayerReport", "check_layer"]
