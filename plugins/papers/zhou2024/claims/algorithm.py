"""The algorithm of Zhou and Ge 2024: its descent direction, its first big step, and all of its stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, equivalent
from twolayer.analysis.intervals import median_interval
from twolayer.analysis.teachers import teachers_of
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.population.closed_form import unit

from .. import measured, theory
from ..sources import DERIVED
from ..theory import paper

DESCENT = (
    "Near a solution, moving each neuron towards its share q_ij of its teacher, or to 0, is a direction of descent, "
    "Σ⟨∂L_λ/∂w, w − q w*⟩ ≥ 0"
)

SHARES = "q_ij, not checked against the paper: a_i* a_j/Σa² over the teacher's neurons of its sign"


@paper.claim(
    f"{DESCENT}: in Figure 1's state",
    f"Figure 1 (its subject published); {SHARES}",
    "recalled",
    on="near_solution",
    by="run",
    figures=["figure1"],
    unverified_reading=True,
)
def descent_direction(run: Run) -> Result:
    later = run.isel(time=slice(1, None))
    drawn = later.isel(time=later.time.size // 2)
    return at_least(drawn.descent_inner_product / drawn.suboptimality, 0.0, "over ζ")


@paper.claim(
    f"{DESCENT}: at every state with ζ ≤ λ²",
    f"Figure 1 (its subject published); {SHARES}",
    "recalled",
    on="descents",
    by="run",
    of=measured.decayed,
    figures=["figure1"],
    unverified_reading=True,
)
def descent_directions(run: Run) -> Result:
    excess, _ = measured.states(run)
    return at_least(
        (run.descent_inner_product / excess).where(excess <= run.regularization**2), 0.0, "over ζ"
    )


@paper.claim(
    "After the first big step the share of the energy outside the teachers' span is of order 1/d, with the median of "
    "the step's closed form",
    f"{DERIVED}: 40,000 directions by the closed form against the network's; within 20 %",
    "derived",
    on="first_step",
    by="run",
    figures=["first_step"],
)
def first_step(run: Run) -> Result:
    check_first_step(run)
    coefficients = measured.orthonormal_masses(run)
    dimension = run.config.problem.dimension
    energy = dimension * run.off_span_energy.isel(time=-1).values.ravel()
    exact = dimension * float(np.median(theory.off_span_energies(dimension, coefficients, 40000)))
    middle, low, high = median_interval(energy)
    detail = f"median of energy × d over {counted(energy.size, 'direction')}, mean {energy.mean():.3f}"
    return equivalent(middle, exact, (low, high), 0.2 * exact, detail)


def check_first_step(run: Run) -> None:
    """A DataError where a run is not one step from nearly zero."""
    measured.certificate_of(run)
    if run.step[-1] != 1:
        raise DataError(f"the statement is about one step; '{run.experiment}' took {int(run.step[-1])}")
    if not run.config.network.neurons * run.config.initialization.scale < 1e-4:
        raise DataError(
            f"the statement is about a step from nearly zero weights; '{run.experiment}' starts away from zero"
        )


@paper.claim(
    "The first big step is ∝ Σ a_k*[(1 − 2φ_k/π) s_k w_k* + (2/π)(sin φ_k − 1) ŵ] ≈ (2/π)Hŵ, H = Σ a_k* w_k* w_k*ᵀ",
    DERIVED,
    "derived",
    on="one_step",
    by="run",
    figures=["first_step"],
)
def first_step_form(run: Run) -> Mapping[str, Result]:
    check_first_step(run)
    vectors, coefficients = teachers_of(run)
    start, end = unit(run.initial_hidden.values), run.final_hidden.values
    size = measured.step_size(run)
    exact = size * theory.first_step(start, vectors, coefficients)
    linear = size * (start @ vectors.T * coefficients) @ vectors
    cosine = (linear * end).sum(-1) / np.linalg.norm(linear, axis=-1) / np.linalg.norm(end, axis=-1)
    detail = f"median cosine with Hŵ, least {cosine.min():.3f}"
    return {
        "closed form": at_most(np.abs(end - exact) / np.abs(exact).max(), 1e-6, "over the largest entry"),
        "Hŵ": at_least(float(np.median(cosine)), 0.95, detail),
    }


@paper.claim(
    "The whole algorithm ends at L = ½|η₀|²λ² within 5 %",
    DERIVED,
    "derived",
    on=["pipeline", "pipeline_wide"],
    by="run",
    figures=["pipeline"],
)
def pipeline(run: Run) -> Result:
    last = run.isel(time=-1)
    decay = float(last.regularization)
    detail = f"the measure problem gives {float(last.optimal_loss) / decay**2:.4f}, at λ = {decay:g}; "
    detail += f"ζ/λ² up to {float(last.suboptimality.max()) / decay**2:.1e}"
    return close(last.loss / decay**2, measured.limit_of(run, decay), relative=0.05, detail=detail)


@paper.claim(
    "Features are learnt at the first step, which finds the teachers' span, and at the end, which finds the teachers",
    "abstract; the measures of it are ours",
    "published",
    on="pipeline",
    by="run",
    figures=["pipeline", "stages"],
)
def first_and_last(run: Run) -> Mapping[str, Result]:
    energy = run.off_span_energy.median("neuron")
    after = energy.sel(time=run.config.dynamics.stages[0]["until"], method="nearest")
    square = run.mass_weighted_square_angle
    joint = square.sel(time=slice(measured.regression_end(run) + 1, None)).isel(time=0)
    near = run.regularization.isel(time=-1) * measured.certificate_of(run).square_norm <= measured.SMALL
    before = f"median over neurons; before the step {float(energy.isel(time=0).min()):.3f}"
    return {
        "energy off the span after the first step": at_most(after, 1 / run.config.problem.dimension, before),
        "Σ|a||w|θ² after the first step": at_least(joint, 0.1, "directions in the span are not found yet"),
        "Σ|a||w|θ² at the end": at_most(
            square.isel(time=-1).where(near), 1e-4, f"atoms shift by O(λ); where λ|η₀|² ≤ {measured.SMALL}"
        ),
    }
