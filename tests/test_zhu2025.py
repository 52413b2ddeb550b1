"""What the claims on Zhu, Liu and Cevher 2025 predict, against enumeration, eigenvalues and the closed forms."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twolayer import Network, Teacher, Weights, third_power
from twolayer.registry import load, load_file

PAPER = Path(__file__).parents[1] / "plugins" / "papers" / "zhu2025"
theory = load_file(PAPER / "theory.py", "zhu2025_tested.theory")


@pytest.mark.parametrize(("students", "teachers"), [(6, 2), (7, 2), (6, 3), (8, 3), (5, 4)])
def test_chance_of_fair_groups_against_enumeration(students: int, teachers: int) -> None:
    fair = 0
    for choice in itertools.product(range(teachers), repeat=students):
        sizes = [choice.count(teacher) for teacher in range(teachers)]
        fair += all(3 * teachers * size >= students and teachers * size <= 3 * students for size in sizes)
    assert theory.fair_chance(students, teachers) == pytest.approx(fair / teachers**students, rel=1e-12)


def students_beside(heights: Any, corners: Any) -> Any:
    """The loss of students h_i v̂ + z_i of one teacher of norm 1, z given by corners (neuron, direction)."""
    hidden = np.concatenate([np.asarray(heights)[:, None], corners], axis=1)
    teacher = Teacher(np.eye(hidden.shape[1])[:1], np.ones(1))
    problem = teacher.problem(Network(len(heights), "relu", "fixed"))
    return float(problem.loss(Weights(hidden, np.ones(len(heights)))))


def test_constants_follow_from_the_loss() -> None:
    """n ż = −dL/dz with L = c z³ gives z = n/3ct and L = n³/27c²t³; c is read off the exact loss."""
    z = 1e-4
    for heights in ([0.5, 0.5], [0.3, 0.7]):
        c = students_beside(heights, np.array([[z], [-z]])) / z**3
        assert third_power.pair_constant(heights) == pytest.approx(2**3 / (27 * c**2), rel=1e-3)
        assert third_power.group_spread(np.array(heights)) == pytest.approx(2 * 2 / (3 * c), rel=1e-3)
    simplex = load(kinds=["initializations"]).find("initializations", "aligned").thing
    for count in (2, 3, 4, 6):
        start = simplex(projections=[[1 / count] * count], angle=math.atan(count * z))
        hidden = start.draw(
            Teacher(np.eye(count + 1)[:1], np.ones(1)), Network(count), np.random.default_rng(0)
        )
        c = students_beside([1 / count] * count, hidden.hidden[:, 1:]) / z**3
        assert third_power.simplex_constant(count) == pytest.approx(count**3 / (27 * c**2), rel=1e-3)
        distance = np.linalg.norm(hidden.hidden[0] - hidden.hidden[1]) / z
        spread = count * (count - 1) / 2 * distance * count / (3 * c)
        assert third_power.group_spread(np.full(count, 1 / count)) == pytest.approx(spread, rel=1e-3)
    assert third_power.group_constant([1.0]) == third_power.group_spread([1.0]) == 0
    assert math.isnan(third_power.group_constant([0.2, 0.3, 0.5]))


@pytest.mark.parametrize(("teachers", "students"), [(2, 1), (2, 2), (3, 2), (4, 3)])
def test_slowest_rate_is_an_eigenvalue_of_the_hessian_at_the_minimum(teachers: int, students: int) -> None:
    """Students along their teachers: the least eigenvalue above rounding is m_l(¼ − 1/2π)."""
    data = Teacher(np.eye(teachers + 2)[:teachers], np.ones(teachers))
    hidden = np.repeat(data.hidden, students, axis=0) / students
    problem = data.problem(Network(len(hidden), "relu", "fixed"))
    values = np.linalg.eigvalsh(problem.hessian(Weights(hidden, np.ones(len(hidden)))))
    assert values[values > 1e-9].min() == pytest.approx(students * theory.SLOW, rel=1e-9)


def test_smallest_epsilon_finds_the_one_that_was_put_in() -> None:
    time = np.concatenate([[0], np.geomspace(1e-8, 1, 40)])
    shrink = theory.envelope(time, 2, 1e-6, 20)
    square = 0.04 + shrink[:, None] * (np.array([0.3, 0.4]) - 0.04)
    angle = 2 * np.arcsin(np.sqrt(square))[None]
    assert theory.smallest_epsilon(time, angle, shrink) == pytest.approx(0.2, rel=1e-4)
    standing = np.full((1, len(time), 1), math.pi / 3)
    assert theory.smallest_epsilon(time, standing, shrink) == pytest.approx(0.5)
    fast = 2 * np.arcsin(np.sqrt(0.3 * shrink**2))[None, :, None]
    assert theory.smallest_epsilon(time, fast, shrink) == 0
