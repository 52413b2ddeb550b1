"""Population descents of twolayer against JAX, as ratios within one run.

    pip install -e .[benchmarks]
    python benchmarks/population.py         # half a minute

One core for both, float64, relu, fixed outputs. JAX walks with `jit` over `lax.scan` over the steps and `vmap` over
the seeds, and in two ways: with the gradient derived by hand, of arc cosines and matrix products (the fastest we
found, which loses angles below 1e-8), and with `jax.grad` of the loss in the form that keeps them. The ratio
that is wanted is held against the faster one. Everything is compiled before the clock starts; times are those of the
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
from jax import lax
from jax import numpy as jnp

from twolayer import Network, Teacher, Weights
from twolayer.compiled_population import CompiledPopulationProblem

jax.config.update("jax_enable_x64", True)

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


def jax_force(hidden: Any, teachers: Any) -> Any:
    """∂L/∂w_i = ½ r + (1/2π) Σ_q c_q (|u_q| sin θ_iq ŵ_i − θ_iq u_q), (neuron, feature), by matrix products."""
    vectors = jnp.concatenate([hidden, teachers])
    signs = jnp.concatenate([jnp.ones(len(hidden)), -jnp.ones(len(teachers))])
    norms = jnp.linalg.norm(vectors, axis=1)
    units = vectors / norms[:, None]
    own = units[: len(hidden)]
    theta = jnp.arccos(jnp.clip(own @ units.T, -1.0, 1.0))
    along = jnp.sin(theta) @ (signs * norms)
    return 0.5 * (signs @ vectors) + (along[:, None] * own - theta @ (signs[:, None] * vectors)) / (
        2 * jnp.pi
    )


def jax_loss(hidden: Any, teachers: Any) -> Any:
    """L = ¼|r|² + (1/2π) Σ_{p<q} c_p c_q |u_p||u_q| (sin θ − θ cos θ), θ = 2 atan2(|û_p − û_q|, |û_p + û_q|)."""
    vectors = jnp.concatenate([hidden, teachers])
    signs = jnp.concatenate([jnp.ones(len(hidden)), -jnp.ones(len(teachers))])
    norms = jnp.linalg.norm(vectors, axis=1)
    units = vectors / norms[:, None]
    p, q = np.triu_indices(len(vectors), 1)
    apart, together = (jnp.linalg.norm(units[p] + sign * units[q], axis=1) for sign in (-1.0, 1.0))
    theta = 2.0 * jnp.arctan2(apart, together)
    masses = signs * norms
    curved = jnp.sum(masses[p] * masses[q] * (jnp.sin(theta) - theta * jnp.cos(theta)))
    return 0.25 * jnp.sum((signs @ vectors) ** 2) + curved / (2.0 * jnp.pi)


def jax_descent(force: Callable[[Any, Any], Any], steps: int, seeds: int) -> Callable[[Any, Any], Any]:
    """`steps` of descent, compiled: (seed, neuron, feature) -> the same."""

    def walk(hidden: Any, teachers: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            return state - STEP_SIZE * force(state, teachers), None

        return lax.scan(step, hidden, None, length=steps)[0]

    if seeds > 1:
        return jax.jit(jax.vmap(walk, in_axes=(0, None)))

    alone = jax.jit(walk)
    return lambda hidden, teachers: alone(hidden[0], teachers)[None]


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
        network = Network(neurons, output="fixed")
        problem = CompiledPopulationProblem(Teacher(frame, np.ones(teachers)), network)
        ours = problem.descend(start, STEP_SIZE, 0.0, jax_steps).hidden
        there = (jnp.asarray(hidden), jnp.asarray(frame))
        slow, differences = [], []
        for force in (jax_force, jax.grad(jax_loss)):
            walk = jax_descent(force, jax_steps, seeds)
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
