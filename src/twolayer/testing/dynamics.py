"""What every dynamics must do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twolayer.core.dynamics import Descent
from twolayer.core.seeds import random_of
from twolayer.core.times import Times
from twolayer.core.trajectory import Clock
from twolayer.testing.subject import SEEDS, Subject, agree, nearly
from twolayer.training.start import start

__all__ = ["DYNAMICS"]

ROUNDING = 1e-12
"""Relative difference of weights by another order of sums."""

FOLLOWED = 1e-6
"""Relative difference of weights by another choice of steps along a flow."""


def starts_at_the_start(subject: Subject) -> None:
    """The first frame is the start, and all frames are finite."""
    for name, experiment, dataset in subject.runs:
        job = subject.job(experiment)
        data = job.problem.seed_data(job.network, random_of(SEEDS[0], "problem"), SEEDS[0])
        hidden, _ = start(job.initialization, data, job.network, SEEDS[:1])
        first = dataset["hidden"].isel(time=0, seed=0)
        assert nearly(first, hidden[0], ROUNDING), f"{name}: the first frame is not the start"
        for part in ("hidden", "output"):
            assert np.isfinite(dataset[part]).all(), f"{name}: {part} is not finite everywhere"


def seeds_are_independent(subject: Subject) -> None:
    """A seed alone has the path that it has among others, in any order."""
    for name, experiment, dataset in subject.runs:
        for seed in SEEDS:
            alone = subject.run(experiment, seeds=[seed])
            agree(alone, dataset.sel(seed=[seed]), ROUNDING, f"{name}: seed {seed} alone")


def two_runs_are_the_same(subject: Subject) -> None:
    """The same run twice has the same bits."""
    for name, experiment, dataset in subject.runs:
        again = subject.run(experiment)
        for part in ("hidden", "output"):
            same = dataset[part].values.tobytes() == again[part].values.tobytes()
            assert same, (
                f"{name}: {part} differs between two identical runs; is there a state, or another generator?"
            )


def frames_are_kept(subject: Subject) -> None:
    """What is saved, and how often, changes nothing: frames are no views of what moves on."""
    limit = ROUNDING if isinstance(subject.plugin, Descent) else FOLLOWED
    for name, experiment, dataset in subject.runs:
        times = experiment["times"]
        ((key, values),) = times.items()
        for index, value in enumerate(values):
            alone = subject.run(experiment, times={key: [value]}).isel(time=[-1])
            wanted = dataset.isel(time=[index + 1])
            agree(alone, wanted, limit, f"{name}: with {key}: [{value}] alone")


def backends_agree(subject: Subject) -> None:
    """The compiled backend runs the same path as the reference."""
    limit = 1e-9 if isinstance(subject.plugin, Descent) else FOLLOWED
    for name, experiment, dataset in subject.runs:
        agree(subject.run(experiment, "numba"), dataset, limit, f"{name}: numba against numpy")


def goes_on_from_a_frame(subject: Subject) -> None:
    """Where it says that weights and generators are all its state (`restarts`), a path goes on from any frame."""
    if not subject.plugin.restarts():
        return
    for name, experiment in subject.experiments.items():
        job = subject.job(experiment)
        problem = subject.problem(experiment)
        data = job.problem.seed_data(job.network, random_of(SEEDS[0], "problem"), SEEDS[0])
        hidden, output = start(job.initialization, data, job.network, SEEDS[:1])
        weights = type(subject.weights(job.network, data.features))(hidden, output)
        weights = job.network.with_tied_outputs(weights)
        clock = job.dynamics.clock(Times(**experiment["times"]))
        whole = list(job.dynamics.trajectory(problem, weights, clock, [random_of(SEEDS[0], "dynamics")]))
        random = [random_of(SEEDS[0], "dynamics")]
        half = len(clock.time) // 2
        first, second = part_of(clock, 0, half + 1), part_of(clock, half, None)
        *_, middle = job.dynamics.trajectory(problem, weights, first, random)
        *_, last = job.dynamics.trajectory(problem, middle, second, random)
        assert nearly(last.hidden, whole[-1].hidden, FOLLOWED), (
            f"{name}: `restarts` says that it goes on from a frame, and it does not"
        )


def part_of(clock: Clock, begin: int, end: int | None) -> Clock:
    """Some of the saved times."""
    return Clock(clock.time[begin:end], None if clock.step is None else clock.step[begin:end])


def converges_with_its_order(subject: Subject) -> None:
    """Where an order p is declared, halving the step size twice shrinks the difference by 2^p, to a fifth."""
    if subject.order is None:
        return
    assert "step_size" in subject.section, "order: only a dynamics with a step_size converges with one"
    eta = float(subject.section["step_size"])
    for name, experiment in subject.experiments.items():
        ends = []
        for factor in (1, 2, 4, 8):
            section = {**subject.section, "step_size": eta / factor}
            run = subject.run(
                experiment, dynamics=section, times={"steps": [16 * factor]}, seeds=list(SEEDS[:1])
            )
            ends.append(run["hidden"].values[0, -1])
        steps = [np.linalg.norm(second - first) for first, second in itertools.pairwise(ends)]
        order = float(np.log2(steps[1] / steps[2]))
        assert abs(order - subject.order) < 0.2, f"{name}: order {order:.2f}, declared {subject.order}"


def conserves(subject: Subject) -> None:
    """What is declared as conserved stays as it is."""
    for metric, limit in subject.conserved.items():
        for name, experiment, _ in subject.runs:
            values = subject.run(experiment, metrics=[metric])[metric]
            drift = float(abs(values - values.isel(time=0)).max())
            size = max(float(abs(values.isel(time=0)).max()), 1.0)
            assert drift <= limit * size, (
                f"{name}: {metric} moves by {drift:.3g}, declared {limit:g} relative"
            )


DYNAMICS: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check
    for check in (
        starts_at_the_start,
        seeds_are_independent,
        two_runs_are_the_same,
        frames_are_kept,
        backends_agree,
        goes_on_from_a_frame,
        converges_with_its_order,
        conserves,
    )
}
