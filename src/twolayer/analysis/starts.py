"""Runs that start alike: the same problem, network and initial weights, trained in different ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twolayer.errors import DataError

if TYPE_CHECKING:
    from twolayer.analysis.runs import Run

__all__ = ["same_start", "starts_alike"]

SECTIONS = ("problem", "network", "initialization")


def starts_alike(run: Run, other: Run) -> bool:
    """Whether two runs have the same problem, network and initialization, so that a seed starts them alike."""
    return all(getattr(run.config, key) == getattr(other.config, key) for key in SECTIONS)


def same_start(run: Run, others: Run) -> Run:
    """The run of another sweep that starts as this one does; a DataError where none does, or for several runs."""
    if run.count > 1:
        raise DataError(f"the experiment '{run.experiment}' has several runs where one is compared")
    for other in others.by("run"):
        if starts_alike(run, other):
            return other
    raise DataError(
        f"no run of '{others.experiment}' starts as that of '{run.experiment}' does: same {', '.join(SECTIONS)}"
    )
