"""What Xu and Du 2023 say, compared with what was measured. Each claim takes one run, in units of the teacher."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from twolayer import (
    Result,
    Run,
    at_least,
    at_most,
    close,
    fit_rate,
    fit_slope,
    inconclusive,
    local_slope,
    within_trust,
)
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.rates import along_time
from twolayer.errors import DataError
from twolayer.population.asymptotics import gradient_limit, group_spread, loss_by_spread, pair_constant

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr

Results = Mapping[str, Result]

LATE = "C = 3/4 in ηT₁ = C/n was chosen, of all C up to 0.81, after runs had been seen"
READING = "The theorem's σ = O(n^−4226 …) and η cannot be run; T₁ = 3/4nη"
of_phases = partial(
    paper.claim, on="phases", by="run", of=measured.several, figures=["phases"], unverified_reading=True
)
"""A claim on the runs of more than one student whose phases are followed."""

READ_OFF = "Figure 1 (read off the print; d and seed are not stated)"


# ---- Figure 1 ----


@paper.claim(
    "Figure 1 left: the loss at iteration 500, by n",
    READ_OFF,
    "published",
    on="figure1",
    by="run",
    of=lambda run: [measured.in_units(run)] if run.config.network.neurons in theory.ENDS_LEFT else [],
    figures=["figure1"],
    unverified_reading=True,
)
def ends_left(run: Run) -> Result:
    found = np.log10(measured.at_step(run, theory.LEFT).loss)
    end = np.log10(theory.ENDS_LEFT[run.config.network.neurons])
    detail = f"log10 of the loss, {run.range_over_seeds(found, '.2f')}"
    return close(float(found.median()), float(end), absolute=0.3, detail=detail)


@paper.claim(
    "Figure 1 right: log_{ηT} L at iteration 50000, by n",
    READ_OFF,
    "published",
    on="figure1",
    by="run",
    of=lambda run: [measured.in_units(run)] if run.config.network.neurons in theory.ENDS_RIGHT else [],
    figures=["figure1"],
    unverified_reading=True,
    late="0.1 is what earlier runs of other dimensions were within",
)
def ends_right(run: Run) -> Result:
    end = measured.at_step(run, theory.END)
    found = np.log(end.loss) / np.log(end.time)
    detail = run.range_over_seeds(found, ".3f")
    return close(
        float(found.median()), theory.ENDS_RIGHT[run.config.network.neurons], absolute=0.1, detail=detail
    )


NEAR_MINIMUM = 1e-4
"""Loss below which one student falls at the rate of the Hessian."""

LATE_TIME = 2e3
"""Time from which exponents of random starts are read: before it the offset T₀ shows in them."""


@paper.claim(
    "One student learns at a linear rate: near the minimum the loss falls by (1 − η/2)² per step",
    "n = 1; the rate is derived (the Hessian there is ½I)",
    "derived",
    on="figure1",
    by="run",
    of=measured.single,
    figures=["figure1"],
)
def one_student(run: Run) -> Result:
    first, last = 300, theory.LEFT
    if not (measured.at_step(run, first).loss < NEAR_MINIMUM).all():
        raise DataError(
            f"the rate is that near the minimum; at iteration {first} a loss of '{run.experiment}' is above "
            f"{NEAR_MINIMUM:g}"
        )
    early, late = (
        np.log(measured.at_step(run, step).loss.drop_vars(["time", "step"])) for step in (first, last)
    )
    rates, exact = (late - early) / (last - first), 2 * np.log(1 - run.config.dynamics.step_size / 2)
    detail = f"log of the loss per step, iterations {first} to {last}: {measured.described(rates)}"
    return close(rates, float(exact), relative=0.01, detail=detail)


# ---- phase 1 ----


@of_phases(
    "Theorem 4: s1 ≤ |w_i| ≤ s2 + 2η|v|t up to T₁; sharper, no length grows faster than ½η|v| per step",
    f"phase 1, s1 = ½σ√d and s2 = 2σ√d. {READING}. ½ is derived: the teacher lengthens a student by ½η|v| "
    "per step at most, and other students only shorten it",
    "published",
)
def phase1_lengths(run: Run) -> Results:
    length = run.hidden_norm.isel(time=slice(measured.alignment_end(run) + 1))
    low, high = theory.lengths(length.time, measured.start_size(run))
    later = length.isel(time=slice(1, None))
    faster = (later - length.isel(time=0, drop=True)) / (0.5 * later.time)
    # the second order of a step: |w + ηg| ≤ |w| + ηg·ŵ + η²|g|²/2|w|, a part η/4s1 of ½η
    room = 1.0 + 0.25 * run.config.dynamics.step_size / low
    detail = f"|w|/(s2 + 2η|v|t) is {(length / high).max():.3g} at most"
    return {
        "|w|/s1": at_least(length / low, 1.0),
        "(|w| − |w(0)|)/½η|v|t": at_most(faster, room, detail),
    }


@of_phases(
    "Phase 1: sin²(θ_i/2) − ε₁² falls at least as (1 + ηt|v|/s2)^(−1/24), and at T₁ h_i ≤ 2h_j",
    f"phase 1. {READING}",
    "published",
    late=LATE,
)
def phase1_alignment(run: Run) -> Results:
    end = measured.alignment_end(run)
    sine = np.sin(0.5 * run.teacher_angle.isel(time=slice(end + 1))) ** 2
    later = sine.isel(time=slice(1, None))
    bound = theory.shrinking(later.time, measured.start_size(run)) * sine.isel(time=0, drop=True)
    return {
        "envelope": at_most(later / bound, 1.0, "sin²(θ/2) over its bound with ε₁ = 0, the strictest"),
        "h_j/h_i at T₁": at_least(measured.least_to_largest(run.projection.isel(time=end)), 0.5),
    }


@of_phases(
    "Theorem 4 with C = ε₁²/n for its C = O(ε₁²/n): at ηT₁ = C θ_i ≤ 4ε₁",
    "Theorem 4, which asks for σ = O(C ε₁⁴⁸ d^(−1/2)|v|)",
    "published",
)
def theorem_4(run: Run) -> Results:
    def aligned(epsilon: float) -> Result:
        constant = epsilon**2 / run.config.network.neurons
        end = run.isel(time=measured.reached(run, constant))
        shares = end.teacher_angle.max("neuron") / (4 * epsilon)
        detail = f"θ over 4ε₁ at ηt = {end.time:.3g}: {measured.described(shares)}"
        return at_most(shares, 1.0, f"{detail}; {measured.outside_theorem_4(run, epsilon, constant)}")

    return {f"ε₁ = {epsilon:g}": aligned(epsilon) for epsilon in theory.ALIGNING}


# ---- phases 2 and 3 ----


@of_phases(
    "Theorem 5: for some T₂ = T₁ + (1/nη) ln(1/36ε₂) phase 2 keeps (1 − nη/2)^(t−T₁)|v| + 6ε₂|v| ≥ H ≥ "
    "⅔(1 − nη/2)^(t−T₁)|v| − 6ε₂|v|, and ends with θ_i ≤ ε₂",
    f"Theorem 5 (H's lower bound is 18ε₂|v| at T₂ wherever ε₂ ≤ 1/36). {READING}",
    "published",
    late=LATE,
)
def phase2_angles(run: Run) -> Results:
    shares, (errors, _) = measured.angle_shares(run), measured.second_phase(run)
    begin = theory.aligned_by(run.config.network.neurons)
    epsilon = float(run.teacher_angle.isel(time=measured.alignment_end(run)).max()) / 4
    detail = (
        f"least of all T₂: {measured.described(shares)}; by H alone ε₂ may be {errors.max():.1e}; "
        f"{measured.outside_theorem_4(run, epsilon, begin)} with ε₁ = θ(T₁)/4 = {epsilon:.2g}"
    )
    if not np.isfinite(shares).all():
        return {
            "θ/ε₂ at T₂": Result(1.0, "no T₂", "at most", "fails", f"H leaves its bounds at once; {detail}")
        }
    return {"θ/ε₂ at T₂": at_most(float(shares.max()), 1.0, detail)}


@of_phases(
    "Theorem 5: in phase 2 s1/2 ≤ h_i ≤ 2|v|/n and h_i ≤ 2h_j, and H falls by 1 − nη/2 per step",
    f"Theorem 5, T₂ by H alone. {READING}",
    "published",
    late=LATE,
)
def phase2(run: Run) -> Results:
    neurons, step = run.config.network.neurons, run.config.dynamics.step_size
    begin, (_, end) = measured.alignment_end(run), measured.second_phase(run)
    height = run.projection.where(measured.between(run, begin, end))
    first, middle = (run.isel(time=index) for index in (begin, (begin + end) // 2))
    fall = np.log(
        middle.teacher_deficit.drop_vars(["time", "step"]) / first.teacher_deficit.drop_vars(["time", "step"])
    )
    decay = fall.isel(teacher=0) / (middle.time.drop_vars(["time", "step"]) - float(first.time))
    exact = float(np.log(1 - 0.5 * neurons * step) / step)
    low = 0.5 * theory.lengths(0.0, measured.start_size(run))[0]
    detail = f"from T₁ to the T₂ that H alone allows, {measured.described(run.time.values[end])}"
    return {
        "2h/s1": at_least(height / low, 1.0, detail),
        "nh/2|v|": at_most(0.5 * neurons * height, 1.0, detail),
        "h_j/h_i": at_least(measured.least_to_largest(height), 0.5),
        "rate of H": close(
            decay, exact, relative=0.01, detail=f"first half of saved times: {measured.described(decay)}"
        ),
    }


@of_phases(
    "Theorem 6: |v|/4n ≤ |w_i| ≤ 4|v|/n from T₂ on",
    f"phase 3, T₂ by H alone. {READING}",
    "published",
    late=LATE,
)
def phase3_lengths(run: Run) -> Results:
    errors, end = measured.second_phase(run)
    late = measured.between(run, end, len(run.time))
    length = run.config.network.neurons * run.hidden_norm.where(late)
    detail = measured.outside_theorem_6(run, float(errors.max()))
    return {
        "least n|w|/|v|": at_least(length, 0.25, detail),
        "largest n|w|/|v|": at_most(length, 4.0, detail),
    }


@of_phases(
    "Theorem 14: L^(−1/3) ≤ K n^(17/3)/(κ_max²|v|^(2/3)) (t − T₂) + γ: its slope stays below a bound, as no "
    "exponential rate does",
    "Theorem 14 (of the flow; here of descent). K is derived: what h = 1/3 and 2/3 need for n = 2; κ_max ≤ π, "
    "whatever angle it is",
    "published",
)
def theorem_14(run: Run) -> Result:
    late = run.loss.where(measured.between(run, measured.second_phase(run)[1], len(run.time)))
    shares = along_time(theory.steepest_rise, late) / theory.steepest(run.config.network.neurons)
    return at_most(shares, 1.0, f"slope of L^(−1/3) from T₂ on, over the bound: {measured.described(shares)}")


@paper.claim(
    "Equal students, whose rate is exponential, exceed Theorem 14's bound on the slope of L^(−1/3)",
    "Theorem 14, which is about students with an angle between them; K as in theorem_14",
    "derived",
    on="exact_rank",
    by="run",
    of=measured.equal,
    figures=["toys"],
)
def theorem_14_of_equal_students(run: Run) -> Result:
    slopes = along_time(theory.steepest_rise, within_trust(run.dataset))
    shares = slopes / theory.steepest(run.config.network.neurons)
    fall = math.exp(-run.config.network.neurons * float(run.time[-1]))
    if (shares < 1.0).any() and fall > 1e-18:
        return inconclusive(f"the slope grows with time, and the run ends where e^(−nt) = {fall:.2g}")
    return at_least(shares, 1.0, f"slope of L^(−1/3), over the bound: {measured.described(shares)}")


@paper.claim(
    "In the setting of Figure 1 students are even too: h_i ≤ 2h_j at T₁ and |v|/4n ≤ |w_i| ≤ 4|v|/n at the end",
    "phases 1 and 3, with Figure 1's σ = 0.1 and η = 0.05, which the theorem does not cover; T₁ = 3/4nη",
    "derived",
    on="figure1",
    by="run",
    of=measured.several,
    unverified_reading=True,
    late=LATE,
)
def figure1_phases(run: Run) -> Results:
    heights = run.projection.isel(time=measured.alignment_end(run))
    length = run.config.network.neurons * run.hidden_norm.isel(time=-1)
    detail = (
        f"{int((length < 0.25).sum())} of {length.size} students are shorter than |v|/4n; "
        f"the longest n|w|/|v| is {length.max():.3g}"
    )
    return {
        "h_j/h_i at T₁": at_least(measured.least_to_largest(heights), 0.5),
        "least n|w|/|v|": at_least(length, 0.25, detail),
    }


@paper.claim(
    "Theorem 6: L(T + T₂) ≤ K n⁴|v|²/(ηT)³; sharper, L (ηt)³ ≤ π²/6 |v|², what two even students need, for every n",
    "phase 3; π²/6 is derived for n = 2, where K = π²/96, and conjectured for n > 2",
    "derived",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["rate", "one_law"],
    late="that n⁴ is not needed for n > 2, where it leaves room for 40 and 600 times π²/6, was seen in runs first",
)
def third_phase_constant(run: Run) -> Result:
    scaled = run.loss * run.time**3
    constant = float(scaled.max()) / run.config.network.neurons**4
    detail = f"L (ηt)³ of all times; from T₂ on it is smaller; K is {constant:.3g}"
    return at_most(scaled, pair_constant([0.5, 0.5]), detail)


# ---- rates from random starts ----


@paper.claim(
    "From random starts L = C/(T + T₀)³: L^(−1/3) is a straight line over the last decade",
    "phase 3 and lower bound, whose rates agree",
    "published",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["rate", "one_law"],
    unverified_reading=True,
)
def third_power_of_random_starts(run: Run) -> Result:
    run.at_time(LATE_TIME)  # a DataError where it ends earlier
    fit, slope = fit_rate(run.dataset), local_slope(run.dataset).isel(time=-1)
    detail = (
        f"relative distance from the line; C {measured.described(fit['constant'])}; "
        f"T₀ {measured.described(fit['offset'])}; last local slope {measured.described(slope)}"
    )
    return at_most(fit["misfit"], 0.01, detail)


@paper.claim(
    "L T³ does not grow with n (L(T) ≤ O(n⁴|v|²/(ηT)³) lets it, as n⁴), |∇L|/L^{2/3} does not fall (≥ Ω(n^{−2/3})), "
    "and L/Z³ ≥ Ω(n^{−5})",
    "phase 3, gradient bound and lower bound; exponents of n over n ≥ 2 at the end of training",
    "published",
    on="figure1",
    figures=["rate", "lower_bound"],
    unverified_reading=True,
    late="exponents 0 for the bounds' 4 and −2/3, which no run near these could reach, were taken after the runs",
)
def powers_of_n(runs: Run) -> Results:
    groups = {paper.named(group): powers(group) for group in runs.varying("neurons")}
    return {
        ", ".join(filter(None, (case, name))): result
        for case, results in groups.items()
        for name, result in results.items()
    }


def powers(runs: Run) -> Results:
    """The exponents of n of the three quantities, of runs that differ in n alone."""
    sizes = [run.neurons for run in runs.along("neurons") if run.neurons > 1]
    if len(sizes) < 2:
        raise DataError("an exponent of n needs two values of n above 1")
    several = next(runs.by(neurons=sizes))
    for run in several.along("neurons"):
        run.at_time(LATE_TIME)  # a DataError where it ends earlier

    def exponent(measure: Callable[[Run], xr.DataArray], bound: float, upper: bool) -> Result:
        values = several.along("neurons", lambda run: measure(measured.in_units(run).isel(teacher=0)))
        found = fit_slope(np.log(values), np.log(values["neurons"]), "neurons")
        _, low, high = mean_interval(found)
        by_n = "; ".join(f"n = {n}: {measured.described(values.sel(neurons=n))}" for n in sizes)
        detail = f"the end of the interval nearer to the bound; exponent {measured.described(found)}. {by_n}"
        return at_most(high, bound, detail) if upper else at_least(low, bound, detail)

    def at_end(formula: Callable[[Run], xr.DataArray]) -> Callable[[Run], xr.DataArray]:
        return lambda run: formula(run.isel(time=-1))

    return {
        "L T³": exponent(lambda run: fit_rate(run.dataset)["constant"], 0.0, upper=True),
        "|∇L|/L^{2/3}": exponent(
            at_end(lambda end: end.gradient_norm / end.loss ** (2 / 3)), 0.0, upper=False
        ),
        "L/Z³": exponent(at_end(lambda end: end.loss / end.spread**3), -5.0, upper=False),
    }


@paper.claim(
    "From random starts Z = Ω(1/t): the slope of log Z against log t tends to −1",
    "lower bound (of the flow; here of descent, at its end)",
    "published",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["lower_bound"],
    unverified_reading=True,
)
def lower_bound_of_random_starts(run: Run) -> Result:
    run.at_time(LATE_TIME)  # a DataError where it ends earlier
    run = run.isel(teacher=0)
    end, slope = run.isel(time=-1), local_slope(run.dataset, "spread").isel(time=-1)
    cubed = run.config.network.neurons**5 * end.loss / end.spread**3
    detail = (
        f"slope {measured.described(slope)}; Z ηT {measured.described(end.spread * end.time)}; "
        f"n⁵L/Z³ {measured.described(cubed)}"
    )
    return close(slope, -1.0, absolute=0.02, detail=detail)


# ---- the toys ----

SLOPE_TIME = 1e6
"""A tenth of it is the time from which a slope of −3t/(t + t₀) is within 0.002 of −3, and t/(t + t₀) within 1e-3 of 1,
for t₀ up to 60."""


@paper.claim(
    "Toy 1: two students that mirror each other learn as L ~ t⁻³",
    "toy 1; the constant (8π²/3)(h₁h₂/|v|²)²|v|² is derived",
    "published",
    on="mirrored",
    by="run",
    of=measured.several,
    figures=["toys"],
)
def third_power(run: Run) -> Results:
    run.at_time(SLOPE_TIME)  # a DataError where it ends earlier
    last, fit = float(run.time[-1]), fit_rate(run.dataset)
    slopes = local_slope(run.dataset).where(run.time > 0.1001 * last)
    when = f"t from {0.1 * last:.0e} to {last:.0e}"
    heights = ", ".join(f"{h:.6f}" for h in run.projection.isel(time=-1, seed=0).values)
    detail = f"C of L = C/(t + t₀)³, {when}, t₀ = {fit['offset'].mean():.3g}; h at the end {heights}"
    return {
        "slope": close(slopes, -3.0, absolute=0.002, detail=f"local slope of log L against log t, {when}"),
        "L t³": close(fit["constant"], measured.of_pair(pair_constant, run), relative=1e-3, detail=detail),
    }


@paper.claim(
    "|∇L| / L^{2/3} stays above 0; its limit is √3 C^{−1/6}",
    "gradient bound; the limit is derived from L = C/t³ and dL/dt = −|∇L|²",
    "derived",
    on="mirrored",
    by="run",
    of=measured.several,
    figures=["lower_bound"],
)
def gradient_bound(run: Run) -> Result:
    late = run.at_time(measured.CARRIED)
    limit = gradient_limit(measured.of_pair(pair_constant, run))
    detail = (
        f"at t = {measured.CARRIED:.0e}; float64 weights do not carry the gradient along the teacher later"
    )
    return close(late.gradient_norm / late.loss ** (2 / 3), limit, relative=1e-3, detail=detail)


@paper.claim(
    "Z = Σ_{i<j}|z_i − z_j| = Ω(1/t) and L ≥ Ω(Z³/(n⁵|v|)); for two students Z t → 4π h₁h₂ and L/Z³ → 1/(24π h₁h₂)",
    "lower bound; the limits are derived",
    "published",
    on="mirrored",
    by="run",
    of=measured.several,
    figures=["lower_bound"],
)
def lower_bound(run: Run) -> Results:
    run.at_time(SLOPE_TIME)
    end = run.isel(time=-1, teacher=0)
    spread, cubed = (measured.of_pair(formula, run) for formula in (group_spread, loss_by_spread))
    detail = f"at t = {end.time:.0e}"
    return {
        "Z t": close(end.spread * end.time, spread, relative=1e-3, detail=detail),
        "L/Z³": close(end.loss / end.spread**3, cubed, relative=1e-3, detail=detail),
    }


@paper.claim(
    "Toy 2: students all along the teacher learn at a linear rate, L = L(0)(1 − nη/2)^{2T}",
    "toy 2; the rate is derived: H falls by 1 − nη/2 per step and L = H²/4",
    "published",
    on="exact_rank",
    by="run",
    of=measured.parallel,
    figures=["toys"],
)
def parallel_students(run: Run) -> Result:
    factor = 1 - 0.5 * run.config.network.neurons * run.config.dynamics.step_size
    exact = run.loss.isel(time=0, drop=True).drop_vars("step", errors="ignore") * factor ** (2 * run.step)
    apart = abs(np.log(within_trust(run.dataset) / exact)).where(exact > 1e-20)
    return at_most(apart, 1e-5, "|log L − log exact| while L > 1e-20")


@paper.claim(
    "Toy 3: students that are all equal learn at a linear rate: the loss tends to fall by (1 − nη/2)² per step",
    "toy 3; the rate is derived: n equal students are one, with n times the step",
    "published",
    on="exact_rank",
    by="run",
    of=measured.equal,
    figures=["toys"],
)
def equal_students(run: Run) -> Result:
    step = run.config.dynamics.step_size
    exact = float(2 * np.log(1 - 0.5 * run.config.network.neurons * step))
    rates = step * along_time(fall, within_trust(run.dataset), high=1e-8, low=1e-18)
    if not rates.notnull().any():
        return inconclusive("the run ends before the loss has fallen from 1e-8 to 1e-18")
    start = np.degrees(run.teacher_angle.isel(time=0))
    detail = (
        f"log of the loss per step, L from 1e-8 to 1e-18: {measured.described(rates)}; "
        f"students start at {start.min():.0f}° to {start.max():.0f}° to the teacher"
    )
    return close(rates, exact, relative=1e-3, detail=detail)


def fall(time: np.ndarray, loss: np.ndarray, high: float, low: float) -> float:
    """d log L/dt between the first saved times below two levels, (time,); NaN where it does not reach both."""
    if not (loss < low).any():
        return np.nan
    first, last = (int(np.argmax(loss < level)) for level in (high, low))
    return float(np.log(loss[last] / loss[first]) / (time[last] - time[first])) if last > first else np.nan
