"""Teachers that differ by seed: every stage and every metric takes the seed's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from applicable import applicable_metrics
from networks import network_of
from scipy import stats

import twolayer
from twolayer import Teacher, Weights
from twolayer.analysis.intervals import mean_interval
from twolayer.core.seeds import random_of
from twolayer.errors import ConfigError, DataError
from twolayer.stages.generate import generate
from twolayer.storage.contents import pack_problem, unpack_problem
from twolayer.storage.netcdf import read, write
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

RANDOM_TEACHERS = '''
"""seed_teachers: unit teachers in uniform directions, drawn anew for each seed; or a sample of their population."""

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, Network, ProblemSpec, Teacher, hookimpl


@dataclass(frozen=True)
class RandomTeachers(ProblemSpec):
    """`teachers` unit vectors in `dimension`, uniform on the sphere; `samples` inputs with their labels."""

    dimension: int
    teachers: int
    samples: int | None = None
    ragged: bool = False

    per_seed = True

    @property
    def size(self):
        return self.samples, self.dimension

    def generate(self, random):
        vectors = random.standard_normal((self.teachers, self.dimension))
        if self.ragged:
            vectors = vectors[: 1 + random.integers(self.teachers)]
        teacher = Teacher(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.ones(len(vectors)))
        if not self.samples:
            return teacher
        inputs = random.standard_normal((self.samples, self.dimension))
        targets = np.maximum(inputs @ teacher.hidden.T, 0) @ teacher.output
        return FiniteData(inputs, targets, "half_mean_square", teacher)


@hookimpl
def register_problems(register):
    register("seed_teachers", RandomTeachers)
'''

ZERO = '''
"""zero: all weights 0."""

from dataclasses import dataclass

import numpy as np

from twolayer import InitializationSpec, Weights, hookimpl


@dataclass(frozen=True)
class Zero(InitializationSpec):
    """w = 0, a = 1."""

    def draw(self, data, network, random):
        return Weights(np.zeros((network.neurons, data.features)), np.ones(network.neurons))


@hookimpl
def register_initializations(register):
    register("zero", Zero)
'''

NETWORK = {"neurons": 3, "activation": "relu", "output": "trained"}
DESCENT = {"name": "gradient_descent", "step_size": 0.05}
FLOW = {"name": "gradient_flow"}
BATCHES = {"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 4}
DECAY = {"name": "regularized_gradient_descent", "step_size": 0.05, "weight_decay": 0.01}
SEEDS = [2, 5, 9]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("further")
    for kind, name, text in (
        ("problems", "seed_teachers", RANDOM_TEACHERS),
        ("initializations", "zero", ZERO),
    ):
        (folder / kind).mkdir()
        (folder / kind / f"{name}.py").write_text(text, encoding="utf-8")
    return [str(folder)]


def experiment(samples: int | None = None, **sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "seed_teachers", "dimension": 4, "teachers": 2, "samples": samples},
        "network": NETWORK,
        "initialization": {"name": "gaussian", "scale": 0.4},
        "dynamics": DESCENT,
        "times": {"values": [0.5, 2.0]},
        "seeds": SEEDS,
        **sections,
    }


def problem_file(plugins: list[str], **fields: Any) -> tuple[Any, Any]:
    """The variables and attributes of problem.nc."""
    plugin = load(plugins, kinds=["problems"]).find("problems", "seed_teachers").plugin
    run = {
        "paper": "p", "experiment": "e", "seeds": SEEDS, "problem": {"name": "seed_teachers"}, "network": NETWORK,
    }  # fmt: skip
    return generate(plugin(**{"dimension": 4, "teachers": 2, **fields}), network_of(**run["network"]), run)


def teacher_of(plugins: list[str], index: int, samples: int | None = None) -> Teacher:
    """The teacher of one seed, as its file has it."""
    variables, _ = problem_file(plugins, samples=samples)
    return Teacher(variables["teacher_hidden"][1][index], variables["teacher_output"][1][index])


@pytest.mark.parametrize("samples", [None, 20])
def test_a_file_holds_the_teacher_of_each_seed(tmp_path: Path, plugins: list[str], samples: int) -> None:
    variables, attributes = problem_file(plugins, samples=samples)
    assert variables["teacher_hidden"][0] == ("seed", "teacher", "feature")
    assert variables["teacher_output"][0] == ("seed", "teacher")
    assert variables["seed"][1].tolist() == SEEDS
    write(tmp_path / "problem.nc", variables, attributes)
    data = unpack_problem(*read(tmp_path / "problem.nc"))
    assert data.per_seed
    assert data.teacher.per_seed
    for name, (_, values, _) in pack_problem(data, SEEDS).items():
        assert np.array_equal(values, variables[name][1])
    for index in range(len(SEEDS)):
        assert np.array_equal(data.of_seed(index).teacher.hidden, variables["teacher_hidden"][1][index])
    with pytest.raises(ValueError, match="each seed has another teacher"):
        data.teacher.problem(network_of(3))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dynamics", [DESCENT, DECAY, FLOW, BATCHES], ids=lambda section: section["name"])
def test_each_seed_is_the_run_on_its_own_teacher(
    plugins: list[str], backend: str, dynamics: dict[str, Any]
) -> None:
    """The same bytes as from `gaussian_teacher` with the seed's vectors, weights and every default metric."""
    settings = experiment(dynamics=dynamics, times={"values": [0.2]})
    both = twolayer.run(settings, backend, weights=True, plugin_paths=plugins)
    assert len(np.unique(both["loss"].values[:, 0])) == len(SEEDS)
    for index, seed in enumerate(SEEDS):
        vectors = teacher_of(plugins, index).hidden.tolist()
        problem = {"name": "gaussian_teacher", "dimension": 4, "vectors": vectors}
        alone = twolayer.run({**settings, "problem": problem, "seeds": [seed]}, backend, weights=True)
        assert set(alone.data_vars) == set(both.data_vars)
        for name, values in alone.data_vars.items():
            if "seed" in values.dims:
                np.testing.assert_array_equal(both[name].values[index], values.values[0], err_msg=str(name))


