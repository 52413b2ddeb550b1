"""The panels of Zhu, Liu and Cevher 2025: late slopes, ends of phases, norms, and fresh batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Result, Run, above, at_most, close, equivalent, inconclusive
from twolayer.analysis.intervals import difference_interval, mean_interval
from twolayer.core.wording import counted
from twolayer.population.asymptotics import pair_constant

from .. import measured, theory
from ..comparisons import PANELS, QUOTED, Results, within_factor
from ..theory import paper


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
