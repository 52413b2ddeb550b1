"""Stochastic gradient descent: its batches' law, its kernels against the obvious loop, its seeds, its refusals."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from namespaces import BACKENDS, backend
from networks import TWO_SLOPES, network_of

import twolayer
from twolayer import (
    EmpiricalProblem,
    FiniteData,
    InitializationSpec,
    Network,
    PopulationProblem,
    Problem,
    Teacher,
    Weights,
)
from twolayer.core.seeds import random_of, subset
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.finite.numba_descent import CompiledProblem
from twolayer.kernels.minibatch import pick
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.storage.netcdf import write
from twolayer.study.registry import load
from twolayer.training.train import train

MODES = [
    pytest.param(activation, output, id=f"{name}-{output}")
    for (name, activation), output in itertools.product(TWO_SLOPES.items(), ["fixed", "trained", "tied"])
]
DATA = ["none", "constant", "linear", "finite", "finite per seed"]


def plugin(kind: str, name: str, **fields: Any) -> Any:
    return load(kinds=[kind]).find(kind, name).plugin(**fields)


def drawn(kind: str, network: Network, features: int, seeds: int, samples: int = 40) -> tuple[Any, Weights]:
    """A teacher with a profile, or finite data, and weights of order one."""
    random = np.random.default_rng([network.neurons, features, seeds])
    hidden = random.standard_normal((seeds, network.neurons, features)) / np.sqrt(features)
    output = random.standard_normal((seeds, network.neurons))
    if network.output == "fixed":
        output = np.broadcast_to(np.asarray(network.output_values, dtype=float), output.shape).copy()
    weights = network.with_tied_outputs(Weights(hidden, output))
    if kind.startswith("finite"):
        lead = (seeds,) if kind == "finite per seed" else ()
        inputs = random.standard_normal((*lead, samples, features))
        return FiniteData(inputs, random.standard_normal((*lead, samples)), "mean_square"), weights
    vectors = random.standard_normal((2, features)) / np.sqrt(features)
    return Teacher(vectors, np.asarray([1.0, -0.7]), kind), weights


def generators(seeds: int) -> list[np.random.Generator]:
    return [random_of(seed, "dynamics") for seed in range(seeds)]


def nothing_to_learn(activation: Any, kind: str) -> bool:
    """Whether the profile removes all of f − f*: its linear part, where σ is linear."""
    return kind == "linear" and activation.slopes[0] == activation.slopes[2]


def flat(weights: Weights) -> Any:
    """All parameters, (seed, parameter)."""
    return np.concatenate([weights.hidden.reshape(len(weights.hidden), -1), weights.output], axis=1)


def repeated(weights: Weights, seeds: int) -> Weights:
    """The first seed's weights for many seeds."""
    return Weights(np.repeat(weights.hidden[:1], seeds, 0), np.repeat(weights.output[:1], seeds, 0))


def assert_close(actual: Weights, expected: Weights, tolerance: float) -> None:
    largest = np.abs(flat(expected)).max()
    np.testing.assert_allclose(flat(actual), flat(expected), rtol=0, atol=tolerance * largest)


# ---- the law of a batch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "constant", "linear", "finite"])
@pytest.mark.parametrize(("activation", "output"), MODES)
def test_a_batch_estimates_the_gradient_without_bias(activation: Any, output: Any, kind: str) -> None:
    values: Any = [0.5, -1.0, 1.5] if output == "fixed" else 1.0
    network, count = network_of(3, activation, output, values, 0.8), 4000
    data, weights = drawn(kind, network, 4, 1)
    problem = data.problem(network)
    many = repeated(weights, count)
    estimates = flat(problem.batch(many, 16, generators(count)).gradient(many))
    exact = flat(problem.gradient(weights))[0]
    error = estimates.std(0, ddof=1) / np.sqrt(count)
    trained = slice(None) if output == "trained" else slice(0, 12)
    if nothing_to_learn(activation, kind):
        assert (exact[trained] == 0).all()
        assert (np.abs(estimates[:, trained]) < 1e-14).all()
        return
    assert (error[trained] < 0.05 * np.abs(exact).max()).all()  # a bias of a fifth would show
    assert (np.abs(estimates.mean(0) - exact)[trained] <= 4 * error[trained]).all()
    assert (estimates[:, 12:] == exact[12:]).all() or output == "trained"