def monte_carlo(weights: Weights, teacher: Teacher, draws: int = 100_000) -> tuple[float, float]:
    """½ E (f − f*)² of relu and its standard error."""
    inputs = np.random.default_rng(0).standard_normal((draws, teacher.features))
    student = np.maximum(inputs @ weights.hidden.T, 0.0) @ weights.output
    squares = 0.5 * (student - np.maximum(inputs @ teacher.hidden.T, 0.0) @ teacher.output) ** 2
    return float(squares.mean()), float(squares.std() / math.sqrt(draws))


def test_population_loss_of_a_sample_is_of_the_seeds_own_teacher(plugins: list[str]) -> None:
    """Within 4 standard errors of Monte Carlo, where another seed's teacher is off by more than 10."""
    dataset = twolayer.run(experiment(samples=20), weights=True, plugin_paths=plugins)
    for index in range(len(SEEDS)):
        weights = Weights(*(dataset[part].values[index, -1] for part in ("hidden", "output")))
        measured = float(dataset["population_loss"].values[index, -1])
        mean, error = monte_carlo(weights, teacher_of(plugins, index, 20))
        assert abs(measured - mean) <= 4 * error
        mean, error = monte_carlo(weights, teacher_of(plugins, (index + 1) % len(SEEDS), 20))
        assert abs(measured - mean) > 10 * error


