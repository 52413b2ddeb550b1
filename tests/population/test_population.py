"""Networks on a teacher: loss, gradient, Hessian and descents, the plugin's errors, and the way through the house."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from namespaces import BACKENDS, NAMESPACES, STAND_INS, backend, namespace
from networks import TWO_SLOPES, network_of, of_two_slopes

import twolayer
from twolayer import EmpiricalProblem, FiniteData, PopulationProblem, Problem, Teacher, Weights
from twolayer.core.arrays import to_host
from twolayer.errors import ConfigError
from twolayer.population.problem import reduced
from twolayer.population.stability import step_limit
from twolayer.storage.contents import pack_problem, unpack_problem
from twolayer.storage.netcdf import read, write
from twolayer.study.registry import load

OUTPUTS = ["fixed", "trained", "tied"]
TEACHERS = {
    "one": np.array([[0.9, 0.3, 0.0, 0.0]]),
    "orthogonal": np.array([[1.0, 0, 0, 0], [0, 0.7, 0, 0]]),
    "oblique": np.array([[1.0, 0, 0, 0], [0.5, 0.7, 0, 0]]),
}


def problem_of(
    teachers: str = "orthogonal",
    activation: Any = "relu",
    output: str = "trained",
    profile: str = "none",
    features: int = 4,
    neurons: int = 3,
) -> tuple[PopulationProblem, Weights]:
    """A problem and weights of two seeds in general position, on the host."""
    random = np.random.default_rng(8)
    vectors = np.zeros((len(TEACHERS[teachers]), features))
    vectors[:, :4] = TEACHERS[teachers]
    data = Teacher(vectors, np.array([1.0, -0.6])[: len(vectors)], profile)
    extra: dict[str, Any] = {"output_values": [1.0, -0.5, 2.0]} if output == "fixed" else {}
    network = network_of(neurons, activation, output, output_scale=0.7, **extra)  # type: ignore[arg-type]
    hidden = 1.5 * random.standard_normal((2, neurons, features)) / np.sqrt(features)
    given = random.standard_normal((2, neurons))
    if output == "fixed":
        given = np.broadcast_to([1.0, -0.5, 2.0], (2, 3)).copy()
    return data.problem(network), network.with_tied_outputs(Weights(hidden, given))


def parameters(problem: Any, weights: Weights) -> list[tuple[str, tuple[int, ...]]]:
    """Every trained parameter: which array, and where in it."""
    found = [("hidden", spot) for spot in np.ndindex(weights.hidden.shape[1:])]
    if problem.network.output == "trained":
        found += [("output", spot) for spot in np.ndindex(weights.output.shape[1:])]
    return found


def nudged(problem: Any, weights: Weights, where: tuple[str, tuple[int, ...]], step: float) -> Weights:
    hidden, output = weights.hidden.copy(), weights.output.copy()
    array, spot = (hidden if where[0] == "hidden" else output), where[1]
    array[(slice(None), *spot)] += step
    return problem.network.with_tied_outputs(Weights(hidden, output))


@pytest.mark.parametrize("teachers", TEACHERS)
@of_two_slopes
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradient_and_hessian_are_derivatives(teachers: str, activation: Any, output: str) -> None:
    step, decay = 1e-5, 0.3
    for profile in ("none", "constant", "linear"):
        problem, weights = problem_of(teachers, activation, output, profile)
        gradient, hessian = problem.gradient(weights, decay), problem.hessian(weights)

        def objective(state: Weights, problem: Any = problem) -> Any:
            return problem.loss(state) + problem.penalty(state, decay)

        def flat(state: Weights, problem: Any = problem) -> Any:
            slope = problem.gradient(state)
            parts = [slope.hidden.reshape(2, -1)]
            return np.concatenate([*parts, slope.output] if output == "trained" else parts, axis=-1)

        for index, where in enumerate(parameters(problem, weights)):
            ahead, behind = (nudged(problem, weights, where, sign * step) for sign in (1, -1))
            slope = (objective(ahead) - objective(behind)) / (2 * step)
            array = gradient.hidden if where[0] == "hidden" else gradient.output
            np.testing.assert_allclose(array[(slice(None), *where[1])], slope, atol=1e-8)
            column = (flat(ahead) - flat(behind)) / (2 * step)
            np.testing.assert_allclose(hessian[..., index], column, atol=1e-8)
        if output != "trained":
            assert (gradient.output == 0).all()


@of_two_slopes
def test_many_samples_tend_to_the_population(activation: Any) -> None:
    problem, weights = problem_of("oblique", activation)
    inputs = np.random.default_rng(3).standard_normal((200_000, 4))
    outputs = problem.network.activation.value(inputs @ problem.data.hidden.T) @ problem.data.output
    empirical = EmpiricalProblem(FiniteData(inputs, outputs), problem.network)
    squares = 0.5 * (empirical.predict(weights) - outputs) ** 2
    error = squares.std(axis=-1) / np.sqrt(inputs.shape[0])
    assert (np.abs(empirical.loss(weights) - problem.loss(weights)) < 4 * error).all()


@pytest.mark.parametrize("teachers", TEACHERS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_descents_run_in_the_span_and_nothing_is_lost(teachers: str, output: str) -> None:
    problem, weights = problem_of(teachers, output=output, features=40)
    (inside, _), basis = reduced(problem, weights)
    assert inside.data.features == 3 + len(TEACHERS[teachers])
    assert basis is not None
    found = problem.descend(weights, 0.05, 0.01, 60)
    wanted = Problem.descend(problem, weights, 0.05, 0.01, 60)
    np.testing.assert_allclose(found.hidden, wanted.hidden, atol=1e-14)
    np.testing.assert_allclose(found.output, wanted.output, atol=1e-14)


def test_a_million_dimensions_are_the_few_that_matter() -> None:
    few, weights = problem_of(features=5)
    wide = Teacher(np.zeros((2, 1_000_000)), few.data.output)
    wide.hidden[:, :5] = few.data.hidden
    hidden = np.zeros((2, 3, 1_000_000))
    hidden[..., :5] = weights.hidden
    found = wide.problem(few.network).descend(Weights(hidden, weights.output), 0.05, 0.0, 50)
    wanted = few.descend(weights, 0.05, 0.0, 50)
    np.testing.assert_allclose(found.hidden[..., :5], wanted.hidden, atol=1e-14)
    assert np.abs(found.hidden[..., 5:]).max() < 1e-15


@pytest.mark.parametrize("output", OUTPUTS)
def test_sharpness_is_the_top_eigenvalue(output: str) -> None:
    problem, weights = problem_of(output=output, features=9)
    top = np.linalg.eigvalsh(problem.hessian(weights)).max(axis=-1)
    np.testing.assert_allclose(problem.sharpness(weights), top, rtol=1e-12)


def test_students_on_the_other_side_keep_digits_for_abs() -> None:
    """|−w·x| = |w·x|: a network turned over has the same small loss."""
    teacher = Teacher(np.eye(4)[:2], np.ones(2))
    problem = teacher.problem(network_of(4, "abs", "fixed"))
    near = np.array([[0.4, 0, 1e-8, 0], [0.6, 0, -1e-8, 0], [0, 0.3, 0, 2e-8], [0, 0.7, 0, -2e-8]])
    given = np.ones(4)
    expected = problem.loss(Weights(near, given))
    assert 1e-26 < expected < 1e-22
    turned = near * np.array([1.0, -1.0, -1.0, 1.0])[:, None]
    assert problem.loss(Weights(turned, given)) == pytest.approx(expected, rel=1e-12, abs=0)
    slope, other = problem.gradient(Weights(near, given)), problem.gradient(Weights(turned, given))
    np.testing.assert_allclose(np.abs(other.hidden), np.abs(slope.hidden), rtol=1e-12, atol=1e-30)


@of_two_slopes
def test_zero_students_move_by_the_derivative_at_zero(activation: Any) -> None:
    for output in OUTPUTS:
        problem, weights = problem_of(activation=activation, output=output)
        weights.hidden[:, 1] = 0
        weights = problem.network.with_tied_outputs(weights)
        gradient = problem.gradient(weights)
        # E (f − f*) σ'(0) x, of which the linear part of the slopes is the only one that counts
        residual = 0.7 * (weights.output[..., None] * weights.hidden).sum(1)
        residual = residual - problem.data.output @ problem.data.hidden
        mean = 0.5 * (activation.slopes[0] + activation.slopes[2])
        pull = 0.7 * weights.output[:, 1, None] * activation.slopes[1] * mean * residual
        np.testing.assert_allclose(gradient.hidden[:, 1], pull, rtol=0, atol=1e-14)
        assert (gradient.output[:, 1] == 0).all()
        assert np.isfinite(problem.hessian(weights)).all()


@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_arrays_of_every_namespace(name: str, dtype: str, output: str) -> None:
    xp = namespace(name)
    for activation in TWO_SLOPES.values():
        problem, weights = problem_of(activation=activation, output=output, features=9)

        def place(array: Any) -> Any:
            return xp.asarray(array, dtype=getattr(xp, dtype))

        placed = Weights(place(weights.hidden), place(weights.output))
        same = PopulationProblem(problem.data.mapped(place), problem.network)
        rtol = 1e-12 if dtype == "float64" else 2e-4
        for method in ("loss", "sharpness", "hessian"):
            found, wanted = getattr(same, method)(placed), getattr(problem, method)(weights)
            assert found.dtype == getattr(xp, dtype)
            np.testing.assert_allclose(to_host(found), wanted, rtol=rtol, atol=10 * rtol)
        moved, wanted_state = same.descend(placed, 0.1, 0.01, 5), problem.descend(weights, 0.1, 0.01, 5)
        np.testing.assert_allclose(to_host(moved.hidden), wanted_state.hidden, atol=10 * rtol)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("output", OUTPUTS)
@of_two_slopes
def test_backends_descend_alike(name: str, output: str, activation: Any) -> None:
    """Each backend's descent against the obvious loop over the reference; stand-ins run the array code, as NumPy does,
    with one profile for each set of teachers."""
    profiles = ("none", "constant", "linear")
    pairs = zip if name in STAND_INS else itertools.product
    for teachers, profile in pairs(TEACHERS, profiles):
        problem, weights = problem_of(teachers, activation, output, profile, features=12)
        chosen = backend(name)
        there = chosen.problem(problem.data, problem.network, "float64", 2)
        placed = Weights(chosen.asarray(weights.hidden, "float64"), chosen.asarray(weights.output, "float64"))
        found = there.descend(placed, 0.02, 0.1, 12)
        wanted = Problem.descend(problem, weights, 0.02, 0.1, 12)
        np.testing.assert_allclose(to_host(found.hidden), wanted.hidden, atol=1e-13)
        np.testing.assert_allclose(to_host(found.output), wanted.output, atol=1e-13)


def experiment(**sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
        "network": {"neurons": 4, "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 10, 400]},
        "seeds": 3,
        **sections,
    }


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_an_experiment_on_a_teacher(name: str) -> None:
    dataset = twolayer.run(experiment(), name)
    assert (dataset["loss"].isel(time=-1) < 0.05 * dataset["loss"].isel(time=0)).all()
    assert {"loss", "gradient_norm", "path_norm"} <= set(dataset)


def test_a_descent_on_a_teacher_that_diverges_is_reported() -> None:
    dataset = twolayer.run(
        experiment(
            network={"neurons": 4, "output": "trained"},
            dynamics={"name": "regularized_gradient_descent", "step_size": 30.0, "weight_decay": 0.0},
        )
    )
    assert "stable below" in dataset.attrs["notes"]
    assert np.isnan(dataset["loss"].isel(time=-1)).any()


def test_a_teacher_goes_through_its_file(tmp_path: Path) -> None:
    teacher = Teacher(np.array([[0.0, 1.0, 2.0]]), np.array([-0.5]), "linear")
    write(tmp_path / "problem.nc", pack_problem(teacher, [0]), teacher.attributes)
    back = unpack_problem(*read(tmp_path / "problem.nc"))
    assert isinstance(back, Teacher)
    assert back.profile == "linear"
    np.testing.assert_array_equal(back.hidden, teacher.hidden)
    np.testing.assert_array_equal(back.output, teacher.output)


def test_angles_and_norms_place_teachers() -> None:
    plugin = load(kinds=["problems"]).find("problems", "gaussian_teacher").plugin
    made = plugin(dimension=3, angles=[0.0, 120.0], norms=[1.0, 2.0], coefficients=-1.0)
    teacher = made.generate(np.random.default_rng())
    np.testing.assert_allclose(teacher.hidden, [[1, 0, 0], [-1, np.sqrt(3), 0]], atol=1e-15)
    np.testing.assert_array_equal(teacher.output, [-1, -1])
    assert not teacher.orthogonal
    assert plugin(dimension=3, teachers=3, norms=0.1).generate(np.random.default_rng()).orthogonal
    assert plugin(dimension=3, angles=[30.0, 120.0]).generate(np.random.default_rng()).orthogonal


def test_numbers_and_vectors_place_teachers() -> None:
    plugin = load(kinds=["problems"]).find("problems", "gaussian_teacher").plugin
    numbered = plugin(dimension=3, teachers=2, norms=[2.0, 0.5], coefficients=[1.0, -3.0])
    teacher = numbered.generate(np.random.default_rng())
    np.testing.assert_array_equal(teacher.hidden, [[2, 0, 0], [0, 0.5, 0]])
    np.testing.assert_array_equal(teacher.output, [1, -3])
    vectors = [[1.0, 2.0, 2.0], [0.0, 0.0, -1.5]]
    teacher = plugin(dimension=3, vectors=vectors).generate(np.random.default_rng())
    np.testing.assert_array_equal(teacher.hidden, vectors)
    np.testing.assert_array_equal(teacher.output, [1, 1])


@pytest.mark.parametrize(("given", "factor"), [(0.7, 0.7), ("1/m", 0.25), ("1/sqrt(m)", 0.5)])
def test_output_scale_is_a_factor_on_the_sum(given: Any, factor: float) -> None:
    """A network with scale s has the loss of one with outputs s a, and s times its gradient in a."""
    teacher = Teacher(np.eye(3)[:2], np.ones(2))
    random = np.random.default_rng(0)
    weights = Weights(random.standard_normal((4, 3)), random.standard_normal(4))
    scaled = teacher.problem(network_of(4, output_scale=given))
    plain, same = teacher.problem(network_of(4)), Weights(weights.hidden, factor * weights.output)
    np.testing.assert_allclose(scaled.loss(weights), plain.loss(same), rtol=1e-14)
    found, wanted = scaled.gradient(weights), plain.gradient(same)
    np.testing.assert_allclose(found.hidden, wanted.hidden, rtol=1e-13)
    np.testing.assert_allclose(found.output, factor * wanted.output, rtol=1e-13)


BAD = {
    "more teachers than dimensions": ({"dimension": 2, "teachers": 3}, "3 orthonormal teachers need as many"),
    "two placements": ({"dimension": 2, "teachers": 1, "angles": [0.0]}, "not teachers and angles"),
    "no placement": ({"dimension": 2}, "none of them"),
    "no teacher": ({"dimension": 2, "teachers": 0}, "at least 1 teacher"),
    "equal angles": ({"dimension": 2, "angles": [0, 360]}, r"\[0\] and \[1\] coincide"),
    "parallel vectors": ({"dimension": 2, "vectors": [[1, 1], [3, 3]]}, "coincide"),
    "zero vector": ({"dimension": 2, "vectors": [[1, 1], [0, 0]]}, r"\[1\] is zero"),
    "length of a vector": ({"dimension": 3, "vectors": [[1, 1]]}, "2 entries; dimension is 3"),
    "norms": ({"dimension": 3, "teachers": 2, "norms": [1]}, "1 value for 2 teachers"),
    "a norm of zero": ({"dimension": 3, "teachers": 2, "norms": [1, 0]}, "must be above 0"),
    "coefficients": ({"dimension": 3, "teachers": 2, "coefficients": [1, 1, 1]}, "3 values for 2"),
    "norms of vectors": ({"dimension": 1, "vectors": [[1]], "norms": 1}, "have norms already"),
    "a line": ({"dimension": 1, "angles": [0]}, "dimension 2 or more"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_teachers_are_reported_before_anything_runs(case: str) -> None:
    section, message = BAD[case]
    with pytest.raises(ConfigError, match=message) as error:
        twolayer.run(experiment(problem={"name": "gaussian_teacher", **section}))
    assert "experiment.problem" in str(error.value)


def test_opposite_teachers_are_one_for_abs_only() -> None:
    section = {"name": "gaussian_teacher", "dimension": 2, "angles": [0, 180]}
    twolayer.run(experiment(problem=section))
    with pytest.raises(ConfigError, match="are opposite"):
        twolayer.run(experiment(problem=section, network={"neurons": 4, "activation": "abs"}))


def test_teachers_of_coefficient_zero_have_no_step_limit() -> None:
    teacher = Teacher(np.eye(2), np.zeros(2))
    for output in ("trained", "fixed", "tied"):
        assert step_limit(teacher, network_of(3, output=output)) == math.inf  # type: ignore[arg-type]
