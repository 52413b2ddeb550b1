"""What the paper states, as others quote it, what follows from it, and how a run is read. Teachers have norm 1.

h_i: projection of student i on its own teacher; m_l: students of teacher l; H_l = 1 − Σ h_i over them; z_i: what of
w_i is beside the teacher. For students near teacher v̂ with Σ z = 0 the loss is (1/4π) Σ_pq C_p C_q θ_pq³/3 to
leading order, over students (C = h) and the teacher (C = −1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import fit_rate
from twolayer.analysis.rates import first_below
from twolayer.population.asymptotics import group_constant

if TYPE_CHECKING:
    import xarray as xr

PANELS = ((2, 20), (4, 12), (4, 20), (4, 40))
"""(k, m) of the paper's panels."""

NEAR = math.pi / 6
"""t₁, our definition: the mean angle of students to their closest teacher falls below 30°."""

GROWN = 0.01
"""t₂, our definition: the largest |H_l| falls below 1 % of |v|."""

ALIGNED_BY = 0.1
"""ηT₁ of statement 1, which is Θ(1): ours. Sums of six students are then below 0.4 |v|."""

SMALL = 0.1
"""What we let pass as a small ε₁. Statement 1 ends at angles of about 4 ε₁: 0.4 is 23°."""

SIMPLEX = {"three": 3, "four": 4}
"""Runs of `rate` whose one group keeps the corners of a simplex."""


# ---- the statements as quoted ----


def envelope(time: Any, teachers: int, scale: float, dimension: int) -> Any:
    """(1 + ηk|v|t/s₂)^(−1/8k) of statement 1, with s₂ = 2σ√d as in Xu and Du 2023."""
    return (1 + teachers * time / (2 * scale * math.sqrt(dimension))) ** (-1 / (8 * teachers))


def smallest_epsilon(time: Any, angle: Any, shrink: Any) -> float:
    """The smallest ε₁ with sin²(θ/2) − ε₁² ≤ shrink (sin²(θ(0)/2) − ε₁²) for all students up to ALIGNED_BY.

    angle (seed, time, neuron), shrink (time,). Times at which the envelope has not moved
    by 0.1 % decide nothing: there the flow's own tolerance would show.
    """
    moved = (time <= ALIGNED_BY) & (shrink < 1 - 1e-3)
    square = np.sin(angle / 2) ** 2
    need = (square - shrink[:, None] * square[:, :1]) / np.where(moved, 1 - shrink, 1.0)[:, None]
    return math.sqrt(max(float(need[:, moved].max()), 0.0))


def others_from_right(angles: Any) -> Any:
    """|θ − π/2| of the angles to all teachers but the closest: angles (…, teacher) -> (…, teacher − 1)."""
    return np.abs(np.sort(angles, axis=-1)[..., 1:] - np.pi / 2)


def largest_zeta(teachers: int) -> float:
    """The ζ that A1 allows at most: 10kζ ≤ ε₁², and ε₁ ≤ 1 for sin²(θ/2) − ε₁² to be anything but negative."""
    return 1 / (10 * teachers)


def loss_of_none(teachers: int) -> float:
    """½ E f*² = ½ (k/2 + k(k − 1)/2π) of k orthogonal teachers: the loss before students have grown."""
    return 0.5 * (teachers / 2 + teachers * (teachers - 1) / (2 * math.pi))


def telling_epsilon(teachers: int) -> float:
    """The ε₂ for which Corollary 2 bounds L by a tenth of the loss before growth, ½k²ε₂^0.05 = loss_of_none/10.

    At ε₂ above 1e-10 or so (k = 2) the bound is not below that loss, and no run could fail it.
    """
    return (0.2 * loss_of_none(teachers) / teachers**2) ** 20


def grown_by(near: Any, teachers: int, neurons: int, epsilon: float) -> Any:
    """ηT₂ from ηT₁ = `near`: where (1 − ηm/9k)^(t − T₁) has fallen to 6√ε₂, the end of phase 2 in Xu and Du 2023."""
    return near + 9 * teachers / neurons * math.log(1 / (6 * math.sqrt(epsilon)))


