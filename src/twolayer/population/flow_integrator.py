"""What a gradient flow on a teacher asks of an implicit integrator, and scipy's Radau IIA as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.integrate import Radau

from twolayer.core.budget import AT_A_TIME
from twolayer.core.saved_state import State, restore_solver, solver_state, state_of

__all__ = ["Integrated", "Integrator", "Progress", "ReferenceRadau"]

NEWTON = 0.01
"""The error left in a step's equations, as a share of the tolerance. scipy asks for √rtol, which where coordinates
are 0 but for rounding is below rounding."""


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


class Integrated(Protocol):
    """The system of equations that scipy's integrator asks."""

    since: float
    """From when the state is put back on its invariants."""

    def velocity(self, state: Any) -> Any:
        """dθ/dt, (parameter,)."""

    def jacobian(self, state: Any) -> Any:
        """Its derivative, (parameter, parameter)."""

    def floors(self, atol: float, state: Any) -> Any:
        """The absolute tolerance of each parameter."""

    def project(self, solver: Radau, start: float) -> None:
        """Put the solver's state back on the invariants that it had at the start."""


class ReferenceRadau:
    """As `Integrator`: scipy's Radau IIA of order 5."""

    BETWEEN_STEPS = ("t", "y", "t_old", "y_old", "size", "failed")

    def __init__(
        self, system: Integrated, span: tuple[float, float], state: Any, rates: Any,
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
