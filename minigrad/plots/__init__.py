"""Pictures of networks and of numbers as SVG text, readable on light and dark pages."""

from minigrad.plots.charts import line_chart
from minigrad.plots.histograms import histograms
from minigrad.plots.network import network_diagram
from minigrad.plots.surface import surface

__all__ = ["histograms", "line_chart", "network_diagram", "surface"]
