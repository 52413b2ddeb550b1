"""Bounds of Zhou and Ge 2024: gradients and angles by the suboptimality, and what close teachers cost."""

from __future__ import annotations

from functools import partial

import numpy as np

from twolayer import Result, Run, at_least, at_most, close
from twolayer.analysis.rates import log_slope
from twolayer.errors import DataError

from .. import measured, theory
from ..sources import DERIVED, RECALLED
from ..theory import paper


@paper.claim(
    "|∇L_λ|² ≥ Ω(ζ⁴/λ²), ζ the suboptimality of the objective, with the constant 1 where ζ ≤ λ",
    f"{RECALLED}; the constant and the threshold are not known to us. By |∇L_λ|² ≥ cλζ a constant of order 1 can be "
    "tested where ζ is of order λ alone: there the least is found",
    "recalled",
    on="descents",
    by="run",
    of=measured.decayed,
    figures=["gradient_bound"],
    unverified_reading=True,
    late="the former split at ζ ≤ λ², below which the bound is exceeded by 4 to 6 decades, and this one at ζ ≤ λ, "
    "were chosen after the ratios had been seen",
)
def gradient_bound(run: Run) -> Result:
    excess, square = measured.states(run)
    decay = run.regularization
    return at_least((square * decay**2 / excess**4).where(excess <= decay), 1.0, "|∇|²λ²/ζ⁴")


@paper.claim(
    "Sharp near the optimum, ζ ≤ λ²: |∇L_λ|² ≥ cλζ, c = min 2(1 − |η₀|) + |∇η₀|²/(1 − |η₀|) over directions",
    f"{DERIVED}: neurons of mass p have ζ = λΣp(1 − sη) and |∇|² = λ²Σp(2(1 − sη)² + |∇η|²) once f is that of the "
    "optimum. The worst direction is between two teachers of one sign",
    "derived",
    on="descents",
    by="run",
    of=measured.decayed,
    figures=["gradient_bound"],
    late="that near the optimum means ζ ≤ λ² was chosen after the ratios had been seen",
)
def gradient_ratio(run: Run) -> Result:
    excess, square = measured.states(run)
    decay = run.regularization
    limit = theory.gradient_constant(measured.certificate_of(run))
    return at_least((square / (decay * excess)).where(excess <= decay**2), limit)


@paper.claim(
    "Late in training |∇L_λ|²/(λζ) → 2κ, κ the least curvature of |η₀| at a teacher, 1 if orthonormal of both signs",
    f"{DERIVED}: ζ = ½λκΣ|a||w|θ² and |∇|² = λ²κ²Σ|a||w|θ² along the slowest direction",
    "derived",
    on="descents",
    by="run",
    of=measured.steady,
    figures=["gradient_bound"],
)
def gradient_ratio_at_last(run: Run) -> Result:
    excess, square = measured.states(run)
    decay = run.regularization
    late = (excess > 1e-12) & (excess < 1e-6 * decay**2)
    limit = 2 * theory.least_curvature(measured.certificate_of(run))
    return close((square / (decay * excess)).where(late), limit, relative=0.02, detail="ζ < 1e-6 λ²")


@paper.claim(
    "Σ|a_j||w_j|θ_j² = O(ζ/λ)",
    f"{RECALLED}; the constant 1/c, c = min (1 − |η₀(u)|)/θ(u)², is derived",
    "recalled",
    on="descents",
    by="run",
    of=measured.decayed,
    figures=["directions", "gradient_bound"],
)
def angles_by_excess(run: Run) -> Result:
    excess, _ = measured.states(run)
    limit = 1 / theory.quadratic_growth(measured.certificate_of(run))
    return at_most(run.mass_weighted_square_angle * run.regularization / excess, limit)


@paper.claim(
    "Close teachers of opposite sign are hard: trained, L/λ² = ½|η₀|² even so",
    DERIVED,
    "derived",
    on="close_teachers",
    by="run",
    of=partial(measured.of_signs, opposite=True),
    figures=["close_teachers"],
)
def close_teachers(run: Run) -> Result:
    last = run.isel(time=-1)
    decay = float(last.regularization)
    detail = f"the measure problem gives {float(last.optimal_loss) / decay**2:.2f}, at λ = {decay:g}"
    return close(
        measured.trained_loss(run, 0.05), measured.limit_of(run, decay), relative=0.05, detail=detail
    )


@paper.claim(
    "The loss of close teachers of opposite sign grows as Δ^−3 for Δ ≤ 40°",
    DERIVED,
    "derived",
    on="close_teachers",
    figures=["close_teachers"],
)
def close_teachers_exponent(runs: Run) -> Result:
    found = []
    for run in (run for run in runs.by("run") if list(measured.of_signs(run, opposite=True))):
        vectors, _ = measured.teachers(run)
        gap = float(np.rad2deg(np.arccos(abs(vectors[0] @ vectors[1]))))
        if gap < 40.5:
            found.append((gap, measured.trained_loss(run, 0.05).values))
    if len(found) < 2:
        raise DataError("an exponent needs two angles up to 40° between teachers of opposite sign")
    gaps, losses = map(np.array, zip(*found, strict=True))
    return close(
        log_slope(gaps, losses),
        -3.0,
        absolute=0.1,
        detail=f"{len(found)} angles, {gaps.min():g}° to {gaps.max():g}°",
    )


@paper.claim(
    "Close teachers of the same sign are not: trained, L/λ² = ½|η₀|²",
    DERIVED,
    "derived",
    on="close_teachers",
    by="run",
    of=partial(measured.of_signs, opposite=False),
    figures=["close_teachers"],
)
def same_sign(run: Run) -> Result:
    decay = float(run.regularization[-1])
    return close(measured.trained_loss(run, 0.01), measured.limit_of(run, decay), relative=0.01)


@paper.claim(
    "½|η₀|² of two teachers of the same sign is largest at right angles, 1/(1 − 2/π) = 2.752",
    DERIVED,
    "derived",
    on="close_teachers",
    figures=["close_teachers"],
)
def same_sign_largest(_: Run) -> Result:
    pairs = [theory.Certificate(theory.plane([0, degrees]), np.ones(2)) for degrees in range(1, 90)]
    halves = np.array([0.5 * pair.square_norm for pair in pairs])
    return at_most(halves, 1 / theory.ORTHONORMAL, "at 1°, 2°, … 89°; by the Gram matrix, no run")
