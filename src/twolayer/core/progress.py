"""How far a training has come: records of a logger, which cost nothing where nobody listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["LOGGER", "Reached", "reached"]

LOGGER = logging.getLogger("twolayer.progress")
LOGGER.propagate = False
LOGGER.setLevel(logging.WARNING)


@dataclass(frozen=True)
class Reached:
    """A time that some seeds have reached, and their loss there (seed,), computed only where it is shown."""

    time: float
    seeds: int
    loss: Callable[[], Any]


def reached(time: float, seeds: int, loss: Callable[[], Any]) -> None:
    """Say that as many seeds have reached a time; the thread says which they are: the ones before, until they end."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info("reached", extra={"reached": Reached(time, seeds, loss)})
