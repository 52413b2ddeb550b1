"""An activation that no kernel knows: each refuses it by its name, and the array code runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from kernels import HostCudaProblem, host_library
from networks import network_of

from twolayer import Activation, EmpiricalProblem, FiniteData, PopulationProblem, Problem, Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.errors import TrainingError
from twolayer.finite.numba_descent import CompiledProblem
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.study.registry import load

MESSAGE = (
    r"knows activations of two slopes, not Cube; derive it from TwoSlope if it is linear on either side of 0"
)


@dataclass(frozen=True)
class Cube(Activation):
    """σ(z) = z³."""

    degree = 3.0

    def value(self, preactivation: Any) -> Any:
        """z³."""
        return preactivation**3

    def derivative(self, preactivation: Any) -> Any:
        """3z²."""
        return 3.0 * preactivation**2


NETWORK = network_of(4, Cube())
RANDOM = np.random.default_rng(0)
DATA = FiniteData(RANDOM.standard_normal((6, 3)), RANDOM.standard_normal(6))
TEACHER = Teacher(np.eye(2, 3), np.ones(2))
WEIGHTS = Weights(0.3 * RANDOM.standard_normal((2, 4, 3)), RANDOM.standard_normal((2, 4)))


def generators() -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(2)]


@pytest.mark.parametrize("kind", [CompiledPopulationProblem, HostCudaProblem])
def test_kernels_of_a_population_refuse_it(kind: Any) -> None:
    if kind is HostCudaProblem:
        host_library()
    with pytest.raises(TrainingError, match=MESSAGE):
        kind(TEACHER, NETWORK).descend(WEIGHTS, 0.1, 0.0, 3)


def test_kernels_of_finite_data_refuse_it() -> None:
    with pytest.raises(TrainingError, match="the kernel of descent on finite data " + MESSAGE):
        CompiledProblem(DATA, NETWORK).descend(WEIGHTS, 0.1, 0.0, 3)


@pytest.mark.parametrize(
    "problem", [CompiledProblem(DATA, NETWORK), CompiledPopulationProblem(TEACHER, NETWORK)]
)
def test_kernels_of_stochastic_descent_refuse_it(problem: Any) -> None:
    with pytest.raises(TrainingError, match=MESSAGE):
        problem.descend_on_batches(WEIGHTS, 0.1, 2, 3, generators())


@pytest.mark.parametrize("kind", [PopulationProblem, CompiledPopulationProblem])
def test_closed_forms_and_flows_of_a_population_refuse_it(kind: Any) -> None:
    problem = kind(TEACHER, NETWORK)
    one = Weights(WEIGHTS.hidden[0], WEIGHTS.output[0])
    for call in (
        lambda: problem.loss(WEIGHTS),
        lambda: problem.gradient(WEIGHTS),
        lambda: problem.hessian(WEIGHTS),
        lambda: problem.flow(one, np.array([0.0, 1.0]), 0.0, 1e-6, 0.0),
    ):
        with pytest.raises(TrainingError, match=MESSAGE):
            call()


def test_the_array_code_of_finite_data_runs_it_and_so_does_the_compiled_backend() -> None:
    """Where a backend has no kernel for it, its problem is that of the array code."""
    backend = load(kinds=["backends"]).find("backends", "numba").plugin
    problem = backend.accelerate(EmpiricalProblem(DATA, NETWORK), 1)
    assert type(problem) is EmpiricalProblem
    end = problem.descend(WEIGHTS, 0.01, 0.0, 5)
    state = WEIGHTS
    for _ in range(5):
        slope = problem.gradient(state)
        state = Weights(state.hidden - 0.01 * slope.hidden, state.output - 0.01 * slope.output)
    np.testing.assert_allclose(end.hidden, state.hidden, rtol=1e-14)
    assert isinstance(problem, Problem)


def test_metrics_of_masses_are_not_for_it() -> None:
    path = Trajectory(
        Clock(np.zeros(1)),
        Weights(WEIGHTS.hidden[:, None], WEIGHTS.output[:, None]),
        np.full(1, 0.1),
        np.full(2, -1),
    )
    metrics = load(kinds=["metrics"])
    trained, relu = PopulationProblem(TEACHER, NETWORK), PopulationProblem(TEACHER, network_of(4))
    for name in [
        "imbalance", "path_norm", "mass", "teacher_mass", "carrying_directions", "teacher_deficit", "group_imbalance",
        "residual_norm", "average_neuron_residual", "r1_norm", "r2_norm", "certificate_maximum", "suboptimality",
        "descent_direction",
    ]:  # fmt: skip
        metric = metrics.find("metrics", name).plugin
        assert metric.applies(relu, path), name
        assert not metric.applies(trained, path), name
    leaky = EmpiricalProblem(DATA, network_of(4, "leaky_relu"))
    for name in [
        "covering_neurons",
        "blind_exponent",
    ]:  # which neurons see a sample: σ is flat on the other side
        metric = metrics.find("metrics", name).plugin
        assert metric.applies(EmpiricalProblem(DATA, network_of(4)), path), name
        assert not metric.applies(leaky, path), name
