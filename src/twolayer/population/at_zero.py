"""Students of a gradient flow that come to 0, rest there, and leave when a direction of descent opens."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from twolayer.core.saved_state import State, state_of
from twolayer.population.closed_form import unit
from twolayer.population.leaving_zero import minima
from twolayer.population.ode_system import DEAD, ROUNDING, OdeSystem

__all__ = ["VANISHED", "AtZero"]

VANISHED = 1e-290
"""A student shorter than this is 0."""

NEARLY = 0.01
"""A second minimum of φ_j above 0 by less than this, times Σ|C_q|, counts as a fork: steps that move about 0 may stay
near it until it opens, however small they are."""


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
