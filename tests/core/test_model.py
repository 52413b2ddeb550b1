"""Loss, gradient, penalty and sharpness against slow loops and finite differences, in every namespace."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from namespaces import NAMESPACES, namespace
from networks import TWO_SLOPES, network_of, of_two_slopes

from twolayer import Activation, EmpiricalProblem, FiniteData, Network, Problem, Weights
from twolayer.core.arrays import norm, to_host

SEEDS, NEURONS, FEATURES, SAMPLES = 2, 3, 2, 4


@dataclass(frozen=True)
class Case:
    """A problem and weights on the host, in float64."""

    problem: Problem
    weights: Weights

    @property
    def name(self) -> str:
        network, data = self.problem.network, self.problem.data
        drawn = "per-seed" if data.per_seed else "shared"
        return (
            f"{type(network.activation).__name__}-{network.output}-{network.output_scale}-{drawn}-{data.loss}"
        )


def all_cases() -> Iterator[Case]:
    activations, outputs, scales = (
        TWO_SLOPES.values(),
        ("trained", "fixed", "tied"),
        (1.0, "1/m", "1/sqrt(m)"),
    )
    losses, per_seed = ("half_mean_square", "mean_square"), (False, True)
    for number, combination in enumerate(itertools.product(activations, outputs, scales, losses, per_seed)):
        activation, output, scale, loss, per_seed = combination
        random = np.random.default_rng(number)
        lead = (SEEDS,) if per_seed else ()
        data = FiniteData(
            random.standard_normal((*lead, SAMPLES, FEATURES)), random.standard_normal((*lead, SAMPLES)), loss
        )
        network = network_of(NEURONS, activation, output, output_scale=scale)
        hidden = random.standard_normal((SEEDS, NEURONS, FEATURES))
        weights = network.with_tied_outputs(Weights(hidden, random.standard_normal((SEEDS, NEURONS))))
        yield Case(EmpiricalProblem(data, network), weights)


CASES = list(all_cases())
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# ---- the oracle: plain numbers and loops, one seed --------------------------------------------------------


def slow_predictions(network: Network, inputs: Any, hidden: Any, output: Any) -> list[float]:
    """f(x_k) = s Σ_j a_j σ(w_j·x_k)."""
    scale = {1.0: 1.0, "1/m": 1 / len(hidden), "1/sqrt(m)": 1 / math.sqrt(len(hidden))}[network.output_scale]
    predictions = []
    for x in inputs:
        total = 0.0
        for w, a in zip(hidden, output, strict=True):
            z = sum(float(w_i) * float(x_i) for w_i, x_i in zip(w, x, strict=True))
            total += float(a) * network.activation.slopes[2 if z > 0 else 0] * z
        predictions.append(scale * total)
    return predictions


def slow_loss(
    data: FiniteData, network: Network, inputs: Any, targets: Any, hidden: Any, output: Any
) -> float:
    """(1/2n) Σ r² or (1/n) Σ r²."""
    predictions = slow_predictions(network, inputs, hidden, output)
    total = sum((f - float(y)) ** 2 for f, y in zip(predictions, targets, strict=True))
    return total / len(predictions) / (2 if data.loss == "half_mean_square" else 1)


def slow_penalty(network: Network, hidden: Any, output: Any, weight_decay: float) -> float:
    """(weight_decay/2)(|a|² + |W|²); fixed outputs are no parameters."""
    squares = sum(float(w) ** 2 for row in hidden for w in row)
    if network.output != "fixed":
        squares += sum(float(a) ** 2 for a in output)
    return weight_decay / 2 * squares


def data_of_seed(data: FiniteData, seed: int) -> tuple[Any, Any]:
    return (data.inputs[seed], data.targets[seed]) if data.per_seed else (data.inputs, data.targets)


def parameters_of(network: Network, hidden: Any, output: Any) -> Any:
    """The trained parameters of one seed as a vector."""
    return np.concatenate([hidden.ravel(), output]) if network.output == "trained" else hidden.ravel().copy()


def weights_of(network: Network, parameters: Any, output: Any) -> tuple[Any, Any]:
    """Hidden and output weights of one seed from its parameters; tied outputs are |w_j|."""
    count = NEURONS * FEATURES
    hidden = parameters[:count].reshape(NEURONS, FEATURES)
    if network.output == "trained":
        return hidden, parameters[count:]
    if network.output == "tied":
        return hidden, [math.sqrt(sum(w**2 for w in row)) for row in hidden.tolist()]
    return hidden, output


def central_differences(function: Any, point: Any, step: float = 1e-5) -> Any:
    """Derivatives of a function (scalar or vector) in each coordinate, along the last axis."""
    derivatives = []
    for index in range(len(point)):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        derivatives.append((np.asarray(function(ahead)) - np.asarray(function(behind))) / (2 * step))
    return np.stack(derivatives, axis=-1)


# ---- against the oracle -----------------------------------------------------------------------------------


@every_case
def test_loss_and_penalty_equal_the_loops(case: Case) -> None:
    problem, weights = case.problem, case.weights
    loss, penalty, prediction = problem.loss(weights), problem.penalty(weights, 0.3), problem.predict(weights)
    for seed in range(SEEDS):
        inputs, targets = data_of_seed(problem.data, seed)
        one = weights.hidden[seed], weights.output[seed]
        expected = slow_loss(problem.data, problem.network, inputs, targets, *one)
        assert loss[seed] == pytest.approx(expected, rel=1e-13)
        assert penalty[seed] == pytest.approx(slow_penalty(problem.network, *one, 0.3), rel=1e-13)
        assert prediction[seed] == pytest.approx(
            slow_predictions(problem.network, inputs, *one), rel=1e-12, abs=1e-14
        )


@every_case
@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_gradient_equals_differences_of_the_loops(case: Case, weight_decay: float) -> None:
    problem, network = case.problem, case.problem.network
    gradient = problem.gradient(case.weights, weight_decay)
    for seed in range(SEEDS):
        inputs, targets = data_of_seed(problem.data, seed)
        output = case.weights.output[seed]

        def objective(
            parameters: Any, inputs: Any = inputs, targets: Any = targets, output: Any = output
        ) -> float:
            one = weights_of(network, parameters, output)
            loss = slow_loss(problem.data, network, inputs, targets, *one)
            return loss + slow_penalty(network, *one, weight_decay)

        point = parameters_of(network, case.weights.hidden[seed], output)
        expected = central_differences(objective, point)
        actual = parameters_of(network, gradient.hidden[seed], gradient.output[seed])
        # truncation step², rounding 1e-16 / step: both below 1e-9 here
        assert actual == pytest.approx(expected, rel=1e-8, abs=1e-8 * np.abs(expected).max())
        if network.output != "trained":
            assert not gradient.output[seed].any()


@every_case
def test_sharpness_is_the_top_eigenvalue_of_the_slow_jacobian(case: Case) -> None:
    problem, network = case.problem, case.problem.network
    sharpness = problem.sharpness(case.weights)
    for seed in range(SEEDS):
        inputs, _ = data_of_seed(problem.data, seed)
        output = case.weights.output[seed]
        jacobian = central_differences(
            lambda parameters, inputs=inputs, output=output: slow_predictions(
                network, inputs, *weights_of(network, parameters, output)
            ),
            parameters_of(network, case.weights.hidden[seed], output),
        )
        curvature = (1 if problem.data.loss == "half_mean_square" else 2) / SAMPLES
        expected = curvature * np.linalg.eigvalsh(jacobian @ jacobian.T)[-1]
        assert sharpness[seed] == pytest.approx(expected, rel=1e-8)


@every_case
def test_sharpness_of_more_samples_than_parameters_is_that_of_few(case: Case) -> None:
    """Each sample twenty times is the same loss; the eigenvalue is then found from another matrix."""
    data = case.problem.data
    inputs, targets = np.repeat(data.inputs, 20, axis=-2), np.repeat(data.targets, 20, axis=-1)
    many = dataclasses.replace(case.problem, data=FiniteData(inputs, targets, data.loss))
    assert NEURONS * (FEATURES + 1) < 20 * SAMPLES
    assert many.sharpness(case.weights) == pytest.approx(case.problem.sharpness(case.weights), rel=1e-12)


@dataclass(frozen=True)
class Tanh(Activation):
    """A smooth activation whose σ'' is that of the base class."""

    def value(self, preactivation: Any) -> Any:
        return np.tanh(preactivation)

    def derivative(self, preactivation: Any) -> Any:
        return 1.0 - np.tanh(preactivation) ** 2


@every_case
@pytest.mark.parametrize("smooth", [False, True], ids=["as it is", "tanh"])
def test_hessian_equals_differences_of_the_gradient(case: Case, smooth: bool) -> None:
    """Also the sharpness of a smooth activation, where the Jacobian is that of the predictions."""
    problem = case.problem
    if smooth:
        problem = replace(problem, network=replace(problem.network, activation=Tanh()))
    network, hessian, sharpness = problem.network, problem.hessian(case.weights), None
    if smooth:
        sharpness = problem.sharpness(case.weights)
    for seed in range(SEEDS):
        output = case.weights.output[seed]
        one = EmpiricalProblem(problem.data.of_seed(seed), network)

        def weights(parameters: Any, output: Any = output) -> Weights:
            return Weights(*map(np.asarray, weights_of(network, parameters, output)))

        def gradient(parameters: Any, one: Any = one, weights: Any = weights) -> Any:
            found = one.gradient(weights(parameters))
            return parameters_of(network, found.hidden, found.output)

        point = parameters_of(network, case.weights.hidden[seed], output)
        expected = central_differences(gradient, point)
        # as for the gradient, of which third derivatives are larger
        assert hessian[seed] == pytest.approx(expected, abs=1e-7 * max(1.0, np.abs(expected).max()))
        if sharpness is not None:
            jacobian = central_differences(
                lambda point, one=one, weights=weights: one.predict(weights(point)), point
            )
            curvature = (1 if problem.data.loss == "half_mean_square" else 2) / SAMPLES
            assert sharpness[seed] == pytest.approx(
                curvature * np.linalg.eigvalsh(jacobian @ jacobian.T)[-1], rel=1e-8
            )


@of_two_slopes
def test_a_missing_seed_axis_gives_the_numbers_of_that_seed(activation: Any) -> None:
    case = next(case for case in CASES if case.problem.network.activation == activation)
    problem, one = case.problem, Weights(case.weights.hidden[1], case.weights.output[1])
    assert problem.loss(one) == pytest.approx(problem.loss(case.weights)[1], rel=1e-14)
    gradient, gradients = problem.gradient(one, 0.1), problem.gradient(case.weights, 0.1)
    assert gradient.hidden == pytest.approx(gradients.hidden[1], rel=1e-13)
    assert gradient.output == pytest.approx(gradients.output[1], rel=1e-13)
    assert problem.sharpness(one) == pytest.approx(problem.sharpness(case.weights)[1], rel=1e-12)


# ---- properties -------------------------------------------------------------------------------------------


@every_case
def test_predictions_are_homogeneous(case: Case) -> None:
    """f(c W, c a) = c² f(W, a), exactly for powers of two; c f where outputs are fixed."""
    problem, network = case.problem, case.problem.network
    fixed = network.output == "fixed"
    scaled = Weights(8.0 * case.weights.hidden, (1.0 if fixed else 8.0) * case.weights.output)
    assert np.array_equal(problem.predict(scaled), (8.0 if fixed else 64.0) * problem.predict(case.weights))


@every_case
def test_gradient_along_the_weights_counts_the_degree(case: Case) -> None:
    """Euler: ⟨θ, ∇L⟩ = p Σ_k f_k ∂L/∂f_k with degree p = 2 (1 where outputs are fixed)."""
    problem = case.problem
    gradient, prediction = problem.gradient(case.weights), problem.predict(case.weights)
    along = (gradient.hidden * case.weights.hidden).sum((-2, -1))
    along += (gradient.output * case.weights.output).sum(-1)
    degree = 1 if problem.network.output == "fixed" else 2
    pull = 2 * problem.data.loss_weight * ((prediction - problem.data.targets) * prediction).sum(-1)
    assert along == pytest.approx(degree * pull, rel=1e-11)


@pytest.mark.parametrize("name", NAMESPACES)
@of_two_slopes
def test_slopes_at_zero_are_the_least(name: str, activation: Any) -> None:
    xp = namespace(name)
    network = network_of(1, activation)
    preactivation = xp.asarray([-2.0, -0.0, 0.0, 3.0])
    below = activation.slopes[0]
    least = max(0.0, below)
    assert to_host(network.activation.derivative(preactivation)).tolist() == [below, least, least, 1.0]
    assert to_host(network.activation.value(preactivation)).tolist() == [-2.0 * below, 0.0, 0.0, 3.0]


@pytest.mark.parametrize("output", ["trained", "tied"])
def test_zero_weights_are_a_critical_point(output: Any) -> None:
    data = FiniteData(np.asarray([[1.0, 2.0], [0.0, 1.0]]), np.asarray([1.0, -1.0]))
    problem = EmpiricalProblem(data, network_of(2, output=output))
    gradient = problem.gradient(Weights(np.zeros((2, 2)), np.zeros(2)), 0.5)
    assert not gradient.hidden.any()
    assert not gradient.output.any()


def test_a_neuron_on_the_border_of_a_sample_is_not_moved_by_it() -> None:
    data = FiniteData(np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([5.0, 7.0]))
    problem = EmpiricalProblem(data, network_of(1))
    gradient = problem.gradient(Weights(np.asarray([[0.0, 1.0]]), np.asarray([1.0])))
    assert gradient.hidden.tolist() == [[0.0, -3.0]]  # −(1/2)(7 − 1) of the second sample alone


@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norm_is_safe_where_squares_are_not(name: str, dtype: str) -> None:
    xp = namespace(name)
    exponent = 30 if dtype == "float32" else 200
    vectors = [[3.0 * 10.0**p, -4.0 * 10.0**p] for p in (-exponent, 0, exponent)] + [[0.0, 0.0]]
    length = norm(xp.asarray(vectors, dtype=getattr(xp, dtype)))
    expected = [5.0 * 10.0**p for p in (-exponent, 0, exponent)] + [0.0]
    tolerance = 1e-6 if dtype == "float32" else 1e-15
    assert to_host(length).tolist() == pytest.approx(expected, rel=tolerance, abs=0)


def test_weights_are_a_vector_space() -> None:
    one = Weights(np.asarray([[1.0, 2.0]]), np.asarray([3.0]))
    two = Weights(np.asarray([[10.0, 20.0]]), np.asarray([30.0]))
    result = one + 0.5 * two - two
    assert result.hidden.tolist() == [[-4.0, -8.0]]
    assert result.output.tolist() == [-12.0]


# ---- namespaces and precision -----------------------------------------------------------------------------


def everything(problem: Problem, weights: Weights) -> dict[str, Any]:
    """One value of each public function, by name."""
    preactivation = problem.preactivations(weights)
    values: dict[str, Any] = {
        "preactivations": preactivation,
        "activate": problem.network.activation.value(preactivation),
        "slope": problem.network.activation.derivative(preactivation),
        "predict": problem.predict(weights),
        "loss": problem.loss(weights),
        "penalty": problem.penalty(weights, 0.1),
        "sharpness": problem.sharpness(weights),
        "hessian": problem.hessian(weights),
        "norm": norm(weights.hidden),
    }
    states = {
        "gradient": problem.gradient(weights),
        "regularized gradient": problem.gradient(weights, 0.1),
        "descend": problem.descend(weights, 0.01, 0.1, 3),
        "closed": problem.network.with_tied_outputs(weights),
        "vector space": weights - 0.5 * (weights + weights),
    }
    for name, state in states.items():
        values |= {f"{name}, hidden": state.hidden, f"{name}, output": state.output}
    return values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMESPACES)
def test_every_function_keeps_namespace_dtype_and_numbers(name: str, dtype: str) -> None:
    xp = namespace(name)
    tolerance = 2e-5 if dtype == "float32" else 1e-12

    def place(array: Any) -> Any:
        return xp.asarray(np.asarray(array, dtype=dtype))

    for case in CASES:
        data, host = case.problem.data, case.weights
        placed = FiniteData(place(data.inputs), place(data.targets), data.loss)
        weights = Weights(place(host.hidden), place(host.output))
        expected = everything(case.problem, host)
        for what, array in everything(EmpiricalProblem(placed, case.problem.network), weights).items():
            where = f"{case.name}: {what}"
            assert type(array) is type(weights.hidden), where
            assert array.dtype == getattr(xp, dtype), where
            actual = to_host(array)
            assert type(actual) is np.ndarray, where
            bound = tolerance * max(1.0, np.abs(expected[what]).max())
            np.testing.assert_allclose(actual, expected[what], rtol=0, atol=bound, err_msg=where)


# ---- what a network may be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neurons": 0}, "neurons: .*not 0"),
        ({"neurons": 2, "output": "fixed", "output_values": [1.0]}, "output_values: 1 value for 2 neurons"),
        ({"neurons": 2, "output": "tied", "output_values": 2.0}, "output_values: only with 'output: fixed'"),
    ],
)
def test_a_network_that_cannot_be_says_why(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network_of(**arguments)


@pytest.mark.parametrize(("scale", "expected"), [(2.5, 2.5), ("1/m", 0.0625), ("1/sqrt(m)", 0.25)])
def test_output_scale(scale: Any, expected: float) -> None:
    assert network_of(16, output_scale=scale).scale == expected
