"""Teachers of activations that are not two slopes: kernels, loss, gradient, Hessian, descents, batches and flow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from namespaces import NAMESPACES, namespace
from networks import activation_of, network_of
from scipy import integrate

import twolayer
from twolayer import Activation, FiniteData, Teacher, Weights
from twolayer.core.arrays import array_namespace, to_host
from twolayer.errors import ConfigError
from twolayer.population.gaussian_kernel import ClosedPairs, QuadraturePairs
from twolayer.population.kernel_problem import KernelProblem

SMOOTH = ("erf", "gelu", "quadratic", "softplus", "tanh")
CLOSED = ("erf", "gelu", "quadratic")
EXPECTATIONS = ("values", "pulls", "curvatures", "mixed")


@dataclass(frozen=True)
class Swish(Activation):
    """σ and σ' alone."""

    def value(self, preactivation: Any) -> Any:
        xp = array_namespace(preactivation)
        return preactivation * 0.5 * (1.0 + xp.tanh(0.5 * preactivation))

    def derivative(self, preactivation: Any) -> Any:
        xp = array_namespace(preactivation)
        share = 0.5 * (1.0 + xp.tanh(0.5 * preactivation))
        return share + preactivation * share * (1.0 - share)


def case(activation: Any, output: str = "trained", profile: str = "none", seeds: int = 2) -> Any:
    """Three students and two teachers, not orthogonal, in four dimensions."""
    random = np.random.default_rng(7)
    network = network_of(3, activation, output, output_scale="1/sqrt(m)")
    teacher = Teacher(0.6 * random.standard_normal((2, 4)), np.array([1.0, -0.7]), profile)
    hidden = 0.6 * random.standard_normal((seeds, 3, 4))
    weights = network.with_tied_outputs(Weights(hidden, random.standard_normal((seeds, 3))))
    problem = teacher.problem(network)
    assert isinstance(problem, KernelProblem)
    return problem, weights


def packed(network: Any, weights: Weights) -> Any:
    parts = [weights.hidden.reshape(len(weights.hidden), -1)]
    return np.concatenate([*parts, *([weights.output] if network.output == "trained" else [])], axis=-1)


def unpacked(network: Any, vectors: Any, like: Weights) -> Weights:
    size = like.hidden[0].size
    output = vectors[:, size:] if network.output == "trained" else like.output
    return network.with_tied_outputs(Weights(vectors[:, :size].reshape(like.hidden.shape), output))


