"""The compiled integrator of gradient flow on a teacher: its tables, its order, and its agreement with scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of

import twolayer
from twolayer import Teacher, Weights
from twolayer.population import numba_flow
from twolayer.population.flow import population_flow
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.population.numba_flow import CompiledOdeSystem
from twolayer.population.ode_system import OdeSystem
from twolayer.population.radau_tables import radau


@pytest.mark.parametrize("stages", [3, 5, 7])
def test_radau_tables_fulfil_the_order_conditions(stages: int) -> None:
    """C(s), B(2s − 1), the diagonal form of the equations, and the embedded estimate of order s."""
    table = radau(stages)
    c, matrix = table.nodes[1:], np.linalg.inv(table.slopes)
    for power in range(1, 2 * stages):
        assert matrix[-1] @ c ** (power - 1) == pytest.approx(1 / power, abs=1e-14)
        if power <= stages:
            np.testing.assert_allclose(matrix @ c ** (power - 1), c**power / power, atol=1e-14)
            np.testing.assert_allclose(table.errors @ c**power, float(power == 1), atol=1e-11)
    blocks = np.zeros((stages, stages))
    blocks[0, 0] = table.real
    for index, (real, imaginary) in enumerate(table.pairs):
        first = 2 * index + 1
        blocks[first : first + 2, first : first + 2] = [[real, imaginary], [-imaginary, real]]
    np.testing.assert_allclose(table.vectors @ blocks @ table.inverse, table.slopes, atol=1e-11)


def one_student(rtol: float) -> float:
    """The error at t = 3 of m = k = 1 along the teacher: w = v + (w₀ − v) e^(−t/2)."""
    problem = CompiledPopulationProblem(Teacher(np.eye(1, 2), np.ones(1)), network_of(1, "relu", "fixed"))
    path = problem.flow(Weights(np.array([[0.2, 0.0]]), np.ones(1)), np.array([0.0, 3.0]), 0.0, rtol, 0.0)
    return float(abs(path.hidden[-1, 0, 0] - (1.0 - 0.8 * np.exp(-1.5))))


def test_the_error_of_a_known_solution_is_below_the_tolerance() -> None:
    for rtol in (1e-4, 1e-7, 1e-10, 1e-13):
        assert one_student(rtol) < rtol


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_both_integrators_agree(decay: float, output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of 3, 5 and 7 stages and scipy's.

    Nine students of two teachers that are not orthogonal, which LAPACK decomposes: to 1e-7 at rtol = 1e-10."""
    random = np.random.default_rng(5)
    teacher = Teacher(random.standard_normal((2, 4)), np.array([1.0, -0.6]))
    network = network_of(9, "abs", output)
    start = network.with_tied_outputs(
        Weights(0.5 * random.standard_normal((9, 4)), 0.7 * random.standard_normal(9))
    )
    if output == "fixed":
        start = Weights(start.hidden, np.ones(9))
    times = np.array([0.0, 0.3, 2.0, 20.0])
    problem = CompiledPopulationProblem(teacher, network)
    wanted = population_flow(ByScipy(problem, start, decay), times, 1e-10, 0.0)
    for stages in (3, 5, 7):
        monkeypatch.setattr(numba_flow, "STAGES", stages)
        found = population_flow(CompiledOdeSystem(problem, start, decay), times, 1e-10, 0.0)
        np.testing.assert_allclose(found.hidden, wanted.hidden, rtol=0, atol=1e-7)


class ByScipy(CompiledOdeSystem):
    """The compiled velocity and Jacobian, with scipy's integrator."""

    integrator = OdeSystem.integrator


def test_saved_times_do_not_change_the_path() -> None:
    """Frames lie on the polynomials of steps that are the same whatever is saved."""
    problem = CompiledPopulationProblem(Teacher(np.eye(2, 4), np.ones(2)), network_of(3, "relu", "fixed"))
    start = Weights(np.random.default_rng(1).standard_normal((3, 4)), np.ones(3))
    few = problem.flow(start, np.array([0.0, 50.0]), 0.0, 1e-9, 0.0)
    many = problem.flow(start, np.linspace(0.0, 50.0, 101), 0.0, 1e-9, 0.0)
    np.testing.assert_array_equal(few.hidden[-1], many.hidden[-1])
    loss = problem.loss(Weights(many.hidden, many.output))
    assert (np.diff(loss) < 0).all()


def test_flows_do_not_depend_on_the_number_of_threads() -> None:
    """Same bytes of all seeds on one thread and on several."""
    made = []
    for threads in (1, 3):
        made.append(
            twolayer.run(
                {
                    "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
                    "network": {"neurons": 4, "output": "trained"},
                    "initialization": {"name": "gaussian", "scale": 0.3},
                    "dynamics": {"name": "gradient_flow"},
                    "times": {"values": [1.0, 10.0, 100.0]},
                    "seeds": 5,
                },
                weights=True,
                threads=threads,
            )
        )
    np.testing.assert_array_equal(made[0]["hidden"].values, made[1]["hidden"].values)


def test_a_student_at_zero_is_left_out_of_the_equations() -> None:
    """Students of more than the teacher's mass keep the second at 0, which no rounding of the eigenvectors moves."""
    problem = CompiledPopulationProblem(Teacher(np.eye(1, 6), np.ones(1)), network_of(4, "relu", "fixed"))
    hidden = 3.0 * np.random.default_rng(2).standard_normal((4, 6))
    hidden[1] = 0.0
    system = CompiledOdeSystem(problem, Weights(hidden, np.ones(4)), 0.0)
    path = population_flow(system, np.array([0.0, 0.1, 0.2]), 1e-9, 0.0, np.ones(4, dtype=bool))
    assert (path.hidden[:, 1] == 0).all()
    assert (path.hidden[1:, 0] != hidden[0]).all()


@pytest.mark.parametrize("output", ["tied", "trained", "fixed"])
def test_equal_students_stay_equal(output: str) -> None:
    """Solutions are unique: equal students act as one, and come to rest on the bisector of two teachers, a saddle that
    only rounding could let them leave."""
    run = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 2, "angles": [0, 40]},
            "network": {"neurons": 4, "activation": "abs", "output": output},
            "initialization": {"name": "identical", "scale": 0.3},
            "dynamics": {"name": "gradient_flow", "rtol": 1e-8},
            "times": {"start": 1, "stop": 200, "count": 20, "spacing": "log"},
            "seeds": 4,
            "metrics": ["loss", "gradient_norm"],
        },
        weights=True,
    )
    assert (run["hidden"] == run["hidden"].isel(neuron=0)).all()
    assert (run["output"] == run["output"].isel(neuron=0)).all()
    assert (run["gradient_norm"].isel(time=-1) < 1e-10).all()
    assert (run["loss"].isel(time=-1) > 0.01).all()
