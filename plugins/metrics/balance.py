"""imbalance, path_norm: how the two layers share the weight of a neuron."""

from __future__ import annotations

from typing import Any

from twolayer import EmpiricalProblem, Metric, Weights, hookimpl
from twolayer.analysis.metric import each_frame
from twolayer.core.arrays import norm
from twolayer.core.trajectory import Trajectory


def imbalance(problem: EmpiricalProblem, weights: Weights) -> Any:
    """a_j² − |w_j|², which gradient flow conserves, (seed, neuron).

    Taken as (|a| − |w|)(|a| + |w|): the difference of squares would lose half the digits.
    """
    length, output = norm(weights.hidden), abs(weights.output)
    return (output - length) * (output + length)


def path_norm(problem: EmpiricalProblem, weights: Weights) -> Any:
    """Σ_j s|a_j||w_j|, (seed,): the mass of the function; s/2 times |a|² + |W|² where the layers are balanced."""
    return problem.network.scale * (abs(weights.output) * norm(weights.hidden)).sum(-1)


def trained(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether output weights are parameters of their own."""
    return problem.network.output == "trained"


@hookimpl
def register_metrics(register: Any) -> None:
    over_neurons = ("seed", "time", "neuron")
    register("imbalance", Metric(each_frame(imbalance), over_neurons, "imbalance a² − |w|²", applies=trained))
    register("path_norm", Metric(each_frame(path_norm), ("seed", "time"), "path norm Σ s|a||w|"))
