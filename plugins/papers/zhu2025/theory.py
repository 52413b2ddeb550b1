"""What the paper states, as others quote it, and what follows from it. Teachers have norm 1.

h_i: projection of student i on its teacher; m_l: students of teacher l; H_l = 1 − Σ h_i over them; z_i: the part
of w_i orthogonal to the teacher. For students near teacher v̂ with Σ z = 0 the loss is (1/4π) Σ_pq C_p C_q θ_pq³/3 to
leading order, over students (C = h) and the teacher (C = −1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Paper

if TYPE_CHECKING:
    import xarray as xr

paper = Paper(
    "zhu2025",
    "Zhu, Liu, Cevher, ICLR 2025",
    {"teachers": "k", "neurons": "m", "scale": "σ"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.angles": None,
        "problem.vectors": None,
        "problem.norms": (1.0, None),
        "problem.coefficients": 1.0,
        "problem.profile": "none",
        "problem.samples": None,
        "problem.loss": "half_mean_square",
        "network.activation": "relu",
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "stochastic_gradient_descent", "gradient_flow"),
        "dynamics.weight_decay": (0.0, None),
    },
)


# ---- definitions of ours, where the paper's are not known ----

NEAR = math.pi / 6
"""t₁: the mean angle of students to their closest teacher falls below 30°."""

GROWN = 0.01
"""t₂: the largest |H_l| falls below 1 % of |v|."""

ALIGNED_BY = 0.1
"""ηT₁ of statement 1, which is Θ(1). Sums of six students are then below 0.4 |v|."""

SMALL = 0.1
"""The largest ε₁ that counts as small. Statement 1 ends at angles of about 4 ε₁: 0.4 is 23°."""

TINY = 1e-7
"""|w_i(0)| below which a student's norm is negligible until ηT₁."""

LATE = 200.0
"""ηT from which the late slope is read."""

FAR = 1e5
"""ηT from which ηT/(ηT + t₀) is within 1e-3 of 1, for t₀ up to 100: limits of the rate are read there or later."""


# ---- the statements as quoted ----


def envelope(time: Any, teachers: int, size: float) -> Any:
    """(1 + ηk|v|t/s₂)^(−1/8k) of statement 1, with s₂ = 2 size: 2σ√d as in Xu and Du 2023."""
    return (1 + teachers * time / (2 * size)) ** (-1 / (8 * teachers))


def smallest_epsilon(angle: xr.DataArray, shrink: xr.DataArray) -> xr.DataArray:
    """The smallest ε₁ with sin²(θ/2) − ε₁² ≤ shrink (sin²(θ(0)/2) − ε₁²), at each time up to ALIGNED_BY.

    angle (…, time), shrink (time,). NaN at times at which the envelope has not moved by 0.1 %, which decide nothing:
    there the tolerance of the flow shows.
    """
    moved = (angle["time"] <= ALIGNED_BY) & (shrink < 1 - 1e-3)
    square: Any = np.sin(angle / 2) ** 2
    need = (square - shrink * square.isel(time=0)) / (1 - shrink)
    return np.sqrt(need.where(moved).clip(min=0))


def largest_zeta(teachers: int) -> float:
    """The ζ that A1 allows at most: 10kζ ≤ ε₁², and ε₁ ≤ 1 for sin²(θ/2) − ε₁² to be anything but negative."""
    return 1 / (10 * teachers)


def loss_of_none(teachers: int) -> float:
    """½ E f*² = ½ (k/2 + k(k − 1)/2π) of k orthogonal teachers: the loss before students have grown."""
    return 0.5 * (teachers / 2 + teachers * (teachers - 1) / (2 * math.pi))


def testable_epsilon(teachers: int) -> float:
    """The ε₂ for which Corollary 2 bounds L by a tenth of the loss before growth, ½k²ε₂^0.05 = loss_of_none/10.

    At ε₂ above 1e-10 or so (k = 2) the bound is not below that loss, and no run could fail it.
    """
    return (0.2 * loss_of_none(teachers) / teachers**2) ** 20


FACTOR = 4.0
"""Of |v|/(4m_τ) ≤ |w_i| ≤ 4|v|/m_τ in phase 3."""


def quoted_rate(neurons: int, teachers: int) -> float:
    """m/9k, the rate in ηt of the factor (1 − ηm/9k)^t that is quoted from phase 2."""
    return neurons / (9 * teachers)


def grown_by(near: Any, teachers: int, neurons: int, epsilon: float) -> Any:
    """ηT₂ from ηT₁ = `near`: where (1 − ηm/9k)^(t − T₁) has fallen to 6√ε₂, the end of phase 2 in Xu and Du 2023."""
    return near + math.log(1 / (6 * math.sqrt(epsilon))) / quoted_rate(neurons, teachers)


def fair_chance(students: int, teachers: int) -> float:
    """P(m/3k ≤ m_l ≤ 3m/k for all l) for students that choose one of k teachers uniformly and independently (A3)."""
    low, high = -(-students // (3 * teachers)), 3 * students // teachers
    term = np.zeros(students + 1)
    for size in range(low, min(high, students) + 1):
        term[size] = math.exp(-math.lgamma(size + 1) - size * math.log(teachers))
    ways = np.eye(1, students + 1)[0]
    for _ in range(teachers):
        ways = np.convolve(ways, term)[: students + 1]
    return float(ways[students] * math.exp(math.lgamma(students + 1)))


# ---- what follows ----


SLOW = 0.25 - 0.5 / math.pi
"""¼ − 1/2π: the slowest rate a student of residuals near alignment for k ≥ 2 (r_l − r_l' along v̂_l + v̂_l')."""


def plateau(teachers: int) -> float:
    """arccos(1/√k), the angle of the teachers' common direction to each of them."""
    return math.acos(teachers**-0.5)


def slowest_rate(teachers: int, students: float) -> float:
    """Decay of H with `students` along each teacher: n/2 for one teacher, m_l(¼ − 1/2π) for several."""
    return students / 2 if teachers == 1 else students * SLOW


def have_equal_sums(groups: Sequence[Sequence[float]]) -> bool:
    """Whether the projections of all teachers' students sum to the same: also where there is one teacher."""
    return bool(np.ptp([sum(group) for group in groups]) < 1e-9)


def growth_rate(groups: Sequence[Sequence[float]]) -> float:
    """Decay of H from projections teacher by teacher: `slowest_rate`; m_l(¼ + 1/2π) for equal sums of two.

    NaN where no rate is derived: groups of different sizes, equal sums of three teachers or more.
    """
    students = len(groups[0])
    if len({len(group) for group in groups}) > 1 or (len(groups) > 2 and have_equal_sums(groups)):
        return math.nan
    if len(groups) == 2 and have_equal_sums(groups):
        return students * (0.25 + 0.5 / math.pi)
    return slowest_rate(len(groups), students)