def neurons(scale: float) -> Any:
    """Vectors up to a length, among them equal, opposite, nearly equal and zero ones."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((6, 4))
    vectors *= scale * random.uniform(0.2, 1.0, (6, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1], vectors[2], vectors[4] = vectors[0], -vectors[0], 0.0
    vectors[3] = vectors[0] + 1e-9 * random.standard_normal(4)
    return vectors


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_are_those_of_the_value(name: str) -> None:
    activation, step = activation_of(name), 1e-4
    points = np.array([-5.0, -1.3, -0.2, 0.0, 0.7, 3.0])
    for value, derivative in (
        (activation.value, activation.derivative),
        (activation.derivative, activation.second_derivative),
    ):
        found = (value(points + step) - value(points - step)) / (2 * step)
        assert found == pytest.approx(derivative(points), abs=2e-8)
    assert activation.second_derivative(points) == pytest.approx(
        Activation.second_derivative(activation, points), abs=1e-12
    )
    assert activation.even == np.allclose(activation.value(points), activation.value(-points))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_closed_forms_equal_the_trapezoidal_rule(name: str, scale: float) -> None:
    """erf and gelu to 1e-12 for A, B ≤ 16. z² grows at the ends of the nodes: to 1e-13 of |w|⁴ each."""
    activation, vectors = activation_of(name), neurons(scale)
    closed, sums = (
        ClosedPairs(activation.kernel, vectors, vectors),
        QuadraturePairs(activation, vectors, vectors),
    )
    tolerance = 1e-13 * max(1.0, scale) ** 4 if name == "quadratic" else 1e-12
    for what in EXPECTATIONS:
        np.testing.assert_allclose(getattr(closed, what)(), getattr(sums, what)(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", [*SMOOTH, "swish"])
def test_expectations_equal_adaptive_quadrature(name: str) -> None:
    """E σσ, E σ'σ x, E σ''σ xxᵀ and E σ'σ' xxᵀ in the plane, by scipy's dblquad, to 1e-9 (its tolerance)."""
    activation = Swish() if name == "swish" else activation_of(name)
    u, v = np.array([0.9, 0.4]), np.array([-0.2, 1.1])
    kernel = activation.kernel
    pairs = (
        QuadraturePairs(activation, u[None], v[None])
        if kernel is None
        else ClosedPairs(kernel, u[None], v[None])
    )

    def mean(function: Any) -> float:
        def integrand(y: float, x: float) -> float:
            point = np.array([x, y])
            density = math.exp(-0.5 * (x * x + y * y)) / (2 * math.pi)
            return float(function(np.asarray(u @ point), np.asarray(v @ point), point)) * density

        return float(integrate.dblquad(integrand, -9, 9, -9, 9, epsabs=1e-10, epsrel=1e-10)[0])

    slope, bend, value = activation.derivative, activation.second_derivative, activation.value
    assert pairs.values()[0, 0] == pytest.approx(mean(lambda s, t, _: value(s) * value(t)), abs=1e-9)
    assert pairs.pulls()[0, 0, 1] == pytest.approx(mean(lambda s, t, x: slope(s) * value(t) * x[1]), abs=1e-9)
    assert pairs.curvatures()[0, 0, 0, 1] == pytest.approx(
        mean(lambda s, t, x: bend(s) * value(t) * x[0] * x[1]), abs=1e-9
    )
    assert pairs.mixed()[0, 0, 0, 0] == pytest.approx(
        mean(lambda s, t, x: slope(s) * slope(t) * x[0] ** 2), abs=1e-9
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_the_kernel_of_a_neuron_with_itself_is_its_mean_square(name: str) -> None:
    """K(A, A, A) = E σ², by a fine sum in one dimension, to 1e-14 of it."""
    activation = activation_of(name)
    points = np.linspace(-12, 12, 6001)
    weights = np.exp(-0.5 * points**2) * (24 / 6000) / math.sqrt(2 * math.pi)
    for length in (0.1, 1.0, 2.0):
        u = np.array([[0.6 * length, 0.8 * length]])
        pairs = (
            QuadraturePairs(activation, u, u)
            if activation.kernel is None
            else ClosedPairs(activation.kernel, u, u)
        )
        assert pairs.values()[0, 0] == pytest.approx(
            float(weights @ activation.value(length * points) ** 2), rel=1e-14, abs=1e-14
        )


def triples() -> Iterator[Any]:
    """Every pair of an activation, an output layer and a profile; the further triples are slow."""
    names, outputs, profiles = (
        (*SMOOTH, "swish"),
        ("trained", "fixed", "tied"),
        ("none", "constant", "linear"),
    )
    for (i, name), (j, output), (k, profile) in itertools.product(
        *map(enumerate, (names, outputs, profiles))
    ):
        yield pytest.param(name, output, profile, marks=[pytest.mark.slow] * ((i + j + k) % 3 > 0))


@pytest.mark.parametrize(("name", "output", "profile"), list(triples()))
def test_gradient_and_hessian_by_differences(name: str, output: str, profile: str) -> None:
    """By central differences, to 1e-8 of the largest entry."""
    problem, weights = case(Swish() if name == "swish" else name, output, profile)
    network, step = problem.network, 1e-5
    point = packed(network, weights)
    slopes, bends = [], []
    for index in range(point.shape[1]):
        shift = step * np.eye(point.shape[1])[index]
        ahead, behind = (unpacked(network, point + sign * shift, weights) for sign in (1, -1))
        slopes.append((problem.loss(ahead) - problem.loss(behind)) / (2 * step))
        gradients = [packed(network, problem.gradient(each)) for each in (ahead, behind)]
        bends.append((gradients[0] - gradients[1]) / (2 * step))
    gradient, hessian = packed(network, problem.gradient(weights)), problem.hessian(weights)
    assert gradient == pytest.approx(np.stack(slopes, -1), abs=1e-8 * max(1.0, abs(gradient).max()))
    assert hessian == pytest.approx(np.stack(bends, -1), abs=1e-8 * max(1.0, abs(hessian).max()))
    assert problem.sharpness(weights) == pytest.approx(np.linalg.eigvalsh(hessian)[:, -1], rel=1e-10)


@pytest.mark.parametrize("name", [*SMOOTH, "swish"])
def test_the_loss_is_that_of_many_samples(name: str) -> None:
    """½(f − f*)² over 4e5 samples, within 4 standard errors; and 0, to its rounding, at the teacher."""
    problem, weights = case(Swish() if name == "swish" else name)
    inputs = np.random.default_rng(3).standard_normal((400_000, 4))
    sample = FiniteData(inputs, problem.data.labels(inputs, problem.network)).problem(problem.network)
    squares = 0.5 * (sample.predict(weights) - sample.data.targets) ** 2
    error = squares.std(-1) / math.sqrt(squares.shape[-1])
    assert (abs(squares.mean(-1) - problem.loss(weights)) < 4 * error).all()
    same = Weights(
        np.concatenate([problem.data.hidden, np.ones((1, 4))])[None],
        np.concatenate([problem.data.output, [0.0]])[None] / problem.network.scale,
    )
    assert 0 <= problem.loss(same)[0] <= problem.rounding(same)[0] < 1e-12


@pytest.mark.parametrize("profile", ["none", "constant"])
def test_descent_of_the_square_is_its_matrix_form(profile: str) -> None:
    """With Γ = Σ c u uᵀ: L = ½[(tr Γ)² + 2|Γ|²], ∂L/∂w = c(2 tr Γ + 4Γ)w; a constant profile leaves |Γ|². To 1e-12."""
    problem, weights = case("quadratic", "fixed", profile)
    scale, teacher = problem.network.scale, problem.data
    hidden, factors = weights.hidden.copy(), scale * weights.output
    trace = 0.0 if profile == "constant" else 1.0
    for _ in range(5):
        units = np.concatenate([hidden, np.stack([teacher.hidden] * 2)], axis=1)
        heavy = np.concatenate([factors, np.stack([-teacher.output] * 2)], axis=1)
        gamma = np.einsum("sp,spi,spj->sij", heavy, units, units)
        size = np.trace(gamma, axis1=1, axis2=2)
        loss = 0.5 * (trace * size**2 + 2 * (gamma**2).sum((-2, -1)))
        assert problem.loss(Weights(hidden, weights.output)) == pytest.approx(loss, rel=1e-12)
        force = 2 * trace * size[:, None, None] * hidden + 4 * hidden @ gamma
        hidden = hidden - 0.02 * factors[..., None] * force
    found = problem.descend(weights, 0.02, 0.0, 5)
    np.testing.assert_allclose(found.hidden, hidden, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["erf", "quadratic", "tanh"])
@pytest.mark.parametrize("profile", ["none", "linear"])
def test_batches_descend_on_average(name: str, profile: str) -> None:
    """The mean batch gradient over 64 seeds is that of the population, within 3.5 standard errors in each entry, and
    the mean loss after ten small steps is descent's within 3."""
    problem, one = case(name, "trained", profile, seeds=1)
    weights = Weights(np.repeat(one.hidden, 64, 0), np.repeat(one.output, 64, 0))
    randoms = [np.random.default_rng([5, seed]) for seed in range(64)]
    drawn = problem.batch(weights, 400, randoms).gradient(weights)
    exact = problem.gradient(one)
    for found, wanted in ((drawn.hidden, exact.hidden[0]), (drawn.output, exact.output[0])):
        error = found.std(0) / 8.0
        assert (abs(found.mean(0) - wanted) < 3.5 * error).all()
    step = 0.002 if name == "quadratic" else 0.02
    ends = problem.loss(problem.descend_on_batches(weights, step, 400, 10, randoms))
    exact_end = problem.loss(problem.descend(one, step, 0.0, 10))[0]
    assert abs(ends.mean() - exact_end) < 3 * ends.std() / 8.0


