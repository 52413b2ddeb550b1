"""What a backend is."""

from __future__ import annotations

from typing import Any, Protocol

from twolayer.core.network import Network
from twolayer.core.problem import Problem

__all__ = ["Backend"]


class Backend(Protocol):
    """Where weights move: it holds arrays, and gives the problem its fastest descents and gradient there.

    A class attribute `on_device` (default: False) says that a device of its own holds the arrays, whose start takes
    time and which jobs share: small runs are then trained on the host (`placement`).
    """

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array on the backend."""

    def problem(self, data: Any, network: Network, threads: int) -> Problem:
        """The network on data that `asarray` has already placed."""