def test_every_metric_of_a_sample_takes_the_seeds_own_teacher(plugins: list[str]) -> None:
    """Every metric that applies and compares no seeds, of all seeds at once and of each alone: the same numbers."""
    registry = load(plugins)
    comparing = {
        name for name in registry.names("metrics") if registry.find("metrics", name).plugin.across_seeds
    }
    measured = 0
    for samples in (None, 20):
        (run,) = make_experiment("paper", "e", experiment(samples), registry).runs.values()
        settings = experiment(samples, metrics=applicable_metrics(run.as_dict(), registry))
        both = twolayer.run(settings, weights=True, plugin_paths=plugins)
        for index, seed in enumerate(SEEDS):
            alone = twolayer.run({**settings, "seeds": [seed]}, weights=True, plugin_paths=plugins)
            for name, values in alone.data_vars.items():
                if "seed" in values.dims and name not in comparing:
                    np.testing.assert_array_equal(both[name].values[index], values.values[0])
                    measured += 1
        assert {"teacher_deficit", "residual_norm", "teacher_angle", "average_neuron_residual"} <= set(
            both.data_vars
        )
    assert measured > 100


def test_a_metric_without_seeds_gets_them_where_they_disagree(plugins: list[str]) -> None:
    settings = experiment(dynamics=DECAY, times={"steps": [1]}, metrics=["optimal_loss", "regularization"])
    dataset = twolayer.run(settings, plugin_paths=plugins)
    assert dataset["optimal_loss"].dims == ("seed", "time")
    assert dataset["regularization"].dims == ("time",)
    for index, seed in enumerate(SEEDS):
        alone = twolayer.run({**settings, "seeds": [seed]}, plugin_paths=plugins)
        np.testing.assert_array_equal(dataset["optimal_loss"].values[index], alone["optimal_loss"].values)


def kernel(theta: Any) -> Any:
    """k(θ) = E max(u·x, 0) max(v·x, 0) of unit vectors at the angle θ."""
    return (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / (2 * math.pi)


def test_the_law_of_the_loss_at_zero(plugins: list[str]) -> None:
    """½ Σ_l Σ_m k(θ_lm): for each seed to rounding; over 400 seeds its mean within the interval of level .999, and
    its law by Kolmogorov's test at level .001, as θ between two teachers has the density (2/π) sin²θ in d = 4."""
    start = experiment(
        initialization={"name": "zero"}, seeds=400, times={"steps": [0]}, metrics=["loss"],
        network={**NETWORK, "output": "fixed"},
    )  # fmt: skip
    loss = twolayer.run(start, plugin_paths=plugins)["loss"].values[:, 0]
    plugin = load(plugins, kinds=["problems"]).find("problems", "seed_teachers").plugin
    for seed in range(5):
        hidden = plugin(dimension=4, teachers=2).generate(random_of(seed, "problem")).hidden
        theta = np.arccos(np.clip(hidden @ hidden.T, -1.0, 1.0))
        assert loss[seed] == pytest.approx(0.5 * kernel(theta).sum(), rel=1e-12)
    grid = np.linspace(0.0, math.pi, 20_001)
    density = (2 / math.pi) * np.sin(grid) ** 2
    law = 0.5 + kernel(grid)  # k(0) = ½, of either teacher with itself; twice ½ k(θ)
    mean = np.trapezoid(law * density, grid)
    _, low, high = mean_interval(loss, 0.999)
    assert low <= mean <= high
    between = np.interp(loss - 0.5, kernel(grid)[::-1], grid[::-1])
    cumulative = lambda theta: (theta - np.sin(theta) * np.cos(theta)) / math.pi  # noqa: E731
    assert stats.kstest(between, cumulative).pvalue > 1e-3


def test_what_is_refused(plugins: list[str]) -> None:
    with pytest.raises(DataError, match=r"seed \d has teacher_hidden of shape .* as seed 2 has"):
        problem_file(plugins, ragged=True, teachers=4)
    settings = experiment(initialization={"name": "gaussian", "scale": 0.1, "draw": "reduced"})
    with pytest.raises(ConfigError, match="'reduced' needs a teacher"):
        twolayer.run(settings, plugin_paths=plugins)
