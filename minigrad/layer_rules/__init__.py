"""What models rely on in every layer, and one function that tells what a layer breaks of it."""

from minigrad.layer_rules.report import LayerReport, check_layer

__all__ = ["LayerReport", "check_layer"]
