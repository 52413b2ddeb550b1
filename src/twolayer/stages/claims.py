"""claims: each statement of a paper held against its datasets."""

from twolayer.analysis.claims import evaluate

__all__ = ["evaluate"]
