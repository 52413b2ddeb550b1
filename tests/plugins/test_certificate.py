"""certificate_maximum: against a scan of all directions, and at an optimum that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of, of_two_slopes

from twolayer import Network, Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.study.registry import load

METRIC = load(kinds=["metrics"]).find("metrics", "certificate_maximum").plugin


def measured(teacher: Teacher, hidden: Any, output: Any, decay: float, network: Network) -> float:
    weights = Weights(np.asarray(hidden)[None, None], np.asarray(output)[None, None])
    path = Trajectory(Clock(np.zeros(1)), weights, np.array([decay]), np.full(1, -1))
    assert METRIC.applies(teacher.problem(network), path)
    return float(METRIC.measure(teacher.problem(network), path)[0, 0])


@of_two_slopes
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_it_is_the_highest_of_a_scan(activation: Any, scale: float) -> None:
    """In the plane, 20,000 directions u, each η(u) from ∂L/∂a of a further neuron with a = 0."""
    random = np.random.default_rng(1)
    teacher = Teacher(np.array([[1.0, 0.0], [0.5, 0.8], [-0.6, 0.7]]), np.array([1.0, -0.8, 1.2]))
    hidden, output = random.standard_normal((4, 2)), random.standard_normal(4)
    turned = np.linspace(0, 2 * np.pi, 20_000)
    probe = np.stack([np.cos(turned), np.sin(turned)], axis=-1)[:, None]
    states = Weights(
        np.concatenate([np.broadcast_to(hidden, (20_000, 4, 2)), probe], axis=1),
        np.broadcast_to(np.append(output, 0.0), (20_000, 5)),
    )
    problem = teacher.problem(network_of(5, activation, output_scale=scale))
    scan = np.abs(problem.gradient(states).output[:, -1]).max() / 0.1
    found = measured(teacher, hidden, output, 0.1, network_of(4, activation, output_scale=scale))
    assert scan <= found * (1 + 1e-12)
    assert found == pytest.approx(scan, rel=1e-6)


@pytest.mark.parametrize("dimension", [3, 30])
def test_it_is_one_at_the_optimum(dimension: int) -> None:
    """Orthonormal teachers, |·| without its mean: masses b_l − sgn(b_l) λ/(1 − 2/π) on the teachers (derived)."""
    decay, given = 0.01, np.array([1.0, -0.8, 1.2])
    teacher = Teacher(np.eye(dimension)[:3], given, "constant")
    mass = given - np.sign(given) * decay / (1 - 2 / np.pi)
    size = np.sqrt(np.abs(mass))
    hidden, network = size[:, None] * np.eye(dimension)[:3], network_of(3, "abs")
    assert measured(teacher, hidden, np.sign(mass) * size, decay, network) == pytest.approx(1.0, abs=1e-12)
    assert measured(teacher, hidden, 1.1 * np.sign(mass) * size, decay, network) > 1.1


def test_without_weight_decay_there_is_none() -> None:
    teacher = Teacher(np.eye(2), np.ones(2))
    path = Trajectory(
        Clock(np.zeros(1)), Weights(np.ones((1, 1, 1, 2)), np.ones((1, 1, 1))), np.zeros(1), np.zeros(1)
    )
    assert not METRIC.applies(teacher.problem(network_of(1)), path)
