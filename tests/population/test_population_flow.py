"""Gradient flow on a teacher: long horizons, order of the tolerance, conserved quantities, and exact solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of, of_two_slopes
from numba import njit
from scipy.integrate import solve_ivp

import twolayer
from twolayer import PopulationProblem, Teacher, Weights
from twolayer.errors import TrainingError
from twolayer.population.numba_flow import CompiledOdeSystem
from twolayer.population.numba_stages import fill_velocities
from twolayer.population.ode_system import OdeSystem


def experiment(**sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 1},
        "network": {"neurons": 2, "output": "fixed"},
        "initialization": {"name": "aligned", "projections": [[0.3, 0.7]], "angle": 0.3},
        "dynamics": {"name": "gradient_flow", "rtol": 1e-8},
        "times": {"start": 1.0, "stop": 1e8, "count": 161, "spacing": "log"},
        **sections,
    }


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_two_students_of_one_teacher_fall_as_the_third_power(share: float) -> None:
    """L T³ → (8π²/3)(h₁h₂/|v|²)²|v|² with h at the end (derived), at T = 1e8."""
    start = {"name": "aligned", "projections": [[share, 1 - share]], "angle": 0.3}
    dataset = twolayer.run(experiment(initialization=start, dynamics={"name": "gradient_flow"}))
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


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_a_start_too_small_for_floats_is_refused(output: str) -> None:
    start = {"name": "gaussian", "scale": 1e-200}
    with pytest.raises(TrainingError, match=r"seed number 0 has length .*e-200; .* from 1e-100 or above"):
        twolayer.run(experiment(network={"neurons": 2, "output": output}, initialization=start))


@pytest.mark.parametrize(("scale", "kept"), [(1e-9, True), (1e-50, False)])
def test_a_path_that_rounding_decides_is_marked(scale: float, kept: bool) -> None:
    """Two relu students turn to the mean of two teachers and part again, at a time that depends on how far apart they
    have stayed, relative to rounding. Up to the mark the loss at rtol = 1e-6 is that at rtol = 1e-10 to 1e-3, stated
    beforehand; beyond it, where floats do not hold the distance, it is not."""
    made = [
        twolayer.run(
            experiment(
                problem={"name": "gaussian_teacher", "dimension": 3, "teachers": 2},
                network={"neurons": 2, "output": "fixed"},
                initialization={"name": "gaussian", "scale": scale},
                dynamics={"name": "gradient_flow", "rtol": rtol},
                times={"values": [1.0, 4.0, 10.0, 20.0, 50.0]},
                seeds=2,
            )
        )
        for rtol in (1e-6, 1e-10)
    ]
    until = made[0]["path_trusted_until"]
    apart = np.abs(made[0]["loss"] / made[1]["loss"] - 1)
    assert float(apart.where(made[0]["time"] <= until).max()) < 1e-3
    assert (until == 50.0).all() if kept else (until < 50.0).all()
    assert (until >= 10.0).all()
    assert ("rounding decides" in made[0].attrs.get("notes", "")) is not kept
    if not kept:
        assert float(apart.isel(time=-1).min()) > 0.1


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
    np.testing.assert_allclose(dataset["teacher_deficit"].values[0, :, 0], exact, rtol=1e-6)


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
    problem = teacher.problem(network_of(3, "relu", output, output_scale=0.5))  # type: ignore[arg-type]
    hidden = 0.4 * random.standard_normal((3, 7))
    given = np.ones(3) if output == "fixed" else random.standard_normal(3)
    start = problem.network.with_tied_outputs(Weights(hidden, given))
    for decay in (0.0, 0.1):

        def velocity(_: float, y: Any, decay: float = decay) -> Any:
            state = problem.network.with_tied_outputs(Weights(y[:21].reshape(3, 7), y[21:]))
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


@njit
def fill_all(points: Any, law: Any, form: Any, out: Any) -> None:
    fill_velocities(points, law, form, out)


def stage_velocities(system: CompiledOdeSystem, states: Any) -> Any:
    """The velocities of up to eight states, as the stages of an implicit step have them."""
    lanes = states[np.minimum(np.arange(8), len(states) - 1)].T.reshape(-1)
    out = np.full_like(lanes, np.nan)
    fill_all(lanes, system.law, system.form, out)
    return out.reshape(-1, 8).T[: len(states)]


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("profile", ["none", "constant", "linear"])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@of_two_slopes
def test_compiled_velocity_and_jacobian_are_those_of_the_array_code(
    activation: Any, output: Any, profile: str, orthogonal: bool, near: bool
) -> None:
    random = np.random.default_rng(4)
    teachers = 2.0 * np.eye(3, 6) if orthogonal else random.standard_normal((3, 6))
    network = network_of(5, activation, output, output_scale=0.7)
    problem = PopulationProblem(Teacher(teachers, np.array([1.0, -0.5, 2.0]), profile), network)
    hidden = random.standard_normal((5, 6))
    if near:  # the grouped form, with forces of 1e-10 between groups
        hidden = teachers[[0, 1, 2, 0, 1]] * random.uniform(0.2, 0.8, (5, 1)) + 1e-5 * hidden
    if activation.even:
        hidden[::2] *= -1.0
    start = network.with_tied_outputs(Weights(hidden, random.standard_normal(5)))
    for decay in (0.0, 0.1):
        reference, compiled = OdeSystem(problem, start, decay), CompiledOdeSystem(problem, start, decay)
        state = reference.packed(start)
        for name in ("velocity", "jacobian"):
            expected = getattr(reference, name)(state)
            np.testing.assert_allclose(
                getattr(compiled, name)(state), expected, rtol=0, atol=4e-14 * np.abs(expected).max()
            )
        states = np.stack([state, state * (1.0 + 1e-7), state * 1.1])
        np.testing.assert_allclose(
            stage_velocities(compiled, states),
            [reference.velocity(each) for each in states],
            rtol=0,
            atol=4e-14 * np.abs(reference.velocity(states[2])).max(),
        )


def test_compiled_velocity_of_special_students() -> None:
    """0, parallel, antiparallel and equal students: as the array code, and no NaN."""
    problem = PopulationProblem(Teacher(np.eye(2, 4), np.ones(2)), network_of(5, "relu", "trained"))
    hidden = np.array([[0.0, 0, 0, 0], [2.0, 0, 0, 0], [-1.0, 0, 0, 0], [1.0, 1, 1, 0], [1.0, 1, 1, 0]])
    start = Weights(hidden, np.array([1.0, 0.5, 0.5, -1.0, 2.0]))
    reference, compiled = OdeSystem(problem, start, 0.0), CompiledOdeSystem(problem, start, 0.0)
    state = reference.packed(start)
    np.testing.assert_allclose(compiled.velocity(state), reference.velocity(state), atol=1e-14)
    np.testing.assert_allclose(
        stage_velocities(compiled, np.stack([state] * 7)), [reference.velocity(state)] * 7, atol=1e-14
    )
    np.testing.assert_allclose(compiled.jacobian(state), reference.jacobian(state), atol=1e-13)


def test_backends_agree_on_a_long_flow() -> None:
    times = {"start": 1.0, "stop": 1e6, "count": 13, "spacing": "log"}
    made = [twolayer.run(experiment(times=times), backend=backend)["loss"] for backend in ("numpy", "numba")]
    np.testing.assert_allclose(made[0], made[1], rtol=1e-7)


def test_students_that_reach_zero_wait_there() -> None:
    """Twelve heavy students of two teachers: one is driven into 0 in finite time, where forces jump. It waits there
    until a direction of descent opens, and the flow goes on, downhill."""
    dataset = twolayer.run(
        experiment(
            problem={"name": "gaussian_teacher", "dimension": 14, "teachers": 2},
            network={"neurons": 12, "output": "fixed"},
            initialization={"name": "gaussian", "scale": 0.3},
            dynamics={"name": "gradient_flow", "rtol": 1e-6},
            times={"values": [0.5, 1.0, 10.0, 100.0, 1000.0]},
        ),
        weights=True,
    )
    gone = (dataset["hidden"].isel(seed=0) == 0).all("feature").sum("neuron")
    assert gone.values.tolist() == [0, 1, 1, 0, 0, 0]
    assert (dataset["loss"].isel(seed=0).diff("time") < 0).all()
    assert float(dataset["loss"][0, -1]) < 1e-6


def test_how_far_weights_carry_the_loss_is_reported_and_marked() -> None:
    """To T = 1e14 with two rotated teachers: T⁻³ where the loss is trusted, lost digits where it is not."""
    vectors = [[0.6, 0.8, 0.0, 0.0], [0.48, -0.36, 0.8, 0.0]]
    dataset = twolayer.run(
        experiment(
            problem={"name": "gaussian_teacher", "dimension": 4, "vectors": vectors},
            network={"neurons": 4, "output": "fixed"},
            initialization={"name": "aligned", "projections": [[0.3, 0.7], [0.5, 0.5]], "angle": 0.3},
            times={"start": 1.0, "stop": 1e14, "count": 57, "spacing": "log"},
        )
    )
    until = float(dataset["trusted_until"][0])
    assert 1e7 < until < 1e11
    notes = dataset.attrs["notes"]
    assert "weights could be carried to time" in notes or "two digits of the loss up to time" in notes
    time, loss = dataset["time"].values[1:], dataset["loss"].values[0, 1:]
    slopes = np.diff(np.log(loss)) / np.diff(np.log(time))
    kept = (time[:-1] > 1e6) & (time[1:] <= until)
    assert np.abs(slopes[kept] + 3).max() < 0.02
    beyond = slopes[time[:-1] > 100 * until]
    assert not (np.abs(beyond + 3) < 0.02).all()  # NaN, or noise


def test_a_converged_flow_goes_on_to_its_horizon() -> None:
    """Fewer students than would slow it down: L falls to rounding by T = 100, and the flow to T = 1e8 is not lost."""
    dataset = twolayer.run(
        experiment(
            network={"neurons": 2, "output": "trained"},
            problem={"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
            initialization={"name": "aligned", "projections": [[0.5], [0.6]], "angle": 0.0},
            times={"values": [10.0, 1000.0, 1e8]},
        )
    )
    assert np.isfinite(dataset["loss"]).all()
    assert float(dataset["loss"][0, -1]) < 1e-28
    assert float(dataset["trusted_until"][0]) < 1000


def test_a_loss_of_float32_weights_is_trusted_less_far() -> None:
    times = {"start": 1.0, "stop": 1e6, "count": 25, "spacing": "log"}
    until = [
        float(twolayer.run(experiment(times=times, dtype=dtype))["trusted_until"][0])
        for dtype in ("float32", "float64")
    ]
    assert until[0] < 1e5 < until[1] == pytest.approx(1e6)


@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
@pytest.mark.parametrize("neurons", [2, 4])
def test_the_error_of_a_flow_is_estimated(neurons: int, rtol: float) -> None:
    """Against the flow at rtol = 1e-13: never a third of the truth at its largest, nor fifty times."""
    section = experiment(
        network={"neurons": neurons, "output": "fixed"},
        initialization={"name": "gaussian", "scale": 0.1},
        times={"start": 1.0, "stop": 1e3, "count": 13, "spacing": "log"},
        seeds=[3],
    )
    made = {
        tolerance: twolayer.run(
            section | {"dynamics": {"name": "gradient_flow", "rtol": tolerance}, "metrics": metrics}
        )
        for tolerance, metrics in ((rtol, ["flow_error"]), (1e-13, ["loss"]))
    }
    estimate = made[rtol]["flow_error"].values
    truth = np.abs(made[rtol]["loss"] / made[1e-13]["loss"] - 1).isel(seed=0).values
    assert estimate.shape == truth.shape
    assert truth.max() / 3 < estimate.max() < 50 * truth.max()
    assert (estimate > truth / 3).mean() > 0.8
    assert estimate.max() < 30 * rtol


def test_the_error_of_a_finite_flow_is_estimated() -> None:
    section = {
        "problem": {"name": "points", "inputs": [[1, 0.2], [0.1, 2]], "targets": [1, -1]},
        "network": {"neurons": 8},
        "initialization": {"name": "gaussian", "scale": 0.3},
        "times": {"values": [1.0, 2.0, 4.0]},
        "metrics": ["flow_error"],
        "seeds": 2,
    }
    made = [
        twolayer.run(section | {"dynamics": {"name": "gradient_flow", "rtol": rtol}}) for rtol in (1e-3, 1e-6)
    ]
    assert made[0]["flow_error"].dims == ("time",)
    assert 0 < float(made[1]["flow_error"].max()) < 1e-5
    assert float(made[1]["flow_error"].max()) < float(made[0]["flow_error"].max())
    descent = section | {"dynamics": {"name": "gradient_descent", "step_size": 0.1}}
    with pytest.raises(twolayer.errors.ConfigError, match="'flow_error' does not apply to any run"):
        twolayer.run(descent)


@pytest.mark.parametrize("rtol", [1e-15, 0.0, 1.0])
def test_tolerances_below_rounding_are_refused(rtol: float) -> None:
    with pytest.raises(twolayer.errors.ConfigError, match=r"dynamics.rtol: must lie in \[1e-14, 0.01\]"):
        twolayer.run(experiment(dynamics={"name": "gradient_flow", "rtol": rtol}))


def test_oblique_teachers_are_trusted_as_far_as_the_closed_form_has_digits() -> None:
    """The sum of terms of order one ends near 1e-16, as noise or as 0: no digits, and marked so."""
    dataset = twolayer.run(
        experiment(
            problem={"name": "gaussian_teacher", "dimension": 5, "angles": [0, 60]},
            initialization={"name": "aligned", "projections": [[0.8], [0.9]]},
            dynamics={"name": "gradient_descent", "step_size": 0.1},
            times={"start": 1.0, "stop": 2000.0, "count": 60, "spacing": "log"},
        )
    )
    loss, time = dataset["loss"].isel(seed=0).values, dataset["time"].values
    last = int(np.flatnonzero(time == float(dataset["trusted_until"][0]))[0])
    assert 1e-14 < loss[last] < 1e-11
    rate = np.diff(np.log(loss[last - 4 : last + 1])) / np.diff(time[last - 4 : last + 1])
    np.testing.assert_allclose(rate, rate[-1], rtol=0.03)  # still exponential: digits
    assert "two digits of the loss up to time" in dataset.attrs["notes"]


def test_what_happens_to_a_student_at_the_last_time_ends_the_flow() -> None:
    """The integrator's last step changes which students shrink: there is no further segment, of no length."""
    sections: dict[str, Any] = {
        "problem": {
            "name": "gaussian_teacher", "dimension": 2, "angles": [30, 90, 150], "coefficients": [1, -0.8, 1.2],
            "profile": "constant",
        },
        "network": {"neurons": 8, "activation": {"name": "leaky_relu", "slope": 0.2}},
        "initialization": {
            "name": "around_teachers", "shares": [0.5, 0.5], "angle": 0.2915, "background_neurons": 0.1,
            "background_signs": "random",
        },
        "dynamics": {"name": "gradient_flow", "rtol": 1e-4, "atol": 1e-13, "weight_decay": 0.1},
    }  # fmt: skip
    ended, later = (
        twolayer.run(experiment(**sections, times={"values": times}))
        for times in ([4000.0], [4000.0, 4100.0])
    )
    assert np.isfinite(ended["loss"]).all()
    assert ended["loss"].sel(time=4000.0).item() == pytest.approx(
        later["loss"].sel(time=4000.0).item(), rel=1e-5
    )
