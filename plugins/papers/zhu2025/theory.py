"""What the paper states, as others quote it, what follows from it, and how a run is read. Teachers have norm 1.

h_i: projection of student i on its own teacher; m_l: students of teacher l; H_l = 1 − Σ h_i over them; z_i: the part
of w_i orthogonal to the teacher. For students near teacher v̂ with Σ z = 0 the loss is (1/4π) Σ_pq C_p C_q θ_pq³/3 to
leading order, over students (C = h) and the teacher (C = −1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Paper, Run, fit_rate
from twolayer.analysis.rates import along_time, decay_rate, first_below, power_slope
from twolayer.population.asymptotics import group_constant, group_spread

if TYPE_CHECKING:
    import xarray as xr

paper = Paper("zhu2025", "Zhu, Liu, Cevher, ICLR 2025", {"teachers": "k", "neurons": "m", "scale": "σ"})


# ---- definitions of ours, where the paper's are not known ----

NEAR = math.pi / 6
"""t₁: the mean angle of students to their closest teacher falls below 30°."""

GROWN = 0.01
"""t₂: the largest |H_l| falls below 1 % of |v|."""

ALIGNED_BY = 0.1
"""ηT₁ of statement 1, which is Θ(1). Sums of six students are then below 0.4 |v|."""

SMALL = 0.1
"""What we let pass as a small ε₁. Statement 1 ends at angles of about 4 ε₁: 0.4 is 23°."""

TINY = 1e-7
"""|w_i(0)| below which a student's own norm is nothing until ηT₁."""

LATE = 200.0
"""ηT from which the late slope is read."""


# ---- the statements as quoted ----


def envelope(time: Any, teachers: int, size: float) -> Any:
    """(1 + ηk|v|t/s₂)^(−1/8k) of statement 1, with s₂ = 2 size: 2σ√d as in Xu and Du 2023."""
    return (1 + teachers * time / (2 * size)) ** (-1 / (8 * teachers))


def smallest_epsilon(angle: xr.DataArray, shrink: xr.DataArray) -> xr.DataArray:
    """The smallest ε₁ with sin²(θ/2) − ε₁² ≤ shrink (sin²(θ(0)/2) − ε₁²), at each time up to ALIGNED_BY.

    angle (…, time), shrink (time,). NaN at times at which the envelope has not moved by 0.1 %, which decide nothing:
    there the flow's own tolerance would show.
    """
    moved = (angle["time"] <= ALIGNED_BY) & (shrink < 1 - 1e-3)
    square: Any = np.sin(angle / 2) ** 2
    need = (square - shrink * square.isel(time=0)) / (1 - shrink)
    return np.sqrt(need.where(moved).clip(min=0))


def others_from_right(angles: xr.DataArray) -> xr.DataArray:
    """|θ − π/2| of the angles (…, teacher) to all teachers, NaN for the closest."""
    import xarray as xr

    ranks = xr.DataArray(np.arange(angles.sizes["teacher"]), dims="teacher")
    return abs(angles.where(angles.argmin("teacher") != ranks) - np.pi / 2)


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


# ---- how a run is read ----


def start_size(run: Run) -> float:
    """|w_i(0)|: σ√d of Gaussian starts, else as measured."""
    start = run.config.initialization
    if start.name == "gaussian":
        return float(start.scale * math.sqrt(run.config.problem.dimension))
    return float(run.hidden_norm.isel(time=0).max())


def closest_angle(run: Run) -> xr.DataArray:
    """The angle of each student to its closest teacher, (seed, time, neuron)."""
    return run.teacher_angles.min("teacher")


def own_angle(run: Run) -> xr.DataArray:
    """The angle of each student to the teacher that it is closest to at the end, (seed, time, neuron)."""
    return run.teacher_angles.isel(teacher=run.closest_teacher.isel(time=-1, drop=True).astype(int))


