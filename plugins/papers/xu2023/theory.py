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


def constant(projections: Any) -> float:
    """lim L T³ for two students of a teacher of norm 1: (8π²/3)(h₁h₂)² with h at the end. (Derived.)"""
    return float(8 * np.pi**2 / 3 * np.prod(projections) ** 2)


def simplex_constant(neurons: Any) -> Any:
    """lim L T³ for n students with equal h at the corners of a regular simplex: 16π²/(3n³β²), β = √(8n/(n−1)) − 2.

    At distance ρ from v, L = n³βρ³/12π and dρ/dt = −(1/n) dL/dρ. n = 2 gives `constant`. (Derived.)
    """
    beta = np.sqrt(8 * neurons / (neurons - 1)) - 2
    return 16 * np.pi**2 / (3 * neurons**3 * beta**2)


def spread(projections: Any) -> float:
    """lim Z T for two students: 4π h₁h₂.

    With z₁ = −z₂ = z and no residual, L = |z|³/(3π h₁h₂) and d|z|/dt = −½ dL/d|z|. (Derived.)
    """
    return float(4 * np.pi * np.prod(projections))


def loss_by_spread(projections: Any) -> float:
    """lim L/Z³ for two students: 1/(24π h₁h₂). (Derived, as `spread`.)"""
    return float(1 / (24 * np.pi * np.prod(projections)))


def gradient_by_loss(projections: Any) -> float:
    """lim |∇L|/L^{2/3} for two students: √3 C^{−1/6}, from L = C/t³ and dL/dt = −|∇L|². (Derived.)"""
    return float(np.sqrt(3) * constant(projections) ** (-1 / 6))


def interval(values: Any) -> tuple[float, float, float]:
    """The mean over seeds and the ends of its 95 % interval (Student's t): values (seed,)."""
    from scipy import stats

    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def exponents(neurons: Any, values: Any) -> Any:
    """p of value ~ n^p by least squares of the logarithms, seed by seed: values (neurons, seed) -> (seed,)."""
    return np.polyfit(np.log(neurons), np.log(values), 1)[0]
