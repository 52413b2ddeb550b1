"""What Safran, Yehudai and Shamir 2021 state, as numbers.

k orthonormal teachers, n students with outputs 1, L = ½ E (f − f*)² on x ~ N(0, I_d): all numbers have that ½, as the
paper's closed form and Hessian do. H'_ii: the block of student i of the Hessian, less ½I.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Paper

paper = Paper(
    "safran2021",
    "Safran, Yehudai, Shamir, COLT 2021",
    {"neurons": "n", "teachers": "k", "dimension": "d", "step_size": "η", "share": "α"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.coefficients": 1.0,
        "problem.norms": None,
        "problem.vectors": None,
        "problem.angles": None,
        "problem.profile": "none",
        "problem.samples": None,
        "network.activation": "relu",
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "minimize"),
    },
)

GLOBAL = 1e-3
"""The loss below which an end is at the global minimum, or on the way to it."""

STOPPED = 1e-12
"""|∇L| at which the authors' descent stops."""

LARGEST_Z = 3.5
"""A count agrees with the authors' where the two differ by no more than this many standard errors."""

CONVEXITY = 0.25 - 1.0 / (2.0 * math.pi)
"""Theorem 3: ∇²F ≥ (¼ − 1/2π) I at the global minima with n = k."""

BLOCK_SHIFT = 0.5
"""What H'_ii is less than the block of student i."""

CUBE = 4.0 / (3.0 * math.pi)
"""With one teacher shared by two halves: L/ε³ of halves at ½v ± εe, and −λ_min/ε³ where one is at ½v + εe, as ε → 0.
Derived."""

SPLIT_ENDS = {8: 0.0205607918029998, 10: 0.01789265513945379, 11: 0.01678448222958033}
"""By k, the loss of the spurious minimum of (k, k + 1) with one flipped student. Source: stored weights of the code of
Safran and Shamir 2018 (ItaySafran/OneLayerGDconvergence at 0719662), by Newton steps. Of (7, 8) there is none."""


def stopped_gradient(lowest: Any, highest: Any, numbers: int) -> Any:
    """√n λ_max/λ_min × STOPPED: what |∇L| can be of n numbers that each are within STOPPED/λ_min of a minimum's. 0
    where λ_min ≤ 0: there is no minimum near which the stop rule would keep them."""
    minimum = lowest > 0
    return np.where(minimum, np.sqrt(numbers) * STOPPED * highest / np.where(minimum, lowest, 1.0), 0.0)


def split_bound(lowest: Any, share: Any) -> Any:
    """λ(1/α + 1/(1 − α))/2, which the smallest eigenvalue of the Hessian is at most after student i is split.

    lowest: λ, the smallest eigenvalue of H'_ii, with eigenvector g. Along (g, −g)/√2 the sum of both parts stays, and
    each part has the curvature λ over its share. (Derived.)
    """
    return 0.5 * lowest * (1.0 / share + 1.0 / (1.0 - share))


def one_point_bound(deviations: Any, teachers: int) -> float:
    """Conjecture 12: ¼|Σg|² + (¼ − 1/2π) Σ_i|g_i|², over |g|², g_i the sum of the deviations of teacher i's students.

    deviations: (neuron, feature), students in rounds, one of each teacher.
    """
    groups = deviations.reshape(-1, teachers, deviations.shape[-1]).sum(0)
    whole = 0.25 * (groups.sum(0) ** 2).sum() + CONVEXITY * (groups**2).sum()
    return float(whole / (deviations**2).sum())