def fair_chance(students: int, teachers: int) -> float:
    """P(m/3k ≤ m_l ≤ 3m/k for all l) for students that choose among k teachers evenly and independently (A3)."""
    low, high = -(-students // (3 * teachers)), 3 * students // teachers
    term = np.zeros(students + 1)
    for size in range(low, min(high, students) + 1):
        term[size] = math.exp(-math.lgamma(size + 1) - size * math.log(teachers))
    ways = np.eye(1, students + 1)[0]
    for _ in range(teachers):
        ways = np.convolve(ways, term)[: students + 1]
    return float(ways[students] * math.exp(math.lgamma(students + 1)))


# ---- what follows: the T⁻³ law ----


def groups_of(run: xr.Dataset) -> list[Any]:
    """The projections at the end, teacher by teacher."""
    last = run.isel(time=-1)
    closest, heights = last["closest_teacher"].values, last["projection"].values
    return [heights[closest == teacher] for teacher in range(int(run["teachers"]))]


def constant(run: xr.Dataset) -> float:
    """Σ_l C_l of a run, with h at its end."""
    return sum(group_constant(group) for group in groups_of(run))


def offset(run: xr.Dataset) -> float:
    """t₀ of L = C/(T + t₀)³, fitted from T = 1e3 to 1e5: later the tolerance of the flow shows in it."""
    return float(fit_rate(run, start=1e3, stop=1e5)["offset"])


# ---- what follows: growth ----


SLOW = 0.25 - 0.5 / math.pi
"""¼ − 1/2π: the slowest rate a student of residuals near alignment for k ≥ 2 (r_l − r_l' along v̂_l + v̂_l')."""

RATES: Mapping[str, float] = {
    "one_teacher": 5 / 2,
    "two_each": 2 * SLOW,
    "three_each": 3 * SLOW,
    "four_teachers": 2 * SLOW,
    "equal_sums": 2 * (0.25 + 0.5 / math.pi),
}
"""Decay of H by case: n/2, m_l(¼ − 1/2π), and for equal sums of two teachers m_l(¼ + 1/2π)."""


EXPONENTIAL: Mapping[str, float] = {"parallel": 2.0, "equal": 2.0, "as_many": 2 * SLOW}
"""Decay of the loss where n = 2 students are one, and where each of three teachers has one."""


# ---- how a run is read ----


def group_sizes(closest: Any, teachers: int) -> Any:
    """m_l from the index of the closest teacher (…, neuron): (…, teacher)."""
    return (closest[..., None] == np.arange(teachers)).sum(-2)


def largest_rise(angles: Any) -> float:
    """How far an angle (…, time, neuron) rises above what it was at any earlier time, at most."""
    return float((angles - np.minimum.accumulate(angles, axis=-2)).max())


def shares(run: xr.Dataset, moment: int = -1) -> Any:
    """|w_i| m_τ at the end or another saved time, 1 where a group shares its teacher equally, (seed, neuron)."""
    last = run.isel(time=moment)
    closest = last["closest_teacher"].transpose("seed", "neuron").values.astype(int)
    sizes = group_sizes(closest, run.sizes["teacher"])
    return last["hidden_norm"].transpose("seed", "neuron").values * np.take_along_axis(sizes, closest, -1)


def norm_excess(run: xr.Dataset) -> Any:
    """Σ|w_i|² at the end over Σ_l 1/m_l, the least that fits with these groups, (seed,)."""
    last = run.isel(time=-1)
    sizes = group_sizes(last["closest_teacher"].transpose("seed", "neuron").values, run.sizes["teacher"])
    least = np.where(sizes > 0, 1 / np.maximum(sizes, 1), 0.0).sum(-1)
    return (last["hidden_norm"] ** 2).sum("neuron").values / least


def phase_times(run: xr.Dataset) -> tuple[Any, Any]:
    """t₁ and t₂ of each seed, (seed,): see NEAR and GROWN."""
    time = run["time"].values
    angle = run["teacher_angles"].min("teacher").mean("neuron").transpose("seed", "time").values
    left = abs(run["growth"]).fillna(0).max("teacher").transpose("seed", "time").values
    near, grown = (
        np.array([first_below(time, one, level, "log") for one in values])
        for values, level in ((angle, NEAR), (left, GROWN))
    )
    return near, grown


def left_over(label: str, run: xr.Dataset) -> Any:
    """Of a run of `growth`: H_1 − H_2 where sums differ, else H_1, (time,)."""
    left = run["growth"].fillna(0).transpose("time", "teacher").values
    return left[:, 0] if label in ("one_teacher", "equal_sums") else left[:, 0] - left[:, 1]
