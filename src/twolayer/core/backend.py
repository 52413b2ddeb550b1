"""The base class of backends: where arrays lie, and which compiled code moves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from twolayer.core.data import Data
from twolayer.core.network import Network
from twolayer.core.problem import Problem

__all__ = ["Backend"]


class Backend(ABC):
    """It holds arrays, and gives a problem its fastest descents there.

    on_device: whether arrays lie on a device that takes time to start and that jobs share: small runs are then trained
    on the host (`placement`).
    """

    on_device: ClassVar[bool] = False

    @abstractmethod
    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array on the backend."""

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        """The problem, whose arrays lie on the backend, in its fastest form there: the array code if there is none.

        threads: how many seeds to work on at once.
        """
        return problem

    def problem(self, data: Data, network: Network, dtype: str, threads: int) -> Problem:
        """The problem of a network on data of the host, on the backend and in its fastest form there."""
        placed = data.mapped(lambda array: self.asarray(array, dtype))
        return self.accelerate(placed.problem(network), threads)
