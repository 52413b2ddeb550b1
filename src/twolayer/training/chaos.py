"""Up to where a descent's path does not depend on rounding: where a twin parts from it.

The twin is moved by one unit in the last place now and then.

With a step above what is stable, descent may be chaotic: differences grow e-fold every few steps, and after some
hundred of them two backends, two machines or two versions of a library have different weights. A loss that weights
carry well (`trust`) says nothing of that.

By the descent lemma a step below 2/λ, λ the largest curvature along it, never raises the objective. So a twin is run
only for seeds in which one of two plain steps of the run's size, from one of the saved times, raises it (two, as
an orbit may be high and low in turn). At most 64 times are tried, and no more than one for every 40 steps: a run in
which none rises costs at most a twentieth of its steps more, a shorter one than that nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.arrays import array_namespace, to_host
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.trajectory import Clock

__all__ = ["Jittered", "last_shared", "parted", "parting_notes", "rising"]

MOST_TRIED = 64
"""Saved times from which two steps are tried, at most."""
STEPS_PER_TRY = 40
"""At most one time is tried in so many steps of the run."""
RISE = 1e-6
"""Of the objective: a step that raises it by more than this share rises, unless that is rounding."""
ROUNDING = 1e-12
"""Of the largest objective of a seed: a smaller rise is rounding."""
PIECES = 8
"""How often the twin is moved between two saved times, at most."""


def parted(dtype: Any) -> float:
    """The relative distance at which two paths have parted, 100 √ε: 1.5e-6 in float64."""
    return 100.0 * float(np.sqrt(np.finfo(dtype).eps))


def rising(
    problem: Any,
    host: Any,
    place: Callable[[Weights], Weights],
    frames: Sequence[Weights],
    clock: Clock,
    step_size: float,
    weight_decay: Any,
    loss: Any,
) -> Any:
    """The seeds in which one of two plain steps raises the objective at one of the times that are tried, (seed,).

    problem: on the backend, where `place` puts weights. host: the same on the host. weight_decay: λ (time,). loss: of
    the frames, (seed, time).
    """
    found = np.zeros(len(frames[0].hidden), dtype=bool)
    count = min(MOST_TRIED, len(frames), int(clock.step[-1]) // STEPS_PER_TRY)
    tried = np.unique(np.linspace(len(frames) - 1, 0, count, endpoint=False).astype(int))
    values = []
    with np.errstate(all="ignore"):
        for index in tried.tolist():
            decay = float(weight_decay[index])
            path = [place(frames[index])]
            for _ in range(2):
                path.append(problem.descend(path[-1], step_size, decay, 1))
            states = [Weights(to_host(each.hidden), to_host(each.output)) for each in path]
            losses = [loss[:, index], *(host.loss(state) for state in states[1:])]
            values.append(
                [one + host.penalty(state, decay) for one, state in zip(losses, states, strict=True)]
            )
        if values:
            objective = np.asarray(values, dtype=np.float64)  # (time, step, seed)
            before, rise = objective[:, :-1], objective[:, 1:] - objective[:, :-1]
            largest = np.where(np.isfinite(objective), objective, 0.0).max((0, 1))
            found = ((rise > RISE * before) & (rise > ROUNDING * largest)).any((0, 1))
    return found


@dataclass(frozen=True)
class Jittered(Problem):
    """The twin's problem: weights are moved by one unit in their last place, in turn up and down, where they are
    passed in, and at most `PIECES` times more between two saved times; 0 stays. A single move may be lost
    where the path contracts, as backends' rounding at each step is not."""

    problem: Problem
    signs: Weights
    turns: Iterator[float]

    @classmethod
    def of(cls, problem: Problem, place: Callable[[Weights], Weights], like: Weights) -> Jittered:
        """On the backend, where `place` puts arrays; like: weights on the host. Signs are the same for every seed."""
        coins, signs = np.random.default_rng(0), []
        for array in (like.hidden, like.output):
            signs.append(np.broadcast_to(coins.choice([-1.0, 1.0], array.shape[1:]), array.shape))
        if problem.network.output == "fixed":
            signs[1] = 0.0 * signs[1]
        ends = itertools.cycle((1.0, -1.0))
        return cls(problem.data, problem.network, problem, place(Weights(signs[0], signs[1])), ends)

    @property
    def threads(self) -> int:  # type: ignore[override]
        """As the problem's."""
        return self.problem.threads

    @property
    def on_population(self) -> bool:  # type: ignore[override]
        """As the problem's."""
        return self.problem.on_population

    def moved(self, weights: Weights) -> Weights:
        """w (1 ± ε)."""
        unit = next(self.turns) * float(array_namespace(weights.hidden).finfo(weights.hidden.dtype).eps)
        return self.network.with_tied_outputs(
            Weights(
                weights.hidden * (1.0 + unit * self.signs.hidden),
                weights.output * (1.0 + unit * self.signs.output),
            )
        )

    def loss(self, weights: Weights) -> Any:
        """As the problem's."""
        return self.problem.loss(weights)

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """As the problem's, at the moved weights."""
        return self.problem.gradient(self.moved(weights), weight_decay)

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> Any:
        """As the problem's, at the moved weights."""
        return self.problem.batch(self.moved(weights), size, random)

    def on_samples(self, weights: Weights, chosen: Any) -> Any:
        """As the problem's, at the moved weights."""
        return self.problem.on_samples(self.moved(weights), chosen)

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As the problem's, from the moved weights, in pieces."""
        for piece in pieces(count):
            weights = self.problem.descend(self.moved(weights), step_size, weight_decay, piece)
        return weights

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """As the problem's, from the moved weights, in pieces."""
        for piece in pieces(count):
            weights = self.problem.descend_on_batches(
                self.moved(weights), step_size, batch_size, piece, random
            )
        return weights

    def predict(self, weights: Weights) -> Any:
        """As the problem's."""
        return self.problem.predict(weights)

    def rounding(self, weights: Weights) -> Any:
        """As the problem's."""
        return self.problem.rounding(weights)

    def sharpness(self, weights: Weights) -> Any:
        """As the problem's."""
        return self.problem.sharpness(weights)

    def hessian(self, weights: Weights) -> Any:
        """As the problem's."""
        return self.problem.hessian(weights)


