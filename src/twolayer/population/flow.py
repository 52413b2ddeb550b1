"""Gradient flow on a teacher to long horizons: implicit Runge–Kutta with the exact Jacobian.

The loss falls as T⁻³ while the overlap of students decays as 1/T, and other modes relax in a time of order one:
the flow is stiff, and an explicit method would take T steps. Radau IIA takes the Hessian of `PopulationProblem`:
scipy's of order 5, or a compiled one of order 13 (`numba_radau`); wide networks take explicit steps where these cost
less (`stabilized_flow`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy.integrate import Radau
from scipy.optimize import brentq

from twolayer.core.arrays import norm
from twolayer.core.budget import AT_A_TIME, Budget, pause
from twolayer.core.implicit_flow import linear_fall
from twolayer.core.network import FIXED, TIED, TRAINED, Weights
from twolayer.core.saved_state import (
    State,
    StateStore,
    restore,
    restore_solver,
    solver_state,
    state_of,
)
from twolayer.core.trajectory import FlowWeights
from twolayer.population.closed_form import Units, unit
from twolayer.population.leaving_zero import DirectionalDerivative, minima

__all__ = ["flow_frames", "population_flow"]

ROUNDING = 2.0**-49
"""The absolute tolerance is at least this, times the largest current weight: a coordinate that is 0 but for
rounding is not followed, and weights of 1e-14 grow with the relative tolerance."""

DEAD = 2.0**-33
"""A student on its way into 0 is at 0 when it is shorter than this, times its greatest length."""

VANISHED = 1e-290
"""A student shorter than this is 0."""

SLIGHT = 2.0**-50
"""A student of tied or balanced outputs below this, times the largest, has no effect on others: its mass is 1e-30."""

DRIFT = 0.5
"""The rate at which negligible students shrink is measured again once they are off its exponential by this, in
logarithms."""

NEARLY = 0.01
"""A second minimum of φ_j above 0 by less than this, times Σ|C_q|, counts as a fork: steps that move about 0 may stay
near it until it opens, however small they are."""

BALANCED = 2.0**-46
"""|w_j|² − a_j² below this, times their sum, is 0 but for rounding."""

STEPS = 3000
"""So many steps without the time doubling are no progress: forces are rounding, and no step is within tolerance."""

AT_REST = 0.01
"""A flow whose loss falls by no more than this share to the end is at rest."""

NEWTON = 0.01
"""The error left in a step's equations, as a share of the tolerance. scipy asks for √rtol, which where coordinates
are 0 but for rounding is below rounding."""

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
        between = part.between()
        left = zero.leaves(between, solver.t_old, solver.t, now)
        end = solver.t if left is None else left
        passed = []
        while saved < len(times) and end >= times[saved]:
            passed.append(np.array(now) if solver.t == times[saved] else between(times[saved]))
            saved += 1
        size = solver.size
        arrived = zero.arrived(now) if left is None else None
        changed = left is not None or arrived is not None or not part.current()
        if changed and saved < len(times):
            state = between(left) if left is not None else now if arrived is None else arrived
            state = zero.released(state)
            part = Segment(system, end, state, stop, rtol, atol, coarse, size)
        for vector in passed:
            yield system.to_weights(vector, zero.forks)
    rest = replace(system.to_weights(final, zero.forks), stall=spent)
    yield from itertools.repeat(rest, len(times) - saved)


@dataclass
class Progress:
    """From when `steps` are counted: the time has not doubled since."""

    since: float
    steps: int = 0
    total: int = 0
    """Steps that no budget has counted."""
    pause: int = AT_A_TIME
    """So many steps in a call at most."""


class Integrator(Protocol):
    """An implicit integrator from one event to the next."""

    @property
    def t(self) -> float:
        """The time."""

    @property
    def y(self) -> Any:
        """The state, (parameter,)."""

    @property
    def t_old(self) -> float:
        """The time before the last step."""

    @property
    def y_old(self) -> Any:
        """The state before the last step."""

    @property
    def size(self) -> float:
        """The next step's size."""

    @property
    def failed(self) -> bool:
        """Whether no step is within tolerance."""

    @property
    def coarsest(self) -> float:
        """The largest absolute tolerance."""

    def advance(self, progress: Progress, times: Any, largest: Any | None) -> list[Any]:
        """One step, or with `largest` (neuron,) as many as end far from an event, where students' greatest lengths so
        far are kept; the states at those of the times that all steps but the last have passed."""

    def between(self) -> Callable[[float], Any]:
        """The state as a function of time in the last step."""

    def state(self) -> State:
        """All that the next step depends on."""

    def restore(self, state: State) -> None:
        """Go on from a state of an integrator that began as this one."""


