"""How far a descent does not depend on rounding: chaotic ones are marked before backends part, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from networks import network_of

import twolayer
from twolayer import Backend, Problem
from twolayer.core.network import Weights
from twolayer.core.times import Times
from twolayer.errors import TrainingError
from twolayer.finite.problem import EmpiricalProblem, FiniteData
from twolayer.population.problem import Teacher
from twolayer.study.registry import load
from twolayer.training.chaos import Jittered, last_shared, parted, pieces
from twolayer.training.train import train

PLUGINS = load(kinds=["backends", "dynamics", "initializations"])
POINTS = {"name": "points", "inputs": [[1.0], [0.7]], "targets": [1.0, 0.8]}
TEACHER = {"name": "gaussian_teacher", "dimension": 5, "teachers": 2}


def experiment(step_size: float, **sections: Any) -> dict[str, Any]:
    """Two points whose minima are unstable above a step size of about 1.2, and chaotic from 1.672 on."""
    return {
        "problem": POINTS,
        "network": {"neurons": 4},
        "initialization": {"name": "gaussian", "scale": 0.5},
        "dynamics": {"name": "gradient_descent", "step_size": step_size},
        "times": {"steps": list(range(10, 1501, 10))},
        "seeds": [1, 2, 3, 4, 5],
        "metrics": ["loss"],
        **sections,
    }


def apart(first: xr.Dataset, second: xr.Dataset) -> Any:
    """|W − W'|/|W|, (seed, time)."""
    difference = ((first["hidden"] - second["hidden"]) ** 2).sum(("neuron", "feature"))
    return np.sqrt((difference / (first["hidden"] ** 2).sum(("neuron", "feature"))).values)


@pytest.mark.parametrize("step_size", [1.672, 1.7, 1.8])
def test_a_chaotic_descent_is_marked_before_backends_part(step_size: float) -> None:
    """Every seed's mark stands at or before the saved step at which numba and numpy differ by 1 %, not before they
    differ at all (1e-12), and the note tells of it. At 1.672 they agree to 1e-3 at step 400, at 1.8 differ by 20 %."""
    both = [twolayer.run(experiment(step_size), name, weights=True) for name in ("numba", "numpy")]
    distance, step = apart(*both), both[0]["step"].values
    for seed, row in enumerate(distance):
        assert (row > 1e-2).any()
        for dataset in both:
            mark = float(dataset["path_trusted_until"].values[seed]) / step_size
            assert mark <= step[np.argmax(row > 1e-2)]
            assert mark >= step[np.argmax(row > 1e-12)] / 2
    for dataset in both:
        assert "depend on rounding" in dataset["path_trusted_until"].attrs["long_name"]
        assert "parts from the path" in dataset.attrs["notes"]
    if step_size == 1.672:
        assert distance[:, step == 400].max() < 1e-3
    if step_size == 1.8:
        assert distance.max() > 0.2


@pytest.mark.parametrize(
    "sections",
    [
        {"dynamics": {"name": "gradient_descent", "step_size": 0.5}},
        {"dynamics": {"name": "gradient_descent", "step_size": 1.3}},  # oscillates for ever, regularly
        {"dynamics": {"name": "regularized_gradient_descent", "step_size": 0.3, "weight_decay": 0.01}},
        {"problem": TEACHER, "dynamics": {"name": "gradient_descent", "step_size": 0.2}},
        {
            "problem": TEACHER,
            "dynamics": {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 8},
        },
        {"dtype": "float32", "dynamics": {"name": "gradient_descent", "step_size": 0.5}},
    ],
)
def test_ordinary_descents_are_not_marked(sections: dict[str, Any]) -> None:
    dataset = twolayer.run({**experiment(0.5), **sections})
    np.testing.assert_array_equal(dataset["path_trusted_until"].values, float(dataset["time"][-1]))
    assert "parts from the path" not in dataset.attrs["notes"]


def test_a_flow_has_no_such_mark() -> None:
    dataset = twolayer.run(
        experiment(0.5, dynamics={"name": "gradient_flow"}, times={"values": [1.0]}, seeds=[1])
    )
    assert "path_trusted_until" not in dataset


