"""Assumptions and the first two phases of Zhu, Liu and Cevher 2025: groups, weak recovery, alignment and growth."""

from __future__ import annotations

import math

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, equivalent, inconclusive
from twolayer.analysis.intervals import chance_interval
from twolayer.core.wording import counted

from .. import measured, theory
from ..comparisons import QUOTED, Results
from ..theory import paper

FAIR = 0.05
"""How far a share of fair starts may lie from its chance."""


@paper.claim(
    "A3, m/3k ≤ m_l ≤ 3m/k for all l, has the chance that even and independent choices give it, to 0.05",
    "A3 as reviews quote it; its chance by the multinomial law, exactly; equivalence by the 95 % interval",
    "derived",
    on="groups",
    by="run",
    late="0.05 for 500 starts was set after 2,000 starts had been within 0.025; 500 cost less",
)
def fair_groups(run: Run) -> Result:
    teachers, neurons = run.config.problem.teachers, run.config.network.neurons
    sizes = measured.group_size_by_teacher(run.closest_teacher.isel(time=0), teachers)
    fair = (sizes >= neurons / (3 * teachers)) & (sizes <= 3 * neurons / teachers)
    share, low, high = chance_interval(int(fair.all("teacher").sum()), run.seeds)
    exact = theory.fair_chance(neurons, teachers)
    return equivalent(share, exact, (low, high), FAIR, f"share of {counted(run.seeds, 'start')}")


@paper.claim(
    "A1, weak recovery at initialization: the angle to the closest teacher is π/2 − Θ(1), all others are within ζ of "
    "π/2, 10kζ ≤ ε₁²",
    "A1 as reviews quote it; ε₁ ≤ 1 requires ζ ≤ 1/10k. Random starts (phases) and starts that satisfy it (recovered)",
    "second-hand",
    on=("phases", "recovered"),
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def weak_recovery(run: Run) -> Result:
    start = run.isel(time=0)
    away = np.pi / 2 - measured.closest_angle(start)
    detail = f"|θ − π/2| in radians; π/2 − θ to the closest teacher from {away.min():.3g} to {away.max():.3g}"
    limit = theory.largest_zeta(run.config.problem.teachers)
    return at_most(measured.others_from_right(start.teacher_angles), limit, detail)


@paper.claim(
    "Phase 1: sin²(θ_i/2) − ε₁² falls by (1 + ηk|v|t/s₂)^(−1/8k) at least, for a small ε₁",
    f"{QUOTED}, statement on phase 1; s₂ = 2σ√d (2|w(0)| where A1 holds at t = 0, with ζ = 0, in `recovered`), "
    f"ηT₁ = {theory.ALIGNED_BY:g} and ε₁ ≤ {theory.SMALL:g} are our reading",
    "second-hand",
    on=("alignment", "recovered"),
    by="run",
    figures=["alignment"],
    unverified_reading=True,
)
def envelope(run: Run) -> Result:
    shrink = theory.envelope(run.time, run.config.problem.teachers, measured.start_size(run))
    needed = theory.smallest_epsilon(measured.closest_angle(run), shrink)
    return at_most(needed, theory.SMALL, "the smallest ε₁ with which it holds")


@paper.claim(
    "From tiny starts a student is pulled by all teachers: its angle to the closest first tends to arccos(1/√k)",
    "the gradient of a student while all norms are still negligible; A1 at t = 0 does not last",
    "derived",
    on=("alignment", "recovered"),
    by="run",
    figures=["alignment"],
)
def plateau(run: Run) -> Result | Results:
    teachers = run.config.problem.teachers
    if teachers == 1 or measured.start_size(run) > theory.TINY:
        return {}
    angle = measured.closest_angle(run.at_time(theory.ALIGNED_BY))
    detail = f"degrees at ηt = {theory.ALIGNED_BY:g}"
    return close(np.degrees(angle), math.degrees(theory.plateau(teachers)), absolute=0.5, detail=detail)


@paper.claim(
    "H decays at n/2 for one teacher, at m_l(¼ − 1/2π) for several; at m_l(¼ + 1/2π) where two sums are equal",
    "residuals near alignment, dr_l/dt = −m_l Σ M_ll' r_l'",
    "derived",
    on="growth",
    by="run",
    figures=["growth"],
)
def growth_rate(run: Run) -> Result:
    rate = theory.growth_rate(run.config.initialization.projections)
    if math.isnan(rate):
        return inconclusive(
            "no rate is derived for groups of different sizes, or equal sums of three and more"
        )
    detail = "rate in ηt of H_1 where all sums are equal, else of the largest H_l − H_l', from 1e-5 to 1e-10"
    return close(measured.decay(measured.left_over(run), 1e-10, 1e-5), rate, relative=0.01, detail=detail)


@paper.claim(
    "Phase 2: H shrinks like (1 − ηm/9k)^t at least",
    f"{QUOTED}, statement on phase 2, of which this factor is known to us",
    "second-hand",
    on="growth",
    by="run",
    figures=["growth"],
    unverified_reading=True,
)
def growth_envelope(run: Run) -> Result:
    factor = theory.quoted_rate(run.config.network.neurons, run.config.problem.teachers)
    detail = "rate of decay in ηt against m/9k, m_l = m/k students for each teacher"
    return at_least(measured.decay(measured.left_over(run), 1e-10, 1e-5), factor, detail)
