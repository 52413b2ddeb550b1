"""render: a figure, drawn from datasets and written with its caption on its face."""

from twolayer.figures import render

__all__ = ["render"]
