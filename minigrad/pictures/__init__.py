"""Pictures of networks and of numbers as SVG text, readable on light and dark pages."""

from minigrad.pictures.charts import line_chart
from minigrad.pictures.histograms import histograms
from minigrad.pictures.network import network_diagram
from minigrad.pictures.surface import surface

__all__ = ["histograms", "line_chart", "network_diagram", "surface"]
