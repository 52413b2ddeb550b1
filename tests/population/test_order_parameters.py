"""The equations of order parameters: moments against quadrature and samples, solutions against known ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer.errors import ConfigError
from twolayer.population.order_parameters import (
    OrderParameterEquations,
    PathEndsError,
    WeightsOfOverlaps,
    closed_kernel,
    order_8,
)
from twolayer.study.registry import load

PLUGINS = load(kinds=["activations"])
DATA = Path(__file__).parents[2] / "plugins" / "papers" / "arnaboldi2023" / "data"


def activation(section: Any) -> Any:
    """An activation by its section."""
    section = {"name": section} if isinstance(section, str) else section
    return PLUGINS.build("activations", section, "activation")[1]


def overlaps(units: int, features: int, seed: int) -> Any:
    """The overlaps of random units."""
    vectors = np.random.default_rng(seed).normal(size=(units, features)) / np.sqrt(features)
    return vectors @ vectors.T


@pytest.mark.parametrize("section", ["erf", "quadratic", "relu", "abs", {"name": "leaky_relu", "slope": 0.2}])
def test_the_fourth_moment_is_that_of_samples(section: Any) -> None:
    """Within 5 standard errors of a million samples, of four different neurons and of two that are one."""
    sigma = activation(section)
    kernel = closed_kernel(sigma)
    assert kernel is not None
    vectors = np.random.default_rng(3).normal(size=(4, 6)) * 0.5
    samples = np.random.default_rng(4).normal(size=(10**6, 6)) @ vectors.T
    for index in ([0, 1, 2, 3], [0, 0, 2, 3], [0, 1, 0, 3], [0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 3, 3]):
        chosen = samples[:, index]
        slope, value = sigma.derivative(chosen[:, :2]), sigma.value(chosen[:, 2:])
        products = slope[:, 0] * slope[:, 1] * value[:, 0] * value[:, 1]
        exact = kernel.fourth(vectors[index] @ vectors[index].T)
        assert abs(products.mean() - exact) < 5 * products.std() / 1000, index


def test_the_fourth_moment_of_relu_in_an_orthant() -> None:
    """Closed cases to 1e-9: independent pairs, and one neuron four times, E 1{λ>0} λ² = ½C."""
    kernel = closed_kernel(activation("relu"))
    assert kernel is not None
    assert float(kernel.fourth(np.diag([1.0, 2.0, 3.0, 4.0]))) == pytest.approx(
        0.25 * np.sqrt(12.0) / (2 * np.pi), abs=1e-9
    )
    assert float(kernel.fourth(np.full((4, 4), 1.7))) == pytest.approx(0.85, abs=1e-9)


@pytest.mark.parametrize("section", ["erf", "quadratic"])
def test_the_fourth_moment_is_that_of_quadrature(section: str) -> None:
    """Four dimensions by Gauss and Hermite, where σ is smooth."""
    sigma = activation(section)
    vectors = np.random.default_rng(5).normal(size=(4, 4)) * 0.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    grid = np.stack(np.meshgrid(*[nodes] * 4, indexing="ij"), axis=-1) @ vectors.T
    weight = np.einsum("i,j,k,l->ijkl", *[weights / np.sqrt(2 * np.pi)] * 4)
    slope, value = sigma.derivative(grid[..., :2]), sigma.value(grid[..., 2:])
    expected = np.sum(weight * slope.prod(-1) * value.prod(-1))
    assert float(sigma.kernel.fourth(vectors @ vectors.T)) == pytest.approx(expected, abs=1e-11)


def test_the_square_has_its_sum_in_matrix_products() -> None:
    kernel = activation("quadratic").kernel
    matrix, coefficients = overlaps(5, 4, 1), np.array([0.3, 0.5, -0.2, -1.0, 0.7])
    plain = super(type(kernel), kernel).squared_error(matrix, coefficients, 3)
    assert np.allclose(kernel.squared_error(matrix, coefficients, 3), plain, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("section", ["relu", {"name": "leaky_relu", "slope": 0.2}])
def test_the_kernel_of_two_slopes_is_that_of_samples(section: Any) -> None:
    """K, 2K_A and K_C against each other: Euler's identity 2K = 2·2K_A A·½ + …, K = A K_A + B K_B + C K_C."""
    kernel = closed_kernel(activation(section))
    assert kernel is not None
    a, b, c = np.array([1.3]), np.array([0.7]), np.array([0.4])
    first, inner = kernel.first(a, b, c)
    second, _ = kernel.first(b, a, c)
    assert np.allclose(0.5 * (a * first + b * second) + c * inner, kernel.value(a, b, c), atol=1e-15)
    step = 1e-6
    difference = (kernel.value(a, b, c + step) - kernel.value(a, b, c - step)) / (2 * step)
    assert np.allclose(difference, inner, atol=1e-9)
    second_differences = (kernel.first(a, b, c + step)[1] - kernel.first(a, b, c - step)[1]) / (2 * step)
    assert np.allclose(second_differences, kernel.second(a, b, c)[2], atol=1e-8)