def test_without_its_correction_a_profile_would_be_biased() -> None:
    """The estimate of the loss that is not profiled is 4 standard errors and more from the profiled gradient."""
    network, count = network_of(3), 4000
    data, weights = drawn("linear", network, 4, 1)
    many = repeated(weights, count)
    plain = Teacher(data.hidden, data.output).problem(network)
    estimates = flat(plain.batch(many, 16, generators(count)).gradient(many))
    error = estimates.std(0, ddof=1) / np.sqrt(count)
    assert (np.abs(estimates.mean(0) - flat(data.problem(network).gradient(weights))[0]) > 4 * error).any()


def spread(problem: Problem, weights: Weights, size: int, count: int) -> tuple[float, float]:
    """The total variance of a batch's gradient, and its standard error."""
    many = repeated(weights, count)
    estimates = flat(problem.batch(many, size, generators(count)).gradient(many))
    squares = ((estimates - estimates.mean(0)) ** 2).sum(1)
    return squares.mean() * count / (count - 1), squares.std() / np.sqrt(count)


def test_the_variance_falls_as_one_over_the_batch_size() -> None:
    network = network_of(3)
    data, weights = drawn("linear", network, 4, 1)
    one, small = spread(data.problem(network), weights, 1, 8000)
    for size in (4, 64):
        variance, error = spread(data.problem(network), weights, size, 4000)
        assert abs(size * variance - one) <= 4 * np.hypot(size * error, small)


def test_the_variance_of_a_subset_is_that_of_sampling_without_replacement() -> None:
    """σ²/B (1 − (B − 1)/(n − 1)) with σ² over the n samples."""
    network, n = network_of(3), 40
    data, weights = drawn("finite", network, 4, 1, n)
    single = [
        flat(FiniteData(data.inputs[[k]], data.targets[[k]], data.loss).problem(network).gradient(weights))[0]
        for k in range(n)
    ]
    variance = np.var(single, axis=0).sum()
    for size in (1, 8, 30):
        found, error = spread(data.problem(network), weights, size, 4000)
        assert abs(found - variance / size * (1 - (size - 1) / (n - 1))) <= 4 * error
    whole, _ = spread(data.problem(network), weights, n, 10)
    assert whole < 1e-28 * variance


def test_subsets_are_all_alike_and_the_compiled_ones_the_same() -> None:
    random, compiled, order = np.random.default_rng(0), np.random.default_rng(0), np.arange(5)
    picked, counts = np.empty(3, np.int64), np.zeros((5, 5, 5))
    for _ in range(12_000):
        chosen = subset(random, 5, 3)
        counts[tuple(chosen)] += 1
        pick(compiled, order, picked)
        assert picked.tolist() == chosen
        assert (order == np.arange(5)).all()
    ordered = np.asarray([counts[chosen] for chosen in itertools.permutations(range(5), 3)])
    assert ordered.sum() == 12_000  # no sample twice
    chi_square = ((ordered - 200) ** 2 / 200).sum()
    assert abs(chi_square - 59) < 4 * np.sqrt(2 * 59)


