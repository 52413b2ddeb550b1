"""certificate_maximum: how far the network is from the optimum of the problem over measures."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Metric, Weights, hookimpl
from twolayer.gaussian import Units, field, unit
from twolayer.measuring import frames

RANDOM = 64
"""Random directions among the starts."""
CLIMBED = 12
"""Starts from which the ascent is made: the highest."""


def certificate_maximum(problem: Any, trajectory: Any) -> Any:
    """max_u |η(u)| over the sphere, η(u) = s ⟨f* − f, σ(u·)⟩/λ, (seed, time); NaN where λ = 0.

    Balanced weights turn L + (λ/2)(|a|² + |W|²) into ½|f_μ − f*|² + λ|μ|₁ over measures μ on the sphere, of which f is
    the optimum if and only if |η| ≤ 1 everywhere, with η = ±1 at its neurons. η is positively homogeneous where u is
    not held to the sphere, with the gradient −s F(u)/λ of `gaussian.field`, and its maxima lie in the span of students
    and teachers. Local ascents (L-BFGS) begin at the highest of the students, the teachers and random directions: the
    number is a lower bound of the maximum, as any search's is.
    """
    values = []
    for weights, decay in zip(frames(trajectory), trajectory.weight_decay, strict=True):
        values.append(
            [
                highest(problem, Weights(hidden[None], output[None]), float(decay))
                for hidden, output in zip(weights.hidden, weights.output, strict=True)
            ]
        )
    return np.swapaxes(np.array(values), 0, 1)


def highest(problem: Any, weights: Weights, decay: float) -> float:
    """max |η| for one seed at one moment: weights (1, neuron, feature) and (1, neuron)."""
    if not decay > 0 or not np.isfinite(weights.hidden).all():
        return float("nan")
    from scipy.optimize import minimize  # for those who ask for it

    units, _ = problem.units(problem.network.closed(weights))
    vectors, coefficients = units.vectors[0], units.coefficients[0]

    def certificate(directions: Any) -> tuple[Any, Any]:
        """η and its gradient at unit vectors (direction, feature)."""
        probed = Units(
            np.concatenate([directions, vectors]),
            np.concatenate([np.zeros(len(directions)), coefficients]),
            len(directions),
        )
        slope = -problem.network.scale / decay * field(probed, problem.factors)
        return (directions * slope).sum(-1), slope

    known = unit(vectors[np.linalg.norm(vectors, axis=-1) > 0])
    drawn = np.random.default_rng(0).standard_normal((RANDOM, len(known))) @ known
    starts = np.concatenate([known, drawn])
    if problem.network.activation == "relu":
        starts = np.concatenate([starts, -starts])
    starts = unit(starts)
    values, _ = certificate(starts)
    best = float(np.abs(values).max())
    for index in np.argsort(-np.abs(values), kind="stable")[:CLIMBED]:
        sign = np.sign(values[index])

        def downhill(vector: Any, sign: float = sign) -> tuple[float, Any]:
            length = np.linalg.norm(vector)
            direction = vector / length
            value, slope = certificate(direction[None])
            across = slope[0] - value[0] * direction
            return -sign * float(value[0]), -sign * across / length

        found = minimize(downhill, starts[index], jac=True, method="L-BFGS-B", options={"ftol": 1e-15})
        best = max(best, -float(found.fun))
    return best


def is_regularized(problem: Any, trajectory: Any) -> bool:
    """Whether the loss is that of a teacher's population, and there is a λ."""
    return hasattr(problem, "units") and bool(np.any(trajectory.weight_decay > 0))


@hookimpl
def register_metrics(register: Any) -> None:
    register(
        "certificate_maximum",
        Metric(
            certificate_maximum,
            ("seed", "time"),
            "max over directions u of |⟨f* − f, σ(u·x)⟩|/λ; at most 1 at the optimum",
            applies=is_regularized,
            by_default=False,
        ),
    )
