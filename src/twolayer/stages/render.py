"""render: a figure, drawn from datasets and written with its caption on its face."""

from twolayer.analysis.figures import render

__all__ = ["render"]