def test_a_diverged_seed_has_its_path_to_the_last_finite_frame() -> None:
    """x ← x(1 + η − ηx²) leaves for infinity above η = 2 for such starts."""
    problem = {"name": "points", "inputs": [[1.0]], "targets": [1.0]}
    sections = {"problem": problem, "network": {"neurons": 2, "activation": "abs"}, "seeds": 6}
    dataset = twolayer.run(experiment(4.0, times={"steps": list(range(1, 60))}, **sections), weights=True)
    gone = ~np.isfinite(dataset["hidden"]).all(("neuron", "feature")).values
    assert gone.any()
    for seed in np.flatnonzero(gone.any(1)):
        assert dataset["path_trusted_until"].values[seed] <= dataset["time"].values[gone[seed].argmax() - 1]


class Counting(Backend):
    """numpy, counting the steps of descents."""

    steps = 0

    def asarray(self, array: Any, dtype: str) -> Any:
        return np.asarray(array, dtype=dtype)

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        backend = self

        class Counted(EmpiricalProblem):
            def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
                backend.steps += count
                return super().descend(weights, step_size, weight_decay, count)

        return Counted(problem.data, problem.network)


@pytest.mark.parametrize(
    ("step_size", "steps", "runs"),
    [
        (0.3, [30], 1),  # shorter than a look
        (0.3, list(range(1, 401)), 1),
        (0.3, [1, 10, 100, 1000], 1),
        (0.3, list(range(50, 2001, 50)), 1),
        (1.7, list(range(10, 1001, 10)), 2),
    ],
)
def test_what_the_mark_costs(step_size: float, steps: list[int], runs: int) -> None:
    """At most a twentieth of the steps more, two from each of 64 times at most; a twin as well where one rises."""
    counting: Any = Counting()
    descent = PLUGINS.find("dynamics", "gradient_descent").plugin(step_size=step_size)
    start = PLUGINS.find("initializations", "gaussian").plugin(scale=0.5)
    data = FiniteData(np.array([[1.0], [0.7]]), np.array([1.0, 0.8]))
    train(data, network_of(4), start, descent, Times(steps=steps), [1, 2], counting)
    looks = min(64, len(steps) + 1, steps[-1] // 40)  # time 0 is saved too
    ordinary = steps[-1] + 2 * looks
    assert counting.steps == ordinary if runs == 1 else ordinary < counting.steps <= ordinary + steps[-1]
    assert 2 * looks <= steps[-1] / 20


def test_the_twin_is_a_unit_away_and_zero_stays() -> None:
    network = network_of(3, "relu", "fixed")
    data = FiniteData(np.eye(2), np.ones(2))
    weights = Weights(np.array([[[1.0, 0.0], [-0.3, 2.0], [1e-200, 5.0]]]), np.ones((1, 3)))
    twin = Jittered.of(EmpiricalProblem(data, network), lambda each: each, weights)
    for _ in range(2):  # up, then down
        moved = twin.moved(weights)
        assert (moved.output == weights.output).all()
        size = np.abs(weights.hidden)
        assert ((moved.hidden == weights.hidden) == (size == 0)).all()
        assert (np.abs(moved.hidden - weights.hidden) <= 2 * np.finfo(float).eps * size).all()


def test_pieces_are_all_steps() -> None:
    for count in (0, 1, 7, 8, 9, 1000, 1001):
        assert sum(pieces(count)) == count
        assert len(pieces(count)) == min(count, 8)


def test_where_two_paths_part() -> None:
    frames = [Weights(np.full((2, 1, 1), 1.0), np.zeros((2, 1))) for _ in range(4)]
    twin = [Weights(frame.hidden.copy(), frame.output) for frame in frames]
    twin[2].hidden[1] += 2 * parted(np.float64)
    twin[3].hidden[0] += 0.5 * parted(np.float64)
    assert last_shared(frames, twin).tolist() == [3, 1]


def test_a_twin_offers_what_its_problem_does() -> None:
    """Whatever a dynamics may ask of a problem, the twin's answers as the problem itself."""
    network = network_of(neurons=2, output="fixed")
    weights = Weights(np.array([[[0.5, 0.1], [0.2, -0.4]]]), np.ones((1, 2)))
    problem = Teacher(np.eye(2), np.ones(2)).problem(network)
    twin = Jittered.of(problem, lambda each: each, weights)
    assert twin.on_population
    assert twin.threads == problem.threads
    for name in ("loss", "sharpness", "hessian", "rounding"):
        np.testing.assert_array_equal(getattr(twin, name)(weights), getattr(problem, name)(weights))
    with pytest.raises(TrainingError, match="no samples"):
        twin.predict(weights)
