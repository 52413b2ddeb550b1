"""Starts near teachers, starts from other runs, and what is measured of students and teachers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import network_of

import twolayer
from twolayer import Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.errors import ConfigError, DataError
from twolayer.storage.contents import pack_trajectory
from twolayer.storage.netcdf import read, write
from twolayer.study.registry import load

PLUGINS = load(kinds=["initializations", "metrics"])
RANDOM = np.random.default_rng(0)


def aligned(**fields: Any) -> Any:
    return PLUGINS.find("initializations", "aligned").plugin(**fields)


def experiment(**sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
        "network": {"neurons": 5, "output": "fixed"},
        "initialization": {"name": "aligned", "projections": [[0.3, 0.7], [0.2, 0.3, 0.4]], "angle": 0.3},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 10]},
        **sections,
    }


def test_aligned_students_stand_where_asked() -> None:
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((7, 7)))[0][:2]
    data = Teacher(2.0 * axes, np.ones(2))
    start = aligned(projections=[[0.3, 0.7], [0.1, 0.2, 0.3, 0.4]], angle=0.2)
    hidden = start.draw(data, network_of(6), RANDOM).hidden
    np.testing.assert_allclose(hidden[:2] @ axes[0], [0.3, 0.7], atol=1e-15)
    np.testing.assert_allclose(hidden[2:] @ axes[1], [0.1, 0.2, 0.3, 0.4], atol=1e-15)
    rest = hidden - hidden @ axes.T @ axes
    for group, mean in ((rest[:2], 0.5), (rest[2:], 0.25)):
        np.testing.assert_allclose(group.sum(0), 0, atol=1e-15)
        np.testing.assert_allclose(np.linalg.norm(group, axis=1), np.tan(0.2) * mean)
    between = rest[2:] @ rest[2:].T  # a regular simplex
    np.testing.assert_allclose(between[~np.eye(4, dtype=bool)], between[0, 1])
    np.testing.assert_allclose(hidden[2:] @ axes[0], 0, atol=1e-15)


def test_aligned_uses_what_the_dimension_allows() -> None:
    data = Teacher(np.eye(2), np.ones(2))
    start = aligned(projections=[[0.5, 0.5], [0.5, 0.5]], angle=0.1)
    hidden = start.draw(data, network_of(4), RANDOM).hidden
    np.testing.assert_allclose(np.abs(hidden[:2, 1]), 0.5 * np.tan(0.1))
    assert aligned(projections=[[1.0], [1.0]], angle=0.3).draw(
        data, network_of(2), RANDOM
    ).hidden.tolist() == [
        [1.0, 0.0],
        [0.0, 1.0],
    ]
    # along axes, small parts are exact
    tiny = aligned(projections=[[0.3, 0.7]], angle=1e-14).draw(
        Teacher(np.eye(3)[:1], np.ones(1)), network_of(2), RANDOM
    )
    np.testing.assert_allclose(np.abs(tiny.hidden[:, 1]), 0.5e-14, rtol=1e-15)


BAD = {
    "neurons": ({"projections": [[1.0], [1.0]]}, "2 students for 5 neurons"),
    "teachers": ({"projections": [[1, 1, 1, 1, 1]]}, "1 list for 2 teachers"),
    "angle": ({"projections": [[1, 1], [1, 1, 1]], "angle": 1.6}, "must lie in"),
    "none": ({"projections": []}, "at least one student"),
    "against the teacher": (
        {"projections": [[0.5, -0.5], [1, 1, 1]], "angle": 0.1},
        r"\[0\] has a sum of 0\.0",
    ),
    "not a number": ({"projections": [[0.5, float("nan")], [1, 1, 1]]}, "must be finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_alignments_are_reported(case: str) -> None:
    section, message = BAD[case]
    with pytest.raises(ConfigError, match=message):
        twolayer.run(experiment(initialization={"name": "aligned", **section}))


def test_gaussian_weights_have_the_law_they_are_said_to_have() -> None:
    """Mean, standard deviation and kurtosis of 2e5 coordinates, and fair signs, within 4 standard errors."""
    gaussian = PLUGINS.find("initializations", "gaussian").plugin
    data, network = Teacher(np.eye(500)[:1], np.ones(1)), network_of(400)
    weights = gaussian(scale=0.3).weights(data, network, np.random.default_rng(1), 0)
    standard = weights.hidden / 0.3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        error = np.sqrt(variance / standard.size)
        assert abs((standard**power).mean() - moment) < 4 * error
    between = standard @ standard.T / 500  # neurons are independent
    assert np.abs(between - np.eye(400)).max() < 6 * np.sqrt(2 / 500)
    assert abs((weights.output / 0.3).std() - 1) < 4 / np.sqrt(2 * 400)
    balanced = gaussian(scale=1e-150, balanced=True).weights(data, network, np.random.default_rng(1), 0)
    np.testing.assert_allclose(
        np.abs(balanced.output), np.linalg.norm(balanced.hidden * 1e150, axis=1) * 1e-150
    )
    assert abs(np.sign(balanced.output).mean()) < 4 / np.sqrt(400)
    again = gaussian(scale=0.3).weights(data, network, np.random.default_rng(1), 0)
    np.testing.assert_array_equal(again.hidden, weights.hidden)


def test_identical_students_are_one_and_stay_one() -> None:
    """Equal at the start, seed by seed, of the law of one Gaussian student, and equal to the bit while they learn."""
    identical = PLUGINS.find("initializations", "identical").plugin(scale=0.2)
    drawn = identical.draw(
        Teacher(np.eye(1000)[:1], np.ones(1)), network_of(3), np.random.default_rng(0)
    ).hidden
    assert (drawn == drawn[0]).all()
    assert abs(drawn[0].std() / 0.2 - 1) < 4 / np.sqrt(2000)
    dataset = twolayer.run(
        experiment(initialization={"name": "identical", "scale": 0.2}, seeds=2, times={"steps": [1, 300]}),
        weights=True,
    )
    hidden = dataset["hidden"]
    assert float(np.abs(hidden - hidden.isel(neuron=0)).max()) == 0
    assert float(np.abs(hidden.isel(seed=0) - hidden.isel(seed=1)).isel(time=0).min()) > 0
    with pytest.raises(ConfigError, match="must be above 0"):
        twolayer.run(experiment(initialization={"name": "identical", "scale": 0}))


def test_alignment_needs_teachers_and_room() -> None:
    points = {"name": "points", "inputs": [[1.0, 2.0]], "targets": [1.0]}
    with pytest.raises(ConfigError, match="only a problem with teachers"):
        twolayer.run(experiment(problem=points))
    start = {"name": "aligned", "projections": [[1, 1, 1, 1, 1]], "angle": 0.1}
    small = {"name": "gaussian_teacher", "dimension": 3, "teachers": 1}
    with pytest.raises(ConfigError, match="need 4 directions"):
        twolayer.run(experiment(problem=small, initialization=start))


def test_a_run_goes_on_where_another_was(tmp_path: Path) -> None:
    """Ten steps and ten more are twenty, seed by seed."""
    gaussian = {"name": "gaussian", "scale": 0.1}
    whole = twolayer.run(
        experiment(initialization=gaussian, seeds=[4, 7], times={"steps": [10, 20]}), weights=True
    )
    clock = Clock(whole["time"].values, whole["step"].values)
    path = Trajectory(
        clock, Weights(whole["hidden"].values, whole["output"].values), np.zeros(3), np.full(2, -1)
    )
    write(tmp_path / "trajectory.nc", pack_trajectory(path, [4, 7]), {})
    start = {"name": "trajectory", "path": str(tmp_path / "trajectory.nc"), "time": 1.0}
    rest = twolayer.run(experiment(initialization=start, seeds=[7, 4], times={"steps": [10]}), weights=True)
    np.testing.assert_array_equal(
        rest["hidden"].isel(time=-1).values, whole["hidden"].isel(time=-1).values[::-1]
    )
    with pytest.raises(DataError, match=r"nearest is 1\.0"):
        twolayer.run(experiment(initialization={**start, "time": 0.95}, seeds=[7]))
    with pytest.raises(ConfigError, match="there is no file"):
        twolayer.run(experiment(initialization={**start, "path": str(tmp_path / "none.nc")}, seeds=[7]))
    with pytest.raises(DataError, match=r"has the seeds \[4, 7\], not 5"):
        twolayer.run(experiment(initialization=start, seeds=[5]))
    with pytest.raises(DataError, match="this run has"):
        twolayer.run(experiment(initialization=start, seeds=[4], network={"neurons": 3}))
    file = tmp_path / "other.nc"
    variables, _ = read(tmp_path / "trajectory.nc")
    write(file, {"time": variables["time"]}, {})
    with pytest.raises(DataError, match="no variable 'hidden'"):
        twolayer.run(experiment(initialization={**start, "path": str(file)}, seeds=[4]))


def measured(name: str, hidden: Any, activation: str = "relu", output: Any = None) -> Any:
    """A metric of one moment of one seed."""
    hidden = np.asarray(hidden, dtype=float)[None, None]
    given = np.ones(hidden.shape[:3]) if output is None else np.asarray(output, dtype=float)[None, None]
    teacher = Teacher(np.array([[2.0, 0, 0], [0, 1.0, 0]]), np.array([1.0, 1.0]))
    network = network_of(hidden.shape[2], activation, "fixed")  # type: ignore[arg-type]
    path = Trajectory(Clock(np.zeros(1)), Weights(hidden, given), np.zeros(1), np.full(1, -1))
    metric = PLUGINS.find("metrics", name).plugin
    assert metric.applies(teacher.problem(network), path)
    return metric.measure(teacher.problem(network), path)[0, 0]


STUDENTS = [[1.0, 0.1, 0.0], [0.1, -0.5, 0.0], [0.0, 0.2, 0.2], [0.0, 0.0, 0.0]]


def test_angles_and_closest_teachers() -> None:
    np.testing.assert_array_equal(measured("closest_teacher", STUDENTS), [0, 0, 1, -1])
    wanted = [np.arctan(0.1), np.arctan2(0.5, 0.1), np.pi / 4, np.nan]
    np.testing.assert_allclose(measured("teacher_angle", STUDENTS), wanted, rtol=1e-14)
    np.testing.assert_array_equal(measured("closest_teacher", STUDENTS, "abs"), [0, 1, 1, -1])
    assert measured("teacher_angle", STUDENTS, "abs")[1] == pytest.approx(np.arctan(0.2))
    assert measured("teacher_angle", [[1.0, 1e-12, 0.0]])[0] == pytest.approx(1e-12, rel=1e-14)


def test_projection_growth_and_residual() -> None:
    np.testing.assert_allclose(measured("projection", STUDENTS), [1.0, 0.1, 0.2, np.nan])
    np.testing.assert_allclose(measured("projection", STUDENTS, "abs"), [1.0, 0.5, 0.2, np.nan])
    np.testing.assert_allclose(measured("teacher_deficit", STUDENTS), [0.9, 0.8])
    np.testing.assert_allclose(
        measured("teacher_deficit", STUDENTS, output=[2.0, 1.0, -1.0, 1.0]), [-0.1, 1.2]
    )
    r = np.array([1.1 - 2, 0.1 - 0.5 + 0.2 - 1, 0.2])
    assert measured("residual_norm", STUDENTS) == pytest.approx(np.linalg.norm(r))


def test_imbalance_of_groups() -> None:
    """0 where a group shares equally, m − 1 where one student has all, small ones to all digits."""
    np.testing.assert_allclose(measured("group_imbalance", STUDENTS), [2 * 1.01 / 1.1**2 - 1, 0], rtol=1e-14)
    apart = [[1.0, 0.1, 0.0], [1.0 + 1e-9, -0.2, 0.0], [1e-300, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert measured("group_imbalance", apart[:2])[0] == pytest.approx(0.25e-18, rel=1e-6)
    assert np.isnan(measured("group_imbalance", apart)[1])
    np.testing.assert_allclose(measured("group_imbalance", [apart[0], apart[2]])[0], 1.0)


def test_all_angles_and_norms() -> None:
    angles = measured("teacher_angles", STUDENTS)
    np.testing.assert_allclose(angles.min(-1), measured("teacher_angle", STUDENTS))
    np.testing.assert_allclose(angles[0], [np.arctan(0.1), np.pi / 2 - np.arctan(0.1)])
    np.testing.assert_allclose(angles[2], [np.pi / 2, np.pi / 4])
    np.testing.assert_allclose(measured("hidden_norm", STUDENTS), np.linalg.norm(STUDENTS, axis=1))


def test_growth_below_what_weights_carry_is_not_printed() -> None:
    grown = measured("teacher_deficit", [[2.0 - 4e-16, 0, 0], [0, 1.0 - 1e-14, 0]])
    assert np.isnan(grown[0])
    assert grown[1] == pytest.approx(1e-14, rel=0.05)


def test_spread_is_of_each_group_beside_its_teacher() -> None:
    """Against the sum over pairs, one by one; heights along the teacher do not count."""
    hidden = [*STUDENTS[:3], [5.0, 0.1, 0.3], [0.1, 1.0, 0.7]]
    orthogonal = [[(0.1, 0.0), (-0.5, 0.0), (0.1, 0.3)], [(0.0, 0.2), (0.1, 0.7)]]
    wanted = [
        sum(np.hypot(a[0] - b[0], a[1] - b[1]) for a, b in itertools.combinations(group, 2))
        for group in orthogonal
    ]
    np.testing.assert_allclose(measured("spread", hidden), wanted, rtol=1e-14)
    np.testing.assert_array_equal(measured("spread", STUDENTS)[1], 0)  # one student; w = 0 is in no group
    turned = np.array(hidden) * [[1], [1], [-1], [-1], [1]]
    by_size = measured("spread", turned, "abs")  # the second is closest to the other teacher, up to sign
    np.testing.assert_allclose(by_size[0], np.hypot(0.0, 0.3), rtol=1e-14)
    np.testing.assert_allclose(measured("spread", np.array(hidden), "abs"), by_size, rtol=1e-14)


def test_spread_keeps_small_parts_beside_axes_and_tells_of_noise_elsewhere() -> None:
    hidden = [[1.0, 1e-20, 0.0], [0.5, -1e-20, 0.0]]
    assert measured("spread", hidden)[0] == pytest.approx(2e-20, rel=1e-14)
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    network = network_of(2, "relu", "fixed")
    metric = PLUGINS.find("metrics", "spread").plugin

    def of(hidden: Any) -> Any:
        path = Trajectory(
            Clock(np.zeros(1)), Weights(hidden[None, None], np.ones((1, 1, 2))), np.zeros(1), np.full(1, -1)
        )
        return metric.measure(Teacher(turn[:1], np.ones(1)).problem(network), path)[0, 0, 0]

    assert np.isnan(of(np.array(hidden) @ turn))
    assert of(np.array([[1.0, 1e-12, 0.0], [0.5, -1e-12, 0.0]]) @ turn) == pytest.approx(2e-12, rel=1e-3)
    assert np.isnan(of(np.full((2, 3), np.nan)))


def test_teachers_are_measured_where_there_are_some() -> None:
    names = {"teacher_angle", "closest_teacher", "projection", "teacher_deficit", "residual_norm"}
    assert names <= set(twolayer.run(experiment()))
    points = {"name": "points", "inputs": [[1.0, 2.0]], "targets": [1.0]}
    finite = experiment(problem=points, initialization={"name": "gaussian", "scale": 1.0})
    assert names & set(twolayer.run(finite)) == set()
    assert "residual_norm" not in twolayer.run(experiment(network={"neurons": 5, "activation": "abs"}))


def test_sharpness_bounds_the_step() -> None:
    """Near the minimum a descent converges below 2/sharpness and not above."""
    start = {"name": "aligned", "projections": [[0.9], [0.9]]}
    base = experiment(initialization=start, network={"neurons": 2, "output": "fixed"}, metrics=["sharpness"])
    limit = 2 / float(twolayer.run(base)["sharpness"].isel(seed=0, time=-1))
    final = [
        float(
            twolayer.run(
                {
                    **base,
                    "dynamics": {"name": "gradient_descent", "step_size": factor * limit},
                    "times": {"steps": [400]},
                }
            )["loss"].isel(seed=0, time=-1)
        )
        for factor in (0.95, 1.1)
    ]
    assert final[0] < 1e-10
    assert final[1] > 1e-4