def test_moments_of_one_student_in_one_dimension() -> None:
    """w − v is multiplied by 1 − η mean(relu(x)²) at each step; E relu(x)² = 1/2, Var relu(x)² = 5/4."""
    network, seeds, steps, step_size, size = network_of(1, output="fixed"), 4000, 12, 0.3, 8
    problem = CompiledPopulationProblem(Teacher(np.ones((1, 1)), np.ones(1)), network)
    start = Weights(np.full((seeds, 1, 1), 3.0), np.ones((seeds, 1)))
    end = problem.descend_on_batches(start, step_size, size, steps, generators(seeds)).hidden[:, 0, 0] - 1.0
    mean = 1 - step_size / 2
    for power, factor in ((1, mean), (2, mean**2 + step_size**2 * 1.25 / size)):
        values = (end / 2.0) ** power
        assert abs(values.mean() - factor**steps) <= 4 * values.std() / np.sqrt(seeds)
        assert values.std() / np.sqrt(seeds) < 0.05 * factor**steps


def test_nothing_moves_where_nothing_is_left_to_learn() -> None:
    network = network_of(2)
    data, _ = drawn("none", network, 5, 1)
    start = Weights(data.hidden[None], data.output[None])
    for problem in (data.problem(network), CompiledPopulationProblem(data, network)):
        assert_close(problem.descend_on_batches(start, 0.5, 16, 100, generators(1)), start, 1e-13)


def test_noise_leaves_the_span_of_students_and_teachers() -> None:
    network = network_of(1, output="fixed")
    data = Teacher(np.eye(1, 6), np.ones(1))
    start = Weights(np.eye(1, 6, 1)[None], np.ones((1, 1)))
    end = CompiledPopulationProblem(data, network).descend_on_batches(start, 0.1, 32, 20, generators(1))
    assert (np.abs(end.hidden[0, 0, 2:]) > 1e-4).all()


# ---- against the obvious loop -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(("activation", "output"), MODES)
def test_compiled_steps_are_the_obvious_ones(activation: Any, output: Any, kind: str) -> None:
    for (neurons, features, size), scale in zip(
        [(1, 1, 3), (5, 13, 40), (11, 5, 1), (19, 20, 33)], [1.0, "1/sqrt(m)", 0.3, "1/m"], strict=True
    ):
        values: Any = np.linspace(-0.5, 1.5, neurons).tolist() if output == "fixed" else 1.0
        network = network_of(neurons, activation, output, values, scale)  # type: ignore[arg-type]
        data, weights = drawn(kind, network, features, 2)
        before = Weights(weights.hidden.copy(), weights.output.copy())
        fused: Any = CompiledPopulationProblem if isinstance(data, Teacher) else CompiledProblem
        actual = fused(data, network).descend_on_batches(weights, 0.05, size, 10, generators(2))
        expected = data.problem(network).descend_on_batches(weights, 0.05, size, 10, generators(2))
        assert np.abs(flat(expected) - flat(weights)).max() > 1e-3 or nothing_to_learn(activation, kind)
        assert_close(actual, expected, 1e-13)
        assert (flat(weights) == flat(before)).all()  # what was handed in stays
        assert fused(data, network).descend_on_batches(weights, 0.05, size, 0, []) is weights


@pytest.mark.parametrize("size", [64, 65, 200])
def test_batches_of_several_blocks(size: int) -> None:
    network = network_of(3)
    for kind in ("linear", "finite"):
        data, weights = drawn(kind, network, 6, 2, samples=200)
        fused: Any = CompiledPopulationProblem if isinstance(data, Teacher) else CompiledProblem
        actual = fused(data, network).descend_on_batches(weights, 0.05, size, 8, generators(2))
        assert_close(
            actual, data.problem(network).descend_on_batches(weights, 0.05, size, 8, generators(2)), 1e-13
        )


@pytest.mark.parametrize("problem", [EmpiricalProblem, CompiledProblem])
def test_all_samples_are_gradient_descent(problem: Any) -> None:
    network = network_of(5)
    data, weights = drawn("finite per seed", network, 6, 2)
    end = problem(data, network).descend_on_batches(weights, 0.01, data.samples, 20, generators(2))
    assert_close(end, Problem.descend(EmpiricalProblem(data, network), weights, 0.01, 0.0, 20), 1e-12)


