"""Stochastic gradient descent on Gaussian input on a GPU, with batches drawn where they are used: `cuda_batches.cu`.

The kernel is compiled for the network's shape when it is first used, by NVRTC through CuPy, and cached by CuPy. Inputs
are those of `core.counter`, so that a seed's path is that of every other backend, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import device

from twolayer.core.activation import two_slopes
from twolayer.core.arrays import array_namespace
from twolayer.core.counter import EDGES, GAMMA, MIXERS, RATIOS, TAIL, batch_keys
from twolayer.core.network import OUTPUTS, Weights

__all__ = ["BatchPlan", "batch_kernel", "batch_plan", "batch_source", "descend_on_batches"]

KERNEL = Path(__file__).with_name("cuda_batches.cu")

THREADS = (64, 128, 256)
"""Samples at a time, a thread each."""

FEW = 16
"""Up to so many entries of the gradient for each thread, more threads are not better."""

WORK = 2**36
"""Samples times units times features in one launch: tens of milliseconds, for cards that also drive a screen."""

KEYS = 2**23
"""Steps times seeds in one launch, of each of which a key of 8 bytes goes to the card: small batches would ask for
gigabytes of them."""


@dataclass(frozen=True)
class BatchPlan:
    """The shape that a kernel is compiled for. Fields are the kernel's macros."""

    students: int
    units: int
    features: int
    output: int
    single: int
    threads: int

    @property
    def macros(self) -> tuple[str, ...]:
        """The compiler's options."""
        return tuple(f"-D{name.upper()}={value}" for name, value in vars(self).items())

    @property
    def shared(self) -> int:
        """Bytes of shared memory a block."""
        weights = (self.units + self.students + 1) * self.features + 3 * self.units
        return 8 * (weights + self.threads * (self.features | 1) + self.students * (self.threads | 1))

    def steps(self, seeds: int, batch_size: int) -> int:
        """How many steps of so many seeds one launch takes."""
        work = seeds * batch_size * self.units * self.features
        return max(1, min(WORK // work, KEYS // seeds))


def batch_plan(
    students: int, units: int, features: int, output: str, single: bool, shared: int
) -> BatchPlan | None:
    """How a card with `shared` bytes a block runs a network; None where a seed does not fit into a block."""
    plans = [
        BatchPlan(students, units, features, OUTPUTS[output], int(single), threads) for threads in THREADS
    ]
    fitting = [plan for plan in plans if plan.shared <= shared]
    few = [plan for plan in fitting if students * features <= FEW * plan.threads]
    return few[0] if few else fitting[-1] if fitting else None


def descend_on_batches(
    problem: Any,
    layout: BatchPlan,
    weights: Weights,
    step_size: float,
    batch_size: int,
    count: int,
    random: Sequence[np.random.Generator],
    launch: Callable[[BatchPlan, int, tuple[Any, ...]], None],
) -> Weights:
    """`count` steps for all seeds (seed, neuron, feature), in float64 within; float32 weights are rounded at each
    step. problem: the `PopulationProblem`. launch: one launch of a plan, with so many blocks and these arguments."""
    xp, dtype = array_namespace(weights.hidden), weights.hidden.dtype
    seeds, neurons, _ = weights.hidden.shape
    hidden, output = problem.data.hidden, problem.data.output
    vectors = xp.concat([weights.hidden, xp.broadcast_to(hidden, (seeds, *hidden.shape))], axis=1)
    outputs = xp.concat([weights.output, xp.broadcast_to(-output, (seeds, *output.shape))], axis=1)
    vectors, outputs = (xp.asarray(part, dtype=xp.float64, copy=True) for part in (vectors, outputs))
    slopes = two_slopes(problem.network.activation, "the kernel of stochastic descent").slopes
    numbers = tuple(map(float, (problem.network.scale, *slopes, step_size, *problem.profiled)))
    most = layout.steps(seeds, batch_size)
    for done in range(0, count, most):
        steps = min(most, count - done)
        keys = np.stack([batch_keys(each, steps) for each in random])
        keys = xp.asarray(keys, device=device(weights.hidden))
        launch(layout, seeds, (vectors, outputs, keys, *numbers, batch_size, steps))
    return Weights(
        xp.astype(vectors[:, :neurons], dtype, copy=True), xp.astype(outputs[:, :neurons], dtype, copy=True)
    )


@cache
def batch_source() -> str:
    """The kernel's source, with the constants that it shares with the other kernels before it."""
    constants: dict[str, Any] = {name.upper(): number for name, number in OUTPUTS.items()}
    constants |= {"TAIL": repr(TAIL), "GAMMA": f"{GAMMA}ULL"}
    constants |= {name: f"{value}ULL" for name, value in zip(("FIRST", "SECOND"), MIXERS, strict=True)}
    lines = [f"#define {name} {value}\n" for name, value in constants.items()]
    for name, table in (("EDGES", EDGES), ("RATIOS", RATIOS)):
        numbers = ", ".join(repr(float(value)) for value in table)
        lines.append(f"__device__ const double {name}[{len(table)}] = {{{numbers}}};\n")
    return "".join(lines) + KERNEL.read_text(encoding="utf-8")


@cache
def batch_kernel(layout: BatchPlan) -> Any:
    """The kernel, compiled for each device when it is first launched there."""
    import cupy

    return cupy.RawKernel(batch_source(), "descend_on_batches", options=layout.macros)