def experiment(activation: Any, dimension: int, **changes: Any) -> dict[str, Any]:
    """Three students of two teachers."""
    found = {
        "problem": {"name": "gaussian_teacher", "dimension": dimension, "teachers": 2, "coefficients": 0.5},
        "network": {"neurons": 3, "activation": activation, "output": "fixed", "output_scale": "1/m"},
        "initialization": {"name": "gaussian", "scale": 0.4},
        "dynamics": {"name": "order_parameters", "rate": 0.5, "variance": "none", "rtol": 1e-12},
        "times": {"values": [1, 3, 10, 30]},
        "seeds": 2,
        "metrics": ["loss", "student_overlaps", "teacher_overlaps"],
    }
    return {**found, **changes}


@pytest.mark.parametrize("sigma", ["erf", "quadratic", "relu", "gelu"])
def test_without_variance_it_is_the_gradient_flow(sigma: str) -> None:
    """Overlaps within 1e-10 of those of the flow in weights, in five and in eight dimensions."""
    for dimension in (5, 8):
        found = twolayer.run(experiment(sigma, dimension))
        flow = twolayer.run(experiment(sigma, dimension, dynamics={"name": "gradient_flow", "rtol": 1e-12}))
        for name in ("student_overlaps", "teacher_overlaps"):
            assert abs(found[name] - flow[name]).max() < 1e-10


def test_it_is_the_published_solution_by_its_steps() -> None:
    """Explicit Euler of dt = 1e-3 in t/p, as in the published run, on (Q, M): 2e-14 up to t = 10."""
    stored = xr.open_dataset(DATA / "classic_ode.nc").sel(time=slice(0, 10))
    start = xr.open_dataset(DATA / "classic_start_3.nc").initial_hidden.values
    students, step = len(start), 1e-3
    kernel = closed_kernel(activation("erf"))
    assert kernel is not None
    coefficients = np.concatenate([np.full(students, 1 / students), [-0.5, -0.5]])
    equations = OrderParameterEquations(kernel, coefficients, np.eye(2), 0.05, 1e-3, "noise", False)
    rows, done = np.concatenate([start @ start.T, start[:, :2]], axis=1), 0
    for time, found in zip(stored.time.values, np.concatenate([stored.Q, stored.M], axis=2), strict=True):
        while done < round(time / step):
            rows, done = rows + step * students * equations.velocity(rows), done + 1
        assert abs(rows - found).max() < 2e-14, time


def test_it_is_the_solution_of_another_program() -> None:
    """p = 4, γ = 2, Δ = .01, with the whole variance and without, to 1e-8 of overlaps."""
    stored = xr.open_dataset(DATA / "scaling.nc")
    for variance, suffix in (("full", ""), ("none", "_flow")):
        found = twolayer.run(
            {
                "problem": {
                    "name": "gaussian_teacher", "dimension": 6, "teachers": 2, "coefficients": 0.5, "noise": 0.01
                },
                "network": {"neurons": 4, "activation": "erf", "output": "fixed", "output_scale": "1/m"},
                "initialization": {"name": "file", "path": str(DATA / "scaling.nc")},
                "dynamics": {"name": "order_parameters", "rate": 2.0, "variance": variance},
                "times": {"values": (4 * stored.time.values[1:]).tolist()},
                "metrics": ["loss", "student_overlaps", "teacher_overlaps"],
            }
        ).isel(seed=0)  # fmt: skip
        assert abs(found.student_overlaps.values - stored[f"Q{suffix}"].values).max() < 1e-8
        assert abs(found.teacher_overlaps.values - stored[f"M{suffix}"].values).max() < 1e-8
        assert abs(found.loss.values - stored[f"excess_risk{suffix}"].values).max() < 1e-8


def test_one_spherical_student_of_a_square(tmp_path: Path) -> None:
    """dm/dt = m[4(1 − 6γ)(1 − m²) − 2γΔ] for p = k = 1, which is logistic in m²."""
    rate, noise, start = 0.1, 1e-4, 0.1
    hidden = [[start, np.sqrt(1 - start**2)]]
    file = {"initial_hidden": (("neuron", "feature"), hidden), "initial_output": ("neuron", [1.0])}
    xr.Dataset(file).to_netcdf(tmp_path / "start.nc")
    times = np.array([0.5, 1.0, 2.0, 4.0])
    found = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 2, "teachers": 1, "noise": noise},
            "network": {"neurons": 1, "activation": "quadratic", "output": "fixed"},
            "initialization": {"name": "file", "path": str(tmp_path / "start.nc")},
            "dynamics": {"name": "order_parameters", "rate": rate, "spherical": True, "rtol": 1e-12},
            "times": {"values": times.tolist()},
        }
    ).isel(seed=0)
    a, b = 4 * (1 - 6 * rate), 2 * rate * noise
    growth = np.exp(2 * (a - b) * times)
    square = start**2 * (a - b) * growth / (a - b + a * start**2 * (growth - 1))
    assert np.allclose(found.loss.values[1:], 2 * (1 - square), atol=1e-9)


