"""Gradient flow on a teacher to long horizons: implicit Runge–Kutta with the exact Jacobian.

The loss falls as T⁻³ while the overlap of students decays as 1/T, and other modes relax in a time of order one:
the flow is stiff, and an explicit method would take T steps. Radau IIA takes the Hessian of `PopulationProblem`:
scipy's of order 5, or a compiled one of order 13 (`numba_radau`); wide networks take explicit steps where these cost
less (`wide_flow`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from twolayer.core.budget import AT_A_TIME, Budget, pause
from twolayer.core.saved_state import State, StateStore, restore
from twolayer.core.trajectory import FlowWeights
from twolayer.population.at_zero import VANISHED, AtZero
from twolayer.population.flow_integrator import Progress
from twolayer.population.ode_system import OdeSystem, floor

__all__ = ["flow_frames", "population_flow"]

DRIFT = 0.5
"""The rate at which negligible students shrink is measured again once they are off its exponential by this, in
logarithms."""

STEPS = 3000
"""So many steps without the time doubling are no progress: forces are rounding, and no step is within tolerance."""

COARSER, COARSEST = 32.0, 2.0**25
"""The absolute tolerance is then raised by this factor; beyond that one in all, the flow is given up."""


def population_flow(
    system: OdeSystem, times: Any, rtol: float, atol: float, moved: Any | None = None
) -> FlowWeights:
    """The frames of `flow_frames` as one: hidden (time, neuron, feature), output (time, neuron), all forks."""
    return FlowWeights.over_time(list(flow_frames(system, times, rtol, atol, moved)))


def flow_frames(
    system: OdeSystem,
    times: Any,
    rtol: float,
    atol: float,
    moved: Any | None = None,
    budget: Budget | None = None,
    states: StateStore | None = None,
) -> Iterator[FlowWeights]:
    """dθ/dt = −∇(L + (weight_decay/2)|θ|²) of one seed on the host at `times`, of which the first is the start.

    system: of a `PopulationProblem`, best in its reduced coordinates. Yields hidden (neuron, feature), output
    (neuron,) and the number of forks so far at each time, as soon as it is reached. From where the integrator cannot
    go on they are NaN; the state there stands to the end if the flow is at rest (`OdeSystem.is_at_rest`).
    moved (neuron,): which students have left their start, and are at 0 because they came there; default: none that
    is at 0. A student that reaches 0 stays until a direction of descent opens there (`leaving_zero`), and leaves
    along the steepest; one that starts there moves as σ'(0) says: it stays where that is 0.
    budget: beyond it frames are NaN, and `stall` says so. states: where the state is saved between steps; from one
    that is found there, the frames after it are yielded.
    """
    state = system.packed(system.start)
    saved, stop = 1, float(times[-1])
    found = None if states is None else states.load()
    if found is None:
        yield system.to_weights(state, 0)
    if not np.isfinite(state).all():  # the stage before stopped early
        yield from itertools.repeat(system.to_weights(state * np.nan, 0), len(times) - 1)
        return
    state = system.moved_from_zero(state, moved)
    system.since = float(times[0])
    zero = AtZero(system, state, moved)
    time = float(times[0])
    state = zero.released(state)
    part, coarse = Segment(system, time, state, stop, rtol, atol, 1.0), 1.0
    progress = Progress(time)
    final, spent = state * np.nan, ""
    if states is not None and found is not None:
        saved, coarse = states.frames, found["coarse"]
        part = Segment(system, found["start"], found["first"], stop, rtol, atol, coarse, 1.0)
        part.solver.restore(found["solver"])
        system.restore(found["system"])
        zero.restore(found["zero"])
        restore(progress, found["progress"])

    def current() -> State:
        return {
            "coarse": coarse,
            "start": part.start,
            "first": part.first,
            "solver": part.solver.state(),
            "system": system.state(),
            "zero": zero.state(),
            "progress": asdict(progress),
        }

    while saved < len(times):
        if states is not None:
            states.offer(current)
        solver = part.solver
        quiet = not zero.dead.any() and not part.negligible.any() and coarse == 1.0
        progress.pause = pause(budget, AT_A_TIME)
        for vector in solver.advance(progress, times[saved:], zero.largest if quiet else None):
            yield system.to_weights(vector, zero.forks)
            saved += 1
        if budget is not None and saved < len(times):
            spent = budget.spend(progress.total, solver.t)
            progress.total = 0
            if spent and solver.t < times[saved]:
                break
        now = part.state(solver.y, solver.t)
        if solver.failed or progress.steps > STEPS:
            state = zero.zero_dying_neurons(now)
            if state is None:
                state, coarse = now, coarse * COARSER
            if coarse > COARSEST or system.tolerance_too_coarse(state, coarse * floor(atol, state)):
                if system.is_at_rest(state, stop - solver.t):
                    final = state
                break
            part = Segment(system, solver.t, state, stop, rtol, atol, coarse)
            progress = Progress(solver.t)
            continue
        if solver.t >= 2.0 * progress.since:
            progress.since, progress.steps = solver.t, 0
            if coarse > 1.0 and system.tolerance_too_coarse(now, solver.coarsest):
                before = part.state(solver.y_old, solver.t_old)
                if system.is_at_rest(before, stop - solver.t_old):
                    final = before
                break
        left = zero.leaves(part.at, solver.t_old, solver.t, now)
        end = solver.t if left is None else left
        passed = []
        while saved < len(times) and end >= times[saved]:
            passed.append(np.array(now) if solver.t == times[saved] else part.at(times[saved]))
            saved += 1
        if saved < len(times):
            size = solver.size
            arrived = zero.arrived(now) if left is None else None
            if left is not None or arrived is not None or not part.current():
                state = part.at(left) if left is not None else now if arrived is None else arrived
                state = zero.released(state)
                part = Segment(system, end, state, stop, rtol, atol, coarse, size)
        for vector in passed:
            yield system.to_weights(vector, zero.forks)
    rest = replace(system.to_weights(final, zero.forks), stall=spent)
    yield from itertools.repeat(rest, len(times) - saved)


class Segment:
    """The integrator from one event to the next.

    Slight students that shrink are followed as y_j = w_j e^(κ_j (t − t₀)), dy_j/dt = f_j(y) + κ_j y_j, with κ_j the
    rate at t₀: f_j is homogeneous in them, others do not feel them, and y_j is at rest once directions are.
    """

    def __init__(
        self,
        system: OdeSystem,
        start: float,
        state: Any,
        stop: float,
        rtol: float,
        atol: float,
        coarse: float,
        size: float | None = None,
    ) -> None:
        self.system, self.start, self.first = system, start, state
        rates = system.shrinking(state)
        self.negligible = rates > 0
        self.rates = system.each(rates)
        if not self.negligible.any():
            size = None
        self.solver = system.integrator((start, stop), state, self.rates, (rtol, atol, coarse), size)

    def state(self, vector: Any, time: float) -> Any:
        """The parameters of the integrator's vector at a time."""
        return vector * np.exp(-self.rates * (time - self.start)) if self.negligible.any() else vector

    def at(self, time: float) -> Any:
        """The parameters at a time in the last step."""
        return self.state(self.solver.between()(time), time)

    def current(self) -> bool:
        """Whether the rates still describe how negligible students shrink, and no other has become negligible."""
        system, vector = self.system, self.solver.y
        negligible = system.negligible(self.state(vector, self.solver.t))
        if not negligible.any() and not self.negligible.any():
            return True
        if (negligible & ~self.negligible).any() and (system.shrinking(vector) > 0)[
            negligible & ~self.negligible
        ].any():
            return False
        now, first = system.size(vector)[self.negligible], system.size(self.first)[self.negligible]
        return bool((np.abs(np.log(np.maximum(now, VANISHED) / first)) < DRIFT).all())
