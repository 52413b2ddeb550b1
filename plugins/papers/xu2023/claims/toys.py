"""The toys of Xu and Du 2023: the power law of two students, and rates of those along the teacher or all equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twolayer import Result, Run, at_most, close, fit_rate, inconclusive, local_slope, within_trust
from twolayer.analysis.rates import along_time
from twolayer.population.asymptotics import gradient_limit, group_spread, loss_by_spread, pair_constant

from .. import measured
from ..theory import paper

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
def third_power(run: Run) -> Mapping[str, Result]:
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
    return close(measured.scaled_gradient(late), limit, relative=1e-3, detail=detail)


@paper.claim(
    "Z = Σ_{i<j}|z_i − z_j| = Ω(1/t) and L ≥ Ω(Z³/(n⁵|v|)); for two students Z t → 4π h₁h₂ and L/Z³ → 1/(24π h₁h₂)",
    "lower bound; the limits are derived",
    "published",
    on="mirrored",
    by="run",
    of=measured.several,
    figures=["lower_bound"],
)
def lower_bound(run: Run) -> Mapping[str, Result]:
    run.at_time(SLOPE_TIME)
    end = run.isel(time=-1, teacher=0)
    spread, cubed = (measured.of_pair(formula, run) for formula in (group_spread, loss_by_spread))
    detail = f"at t = {end.time:.0e}"
    return {
        "Z t": close(end.spread * end.time, spread, relative=1e-3, detail=detail),
        "L/Z³": close(measured.loss_by_cubed_spread(end), cubed, relative=1e-3, detail=detail),
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
    start = run.loss.isel(time=0, drop=True).drop_vars("step", errors="ignore")
    exact = start * measured.fall_along_teacher(run)
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
    rates = step * along_time(measured.fall, within_trust(run.dataset), high=1e-8, low=1e-18)
    if not rates.notnull().any():
        return inconclusive("the run ends before the loss has fallen from 1e-8 to 1e-18")
    start = np.degrees(run.teacher_angle.isel(time=0))
    detail = (
        f"log of the loss per step, L from 1e-8 to 1e-18: {measured.described(rates)}; "
        f"students start at {start.min():.0f}° to {start.max():.0f}° to the teacher"
    )
    return close(rates, exact, relative=1e-3, detail=detail)
