"""What Xu and Du 2023 print and prove, and the constants that follow, in units of the teacher: |v| = 1 throughout.

n students; θ_i: angle of student i to the teacher; h_i: its projection on the teacher; H = 1 − Σ h_i. Time is ηt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Paper

paper = Paper(
    "xu2023",
    "Xu, Du, COLT 2023",
    {"neurons": "n", "dimension": "d", "scale": "σ"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.teachers": 1,
        "problem.coefficients": 1.0,
        "problem.profile": "none",
        "problem.samples": None,
        "problem.loss": "half_mean_square",
        "network.activation": "relu",
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "gradient_flow"),
        "dynamics.weight_decay": (0.0, None),
    },
)

LEFT, RIGHT = 500, 200
"""The last iteration of Figure 1 left, and the first of Figure 1 right."""

END = 50000
"""The last iteration of Figure 1 right."""

ENDS_LEFT = {1: 6e-12, 2: 4.5e-5, 5: 9e-6, 10: 4.5e-6}
"""Figure 1 left at iteration 500: the loss by n, read off the print."""

ENDS_RIGHT = {2: -2.96, 5: -3.12, 10: -3.20}
"""Figure 1 right at iteration 50000: log_{ηT} L by n, read off the print."""

ALIGNING = (1 / 4, 1 / 8)
"""ε₁ at which Theorem 4 is tried, with C = ε₁²/n for its C = O(ε₁²/n)."""

STEEPEST = (8 * np.pi**2 / 3 * (2 / 9) ** 2) ** (-1 / 3)
"""The slope of L^(−1/3) of the most uneven two students with h_i ≤ 2h_j, h = 1/3 and 2/3."""


def aligned_by(neurons: int) -> float:
    """ηT₁ = C, the end of phase 1, which the paper leaves open: 3/4n.

    Students along the teacher have H = e^{−nt/2} from t = 0, so H(T₁) = e^{−3/8} = 0.69, and phase 2 asks for ⅔:
    any C up to (2/n) ln 1.5 = 0.81/n will do. (Derived.) A smaller C leaves less time to align.
    """
    return 0.75 / neurons


def lengths(time: Any, size: float) -> tuple[float, Any]:
    """Phase 1: s1 = ½σ√d and s2 + 2ηt, between which |w_i| lies, s2 = 2σ√d, with size = σ√d."""
    return 0.5 * size, 2.0 * size + 2.0 * time


def shrinking(time: Any, size: float) -> Any:
    """Phase 1: (1 + ηt/s2)^(−1/24), by which sin²(θ_i/2) − ε₁² has at least shrunk, with size = σ√d."""
    return (1.0 + time / (2.0 * size)) ** (-1 / 24)


def grown(time: Any, neurons: int, begin: float, step: float) -> Any:
    """Phase 2: (1 − nη/2)^(t − T₁), at ηt = `time`, ηT₁ = `begin` and η = `step`."""
    return (1.0 - 0.5 * neurons * step) ** ((time - begin) / step)


def least_carried(neurons: int, step: float) -> float:
    """The H below which float64 loses its decay: a step moves h_i ≈ 1/n by ηH/2, lost below H = 2⁻⁵²/nη."""
    return float(2.0**-52 / (neurons * step))


def growth_errors(growth: Any, envelope: Any) -> tuple[Any, Any]:
    """For each end T₂ of phase 2, which begins at the first entry: the least ε₂ with which H has kept within its
    bounds until then, and the ε₂ whose T₂ this is, (1 − nη/2)^(T₂−T₁) = 6√ε₂.

    growth, envelope: (time,), from T₁ on; the first is inf from the first NaN on.
    """
    violation = np.maximum(growth - envelope, 2 / 3 * envelope - growth) / 6
    needed = np.maximum.accumulate(np.maximum(np.where(np.isnan(violation), np.inf, violation), 0.0))
    return needed, envelope**2 / 36


def smallest_growth_error(growth: Any, envelope: Any) -> tuple[float, int]:
    """The smallest ε₂ for which H keeps within its bounds from T₁ to T₂(ε₂), and the index of T₂: see above.

    Larger ε₂ widen the bounds and end phase 2 earlier, so the smallest is where the two errors meet.
    """
    allowed = np.maximum(*growth_errors(growth, envelope))
    index = int(np.argmin(allowed))
    return float(allowed[index]), index


def least_angle_share(growth: Any, angle: Any, envelope: Any) -> float:
    """Theorem 5: the least of θ(T₂)/ε₂ over all T₂ > T₁ up to which H keeps within its bounds; inf where none is.

    growth, envelope: (time,), from T₁ on; angle: (time,), the largest of the students.
    """
    needed, ended = growth_errors(growth, envelope)
    share = np.where(needed <= ended, angle / ended, np.inf)
    return float(np.min(share[1:], initial=np.inf))  # at T₁ itself phase 2 has no length


def steepest(neurons: int) -> float:
    """Theorem 14's slope K n^(17/3)/κ², with the K that two students need, and κ = π, the most an angle can be."""
    return STEEPEST * (neurons / 2) ** (17 / 3)


def steepest_rise(time: Any, loss: Any) -> float:
    """The largest slope of L^(−1/3) between saved times while L > 1e-20: time and loss (time,); NaN without two."""
    clear = loss > 1e-20
    if clear.sum() < 2:
        return np.nan
    return float((np.diff(loss[clear] ** (-1 / 3)) / np.diff(time[clear])).max())
