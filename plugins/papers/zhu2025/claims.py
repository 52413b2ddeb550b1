"""The statements of Zhu, Liu and Cevher 2025, as others quote them, and what follows, compared with measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from twolayer import (
    Result,
    Run,
    above,
    at_least,
    at_most,
    close,
    equivalent,
    inconclusive,
    local_slope,
    within_trust,
)
from twolayer.analysis.intervals import chance_interval, difference_interval, mean_interval, median_interval
from twolayer.core.wording import counted
from twolayer.population.asymptotics import gradient_limit, pair_constant

from . import measured, theory
from .theory import paper

Results = Mapping[str, Result]

QUOTED = "as public reviews quote it"
PANELS = ("phases", "phases_sgd")
"""The panels' experiments: by descent on the population, and by fresh batches."""


# ---- the panels ----


@paper.claim(
    "The loss falls as 1/T³ at the end of training",
    f"{QUOTED}: its panels with a 1/T³ line; range of slopes and horizons ours. For k = 4 ηT = 500 is before the law: "
    "descent on the population is as steep there",
    "second-hand",
    on=PANELS,
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def late_slope(run: Run) -> Result:
    times = f"ηT from {theory.LATE:g} to {run.time[-1]:.0f}"
    detail = f"slope of log L against log ηT, {times}. Required: between −3.2 and −2.7"
    return close(measured.slopes(run, theory.LATE), -2.95, absolute=0.25, detail=detail)


@paper.claim(
    "The loss of every panel falls significantly slower than T⁻³ once all students have grown",
    f"{QUOTED}, what reviewers say of the printed panels; from our t₂, or ηT = {theory.LATE:g}, to our horizon, and "
    "significantly read as the 95 % interval of the mean slope",
    "second-hand",
    on=PANELS,
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def printed_slope(run: Run) -> Results:
    _, grown = measured.phase_times(run)

    def slower(start: Any) -> Result:
        mean, low, high = mean_interval(measured.slopes(run, start))
        return above(mean, -3.0, (low, high), f"mean slope over seeds, to ηT = {run.time[-1]:.0f}")

    return {"from t₂": slower(grown), f"from {theory.LATE:g}": slower(theory.LATE)}


@paper.claim(
    "The angle of each student to its teacher falls monotonically",
    f"{QUOTED}, what reviewers say of the printed panels; 2°, a millimetre of a panel, is ours",
    "second-hand",
    on=PANELS,
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def printed_angles(run: Run) -> Result:
    detail = "degrees that an angle to the teacher closest at the end has risen above an earlier one"
    return at_most(np.degrees(measured.rise(measured.final_teacher_angle(run))), 2.0, detail)


@paper.claim(
    "Every run from a tiny start converges as fast as two even students of each teacher: L (ηT)³ ≤ k π²/6",
    "C = π²/6 is the largest of two students; that more students and random starts have no larger one is conjectured",
    "derived",
    on=PANELS,
    by="run",
    figures=["phases"],
)
def converges(run: Run) -> Result:
    end = run.isel(time=-1)
    limit = run.config.problem.teachers * pair_constant([0.5, 0.5])
    return at_most(end.loss * end.time**3, limit, f"the largest loss is {end.loss.max():.2g}")


def longer(slow: Run, fast: Run, word: str) -> Results:
    """Whether each of t₁ and t₂ is longer in one run than in another that differs in a swept word."""
    results = {}
    for name, first, second in zip(
        ("t₁", "t₂"), measured.phase_times(slow), measured.phase_times(fast), strict=True
    ):
        estimate, low, high = difference_interval(np.log(first), np.log(second))
        detail = (
            "log of the ratio of means over seeds with its 95 % interval; geometric means "
            f"{np.exp(np.log(first).mean()):.3g} and {np.exp(np.log(second).mean()):.3g}"
        )
        ends = f"{paper.spelled(word, slow.swept[word])} against {fast.swept[word]:g}"
        case = ", ".join(filter(None, (name, paper.named(slow, word), ends)))
        results[case] = above(estimate, 0.0, (low, high), detail)
    return results


DEFINITIONS = "t₁: mean angle to the closest teacher below 30°, t₂: all |H_l| below |v|/100, both ours"


@paper.claim(
    "A larger m shortens t₁ and t₂",
    f"{QUOTED}; {DEFINITIONS}",
    "second-hand",
    on=PANELS,
    figures=["phase_times"],
    unverified_reading=True,
)
def larger_m(runs: Run) -> Results:
    pairs = (longer(few, many, "neurons") for few, many in measured.neighbours(runs, "neurons"))
    return {name: result for pair in pairs for name, result in pair.items()}


@paper.claim(
    "A larger k lengthens t₁ and t₂",
    f"{QUOTED}; {DEFINITIONS}",
    "second-hand",
    on=PANELS,
    figures=["phase_times"],
    unverified_reading=True,
)
def larger_k(runs: Run) -> Results:
    pairs = (longer(many, few, "teachers") for few, many in measured.neighbours(runs, "teachers"))
    return {name: result for pair in pairs for name, result in pair.items()}


def within_factor(shares: Any, factor: float, detail: str = "") -> Result:
    """All seeds have all |w_i| m_τ in [1/factor, factor]."""
    inside = ((shares >= 1 / factor) & (shares <= factor)).all("neuron")
    extent = f"|w| m_τ/|v| from {shares.min():.3f} to {shares.max():.3f}"
    return at_least(inside.mean(), 1.0, f"fraction of seeds with all students inside; {extent}{detail}")


@paper.claim(
    "In phase 3 |v|/4m_τ ≤ |w_i| ≤ 4|v|/m_τ for every student",
    f"{QUOTED}, statement on phase 3",
    "second-hand",
    on=PANELS,
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def factor_four(run: Run) -> Result:
    return within_factor(measured.shares(run.isel(time=-1)), theory.FACTOR)


@paper.claim(
    "Corollary 2: at T₂ |v|/3m_τ ≤ |w_i| ≤ 3|v|/m_τ for every student, and L ≤ ½k²ε₂^0.05|v|²",
    f"{QUOTED}, Corollary 2; ours: ε₂ for which the bound on L is a tenth of the loss before growth (at ε₂ > 1e-10 it "
    "is above that loss), T₁ = t₁, and T₂ where (1 − ηm/9k)^(t − T₁) is 6√ε₂",
    "second-hand",
    on=PANELS,
    by="run",
    figures=["phases"],
    unverified_reading=True,
)
def corollary_two(run: Run) -> Result | Results:
    teachers, (near, _) = run.config.problem.teachers, measured.phase_times(run)
    epsilon = theory.testable_epsilon(teachers)
    ends = theory.grown_by(near, teachers, run.config.network.neurons, epsilon)
    if not (ends <= run.time[-1]).all():  # NaN where a seed is never near
        return inconclusive(f"T₂ is past the horizon {run.time[-1]:.0f} for some seed")
    state = run.isel(time=ends.copy(data=np.searchsorted(run.time, ends * (1 - 1e-9))))
    when = f"; ε₂ = {epsilon:.1e}, ηT₂ from {ends.min():.3g} to {ends.max():.3g}"
    before = f"the loss before growth is {theory.loss_of_none(teachers):.3g}"
    return {
        "norms": within_factor(measured.shares(state), 3, when),
        "loss": at_most(state.loss, 0.5 * teachers**2 * epsilon**0.05, before + when),
    }


@paper.claim(
    "From tiny starts every student ends along one teacher: its angle to that teacher tends to 0",
    "groups separate once their common direction is learnt",
    "derived",
    on=PANELS,
    by="run",
    figures=["phases"],
)
def own_angle_ends(run: Run) -> Result:
    end = run.isel(time=-1)
    return at_most(measured.closest_angle(end), 0.02, f"radians at ηT = {end.time:.0f}")


ALIKE = 0.1
"""How far two mean slopes may lie apart and still be one rate: what `offsets` calls near −3."""


@paper.claim(
    "Fresh batches learn at the rate of descent on the population: mean slopes of log L within 0.1",
    f"equivalence by the 95 % interval of the difference; log L against log ηT from {theory.LATE:g} to the first end",
    "derived",
    on="phases",
    by="run",
    compared_with="phases_sgd",
    figures=["phases"],
    late="the margin of 0.1 was set after slopes of both had been seen",
)
def batches(run: Run, sampled: Run) -> Result:
    sampled = sampled.one(**run.swept)
    stop = min(float(run.time[-1]), float(sampled.time[-1]))
    exact, noisy = (measured.slopes(each, theory.LATE, stop) for each in (run, sampled))
    apart, low, high = difference_interval(noisy, exact)
    detail = (
        f"mean slope to ηT = {stop:.0f} by batches ({counted(sampled.seeds, 'seed')}, {noisy.mean():.3f}) less that "
        f"on the population ({counted(run.seeds, 'seed')}, {exact.mean():.3f})"
    )
    return equivalent(apart, 0.0, (low, high), ALIKE, detail)


# ---- the assumptions ----


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


# ---- alignment ----


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


# ---- growth ----


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


# ---- the rate ----


@paper.claim(
    "L (ηT)³ → Σ_l C_l with C = 0, (8π²/3)(h₁h₂)², 4π²/3n³β² for one, two, n equal students of a teacher",
    "leading order near alignment, groups decoupled; h at the end of the run",
    "derived",
    on="rate",
    by="run",
    figures=["rate"],
)
def constants(run: Run) -> Result | Results:
    constant, end = measured.constant(run), run.isel(time=-1)
    if constant.isnull().all():
        return {}
    run.at_time(theory.FAR)  # a DataError where it ends earlier
    return close(end.loss * end.time**3, constant, relative=1e-3, detail=f"ηT = {end.time:.0e}")


@paper.claim(
    "The late loss falls as T⁻³ for every size and split of groups of two or more",
    f"{QUOTED}, statement on phase 3 (an upper bound there)",
    "second-hand",
    on="rate",
    by="run",
    figures=["rate"],
)
def slopes(run: Run) -> Result:
    run.at_time(theory.FAR)
    slope = local_slope(run.dataset)  # NaN where the loss is not trusted
    last = run.time.where(slope.notnull()).max("time")
    late = slope.where(run.time > 0.0999 * last)
    detail = f"the local slope in the last decade within trust, to ηT = {last.max():.0e}"
    return close(late, -3.0, absolute=0.02, detail=detail)


@paper.claim(
    "The local slope is −3ηT/(ηT + t₀), within 0.1 of −3 from ηT = 29 t₀ on",
    "L = C/(ηT + t₀)³; tested for one teacher whose C is known",
    "derived",
    on="rate",
    by="run",
    figures=["rate"],
)
def offsets(run: Run) -> Result | Results:
    if run.config.problem.teachers > 1 or measured.constant(run).isnull().all():
        return {}
    offset, later = measured.offset(run), run.time[1:]
    index = 1 + abs(np.log(later / (29 * offset))).fillna(math.inf).argmin("time")
    middle = np.sqrt(run.time[index] * run.time[index - 1])
    predicted = -3 * middle / (middle + offset)
    detail = (
        f"t₀ = {offset.mean():.3f}, fitted from ηT = 1e3 to 1e5; the slope around ηT = {middle.mean():.0f}"
    )
    return close(local_slope(run.dataset).isel(time=index), predicted, absolute=0.005, detail=detail)


# ---- the lower bound ----


@paper.claim(
    "|∇L|/L^{2/3} → √3 C^(−1/6)",
    "L = C/T³ and dL/dT = −|∇L|²",
    "derived",
    on="rate",
    by="run",
    figures=["lower_bound"],
)
def gradient_bound(run: Run) -> Result | Results:
    constant, late = measured.constant(run), run.at_time(theory.FAR)
    if constant.isnull().all():
        return {}
    ratio = late.gradient_norm / late.loss ** (2 / 3)
    return close(ratio, gradient_limit(constant), relative=1e-3, detail=f"at ηT = {late.time:.0e}")


@paper.claim(
    "The spread Z = Σ_{i<j}|z_i − z_j| of a group falls as 1/T: Z T → 4πh₁h₂ for two students",
    "leading order near alignment, h at the end of the run; for a simplex π(n − 1)√(2n/(n − 1))/nβ",
    "derived",
    on="rate",
    by="run",
    figures=["lower_bound"],
)
def spreads(run: Run) -> Result | Results:
    limits, end = measured.spread_limits(run), run.isel(time=-1)
    if limits.isnull().all():
        return {}
    run.at_time(theory.FAR)
    return close(end.spread * end.time, limits, relative=1e-3, detail=f"ηT = {end.time:.0e}")


@paper.claim(
    "Toys 2 and 3 and m = k learn at an exponential rate: L falls by e^{−nt}, e^{−nt} and e^{−2(¼ − 1/2π)t}",
    "and Xu, Du 2023 for the toys; the rates are derived from the Hessian at the minimum",
    "derived",
    on="exponential",
    by="run",
    figures=["lower_bound"],
)
def exponential(run: Run) -> Result:
    teachers = run.config.problem.teachers
    rate = 2 * theory.slowest_rate(teachers, run.config.network.neurons / teachers)
    found = measured.decay(within_trust(run.dataset), 1e-19, 1e-9)
    return close(found, rate, relative=0.01, detail="from L = 1e-9 to 1e-19, as far as the loss is trusted")


# ---- balance ----


@paper.claim(
    "Training ends with |v|/4m_τ ≤ |w_i| ≤ 4|v|/m_τ for every student",
    f"{QUOTED}, statement on phase 3",
    "second-hand",
    on="balance",
    by="run",
    figures=["balance"],
    unverified_reading=True,
)
def balanced_norms(run: Run) -> Result:
    return within_factor(measured.shares(run.isel(time=-1)), theory.FACTOR)


@paper.claim(
    "From small starts training ends near the least Σ|w_i|² that fits, Σ_l |v_l|²/m_l: the balanced one",
    "abstract; the form Σ_l |v_l|²/m_l is derived; ours: small is σ ≤ 1e-2, near is 10 % for the median of seeds and "
    "its 95 % interval",
    "published",
    on=("balance", *PANELS),
    by="run",
    figures=["balance"],
    unverified_reading=True,
    late="10 % and σ ≤ 1e-2 were chosen after the numbers were seen",
)
def least_norm(run: Run) -> Result | Results:
    if run.config.initialization.scale > 1e-2:
        return {}
    excess = measured.norm_excess(run.isel(time=-1))
    median, low, high = median_interval(excess)
    detail = f"Σ|w|² over its least, {run.range_over_seeds(excess, '.4f')}"
    return equivalent(median, 1.0, (low, high), 0.1, detail)


EVEN = 2.0
"""h_i ≤ 2h_j, which Xu and Du 2023 prove of one teacher's students from tiny starts."""


@paper.claim(
    "For one teacher balance needs a small start: the median of h max/min is above 2 at σ ≥ 0.1, below 2 at σ ≤ 1e-3",
    "the factor 2 is Xu, Du 2023's; by the 95 % interval of the median over seeds",
    "derived",
    on="balance",
    by="run",
    figures=["balance"],
    late="the factor 2 was taken up after the ratios were seen",
)
def small_starts(run: Run) -> Result | Results:
    scale, h = run.config.initialization.scale, run.projection.isel(time=-1)
    if run.config.problem.teachers > 1 or 1e-3 < scale < 0.1:
        return {}
    ratio = (h.max("neuron") / h.min("neuron")).where(h.min("neuron") > 0, math.inf)
    median, low, high = median_interval(ratio)
    detail = f"h max/min, {run.range_over_seeds(ratio, '.3g')}"
    if scale >= 0.1:
        return above(median, EVEN, (low, high), detail)
    return equivalent(median, 1.0, (low, high), EVEN - 1.0, detail)


@paper.claim(
    "As σ → 0 groups of one teacher become even, those of two stay uneven: B at σ = 1e-6 over that at σ = 1e-2",
    "the students of a group leave the common direction of two teachers at different times; mean of log B over seeds",
    "derived",
    on="balance",
    figures=["balance"],
    late="seen in these runs: below 1/100 for k = 1, within a factor of 3 of 1 for k = 2",
)
def uneven_groups(runs: Run) -> Results:
    return {paper.named(group): evenness(group) for group in runs.varying("scale")}


def evenness(runs: Run) -> Result:
    """How B changes from σ = 1e-2 to 1e-6, the mean over teachers that have students."""
    tiny, small = (
        np.log(runs.one(**{**runs.swept, "scale": scale}).group_imbalance.isel(time=-1).mean("teacher"))
        for scale in (1e-6, 1e-2)
    )
    mean, low, high = mean_interval(tiny - small)  # a seed has the same start at both scales
    detail = "mean over seeds of the log of the ratio of mean B over groups"
    if runs.config.problem.teachers == 1:
        return above(-mean, math.log(100), (-high, -low), f"{detail}, negated")
    return equivalent(mean, 0.0, (low, high), math.log(3), detail)
