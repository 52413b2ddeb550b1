"""suboptimality: the objective less its minimum over networks of any width, and the minimum itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer import Metric, hookimpl
from twolayer.analysis.metric import frames
from twolayer.population.optimum import Optimum, optima
from twolayer.population.optimum import suboptimality as suboptimality_over


def best(problem: Any, decays: Any) -> dict[float, Optimum]:
    """The optimum at each λ > 0 among those of the saved moments, from the largest on."""
    distinct = sorted({float(decay) for decay in decays if decay > 0}, reverse=True)
    penalties = [decay / problem.network.scale for decay in distinct]
    return dict(zip(distinct, optima(problem.data, problem.network.activation, penalties), strict=True))


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


def of_optimum(observe: Callable[[Optimum], float]) -> Callable[[Any, Any], Any]:
    """A measure over (time,) of the optimum at the λ of each moment; NaN where λ = 0."""

    def measure(problem: Any, trajectory: Any) -> Any:
        known = best(problem, trajectory.weight_decay)
        return np.array(
            [observe(known[decay]) if decay > 0 else np.nan for decay in trajectory.weight_decay.tolist()]
        )

    return measure


def has_optimum(problem: Any, trajectory: Any) -> bool:
    """Whether there is a λ, and the problem over measures is that of the network: a population, outputs trained."""
    population = problem.on_population and problem.network.output == "trained"
    return population and bool(np.any(trajectory.weight_decay > 0))


@hookimpl
def register_metrics(register: Any) -> None:
    def add(name: str, measure: Any, dimensions: tuple[str, ...], told: str) -> None:
        register(name, Metric(measure, dimensions, told, applies=has_optimum, by_default=False))

    add(
        "suboptimality",
        suboptimality,
        ("seed", "time"),
        "suboptimality ζ: the objective over its least value, whatever the width",
    )
    add("optimal_loss", of_optimum(lambda one: one.loss), ("time",), "loss of the optimum at the moment's λ")
    total = of_optimum(lambda one: float(np.abs(one.masses).sum()))
    add("optimal_path_norm", total, ("time",), "mass Σ s|a||w| of the optimum at the moment's λ")
    told = "max|η| − 1 of the optimum at the moment's λ: what it may miss of optimality"
    add("dual_infeasibility", of_optimum(lambda one: one.violation), ("time",), told)
