"""imbalance, path_norm: how the two layers share the weight of a neuron."""

from __future__ import annotations

from typing import Any

from twolayer import EmpiricalProblem, Weights, metric
from twolayer.core.trajectory import Trajectory

from ._homogeneous import of_degree_one


def trained(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether output weights are parameters, and σ(cz) = cσ(z) for c > 0: else nothing conserves a² − |w|²."""
    return problem.network.output == "trained" and of_degree_one(problem, trajectory)


@metric("imbalance", ("seed", "time", "neuron"), "imbalance a² − |w|²", applies=trained, per_frame=True)
def imbalance(problem: EmpiricalProblem, weights: Weights) -> Any:
    """a_j² − |w_j|², which gradient flow conserves, (seed, neuron).

    Taken as (|a| − |w|)(|a| + |w|): the difference of squares would lose half the digits.
    """
    length, output = problem.hidden_norms(weights), abs(weights.output)
    return (output - length) * (output + length)


@metric("path_norm", ("seed", "time"), "path norm Σ s|a||w|", applies=of_degree_one, per_frame=True)
def path_norm(problem: EmpiricalProblem, weights: Weights) -> Any:
    """Σ_j s|a_j||w_j|, (seed,): the mass of the function; s/2 times |a|² + |W|² where the layers are balanced."""
    return problem.network.scale * (abs(weights.output) * problem.hidden_norms(weights)).sum(-1)
