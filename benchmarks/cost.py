"""How the cost of training on a teacher grows with neurons, dimension, seeds, frames and horizon: a figure.

    python benchmarks/cost.py         # five minutes; writes benchmarks/cost.png

One core, float64, relu, fixed outputs, kernels compiled before the clock starts. Times are those of the process's
processor clock, the best of five, and of steps alone: `training` without the files around it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from measuring import of_metrics
from relu import RELU

from twolayer import Network, PopulationProblem, Teacher, Weights
from twolayer.population import numba_flow
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.population.problem import reduced

STEP_SIZE = 0.01
FOLDER = Path(__file__).parent


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Seconds, the least of several times, after one to compile."""
    work()
    spent = []
    for _ in range(times):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def problem_of(neurons: int, teachers: int, dimension: int, seeds: int, compiled: bool = True) -> Any:
    """A problem in min(d, m + k) coordinates, and random students of it, (seed, neuron, coordinate)."""
    random = np.random.default_rng(0)
    network = Network(neurons, RELU, output="fixed")
    teacher = Teacher(np.eye(teachers, dimension), np.ones(teachers))
    hidden = random.standard_normal((seeds, neurons, dimension)) / np.sqrt(neurons * dimension)
    start = Weights(hidden, np.ones((seeds, neurons)))
    (problem, inside), _ = reduced(PopulationProblem(teacher, network), start)
    return (CompiledPopulationProblem(problem.data, network) if compiled else problem), inside


def step_cost(case: tuple[int, int, int, int], compiled: bool = True, work: float = 1e6) -> float:
    """Microseconds a seed and step."""
    neurons, teachers, dimension, seeds = case
    problem, start = problem_of(*case, compiled=compiled)
    units, coordinates = neurons + teachers, min(dimension, neurons + teachers)
    pairs = neurons * units * coordinates * seeds
    steps = max(100, int(work / pairs)) if compiled else 5
    return (
        1e6
        * best(lambda: problem.descend(start, STEP_SIZE, 0.0, steps), 5 if compiled else 2)
        / (steps * seeds)
    )


