"""SciPy's trust regions with the exact Hessian, step by step, so that a minimisation can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["Differentiable", "Iterate", "trust_region"]

ACCEPTED, POOR, GOOD = 0.15, 0.25, 0.75
"""Shares of the predicted fall: a step is taken above the first; below the second the radius is a quarter of the one
before, above the third twice it. Those of SciPy's `minimize`."""

LARGEST = 1000.0
"""The radius is at most this."""


class Differentiable(Protocol):
    """A function of a vector."""

    def value(self, vector: Any) -> float:
        """f."""

    def slope(self, vector: Any) -> Any:
        """∇f, (parameter,)."""

    def curvature(self, vector: Any) -> Any:
        """∇∇f, (parameter, parameter)."""


@dataclass(frozen=True)
class Iterate:
    """A point that was just reached. exact: whether subproblems are solved exactly, or by conjugate gradients."""

    vector: Any
    radius: float = 1.0
    steps: int = 0
    exact: bool = True

    def state(self) -> dict[str, Any]:
        """All of it, by name."""
        return asdict(self)


def trust_region(
    objective: Differentiable,
    begin: Iterate,
    gradient_norm: float,
    iterations: int,
    save: Callable[[Iterate], None],
) -> Any:
    """Where `scipy.optimize.minimize` ends, by `trust-exact` or `trust-ncg`, with the same bits: from the first point,
    or from one that was passed to `save` on the way.

    gradient_norm: at which it ends. iterations: at most, from the first point on. Raises ValueError or LinAlgError as
    SciPy's solution of subproblems does.
    """
    # SciPy's loop does not say its radius, so that it cannot go on from a point; its subproblems have no public name.
    from scipy.optimize._trustregion_exact import IterativeSubproblem
    from scipy.optimize._trustregion_ncg import CGSteihaugSubproblem

    def model_at(vector: Any) -> Any:
        kind = IterativeSubproblem if begin.exact else CGSteihaugSubproblem
        return kind(vector, objective.value, objective.slope, objective.curvature, None)

    vector, radius, model = begin.vector, begin.radius, model_at(begin.vector)
    for done in range(begin.steps, iterations):
        if not model.jac_mag >= gradient_norm:
            break
        try:
            step, at_boundary = model.solve(radius)
        except np.linalg.LinAlgError:
            break
        predicted = model.fun - model(step)
        proposed = model_at(vector + step)
        if predicted <= 0:
            break
        share = (model.fun - proposed.fun) / predicted
        if share < POOR:
            radius *= 0.25
        elif share > GOOD and at_boundary:
            radius = min(2 * radius, LARGEST)
        if share > ACCEPTED:
            vector, model = vector + step, proposed
            save(Iterate(vector, radius, done + 1, begin.exact))
    return vector