def rise(values: xr.DataArray) -> xr.DataArray:
    """How far values (…, time) rise above what they were at any earlier time."""
    axis = values.get_axis_num("time")
    return values - values.copy(data=np.minimum.accumulate(values.values, axis=axis))


def fellows(closest: xr.DataArray) -> xr.DataArray:
    """m_τ of each student: how many are closest to the same teacher, itself among them (…, neuron)."""
    return (closest == closest.rename(neuron="other")).sum("other")


def group_sizes(closest: xr.DataArray, teachers: int) -> xr.DataArray:
    """m_l of each teacher, (…, teacher)."""
    import xarray as xr

    return (closest == xr.DataArray(np.arange(teachers), dims="teacher")).sum("neuron")


def shares(moment: Run) -> xr.DataArray:
    """|w_i| m_τ at one time, 1 where a group shares its teacher equally, (seed, neuron)."""
    return moment.hidden_norm * fellows(moment.closest_teacher)


def norm_excess(moment: Run) -> xr.DataArray:
    """Σ|w_i|² at one time over Σ_l 1/m_l = Σ_i 1/m_τ², the least that fits with these groups, (seed,)."""
    return (moment.hidden_norm**2).sum("neuron") / (fellows(moment.closest_teacher) ** -2.0).sum("neuron")


def phase_times(run: Run) -> tuple[xr.DataArray, xr.DataArray]:
    """t₁ and t₂ of each seed, (seed,): see NEAR and GROWN."""
    angle, left = closest_angle(run).mean("neuron"), abs(run.teacher_deficit).max("teacher")
    return (
        along_time(first_below, angle, NEAR, spacing="log"),
        along_time(first_below, left, GROWN, spacing="log"),
    )


def slopes(run: Run, start: Any, stop: Any = math.inf) -> xr.DataArray:
    """The slope of log L against log ηT from start to stop (numbers or one per seed), by least squares, (seed,)."""
    return along_time(power_slope, run.loss, start, stop)


def decay(values: xr.DataArray, low: float, high: float) -> xr.DataArray:
    """r of |values| ~ e^(−rt) while |values| is between two sizes, without `time`."""
    return along_time(lambda time, size: decay_rate(time, size, low, high)[0], values)


def left_over(run: Run) -> xr.DataArray:
    """What decays slowest from the run's start: H_1 where all sums are equal, else the largest H_l − H_l'."""
    if have_equal_sums(run.config.initialization.projections):
        return run.teacher_deficit.isel(teacher=0)
    return run.teacher_deficit.max("teacher") - run.teacher_deficit.min("teacher")


def constant(run: Run) -> xr.DataArray:
    """Σ_l C_l with h at the end, (seed,); NaN where a group has no formula."""
    import xarray as xr

    return xr.apply_ufunc(
        lambda heights, closest: sum(
            group_constant(heights[closest == teacher]) for teacher in np.unique(closest)
        ),
        *(values.isel(time=-1) for values in (run.projection, run.closest_teacher)),
        input_core_dims=[["neuron"], ["neuron"]],
        vectorize=True,
        output_dtypes=[float],
    )


def spread_limits(run: Run) -> xr.DataArray:
    """lim Z T of each group with h at the end, (seed, teacher); NaN where a group has no formula or no spread."""
    import xarray as xr

    count = run.spread.sizes["teacher"]
    limits = xr.apply_ufunc(
        lambda heights, closest: np.array(
            [group_spread(heights[closest == teacher]) for teacher in range(count)]
        ),
        *(values.isel(time=-1) for values in (run.projection, run.closest_teacher)),
        input_core_dims=[["neuron"], ["neuron"]],
        output_core_dims=[["teacher"]],
        vectorize=True,
        output_dtypes=[float],
    )
    return limits.where(limits > 0)


def offset(run: Run) -> xr.DataArray:
    """t₀ of L = C/(T + t₀)³, fitted from T = 1e3 to 1e5, (seed,): later the tolerance of the flow shows in it."""
    return fit_rate(run.dataset, start=1e3, stop=1e5)["offset"]