class ReferenceRadau:
    """As `Integrator`: scipy's Radau IIA of order 5."""

    BETWEEN_STEPS = ("t", "y", "t_old", "y_old", "size", "failed")

    def __init__(
        self, system: OdeSystem, span: tuple[float, float], state: Any, rates: Any,
        tolerance: tuple[float, float, float], size: float | None,
    ) -> None:  # fmt: skip
        self.system, self.first = system, span[0]
        rtol, self.atol, self.coarse = tolerance
        self.solver = Radau(
            lambda _, y: system.velocity(y) + rates * y,
            span[0],
            state,
            span[1],
            first_step=None if size is None else min(size, span[1] - span[0]),
            rtol=rtol,
            atol=self.coarse * system.floors(self.atol, state),
            jac=lambda _, y: system.jacobian(y) + np.diag(rates),
        )
        self.solver.newton_tol = max(self.solver.newton_tol, NEWTON)
        self.t, self.y, self.t_old, self.y_old, self.failed = span[0], state, span[0], state, False
        self.size = self.solver.h_abs

    @property
    def coarsest(self) -> float:
        """As `Integrator.coarsest`."""
        return float(np.max(self.solver.atol))

    def advance(self, progress: Progress, times: Any, largest: Any | None) -> list[Any]:
        """One step."""
        solver = self.solver
        solver.atol = self.coarse * self.system.floors(self.atol, solver.y)
        solver.step()
        progress.steps += 1
        progress.total += 1
        self.failed = solver.status == "failed"
        if not self.failed:
            self.system.project(solver, self.system.since)
        self.t, self.y, self.t_old, self.y_old = solver.t, solver.y, solver.t_old, solver.y_old
        self.size = solver.h_abs
        return []

    def between(self) -> Callable[[float], Any]:
        """scipy's interpolation."""
        dense: Callable[[float], Any] = self.solver.dense_output()
        return dense

    def state(self) -> State:
        """As `Integrator.state`."""
        return {"solver": solver_state(self.solver), **state_of(self, self.BETWEEN_STEPS)}

    def restore(self, state: State) -> None:
        """As `Integrator.restore`."""
        restore_solver(self.solver, state["solver"])
        for name in self.BETWEEN_STEPS:
            setattr(self, name, state[name])


