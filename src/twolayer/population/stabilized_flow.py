"""Wide gradient flows on a teacher by an explicit stabilised method, ROCK4.

The Hessian is symmetric, so that an explicit method of s stages is stable up to h λ ≈ 0.345 s² (`rock_tables`): from t
to 2t it takes about √(λt) forces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer.core.arrays import norm
from twolayer.core.saved_state import State, restore, state_of
from twolayer.population.flow_integrator import Progress
from twolayer.population.numba_rock import Room, fill_twins, find_velocity, take_step
from twolayer.population.numba_wide_law import Columns
from twolayer.population.rock_tables import MOST, reach, rock, stages_for

__all__ = ["RockFlow"]

GROWTH, SHRINKAGE, SAFETY = 5.0, 0.2, 0.8
"""By how much a step may be longer or shorter than the one before, and the share of the size that is just accurate."""

LARGER = 1.1
"""The top eigenvalue is taken as larger by this factor than the power iteration has found."""

SETTLED, ITERATIONS, MOVE = 0.01, 40, 2.0**-24
"""The iteration ends when its value changes by this share, after so many products at most; a product is a difference
of velocities, so far apart as a share of the weights."""

RENEWED = 25
"""The top eigenvalue is taken anew after so many steps, and after one that was refused."""

CAREFUL = 0.3
"""The error of a step is kept below rtol times this: there are more of them than of the implicit method."""

REFUSALS = 12
"""So many steps refused in a row leave it to the implicit method."""

FLOOR = 4.0
"""The estimate of the error is rounding below so many times the absolute tolerance of `OdeSystem.floors`."""

RATIO = 8.0
"""By how much the implicit method's steps, of order 13, are longer, about."""

DIGITS = 2.0**-55
"""The plain form of the velocity has been found exact to this, times the sum of all masses: where that is below rtol
times the velocity, it serves."""


