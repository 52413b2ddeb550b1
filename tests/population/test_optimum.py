"""The problem over measures against closed forms, optimality conditions, convex solvers and training itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import activation_of, network_of, of_two_slopes
from scipy.optimize import nnls

import twolayer
from twolayer import PopulationProblem, Teacher, Weights
from twolayer.core.output_layer import OutputLayer
from twolayer.population.closed_form import unit
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.population.optimum import Optimum, certificate, highest, optima, suboptimality


def plane(degrees: list[float], coefficients: list[float], profile: str = "constant") -> Teacher:
    turned = np.deg2rad(degrees)
    return Teacher(np.stack([np.cos(turned), np.sin(turned)], -1), np.array(coefficients), profile)


def balanced(best: Optimum) -> Weights:
    size = np.sqrt(np.abs(best.masses))
    return Weights(size[:, None] * best.directions, np.sign(best.masses) * size)


def test_orthonormal_teachers_by_the_closed_form() -> None:
    """L = λ²r/(2(1 − 2/π)), masses short by λ/(1 − 2/π) each, no shift."""
    teacher = Teacher(np.eye(6)[:3], np.array([1.0, -0.8, 1.2]), "constant")
    room = 1 - 2 / np.pi
    for best in optima(teacher, activation_of("abs"), [1e-1, 1e-3, 1e-5]):
        assert best.loss == pytest.approx(best.penalty**2 * 3 / (2 * room), rel=1e-9)
        order = np.argmax(np.abs(best.directions @ teacher.hidden.T), axis=0)
        short = np.sign(teacher.output) * (np.abs(teacher.output) - best.penalty / room)
        np.testing.assert_allclose(best.masses[order], short, rtol=1e-12)
        np.testing.assert_allclose(np.abs(best.directions[order]), np.eye(6)[:3], atol=1e-12)
        assert best.violation <= 1e-8


def test_one_relu_teacher_by_the_closed_form() -> None:
    """κ = E σ² = ½: C = b − p/κ, and nothing from p = κ b on."""
    teacher = Teacher(np.array([[3.0, 4.0, 0.0]]), np.array([0.2]))
    low, high = optima(teacher, activation_of("relu"), [0.1, 0.6])
    assert low.masses == pytest.approx([1.0 - 0.1 / 0.5], rel=1e-12)
    np.testing.assert_allclose(low.directions, [[0.6, 0.8, 0.0]], atol=1e-12)
    assert len(high.masses) == 0
    assert high.loss == pytest.approx(0.25, rel=1e-12)
    assert high.violation < 0


CASES = [
    (plane([30, 90, 150], [1, -0.8, 1.2]), "abs"),
    (plane([0, 5], [1, -1]), "abs"),
    (plane([10, 40, 75], [1, 1, -2], "linear"), "relu"),
    (Teacher(np.random.default_rng(1).standard_normal((3, 4)), np.array([1.0, -1.0, 0.5])), "relu"),
    (Teacher(np.random.default_rng(2).standard_normal((4, 9)), np.array([1.0, -1.0, 0.5, 1.0])), "abs"),
]


@pytest.mark.parametrize(("teacher", "activation"), CASES)
def test_the_optimum_satisfies_the_conditions_of_optimality(teacher: Teacher, activation: str) -> None:
    """η = sgn C with no slope at the atoms, |η| ≤ 1 at many other directions: they suffice for a convex problem."""
    for best in optima(teacher, activation_of(activation), [3e-2, 1e-3, 1e-5]):
        problem = PopulationProblem(teacher, network_of(len(best.masses), activation))
        weights = balanced(best)
        assert float(problem.loss(weights)) == pytest.approx(best.loss, rel=1e-6, abs=1e-14)
        heights, slopes = certificate(problem, weights, best.penalty, best.directions)
        rounding = 1e-14 / best.penalty
        np.testing.assert_allclose(heights, np.sign(best.masses), atol=1e-12 + rounding)
        across = slopes - heights[:, None] * best.directions
        np.testing.assert_allclose(across, 0.0, atol=1e-5)  # |η| ≤ 1 + 1e-9 lets it be √(2e-9 × curvature)
        # the objective of balanced weights is that of the measure, and its gradient is 0
        total = float(problem.loss(weights) + problem.penalty(weights, best.penalty))
        assert total == pytest.approx(best.objective, rel=1e-12)
        gradient = problem.gradient(weights, best.penalty)
        assert max(np.abs(gradient.hidden).max(), np.abs(gradient.output).max()) < 1e-5 * best.penalty
        tried = unit(np.random.default_rng(5).standard_normal((4000, teacher.features)))
        assert np.abs(certificate(problem, weights, best.penalty, tried)[0]).max() <= 1 + 1e-8


def test_a_grid_and_non_negative_least_squares_do_no_better() -> None:
    """Another method: all directions of a fine grid at once, both signs, by scipy's nnls. A grid's least value is an
    upper bound of the least over all directions, high by O(spacing²)."""
    teacher, penalty = plane([30, 90, 150], [1, -0.8, 1.2]), 0.05
    (best,) = optima(teacher, activation_of("abs"), [penalty])
    turned = np.linspace(0, np.pi, 180, endpoint=False)
    grid = np.stack([np.cos(turned), np.sin(turned)], -1)
    gram, force = OutputLayer.of(PopulationProblem(teacher, network_of(180, "abs")), grid).form
    # p|C|₁ as part of the squares: ½|A x − b|² with AᵀA = [G −G; −G G] + ε, Aᵀb = [h − p; −h − p]
    whole = np.block([[gram, -gram], [-gram, gram]]) + 1e-10 * np.eye(360)
    given = np.concatenate([force - penalty, -force - penalty])
    root = np.linalg.cholesky(whole).T
    found, _ = nnls(root, np.linalg.solve(root.T, given), maxiter=20000)
    masses = found[:180] - found[180:]
    start = float(
        PopulationProblem(teacher, network_of(1, "abs")).loss(Weights(np.zeros((1, 2)), np.zeros(1)))
    )
    value = start - force @ masses + 0.5 * masses @ gram @ masses + penalty * np.abs(masses).sum()
    assert best.objective <= value + 1e-12
    assert value == pytest.approx(best.objective, rel=1e-3)


def test_training_reaches_it() -> None:
    experiment = {
        "problem": {
            "name": "gaussian_teacher", "dimension": 3, "angles": [20, 100], "coefficients": [1, -0.7],
            "profile": "constant",
        },
        "network": {"neurons": 4, "activation": "abs"},
        "initialization": {"name": "around_teachers", "angle": 0.2},
        "dynamics": {"name": "gradient_flow", "weight_decay": 0.05, "rtol": 1e-6},
        "times": {"values": [1000]},
        "metrics": ["suboptimality", "optimal_loss", "optimal_path_norm", "dual_infeasibility", "path_norm"],
    }  # fmt: skip
    dataset = twolayer.run(experiment)
    last = dataset.isel(time=-1, seed=0)
    assert float(last["loss"]) == pytest.approx(float(last["optimal_loss"]), rel=1e-6)
    assert float(last["path_norm"]) == pytest.approx(float(last["optimal_path_norm"]), rel=1e-6)
    assert float(last["suboptimality"]) < 1e-12
    assert float(last["dual_infeasibility"]) < 1e-8


@pytest.mark.parametrize("scale", [1.0, 0.25])
@of_two_slopes
def test_the_excess_is_the_difference_of_objectives(activation: Any, scale: float) -> None:
    """At random weights, unbalanced, where nothing cancels; leading axes broadcast."""
    random = np.random.default_rng(3)
    teacher, decay = plane([30, 80], [1, -0.5]), 0.04
    problem = PopulationProblem(teacher, network_of(5, activation, output_scale=scale))
    (best,) = optima(teacher, activation, [decay / scale])
    weights = Weights(random.standard_normal((3, 5, 2)), random.standard_normal((3, 5)))
    exact = problem.loss(weights) + problem.penalty(weights, decay) - best.objective
    np.testing.assert_allclose(suboptimality(problem, weights, best), exact, rtol=1e-10)
    at_zero = Weights(np.zeros((5, 2)), np.zeros(5))
    assert float(suboptimality(problem, at_zero, best)) == pytest.approx(
        float(problem.loss(at_zero)) - best.objective
    )


def test_the_excess_keeps_its_digits_near_the_optimum() -> None:
    """By second order in a shift δ: ζ(2δ)/ζ(δ) → 4, far below the rounding of the objective itself."""
    teacher = Teacher(np.eye(3)[:2], np.array([1.0, -1.0]), "constant")
    (best,) = optima(teacher, activation_of("abs"), [0.05])
    problem = PopulationProblem(teacher, network_of(2, "abs"))
    weights, step = balanced(best), np.random.default_rng(0).standard_normal((2, 3))
    small, large = (
        float(suboptimality(problem, Weights(weights.hidden + shift * step, weights.output), best))
        for shift in (1e-6, 2e-6)
    )
    assert large / small == pytest.approx(4.0, rel=1e-3)


def test_the_search_finds_the_top_of_the_certificate() -> None:
    """Against a fine grid of the circle, at a network that is not optimal."""
    teacher = plane([15, 70, 130], [1, -0.6, 0.8])
    problem = PopulationProblem(teacher, network_of(2, "abs"))
    weights = Weights(np.array([[0.9, 0.2], [0.1, 0.8]]), np.array([0.5, -0.7]))
    turned = np.linspace(0, np.pi, 20001)
    heights, _ = certificate(problem, weights, 0.02, np.stack([np.cos(turned), np.sin(turned)], -1))
    place, value = highest(problem, weights, 0.02)
    assert abs(value) == pytest.approx(np.abs(heights).max(), rel=1e-7)
    assert certificate(problem, weights, 0.02, place[None])[0] == pytest.approx([value])


def test_the_gradient_of_the_certificate_by_differences() -> None:
    teacher = Teacher(np.random.default_rng(7).standard_normal((2, 3)), np.array([1.0, -1.0]))
    problem = PopulationProblem(teacher, network_of(1, "relu"))
    weights, step = Weights(np.array([[0.3, -0.2, 0.5]]), np.array([0.4])), 1e-5
    directions = unit(np.random.default_rng(8).standard_normal((5, 3)))
    _, slopes = certificate(problem, weights, 0.1, directions)
    for axis in range(3):
        shift = step * np.eye(3)[axis]

        def extended(vectors: np.ndarray) -> np.ndarray:  # η off the sphere, positively homogeneous
            length = np.linalg.norm(vectors, axis=-1)
            return length * certificate(problem, weights, 0.1, unit(vectors))[0]

        numeric = (extended(directions + shift) - extended(directions - shift)) / (2 * step)
        np.testing.assert_allclose(slopes[:, axis], numeric, atol=1e-8)


@pytest.mark.parametrize("penalty", [0.1, 0.6])
def test_the_optimum_of_a_linear_network_is_a_soft_threshold(penalty: float) -> None:
    """f depends on r = Σ C u alone, so that L + λ|C| is least at r = (1 − λ/|v|) v, by ½|r − v|² + λ|r|."""
    teacher = Teacher(np.array([[0.6, -0.8, 0.5], [0.3, 0.2, 0.1]]), np.array([1.0, -0.5]))
    wanted = teacher.output @ teacher.hidden
    (best,) = optima(teacher, activation_of("linear"), [penalty])
    length = np.linalg.norm(wanted)
    assert best.objective == pytest.approx(penalty * length - 0.5 * penalty**2, rel=1e-9)
    reached = best.teacher.output @ best.teacher.hidden
    assert reached == pytest.approx((1.0 - penalty / length) * wanted, abs=1e-6)


@pytest.mark.parametrize("slope", [0.3, -0.4])
def test_the_optimum_of_leaky_networks_is_where_training_ends(slope: float) -> None:
    """By a long flow with twelve students from a random start: L + (λ/2)(|a|² + |W|²), λ = .1. In advance: 1e-6."""
    activation = activation_of("leaky_relu", slope=slope)
    teacher = plane([0, 100], [1, -0.6])
    (best,) = optima(teacher, activation, [0.1])
    network = network_of(12, activation)
    hidden = np.random.default_rng(1).standard_normal((12, 2))
    output = np.linalg.norm(hidden, axis=1) * np.resize([1.0, -1.0], 12)
    problem = CompiledPopulationProblem(teacher, network)
    path = problem.flow(Weights(hidden, output), np.array([0.0, 300.0]), 0.1, 1e-8, 0.0)
    end = Weights(path.hidden[-1], path.output[-1])
    reached = float(problem.loss(end) + problem.penalty(end, 0.1))
    assert reached == pytest.approx(best.objective, abs=1e-6)


def test_what_it_refuses() -> None:
    teacher = plane([0, 90], [1, 1])
    with pytest.raises(ValueError, match="penalties: must be above 0"):
        optima(teacher, activation_of("abs"), [0.0])
    with pytest.raises(ValueError, match="not all 0"):
        optima(Teacher(np.zeros((1, 2)), np.ones(1)), activation_of("abs"), [0.1])
