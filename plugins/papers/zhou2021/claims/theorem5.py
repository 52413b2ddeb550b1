"""Theorem 5 of Zhou, Ge and Jin 2021: how the loss falls, from where, and up to which step size."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from twolayer import Result, Run, at_most, close, inconclusive
from twolayer.analysis.rates import along_time, decay_rate
from twolayer.analysis.starts import same_start

from .. import measured, theory
from ..comparisons import Found, at_the_end, below_envelope
from ..theory import paper


@paper.claim(
    "L ≤ ε after O(r w_max/(εη)) steps: ηt L/(r w_max) ≤ 1 at all times",
    "Theorem 5; the constant 1 is ours",
    "published",
    on=("rates", "width"),
    by="initialization",
    figures=["rates", "width"],
)
def envelope(run: Run) -> Result:
    return below_envelope(run)


SLOPES = {"all near": -3.0, "one at right angles": -2.0}
"""The last slope of log L against log ηt, by the start."""


@paper.claim(
    "With m > r the last decade to ηT ≥ 1e4 has a slope of log L against log ηt of −3 where all students are near "
    "teachers, of −2 with one at right angles to all, and in [−3.2, −1.5] with background neurons anywhere",
    "L ~ T⁻³ near teachers, T⁻² while far background neurons last",
    "derived",
    on=("rates", "width"),
    by="initialization",
    figures=["rates", "width"],
)
def late_slopes(run: Run) -> Found:
    start = measured.starts(run)
    if not measured.overparameterized(run) or run.time[-1] < 9e3:
        return {}
    if start == "background":
        return close(measured.last_decade(run), -2.35, absolute=0.85, detail="that is in [−3.2, −1.5]")
    return close(measured.last_decade(run), SLOPES[start], absolute=0.1) if start in SLOPES else {}


@paper.claim(
    "With m = r the loss falls exponentially, as e^{−2λt} with the least eigenvalue λ of the Hessian A M A",
    "A_ii = |w_i|(I + ŵŵᵀ); L from 1e-9 to 1e-19",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": "one"},
    figures=["rates"],
)
def exponential(run: Run) -> Mapping[str, Result]:
    rate, misfit = (
        along_time(lambda t, loss, i=i: decay_rate(t, loss, 1e-19, 1e-9)[i], measured.loss_of(run))
        for i in (0, 1)
    )
    exact = theory.exponential_rate(measured.teacher_weights(run))
    return {
        "rate": close(rate, exact, relative=0.01),
        "log-linear": at_most(misfit, 0.05, "largest |log L − its line|"),
    }


@paper.claim(
    "With two students per teacher L t³ → Σ_i π²/(48 p q), p and q their masses",
    "leading order near alignment, masses at the end of the run",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": "two"},
    figures=["rates"],
)
def third_power(run: Run) -> Result:
    product = measured.loss_of(run) * run.time**3
    return at_the_end(measured.limit(run, product, 1e-3), measured.pair_constant(run), 1e-3)


@paper.claim(
    "The mass of a student at right angles to all teachers decays so that L t² → 1/(32κ): far background neurons give "
    "T⁻²",
    "κ = 1 − kᵀK⁻¹k, k = 2/π, K the teachers' Gram matrix under |·|",
    "derived",
    on="width",
    by="initialization",
    select={"initialization": "orthogonal"},
    figures=["rates"],
)
def second_power(run: Run) -> Result:
    product = measured.loss_of(run) * run.time**2
    exact = theory.orthogonal_decay(measured.teacher_weights(run))
    return at_the_end(measured.limit(run, product, 0.01), exact, 0.01)


@paper.claim(
    "Gradient descent and the flow agree: L by descent over L by the flow tends to 1",
    "from the same starts, two students per teacher",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": "two"},
    compared_with="width",
    figures=["rates"],
)
def descent_and_flow(flow: Run, width: Run) -> Mapping[str, Result]:
    descent = same_start(flow, width)
    ratio = measured.loss_of(descent) / measured.at_times(flow, descent.time)
    early = int(np.argmin(np.abs(np.log(descent.time.values[1:] / 100.0)))) + 1
    return {
        f"ηt = {float(descent.time[index]):.0f}": close(ratio.isel(time=index), 1.0, absolute=0.1)
        for index in (early, descent.time.size - 1)
    }


@paper.claim(
    "The time to a loss does not depend on m: it spreads by a factor of 2 at most over all m, for ε ≥ 1e-5",
    "Theorem 5, whose bound does not contain m; the factor 2 and the starts are ours",
    "published",
    on="width",
    figures=["width"],
)
def independence(run: Run) -> Mapping[str, Result]:
    results = {}
    for start, runs in measured.by_start(run).items():
        if unlike := measured.unlike_starts(runs):
            results[start] = inconclusive(f"runs of different m do not start alike: {unlike}")
            continue
        for level in measured.LEVELS:
            name = f"{start}, ε = {level:.0e}"
            below = [m for m, part in runs.items() if (part.loss.isel(time=0) <= level).any()]
            if below:
                results[name] = inconclusive(f"at m = {below[0]} starts are below this loss")
                continue
            medians = {m: float(np.median(measured.time_to(part, level))) for m, part in runs.items()}
            times = np.array(list(medians.values()))
            detail = "medians: " + ", ".join(
                f"{time:.3g} at m = {m}" if time < math.inf else f"not reached at m = {m}"
                for m, time in medians.items()
            )
            results[name] = at_most(float(times.max() / times.min()), 2.0, detail)
    return results or {"": inconclusive("no start was run with two values of m")}


@paper.claim(
    "The basin of Theorem 5: every start with L ≤ ε₀ ends below r w_max/ηT, for ε₀ half the loss of the lowest "
    "stationary state known to us, students on both bisectors of two teachers",
    "Theorem 5; the constant 1 and that ε₀ are ours",
    "published",
    on="basin",
    by="initialization",
    select={"initialization": "around"},
    figures=["basin"],
)
def basin(run: Run) -> Result:
    ceiling = measured.ceiling(run)
    first, _, share = measured.ends(run)
    small = first <= ceiling
    if not small.any():
        return inconclusive(f"no start has L ≤ {ceiling:.3g}; the lowest is {first.min():.3g}")
    detail = (
        f"largest ηT L/(r w_max) of the {int(small.sum())} starts of {small.size} with L(0) ≤ {ceiling:.3g}"
    )
    return at_most(share[small], 1.0, detail)


LARGEST_STEP = (
    "The largest stable step is 1/(2 λ_max(D^{1/2} K D^{1/2})), 0.21995 for three orthonormal teachers: 2 over the "
    "top eigenvalue of the Hessian at the minimum"
)


@paper.claim(
    LARGEST_STEP,
    "A M A has the top eigenvalue 4 λ_max(K); at the end",
    "derived",
    on="rates",
    by="initialization",
)
def largest_step(run: Run) -> Result:
    exact = theory.largest_step(measured.teacher_weights(run))
    return close(2 / run.sharpness.isel(time=-1), exact, relative=0.01)


@paper.claim(
    LARGEST_STEP,
    "bisection between steps with which descent returns to a minimum from 1e-6 away and steps with which it leaves, "
    "400 steps each; one and two students per teacher, computed for this claim",
    "derived",
    on="rates",
)
def largest_step_of_descents(run: Run) -> Mapping[str, Result]:
    teachers = measured.teacher_weights(run)
    exact = theory.largest_step(teachers)
    return {
        f"m = {students}": close(theory.largest_stable_step(students, teachers), exact, relative=2e-3)
        for students in (len(teachers), 2 * len(teachers))
    }
