"""How much memory a run takes, estimated from its sizes before it starts, and how much there is."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twolayer.core.problem_spec import ProblemSpec
from twolayer.errors import TrainingError
from twolayer.study.sizes import in_words

__all__ = ["available", "needed", "refuse_larger_than_machine"]

PROCESS = 256e6
"""Bytes of a process with its libraries."""

DATA, ACTIVATIONS, WEIGHTS, FRAMES = 6, 4, 24, 2
"""How many arrays of their sizes a job has at once, at most: of inputs, of preactivations at all samples, of the
weights of all seeds, of the frames in memory. From the peaks of jobs (docs/reliability.md), rounded up."""

FRAMES_IN_MEMORY = 2**26
"""Bytes; more frames lie in a file."""


def needed(run: Mapping[str, Any], problem: ProblemSpec, frames: int) -> float:
    """Bytes that training and measuring a run take, at most, about; frames: its saved times."""
    samples, features = problem.size
    seeds, neurons = len(run["seeds"]), run["network"]["neurons"]
    features, samples = features or 0, samples or 0
    reduced = None if samples or problem.per_seed else problem.reduced(neurons)
    if reduced is not None:
        features = min(features, reduced.features)
    data = 8.0 * samples * (features + 1) * (seeds if problem.per_seed else 1)
    weights = 8.0 * seeds * neurons * (max(features, neurons) + 1)
    activations = 8.0 * seeds * neurons * samples
    kept = min(weights * frames, FRAMES_IN_MEMORY)
    return PROCESS + DATA * data + ACTIVATIONS * activations + WEIGHTS * weights + FRAMES * kept


def available() -> float:
    """Bytes of memory of this machine, or of the group of processes that this one is in where that has fewer."""
    found = float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            found = min(found, float(limit.read_text()))
        except (OSError, ValueError):  # no such group, or no limit
            continue
    return found if found > 0 else math.inf


def refuse_larger_than_machine(needs: float, what: Path) -> None:
    """Refuse a job that would not fit into memory, before it starts."""
    if needs > (there := available()):
        raise TrainingError(
            f"{what}: needs about {in_words(int(needs))} of memory, and this machine has {in_words(int(there))}: ask "
            "for fewer seeds, samples or neurons in a run, or run it on a larger machine"
        )