def test_the_plateau_of_noise() -> None:
    """The loss at the end is γΔ/(2√3πp) within 3 %, from a start at the teachers."""
    teachers, noise, rate = 2, 0.01, 0.05
    found = twolayer.run(
        {
            "problem": {
                "name": "gaussian_teacher", "dimension": 6, "teachers": teachers, "coefficients": 0.5, "noise": noise
            },
            "network": {"neurons": 4, "activation": "erf", "output": "fixed", "output_scale": "1/m"},
            "initialization": {"name": "file", "path": str(DATA / "plateau_start_2.nc")},
            "dynamics": {"name": "order_parameters", "rate": rate, "rtol": 1e-8},
            "times": {"values": [1200]},
        }
    ).isel(seed=0, time=-1)  # fmt: skip
    assert float(found.loss) == pytest.approx(rate * noise / (2 * np.sqrt(3) * np.pi * 4), rel=0.03)


def test_what_the_equations_do_not_describe_is_refused() -> None:
    for changes, message in (
        ({"problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2}}, "needs m \\+ k = 5 features"),
        ({"network": {"neurons": 3, "activation": "erf"}}, "fixed output weights"),
        ({"network": {"neurons": 3, "activation": "tanh", "output": "fixed"}}, "in closed form"),
        ({"dynamics": {"name": "order_parameters", "rate": 0.0}}, "rate: must be above 0"),
        ({"dynamics": {"name": "order_parameters", "rate": 1.0, "rtol": 0.1}}, "rtol: must lie in"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            twolayer.run(experiment("erf", 5, **changes))
    full = {"name": "order_parameters", "rate": 1.0}
    with pytest.raises(ConfigError, match="variance: 'full' needs"):
        twolayer.run(experiment("gelu", 5, dynamics=full))


def test_more_quadratic_students_than_teachers_stay_at_their_minimum() -> None:
    """The loss falls to the end, as t⁻² to a tenth: the antisymmetric part of Q, which rounding makes and no weights
    have, does not grow."""
    network = {"neurons": 4, "activation": "quadratic", "output": "fixed"}
    found = twolayer.run(
        experiment(
            "quadratic",
            6,
            problem={"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
            network=network,
            initialization={"name": "gaussian", "scale": 0.1},
            dynamics={"name": "order_parameters", "rate": 0.02, "rtol": 1e-7},
            times={"values": [1, 3, 10, 30, 100, 200]},
            metrics=["loss"],
        )
    )
    loss = found.loss.values
    assert (np.diff(loss, axis=-1) < 0).all()
    assert np.allclose(loss[:, -2] / loss[:, -1], 4.0, rtol=0.1)


def test_overlaps_of_no_weights_end_the_path() -> None:
    """By how much they are of none is exact, and where it is more than errors of steps the path ends and says so."""
    frame = WeightsOfOverlaps.of(np.eye(3)[:1], 2)
    hidden = np.array([[0.5, 1.0, 0.0], [0.2, 0.0, 2.0]])
    rows = frame.rows(hidden)
    assert frame.shortfall(rows) == 0.0
    assert np.allclose(frame.rows(frame.hidden(rows)), rows, atol=1e-15)
    unreal = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])  # |w| = 1, w·v = 2: 1 − 4 = −3
    assert frame.shortfall(unreal) == pytest.approx(3.0)

    def check(time: float, state: Any) -> None:
        if frame.shortfall(state.reshape(2, 3)) > 1e-3:
            raise PathEndsError(f"at {time}")

    path = order_8(
        lambda _, state: np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), np.array([1.0, 0, 0, 0, 1.0, 0]),
        np.array([0.0, 3.0]), 1e-6, 1e-9, check,
    )  # fmt: skip
    assert next(path)[2] == 0.0
    with pytest.raises(PathEndsError):
        next(path)


def test_a_path_that_runs_away_says_when() -> None:
    """Steps that are far too large for quadratic students: the seed ends there, with a note."""
    network = {"neurons": 4, "activation": "quadratic", "output": "fixed"}
    found = twolayer.run(
        experiment("quadratic", 6, network=network, dynamics={"name": "order_parameters", "rate": 50.0})
    )
    assert np.isnan(found.loss.values[:, -1]).all()
    assert "the overlaps leave the range of floats at t = " in found.attrs["notes"]
