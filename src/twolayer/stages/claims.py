"""claims: each statement of a paper held against its datasets."""

from twolayer.claims import evaluate

__all__ = ["evaluate"]
