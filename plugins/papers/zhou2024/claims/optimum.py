"""The optimum of Zhou and Ge 2024: its loss and mass as λ falls, and the dual certificate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, Run, at_most, close
from twolayer.analysis.starts import same_start

from .. import measured, theory
from ..sources import DERIVED, RECALLED
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr


@paper.claim(
    "The measure problem min ½|f_μ − f*|² + λ|μ|₁ is solved to optimality: its certificate is at most 1 + 1e-8",
    f"{DERIVED}: |η| ≤ 1 everywhere with η = sgn at the atoms proves it",
    "derived",
    on=["plane", "ladder", "close_teachers"],
    figures=["loss_by_decay", "close_teachers"],
)
def measure_problem(run: Run) -> Result:
    return at_most(run.dual_infeasibility, 1e-8, "max|η| − 1, by ascents from many directions")


@paper.claim(
    "Training reaches the optimum of the measure problem: its loss, at every λ",
    DERIVED,
    "derived",
    on=["plane", "ladder", "ladder_descent"],
    by="run",
    of=measured.levels,
    figures=["loss_by_decay"],
    late="the flow's first levels were made longer than 60/λ after shorter ones had ended above the optimum",
)
def training_reaches_the_optimum(run: Run) -> Result:
    excess = float((run.suboptimality / run.regularization**2).max())
    return close(
        run.loss / run.optimal_loss, 1.0, absolute=1e-4, detail=f"suboptimality ζ/λ² up to {excess:.1e}"
    )


@paper.claim(
    "Plain descent and flow from the same start end at the same loss",
    DERIVED,
    "derived",
    on="ladder_descent",
    by="run",
    of=measured.levels,
    compared_with="ladder",
    figures=["loss_by_decay"],
)
def descent_agrees_with_flow(descent: Run, flow: Run) -> Result:
    flow = same_start(descent, flow)
    return close(
        descent.loss / measured.by_level(flow).loss, 1.0, absolute=1e-6, detail="at a λ that both have"
    )


@paper.claim(
    "The loss is O(λ²): slope 2 of log L against log λ for λ ≤ 1e-2",
    f"{RECALLED}; slope and constant are derived",
    "recalled",
    on=["plane", "ladder", "ladder_descent"],
    by="run",
    figures=["loss_by_decay"],
)
def loss_slope(run: Run) -> Mapping[str, Result]:
    ladder = measured.by_level(run)
    return {
        what: close(measured.exponent(loss), 2.0, absolute=0.05, detail="over two or more λ ≤ 1e-2")
        for what, loss in (("training", ladder.loss), ("measure problem", ladder.optimal_loss))
    }


@paper.claim(
    "L/λ² → ½|η₀|², η₀ the minimum-norm certificate",
    DERIVED,
    "derived",
    on=["plane", "ladder"],
    by="run",
    of=partial(measured.levels, most=1e-3),
    figures=["loss_by_decay"],
)
def loss_constant(run: Run) -> Result:
    square = run.regularization**2
    detail = f"the measure problem gives {run.optimal_loss.item() / square:.6f}"
    return close(run.loss / square, measured.limit_of(run, run.regularization), relative=0.02, detail=detail)


@paper.claim(
    "Orthonormal teachers: L = λ²r/(2(1 − 2/π)), mass deficit λr/(1 − 2/π), no shift of the directions, for "
    "λ < (1 − 2/π) min|a*|",
    DERIVED,
    "derived",
    on="ladder",
    by="run",
    figures=["loss_by_decay"],
)
def orthonormal(run: Run) -> Mapping[str, Result]:
    measured.certificate_of(run)
    masses = measured.orthonormal_masses(run)
    ladder, count, total = measured.by_level(run), len(masses), np.abs(masses).sum()
    decay = ladder.regularization
    decay = decay.where(decay < theory.ORTHONORMAL * np.abs(masses).min())
    deficit = count / theory.ORTHONORMAL
    return {
        "L/λ²": close(ladder.loss / decay**2, 0.5 * deficit, relative=1e-6),
        "deficit/λ": close((total - ladder.path_norm) / decay, deficit, relative=1e-6),
        "deficit/λ, solved": close((total - ladder.optimal_path_norm) / decay, deficit, relative=1e-6),
        "shift": at_most(shift(ladder).where(decay > 0), 1e-8, "mass-weighted angle, radians"),
    }


def shift(ladder: Run) -> xr.DataArray:
    """The mass-weighted angle of each teacher's neurons to it, radians."""
    return ladder.teacher_mass_weighted_angle / ladder.teacher_mass


@paper.claim(
    "(|μ*| − |μ_λ|)/λ → |η₀|², and atoms shift by O(λ)",
    DERIVED,
    "derived",
    on="plane",
    by="run",
    figures=["loss_by_decay"],
)
def mass_and_shift(run: Run) -> Mapping[str, Result]:
    _, masses = measured.teachers(run)
    ladder, total = measured.by_level(run), np.abs(masses).sum()
    last = ladder.sel(regularization=ladder.regularization.min())
    decay = float(last.regularization)
    square, detail = 2 * measured.limit_of(run, decay), f"at λ = {decay:g}"
    # by symmetry the middle teacher of mirror images does not shift
    moved = shift(ladder).where(shift(last) > 1e-9)
    return {
        "deficit, training": close((total - last.path_norm) / decay, square, relative=0.01, detail=detail),
        "deficit, measure problem": close(
            (total - last.optimal_path_norm) / decay, square, relative=0.01, detail=detail
        ),
        "shift": close(
            measured.exponent(moved), 1.0, absolute=0.05, detail="slope of log angle against log λ ≤ 1e-2"
        ),
    }


@paper.claim(
    "Figure 2: η₀ of three teachers (+, −, +) has |η₀| ≤ 1 and ±1 at the teachers, with a kink there",
    "Figure 2 (its subject published, its teachers not known to us); bounds derived",
    "derived",
    on="plane",
    by="run",
    figures=["figure2"],
)
def certificate(run: Run) -> Mapping[str, Result]:
    vectors, masses = measured.teachers(run)
    exact, signs = measured.certificate_of(run), np.sign(masses)
    tangents = vectors @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    bends = [exact.curvatures(teacher, tangent) for teacher, tangent in enumerate(tangents)]
    return {
        "max|η₀|": at_most(np.abs(exact(theory.plane(np.linspace(0, 180, 7201)))), 1 + 1e-8, "every 1/40°"),
        "η₀ at teachers": at_most(np.abs(exact(vectors) - signs), 1e-8, "|η₀(v) − s|"),
        "kinks": at_most(signs[:, None] * np.array(bends), 0.0, "curvature of s η₀ on either side"),
    }


@paper.claim(
    "η_λ of the trained network tends to η₀",
    DERIVED,
    "derived",
    on="plane",
    by="run",
    of=measured.smallest,
    figures=["figure2"],
)
def certificate_limit(run: Run) -> Result:
    exact = measured.certificate_of(run)
    known = exact(theory.plane(np.rad2deg(run.certificate_angle.values)))
    return at_most(np.abs(run.certificate - known), 1e-3, "|η_λ − η₀| over the circle")


@paper.claim(
    "|η_λ| ≤ 1 over the whole circle, of the trained network",
    DERIVED,
    "derived",
    on="plane",
    by="run",
    of=measured.levels,
    figures=["figure2"],
)
def trained_certificate(run: Run) -> Result:
    return at_most(run.certificate_maximum, 1 + 1e-8, "max|η_λ|")
