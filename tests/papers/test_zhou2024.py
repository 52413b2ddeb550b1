"""zhou2024's closed forms against the optimum as λ → 0, Monte Carlo and finite differences."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from networks import activation_of, network_of
from project import PROJECT

import twolayer
from twolayer import PopulationProblem, Run, Teacher, Weights
from twolayer.population.closed_form import unit
from twolayer.population.optimum import optima
from twolayer.study.registry import load_file

PAPER = PROJECT / "plugins" / "papers" / "zhou2024"
measured = load_file(PAPER / "measured.py", "zhou2024_tested.measured")


@pytest.fixture(scope="module")
def theory() -> ModuleType:
    spec = importlib.util.spec_from_file_location("zhou2024_theory", PAPER / "theory.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


VECTORS = unit(np.random.default_rng(0).standard_normal((3, 4)))
SIGNS = np.array([1.0, -1.0, 1.0])


def test_products_slopes_and_moments_by_monte_carlo(theory: ModuleType) -> None:
    """Within 4.5 standard errors, the constant removed."""
    random = np.random.default_rng(1)
    x = random.standard_normal((400_000, 4))
    tangent = unit(random.standard_normal((3, 4)))
    tangent = unit(tangent - (tangent * VECTORS).sum(-1, keepdims=True) * VECTORS)
    high = np.abs(x @ VECTORS.T) - np.sqrt(2 / np.pi)
    turned = (x @ tangent.T) * np.sign(x @ VECTORS.T)
    exact = (
        (high, high, theory.products(VECTORS, VECTORS)),
        (turned, high, (theory.slopes(VECTORS, VECTORS) * tangent[:, None]).sum(-1)),
        (turned, turned, theory.moments(VECTORS, VECTORS, tangent, tangent)),
    )
    for left, right, closed in exact:
        samples = left[:, :, None] * right[:, None, :]
        error = samples.std(0) / np.sqrt(len(x))
        assert (np.abs(samples.mean(0) - closed) <= 4.5 * error).all()


def test_the_certificate_interpolates_without_slope(theory: ModuleType) -> None:
    exact = theory.Certificate(VECTORS, SIGNS)
    np.testing.assert_allclose(exact(VECTORS), SIGNS, atol=1e-12)
    for vector in VECTORS:
        for axis in np.eye(4):
            tangent = axis - (axis @ vector) * vector
            ahead, behind = (exact(unit(vector + side * 1e-5 * tangent)[None])[0] for side in (1, -1))
            assert ahead - behind == pytest.approx(0.0, abs=1e-8)


def test_the_loss_of_the_optimum_tends_to_its_norm(theory: ModuleType) -> None:
    """L/λ² → ½|η₀|² and the mass deficit over λ → |η₀|², with an error of O(λ), which halves with λ."""
    square = theory.Certificate(VECTORS, SIGNS).square_norm
    teacher = Teacher(VECTORS, SIGNS * np.array([1.0, 0.8, 1.2]), "constant")
    first, second = optima(teacher, activation_of("abs"), [1e-4, 5e-5])
    loss = [one.loss / one.penalty**2 for one in (first, second)]
    assert 2 * loss[1] - loss[0] == pytest.approx(0.5 * square, rel=1e-4)
    short = [(3.0 - np.abs(one.masses).sum()) / one.penalty for one in (first, second)]
    assert 2 * short[1] - short[0] == pytest.approx(square, rel=1e-4)


def test_orthonormal_and_close_teachers(theory: ModuleType) -> None:
    assert theory.Certificate(np.eye(5)[:3], SIGNS).square_norm == pytest.approx(3 / theory.ORTHONORMAL)
    # ½|η₀|² of an earlier implementation
    for degrees, known in {40: 25.0, 20: 216.0, 10: 1762.0, 5: 14160.0}.items():
        exact = theory.Certificate(theory.plane([0, degrees]), np.array([1.0, -1.0])).square_norm
        assert 0.5 * exact == pytest.approx(known, rel=0.01)


def test_curvatures_on_either_side(theory: ModuleType) -> None:
    """Far from other teachers: those of parabolas fitted to each side alone; mirror images change sides."""
    exact = theory.Certificate(theory.plane([30, 90, 150]), SIGNS)
    left, right = exact.curvatures(0, theory.plane([120])[0])
    for side, curvature in ((-1, left), (1, right)):
        away = side * np.array([0.005, 0.01, 0.02, 0.04])
        values = exact(theory.plane(30 + away)) - 1
        fitted = np.polyfit(np.deg2rad(away), values / np.deg2rad(away) ** 2, 1)[1]
        assert 2 * fitted == pytest.approx(curvature, rel=1e-3)
    assert exact.curvatures(2, theory.plane([240])[0]) == pytest.approx((right, left), rel=1e-5)
    assert left / right < 0.1


def test_quadratic_growth_of_orthonormal_teachers(theory: ModuleType) -> None:
    """c ≤ ½κ with κ = 1, and no direction of another sample does better."""
    exact = theory.Certificate(np.eye(3), SIGNS)
    growth = theory.quadratic_growth(exact, count=4000)
    assert 0 < growth <= 0.5
    tried = unit(np.random.default_rng(9).standard_normal((4000, 3)))
    theta = np.arccos(np.minimum(np.abs(tried).max(-1), 1.0))
    assert ((1 - np.abs(exact(tried))) / theta**2).min() >= growth * (1 - 1e-6)


def test_the_first_step_is_the_gradient_at_zero_output(theory: ModuleType) -> None:
    coefficients = np.array([1.0, -0.8, 1.2])
    teacher = Teacher(VECTORS, coefficients, "constant")
    direction = unit(np.random.default_rng(3).standard_normal(4))
    problem = PopulationProblem(teacher, network_of(1, "abs"))
    # with a = ε the network's output is of order ε
    gradient = problem.gradient(Weights(direction[None], np.array([1e-9]))).hidden[0]
    np.testing.assert_allclose(
        -gradient / 1e-9, theory.first_step(direction, VECTORS, coefficients), atol=1e-8
    )


def test_the_fall_of_a_neuron_is_its_gradient(theory: ModuleType) -> None:
    """−∂L_λ/∂w of a balanced neuron that is one of the network's, from the certificate and its slope."""
    from twolayer.population.optimum import certificate

    teacher, decay = Teacher(theory.plane([30, 90]), np.array([1.0, -1.0]), "constant"), 0.05
    problem = PopulationProblem(teacher, network_of(2, "abs"))
    weights = Weights(np.array([[0.6, 0.5], [0.1, 0.7]]), np.array([1.0, -1.0]))
    length = np.linalg.norm(weights.hidden, axis=-1)
    weights = Weights(weights.hidden, weights.output * length)
    direction = unit(weights.hidden)
    around = direction @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    height, slopes = certificate(problem, weights, decay, direction)
    along, turned = theory.fall(height, (slopes * around).sum(-1), np.sign(weights.output), length)
    exact = -problem.gradient(weights, decay).hidden
    np.testing.assert_allclose(
        decay * (along[:, None] * direction + turned[:, None] * around), exact, atol=1e-14
    )


