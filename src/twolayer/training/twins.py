"""Up to which frame each seed of a run shares its path with a twin, a second run that differs by rounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.backend import Backend
from twolayer.core.data import Data
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.seeds import random_of
from twolayer.core.trajectory import Clock
from twolayer.training import chaos
from twolayer.training.checkpoint import Log
from twolayer.training.frames import Frames
from twolayer.training.recorded import with_logged_flows
from twolayer.training.stop import Replay, StoppedPath, section, stopped_path

__all__ = ["EndedRun", "shared_with_descent_twin", "shared_with_flow_twin"]


@dataclass(frozen=True)
class EndedRun:
    """A run of all seeds and its frames on the host.

    data: in the coordinates of the run. problem: on the backend. on_host: the same on the host. weight_decay: λ
    (time,). frames: the weights at each saved time. loss: theirs (seed, time). finite (seed, time): whether both are.
    stopped: the times at which a stop rule was looked at, and what came of it; None without a rule. log: of the
    training, in which flows of its twin are too.
    """

    dynamics: Dynamics
    backend: Backend
    data: Data
    problem: Any
    on_host: Any
    clock: Clock
    weight_decay: Any
    seeds: Sequence[int]
    dtype: str
    frames: Frames
    loss: Any
    finite: Any
    stopped: tuple[Clock, StoppedPath] | None = None
    log: Log | None = None

    @property
    def lost(self) -> Any:
        """The frames from the first that is not finite on, (seed, time)."""
        return ~np.logical_and.accumulate(self.finite, axis=1)

    @property
    def last_finite(self) -> Any:
        """For each seed the last finite frame, by its index, (seed,)."""
        lost = self.lost
        return np.maximum(np.where(lost.any(1), lost.argmax(1), lost.shape[1]) - 1, 0)

    def place(self, weights: Weights) -> Weights:
        """A copy of weights of the host on the backend."""
        hidden, output = (
            self.backend.asarray(np.array(array), self.dtype) for array in (weights.hidden, weights.output)
        )
        return Weights(hidden, output)

    def random(self, chosen: Sequence[int]) -> list[np.random.Generator]:
        """The generators of some seeds, by their index, as the run had them at its start."""
        return [random_of(self.seeds[index], "dynamics") for index in chosen]


def shared_with_descent_twin(run: EndedRun, threads: int) -> tuple[Any, tuple[str, ...]]:
    """For each seed of a descent the last frame, by its index, up to which a twin shares the path, (seed,), and a note
    (`chaos`): seeds that need no twin share theirs to the last finite frame."""
    last, step_size = run.last_finite, run.dynamics.descent_step
    assert step_size is not None, "flows have twins of another tolerance"
    twins = chaos.rising(
        run.problem, run.on_host, run.place, run.frames, run.clock, step_size, run.weight_decay, run.loss
    )
    if not twins.any():
        return last, ()
    chosen = np.flatnonzero(twins)
    path = run.frames.of_seeds(chosen)
    begin = path[0]
    start, random = run.place(begin), run.random(chosen.tolist())

    def moved(some: Any) -> Any:
        data = run.data.of_seeds(chosen[some])
        problem = run.backend.problem(data, run.problem.network, run.dtype, threads)
        like = Weights(begin.hidden[some], begin.output[some])
        return chaos.Jittered.of(problem, run.place, like)

    with np.errstate(over="ignore", invalid="ignore"):
        twin: Iterable[Weights]
        if run.stopped is None:
            twin = run.dynamics.trajectory(moved(np.arange(len(chosen))), start, run.clock, random)
        else:
            checks, ends = run.stopped
            twin = stopped_path(
                run.dynamics,
                moved,
                lambda some: Replay(ends.checks[chosen], ends.reasons[chosen], some),
                start,
                checks,
                np.isin(checks.time, run.clock.time),
                random,
                threads,
                run.frames.arrays[0].folder,
            ).frames
        last[chosen] = np.minimum(last[chosen], chaos.last_shared(path, twin))
    return last, chaos.parting_notes(last, twins, run.lost, run.clock, run.seeds, run.dtype)


def shared_with_flow_twin(run: EndedRun, threads: int) -> tuple[Any, tuple[str, ...]]:
    """As `shared_with_descent_twin`, with the twin of the dynamics: a flow of another tolerance."""
    last, clock = run.last_finite, run.clock
    if run.stopped is None:
        found = shared_of(run, np.arange(len(run.seeds)), len(clock.time) - 1)
        if found is None:
            return last, ()
        shared, reach = found
    else:
        checks, ends = run.stopped
        frame_of = np.cumsum(np.isin(checks.time, clock.time)) - 1  # the last one at each check
        shared, reach = last.copy(), 0.0
        for seed, check in enumerate(ends.checks.tolist()):
            end = int(frame_of[check])
            found = shared_of(run, np.asarray([seed]), end)
            if found is not None:
                reach = found[1]
                shared[seed] = last[seed] if found[0][0] == end else found[0][0]
    parting = np.flatnonzero(shared < last)
    last = np.minimum(last, shared)
    if not len(parting):
        return last, ()
    first = parting[np.argmin(last[parting])]
    return last, (
        f"a flow of another tolerance parts from the path by more than {reach:.2g} of it after time "
        f"{float(clock.time[last[first]]):g} in seed {run.seeds[first]}, the first of {len(parting)}: from so small a "
        "start neurons come so close to each other that rounding decides when they part again. The time of each is "
        "path_trusted_until.",
    )


def shared_of(run: EndedRun, seeds: Any, end: int) -> tuple[Any, float] | None:
    """The last frame up to one of them that the twin of some seeds shares, (seed,), and at which distance the two have
    parted; None where no twin is run."""
    frames = run.frames.of_seeds(seeds, end + 1)
    problem = run.problem
    if len(seeds) < len(run.seeds):
        problem = run.backend.problem(run.data.of_seeds(seeds), problem.network, run.dtype, 1)
    if run.log is not None:
        problem = with_logged_flows(problem, run.log)
    found = run.dynamics.twin(
        problem, run.place(frames[0]), section(run.clock, 0, end), run.random(seeds.tolist())
    )
    return None if found is None else (chaos.last_shared(frames, *found), found[1])
