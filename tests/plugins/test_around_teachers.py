"""Students around teachers, and the progress of the gradient towards them, against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from networks import network_of
from scipy import stats

from twolayer import Network, Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.population.closed_form import angles, unit
from twolayer.study.registry import load

REGISTRY = load(kinds=["initializations", "metrics", "problems"])
AroundTeachers: Any = REGISTRY.find("initializations", "around_teachers").plugin
GaussianTeacher: Any = REGISTRY.find("problems", "gaussian_teacher").plugin
DIRECTION = REGISTRY.find("metrics", "descent_progress").plugin
TEACHERS = Teacher(np.array([[1.0, 0.0, 0.0, 0.0], [0.3, 1.2, 0.0, 0.0]]), np.array([1.0, 0.7]))


def drawn(start: Any, network: Network, seed: int = 0, teacher: Teacher = TEACHERS) -> Weights:
    weights: Weights = start.draw(teacher, network, np.random.default_rng(seed))
    return weights


def contributions(weights: Weights, network: Network) -> Any:
    """s a_j w_j, turned towards the nearest teacher for |·|, and the teacher's index."""
    cosine = unit(weights.hidden) @ unit(TEACHERS.hidden).T
    teacher_of = np.abs(cosine).argmax(-1)
    turned = np.where(np.take_along_axis(cosine, teacher_of[:, None], 1) < 0, -1.0, 1.0)
    if not network.activation.even:
        turned = np.ones_like(turned)
    return network.scale * weights.output[:, None] * turned * weights.hidden, teacher_of


@pytest.mark.parametrize(
    "network",
    [
        network_of(8, "abs", "tied"),
        network_of(8, "relu", "trained"),
        network_of(8, "relu", "fixed", output_values=0.5, output_scale="1/m"),
        network_of(8, "abs", "trained", output_scale=3.0),
    ],
)
def test_students_have_their_shares_and_mirrored_ones_no_residual(network: Network) -> None:
    start = AroundTeachers(angle=0.05, shares=[0.3, 0.3, 0.2, 0.2], mirrored=True)
    weights = drawn(start, network)
    heavy, teacher_of = contributions(weights, network)
    for index, (v, b) in enumerate(zip(TEACHERS.hidden, TEACHERS.output, strict=True)):
        group = heavy[teacher_of == index]
        along = group @ unit(v) / (b * np.linalg.norm(v))
        assert along == pytest.approx([0.3, 0.3, 0.2, 0.2], rel=1e-13)
        assert group.sum(0) == pytest.approx(b * v, abs=1e-14)
    if network.output != "fixed":
        assert np.abs(weights.output) == pytest.approx(np.linalg.norm(weights.hidden, axis=-1), rel=1e-14)


@pytest.mark.parametrize("angle", [1e-6, 0.01, 0.2, 1.2])
@pytest.mark.parametrize("features", [2, 4, 30])
def test_the_angle_is_the_angle_to_the_teacher(angle: float, features: int) -> None:
    """To 1e-15 absolute, for every student, and the projections are the shares."""
    teacher = Teacher(np.pad(TEACHERS.hidden[:, :2], ((0, 0), (0, features - 2))), TEACHERS.output)
    network = network_of(40, "relu", "trained")
    weights = drawn(AroundTeachers(angle=angle), network, teacher=teacher)
    teacher_of = np.arange(40) % 2
    theta = angles(weights.hidden, teacher.hidden)[np.arange(40), teacher_of]
    np.testing.assert_allclose(theta, angle, rtol=1e-13, atol=1e-15)


def test_directions_are_uniform_beside_the_teacher() -> None:
    """e has mean 0 and the covariance (I − v̂v̂ᵀ)/(d − 1), each entry within 5 standard errors, and u⁴ along a
    direction the mean 3/((d − 1)(d + 1)) of the sphere's."""
    network = network_of(4000, "abs", "tied")
    weights = drawn(AroundTeachers(angle=0.3), network)
    heavy, teacher_of = contributions(weights, network)
    for index, axis in enumerate(unit(TEACHERS.hidden)):
        group = heavy[teacher_of == index]
        across = unit(group - (group @ axis)[:, None] * axis)
        error = 5 / math.sqrt(len(group))
        assert np.abs(across.mean(0)).max() < error / math.sqrt(3)
        covariance = across.T @ across / len(group)
        np.testing.assert_allclose(covariance, (np.eye(4) - np.outer(axis, axis)) / 3, atol=error / 3)
        fourth = across[:, 3] ** 4  # ⟂ both teachers
        assert fourth.mean() == pytest.approx(1 / 5, abs=error * fourth.std())


def test_a_range_of_angles_is_drawn_by_seed_uniform_in_the_logarithm() -> None:
    """Kolmogorov's test at level .001."""
    network = network_of(2, "abs", "tied")
    start = AroundTeachers(angle=[1e-6, 1e-1])
    found = []
    for seed in range(300):
        theta = angles(contributions(drawn(start, network, seed), network)[0], TEACHERS.hidden)
        assert theta[0, 0] == pytest.approx(theta[1, 1], rel=1e-8)  # one angle for a seed
        found.append(theta[0, 0])
    logs = (np.log10(found) + 6) / 5
    assert stats.kstest(logs, "uniform").pvalue > 1e-3


