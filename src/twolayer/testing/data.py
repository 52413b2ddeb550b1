"""What every problem and every initialization must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twolayer.core.data import law_of
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.seeds import random_of
from twolayer.testing.subject import SEEDS, Subject, nearly

__all__ = ["INITIALIZATION", "PROBLEM", "follows_its_loss"]


def follows_its_loss(subject: Subject) -> None:
    """The gradient is that of the loss: against central differences in random directions, in every experiment."""
    for name, experiment in subject.experiments.items():
        problem = subject.problem(experiment)
        weights = subject.weights(problem.network, problem.data.features)
        gradient = problem.gradient(weights)
        for index in range(4):
            along = subject.weights(problem.network, problem.data.features, seed=1 + index)
            if problem.network.output != "trained":
                along = type(along)(along.hidden, 0.0 * along.output)
            wanted = slope_along(problem, weights, along)
            found = float((gradient.hidden * along.hidden).sum() + (gradient.output * along.output).sum())
            assert nearly(found, wanted, 1e-5, 1e-7), (
                f"{name}: the gradient along a direction is {found:.8g}, differences of the loss give {wanted:.8g}"
            )


def slope_along(problem: Problem, weights: Weights, along: Weights, step: float = 1e-6) -> float:
    """The loss's derivative in a direction, by a central difference."""
    losses = [
        np.asarray(problem.loss(problem.network.with_tied_outputs(weights + distance * along)))
        for distance in (step, -step)
    ]
    return float((losses[0] - losses[1]).ravel()[0] / (2 * step))


def a_seed_has_its_data(subject: Subject) -> None:
    """The same seed has the same data; seeds differ where the problem says so, and nowhere else."""
    for name, experiment in subject.experiments.items():
        job = subject.job(experiment)

        def arrays(seed: int, job: Any = job) -> dict[str, Any]:
            data = job.problem.seed_data(job.network, random_of(seed, "problem"), seed)
            return {key: np.asarray(values) for key, (_, values, _) in data.arrays().items()}

        first, again, other = arrays(SEEDS[0]), arrays(SEEDS[0]), arrays(SEEDS[1])
        assert all(first[key].tobytes() == again[key].tobytes() for key in first), (
            f"{name}: one seed has two sets of data; draw from `random` alone"
        )
        differ = any(first[key].tobytes() != other[key].tobytes() for key in first)
        assert job.problem.per_seed or not differ, (
            f"{name}: data differ between seeds, and `per_seed` is False: all seeds would get those of one"
        )
        for key, values in first.items():
            assert np.isfinite(values).all(), f"{name}: {key} is not finite everywhere"


def data_survive_a_file(subject: Subject) -> None:
    """What a file holds makes the same data again."""
    for name, experiment in subject.experiments.items():
        job = subject.job(experiment)
        data = job.problem.seed_data(job.network, random_of(SEEDS[0], "problem"), SEEDS[0])
        variables = {key: np.asarray(values) for key, (_, values, _) in data.arrays().items()}
        read = law_of(data.attributes, name).read(variables, data.attributes)
        weights = subject.weights(job.network, data.features)
        with_loss = [
            one.with_loss(subject.registry.find("losses", job.problem.loss).plugin) for one in (data, read)
        ]
        losses = [np.asarray(one.problem(job.network).loss(weights)) for one in with_loss]
        assert losses[0].tobytes() == losses[1].tobytes(), f"{name}: data read from a file have another loss"


def trains(subject: Subject) -> None:
    """Gradient descent with a small step runs, is finite, and the loss falls."""
    for name, _, dataset in subject.runs:
        loss = dataset["loss"]
        assert np.isfinite(loss).all(), f"{name}: the loss is not finite everywhere"
        assert (loss.isel(time=-1) <= loss.isel(time=0)).all(), (
            f"{name}: the loss rises under gradient descent"
        )


def a_seed_has_its_start(subject: Subject) -> None:
    """Weights are finite, and those of a seed depend on no other seed nor on their order."""
    for name, experiment, dataset in subject.runs:
        again = subject.run(experiment, seeds=list(reversed(SEEDS)))
        for part in ("hidden", "output"):
            first = dataset[part].isel(time=0)
            assert np.isfinite(first).all(), f"{name}: {part} is not finite everywhere"
            other = again[part].isel(time=0).sel(seed=first["seed"])
            assert first.values.tobytes() == other.values.tobytes(), (
                f"{name}: {part} of a seed depends on the other seeds; draw from `random` alone"
            )


PROBLEM: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check for check in (a_seed_has_its_data, data_survive_a_file, follows_its_loss, trains)
}
INITIALIZATION: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check for check in (a_seed_has_its_start,)
}