def test_the_constant_of_the_gradient(theory: ModuleType) -> None:
    """Of orthonormal teachers the worst direction is midway between two of one sign, where η₀ has no slope."""
    exact = theory.Certificate(np.eye(3), SIGNS)
    between = float(exact(unit(np.array([[1.0, 0.0, 1.0]])))[0])
    assert theory.gradient_constant(exact, 4000) == pytest.approx(2 * (1 - between), rel=0.05)
    assert 2 * (1 - between) == pytest.approx(0.1607, abs=1e-4)


def test_the_energy_off_the_span_is_that_of_the_step(theory: ModuleType) -> None:
    """Against `first_step` vector by vector, compared with the gradient above: quartiles within 10 %, and the law of
    an earlier implementation, 0.2/d (mean 0.35/d), 0.59/d for equal signs."""
    random = np.random.default_rng(8)
    vectors, coefficients = np.eye(3, 40), np.array([1.0, -0.8, 1.2])
    steps = [theory.first_step(unit(random.standard_normal(40)), vectors, coefficients) for _ in range(5000)]
    energy = np.array([1 - (step[:3] ** 2).sum() / (step**2).sum() for step in steps])
    ours = theory.off_span_energies(40, coefficients, 20000)
    for share in (0.25, 0.5, 0.75):
        assert np.quantile(ours, share) == pytest.approx(np.quantile(energy, share), rel=0.1)
    far = 1280 * theory.off_span_energies(1280, coefficients, 100000)
    assert np.median(far) == pytest.approx(0.2, rel=0.15)
    assert far.mean() == pytest.approx(0.35, rel=0.15)
    assert np.median(1280 * theory.off_span_energies(1280, np.ones(3), 100000)) == pytest.approx(
        0.59, rel=0.15
    )


def test_the_stages_of_an_algorithm_are_columns_of_the_saved_states() -> None:
    """A stage at once has no state; a quantile counts each neuron with its mass."""
    stages: list[dict[str, Any]] = [
        {"name": "regularized_gradient_descent", "layers": "hidden", "weight_decay": 1.0, "until": 10},
        {"name": "output_fit", "weight_decay": 0.1, "until": 11},
        {"name": "balancing"},
        {"name": "gradient_flow", "weight_decay": 0.01, "until": 30},
        {"name": "gradient_flow", "weight_decay": 0.001},
    ]
    dataset = xr.Dataset(coords={"time": [0.0, 10.0, 11.0, 15.0, 30.0, 40.0]})
    run = Run("pipeline", dataset, [{"swept": {}, "dynamics": {"name": "sequence", "stages": stages}}])
    assert measured.stage_columns(run) == [
        ("start", [0]),
        ("step on $W$", [1]),
        ("fit of $a$", [2]),
        (r"$\lambda$ = 0.01", [3, 4]),
        (r"$\lambda$ = 0.001", [5]),
    ]
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 8.0, 1.0])
    np.testing.assert_array_equal(measured.quantiles(values, weights), [1.0, 1.0, 2.0])


def test_imbalances_that_are_rounding_are_not_drawn() -> None:
    """Long after the squares agree in all their digits: neither the measure nor its law goes below."""
    experiment = yaml.safe_load((PAPER / "experiments.yaml").read_text(encoding="utf-8"))["experiments"][
        "balance"
    ]
    data = twolayer.run(
        {**experiment, "seeds": 1, "times": {"start": 10, "stop": 400, "count": 40, "spacing": "linear"}}
    )
    axes = twolayer.figure("zhou2024.balance", data).axes[0]
    lowest = min(np.nanmin(line.get_ydata()) for line in axes.lines)
    assert 1e-14 < lowest < 1e-6
    low, high = axes.get_ylim()
    assert low < lowest
    assert high > float(abs(data.imbalance).max())