def test_background_neurons_have_its_scale_and_may_be_beside_all_teachers() -> None:
    network = network_of(5000, "abs", "tied")
    start = AroundTeachers(angle=0.0, shares=[1.0], background_neurons=0.1)
    background = drawn(start, network).hidden[2:]
    assert background.std() == pytest.approx(0.1, rel=5 / math.sqrt(2 * background.size))
    orthogonal = drawn(
        AroundTeachers(angle=0.0, shares=[1.0], background_neurons=0.1, background_orthogonal=True), network
    ).hidden[2:]
    assert np.abs(orthogonal @ TEACHERS.hidden.T).max() < 1e-15
    assert orthogonal[:, 2:].std() == pytest.approx(0.1, rel=5 / math.sqrt(orthogonal.size))


@pytest.mark.parametrize(
    ("keys", "neurons", "message"),
    [
        ({"angle": -0.1}, 4, "angle: must be 0 or above"),
        ({"angle": [0.1, 0.01]}, 4, "angle: a range is"),
        ({"angle": 0.1, "shares": [0.5, -0.5]}, 4, "shares: must be above 0"),
        (
            {"angle": 0.1, "shares": [0.5, 0.4], "mirrored": True},
            4,
            "shares: mirrored students come in pairs",
        ),
        ({"angle": 0.1, "background_neurons": -1.0}, 4, "background_neurons: must be 0 or above"),
        ({"angle": 0.1}, 5, "shares: 5 neurons cannot be dealt"),
        ({"angle": 0.1, "mirrored": True}, 6, "mirrored: 3 students of a teacher cannot be dealt into pairs"),
        ({"angle": 0.1, "shares": [0.5, 0.4, 0.1]}, 4, "shares: 3 students for each of 2 teachers: more"),
        ({"angle": 0.1, "shares": [1.0]}, 4, "background_neurons: 2 neurons beyond the shares"),
        (
            {"angle": 0.1, "shares": [1.0], "background_neurons": 0.1, "background_orthogonal": True},
            4,
            "background_orthogonal: no direction is orthogonal to 2 teachers",
        ),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, Any], neurons: int, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        AroundTeachers(**keys).validate(
            GaussianTeacher(dimension=2, teachers=2), network_of(neurons, "abs", "tied")
        )


def test_negative_teachers_need_trained_outputs() -> None:
    problem = GaussianTeacher(dimension=3, teachers=2, coefficients=[1.0, -1.0])
    with pytest.raises(ValueError, match="output: a tied output weight"):
        AroundTeachers(angle=0.1).validate(problem, network_of(4, "abs", "tied"))
    AroundTeachers(angle=0.1).validate(problem, network_of(4, "abs", "trained"))


# ---- descent_progress ----


def progress(weights: Any, teacher: Teacher) -> float:
    """The metric on one state."""
    network = network_of(len(weights), "abs", "tied")
    state = Weights(np.asarray(weights)[None, None], np.linalg.norm(weights, axis=-1)[None, None])
    problem = teacher.problem(network)
    path = Trajectory(Clock(np.zeros(1)), state, np.zeros(1), np.full(1, -1))
    assert DIRECTION.applies(problem, path)
    return float(DIRECTION.measure(problem, path)[0, 0])


def by_definition(hidden: Any, teacher: Teacher) -> float:
    """Lemma 8's sum, student by student, with the gradient by central differences of the loss."""
    problem = teacher.problem(network_of(len(hidden), "abs", "tied"))

    def loss(w: Any) -> float:
        return float(problem.loss(Weights(w, np.linalg.norm(w, axis=-1))))

    targets = teacher.output[:, None] * teacher.hidden
    value, total = loss(hidden), 0.0
    cosine = np.abs(unit(hidden) @ unit(targets).T)
    for place, target in enumerate(targets):
        group = [j for j in range(len(hidden)) if cosine[j].argmax() == place]
        reach = (6 * np.pi * value / np.linalg.norm(target) ** 2) ** (1 / 3)
        near = [j for j in group if np.arccos(cosine[j, place]) <= reach]
        weight = sum(np.linalg.norm(hidden[j]) ** 2 for j in near)
        for j in group:
            w = hidden[j]
            gradient = np.zeros_like(w)
            for a in range(len(w)):
                step = np.zeros_like(hidden)
                step[j, a] = 1e-6
                gradient[a] = (loss(hidden + step) - loss(hidden - step)) / 2e-6
            q = np.linalg.norm(w) / weight if j in near else 0.0
            away = w - q * np.sign(w @ target) * target
            shape = np.eye(len(w)) + np.outer(w, w) / (w @ w)
            total += gradient @ np.linalg.solve(shape, away)
    return total / value


@pytest.mark.parametrize("seed", range(4))
def test_progress_by_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    start = AroundTeachers(angle=0.3, shares=[0.6, 0.3], background_neurons=0.2)
    hidden = drawn(start, network_of(9, "abs", "tied"), seed).hidden + 0.05 * random.standard_normal((9, 4))
    assert progress(hidden, TEACHERS) == pytest.approx(by_definition(hidden, TEACHERS), rel=1e-6)


def test_progress_is_the_degree_of_the_loss() -> None:
    """Euler: along the way to the minimum a loss of degree n falls by n L. Two in lengths, three in angles."""
    teacher = Teacher(np.eye(3)[:1], np.ones(1))
    assert progress(np.array([[1.0 + 1e-5, 0, 0]]), teacher) == pytest.approx(2, rel=1e-4)
    turn = 1e-3
    pair = np.sqrt(0.5 / np.cos(turn)) * np.array(
        [[np.cos(turn), np.sin(turn), 0], [np.cos(turn), -np.sin(turn), 0]]
    )
    assert progress(pair, teacher) == pytest.approx(3, rel=1e-3)


def test_progress_is_not_known_where_a_teacher_has_no_near_student() -> None:
    assert math.isnan(progress(np.array([[1.0, 0, 0, 0], [0.9, 0.1, 0, 0]]), TEACHERS))
