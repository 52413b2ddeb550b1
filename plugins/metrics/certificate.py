"""certificate, certificate_maximum: the dual certificate, by which the optimum over measures is known.

Balanced weights turn L + (λ/2)(|a|² + |W|²) into ½|f_μ − f*|² + λ|μ|₁ over measures μ on the sphere, of which f is the
optimum if and only if η(u) = s ⟨f* − f, σ(u·)⟩/λ has |η| ≤ 1 everywhere, with η = ±1 at its neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from twolayer import Activation, Weights, metric
from twolayer.analysis.metric import frames
from twolayer.population.closed_form import unit
from twolayer.population.optimum import certificate, highest

from ._homogeneous import of_two_slopes

DIRECTIONS = 721
"""Over the half circle, a quarter of a degree apart: |u·x| = |−u·x|."""


def is_regularized(problem: Any, trajectory: Any) -> bool:
    """Whether the loss is that of a teacher's population, σ linear on either side of 0, and there is a λ."""
    known = problem.on_population and of_two_slopes(problem, trajectory)
    return known and bool(np.any(trajectory.weight_decay > 0))


def in_plane(problem: Any, trajectory: Any) -> bool:
    """Whether the sphere is a circle, too."""
    return is_regularized(problem, trajectory) and problem.data.features == 2


def of_each(observe: Callable[[Any, Weights, float], Any]) -> Callable[[Any, Any], Any]:
    """A measure over (seed, time, …) from (problem, one seed's weights, λ/s); NaN where λ = 0."""

    @wraps(observe)
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


def angles_of(count: int, activation: Activation) -> Any:
    """Angles in radians of the dual certificate: a half circle where σ is even, else the whole one."""
    return np.linspace(0.0, np.pi if activation.even else 2 * np.pi, count)


def circle(problem: Any) -> Any:
    """The unit vectors of those angles, (direction, feature)."""
    turned = angles_of(DIRECTIONS, problem.network.activation)
    return np.stack([np.cos(turned), np.sin(turned)], axis=-1)


@metric(
    "certificate",
    ("seed", "time", "direction"),
    "certificate η(u) = s⟨f* − f, σ(u·x)⟩/λ",
    applies=in_plane,
    by_default=False,
)
@of_each
def heights(problem: Any, weights: Weights, penalty: float) -> Any:
    """η around the circle, (direction,)."""
    return certificate(problem, weights, penalty, circle(problem))[0]


@metric(
    "certificate_maximum",
    ("seed", "time"),
    "max over directions u of |s⟨f* − f, σ(u·x)⟩|/λ; at most 1 at the optimum",
    applies=is_regularized,
    by_default=False,
)
@of_each
def top(problem: Any, weights: Weights, penalty: float) -> float:
    """max|η|; NaN where there is no λ, or no weights."""
    if not np.isfinite(penalty) or not np.isfinite(weights.hidden).all():
        return float("nan")
    return abs(highest(problem, weights, penalty)[1])


@metric(
    "neuron_certificate",
    ("seed", "time", "neuron"),
    "certificate η(u) = s⟨f* − f, σ(u·x)⟩/λ at each neuron",
    applies=is_regularized,
    by_default=False,
)
@of_each
def at_neurons(problem: Any, weights: Weights, penalty: float) -> Any:
    """η(ŵ_j), 0 at w = 0, (neuron,)."""
    return certificate(problem, weights, penalty, unit(weights.hidden))[0]


@metric(
    "certificate_slope",
    ("seed", "time", "direction"),
    "slope dη/dθ of the certificate η(u) = s⟨f* − f, σ(u·x)⟩/λ",
    units="1/rad",
    applies=in_plane,
    by_default=False,
)
@of_each
def slopes(problem: Any, weights: Weights, penalty: float) -> Any:
    """dη/dθ around the circle, (direction,)."""
    around = circle(problem) @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    return (certificate(problem, weights, penalty, circle(problem))[1] * around).sum(-1)


@metric(
    "certificate_angle",
    ("direction",),
    "angle θ of the direction u",
    units="rad",
    applies=in_plane,
    by_default=False,
)
def direction_angles(problem: Any, trajectory: Any) -> Any:
    """θ of each direction, (direction,)."""
    return angles_of(DIRECTIONS, problem.network.activation)
