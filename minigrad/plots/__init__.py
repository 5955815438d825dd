"""Pictures of training, of models and of predictions.

`network` returns SVG text and needs no other package. The other functions draw with Matplotlib
(`pip install 'minigrad[plot]'`). They take `ax`, Matplotlib axes, by default those of a new pyplot
figure, and return the axes that they drew on. They raise ImportError if Matplotlib is missing.
"""

from minigrad.plots.charts import confusion, histograms, history, surface
from minigrad.plots.diagram import network

__all__ = ["confusion", "histograms", "history", "network", "surface"]
