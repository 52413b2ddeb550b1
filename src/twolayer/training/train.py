"""Training: the run of a dynamics through the saved times, for all seeds at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.core.backend import Backend
from twolayer.core.budget import reason_of
from twolayer.core.data import Data
from twolayer.core.dynamics import Dynamics, Flow
from twolayer.core.initialization import InitializationSpec
from twolayer.core.network import Network, Weights
from twolayer.core.progress import reached
from twolayer.core.seeds import over_seeds, random_of
from twolayer.core.times import Times
from twolayer.core.trajectory import STOP_REASONS, Clock, Trajectory
from twolayer.core.wording import counted
from twolayer.errors import PluginError
from twolayer.storage.scratch import ScratchArray, parts_of
from twolayer.training import precision
from twolayer.training.checkpoint import Log
from twolayer.training.diagnosis import blown_up, broken_off, diagnose, risen, unfinished
from twolayer.training.frames import CACHED, IN_MEMORY, Frames, PathArray, kept
from twolayer.training.losses import losses
from twolayer.training.measuring import for_measuring
from twolayer.training.recorded import recorded
from twolayer.training.start import refuse_out_of_range, start
from twolayer.training.stop import StopRule, Watch, stopped_path
from twolayer.training.twins import EndedRun, shared_with_descent_twin, shared_with_flow_twin

__all__ = ["train"]

LOOKS = 4
"""How often the loss of a network is taken, about: once at each frame, of some frames in `precision` and `chaos`."""


def train(
    data: Data,
    network: Network,
    initialization: InitializationSpec,
    dynamics: Dynamics,
    times: Times,
    seeds: Sequence[int],
    backend: Backend,
    dtype: str = "float64",
    threads: int = 1,
    stop: StopRule | None = None,
    log: Log | None = None,
    folder: Path | None = None,
    parted: bool = False,
) -> Trajectory:
    """Run a dynamics from its initial weights through the saved times, for all seeds at once.

    A seed whose weights leave the finite numbers is kept up to its last finite frame, NaN from there, and
    named in `notes`: at which step, the loss before, and the largest stable step size where it is known.
    So is a loss that ends below what the weights' precision carries.
    A dynamics that stays in the span of its start runs there, in coordinates found once; only frames are lifted back.
    A descent whose steps are too large somewhere is run again, moved by one unit in the last place now and then: where
    that parts from it, the path depends on rounding (`chaos`).
    Each seed ends where it meets the rule `stop`, and its last state stands for later times.
    log: what was computed before a crash, and is not computed again (`checkpoint`).
    Where seeds have different teachers, each seed is trained separately, `threads` of them at a time.
    folder: for a file without a name that takes the frames where they are more than `frames.IN_MEMORY`; the weights of
    the trajectory are then `PartedArray`s, read by parts. None keeps all in memory. parted: whether weights may be
    `PartedArray`s there too, lifted where they are read.
    """
    clock = dynamics.clock(times)
    size = len(seeds) * len(clock.time) * network.neurons * (data.features + 1) * np.dtype(dtype).itemsize
    scratch = folder if size > IN_MEMORY else None
    if data.apart:

        def train_seed(index: int, out_of: Path | None = None) -> Trajectory:
            one = data.of_seed(index)
            chosen = [seeds[index]]
            return train(
                one,
                network,
                initialization,
                dynamics,
                times,
                chosen,
                backend,
                dtype,
                stop=stop,
                log=log,
                folder=out_of,
            )

        if scratch is None:
            return Trajectory.joined(over_seeds(train_seed, len(seeds), threads))
        return joined_in_file(lambda index: train_seed(index, scratch), len(seeds), scratch, threads)
    hidden, output = start(initialization, data, network, seeds)
    if network.output == "fixed":
        output = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), output.shape).copy()
    full_start = network.with_tied_outputs(Weights(hidden, output))
    refuse_out_of_range("hidden", full_start.hidden, dtype, vectors=True)
    refuse_out_of_range("output", full_start.output, dtype, vectors=False)
    for name, (dimensions, values, _) in data.arrays().items():
        refuse_out_of_range(name, values, dtype, vectors=dimensions[-1:] == ("feature",))
    reduced_start, reduced_data, lift = full_start, data, None
    if dynamics.stays_in_span:
        reduced, reduced_start, lift = data.problem(network).in_span(full_start)
        reduced_data = reduced.data
    problem = backend.problem(reduced_data, network, dtype, threads)
    looked_at = LOOKS * len(clock.time) * len(seeds)
    on_host = reduced_data.mapped(lambda array: np.asarray(array, dtype)).problem(network)
    loaded = problem.flows_compiled and isinstance(dynamics, Flow)
    on_host = for_measuring(on_host, looked_at, threads, loaded)

    def begin() -> Weights:
        """The start on the backend, a copy: a dynamics may change it in place."""
        hidden, output = (
            backend.asarray(np.array(array), dtype) for array in (reduced_start.hidden, reduced_start.output)
        )
        return network.with_tied_outputs(Weights(hidden, output))

    def random() -> list[np.random.Generator]:
        return [random_of(seed, "dynamics") for seed in seeds]

    frames = Frames(len(clock.time), begin(), scratch)
    forks, stalls = None, ("",) * len(seeds)
    checks, stopped = (stop.checks(dynamics, clock) if stop else dynamics.check_clock(clock)), None
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is found and reported below
        if stop is None:
            for frame in recorded(dynamics, log).trajectory(problem, begin(), clock, random()):
                frames.append(kept(frame, reduced_start, dynamics, len(frames), len(clock.time)))
                reached(float(clock.time[len(frames) - 1]), len(seeds), lambda: on_host.loss(frames[-1]))
                forks = None if frame.forks is None else np.asarray(frame.forks, dtype=np.int64)
                stalls = frame.stall or stalls
        else:
            exact = reduced_data.mapped(lambda array: np.asarray(array, np.float64))
            stopped = stopped_path(
                recorded(dynamics, log),
                lambda chosen: backend.problem(reduced_data.of_seeds(chosen), network, dtype, threads),
                lambda chosen: Watch(
                    stop, dynamics, lambda some: exact.of_seeds(some).problem(network), chosen, checks.time
                ),
                begin(),
                checks,
                np.isin(checks.time, clock.time),
                random(),
                threads,
                scratch,
            )
            frames, forks, stalls = stopped.frames, stopped.forks, stopped.stalls
        if len(frames) < len(clock.time):
            raise PluginError(
                f"dynamics {type(dynamics).__name__}: yields {counted(len(frames), 'frame')}; must yield "
                f"{len(clock.time)}, one for each saved time, the start first"
            )
        loss = losses(on_host, frames)  # they overflow before the weights do
        trusted = precision.last_trusted(on_host, frames, threads, loaded)
    trajectory: Any = Weights(
        *(PathArray(frames, part, lift, full_start, dtype, threads) for part in ("hidden", "output"))
    )
    if scratch is None and not parted:
        trajectory = Weights(np.asarray(trajectory.hidden), np.asarray(trajectory.output))
    decay = np.asarray([dynamics.weight_decay_at(float(time)) for time in clock.time])
    finite = np.isfinite(loss) & (
        all_finite(trajectory, CACHED, threads) if scratch is None else all_finite(trajectory)
    )
    diverged = np.full(len(seeds), -1, dtype=np.int64)
    notes = precision.rounding_notes(trusted, loss, clock, seeds, dtype)
    if dynamics.descent_step is not None:
        notes += blown_up(loss, clock, seeds)
    notes += risen(dynamics, on_host, frames, loss, decay, clock, seeds)
    notes += unfinished(~finite, seeds, stalls)
    if not finite.all():
        lost = ~np.logical_and.accumulate(finite, axis=1)
        if dynamics.descent_step is not None:
            diverged, messages = diagnose(dynamics, problem, begin, random, seeds, finite, clock)
            lost |= (diverged[:, None] >= 0) & (clock.step >= diverged[:, None])
        else:
            messages = broken_off(lost, clock, seeds, stalls)
        notes += messages
        for array in (trajectory.hidden, trajectory.output):
            if isinstance(array, PathArray):
                array.lost = lost
            else:
                array[lost] = np.nan
    path_trusted = None
    if dynamics.checks_rounding(problem):
        run = EndedRun(
            dynamics,
            backend,
            reduced_data,
            problem,
            on_host,
            clock,
            decay,
            seeds,
            dtype,
            frames,
            loss,
            finite,
            None if stopped is None else (checks, stopped),
            log,
        )
        shared, messages = (
            shared_with_flow_twin if dynamics.descent_step is None else shared_with_descent_twin
        )(run, threads)
        path_trusted, notes = clock.time[shared], notes + messages
    if forks is not None:
        notes += forked(forks, seeds)
    stop_time, reason = None, None
    if stopped is not None:
        stop_time, reason = (
            np.where(stopped.checks >= 0, checks.time[stopped.checks], np.nan),
            stopped.reasons,
        )
    stop_time, reason = with_budget(stop_time, reason, stalls, finite, clock)
    return Trajectory(
        clock, trajectory, decay, diverged, clock.time[trusted], notes,
        flow_forks=forks, path_trusted_until=path_trusted, stop_time=stop_time, stop_reason=reason,
    )  # fmt: skip


def all_finite(weights: Weights, most: int | None = None, threads: int = 1) -> Any:
    """Whether all weights of a trajectory are finite, (seed, time): `threads` parts of `most` bytes at a time."""
    hidden, output = weights.hidden, weights.output
    parts = list(parts_of(hidden.shape, hidden.dtype.itemsize, most))
    found = np.empty(output.shape[:2], dtype=bool)

    def look(index: int) -> None:
        part = parts[index]
        found[part] = np.isfinite(hidden[part]).all((2, 3)) & np.isfinite(output[part]).all(2)

    over_seeds(look, len(parts), threads)
    return found


def joined_in_file(
    train_seed: Callable[[int], Trajectory], seeds: int, folder: Path, threads: int
) -> Trajectory:
    """The trajectories of different seeds, by their index, as one, whose weights are in a file."""
    joint: list[ScratchArray] = []
    lock = threading.Lock()

    def store(index: int) -> Trajectory:
        run = train_seed(index)
        arrays = run.weights.hidden, run.weights.output
        with lock:
            if not joint:
                joint.extend(ScratchArray((seeds, *each.shape[1:]), each.dtype, folder) for each in arrays)
        for array, values in zip(joint, arrays, strict=True):
            for rows, columns in parts_of(values.shape, array.dtype.itemsize):
                array[index : index + 1, columns] = values[rows, columns]
        return replace(run, weights=Weights(np.empty((1, 0)), np.empty((1, 0))))

    runs = over_seeds(store, seeds, threads)
    return replace(Trajectory.joined(runs), weights=Weights(*joint))


def with_budget(
    stop_time: Any, reason: Any, stalls: Sequence[str], finite: Any, clock: Clock
) -> tuple[Any, Any]:
    """Stop times and reasons, (seed,) or None, with those of seeds that have spent a flow's budget. finite (seed,
    time)."""
    spent = [reason_of(stall) for stall in stalls]
    if not any(spent):
        return stop_time, reason
    if stop_time is None:
        stop_time, reason = np.full(len(spent), np.nan), np.zeros(len(spent), dtype=np.int8)
    for index in np.flatnonzero(spent).tolist():
        frames = int(np.logical_and.accumulate(finite[index]).sum())
        stop_time[index] = clock.time[frames - 1] if frames else np.nan
        reason[index] = STOP_REASONS.index(spent[index]) + 1
    return stop_time, reason


def forked(forks: Any, seeds: Sequence[int]) -> tuple[str, ...]:
    """The note on seeds whose flow met points where the limit of small steps is not unique; forks (seed,)."""
    met = [f"{seed} ({count})" for seed, count in zip(seeds, forks.tolist(), strict=True) if count]
    if not met:
        return ()
    return (
        "the limit of small descent steps is not unique on the path of the flow, which follows one limit; seeds, "
        f"with the number of such points (flow_forks): {', '.join(met)}",
    )
