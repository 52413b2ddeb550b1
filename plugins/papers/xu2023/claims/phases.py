"""The three phases of Xu and Du 2023: Theorems 4, 5, 6 and 14, from small weights and in the setting of Figure 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, inconclusive, within_trust
from twolayer.analysis.rates import along_time

from .. import measured, theory
from ..theory import paper

LATE = "C = 3/4 in ηT₁ = C/n was chosen, of all C up to 0.81, after runs had been seen"
READING = "The theorem's σ = O(n^−4226 …) and η cannot be run; T₁ = 3/4nη"
of_phases = partial(
    paper.claim, on="phases", by="run", of=measured.several, figures=["phases"], unverified_reading=True
)
"""A claim on the runs of more than one student whose phases are followed."""


@of_phases(
    "Theorem 4: s1 ≤ |w_i| ≤ s2 + 2η|v|t up to T₁; sharper, no length grows faster than ½η|v| per step",
    f"phase 1, s1 = ½σ√d and s2 = 2σ√d. {READING}. ½ is derived: the teacher lengthens a student by ½η|v| "
    "per step at most, and other students only shorten it",
    "published",
)
def phase1_lengths(run: Run) -> Mapping[str, Result]:
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
def phase1_alignment(run: Run) -> Mapping[str, Result]:
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
def theorem_4(run: Run) -> Mapping[str, Result]:
    def aligned(epsilon: float) -> Result:
        constant = epsilon**2 / run.config.network.neurons
        end = run.isel(time=measured.reached(run, constant))
        shares = end.teacher_angle.max("neuron") / (4 * epsilon)
        detail = f"θ over 4ε₁ at ηt = {end.time:.3g}: {measured.described(shares)}"
        return at_most(shares, 1.0, f"{detail}; {measured.outside_theorem_4(run, epsilon, constant)}")

    return {f"ε₁ = {epsilon:g}": aligned(epsilon) for epsilon in theory.ALIGNING}


@of_phases(
    "Theorem 5: for some T₂ = T₁ + (1/nη) ln(1/36ε₂) phase 2 keeps (1 − nη/2)^(t−T₁)|v| + 6ε₂|v| ≥ H ≥ "
    "⅔(1 − nη/2)^(t−T₁)|v| − 6ε₂|v|, and ends with θ_i ≤ ε₂",
    f"Theorem 5 (H's lower bound is 18ε₂|v| at T₂ wherever ε₂ ≤ 1/36). {READING}",
    "published",
    late=LATE,
)
def phase2_angles(run: Run) -> Mapping[str, Result]:
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
def phase2(run: Run) -> Mapping[str, Result]:
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
def phase3_lengths(run: Run) -> Mapping[str, Result]:
    errors, end = measured.second_phase(run)
    late = measured.between(run, end, len(run.time))
    length = run.config.network.neurons * run.hidden_norm.where(late)
    detail = measured.outside_theorem_6(run, float(errors.max()))
    return {
        "least n|w|/|v|": at_least(length, 0.25, detail),
        "largest n|w|/|v|": at_most(length, 4.0, detail),
    }


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
def figure1_phases(run: Run) -> Mapping[str, Result]:
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
