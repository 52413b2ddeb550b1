"""suboptimality: the objective less its minimum over networks of any width, and the minimum itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer import metric
from twolayer.analysis.metric import frames
from twolayer.population.optimum import Optimum, optima
from twolayer.population.optimum import suboptimality as suboptimality_over

from ._homogeneous import of_two_slopes


def best(problem: Any, decays: Any) -> dict[float, Optimum]:
    """The optimum at each λ > 0 among those of the saved times, from the largest on."""
    distinct = sorted({float(decay) for decay in decays if decay > 0}, reverse=True)
    penalties = [decay / problem.network.scale for decay in distinct]
    return dict(zip(distinct, optima(problem.data, problem.network.activation, penalties), strict=True))


def has_optimum(problem: Any, trajectory: Any) -> bool:
    """Whether there is a λ, and the problem over measures is that of the network: a population, outputs trained, σ
    linear on either side of 0."""
    population = problem.on_population and problem.network.output == "trained"
    return population and of_two_slopes(problem, trajectory) and bool(np.any(trajectory.weight_decay > 0))


@metric(
    "suboptimality",
    ("seed", "time"),
    "suboptimality ζ: the objective over its least value, whatever the width",
    applies=has_optimum,
    by_default=False,
)
def suboptimality(problem: Any, trajectory: Any) -> Any:
    """ζ = L + (λ/2)(|a|² + |W|²) − min, (seed, time); NaN where λ = 0. See `population.optimum.suboptimality`."""
    known = best(problem, trajectory.weight_decay)
    values = [
        suboptimality_over(problem, weights, known[decay])
        if decay > 0
        else np.full(len(weights.hidden), np.nan)
        for weights, decay in zip(frames(trajectory), trajectory.weight_decay.tolist(), strict=True)
    ]
    return np.stack(values, axis=1)


def of_optimum(problem: Any, trajectory: Any, observe: Callable[[Optimum], float]) -> Any:
    """A number of the optimum at the λ of each saved time, (time,); NaN where λ = 0."""
    known = best(problem, trajectory.weight_decay)
    return np.array(
        [observe(known[decay]) if decay > 0 else np.nan for decay in trajectory.weight_decay.tolist()]
    )


@metric(
    "optimal_loss", ("time",), "loss of the optimum at the current λ", applies=has_optimum, by_default=False
)
def optimal_loss(problem: Any, trajectory: Any) -> Any:
    """L at the optimum, (time,)."""
    return of_optimum(problem, trajectory, lambda one: one.loss)


@metric(
    "optimal_path_norm",
    ("time",),
    "mass Σ s|a||w| of the optimum at the current λ",
    applies=has_optimum,
    by_default=False,
)
def optimal_path_norm(problem: Any, trajectory: Any) -> Any:
    """|μ|₁ of the optimum, (time,)."""
    return of_optimum(problem, trajectory, lambda one: float(np.abs(one.masses).sum()))


@metric(
    "dual_infeasibility",
    ("time",),
    "dual infeasibility max|η| − 1 of the computed optimum at the current λ",
    applies=has_optimum,
    by_default=False,
)
def dual_infeasibility(problem: Any, trajectory: Any) -> Any:
    """max|η| − 1 of the optimum as computed, which bounds how far it is from optimal, (time,)."""
    return of_optimum(problem, trajectory, lambda one: one.violation)
