"""Where a run is trained: on the device that its backend has, or on the host where that is faster; and why.

Known from the config alone, so that the workflow asks for a card for those runs only that will use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twolayer.core.dynamics import Dynamics
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.times import Times
from twolayer.core.wording import counted

__all__ = ["HOST", "Placement", "placement"]

HOST = "numba"
"""The backend that takes the runs for which a device is not worth its start."""

KERNEL_WORK = 2**33
"""Of a descent on a teacher: seeds × steps × pairs of units × coordinates, below which the host has done it before a
card is ready. CuPy, a CUDA context and the kernel's compilation take 1 to 2 s, by estimate. At (m, k, d) = (10, 3, 20)
this is 5.1e6 steps of a seed: 2 s on one core at .40 µs (benchmarks), 8 ms at the 1.48 ns reported of an H100."""

ARRAY_STEP = 2**24
"""Of a descent on samples: seeds × neurons × samples × features in one step, below which the host is faster however
long the run. The array code launches some 25 kernels a step, about 10 µs each whatever their size; one core takes
35 µs for 2.2e6 (m = 200, n = 75, d = 150). An estimate: no card has measured it."""

ARRAY_WORK = 2**37
"""The same over all steps, which one core does in about the 2 s of a card's start."""


@dataclass(frozen=True)
class Placement:
    """The name of the backend that trains a run, whether it holds a device, and why the host does where it was not
    asked to (empty elsewhere)."""

    backend: str
    on_device: bool
    reason: str = ""

    @property
    def note(self) -> str:
        """A line for the log; empty where the backend is the one asked for."""
        return f"trained on the host ({self.backend}): {self.reason}" if self.reason else ""


def placement(name: str, run: Mapping[str, Any], problem: ProblemSpec, dynamics: Dynamics) -> Placement:
    """Where to train a run (its sections, with the problem and dynamics that they describe) for which a backend with
    a device, called `name`, was asked. Sizes not known yet count as large: those of a file that is to be made."""
    reason = dynamics.host_reason or too_small(run, problem, dynamics)
    return Placement(HOST, False, reason) if reason else Placement(name, True)


def too_small(run: Mapping[str, Any], problem: ProblemSpec, dynamics: Dynamics) -> str:
    """Why a descent is not worth a card's start; empty where it is, or where its size is not known."""
    steps, seeds = dynamics.step_count(Times(**run["times"])), len(run["seeds"])
    if steps is None:
        return ""
    if steps == 0:
        return "it takes no steps"
    m, (samples, dimension) = int(run["network"]["neurons"]), problem.size
    samples = dynamics.samples_per_step or samples
    teachers = len(problem.teacher_outputs)
    few = f"{counted(steps, 'step')} of {counted(seeds, 'seed')} end before a card has started"
    if dimension is None or (samples is None and not teachers):
        return ""
    if samples is None:
        units = m + teachers
        return few if seeds * steps * m * units * min(dimension, units) < KERNEL_WORK else ""
    step = seeds * m * samples * dimension
    if step < ARRAY_STEP:
        return (
            f"a step of {counted(seeds, 'seed')}, {counted(m, 'neuron')} and {counted(samples, 'sample')} "
            "is too small for a card"
        )
    return few if steps * step < ARRAY_WORK else ""
