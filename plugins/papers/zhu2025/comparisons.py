"""What several claims on Zhu, Liu and Cevher 2025 have in common: how they are known, the panels, and a factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twolayer import Result, at_least

Results = Mapping[str, Result]

QUOTED = "as public reviews quote it"

PANELS = ("phases", "phases_sgd")
"""The panels' experiments: by descent on the population, and by fresh batches."""


def within_factor(shares: Any, factor: float, detail: str = "") -> Result:
    """All seeds have all |w_i| m_τ in [1/factor, factor]."""
    inside = ((shares >= 1 / factor) & (shares <= factor)).all("neuron")
    extent = f"|w| m_τ/|v| from {shares.min():.3f} to {shares.max():.3f}"
    return at_least(inside.mean(), 1.0, f"fraction of seeds with all students inside; {extent}{detail}")
