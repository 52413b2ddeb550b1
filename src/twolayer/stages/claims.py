"""claims: each statement of a paper evaluated on its datasets."""

from twolayer.analysis.claims import evaluate

__all__ = ["evaluate"]
