"""Checks: compare gradients with differences, and test a layer against the rules for layers."""

from minigrad.checks.gradients import GradientReport, check_gradients
from minigrad.checks.rules import LayerReport, check_layer

__all__ = ["GradientReport", "LayerReport", "check_gradients", "check_layer"]
