"""Up to where the weights of a run determine its loss: how much one unit in their last place changes it.

Once L is below about ½λ(ε|w|)² + |∇L|ε|w| (λ the top Hessian eigenvalue, ε the unit), the stored weights could as well
have any other loss of that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.network import Weights
from twolayer.core.trajectory import Clock
from twolayer.training.frames import Frames
from twolayer.training.losses import frames_at_once
from twolayer.training.measuring import for_measuring

__all__ = ["last_trusted", "rounding_notes"]

KEPT = 0.01
"""A loss that changes by no more than this share is trusted."""


def last_trusted(problem: Any, frames: Frames, threads: int = 1, loaded: bool = False) -> Any:
    """For each seed the last frame, by its index, that carries two digits of the loss in its precision.

    Frames are on the host. Searched from the end, so that a run whose last loss is trusted costs one look, in twice as
    many frames each time. threads, loaded: as of `for_measuring`.
    """
    host = problem.data.mapped(lambda array: to_host(array).astype(np.float64)).problem(problem.network)
    host = for_measuring(host, len(frames) * frames.seeds, threads, loaded)
    last = np.zeros(frames.seeds, dtype=np.int64)
    stop, count, most = len(frames), 1, frames_at_once(host, frames)
    with np.errstate(over="ignore", invalid="ignore"):
        while stop > 1 and not last.all():
            first, left = max(1, stop - count), np.flatnonzero(last == 0)
            known = trusted(host, frames.at_times(slice(first, stop)), left)
            latest = stop - 1 - np.argmax(known[::-1], axis=0)
            last[left] = np.where(known.any(0), latest, 0)
            stop, count = first, min(2 * count, most)
    return last


def trusted(problem: Any, frames: Weights, seeds: Any) -> Any:
    """Whether L of some seeds, by their index, is known to `KEPT` in each frame, by the rounding of the loss, and
    where all weights move by one unit: away from 0, towards it, and each at random, (time, seed). A loss of 0 is not:
    terms that cancel and those too small for floats print it as well as an exact solution does. frames: of
    `Frames.at_times`."""
    shapes = frames.hidden.shape[1:], frames.output.shape[1:]
    frames = Weights(frames.hidden[:, seeds], frames.output[:, seeds])
    loss = loss_of(of_seeds(problem, seeds), frames)
    rounding = of_seeds(problem, seeds).rounding(wide(frames))
    kept = np.isfinite(loss) & (loss > 0) & (rounding <= KEPT * loss)
    times, left = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    if not len(left):
        return kept
    problem, chosen, part = of_seeds(problem, seeds[left]), seeds[left], np.ix_(times, left)
    frames, loss = Weights(frames.hidden[part], frames.output[part]), loss[part]
    coins = np.random.default_rng(0)
    mixed = [coins.choice([-1.0, 1.0], shape)[chosen] for shape in shapes]
    away = [np.where(array < 0, -1.0, 1.0) for array in (frames.hidden, frames.output)]
    for signs in (away, [-sign for sign in away], mixed, [-sign for sign in mixed]):
        moved = []
        for array, sign in zip((frames.hidden, frames.output), signs, strict=True):
            step = np.nextafter(array, (sign * np.inf).astype(array.dtype))
            moved.append(np.where(array == 0, array, step))  # what is 0 is exact, and no unit but 5e-324
        if problem.network.output == "fixed":
            moved[1] = frames.output
        kept[part] &= np.abs(loss_of(problem, Weights(*moved)) - loss) <= KEPT * loss
    return kept


def of_seeds(problem: Any, seeds: Any) -> Any:
    """The problem of some seeds, by their index."""
    data = problem.data.of_seeds(seeds)
    return problem if data is problem.data else replace(problem, data=data)


def loss_of(problem: Any, frame: Weights) -> Any:
    """The loss in float64, as metrics take it."""
    return problem.loss(wide(frame))


def wide(frame: Weights) -> Weights:
    """The weights in float64."""
    return Weights(frame.hidden.astype(np.float64), frame.output.astype(np.float64))


def rounding_notes(last: Any, loss: Any, clock: Clock, seeds: Sequence[int], dtype: str) -> tuple[str, ...]:
    """The note on a run whose last loss (seed, time) is not trusted, in some seeds at least."""
    lost = np.flatnonzero((last < len(clock.time) - 1) & np.isfinite(loss[:, -1]))
    if not len(lost):
        return ()
    first = lost[np.argmin(last[lost])]
    return (
        f"{dtype} weights carry two digits of the loss up to time {clock.time[last[first]]:.6g}, where it is "
        f"{loss[first, last[first]]:.3g} (seed {seeds[first]}, the first of {len(lost)}); later losses may be "
        "rounding. The time of each seed is trusted_until.",
    )