@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_descent_in_the_span_is_descent_in_all_dimensions(name: str) -> None:
    """In 5 of 40 coordinates, to 1e-11; the top Hessian eigenvalue too."""
    random = np.random.default_rng(2)
    network = network_of(3, name)
    problem = Teacher(random.standard_normal((2, 40)) / 6, np.ones(2)).problem(network)
    weights = Weights(random.standard_normal((1, 3, 40)) / 6, random.standard_normal((1, 3)))
    here = weights
    for _ in range(5):
        here = here - 0.1 * problem.gradient(here)
    found = problem.descend(weights, 0.1, 0.0, 5)
    np.testing.assert_allclose(found.hidden, here.hidden, atol=1e-11)
    small, start, lift = problem.in_span(weights)
    assert lift is not None
    assert small.data.features == 5
    assert small.loss(start) == pytest.approx(problem.loss(weights), abs=1e-13)
    values = np.linalg.eigvalsh(problem.hessian(weights))
    assert problem.sharpness(weights) == pytest.approx(values[:, -1], rel=1e-9)


@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", SMOOTH)
def test_every_function_keeps_namespace_dtype_and_numbers(name: str, dtype: str, activation: str) -> None:
    xp = namespace(name)
    kind, tolerance = getattr(xp, dtype), 2e-5 if dtype == "float32" else 1e-12

    def place(array: Any) -> Any:
        return xp.asarray(np.asarray(array, dtype=dtype))

    for output, profile in (("trained", "linear"), ("tied", "constant"), ("fixed", "none")):
        problem, weights = case(activation, output, profile)
        placed = problem.data.mapped(place).problem(problem.network)
        there = Weights(place(weights.hidden), place(weights.output))

        def everything(problem: Any, weights: Weights) -> dict[str, Any]:
            gradient, path = problem.gradient(weights, 0.1), problem.descend(weights, 0.01, 0.1, 2)
            constant, linear = problem.removed(weights)
            return {
                "loss": problem.loss(weights),
                "rounding": problem.rounding(weights),
                "hidden gradient": gradient.hidden,
                "output gradient": gradient.output,
                "hidden descent": path.hidden,
                "hessian": problem.hessian(weights),
                "sharpness": problem.sharpness(weights),
                "constant": constant,
                "linear": linear,
            }

        expected = everything(problem, weights)
        for what, array in everything(placed, there).items():
            assert type(array) is type(there.hidden), what
            assert array.dtype == kind, what
            if what == "rounding":  # is that of the precision
                continue
            bound = tolerance * max(1.0, abs(expected[what]).max())
            np.testing.assert_allclose(to_host(array), expected[what], rtol=0, atol=bound, err_msg=what)
        randoms = [np.random.default_rng(seed) for seed in range(2)]
        batch = placed.batch(there, 3, randoms).gradient(there).hidden
        assert batch.dtype == kind


