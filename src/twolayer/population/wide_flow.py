"""Wide gradient flows on a teacher by the explicit stabilised method, or by the implicit one where that costs less.

From t to 2t the explicit method (`stabilized_flow`) takes about √(λt) forces, where the implicit method takes the
eigenvectors of the Hessian about once. Which costs less is an estimate from the numbers of students, teachers and
coordinates alone, not from a clock, so that a flow gives the same numbers on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer.core.saved_state import State
from twolayer.population.flow_integrator import Progress
from twolayer.population.radau_tables import STAGES
from twolayer.population.rock_tables import stages_for
from twolayer.population.stabilized_flow import RockFlow

__all__ = ["Cost", "WideFlow"]

CALL = 1.1e5
"""What an explicit step takes besides its stages."""

DECOMPOSITIONS, ITERATES = 1.0, 25.0
"""What the implicit method takes while the time doubles, about: as fast modes die out 1.4 and 40, later 0.3 and 25,
where rtol is 1e-7."""


class Cost:
    """What the two methods take, in nanoseconds of one core as of 2026; the ratios count.

    Measured: within a third for 16 to 200 students in 4 to 40 coordinates. `velocity` and `plain`: a velocity by
    either form, the latter in blocks of eight students by eight units. `iterate`: the velocities of all stages, in
    lanes, and the turns to eigenvectors and back. `decomposition`: a Jacobian and its eigenvectors.
    students, teachers, coordinates, parameters: how many there are.
    """

    def __init__(self, students: int, teachers: int, coordinates: int, parameters: int) -> None:
        units = students + teachers
        pairs = students * (0.5 * (students - 1) + teachers)
        blocks = students * (0.5 * students + teachers + 8.0)
        self.velocity = pairs * (36.0 + 0.9 * coordinates)
        self.plain = blocks * (1.5 + 0.1 * coordinates) + 2.0 * units * coordinates
        self.iterate = pairs * (10.0 + 3.5 * coordinates) + 0.6 * parameters**2
        jacobian = students * units * (110.0 + 2.0 * coordinates**2)
        self.decomposition = jacobian + 40.0 * parameters**2 + 0.1 * parameters**3
        self.measured = (0.0, 0.0)
        """What the implicit method took per unit of time when it was last left, and until when."""

    def explicit(self, method: RockFlow) -> float:
        """From t to 2t, or to the end, with steps like the last."""
        ahead = min(method.stop - method.t, method.t - method.first)
        return ahead / method.size_old * self.explicit_step(method.stages, method.plain)

    def explicit_step(self, stages: int, plain: bool) -> float:
        """A step of so many stages."""
        return stages * (self.plain if plain else self.velocity) + CALL

    def implicit(self, method: RockFlow) -> float:
        """From t to 2t, or to the end, once nothing but slow modes are left."""
        if method.t <= method.first:
            return np.inf
        ahead = min(method.stop - method.t, method.t - method.first)
        doublings = max(np.log2(1.0 + ahead / (method.t - method.first)), 0.1)
        usual = float(doublings * (DECOMPOSITIONS * self.decomposition + ITERATES * self.iterate))
        rate, time = self.measured
        return max(usual, rate * ahead) if method.t < 2.0 * time else usual

    def should_return(self, implicit: Any, explicit: RockFlow) -> bool:
        """Whether steps of the implicit method have become so short that explicit ones cost a third of them."""
        evaluations, decompositions, begin = implicit.mark
        new_evaluations, new_decompositions = implicit.work_done()
        if new_decompositions < decompositions + 3:
            return False
        spent = (new_decompositions - decompositions) * self.decomposition
        spent += (new_evaluations - evaluations) / STAGES * self.iterate
        passed = implicit.t - begin
        implicit.mark = (new_evaluations, new_decompositions, implicit.t)
        explicit.resume(implicit)
        step = self.explicit_step(stages_for(explicit.size * explicit.top), explicit.plain)
        if 3.0 * step / explicit.size < spent / passed:
            self.measured = (spent / passed, implicit.t)
            return True
        return False


class WideFlow:
    """As `Integrator`: `RockFlow` while it costs less than the implicit method, else that, one step at a time.

    implicit: makes the implicit integrator from where the explicit one is.
    """

    def __init__(self, explicit: RockFlow, implicit: Callable[[RockFlow], Any], cost: Cost) -> None:
        self.explicit, self.implicit, self.cost = explicit, implicit, cost
        self.current: Any = explicit
        self.following: Any = None
        """What takes the next step, where it is another."""

    @property
    def t(self) -> float:
        """The time."""
        return float(self.current.t)

    @property
    def y(self) -> Any:
        """The state, (parameter,)."""
        return self.current.y

    @property
    def t_old(self) -> float:
        """The time before the last step."""
        return float(self.current.t_old)

    @property
    def y_old(self) -> Any:
        """The state before the last step."""
        return self.current.y_old

    @property
    def size(self) -> float:
        """The next step's size."""
        return float(self.current.size)

    @property
    def failed(self) -> bool:
        """Whether no step is within tolerance."""
        return bool(self.current.failed)

    @property
    def coarsest(self) -> float:
        """The largest absolute tolerance."""
        return float(self.current.coarsest)

    def between(self) -> Callable[[float], Any]:
        """The state as a function of time in the last step."""
        made: Callable[[float], Any] = self.current.between()
        return made

    def advance(self, progress: Progress, times: Any, largest: Any | None) -> list[Any]:
        """One step, by the method that costs less."""
        if self.following is not None:
            self.current, self.following = self.following, None
        if self.current is self.explicit:
            self.explicit.advance(progress, times, None)
            if self.explicit.failed:
                self.current = self.implicit(self.explicit)
            elif self.cost.explicit(self.explicit) > self.cost.implicit(self.explicit):
                self.following = self.implicit(self.explicit)
                return []
            else:
                return []
        self.current.advance(progress, times, None)
        if not self.failed and self.cost.should_return(self.current, self.explicit):
            self.following = self.explicit
        return []

    def state(self) -> State:
        """As `Integrator.state`."""
        others = [each for each in (self.current, self.following) if each not in (None, self.explicit)]
        return {
            "explicit": self.explicit.state(),
            "implicit": others[0].state() if others else None,
            "current": self.current is self.explicit,
            "following": None if self.following is None else self.following is self.explicit,
            "rate": self.cost.measured[0],
            "until": self.cost.measured[1],
        }

    def restore(self, state: State) -> None:
        """As `Integrator.restore`."""
        self.explicit.restore(state["explicit"])
        self.cost.measured = (state["rate"], state["until"])
        implicit: Any = None
        if state["implicit"] is not None:
            implicit = self.implicit(self.explicit)
            implicit.restore(state["implicit"])
        self.current = self.explicit if state["current"] else implicit
        following = state["following"]
        self.following = None if following is None else self.explicit if following else implicit
