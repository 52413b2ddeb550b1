"""The law L T³ → C of relu students that share a teacher of norm 1, output weights 1, by gradient flow to T → ∞.

Students w_i = h_i v̂ + z_i with Σ h_i = 1 and Σ z_i = 0. Their loss is (1/4π) Σ_pq C_p C_q θ_pq³/3 to leading order,
over students (C = h) and the teacher (C = −1); orthogonal teachers' groups add up. Z = Σ_{i<j} |z_i − z_j|. Derived,
and tested against the flow; for a teacher of norm |v| constants are |v|² times those of h/|v|.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = [
    "gradient_limit",
    "group_constant",
    "group_spread",
    "loss_by_spread",
    "pair_constant",
    "simplex_constant",
]


def pair_constant(projections: Any) -> float:
    """C of two students, (8π²/3)(h₁h₂)²: z₁ = −z₂ = z has L = |z|³/3πh₁h₂ and 2 d|z|/dT = −dL/d|z|."""
    return float(8 * np.pi**2 / 3 * np.prod(projections) ** 2)


def simplex_constant(count: Any) -> Any:
    """C of n equal students at a regular simplex, 4π²/3n³β²: L = n³|z|³β/6π and n d|z|/dT = −dL/d|z|."""
    return 4 * np.pi**2 / (3 * count**3 * beta(count) ** 2)


def beta(count: Any) -> Any:
    """√(2n/(n − 1)) − 1."""
    return np.sqrt(2 * count / (count - 1)) - 1


def group_constant(projections: Any) -> float:
    """C of one group; 0 for a single student, NaN where no formula is known (three or more that differ)."""
    count = len(projections)
    if count < 2:
        return 0.0
    if count == 2:
        return pair_constant(projections)
    return float(simplex_constant(count)) if np.ptp(projections) < 1e-3 / count else math.nan


def group_spread(projections: Any) -> float:
    """lim Z T of one group: 4πh₁h₂ for two students, π(n − 1)√(2n/(n − 1))/nβ for a simplex, else as above."""
    count = len(projections)
    if count < 2:
        return 0.0
    if count == 2:
        return float(4 * np.pi * np.prod(projections))
    if np.ptp(projections) > 1e-3 / count:
        return math.nan
    return float(math.pi * (count - 1) * math.sqrt(2 * count / (count - 1)) / (count * beta(count)))


def loss_by_spread(projections: Any) -> float:
    """lim L/Z³ of two students: 1/(24π h₁h₂)."""
    return float(1 / (24 * np.pi * np.prod(projections)))


def gradient_limit(constant: Any) -> Any:
    """lim |∇L|/L^{2/3} = √3 C^(−1/6), from L = C/T³ and dL/dT = −|∇L|²."""
    return math.sqrt(3) * constant ** (-1 / 6)