def pieces(count: int) -> list[int]:
    """`count` steps in up to `PIECES` parts of about one length."""
    parts = min(PIECES, count)
    return [count // parts + (index < count % parts) for index in range(parts)]


def last_shared(frames: Sequence[Weights], twin: Iterable[Weights], reach: float | None = None) -> Any:
    """For each seed the last frame, by its index, up to which the twin's path is the same to `reach`, (seed,), by
    default `parted`.

    The distance is relative, of all weights of a seed in the Euclidean norm. A frame that is
    not finite is not shared.
    """
    last = np.zeros(len(frames[0].hidden), dtype=np.int64)
    shared = np.ones(len(last), dtype=bool)
    reach = parted(frames[0].hidden.dtype) if reach is None else reach
    with np.errstate(all="ignore"):
        for index, (frame, other) in enumerate(zip(frames, twin, strict=True)):
            apart = squares(Weights(to_host(other.hidden), to_host(other.output)) - frame)
            shared &= apart <= reach**2 * squares(frame)  # False where anything is NaN
            last[shared] = index
            if not shared.any():
                break
    return last


def squares(weights: Weights) -> Any:
    """|a|² + |W|² in float64, (seed,)."""
    hidden, output = weights.hidden.astype(np.float64), weights.output.astype(np.float64)
    return (hidden**2).sum((-2, -1)) + (output**2).sum(-1)


def parting_notes(
    last: Any, twins: Any, lost: Any, clock: Clock, seeds: Sequence[int], dtype: str
) -> tuple[str, ...]:
    """The note on seeds whose twin parted from them before their last finite frame; lost (seed, time)."""
    finite = np.where(lost.any(1), lost.argmax(1), lost.shape[1]) - 1
    found = np.flatnonzero(twins & (last < finite))
    if not len(found):
        return ()
    first = found[np.argmin(last[found])]
    return (
        f"a twin moved by one unit in the last place parts from the path by more than {parted(dtype):.2g} of it after "
        f"step {int(clock.step[last[first]])} in seed {seeds[first]}, the first of {len(found)}: steps are too large, "
        "the descent is chaotic or nearly so, and another backend or library gives another path. The time of each is "
        "path_trusted_until.",
    )