@pytest.mark.parametrize("kind", ["none", "finite"])
def test_float32(kind: str) -> None:
    network = network_of(5)
    data, weights = drawn(kind, network, 6, 2)
    expected = data.problem(network).descend_on_batches(weights, 0.05, 20, 50, generators(2))
    for name in ("numpy", "numba"):
        path = run_of(data, network, [1, 7, 50], backend(name), dtype="float32", start=weights)
        assert path.weights.hidden.dtype == path.weights.output.dtype == np.float32
        end = Weights(path.weights.hidden[:, -1], path.weights.output[:, -1])
        assert_close(end, expected, 1e-5)
        if name == "numba":  # rounded at each step, so at no further one where a frame is saved
            again = run_of(data, network, [50], backend(name), dtype="float32", start=weights)
            assert again.weights.hidden[:, -1].tobytes() == end.hidden.tobytes()


# ---- runs ---------------------------------------------------------------------------------------------------


class Given(InitializationSpec):
    """A start for each seed."""

    def __init__(self, start: Weights) -> None:
        self.start = start

    def weights(self, data: Any, network: Network, random: Any, seed: int) -> Weights:
        drawn_for = seed % len(self.start.hidden)
        return Weights(self.start.hidden[drawn_for], self.start.output[drawn_for])


def run_of(
    data: Any,
    network: Network,
    steps: list[int],
    device: Any,
    seeds: Any = (0, 1),
    threads: int = 1,
    dtype: str = "float64",
    start: Weights | None = None,
) -> Any:
    """A run of stochastic gradient descent with batches of 20."""
    chosen = plugin("dynamics", "stochastic_gradient_descent", step_size=0.05, batch_size=20)
    first = Given(start) if start else plugin("initializations", "gaussian", scale=0.3)
    return train(data, network, first, chosen, Times(steps=steps), list(seeds), device, dtype, threads)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", ["linear", "finite"])
def test_a_seed_means_the_same_everywhere(name: str, kind: str) -> None:
    """On every backend, in every list of seeds, with whatever steps saved."""
    network = network_of(4)
    data, _ = drawn(kind, network, 5, 3)
    expected = run_of(data, network, [1, 5, 40], backend("numpy"), seeds=[3, 8, 11]).weights
    alone = run_of(data, network, [40], backend(name), seeds=[8]).weights
    among = run_of(data, network, [5, 6, 40], backend(name), seeds=[11, 8]).weights
    for part in ("hidden", "output"):
        one, other = getattr(alone, part)[0, -1], getattr(among, part)[1, -1]
        np.testing.assert_allclose(one, getattr(expected, part)[1, -1], rtol=0, atol=1e-13)
        np.testing.assert_allclose(other, one, rtol=0, atol=0 if name == "numba" else 1e-13)
    assert not np.array_equal(among.hidden[0, -1], among.hidden[1, -1])


@pytest.mark.parametrize("kind", DATA)
def test_bits_do_not_depend_on_threads(kind: str) -> None:
    network = network_of(9)
    data, _ = drawn(kind, network, 5, 5)
    paths = [
        run_of(data, network, [3, 60], backend("numba"), seeds=range(5), threads=threads).weights
        for threads in (1, 3)
    ]
    assert flat_bytes(paths[0]) == flat_bytes(paths[1])


def flat_bytes(weights: Weights) -> bytes:
    return weights.hidden.tobytes() + weights.output.tobytes()