class AtZero:
    """Which students are at 0, when they leave, and in which direction."""

    def __init__(self, system: OdeSystem, state: Any, moved: Any | None) -> None:
        self.system, self.forks = system, 0
        lengths = system.lengths(state)
        self.dead = (lengths == 0) & system.can_reach_zero & (False if moved is None else moved)
        self.largest = lengths
        """The greatest length of each student so far."""
        self.arrived_from = np.zeros(system.shape)
        """The direction from which each student came to 0."""
        self.last_search: tuple[Any, float] | None = None
        """The units times their coefficients at the last search for descent directions, and by how much φ was
        above 0."""

    def state(self) -> State:
        """All that it knows of the path."""
        search = None
        if self.last_search is not None:
            search = {"weighted": self.last_search[0], "height": self.last_search[1]}
        return {**state_of(self, ("forks", "dead", "largest", "arrived_from")), "search": search}

    def restore(self, state: State) -> None:
        """Go on from what another one knew."""
        for name in ("forks", "dead", "largest", "arrived_from"):
            setattr(self, name, state[name])
        search = state["search"]
        self.last_search = None if search is None else (search["weighted"], search["height"])

    def arrived(self, state: Any) -> Any | None:
        """The state with students set to 0 that move into it and are as good as there; None without any."""
        system, lengths = self.system, self.system.lengths(state)
        self.largest = np.maximum(self.largest, lengths)
        size = np.abs(system.outputs(state)) if system.trained else self.largest
        least = np.maximum(DEAD * size, 0.0 if system.trained else 4.0 * ROUNDING * lengths.max())
        near = (lengths > 0) & (lengths < least) & system.can_reach_zero
        near |= (lengths > 0) & (lengths < VANISHED)
        return self.set_to_zero(state, near) if near.any() else None

    def zero_dying_neurons(self, state: Any) -> Any | None:
        """As `arrived`, where the integrator cannot go on: all that are short compared with the longest."""
        lengths = self.system.lengths(state)
        near = (lengths > 0) & (lengths < DEAD * lengths.max()) & self.system.can_reach_zero
        return self.set_to_zero(state, near) if near.any() else None

    def set_to_zero(self, state: Any, near: Any) -> Any | None:
        """The state with those of the students `near` 0 set to 0 that move towards it; None without any."""
        system = self.system
        hidden = system.hidden(state)
        inward = near & ((unit(hidden) * system.hidden(system.velocity(state))).sum(-1) < 0)
        if not inward.any():
            return None
        state = state.copy()
        self.arrived_from[inward] = unit(hidden[inward])
        system.hidden(state)[inward] = 0.0
        self.dead |= inward & system.can_reach_zero
        self.last_search = None
        return state

    def leaves(self, between: Any, start: float, stop: float, state: Any) -> float | None:
        """When in [start, stop] the first student leaves 0, or None; `between` gives the states."""
        if not self.dead.any() or self.height(state) > 0:
            return None
        if self.height(between(start)) <= 0:
            return start
        rest = 4.0 * np.spacing(stop)
        root = brentq(lambda time: self.height(between(time)), start, stop, xtol=rest, rtol=1e-14, maxiter=60)
        return min(root + 4.0 * rest, stop)

    def height(self, state: Any) -> float:
        """The least of φ_j(u) over the students at 0 and all directions, above the least that is followed.

        |ψ − ψ'| ≤ K² Σ_p |c_p u_p − c'_p u'_p| with K the larger slope of σ: no search where that bound decides.
        """
        weighted = self.system.weighted(state)
        if self.last_search is not None:
            moved = float(np.linalg.norm(weighted - self.last_search[0], axis=-1).sum())
            above = self.last_search[1] - self.system.steepest**2 * moved
            if above > 0:
                return above
        least = np.inf
        heights = []
        for sign, students in self.classes(state):
            _, values = self.minima_of(state, sign)
            strength = self.strength(state)[students]
            threshold = self.thresholds(state)[students]
            least = min(least, float((strength * values[0] + threshold).min()))
            heights.append(float((values[0] + threshold / strength).min()))
        self.last_search = (weighted, min(heights, default=np.inf))
        return least

    def classes(self, state: Any) -> list[tuple[float, Any]]:
        """The students at 0 with positive outputs, and with negative ones, where there are any."""
        outputs = self.system.outputs(state)
        both = [(sign, np.flatnonzero(self.dead & (sign * outputs > 0))) for sign in (1.0, -1.0)]
        return [(sign, students) for sign, students in both if len(students)]

    def strength(self, state: Any) -> Any:
        """s|a_j|, (neuron,)."""
        return self.system.problem.network.scale * np.abs(self.system.outputs(state))

    def thresholds(self, state: Any) -> Any:
        """By how much φ_j must be below 0, (neuron,), for students of the length that they leave with to move away."""
        strength = self.strength(state)
        together = strength[self.dead].sum()
        return 2.0 * self.length(state) * (strength * together + self.system.weight_decay)

    def length(self, state: Any) -> float:
        """The length that students leave with."""
        return DEAD * max(float(self.system.lengths(state).max()), float(self.largest.max()))

    def minima_of(self, state: Any, sign: float) -> tuple[Any, Any]:
        """Minima of ±ψ and their values, the lowest first."""
        derivative = self.system.derivative_at_zero(state)
        arrived_from = self.arrived_from[self.dead & self.arrived_from.any(-1)]
        return minima(derivative, sign, np.concatenate([derivative.starts(), arrived_from]))

    def released(self, state: Any) -> Any:
        """The state with all students away from 0 that have a direction of descent there."""
        if not self.dead.any():
            return state
        state, even = state.copy(), self.system.problem.network.activation.even
        length, thresholds, strength, gone = (
            self.length(state),
            self.thresholds(state),
            self.strength(state),
            [],
        )
        before = state.copy()
        for sign, students in self.classes(before):
            directions, values = self.minima_of(before, sign)
            leaving = students[
                strength[students] * values[0] + thresholds[students] < 1e-3 * thresholds[students]
            ]
            if not len(leaving):
                continue
            masses = float(np.abs(self.system.derivative_at_zero(before).units.masses).sum())
            tie = 1e-9 * masses
            self.forks += int((values < NEARLY * masses).sum() > 1)
            best = directions[values < values[0] + tie]
            for student in leaving:
                cosines = best @ self.arrived_from[student]
                nearest = int(np.argmax(np.abs(cosines) if even else cosines))
                turned = -1.0 if even and cosines[nearest] < 0 else 1.0
                self.system.hidden(state)[student] = turned * length * best[nearest]
            gone.extend(leaving.tolist())
        self.dead[gone] = False
        self.last_search = None
        return state


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

    def between(self) -> Any:
        """The parameters as a function of time in the last step."""
        dense = self.solver.between()
        return lambda time: self.state(dense(time), time)

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


