"""How the cost of training on a teacher grows with neurons, dimension, seeds, frames, width and horizon: a figure.

    python benchmarks/cost.py         # half a minute on two cores; writes benchmarks/cost.png

One core for each measurement, two at a time where there are two, float64, relu, fixed outputs, kernels compiled before
the clock starts. Times are those of a process's processor clock, the best of up to five within a second, and of steps
alone: `training` without the files around it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from measuring import of_metrics
from relu import RELU

from twolayer import Network, PopulationProblem, Teacher, Weights
from twolayer.population import numba_flow
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.population.problem import reduced

STEP_SIZE = 0.01
FOLDER = Path(__file__).parent


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Seconds, the least of several times within a second, after one to compile."""
    work()
    spent: list[float] = []
    while len(spent) < times and sum(spent) < 1.0:
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


def step_cost(case: tuple[int, int, int, int], compiled: bool = True, work: float = 1e7) -> float:
    """Microseconds per seed and step."""
    neurons, teachers, dimension, seeds = case
    problem, start = problem_of(*case, compiled=compiled)
    units, coordinates = neurons + teachers, min(dimension, neurons + teachers)
    pairs = neurons * units * coordinates * seeds
    steps = max(20, int(work / pairs)) if compiled else 5
    return 1e6 * best(lambda: problem.descend(start, STEP_SIZE, 0.0, steps)) / (steps * seeds)


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
    return best(lambda: problem.flow(start, times, 0.0, dynamics.rtol, dynamics.atol), 3)


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


@dataclass(frozen=True)
class Curve:
    """Costs by a size, or by a horizon."""

    label: str
    sizes: list[Any]
    costs: list[float]
    style: str = "o-"


def by_neurons() -> list[Curve]:
    """Microseconds per seed and step by the width."""
    slow, fast = [2, 4, 8, 16, 32], [2, 4, 8, 15, 16, 24, 32, 64, 128]
    cost = [step_cost((m, 2, m + 2, 16)) for m in fast]
    guide = [24, 128]
    cubes = [0.3 * cost[-1] * (m / 128) ** 3 for m in guide]
    return [
        Curve("array code (NumPy)", slow, [step_cost((m, 2, m + 2, 16), False) for m in slow], "s--"),
        Curve("compiled", fast, cost),
        Curve("slope 3", guide, cubes, ":"),
    ]


def by_dimension() -> list[Curve]:
    """Microseconds per seed and step by the dimension."""
    dimensions = [3, 6, 9, 12, 20, 100, 1_000, 10_000, 100_000, 1_000_000]
    return [Curve("compiled, steps alone", dimensions, [step_cost((10, 2, d, 8)) for d in dimensions])]


def by_seeds() -> list[Curve]:
    """Microseconds per step of all seeds by their number."""
    seeds = [1, 2, 4, 8, 16, 32, 64, 256, 1024]
    return [
        Curve(f"$(m, k) = ({m}, {k})$", seeds, [s * step_cost((m, k, m + k, s)) for s in seeds])
        for m, k in ((4, 1), (10, 3), (50, 5))
    ]


def by_frames() -> list[Curve]:
    """Microseconds per seed and frame of all default metrics."""
    frames = [1, 4, 16, 64, 256]
    slow, fast = zip(*(of_metrics("fixed", 16, count) for count in frames), strict=True)
    return [Curve("array code (NumPy)", frames, list(slow), "s--"), Curve("compiled", frames, list(fast))]


def by_horizon() -> list[Curve]:
    """Seconds of a gradient flow by its horizon."""
    curves = []
    for m, k, last in ((2, 1, 1e8), (6, 3, 1e8), (10, 2, 1e6)):
        horizons = [10.0**power for power in range(1, 9) if 10.0**power <= last]
        curves.append(Curve(f"$(m, k) = ({m}, {k})$", horizons, [flow_cost(m, k, stop) for stop in horizons]))
    return curves


WIDTHS = [8, 12, 16, 24, 32]
WAYS = ((False, "implicit alone", "s--"), (True, "explicit where it costs less", "o-"))