def test_steps_one_by_one_are_the_fused_ones() -> None:
    """`steps` is what finds a divergence: it must walk the same path as `trajectory`."""
    network = network_of(4)
    data, weights = drawn("none", network, 5, 2)
    problem = CompiledPopulationProblem(data, network)
    chosen = plugin("dynamics", "stochastic_gradient_descent", step_size=0.1, batch_size=20)
    *_, fused = chosen.trajectory(problem, weights, Times(steps=[30]).clock(0.1), generators(2))
    *_, single = itertools.islice(chosen.steps(problem, weights, generators(2)), 30)
    assert flat_bytes(fused) == flat_bytes(single)


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("problem", ["population", "finite"])
def test_a_divergence_is_reported(name: str, problem: str) -> None:
    section: dict[str, Any] = {"name": "gaussian_teacher", "dimension": 4, "teachers": 2}
    if problem == "finite":
        section["samples"] = 30
    dataset = twolayer.run(
        {
            "problem": section,
            "network": {"neurons": 3, "activation": "abs"},
            "initialization": {"name": "gaussian", "scale": 1.0},
            "dynamics": {"name": "stochastic_gradient_descent", "step_size": 2.0, "batch_size": 10},
            "times": {"steps": [1, 2, 200]},
            "seeds": 2,
        },
        name,
    )
    assert (dataset["diverged_step"].values > 0).all()
    assert np.isnan(dataset["loss"].values[:, -1]).all()
    for seed, step in enumerate(dataset["diverged_step"].values):
        assert f"seed {seed} diverged at step {step}: the loss was" in dataset.attrs["notes"]
    assert dataset.attrs["notes"].count("stable below") == 2


# ---- refusals -----------------------------------------------------------------------------------------------

PROBLEMS = {
    "points": ({"name": "points", "inputs": [[1, 0], [0, 1]], "targets": [1, -1]}, 2),
    "orthogonal": ({"name": "orthogonal", "samples": 3, "dimension": 5, "targets": 1.0}, 3),
    "teacher": ({"name": "gaussian_teacher", "samples": 7, "dimension": 5, "teachers": 1}, 7),
}


def experiment(problem: dict[str, Any], batch_size: Any) -> dict[str, Any]:
    return {
        "problem": problem,
        "network": {"neurons": 3},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": batch_size},
        "times": {"steps": [1]},
    }


@pytest.mark.parametrize("name", PROBLEMS)
def test_more_than_all_samples_are_refused(name: str) -> None:
    section, samples = PROBLEMS[name]
    twolayer.run(experiment(section, samples))
    message = rf"dynamics\.batch_size: {samples + 1} of {samples} samples cannot be drawn without replacement"
    with pytest.raises(ConfigError, match=message):
        twolayer.run(experiment(section, samples + 1))


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (0, "at least 1, is 0"),
        (2.5, "must be a whole number"),
        (10**12, "more than memory holds"),
        (None, "whole"),
    ],
)
def test_bad_batch_sizes(batch_size: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"dynamics\.batch_size: .*{message}"):
        twolayer.run(
            experiment({"name": "gaussian_teacher", "dimension": 5, "teachers": 1}, batch_size), "numpy"
        )


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_file_with_too_few_samples(tmp_path: Path, name: str) -> None:
    described = {"long_name": "x", "units": "1"}
    write(
        tmp_path / "data.nc",
        {
            "inputs": (("sample", "feature"), np.eye(3), described),
            "targets": (("sample",), np.ones(3), described),
        },
        {},
    )
    section = {"name": "file", "path": str(tmp_path / "data.nc")}
    twolayer.run(experiment(section, 3), name)
    with pytest.raises(ConfigError, match=r"dynamics\.batch_size: 4 of 3 samples"):
        twolayer.run(experiment(section, 4), name)


def test_batches_of_a_population_stay_on_its_device() -> None:
    """Under the array standard: inputs have the weights' kind and precision."""
    import array_api_strict as strict

    network = network_of(2)
    data, weights = drawn("linear", network, 3, 2)
    there = Weights(
        strict.asarray(weights.hidden, dtype=strict.float32),
        strict.asarray(weights.output, dtype=strict.float32),
    )
    placed = data.mapped(lambda array: strict.asarray(array, dtype=strict.float32))
    batch = PopulationProblem(placed, network).batch(there, 5, generators(2))
    assert batch.data.inputs.shape == (2, 5, 3)
    assert batch.data.inputs.dtype == batch.data.targets.dtype == strict.float32