def flow_cost(neurons: int, teachers: int, horizon: float) -> float:
    """Seconds to the horizon at the default tolerance, students in mirrored pairs."""
    from twolayer.study.registry import load

    dynamics = load(kinds=["dynamics"]).find("dynamics", "gradient_flow").plugin()
    dimension = neurons + teachers
    hidden = np.zeros((neurons, dimension))
    each = neurons // teachers
    for i in range(neurons):
        hidden[i, i // each] = 1.0 / each
        hidden[i, teachers + i // 2] = (0.3 if i % 2 else -0.3) / each
    network = Network(neurons, RELU, output="fixed")
    problem = CompiledPopulationProblem(Teacher(np.eye(teachers, dimension), np.ones(teachers)), network)
    times = np.array([0.0, horizon])
    start = Weights(hidden, np.ones(neurons))
    return best(lambda: problem.flow(start, times, 0.0, dynamics.rtol, dynamics.atol), 2)


def wide_flow_cost(neurons: int, dimension: int, horizon: float, explicit: bool) -> float:
    """Seconds to the horizon at rtol 1e-7, a gaussian start and four teachers: by explicit steps where these cost
    less, or by the implicit method alone."""
    problem = CompiledPopulationProblem(
        Teacher(np.eye(4, dimension), np.ones(4)), Network(neurons, RELU, output="fixed")
    )
    drawn = np.random.default_rng(1).standard_normal((neurons, dimension))
    start = Weights(drawn / np.sqrt(neurons * dimension), np.ones(neurons))
    kept, numba_flow.WIDE = numba_flow.WIDE, 0 if explicit else 10**9
    begin = time.process_time()
    problem.flow(start, np.array([0.0, horizon]), 0.0, 1e-7, 0.0)
    numba_flow.WIDE = kept
    return time.process_time() - begin


def rounded(places: list[Any], values: list[float]) -> dict[Any, float]:
    """What was measured where, to three digits."""
    return {place: float(f"{value:.3g}") for place, value in zip(places, values, strict=True)}


def main() -> None:
    """Measure and draw."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    style.use(FOLDER.parent / "workflow" / "figures.mplstyle")
    figure = Figure(figsize=(11.0, 9.0), layout="constrained")
    panels = figure.subplots(3, 3)
    by_neurons, by_dimension, by_seeds, by_frames, by_horizon, by_width, by_long, *unused = panels.flat
    for axes in unused:
        axes.remove()

    for label, neurons, compiled in (
        ("array code (NumPy)", [2, 4, 8, 16, 32], False),
        ("compiled", [2, 4, 8, 15, 16, 24, 32, 64, 128], True),
    ):
        cost = [step_cost((m, 2, m + 2, 16), compiled) for m in neurons]
        by_neurons.loglog(neurons, cost, "o-" if compiled else "s--", label=label)
        print(
            f"µs a seed and step, k = 2, d = m + 2, 16 seeds, {label}: {rounded(neurons, cost)}", flush=True
        )
    guide = np.array([24.0, 128.0])
    label = "slope 3 ($m^2$ pairs in $m + k$ coordinates)"
    by_neurons.loglog(guide, 0.3 * cost[-1] * (guide / 128) ** 3, ":", color="0.4", label=label)
    by_neurons.set(xlabel="neurons $m$ ($k = 2$, $d = m + 2$)", ylabel="µs a seed and step")
    by_neurons.legend()

    dimensions = [3, 6, 9, 12, 20, 100, 1_000, 10_000, 100_000, 1_000_000]
    cost = [step_cost((10, 2, d, 8)) for d in dimensions]
    print(f"µs a seed and step, (10, 2, d), 8 seeds: {rounded(dimensions, cost)}", flush=True)
    by_dimension.loglog(dimensions, cost, "o-", label="compiled, steps alone")
    by_dimension.axvline(12, color="0.4", linestyle=":", label="$d = m + k$")
    by_dimension.set(xlabel="dimension $d$ ($m = 10$, $k = 2$)", ylabel="µs a seed and step", ylim=(0.1, 10))
    by_dimension.legend()

    seeds = [1, 2, 4, 8, 16, 32, 64, 256, 1024]
    for m, k in ((4, 1), (10, 3), (50, 5)):
        cost = [s * step_cost((m, k, m + k, s)) for s in seeds]
        print(f"µs a step, (m, k) = ({m}, {k}), by seeds: {rounded(seeds, cost)}", flush=True)
        by_seeds.loglog(seeds, cost, "o-", label=f"$(m, k) = ({m}, {k})$")
    by_seeds.axvline(8, color="0.4", linestyle=":", label="eight lanes")
    by_seeds.set(xlabel="seeds (one core)", ylabel="µs a step of all seeds")
    by_seeds.legend()

    for m, k, last in ((2, 1, 1e8), (6, 3, 1e8), (10, 2, 1e6)):
        horizons = [10.0**power for power in range(1, 9) if 10.0**power <= last]
        spent = [flow_cost(m, k, stop) for stop in horizons]
        print(f"seconds of flow, (m, k) = ({m}, {k}), by T: {rounded(horizons, spent)}", flush=True)
        by_horizon.loglog(horizons, spent, "o-", label=f"$(m, k) = ({m}, {k})$")
    by_horizon.set(xlabel="horizon $T$", ylabel="seconds of gradient flow, one seed")
    by_horizon.legend()

    frames = [1, 4, 16, 64, 256, 1024]
    costs = [of_metrics("fixed", 16, count) for count in frames]
    for label, cost, marker in zip(
        ("array code (NumPy)", "compiled"), np.transpose(costs), ("s--", "o-"), strict=True
    ):
        print(
            f"µs a seed and frame of all default metrics, {label}: {rounded(frames, list(cost))}", flush=True
        )
        by_frames.loglog(frames, cost, marker, label=label)
    by_frames.set(xlabel="frames (16 seeds)", ylabel="µs a seed and frame, all default metrics")
    by_frames.legend()

    wide_flow_cost(6, 6, 1.0, True), wide_flow_cost(6, 6, 1.0, False)  # compiled before the clock starts
    widths = [8, 12, 16, 24, 32, 40]
    horizons = [10.0**power for power in range(7)]
    for explicit, label, marker in (
        (False, "implicit alone", "s--"),
        (True, "explicit where it costs less", "o-"),
    ):
        spent = [wide_flow_cost(m, m, 1e3, explicit) for m in widths]
        print(f"seconds of flow to T = 1,000, k = 4, d = m, {label}: {rounded(widths, spent)}", flush=True)
        by_width.loglog(widths, spent, marker, label=label)
        spent = [wide_flow_cost(24, 24, stop, explicit) for stop in horizons]
        print(f"seconds of flow, (24, 4, 24), by T, {label}: {rounded(horizons, spent)}", flush=True)
        by_long.loglog(horizons, spent, marker, label=label)
    by_width.axvline(16, color="0.4", linestyle=":", label="256 parameters: from here on by default")
    by_width.set(xlabel="neurons $m$ ($k = 4$, $d = m$)", ylabel="seconds of gradient flow to $T = 1{,}000$")
    by_long.set(xlabel="horizon $T$", ylabel="seconds of gradient flow, $(24, 4, 24)$")
    by_width.legend(), by_long.legend()
    figure.savefig(FOLDER / "cost.png", dpi=110)


if __name__ == "__main__":
    main()
