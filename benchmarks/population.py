"""Population descents of twolayer against JAX, as ratios within one run.

    pip install -e .[benchmarks]
    python benchmarks/population.py         # half a minute

One core for both, float64, relu, fixed outputs. JAX walks with `jit` over `lax.scan` over the steps and `vmap` over
the seeds, and in two ways: with the gradient derived by hand, of arc cosines and matrix products (the fastest we
found, which loses angles below 1e-8), and with `jax.grad` of the loss in the form that keeps them. The ratio
that is wanted is compared with the faster one. Everything is compiled before the clock starts; times are those of the
process's processor clock, the best of several. `difference` is that of the weights after JAX's steps, the median
over the seeds: where a student passes close by 0 the path is sensitive to the last bit.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax_descent import jax_descent, jax_force, jax_loss
from relu import RELU

from twolayer import Network, Teacher, Weights
from twolayer.population.numba_descent import CompiledPopulationProblem

STEP_SIZE = 0.01
CASES = (  # neurons, teachers, dimension, seeds, steps of ours, steps of JAX, ratio wanted
    (4, 1, 5, 64, 20_000, 1_000, 12),
    (10, 3, 20, 64, 4_000, 300, 8),
    (50, 5, 60, 1, 4_000, 300, 5),
)
COLUMNS = (
    "(m, k, d), seeds | JAX by hand, µs | `jax.grad`, µs | twolayer, µs | ratio | wanted | reached | "
    + ("ratio to `jax.grad` | difference")
)


def best(work: Callable[[], Any]) -> float:
    """Seconds, the least of seven times."""
    spent = []
    for _ in range(7):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def main() -> None:
    """Print the table of benchmarks/README.md."""
    if hasattr(os, "sched_setaffinity"):  # before any library has started its threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "jax", "jaxlib"))
    print(f"{platform.machine()}, one core; Python {platform.python_version()}, {versions}\n")
    print(f"| {COLUMNS} |\n{'|---' * (COLUMNS.count('|') + 1)}|")
    for neurons, teachers, dimension, seeds, steps, jax_steps, wanted in CASES:
        random = np.random.default_rng(0)
        frame = np.linalg.qr(random.standard_normal((dimension, teachers)))[0].T
        hidden = random.standard_normal((seeds, neurons, dimension)) / np.sqrt(neurons * dimension)
        start = Weights(hidden, np.ones((seeds, neurons)))
        network = Network(neurons, RELU, output="fixed")
        problem = CompiledPopulationProblem(Teacher(frame, np.ones(teachers)), network)
        ours = problem.descend(start, STEP_SIZE, 0.0, jax_steps).hidden
        there = (jnp.asarray(hidden), jnp.asarray(frame))
        slow, differences = [], []
        for force in (jax_force, jax.grad(jax_loss)):
            walk = jax_descent(force, STEP_SIZE, jax_steps, seeds)
            end = np.asarray(walk(*there))
            differences.append(float(np.median(np.abs(ours - end).max(axis=(1, 2)))))
            spent = best(lambda walk=walk, there=there: walk(*there).block_until_ready())
            slow.append(spent / (jax_steps * seeds))
        spent = best(lambda p=problem, start=start, steps=steps: p.descend(start, STEP_SIZE, 0.0, steps))
        fast = spent / (steps * seeds)
        ratio = min(slow) / fast
        print(
            f"| ({neurons}, {teachers}, {dimension}), {seeds} | {1e6 * slow[0]:.3g} | {1e6 * slow[1]:.3g} | "
            f"{1e6 * fast:.3g} | {ratio:.1f} | {wanted} | {'yes' if ratio >= wanted else 'no'} | "
            f"{slow[1] / fast:.0f} | {max(differences):.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
