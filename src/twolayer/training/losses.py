"""The losses of a run at its saved times, many of them in one call."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.problem import Problem
from twolayer.training.frames import Frames

__all__ = ["frames_at_once", "losses"]

AT_ONCE = 2**17
"""Numbers of one network, its pairs of units and its responses to the data, in all frames of a call: fewer would leave
most of the time to the calls of NumPy, and more would not stay in the processor's cache."""


def frames_at_once(problem: Problem, frames: Frames) -> int:
    """How many frames one call takes."""
    _, seeds, neurons, features = frames.arrays[0].shape
    data = sum(values.size for _, values, _ in problem.data.arrays().values())
    return int(max(1, AT_ONCE // (seeds * neurons * (neurons + features + data // features))))


def losses(problem: Problem, frames: Frames) -> Any:
    """L, (seed, time), of a problem on the host."""
    step = frames_at_once(problem, frames)
    found = [
        problem.loss(frames.at_times(slice(first, min(first + step, len(frames)))))
        for first in range(0, len(frames), step)
    ]
    return np.ascontiguousarray(np.concatenate(found).T)
