"""What the paper prints and proves, and the constants that follow."""

from __future__ import annotations

from typing import Any

import numpy as np

LEFT, RIGHT = 500, 200
"""The last iteration of Figure 1 left, and the first of Figure 1 right."""

ENDS_LEFT = {1: 6e-12, 2: 4.5e-5, 5: 9e-6, 10: 4.5e-6}
"""Figure 1 left at iteration 500: the loss by n, read off the print."""

ENDS_RIGHT = {2: -2.96, 5: -3.12, 10: -3.20}
"""Figure 1 right at iteration 50000: log_{ηT} L by n, read off the print."""

STEP = 0.05
"""η of both."""


def constant(projections: Any) -> float:
    """lim L T³ for two students of a teacher of norm 1: (8π²/3)(h₁h₂)² with h at the end. (Derived.)"""
    return float(8 * np.pi**2 / 3 * np.prod(projections) ** 2)


def local_slopes(time: Any, loss: Any) -> Any:
    """d log L / d log t between neighbouring times."""
    return np.diff(np.log(loss)) / np.diff(np.log(time))
