"""Pictures of training, of models and of predictions.

`network` returns SVG text. The other functions draw with Matplotlib (`pip install matplotlib`) and
return the axes; they raise ImportError if it is missing.
"""

from minigrad.plots.charts import confusion, histograms, history, surface
from minigrad.plots.diagram import html, network

__all__ = ["confusion", "histograms", "history", "html", "network", "surface"]
