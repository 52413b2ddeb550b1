"""Gradient flow on a teacher by compiled code: velocity, Jacobian, and an integrator of many steps in a call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from twolayer.core.network import Weights
from twolayer.core.saved_state import State, restore
from twolayer.population import flow, numba_radau, radau_memory
from twolayer.population.flow_integrator import Integrator, Progress
from twolayer.population.numba_forms import allocate
from twolayer.population.numba_units import Law, work_layout
from twolayer.population.ode_system import OdeSystem
from twolayer.population.radau_memory import Memory, memory_layout
from twolayer.population.radau_tables import STAGES, radau
from twolayer.population.stabilized_flow import RockFlow
from twolayer.population.wide_flow import Cost, WideFlow

__all__ = ["CompiledOdeSystem"]

NEWTON, SMALLER, LARGE = 1e-3, 3e-4, 1e-9
"""As `flow_integrator.NEWTON`, and the smaller share from an rtol on, below which it is rounding: steps are so long
that few follow in which what is left at rest would shrink."""
WIDE = 256
"""From so many parameters on an explicit method is tried (`wide_flow`)."""
EPSILON = float(np.finfo(np.float64).eps)
NO_TIMES, NO_FRAMES = np.zeros(0), np.zeros((0, 0))


class CompiledOdeSystem(OdeSystem):
    """An `OdeSystem` whose velocity, Jacobian and integrator are compiled."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        super().__init__(problem, start, weight_decay)
        network, factor, data, students = problem.network, problem.factors, problem.data, self.shape[0]
        teachers, outputs, given = (
            np.ascontiguousarray(part, dtype=np.float64) for part in (data.hidden, data.output, start.output)
        )
        numbers = np.array([network.scale, factor.linear, factor.curved, factor.constant, weight_decay])
        count, features = teachers.shape
        orthogonal = bool(data.orthogonal)
        self.law = Law(teachers, outputs, given, network.mode, network.activation.even, orthogonal, numbers)
        self.work = work_layout(students, count, features).zeros()
        self.form = allocate(students, students + count, count if orthogonal else 0, features)

    @cached_property
    def memory(self) -> Memory:
        """Memory for single velocities and Jacobians."""
        return self.new_memory()

    def new_memory(self) -> Memory:
        """Memory for an integration."""
        students, features = self.shape
        parameters = students * features + (students if self.trained else 0)
        return memory_layout(parameters, students, STAGES).zeros()

    def run(self, task: int, memory: Memory, times: Any = NO_TIMES, frames: Any = NO_FRAMES) -> None:
        """As `numba_radau.run`."""
        numba_radau.run(task, self.law, self.work, self.form, radau(STAGES), memory, times, frames)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        self.memory.y[:] = vector
        self.run(radau_memory.VELOCITY, self.memory)
        return self.memory.f.copy()

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective."""
        self.memory.y[:] = vector
        self.run(radau_memory.JACOBIAN, self.memory)
        return self.memory.basis.copy()

    def integrator(
        self, span: tuple[float, float], state: Any, rates: Any, tolerance: tuple[float, float, float],
        size: float | None,
    ) -> Integrator:  # fmt: skip
        """As `OdeSystem.integrator`; of wide networks, while no student rests or is negligible, `WideFlow`."""
        if state.size < WIDE or rates.any() or not (self.smooth or self.lengths(state).all()):
            return CompiledRadau(self, span, state, rates, tolerance, size)

        def implicit(explicit: RockFlow) -> CompiledRadau:
            rest = (explicit.t, span[1])
            return CompiledRadau(self, rest, explicit.y.copy(), rates, tolerance, None)

        students, features = self.shape
        cost = Cost(students, len(self.problem.data.hidden), features, state.size)
        return WideFlow(RockFlow(self, span, state, tolerance, size), implicit, cost)


class CompiledRadau:
    """As `Integrator`: Radau IIA of order 13, which at small tolerances takes a tenth of the steps of order 5."""

    def __init__(
        self, system: CompiledOdeSystem, span: tuple[float, float], state: Any, rates: Any,
        tolerance: tuple[float, float, float], size: float | None,
    ) -> None:  # fmt: skip
        self.system, self.memory = system, system.new_memory()
        memory, reals = self.memory, self.memory.reals
        start, stop = span
        rtol = max(tolerance[0], 100.0 * EPSILON)
        memory.y[:], memory.rates[:] = state, rates
        if system.trained:
            memory.excess[:] = system.excess
        memory.watched[:], memory.rests[:] = system.can_reach_zero, not system.smooth
        reals[radau_memory.TIME] = reals[radau_memory.OLD_TIME] = start
        reals[radau_memory.STOP] = stop
        reals[radau_memory.RTOL], reals[radau_memory.ATOL], reals[radau_memory.COARSE] = rtol, *tolerance[1:]
        reals[radau_memory.FIRST], reals[radau_memory.DECAY] = system.since, system.weight_decay
        reals[radau_memory.NEWTON] = max(SMALLER if rtol >= LARGE else NEWTON, 10.0 * EPSILON / rtol)
        reals[radau_memory.SIZE] = 0.0 if size is None else min(size, stop - start)
        self.mark = (*self.work_done(), start)
        """Of which the cost has been looked at: `work_done`, and the time."""

    def work_done(self) -> tuple[int, int]:
        """How many velocities and decompositions were taken."""
        counts = self.memory.counts
        return int(counts[radau_memory.EVALUATIONS]), int(counts[radau_memory.DECOMPOSITIONS])

    @property
    def t(self) -> float:
        """The time."""
        return float(self.memory.reals[radau_memory.TIME])

    @property
    def y(self) -> Any:
        """The state, (parameter,)."""
        return self.memory.y

    @property
    def t_old(self) -> float:
        """The time before the last step."""
        return float(self.memory.reals[radau_memory.OLD_TIME])

    @property
    def y_old(self) -> Any:
        """The state before the last step."""
        return self.memory.old

    @property
    def size(self) -> float:
        """The next step's size."""
        return float(self.memory.reals[radau_memory.SIZE])

    @property
    def failed(self) -> bool:
        """Whether no step is within tolerance."""
        return bool(self.memory.counts[radau_memory.PHASE] == radau_memory.FAILED)

    @property
    def coarsest(self) -> float:
        """The largest absolute tolerance."""
        reals = self.memory.reals
        return float(reals[radau_memory.COARSE] * self.system.floors(reals[radau_memory.ATOL], self.y).max())

    def advance(self, progress: Progress, times: Any, largest: Any | None) -> list[Any]:
        """One step, or as many as end far from an event."""
        system, memory = self.system, self.memory
        reals, counts = memory.reals, memory.counts
        counts[radau_memory.STEPS], counts[radau_memory.LIMIT], counts[radau_memory.SAVED] = (
            progress.steps,
            flow.STEPS,
            0,
        )
        reals[radau_memory.SINCE], reals[radau_memory.MOST] = progress.since, system.most
        counts[radau_memory.TOTAL], counts[radau_memory.PAUSE] = 0, progress.pause
        if largest is None:
            task, times, frames = radau_memory.STEP, NO_TIMES, NO_FRAMES
        else:
            times = np.ascontiguousarray(times, dtype=np.float64)
            task, frames = radau_memory.MANY, np.empty((len(times), memory.y.size))
            memory.largest[:] = largest
        system.run(task, memory, times, frames)
        if largest is not None:
            largest[:] = memory.largest
        progress.steps, progress.since = int(counts[radau_memory.STEPS]), float(reals[radau_memory.SINCE])
        progress.total += int(counts[radau_memory.TOTAL])
        system.most = float(reals[radau_memory.MOST])
        return list(frames[: counts[radau_memory.SAVED]])

    def between(self) -> Callable[[float], Any]:
        """The state as a function of time in the last step."""
        nodes, memory = radau(STAGES).nodes, self.memory
        start, size = float(memory.reals[radau_memory.OLD_TIME]), float(memory.reals[radau_memory.OLD_SIZE])
        old, stages = memory.old.copy(), memory.last.reshape(-1, 8).T[: len(nodes) - 1].copy()

        def state(time: float) -> Any:
            theta = (time - start) / size
            weights = [
                np.prod(np.delete(theta - nodes, j)) / np.prod(np.delete(nodes[j] - nodes, j))
                for j in range(1, len(nodes))
            ]
            return old + weights @ stages

        return state

    def state(self) -> State:
        """As `Integrator.state`."""
        marks = {str(index): number for index, number in enumerate(self.mark)}
        return {"memory": self.memory.arrays, "mark": marks}

    def restore(self, state: State) -> None:
        """As `Integrator.restore`."""
        restore(self.memory, state["memory"])
        self.mark = tuple(state["mark"].values())
