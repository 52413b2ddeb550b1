"""What the paper prints and proves, and the constants that follow; |v| = 1 throughout."""

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

PHASED = {"scale": 1e-3, "step_size": 1e-4, "dimension": 10}
"""σ, η and d of the experiment `phases`."""


def aligned_by(neurons: int) -> float:
    """ηT₁ = C, the end of phase 1, which the paper leaves open: 3/4n.

    Students along the teacher have H = e^{−nt/2} from t = 0, so H(T₁) = e^{−3/8} = 0.69, and phase 2 asks for ⅔:
    any C up to (2/n) ln 1.5 = 0.81/n will do. (Derived.) A smaller C leaves less time to align.
    """
    return 0.75 / neurons


ALIGNING = (1 / 4, 1 / 8)
"""ε₁ at which Theorem 4 is tried, with C = ε₁²/n for its C = O(ε₁²/n)."""


def outside_theorem_4(start: Any, epsilon: float, constant: float) -> str:
    """How far starts at angles `start` are outside what Theorem 4 asks for, with O(x) read as x."""
    degrees = np.degrees(start)
    outside = int(((degrees < 60) | (degrees > 120)).sum())
    size = PHASED["scale"] * np.sqrt(PHASED["dimension"])
    decades = np.log10(size / constant) - 48 * np.log10(epsilon)
    return (
        f"outside of the theorem: σ√d is 1e{decades:+.0f} of C ε₁⁴⁸|v|, and {outside} of {degrees.size} starts are "
        "not 60° to 120° from the teacher"
    )


def outside_theorem_6(epsilon: float, neurons: int) -> str:
    """How far a run is outside of what Theorem 6 asks for, with O(x) read as x."""
    small = np.log10(epsilon) + 14 * np.log10(neurons)
    step = PHASED["step_size"] * neurons**2
    return (
        f"with ε₂ = {epsilon:.1e}, by H alone, Theorem 6's ε₂n¹⁴ is 1e{small:+.0f} and its ηn² {step:.1g}; it asks "
        "for O(1) of both"
    )


def least_angle_share(time: Any, growth: Any, angle: Any, neurons: int, begin: float) -> tuple[float, int]:
    """Theorem 5: the least of θ(T₂)/ε₂ over all T₂ > T₁ up to which H keeps within its bounds, and T₂'s place.

    time, growth: (time,); angle: (time,), the largest of the students. ε₂ is that which ends phase 2 at T₂.
    At T₁ itself phase 2 has no length. inf where H is out of its bounds from the start.
    """
    envelope = grown(time, neurons, begin)
    within = (time >= begin * (1 - 1e-9)) & (np.cumsum(np.isnan(growth)) == 0)
    violation = np.maximum(growth - envelope, 2 / 3 * envelope - growth) / 6
    worst = np.maximum.accumulate(np.where(within, violation, 0.0))
    ended = envelope**2 / 36
    share = np.where(within & (time > begin) & (worst <= ended), angle / ended, np.inf)
    place = int(np.argmin(share))
    return float(share[place]), place


STEEPEST = (8 * np.pi**2 / 3 * (2 / 9) ** 2) ** (-1 / 3)
"""The slope of L^(−1/3) of the most uneven two students with h_i ≤ 2h_j, h = 1/3 and 2/3."""


def steepest(neurons: int) -> float:
    """Theorem 14's slope K n^(17/3)/κ², with the K that two students need, and κ = π, the most an angle can be."""
    return STEEPEST * (neurons / 2) ** (17 / 3)


def lengths(time: Any) -> tuple[float, Any]:
    """Phase 1: s1 and s2 + 2ηt|v|, between which |w_i| lies, at ηt = `time`."""
    size = PHASED["scale"] * np.sqrt(PHASED["dimension"])
    return 0.5 * size, 2.0 * size + 2.0 * time


def shrinking(time: Any) -> Any:
    """Phase 1: (1 + ηt|v|/s2)^(−1/24), by which sin²(θ_i/2) − ε₁² has at least shrunk."""
    return (1.0 + time / lengths(0.0)[1]) ** (-1 / 24)


def grown(time: Any, neurons: int, begin: float) -> Any:
    """Phase 2: (1 − nη/2)^(t − T₁), at ηt = `time` and ηT₁ = `begin`."""
    step = PHASED["step_size"]
    return (1.0 - 0.5 * neurons * step) ** ((time - begin) / step)


def carried(growth: Any, neurons: int) -> Any:
    """H, NaN where rounding stops it: a step moves h_i ≈ 1/n by ηH/2, which float64 loses below H = 2⁻⁵²/nη."""
    return np.where(growth > 2.0**-52 / (neurons * PHASED["step_size"]), growth, np.nan)


def smallest_growth_error(time: Any, growth: Any, neurons: int, begin: float) -> tuple[float, int]:
    """The smallest ε₂ for which H keeps within its bounds on all saved times from T₁ to T₂(ε₂), and T₂'s place.

    time, growth: (time,). Larger ε₂ widen the bounds and end phase 2 earlier, at (1 − nη/2)^(T₂−T₁) = 6√ε₂, so
    the smallest is where the violation up to T₂ meets the ε₂ of that T₂. What follows the first NaN does not count.
    """
    envelope = grown(time, neurons, begin)
    within = (time >= begin * (1 - 1e-9)) & (np.cumsum(np.isnan(growth)) == 0)
    violation = np.maximum(growth - envelope, 2 / 3 * envelope - growth) / 6
    worst = np.maximum.accumulate(np.where(within, violation, 0.0))
    ended = envelope**2 / 36  # the ε₂ whose T₂ is this time
    allowed = np.where(within, np.maximum(worst, ended), np.inf)
    place = int(np.argmin(allowed))
    return float(allowed[place]), place


def exponents(neurons: Any, values: Any) -> Any:
    """p of value ~ n^p by least squares of the logarithms, seed by seed: values (neurons, seed) -> (seed,)."""
    return np.polyfit(np.log(neurons), np.log(values), 1)[0]
