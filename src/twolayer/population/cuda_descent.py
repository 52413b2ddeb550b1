"""Gradient descent on Gaussian input on a GPU: thousands of seeds at once, many steps a launch, by `cuda_descent.cu`.

The kernel is compiled for the network's shape when it is first used, by NVRTC through CuPy, and cached by CuPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from twolayer.core.arrays import array_namespace
from twolayer.core.network import OUTPUTS, Weights
from twolayer.core.problem import Problem
from twolayer.population import closed_form
from twolayer.population.angle_polynomial import COEFFICIENTS
from twolayer.population.cuda_batches import BatchPlan, batch_kernel, batch_plan, descend_on_batches
from twolayer.population.fused_descent import DELICATE, LARGE, SHIFT, SMALL, FusedPopulationProblem
from twolayer.population.problem import PopulationProblem

__all__ = ["CudaPopulationProblem", "Plan", "plan", "source"]

KERNEL = Path(__file__).with_name("cuda_descent.cu")

WARP = 32
LANES = 256
"""At most so many lanes make a block, unless one seed has more students."""

FULL = 0.9
"""The share of a block's lanes that have a student, with which we are content."""

WORK = 2**35
"""Pairs of units times coordinates in one launch: tens of milliseconds, for cards that also drive a screen."""


@dataclass(frozen=True)
class Plan:
    """The shape that a kernel is compiled for, and how its seeds are laid out. Fields are the kernel's macros."""

    students: int
    units: int
    coordinates: int
    output: int
    seeds: int
    threads: int
    stride: int

    @property
    def macros(self) -> tuple[str, ...]:
        """The compiler's options."""
        return tuple(f"-D{name.upper()}={value}" for name, value in vars(self).items())

    @property
    def shared(self) -> int:
        """Bytes of shared memory a block."""
        return 8 * self.seeds * self.stride

    def steps(self, seeds: int) -> int:
        """How many steps of so many seeds one launch takes."""
        return max(1, WORK // (seeds * self.students * self.units * self.coordinates))


def plan(students: int, units: int, coordinates: int, output: str, shared: int) -> Plan | None:
    """How a card with `shared` bytes a block runs a network; None where a seed does not fit into a block.

    A seed takes (k + 2m) times min(d, m + k) numbers of 8 bytes and some; 227 KiB hold about 115 units in full
    dimension. Of the numbers of seeds that fill the lanes well the smallest is taken, in at most a quarter of the
    memory, so that a processor holds several blocks.
    """
    size = (
        units * (-(-coordinates // 2) * 2) + students * (coordinates | 1) + units + students + 2 * coordinates
    )
    stride = (size + 13) // 16 * 16 + 2  # neighbouring seeds lie in different banks
    if students > 1024 or 8 * stride > shared:
        return None

    def threads(seeds: int) -> int:
        return -(-seeds * students // WARP) * WARP

    def filled(seeds: int) -> float:
        return seeds * students / threads(seeds)

    most = max(1, min(LANES // students, shared // 4 // (8 * stride)))
    good = [seeds for seeds in range(1, most + 1) if filled(seeds) >= FULL]
    seeds = good[0] if good else max(range(1, most + 1), key=filled)
    return Plan(students, units, coordinates, OUTPUTS[output], seeds, threads(seeds), stride)


@dataclass(frozen=True)
class CudaPopulationProblem(FusedPopulationProblem):
    """A `PopulationProblem` on CuPy arrays whose descents run in one kernel.

    Networks too large for a block's shared memory take the array code.
    piece_of: the reduced problem and weights that the call began with of which a descent is a piece (`in_pieces`).
    """

    piece_of: tuple[PopulationProblem, Weights] | None = field(default=None, kw_only=True)

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As `FusedPopulationProblem.descend`, where the network fits."""
        units = self.network.neurons + self.data.hidden.shape[-2]
        if self.planned(units, min(self.data.features, units)) is None:
            return PopulationProblem.descend(self, weights, step_size, weight_decay, count)
        return super().descend(weights, step_size, weight_decay, count)

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """As `Problem.descend_on_batches`, to rounding; by it where labels have noise or the network does not fit."""
        m, (teachers, features) = self.network.neurons, self.data.hidden.shape
        single = "32" in str(weights.hidden.dtype)
        layout = batch_plan(m, m + teachers, features, self.network.output, single, self.shared_memory())
        if self.data.noise or layout is None or count == 0:
            return super().descend_on_batches(weights, step_size, batch_size, count, random)
        return descend_on_batches(
            self, layout, weights, step_size, batch_size, count, random, self.launch_batches
        )

    def ways(
        self, problem: PopulationProblem, weights: Weights, at_zero: Any, weight_decay: float
    ) -> Sequence[tuple[Any, Callable[..., Weights]]]:
        """As `FusedPopulationProblem.ways`: seeds that begin near their teachers take the array code."""
        delicate = self.is_delicate(*(self.piece_of or (problem, weights)), weight_decay)
        kernel = super().ways(problem, weights, at_zero, weight_decay)
        return (delicate, Problem.descend), *((~delicate & chosen, descend) for chosen, descend in kernel)

    def in_pieces(self, weights: Weights) -> Problem:
        """As `Problem.in_pieces`: which seeds are left to the array code is decided by these weights."""
        return replace(self, piece_of=self.in_float64(weights)[0])

    def is_delicate(self, problem: PopulationProblem, weights: Weights, weight_decay: float) -> Any:
        """Which seeds are left to the array code, (seed,): weights (seed, neuron, coordinate) in float64."""
        xp, m = array_namespace(weights.hidden), self.network.neurons
        units, _ = problem.units(weights)
        students, teachers = units.vectors[:, :m], units.vectors[:, m:]
        angles = closed_form.angles(students, teachers)
        nearest = xp.min(xp.minimum(angles, math.pi - angles), axis=-1)
        masses = xp.abs(units.masses)
        largest = xp.max(masses[:, m:], axis=-1)[:, None]
        settled = (nearest < DELICATE) | (masses[:, :m] < DELICATE * largest)
        delicate = xp.all(settled, axis=-1) & xp.any(nearest < DELICATE, axis=-1)
        return delicate & self.keeps_digits(weight_decay)

    def planned(self, units: int, coordinates: int) -> Plan | None:
        """The plan for this network on the current device."""
        return plan(self.network.neurons, units, coordinates, self.network.output, self.shared_memory())

    def shared_memory(self) -> int:
        """The most bytes of shared memory that a block of the current device may ask for."""
        import cupy

        return shared_memory_of(cupy.cuda.runtime.getDevice())

    def run_kernel(
        self, vectors: Any, outputs: Any, step_size: float, weight_decay: float, count: int
    ) -> None:
        """`count` steps in place, in as few launches as `WORK` allows."""
        xp = array_namespace(vectors)
        layout = self.planned(*vectors.shape[1:])
        assert layout is not None, "descend asks first"
        copies = [xp.ascontiguousarray(array) for array in (vectors, outputs)]
        seeds, factor = len(vectors), self.factors
        numbers = (self.network.scale, factor.linear, factor.curved, factor.constant, step_size, weight_decay)
        most = layout.steps(seeds)
        for done in range(0, count, most):
            self.launch(
                layout, -(-seeds // layout.seeds), (*copies, *numbers, seeds, min(most, count - done))
            )
        for array, copy in zip((vectors, outputs), copies, strict=True):
            if copy is not array:
                array[...] = copy

    def launch(self, layout: Plan, blocks: int, arguments: tuple[Any, ...]) -> None:
        """One launch on the current device: arrays, then floats, then two integers."""
        compiled = kernel(layout)
        compiled.max_dynamic_shared_size_bytes = layout.shared
        numbers = [float(number) for number in arguments[2:-2]]
        compiled(
            (blocks,),
            (layout.threads,),
            (*arguments[:2], *numbers, *arguments[-2:]),
            shared_mem=layout.shared,
        )

    def launch_batches(self, layout: BatchPlan, blocks: int, arguments: tuple[Any, ...]) -> None:
        """One launch of stochastic descent on the current device: arrays, then floats, then two integers."""
        compiled = batch_kernel(layout)
        compiled.max_dynamic_shared_size_bytes = layout.shared
        compiled((blocks,), (layout.threads,), arguments, shared_mem=layout.shared)


@cache
def source() -> str:
    """The kernel's source, with the constants that it shares with the other kernels before it."""
    constants: dict[str, int | float] = {name.upper(): number for name, number in OUTPUTS.items()}
    constants |= {"SMALL": SMALL, "LARGE": LARGE, "SHIFT": SHIFT}
    constants |= {f"P{power}": value for power, value in enumerate(COEFFICIENTS)}
    lines = [f"#define {name} {value!r}\n" for name, value in constants.items()]
    return "".join(lines) + KERNEL.read_text(encoding="utf-8")


@cache
def shared_memory_of(device: int) -> int:
    """Bytes a block, of a device by its number."""
    import cupy

    return int(cupy.cuda.runtime.getDeviceProperties(device)["sharedMemPerBlockOptin"])


@cache
def kernel(layout: Plan) -> Any:
    """The kernel, compiled for each device when it is first launched there."""
    import cupy

    return cupy.RawKernel(source(), "descend", options=layout.macros)
