"""Population descents of twolayer on a GPU against two CPU cores and against JAX on that GPU, as ratios in one run.

    pip install -e '.[gpu]' 'jax[cuda13]'
    python benchmarks/gpu.py                                # a minute, on a machine with a CUDA device
    python benchmarks/gpu.py --without-gpu --seeds 64       # the other rows alone, JAX on the CPU

4,096 seeds of (m, k, d) = (10, 3, 20), float64, relu, fixed outputs. Everything is compiled before the clock starts,
and weights lie on the device; twolayer's are in the 13 coordinates that training finds once per run, JAX's in all 20.
Times are those of the wall, the best of several, the device having finished: keep the machine free. JAX walks as in
population.py. `difference` is that of the weights from the two cores' after JAX's steps, the median over the seeds.
Further rows are steps of stochastic descent, with fresh batches of 512, of as many seeds of (40, 4, 20); the last
table is of descents that reach their teachers, in one call and in three, as frames are saved.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from relu import RELU

from twolayer import Network, PopulationProblem, Teacher, Weights
from twolayer.core.seeds import random_of
from twolayer.population.problem import reduced

STEP_SIZE = 0.01
NEURONS, TEACHERS, DIMENSION = 10, 3, 20
STEPS = {"GPU": 20_000, "CPU": 300, "JAX": 300}
WANTED = {"CPU": 50, "JAX": 5}
CORES = 2
NEAR, NEAR_SEEDS, NEAR_STEP, CALLS, WANTED_OF_CALLS = (6, 6, 6), 256, 0.1, (1_000, 4_000, 15_000), 1.2
STOCHASTIC, BATCH, BATCHES, WANTED_OF_BATCHES = (40, 4, 20), 512, {"GPU": 200, "CPU": 2}, 100


def drawn(
    seeds: int, shape: tuple[int, int, int] = (NEURONS, TEACHERS, DIMENSION)
) -> tuple[PopulationProblem, Weights]:
    """Orthonormal teachers, and students of length about 1/√m. shape: m, k and d."""
    neurons, teachers, dimension = shape
    random = np.random.default_rng(0)
    frame = np.linalg.qr(random.standard_normal((dimension, teachers)))[0].T
    hidden = random.standard_normal((seeds, neurons, dimension)) / np.sqrt(neurons * dimension)
    network = Network(neurons, RELU, output="fixed")
    teacher = Teacher(frame, np.ones(teachers))
    return PopulationProblem(teacher, network), Weights(hidden, np.ones((seeds, neurons)))


def best(work: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds by the wall clock, the least of several times, after one that compiles."""
    spent = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return min(spent[1:])


def device_of_cupy() -> Any:
    """CuPy, or an end that says what is missing."""
    try:
        import cupy

        cupy.zeros(1)
    except ImportError:
        sys.exit("benchmarks/gpu.py needs cupy: pip install -e '.[gpu]', or --without-gpu for the other rows")
    except cupy.cuda.runtime.CUDARuntimeError as error:
        sys.exit(
            f"benchmarks/gpu.py found no CUDA device that works ({error}); --without-gpu for the other rows"
        )
    return cupy


def on_gpu(cupy: Any, problem: PopulationProblem, start: Weights, steps: int) -> float:
    """Seconds per seed and step, of the CUDA kernel."""
    from twolayer.population.cuda_descent import CudaPopulationProblem

    there = CudaPopulationProblem(problem.data.mapped(cupy.asarray), problem.network)
    weights = Weights(cupy.asarray(start.hidden), cupy.asarray(start.output))

    def work() -> None:
        there.descend(weights, STEP_SIZE, 0.0, steps)
        cupy.cuda.Device().synchronize()

    return best(work) / (steps * len(start.hidden))


def on_cores(problem: PopulationProblem, start: Weights, steps: int) -> float:
    """Seconds per seed and step, of the compiled kernel on two cores."""
    from twolayer.population.numba_descent import CompiledPopulationProblem

    here = CompiledPopulationProblem(problem.data, problem.network, CORES)
    spent = on_affinity(lambda: here.descend(start, STEP_SIZE, 0.0, steps))
    return spent / (steps * len(start.hidden))


def on_affinity(work: Callable[[], Any]) -> float:
    """As `best`, on `CORES` cores."""
    kept = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if kept:
        os.sched_setaffinity(0, sorted(kept)[:CORES])
    spent = best(work)
    if kept:
        os.sched_setaffinity(0, kept)
    return spent


def near_on_gpu(cupy: Any, calls: tuple[int, ...]) -> float:
    """Seconds of descents to their teachers on a GPU, so many steps in each call."""
    from twolayer.population.cuda_descent import CudaPopulationProblem

    problem, start = drawn(NEAR_SEEDS, NEAR)
    there = CudaPopulationProblem(problem.data.mapped(cupy.asarray), problem.network)

    def work() -> None:
        weights = Weights(cupy.asarray(start.hidden), cupy.asarray(start.output))
        for steps in calls:
            weights = there.descend(weights, NEAR_STEP, 0.0, steps)
        cupy.cuda.Device().synchronize()

    return best(work, 3)


