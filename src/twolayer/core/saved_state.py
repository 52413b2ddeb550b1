"""The state of a long computation, which is saved now and then and from which it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

__all__ = ["State", "StateStore", "restore", "restore_solver", "solver_state", "state_of"]

State = Mapping[str, Any]
"""By name: arrays, numbers, words, None, and further states."""

SIMPLE = (bool, int, float, str, np.generic, np.ndarray, type(None))


class StateStore(Protocol):
    """Where one computation saves its state."""

    @property
    def frames(self) -> int:
        """How many frames it had yielded when it saved the state that `load` gives; 0 without one."""

    def load(self) -> State | None:
        """The state that was saved last by a process that is no more; None where there is none."""

    def offer(self, state: Callable[[], State]) -> None:
        """Save a state, which is made only where it is time to save it."""


def state_of(source: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Some attributes of an object, by their names."""
    return {name: getattr(source, name) for name in names}


def restore(target: Any, state: State) -> None:
    """Put arrays and numbers of a state back into the attributes of an object. Arrays of the same shape are filled, as
    others may be views of them."""
    for name, value in state.items():
        before = getattr(target, name)
        if isinstance(before, np.ndarray) and isinstance(value, np.ndarray) and before.shape == value.shape:
            before[...] = value
        else:
            setattr(target, name, value)


def solver_state(solver: Any) -> dict[str, Any]:
    """All numbers of one of scipy's integrators, or of its interpolant, of which it keeps one between steps."""
    state: dict[str, Any] = {}
    for name, value in vars(solver).items():
        if isinstance(value, SIMPLE):
            state[name] = value
        elif isinstance(value, tuple) and all(isinstance(part, np.ndarray) for part in value):  # LU factors
            state[name] = {str(index): part for index, part in enumerate(value)}
        elif name == "sol":
            state[name] = solver_state(value)
    return state


def restore_solver(solver: Any, state: State) -> None:
    """Put `solver_state` back into an integrator of the same kind and size."""
    if state.get("sol") is not None and solver.sol is None:
        with np.errstate(all="ignore"):
            solver.step()  # makes an interpolant, which is then filled
    for name, value in state.items():
        if name == "sol" and value is not None:
            restore_solver(solver.sol, value)
        elif isinstance(value, Mapping):
            setattr(solver, name, tuple(value.values()))
        else:
            restore(solver, {name: value})
