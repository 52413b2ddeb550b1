"""What a backend is: where weights move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from twolayer.core.problem import Problem

__all__ = ["Backend"]


class Backend(ABC):
    """It holds arrays, and gives a problem its fastest descents there.

    on_device: whether a device of its own holds the arrays, whose start takes time and which jobs share: small runs
    are then trained on the host (`placement`).
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