# ---- flow ---------------------------------------------------------------------------------------------------


def section(activation: Any, **changed: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
        "network": {"neurons": 3, "activation": activation},
        "initialization": {"name": "gaussian", "scale": 0.3},
        "dynamics": {"name": "gradient_flow"},
        "times": {"values": [1.0, 3.0]},
        "seeds": 1,
        "metrics": [],
        **changed,
    }


@pytest.mark.parametrize(
    ("activation", "samples", "output"),
    [
        ("erf", None, "trained"),
        ("quadratic", None, "trained"),
        ("gelu", None, "tied"),
        ("erf", 20, "fixed"),
        ("tanh", 20, "trained"),
        ("softplus", 20, "tied"),
    ],
)
def test_flow_is_the_limit_of_small_steps(activation: str, samples: int | None, output: str) -> None:
    """The largest error of descent falls as its step; extrapolated, the rest is below 1e-4 of the loss."""
    chosen = section(activation)
    chosen["problem"] = chosen["problem"] | ({} if samples is None else {"samples": samples})
    chosen["network"] = chosen["network"] | {"output": output}
    flow = twolayer.run(chosen)["loss"].values[0]
    descents = []
    for step in (0.002, 0.001):
        chosen["dynamics"] = {"name": "gradient_descent", "step_size": step}
        descents.append(twolayer.run(chosen)["loss"].values[0])
    assert abs(descents[1] - flow).max() <= 0.6 * abs(descents[0] - flow).max() + 1e-9
    np.testing.assert_allclose(2 * descents[1] - descents[0], flow, rtol=1e-4)


@pytest.mark.parametrize("samples", [None, 15])
def test_the_square_conserves_lengths_less_twice_the_squared_outputs(samples: int | None) -> None:
    """σ of degree 2: |w_i|² − 2a_i² is constant along the flow with trained outputs, to 1e-8 (rtol 1e-10)."""
    chosen = section("quadratic", times={"values": [0.3, 3.0, 30.0]})
    chosen["problem"] = chosen["problem"] | ({} if samples is None else {"samples": samples})
    found = twolayer.run(chosen, weights=True).isel(seed=0)
    kept = (found["hidden"] ** 2).sum("feature") - 2 * found["output"] ** 2
    np.testing.assert_allclose(kept, np.broadcast_to(kept.isel(time=0), kept.shape), atol=1e-8)
    assert found["loss"].values[-1] < 0.1 * found["loss"].values[0]


def test_flow_reaches_a_solution_and_says_what_is_rounding() -> None:
    """erf to T = 1e5: the loss falls to the rounding of its terms, and `trusted_until` is before the end."""
    found = twolayer.run(
        section("erf", times={"start": 1.0, "stop": 1e5, "count": 20, "spacing": "log"})
    ).isel(seed=0)
    assert np.isfinite(found["loss"]).all()
    assert found["loss"].values[-1] < 1e-13
    trusted = float(found["trusted_until"])
    level = float(found["loss"].sel(time=trusted))
    assert trusted < 1e5
    assert 1e-15 < level < 1e-8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {
                "dynamics": {
                    "name": "sequence",
                    "stages": [
                        {"name": "gradient_descent", "step_size": 0.1, "until": 1.0},
                        {"name": "balancing"},
                        {"name": "gradient_descent", "step_size": 0.1},
                    ],
                }
            },
            "Erf is not so",
        ),
        ({"initialization": {"name": "nonnegative_least_squares"}}, "Erf is not so"),
    ],
)
def test_what_needs_a_homogeneous_activation_refuses_others(changed: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        twolayer.run(section("erf", **changed))
