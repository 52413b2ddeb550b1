"""certificate, certificate_maximum: how far the network is from the optimum of the problem over measures.

Balanced weights turn L + (λ/2)(|a|² + |W|²) into ½|f_μ − f*|² + λ|μ|₁ over measures μ on the sphere, of which f is the
optimum if and only if η(u) = s ⟨f* − f, σ(u·)⟩/λ has |η| ≤ 1 everywhere, with η = ±1 at its neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer import Metric, Weights, hookimpl
from twolayer.analysis.metric import frames
from twolayer.population.closed_form import unit
from twolayer.population.optimum import certificate, highest

DIRECTIONS = 721
"""Over the half circle, a quarter of a degree apart: |u·x| = |−u·x|."""


def of_each(observe: Callable[[Any, Weights, float], Any]) -> Callable[[Any, Any], Any]:
    """A measure over (seed, time, …) from (problem, one seed's weights, λ/s); NaN where λ = 0."""

    def measure(problem: Any, trajectory: Any) -> Any:
        values = [
            [
                observe(
                    problem, Weights(hidden, output), decay / problem.network.scale if decay > 0 else np.nan
                )
                for hidden, output in zip(weights.hidden, weights.output, strict=True)
            ]
            for weights, decay in zip(frames(trajectory), trajectory.weight_decay.tolist(), strict=True)
        ]
        return np.swapaxes(np.array(values), 0, 1)

    return measure


def angles_of(count: int, activation: str) -> Any:
    """Angles in radians at which the certificate is taken: a half circle for |·|, the whole one for relu."""
    return np.linspace(0.0, np.pi if activation == "abs" else 2 * np.pi, count)


def circle(problem: Any) -> Any:
    """The unit vectors of those angles, (direction, feature)."""
    turned = angles_of(DIRECTIONS, problem.network.activation)
    return np.stack([np.cos(turned), np.sin(turned)], axis=-1)


def heights(problem: Any, weights: Weights, penalty: float) -> Any:
    """η around the circle, (direction,)."""
    return certificate(problem, weights, penalty, circle(problem))[0]


def top(problem: Any, weights: Weights, penalty: float) -> float:
    """max|η|; NaN where there is no λ, or no weights."""
    if not np.isfinite(penalty) or not np.isfinite(weights.hidden).all():
        return float("nan")
    return abs(highest(problem, weights, penalty)[1])


def at_neurons(problem: Any, weights: Weights, penalty: float) -> Any:
    """η(ŵ_j), 0 at w = 0, (neuron,)."""
    return certificate(problem, weights, penalty, unit(weights.hidden))[0]


def slopes(problem: Any, weights: Weights, penalty: float) -> Any:
    """dη/dθ around the circle, (direction,)."""
    around = circle(problem) @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    return (certificate(problem, weights, penalty, circle(problem))[1] * around).sum(-1)


def is_regularized(problem: Any, trajectory: Any) -> bool:
    """Whether the loss is that of a teacher's population, and there is a λ."""
    return problem.on_population and bool(np.any(trajectory.weight_decay > 0))


def in_plane(problem: Any, trajectory: Any) -> bool:
    """Whether the sphere is a circle, too."""
    return is_regularized(problem, trajectory) and problem.data.features == 2


@hookimpl
def register_metrics(register: Any) -> None:
    def add(
        name: str, measure: Any, dimensions: tuple[str, ...], told: str, units: str, applies: Any
    ) -> None:
        register(name, Metric(measure, dimensions, told, units, applies, by_default=False))

    told = "max over directions u of |s⟨f* − f, σ(u·x)⟩|/λ; at most 1 at the optimum"
    most = of_each(top)
    add("certificate_maximum", most, ("seed", "time"), told, "1", is_regularized)
    around = ("seed", "time", "direction")
    told = "certificate η(u) = s⟨f* − f, σ(u·x)⟩/λ"
    add("certificate", of_each(heights), around, told, "1", in_plane)
    add("certificate_slope", of_each(slopes), around, f"slope dη/dθ of the {told}", "1/rad", in_plane)
    of_neuron = ("seed", "time", "neuron")
    add("neuron_certificate", of_each(at_neurons), of_neuron, f"{told} at each neuron", "1", is_regularized)
    add(
        "certificate_angle",
        lambda problem, _: angles_of(DIRECTIONS, problem.network.activation),
        ("direction",),
        "angle θ of the direction u",
        "rad",
        in_plane,
    )
