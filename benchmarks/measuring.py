"""Measuring by frames: all default metrics by compiled code against the array code, and whole runs by saved frames.

python benchmarks/measuring.py [--seeds 1024]: processor seconds of this process, so that other work counts for none.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import twolayer
from twolayer import Network, PopulationProblem, Teacher, Weights
from twolayer.analysis.metric import measure
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.population.numba_measures import MeasuredPopulationProblem
from twolayer.study.job import selected_metrics
from twolayer.study.registry import load

NEURONS, TEACHERS, DIMENSION = 10, 3, 20
SEEDS, FRAMES = 80, 50


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """Processor seconds of the fastest of some calls."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def of_metrics(output: Any, seeds: int = SEEDS, frames: int = FRAMES) -> tuple[float, float]:
    """Microseconds per seed and frame of all default metrics, by the array code and compiled: half of the frames far
    from the teachers, half with all students near one."""
    registry = load(())
    metrics = {name: registry.find("metrics", name).plugin for name in selected_metrics(registry, None)}
    activation = registry.find("activations", "relu").plugin
    network = Network(NEURONS, activation, output)
    slow = PopulationProblem(Teacher(np.eye(TEACHERS, DIMENSION), np.ones(TEACHERS)), network)
    random = np.random.default_rng(0)
    hidden = random.standard_normal((seeds, frames, NEURONS, DIMENSION))
    closest = random.integers(0, TEACHERS, NEURONS)
    hidden[:, frames // 2 :] = np.eye(TEACHERS, DIMENSION)[closest] + 1e-3 * hidden[:, frames // 2 :]
    weights = Weights(hidden, np.ones((seeds, frames, NEURONS)))
    path = Trajectory(Clock(np.arange(float(frames))), weights, np.zeros(frames), np.full(seeds, -1))

    def fast() -> None:
        measure([MeasuredPopulationProblem(slow.data, network)], path, metrics)

    fast()  # compiled before the clock starts
    per = 1e6 / (seeds * frames)
    return per * seconds(lambda: measure([slow], path, metrics), 1), per * seconds(fast)


def of_run(seeds: int, steps: list[int]) -> float:
    """Processor seconds of a whole run of a descent."""
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": DIMENSION, "teachers": TEACHERS},
        "network": {"neurons": NEURONS, "activation": "relu", "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.3},
        "dynamics": {"name": "gradient_descent", "step_size": 0.05},
        "times": {"steps": steps},
        "seeds": seeds,
    }
    return seconds(lambda: twolayer.run(experiment), 1)


def near_the_end(steps: list[int]) -> float:
    """Processor seconds of 256 seeds of m = k = d = 6, which all reach their teachers."""
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 6},
        "network": {"neurons": 6, "activation": "relu", "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.3},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": steps},
        "seeds": 256,
    }
    return seconds(lambda: twolayer.run(experiment), 1)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1024)
    seeds = parser.parse_args().seeds
    print("| outputs | array code, µs per seed and frame | compiled, µs | ratio |\n|---|---|---|---|")
    for output in ("fixed", "trained"):
        slow, fast = of_metrics(output)
        print(f"| {output} | {slow:.0f} | {fast:.1f} | {slow / fast:.0f} |")
    near_the_end([1000, 2000])  # kernels are compiled before the clock starts
    once, thrice = near_the_end([20000]), near_the_end([1000, 5000, 20000])
    print("\n| 20,000 steps | one frame, s | more frames, s | ratio |\n|---|---|---|---|")
    print(f"| 256 seeds of (6, 6, 6), 3 frames | {once:.2f} | {thrice:.2f} | {thrice / once:.2f} |")
    once, often = of_run(seeds, [20000]), of_run(seeds, [400 * frame for frame in range(1, 51)])
    print(f"| {seeds} seeds of (10, 3, 20), 50 frames | {once:.2f} | {often:.2f} | {often / once:.2f} |")


if __name__ == "__main__":
    main()
