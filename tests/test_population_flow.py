"""Gradient flow on a teacher: long horizons, order of the tolerance, conserved quantities, and exact solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import twolayer
from twolayer import Network, Teacher, Weights


def experiment(**sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 1},
        "network": {"neurons": 2, "output": "fixed"},
        "initialization": {"name": "aligned", "projections": [[0.3, 0.7]], "angle": 0.3},
        "dynamics": {"name": "gradient_flow", "rtol": 1e-7},
        "times": {"start": 1.0, "stop": 1e8, "count": 161, "spacing": "log"},
        **sections,
    }


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_two_students_of_one_teacher_fall_as_the_third_power(share: float) -> None:
    """L T³ → (8π²/3)(h₁h₂/|v|²)²|v|² with h at the end (derived), at T = 1e8."""
    start = {"name": "aligned", "projections": [[share, 1 - share]], "angle": 0.3}
    dataset = twolayer.run(experiment(initialization=start))
    time, loss = dataset["time"].values[1:], dataset["loss"].values[0, 1:]
    late = time >= 1e7 * (1 - 1e-12)
    slopes = np.diff(np.log(loss[late])) / np.diff(np.log(time[late]))
    assert np.abs(slopes + 3).max() < 0.002
    h = dataset["projection"].isel(seed=0, time=-1).values
    assert loss[-1] * time[-1] ** 3 == pytest.approx(8 * np.pi**2 / 3 * h.prod() ** 2, rel=1e-3)
    assert abs(h.sum() - 1) < 1e-12


def test_groups_of_orthogonal_teachers_fall_each_by_its_own_constant() -> None:
    """Three teachers, six students, to T = 1e8: L T³ → Σ_l C_l (derived; groups decouple at leading order)."""
    teachers = {"name": "gaussian_teacher", "dimension": 9, "teachers": 3}
    groups = [[0.5, 0.5], [0.3, 0.7], [0.4, 0.6]]
    dataset = twolayer.run(
        experiment(
            problem=teachers,
            network={"neurons": 6, "output": "fixed"},
            initialization={"name": "aligned", "projections": groups, "angle": 0.3},
        )
    )
    time, loss = dataset["time"].values[1:], dataset["loss"].values[0, 1:]
    late = time >= 1e7 * (1 - 1e-12)
    slopes = np.diff(np.log(loss[late])) / np.diff(np.log(time[late]))
    assert np.abs(slopes + 3).max() < 0.002
    h = dataset["projection"].isel(seed=0, time=-1).values.reshape(3, 2)
    constant = 8 * np.pi**2 / 3 * (h.prod(axis=1) ** 2).sum()
    assert loss[-1] * time[-1] ** 3 == pytest.approx(constant, rel=1e-3)


def test_norms_of_the_teacher_enter_the_constant() -> None:
    teacher = {"name": "gaussian_teacher", "dimension": 5, "teachers": 1, "norms": 2.0}
    start = {"name": "aligned", "projections": [[0.8, 1.2]], "angle": 0.3}
    dataset = twolayer.run(experiment(problem=teacher, initialization=start))
    h = dataset["projection"].isel(seed=0, time=-1).values
    constant = 8 * np.pi**2 / 3 * (h.prod() / 4) ** 2 * 4
    assert float(dataset["loss"][0, -1]) * 1e24 == pytest.approx(constant, rel=1e-3)


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_starts_of_scale_1e_minus_14_are_carried(output: str) -> None:
    dataset = twolayer.run(
        experiment(
            network={"neurons": 3, "output": output},
            initialization={"name": "gaussian", "scale": 1e-14, "balanced": output == "trained"},
            times={"start": 1.0, "stop": 1e8, "count": 17, "spacing": "log"},
        ),
        weights=True,
    )
    loss = dataset["loss"].isel(seed=0).values
    assert np.isfinite(loss).all()
    positive = (dataset["output"].isel(seed=0, time=0) > 0).any()
    if positive:  # otherwise no student can grow
        assert loss[-1] < 1e-15
    assert (np.diff(loss) <= 1e-12).all()


def test_alone_a_student_converges_exponentially() -> None:
    """m = k = 1, along the teacher: dh/dt = (|v| − h)/2."""
    start = {"name": "aligned", "projections": [[0.25]]}
    dataset = twolayer.run(
        experiment(
            network={"neurons": 1, "output": "fixed"},
            initialization=start,
            dynamics={"name": "gradient_flow", "rtol": 1e-9},
            times={"values": [1.0, 2.0, 8.0]},
        )
    )
    exact = 0.75 * np.exp(-0.5 * dataset["time"].values)
    np.testing.assert_allclose(dataset["growth"].values[0, :, 0], exact, rtol=1e-6)


def test_balance_is_conserved() -> None:
    dataset = twolayer.run(
        experiment(
            network={"neurons": 4, "output": "trained"},
            problem={"name": "gaussian_teacher", "dimension": 12, "angles": [0.0, 70.0]},
            initialization={"name": "gaussian", "scale": 0.5},
            dynamics={"name": "gradient_flow", "rtol": 1e-9},
            times={"values": [1.0, 10.0]},
            seeds=2,
        )
    )
    balance = dataset["imbalance"]
    assert float(np.abs(balance - balance.isel(time=0)).max()) < 1e-7


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_another_integrator_agrees(output: str) -> None:
    """An explicit method of order 8 on the plain gradient in all dimensions, with and without weight decay."""
    random = np.random.default_rng(2)
    teacher = Teacher(np.array([[1.0, 0, 0, 0, 0, 0, 0], [0.4, 0.8, 0, 0, 0, 0, 0]]), np.array([1.0, -0.5]))
    problem = teacher.problem(Network(3, "relu", output, output_scale=0.5))  # type: ignore[arg-type]
    hidden = 0.4 * random.standard_normal((3, 7))
    given = np.ones(3) if output == "fixed" else random.standard_normal(3)
    start = problem.network.closed(Weights(hidden, given))
    for decay in (0.0, 0.1):

        def velocity(_: float, y: Any, decay: float = decay) -> Any:
            state = problem.network.closed(Weights(y[:21].reshape(3, 7), y[21:]))
            slope = problem.gradient(state, decay)
            return -np.concatenate([slope.hidden.ravel(), slope.output])

        y = np.concatenate([start.hidden.ravel(), start.output])
        exact = solve_ivp(velocity, (0, 5), y, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        errors = []
        for rtol in (1e-5, 1e-9):
            path = problem.flow(start, np.array([0.0, 1.3, 5.0]), decay, rtol, 0.0)
            assert path.hidden.shape == (3, 3, 7)
            errors.append(np.abs(path.hidden[-1].ravel() - exact[:21]).max())
        assert errors[1] < 2e-8
        assert errors[1] < errors[0] < 1e-3


def test_a_schedule_of_weight_decay_is_pieces() -> None:
    decay = {"values": [0.1, 0.0], "until": [2.0]}
    whole = experiment(
        dynamics={"name": "gradient_flow", "weight_decay": decay}, times={"values": [1.0, 2.0, 4.0]}
    )
    first = experiment(dynamics={"name": "gradient_flow", "weight_decay": 0.1}, times={"values": [1.0, 2.0]})
    made, part = twolayer.run(whole, weights=True), twolayer.run(first, weights=True)
    np.testing.assert_allclose(made["hidden"][:, :3], part["hidden"], rtol=1e-9, atol=1e-12)
    assert (made["objective"][:, 1] > made["loss"][:, 1]).all()
    assert (made["objective"][:, 3] == made["loss"][:, 3]).all()
    again = twolayer.run(
        experiment(dynamics={"name": "gradient_flow"}, times={"values": [1.0, 2.0, 4.0]}), weights=True
    )
    assert float(np.abs(again["hidden"][:, 3] - made["hidden"][:, 3]).max()) > 1e-3


def test_dimensions_do_not_matter() -> None:
    few = twolayer.run(experiment(times={"values": [1.0, 100.0]}))
    wide = {"name": "gaussian_teacher", "dimension": 2000, "teachers": 1}
    many = twolayer.run(experiment(problem=wide, times={"values": [1.0, 100.0]}))
    np.testing.assert_allclose(many["loss"], few["loss"], rtol=1e-6)
