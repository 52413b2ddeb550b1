"""Gradient flow on a teacher, compared with diffrax: time, and error of the loss, at three horizons.

    pip install -e .[benchmarks]
    python benchmarks/flow.py         # two minutes

One core for all, float64. diffrax integrates the same gradient, written by hand with angles that keep their digits
(2 atan2(|û − v̂|, |û + v̂|)), under `jit`, with its adaptive step control at rtol 1e-8 and atol 1e-13, and at most
20,000 steps. The losses of all end states are taken by the same closed form, so that the integrators alone count;
the error is relative to our flow at rtol 1e-13. Everything is compiled before the clock starts; times are those
of the process's processor clock, the best of three.
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

import diffrax
import jax
import numpy as np
from jax import numpy as jnp
from relu import RELU

from twolayer import Network, Teacher, Weights
from twolayer.population.numba_descent import CompiledPopulationProblem

jax.config.update("jax_enable_x64", True)

HORIZONS = (1e3, 1e5, 1e7)
MOST_STEPS = 20_000
GROUPS = {"(2, 1, 3)": [[0.3, 0.7]], "(6, 3, 9)": [[0.3, 0.7], [0.5, 0.5], [0.4, 0.6]]}
ANGLE = 0.3
COLUMNS = "(m, k, d) | T | integrator | seconds | steps | reached | error of the loss"


def start(groups: list[list[float]]) -> tuple[Any, Any]:
    """Students (neuron, feature) in mirrored pairs at `ANGLE` to orthonormal teachers (teacher, feature)."""
    count = len(groups)
    teachers = np.eye(count, 3 * count)
    hidden = []
    for index, (first, second) in enumerate(groups):
        orthogonal = np.eye(3 * count)[count + index] * np.tan(ANGLE) * (first + second) / 2
        hidden += [first * teachers[index] + orthogonal, second * teachers[index] - orthogonal]
    return np.stack(hidden), teachers


def force(hidden: Any, teachers: Any) -> Any:
    """∂L/∂w_i = ½ r + (1/2π) Σ_q c_q (|u_q| sin θ_iq ŵ_i − θ_iq u_q), (neuron, feature)."""
    vectors = jnp.concatenate([hidden, teachers])
    signs = jnp.concatenate([jnp.ones(len(hidden)), -jnp.ones(len(teachers))])
    norms = jnp.sqrt(jnp.sum(vectors**2, axis=1))
    units = vectors / norms[:, None]
    students = units[: len(hidden)]

    def length(difference: Any) -> Any:
        square = jnp.sum(difference**2, axis=-1)
        alive = square > 0  # the derivative of a root at 0 is no number
        return jnp.where(alive, jnp.sqrt(jnp.where(alive, square, 1.0)), 0.0)

    apart, together = length(students[:, None] - units), length(students[:, None] + units)
    theta = 2.0 * jnp.arctan2(apart, together)
    along = jnp.sin(theta) @ (signs * norms)
    pulled = theta @ (signs[:, None] * vectors)
    return 0.5 * (signs @ vectors) + (along[:, None] * students - pulled) / (2 * jnp.pi)


def by_diffrax(solver: Any, shape: tuple[int, ...], teachers: Any) -> Callable[[Any, float], Any]:
    """(hidden, T) -> diffrax's solution at T, or where it stops, compiled."""
    term = diffrax.ODETerm(lambda t, y, args: -force(y.reshape(shape), args).ravel())

    @jax.jit
    def solve(hidden: Any, stop: Any) -> Any:
        return diffrax.diffeqsolve(
            term,
            solver,
            0.0,
            stop,
            None,
            hidden.ravel(),
            args=teachers,
            stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-13),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=MOST_STEPS,
            throw=False,
        )

    return solve


def best(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, the least of three times (of one, where that is long), and what came out; once before, to compile."""
    work()
    spent: list[float] = []
    while len(spent) < 3 and sum(spent) < 3:
        begin = time.process_time()
        result = work()
        spent.append(time.process_time() - begin)
    return min(spent), result


def main() -> None:
    """Print the table of benchmarks/README.md."""
    if hasattr(os, "sched_setaffinity"):  # before any library has started its threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba", "jax", "diffrax"))
    print(f"{platform.machine()}, one core; Python {platform.python_version()}, {versions}\n")
    print(f"| {COLUMNS} |\n{'|---' * (COLUMNS.count('|') + 1)}|")
    for name, groups in GROUPS.items():
        hidden, teachers = start(groups)
        network = Network(len(hidden), RELU, output="fixed")
        problem = CompiledPopulationProblem(Teacher(teachers, np.ones(len(teachers))), network)
        here = Weights(hidden, np.ones(len(hidden)))
        solvers = {
            "diffrax Kvaerno5": by_diffrax(diffrax.Kvaerno5(), hidden.shape, teachers),
            "diffrax Tsit5": by_diffrax(diffrax.Tsit5(), hidden.shape, teachers),
        }
        for stop in HORIZONS:
            times = np.array([0.0, stop])

            def ours(rtol: float, times: Any = times, problem: Any = problem, here: Any = here) -> Any:
                return problem.flow(here, times, 0.0, rtol, 0.0).hidden[-1]

            def loss(end: Any, problem: Any = problem, here: Any = here) -> float:
                return float(problem.loss(Weights(np.asarray(end).reshape(here.hidden.shape), here.output)))

            exact = loss(ours(1e-13))
            for rtol in (1e-10, 1e-9, 1e-7):
                spent, end = best(lambda rtol=rtol, ours=ours: ours(rtol))
                error = abs(loss(end) / exact - 1)
                print(
                    f"| {name} | {stop:.0e} | twolayer, rtol {rtol:.0e} | {spent:.3g} | | yes | {error:.0e} |"
                )
            for solver, solve in solvers.items():
                spent, found = best(
                    lambda solve=solve, hidden=hidden, stop=stop: jax.block_until_ready(
                        solve(jnp.asarray(hidden), stop)
                    )
                )
                arrived = bool(found.result == diffrax.RESULTS.successful)
                steps = int(found.stats["num_steps"])
                error = f"{abs(loss(found.ys[-1]) / exact - 1):.0e}" if arrived else "–"
                reached = "yes" if arrived else "no"
                print(
                    f"| {name} | {stop:.0e} | {solver} | {spent:.3g} | {steps:,} | {reached} | {error} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