def by_width(explicit: bool, label: str, style: str) -> list[Curve]:
    """Seconds of a wide flow to T = 1,000 by its width."""
    wide_flow_cost(6, 6, 1.0, explicit)  # compiled before the clock starts
    return [Curve(label, WIDTHS, [wide_flow_cost(m, m, 1e3, explicit) for m in WIDTHS], style)]


def by_long(explicit: bool, label: str, style: str) -> list[Curve]:
    """Seconds of a wide flow by its horizon."""
    wide_flow_cost(6, 6, 1.0, explicit)
    horizons = [10.0**power for power in range(7)]
    return [Curve(label, horizons, [wide_flow_cost(20, 20, stop, explicit) for stop in horizons], style)]


PANELS: dict[str, tuple[str, str, str, list[Callable[[], list[Curve]]]]] = {
    "neurons": ("neurons $m$ ($k = 2$, $d = m + 2$, 16 seeds)", "µs per seed and step", "", [by_neurons]),
    "dimension": ("dimension $d$ ($m = 10$, $k = 2$, 8 seeds)", "µs per seed and step", "$d = m + k$", [by_dimension]),
    "seeds": ("seeds (one core)", "µs per step of all seeds", "eight lanes", [by_seeds]),
    "frames": ("frames (16 seeds of (10, 3, 20))", "µs per seed and frame, default metrics", "", [by_frames]),
    "horizon": ("horizon $T$", "seconds of gradient flow, one seed", "", [by_horizon]),
    "width": (
        "neurons $m$ ($k = 4$, $d = m$)",
        "seconds of gradient flow to $T = 1{,}000$",
        "256 parameters",
        [partial(by_width, *way) for way in WAYS],
    ),
    "long": (
        "horizon $T$",
        "seconds of gradient flow, $(20, 4, 20)$",
        "",
        [partial(by_long, *way) for way in WAYS],
    ),
}  # fmt: skip
"""The panels: names of their axes, what a line across them stands for, and what measures their curves."""

LINES = {"dimension": 12, "seeds": 8, "width": 16}
"""Where that line is."""


def draw(found: dict[str, list[Curve]]) -> Figure:
    """The figure of the panels' curves."""
    style.use(FOLDER.parent / "workflow" / "figures.mplstyle")
    figure = Figure(figsize=(12.0, 6.5), layout="constrained")
    *panels, unused = figure.subplots(2, 4).flat
    unused.remove()
    for axes, (name, (across, up, line, _)) in zip(panels, PANELS.items(), strict=True):
        for curve in found[name]:
            grey = {"color": "0.4"} if curve.style == ":" else {}
            axes.loglog(curve.sizes, curve.costs, curve.style, label=curve.label, **grey)
        if line:
            axes.axvline(LINES[name], color="0.4", linestyle=":", label=line)
        low, high = axes.get_ylim()
        decades = max(1.0, np.log10(high / low))
        axes.set_ylim(low, high * 10 ** (0.4 * decades))  # room for the legend
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel=across, ylabel=up)
        axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")  # over the line
    panels[list(PANELS).index("width")].set_xticks(WIDTHS, map(str, WIDTHS), minor=False)
    panels[list(PANELS).index("width")].xaxis.set_minor_formatter(NullFormatter())
    panels[list(PANELS).index("dimension")].set_ylim(0.03, 3)
    return figure


def main() -> None:
    """Measure, print and draw."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        # the longest first
        tasks = {name: [pool.submit(measure) for measure in PANELS[name][3]] for name in reversed(PANELS)}
        found = {name: [curve for task in tasks[name] for curve in task.result()] for name in PANELS}
    for name, curves in found.items():
        across, up, _, _ = PANELS[name]
        for curve in curves:
            costs = ", ".join(
                f"{size:g}: {cost:.3g}" for size, cost in zip(curve.sizes, curve.costs, strict=True)
            )
            print(f"{up}, by {across}, {curve.label}: {costs}")
    draw(found).savefig(FOLDER / "cost.png", dpi=110)
    print(f"{time.perf_counter() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
