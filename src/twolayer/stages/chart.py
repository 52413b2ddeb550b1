"""chart: all claims of a paper in one figure."""

from twolayer.analysis.chart import chart

__all__ = ["chart"]
