"""Gradient descent on Gaussian input on a GPU: thousands of seeds at once, many steps a launch, by `cuda_descent.cu`,
and near orthogonal teachers by `cuda_near_descent.cu`.

Kernels are compiled for the network's shape when they are first used, by NVRTC through CuPy, and cached by CuPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from array_api_compat import device

from twolayer.core.arrays import array_namespace
from twolayer.core.network import OUTPUTS, Weights
from twolayer.population.angle_polynomial import COEFFICIENTS
from twolayer.population.cuda_batches import BatchPlan, batch_kernel, batch_plan, descend_on_batches
from twolayer.population.fused_descent import DELICATE, LARGE, SHIFT, SMALL, FusedPopulationProblem
from twolayer.population.orthogonal_groups import CLOSE, COARSE, NEARLY
from twolayer.population.problem import PopulationProblem

__all__ = ["CudaPopulationProblem", "Plan", "plan", "source"]

COMMON = Path(__file__).with_name("cuda_directions.cu")
KERNELS = {
    "descend": Path(__file__).with_name("cuda_descent.cu"),
    "descend_near": Path(__file__).with_name("cuda_near_descent.cu"),
}
"""The files of the kernels by their names, and what they have in common."""

WARP = 32
LANES = 256
"""At most so many lanes make a block, unless one seed has more students."""

FULL = 0.9
"""The share of a block's lanes that have a student, with which we are content."""

WORK = 2**35
"""Pairs of units times coordinates in one launch: tens of milliseconds, for cards that also drive a screen."""

SLOWER = 4
"""A step near the teachers counts as so many."""


@dataclass(frozen=True)
class Plan:
    """The shape that kernels are compiled for, and how their seeds are laid out. Fields are the kernels' macros."""

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

    @property
    def scratch(self) -> int:
        """Numbers that a seed needs in global memory near its teachers: those of cuda_near_descent.cu."""
        m, n, d = self.students, self.units, self.coordinates
        return (2 * n + m + (n - m) + 2) * d + m * (n - m) + m + 8 * n

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
        units * (-(-coordinates // 2) * 2)
        + students * (coordinates | 1)
        + units
        + 2 * students
        + 2 * coordinates
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
    """A `PopulationProblem` on CuPy arrays whose descents run in two kernels, near the teachers and elsewhere.

    Networks too large for a block's shared memory take the array code.
    """

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
        """`count` steps in place: by one kernel until a seed is near its teachers, where the other one's form keeps
        the digits, by that until it is not, and so on."""
        xp = array_namespace(vectors)
        layout = self.planned(*vectors.shape[1:])
        assert layout is not None, "descend asks first"
        factor, stops = self.factors, self.keeps_digits(weight_decay)
        law = tuple(
            map(float, (self.network.scale, factor.linear, factor.curved, factor.constant, step_size))
        )
        left = xp.full(len(vectors), count, dtype=xp.int64, device=device(vectors))
        seeds, near = xp.arange(len(vectors), device=device(vectors)), False
        while len(seeds):
            parts = [xp.asarray(array[seeds], copy=True) for array in (vectors, outputs, left)]
            if near:
                self.run_near(layout, parts, law, int(xp.max(parts[2])))
            else:
                self.run_plain(layout, parts, (*law, float(weight_decay)), int(xp.max(parts[2])), stops)
            vectors[seeds], outputs[seeds], left[seeds] = parts
            seeds, near = xp.nonzero(left)[0], not near

    def run_plain(
        self, layout: Plan, parts: Sequence[Any], numbers: Sequence[float], count: int, stops: bool
    ) -> None:
        """At most `count` steps by cuda_descent.cu, in as few launches as `WORK` allows. parts: vectors, outputs, and
        how many steps each seed has left, (seed,)."""
        seeds = len(parts[0])
        most = layout.steps(seeds)
        for done in range(0, count, most):
            arguments = (*parts, *numbers, seeds, min(most, count - done), int(stops))
            self.launch("descend", layout, -(-seeds // layout.seeds), arguments)

    def run_near(self, layout: Plan, parts: Sequence[Any], numbers: Sequence[float], count: int) -> None:
        """As `run_plain`, by cuda_near_descent.cu."""
        xp, seeds = array_namespace(parts[0]), len(parts[0])
        scratch = xp.zeros((seeds, layout.scratch), dtype=xp.float64, device=device(parts[0]))
        most = max(1, layout.steps(seeds) // SLOWER)
        for done in range(0, count, most):
            steps = min(most, count - done)
            arguments = (*parts, scratch, *numbers, seeds, steps, int(done == 0), layout.scratch)
            self.launch("descend_near", layout, -(-seeds // layout.seeds), arguments)

    def launch(self, name: str, layout: Plan, blocks: int, arguments: tuple[Any, ...]) -> None:
        """One launch of a kernel on the current device: arrays, then floats, then integers."""
        compiled = kernel(name, layout)
        shared = layout.shared if name == "descend" else 0
        if shared:
            compiled.max_dynamic_shared_size_bytes = shared
        compiled((blocks,), (layout.threads,), arguments, shared_mem=shared)

    def launch_batches(self, layout: BatchPlan, blocks: int, arguments: tuple[Any, ...]) -> None:
        """One launch of stochastic descent on the current device: arrays, then floats, then two integers."""
        compiled = batch_kernel(layout)
        compiled.max_dynamic_shared_size_bytes = layout.shared
        compiled((blocks,), (layout.threads,), arguments, shared_mem=layout.shared)


@cache
def source(name: str = "descend") -> str:
    """A kernel's source: the constants that it shares with the other kernels, what the two kernels have in common, and
    its file."""
    constants: dict[str, int | float] = {name.upper(): number for name, number in OUTPUTS.items()}
    constants |= {"SMALL": SMALL, "LARGE": LARGE, "SHIFT": SHIFT, "DELICATE": DELICATE}
    constants |= {"CLOSE": CLOSE, "COARSE": COARSE, "NEARLY": NEARLY}
    constants |= {f"P{power}": value for power, value in enumerate(COEFFICIENTS)}
    lines = [f"#define {name} {value!r}\n" for name, value in constants.items()]
    return "".join(lines) + "\n".join(path.read_text(encoding="utf-8") for path in (COMMON, KERNELS[name]))


@cache
def shared_memory_of(device: int) -> int:
    """Bytes a block, of a device by its number."""
    import cupy

    return int(cupy.cuda.runtime.getDeviceProperties(device)["sharedMemPerBlockOptin"])


@cache
def kernel(name: str, layout: Plan) -> Any:
    """A kernel, compiled for each device when it is first launched there."""
    import cupy

    return cupy.RawKernel(source(name), name, options=layout.macros)
