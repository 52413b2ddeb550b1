"""Stochastic gradient descent with fresh batches: twolayer's kernel, its array code, and the drawing alone.

    python benchmarks/batches.py            # half a minute

One core, float64, relu, fixed outputs; microseconds per seed and step by the process's processor clock, the best of
several. `normals` is what it takes to draw the inputs alone, without which no step can be done: by the counter of
`core.counter`, compiled, and by NumPy's generator. `products` is the two matrix products of a step by NumPy's BLAS,
without anything else.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from relu import RELU

from twolayer import Network, PopulationProblem, Teacher, Weights
from twolayer.core.seeds import random_of
from twolayer.kernels.normals import fill_normals
from twolayer.population.numba_descent import CompiledPopulationProblem

CASES = (
    (40, 4, 20, 512),
    (20, 2, 10, 512),
    (10, 3, 20, 64),
    (4, 1, 5, 512),
    (100, 5, 60, 256),
    (40, 4, 20, 1),
)
COLUMNS = "(m, k, d), B | twolayer | array code, NumPy | normals | normals of NumPy | products, NumPy"


def draw(numbers: Any, count: int) -> None:
    """Fill an array with normal numbers, `count` times."""
    for key in range(count):
        fill_normals(np.uint64(key), 0, numbers)


def microseconds(count: int, work: Callable[..., Any], *arguments: Any) -> float:
    """Of one of `count` steps that `work` takes, the least of five times."""
    spent = []
    for _ in range(6):  # the first compiles
        begin = time.process_time()
        work(*arguments)
        spent.append(time.process_time() - begin)
    return 1e6 * min(spent) / count


def row(neurons: int, teachers: int, dimension: int, size: int) -> list[float]:
    """The times of one case, in the order of `COLUMNS`."""
    random, count = random_of(0, "dynamics"), 2_000_000 // (size * dimension) + 20
    teacher = Teacher(np.eye(teachers, dimension), np.ones(teachers))
    hidden = random.standard_normal((1, neurons, dimension)) / np.sqrt(neurons * dimension)
    start, network = Weights(hidden, np.ones((1, neurons))), Network(neurons, RELU, output="fixed")
    problems = (CompiledPopulationProblem(teacher, network), PopulationProblem(teacher, network))
    inputs, pulled = np.empty((size, dimension)), np.ones((neurons, size))
    units = np.concatenate([hidden[0], teacher.hidden])

    def products() -> None:
        for _ in range(count):
            np.matmul(inputs, units.T)
            np.matmul(pulled, inputs)

    def normals() -> None:
        for _ in range(count):
            random.standard_normal(out=inputs)

    return [
        *(
            microseconds(count, problem.descend_on_batches, start, 1e-3, size, count, [random])
            for problem in problems
        ),
        microseconds(count, draw, inputs.reshape(-1), count),
        microseconds(count, normals),
        microseconds(count, products),
    ]


def main() -> None:
    """Print the table."""
    print(f"| {COLUMNS} |\n{'|---' * (COLUMNS.count('|') + 1)}|")
    for case in CASES:
        numbers = " | ".join(f"{value:.3g}" for value in row(*case))
        print(f"| ({', '.join(map(str, case[:3]))}), {case[3]} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