def floor(atol: float, vector: Any) -> float:
    """The absolute tolerance at a state."""
    return max(atol, ROUNDING * float(np.abs(vector).max()), 1e-300)


class OdeSystem:
    """The trained parameters of one seed as one vector, and the flow's velocity and Jacobian in it."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        self.problem, self.start, self.weight_decay = problem, start, weight_decay
        self.trained = problem.network.output == "trained"
        self.shape = start.hidden.shape
        self.since = 0.0
        """The time at which |w|² − a² is that of the start."""
        length, output = norm(start.hidden), start.output
        excess = (length - output) * (length + output)
        self.excess = np.where(np.abs(excess) < BALANCED * (length**2 + output**2), 0.0, excess)
        """|w_j|² − a_j², (neuron,)."""
        self.most = 0.0 if start.hidden.any() else float(np.abs(problem.data.hidden).max())
        """The greatest weight so far; where all students start at 0, of the teachers."""
        self.smooth = problem.factors.curved == 0
        """Whether σ has no kink: then nothing is special about w = 0."""
        self.steepest = max(abs(slope) for slope in problem.network.activation.slopes)
        fixed = np.full(len(length), not self.smooth)
        self.can_reach_zero = {FIXED: fixed, TRAINED: fixed & (self.excess < 0), TIED: fixed & False}[
            problem.network.mode
        ]
        """Which students can reach 0 in finite time and rest there: others shrink exponentially."""

    def state(self) -> State:
        """What of it changes along the path."""
        return state_of(self, ("since", "most"))

    def restore(self, state: State) -> None:
        """Go on from it."""
        self.since, self.most = state["since"], state["most"]

    def packed(self, weights: Weights) -> Any:
        """Hidden weights neuron by neuron, then output weights where they are trained."""
        parts = [weights.hidden.reshape(-1), *([weights.output] if self.trained else [])]
        return np.concatenate(parts)

    def unpacked(self, vectors: Any) -> Weights:
        """The weights of vectors (…, parameter)."""
        lead, size = vectors.shape[:-1], self.shape[0] * self.shape[1]
        hidden = vectors[..., :size].reshape(*lead, *self.shape)
        output = (
            vectors[..., size:] if self.trained else np.broadcast_to(self.start.output, hidden.shape[:-1])
        )
        return self.problem.network.with_tied_outputs(Weights(hidden, output))

    def hidden(self, vector: Any) -> Any:
        """w of a vector (neuron, feature), a view."""
        return vector[: self.shape[0] * self.shape[1]].reshape(self.shape)

    def outputs(self, vector: Any) -> Any:
        """a of a vector, (neuron,)."""
        return self.unpacked(vector).output

    def lengths(self, vector: Any) -> Any:
        """|w_j|, (neuron,)."""
        return norm(self.hidden(vector))

    def moved_from_zero(self, vector: Any, moved: Any | None) -> Any:
        """The state with students that start at 0 a little off it, where σ'(0) ≠ 0 moves them: by a field R r."""
        resting = self.problem.factors.resting
        lengths, outputs = self.lengths(vector), self.outputs(vector)
        starting = (lengths == 0) & (outputs != 0) & (True if moved is None else ~moved)
        if self.smooth or not resting or not starting.any():
            return vector
        residual = self.derivative_at_zero(vector).units.residual
        teachers = np.linalg.norm(self.problem.data.hidden, axis=-1)
        size = DEAD * max(float(lengths.max()), float(teachers.max()))
        vector = vector.copy()
        signs = np.sign(outputs * resting)[:, None]
        self.hidden(vector)[starting] = -(size * signs * unit(residual))[starting]
        return vector

    def derivative_at_zero(self, vector: Any) -> DirectionalDerivative:
        """The derivative of the loss in the directions in which a student at 0 may leave."""
        weights, data = self.unpacked(vector), self.problem.data
        scale = self.problem.network.scale
        units = Units(
            np.concatenate([weights.hidden, data.hidden]),
            np.concatenate([scale * weights.output, -data.output]),
            self.shape[0],
        )
        return DirectionalDerivative(units, self.problem.factors, self.problem.network.activation.even)

    def weighted(self, vector: Any) -> Any:
        """c_j w_j, (neuron, feature)."""
        weights = self.unpacked(vector)
        return self.problem.network.scale * weights.output[:, None] * weights.hidden

    def to_weights(self, vectors: Any, forks: int) -> FlowWeights:
        """The weights of vectors (…, parameter)."""
        weights = self.unpacked(vectors)
        return FlowWeights(weights.hidden, weights.output, forks)

    def floors(self, atol: float, vector: Any) -> Any:
        """The absolute tolerance of each parameter. Forces on a student of trained or tied output scale with the
        student, and it is followed however small."""
        if self.problem.network.output == "fixed":
            self.most = max(self.most, float(np.abs(vector).max()))
            return np.full(len(vector), max(floor(atol, vector), ROUNDING * self.most))
        return self.each(np.maximum(np.maximum(atol, ROUNDING * self.size(vector)), 1e-300))

    def each(self, values: Any) -> Any:
        """A value of each student, for each of its parameters."""
        return np.concatenate([np.repeat(values, self.shape[1]), *([values] if self.trained else [])])

    def size(self, vector: Any) -> Any:
        """max(|w_j|, |a_j|), (neuron,)."""
        return np.maximum(self.lengths(vector), np.abs(self.outputs(vector)))

    def negligible(self, vector: Any) -> Any:
        """Which students are too small for others to feel them, with forces that scale with them, (neuron,)."""
        if self.problem.network.output == "fixed":
            return np.zeros(self.shape[0], bool)
        size = self.size(vector)
        largest = max(float(size.max()), float(norm(self.problem.data.hidden).max()))
        return (
            (self.lengths(vector) > 0)
            & (size < SLIGHT * largest)
            & (self.excess == 0 if self.trained else True)
        )

    def shrinking(self, vector: Any) -> Any:
        """κ_j = −d ln|w_j|/dt of negligible students where it is positive, else 0, (neuron,)."""
        negligible = self.negligible(vector)
        if not negligible.any():
            return np.zeros(self.shape[0])
        hidden, moved = self.hidden(vector), self.hidden(self.velocity(vector))
        along = (unit(hidden) * moved).sum(-1) / np.where(negligible, self.lengths(vector), 1.0)
        return np.where(negligible, np.maximum(-along, 0.0), 0.0)

    def project(self, solver: Radau, start: float) -> None:
        """Put the solver's state back to |w_j|² − a_j² of the start, which shrinks as e^(−2λt) (trained outputs):
        errors in it grow as students shrink, and decide whether w or a reaches 0."""
        if not self.trained:
            return
        kept = self.excess * np.exp(-2.0 * self.weight_decay * (solver.t - start))
        state = solver.y.copy()
        hidden, outputs = self.hidden(state), state[-self.shape[0] :]
        for _ in range(2):
            length = norm(hidden)
            size = np.where(length + np.abs(outputs) > 0, np.hypot(length, outputs), 1.0)
            off = 0.5 * ((length - outputs) / size * ((length + outputs) / size) - kept / size / size)
            hidden *= (1.0 - off)[:, None]
            outputs *= 1.0 + off
        solver.y = state
        solver.f = solver.fun(solver.t, state)

    def tolerance_too_coarse(self, vector: Any, error: float) -> bool:
        """Whether an error of each parameter costs the loss its second digit, where rounding leaves it that."""
        loss = float(self.problem.loss(self.unpacked(vector)))
        slope, top = np.linalg.norm(self.velocity(vector)), np.linalg.norm(self.jacobian(vector), 2)

        def change(error: float) -> float:
            size = error * np.sqrt(len(vector))
            return float(slope * size + 0.5 * top * size**2)

        rounding = np.finfo(np.float64).eps * np.abs(vector).max()
        return change(rounding) <= 0.01 * loss < change(error)

    def is_at_rest(self, vector: Any, duration: float) -> bool:
        """Whether the objective falls by less than `AT_REST` of the loss in this time: with v the velocity and
        μ the Hessian's eigenvalues, by Σ v_i² (1 − e^(−2μ_i t))/(2μ_i), the linear flow's fall. A force that is hidden
        in the rounding of v is not greater than v, so that a flow that has far to go is not taken as at rest."""
        loss = float(self.problem.loss(self.unpacked(vector)))
        velocity, matrix = self.velocity(vector), self.jacobian(vector)
        if not (np.isfinite(velocity).all() and np.isfinite(matrix).all()):
            return False
        return linear_fall(velocity, matrix, duration) <= AT_REST * loss

    def integrator(
        self, span: tuple[float, float], state: Any, rates: Any, tolerance: tuple[float, float, float],
        size: float | None,
    ) -> Integrator:  # fmt: skip
        """The integrator of dy/dt = f(y) + κy over a span of time. tolerance: relative, absolute, and the factor of
        the absolute one. size: of the first step, or None."""
        return ReferenceRadau(self, span, state, rates, tolerance, size)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        velocity = -self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))
        if not self.smooth:  # what is at 0 rests there
            self.hidden(velocity)[self.lengths(vector) == 0] = 0.0
        return velocity

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        return -self.problem.hessian(self.unpacked(vector)) - decay * np.eye(len(vector))