def batches_on_gpu(cupy: Any, problem: PopulationProblem, start: Weights, steps: int) -> float:
    """Seconds per seed and step of stochastic descent, of the CUDA kernel."""
    from twolayer.population.cuda_descent import CudaPopulationProblem

    there = CudaPopulationProblem(problem.data.mapped(cupy.asarray), problem.network)
    weights = Weights(cupy.asarray(start.hidden), cupy.asarray(start.output))
    random = [random_of(seed, "dynamics") for seed in range(len(start.hidden))]

    def work() -> None:
        there.descend_on_batches(weights, STEP_SIZE, BATCH, steps, random)
        cupy.cuda.Device().synchronize()

    return best(work) / (steps * len(start.hidden))


def batches_on_cores(problem: PopulationProblem, start: Weights, steps: int) -> float:
    """Seconds per seed and step of stochastic descent, of the compiled kernel on two cores."""
    from twolayer.population.numba_descent import CompiledPopulationProblem

    here = CompiledPopulationProblem(problem.data, problem.network, CORES)
    random = [random_of(seed, "dynamics") for seed in range(len(start.hidden))]
    spent = on_affinity(lambda: here.descend_on_batches(start, STEP_SIZE, BATCH, steps, random))
    return spent / (steps * len(start.hidden))


def by_jax(problem: PopulationProblem, start: Weights, steps: int) -> dict[str, tuple[float, Any]]:
    """Seconds per seed and step and the last weights, on JAX's device: by hand, and by `jax.grad`."""
    import jax
    from jax import numpy as jnp
    from jax_descent import jax_descent, jax_force, jax_loss

    seeds = len(start.hidden)
    there = (jnp.asarray(start.hidden), jnp.asarray(problem.data.hidden))
    found = {}
    for name, force in (("by hand", jax_force), ("`jax.grad`", jax.grad(jax_loss))):
        walk = jax_descent(force, STEP_SIZE, steps, seeds)
        spent = best(lambda walk=walk: walk(*there).block_until_ready())
        found[f"JAX {name}, {jax.devices()[0].device_kind}"] = (
            spent / (steps * seeds),
            np.asarray(walk(*there)),
        )
    return found


def versions() -> str:
    """Of what takes part."""
    found = []
    for name in ("numpy", "numba", "cupy-cuda13x", "jax", "jaxlib"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([f"Python {platform.python_version()}", *found])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=4096)
    parser.add_argument("--without-gpu", action="store_true", help="the rows that need no CUDA device")
    options = parser.parse_args()
    cupy = None if options.without_gpu else device_of_cupy()
    problem, start = drawn(options.seeds)
    (few, inside), _ = reduced(problem, start)
    print(f"{platform.machine()}; {versions()}")
    print(f"{options.seeds} seeds of ({NEURONS}, {TEACHERS}, {DIMENSION})\n")
    print(
        "| what | ns per seed and step | times the GPU's | wanted | reached | difference |\n|---|---|---|---|---|---|"
    )
    fast = None
    if cupy is not None:
        card = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"].decode()
        fast = on_gpu(cupy, few, inside, STEPS["GPU"])
        print(f"| twolayer, {card} | {1e9 * fast:.3g} | 1 | | | |", flush=True)

    def row(what: str, spent: float, wanted: int, difference: str = "") -> None:
        verdict = " | | "
        if fast is not None:
            ratio = spent / fast
            verdict = f"{ratio:.1f} | {wanted} | {'yes' if ratio >= wanted else 'no'}"
        print(f"| {what} | {1e9 * spent:.3g} | {verdict} | {difference} |", flush=True)

    row(f"twolayer, numba on {CORES} cores", on_cores(few, inside, STEPS["CPU"]), WANTED["CPU"])
    of_jax(problem, start, row)
    batches = drawn(options.seeds, STOCHASTIC)
    if cupy is not None:
        fast = batches_on_gpu(cupy, *batches, BATCHES["GPU"])
        print(f"| stochastic descent, {card} | {1e9 * fast:.3g} | 1 | | | |", flush=True)
    spent = batches_on_cores(*batches, BATCHES["CPU"])
    row(f"stochastic descent, numba on {CORES} cores", spent, WANTED_OF_BATCHES)
    if cupy is not None:
        once, thrice = near_on_gpu(cupy, (sum(CALLS),)), near_on_gpu(cupy, CALLS)
        print(
            f"\n| {NEAR_SEEDS} seeds of {NEAR}, {sum(CALLS)} steps | one call, s | three calls, s | ratio | wanted |"
        )
        print("|---|---|---|---|---|")
        print(f"| {card} | {once:.3f} | {thrice:.3f} | {thrice / once:.2f} | at most {WANTED_OF_CALLS} |")


def of_jax(problem: PopulationProblem, start: Weights, row: Callable[..., None]) -> None:
    """JAX's rows, where it is installed."""
    try:
        slow = by_jax(problem, start, STEPS["JAX"])
    except ImportError:
        print("No JAX here: pip install 'jax[cuda13]'", file=sys.stderr)
        return
    from twolayer.population.numba_descent import CompiledPopulationProblem

    ours = CompiledPopulationProblem(problem.data, problem.network, CORES)
    end = ours.descend(start, STEP_SIZE, 0.0, STEPS["JAX"]).hidden
    for what, (spent, theirs) in slow.items():
        difference = float(np.median(np.abs(end - theirs).max(axis=(1, 2))))
        row(what, spent, WANTED["JAX"], f"{difference:.0e}")


if __name__ == "__main__":
    main()