class RockFlow:
    """As `Integrator`: ROCK4, one step at a time.

    The error of a step is kept below rtol times the lesser of the student's size and of the way that the flow goes
    while its time doubles: a slow decay is then followed with relative accuracy.
    """

    def __init__(
        self, system: Any, span: tuple[float, float], state: Any, tolerance: tuple[float, float, float],
        size: float | None,
    ) -> None:  # fmt: skip
        self.system, self.first, self.stop = system, *span
        units = system.shape[0] + len(system.problem.data.hidden)
        self.columns = Columns.of(units, system.shape[1])
        self.plain = self.plain_old = False
        self.rtol, self.atol, self.coarse = tolerance
        self.t = self.t_old = span[0]
        self.y_old, self.velocity_old, self.size_old = state, state, 0.0
        students, features = system.shape
        self.room = Room.of(students * features + (students if system.trained else 0), students)
        self.room.state[:], self.room.velocity[:] = state, system.velocity(state)
        self.choose_form()
        fill_twins(system.law, self.room)
        self.direction = np.random.default_rng(0).standard_normal(state.size) + self.room.velocity
        self.top, self.age, self.refused, self.failed = 0.0, RENEWED, 0, False
        self.error_old = self.longest = 0.0
        self.stages = MOST
        self.size = self.first_size() if size is None else min(size, span[1] - span[0])

    @property
    def y(self) -> Any:
        """The state, (parameter,)."""
        return self.room.state

    @y.setter
    def y(self, state: Any) -> None:
        self.room.state[:] = state

    @property
    def f(self) -> Any:
        """Its velocity, (parameter,)."""
        return self.room.velocity

    @f.setter
    def f(self, velocity: Any) -> None:
        self.room.velocity[:] = velocity

    def fun(self, time: float, state: Any) -> Any:
        """The velocity at a state."""
        velocity = np.empty_like(state)
        find_velocity(self.system.law, self.system.work, self.columns, self.plain, state, velocity)
        return velocity

    def choose_form(self) -> None:
        """Take the plain form of the velocity where that has the digits."""
        system, state = self.system, self.y
        lengths, outputs = system.lengths(state), np.abs(system.outputs(state))
        teacher = system.problem.data
        masses = system.problem.network.scale * float(np.sum(lengths * outputs))
        masses += float(np.sum(np.abs(teacher.output) * norm(teacher.hidden)))
        steepest = system.problem.network.scale * max(float(outputs.max()), float(lengths.max()))
        self.plain = DIGITS * masses * steepest <= self.rtol * float(np.abs(self.room.velocity).max())

    def resume(self, other: Any) -> None:
        """Go on from where another integrator is."""
        self.t, self.failed, self.refused = other.t, False, 0
        self.size = min(other.size / RATIO, self.longest)
        if self.top > 0.0:
            self.size = min(self.size, reach(MOST) / self.top)
        self.room.state[:] = other.y
        self.room.velocity[:] = self.system.velocity(other.y)
        self.size_old, self.error_old, self.age = 0.0, 0.0, RENEWED
        self.choose_form()

    @property
    def coarsest(self) -> float:
        """The largest absolute tolerance."""
        return float(self.coarse * self.system.floors(self.atol, self.y).max())

    def scale(self, size: float) -> Any:
        """The tolerance of each parameter, (parameter,), for a step of a size."""
        system, state, velocity = self.system, self.y, self.room.velocity
        lengths = system.size(state) if system.trained else system.lengths(state)
        way = (self.t - self.first + size) * float(system.lengths(velocity).max())
        near = CAREFUL * self.rtol * np.minimum(lengths, way)
        least: Any = FLOOR * self.coarse * system.floors(self.atol, state)
        return np.maximum(least, system.each(near))

    def first_size(self) -> float:
        """A size for the first step: a share of the time in which the velocity changes the weights."""
        state, velocity = self.y, self.room.velocity
        most = self.stop - self.t
        size, slope = float(np.linalg.norm(state)), float(np.linalg.norm(velocity))
        first = min(most, 1e-6 if size == 0.0 or slope == 0.0 else 0.01 * size / slope)
        bend = float(np.linalg.norm(self.fun(0.0, state + first * velocity) - velocity)) / first
        if bend > 0.0 and slope > 0.0:
            first = min(100.0 * first, self.rtol**0.25 * slope / bend, most)
        return first

    def find_top(self) -> None:
        """The top eigenvalue of the Hessian, by power iteration from the last one's eigenvector."""
        state, velocity, direction = self.y, self.room.velocity, self.direction
        move = MOVE * max(float(np.linalg.norm(state)), 1e-300)
        found = 0.0
        for _ in range(ITERATIONS):
            direction = direction / max(float(np.linalg.norm(direction)), 1e-300)
            product = (self.fun(0.0, state + move * direction) - velocity) / move
            before, found = found, float(np.linalg.norm(product))
            if not np.isfinite(found) or found == 0.0:
                break
            direction = product
            if abs(found - before) <= SETTLED * found:
                break
        if np.isfinite(direction).all():
            self.direction = direction
        self.top, self.age = LARGER * found if np.isfinite(found) else np.inf, 0

    def advance(self, progress: Progress, times: Any, largest: Any | None) -> list[Any]:
        """One step."""
        progress.steps += 1
        progress.total += 1
        system, room = self.system, self.room
        while True:
            least = 10.0 * np.spacing(abs(self.t))
            if not self.size >= least or self.refused > REFUSALS:
                self.failed = True
                return []
            if self.age >= RENEWED:
                self.find_top()
            size = min(self.size, self.stop - self.t)
            if self.top > 0.0:
                size = min(size, reach(MOST) / self.top)
            if not size > 0.0:
                self.failed = True
                return []
            self.stages = stages_for(size * self.top)
            take_step(system.law, system.work, self.columns, self.plain, rock(self.stages), room, size)
            error = float(np.sqrt(np.mean((room.error / self.scale(size)) ** 2)))
            factor = SHRINKAGE
            if error < np.inf:
                factor = SAFETY * max(error, 1e-30) ** -0.25
            if error <= 1.0:
                break
            self.refused += 1
            self.size = size * min(max(factor, SHRINKAGE), 0.9)
            if self.age:
                self.age = RENEWED
        if self.size_old > 0.0 and self.error_old > 0.0 and error > 0.0 and not self.refused:
            factor = min(factor, factor * size / self.size_old * (self.error_old / error) ** 0.25)
        self.t_old, self.y_old, self.velocity_old = self.t, self.y.copy(), self.room.velocity.copy()
        whole = size == self.stop - self.t
        self.t = self.stop if whole else self.t + size
        self.size_old, self.error_old = size, error
        self.longest = max(self.longest, size)
        self.size = size * min(max(factor, SHRINKAGE), 1.0 if self.refused else GROWTH)
        self.refused, self.age = 0, self.age + 1
        room.state[:], room.velocity[:] = room.end, room.end_velocity
        system.project(self, system.since)
        self.plain_old = self.plain
        self.choose_form()
        return []

    def between(self) -> Callable[[float], Any]:
        """The state as a function of time in the last step: by a shorter step, so that saved times do not change the
        path."""
        room = Room.of(self.y_old.size, self.system.shape[0])
        start, old, velocity, end = self.t_old, self.y_old, self.velocity_old, self.y.copy()
        stop, top, plain, twins = self.t, self.top, self.plain_old, self.room.twins

        def state(time: float) -> Any:
            if time == stop:
                return end
            room.state[:], room.velocity[:], room.twins[:] = old, velocity, twins
            size = time - start
            table = rock(stages_for(size * top))
            take_step(self.system.law, self.system.work, self.columns, plain, table, room, size)
            return room.end.copy()

        return state

    BETWEEN_STEPS = (
        "t", "t_old", "y_old", "velocity_old", "size", "size_old", "error_old", "longest", "stages", "plain",
        "plain_old", "direction", "top", "age", "refused", "failed",
    )  # fmt: skip

    def state(self) -> State:
        """As `Integrator.state`."""
        return {"room": self.room.arrays, **state_of(self, self.BETWEEN_STEPS)}

    def restore(self, state: State) -> None:
        """As `Integrator.restore`."""
        restore(self.room, state["room"])
        for name in self.BETWEEN_STEPS:
            setattr(self, name, state[name])
