"""Notes on a run that diverged, blew up or broke off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.problem import data_of
from twolayer.core.trajectory import Clock

__all__ = []

BLOW_UP = 1e3
"""A loss that rises by more than this factor over its start gets a note."""


def blown_up(loss: Any, clock: Clock, seeds: Sequence[int]) -> tuple[str, ...]:
    """A note for each seed whose loss (seed, time) rose a thousandfold and came back to finite numbers.

    relu neurons thrown out of all samples' reach end such a rise; what follows is the loss of a dead network.
    """
    notes = []
    for seed, values in zip(seeds, loss, strict=True):
        highest = int(np.argmax(np.where(np.isfinite(values), values, -1.0)))
        if values[0] > 0 and np.isfinite(values).all() and values[highest] > BLOW_UP * values[0]:
            notes.append(
                f"seed {seed} blew up without leaving the finite numbers: the loss rose from {values[0]:.3g} to "
                f"{values[highest]:.3g} at step {int(clock.step[highest])} and ends at {values[-1]:.3g}; the step "
                "size is too large"
            )
    return tuple(notes)


ROUNDING = 1e-12
"""Of the largest objective of a seed: a smaller rise is rounding."""


def risen(
    dynamics: Dynamics,
    problem: Any,
    frames: Sequence[Weights],
    decay: Any,
    clock: Clock,
    seeds: Sequence[int],
) -> tuple[str, ...]:
    """A note for each seed in which the objective rises, between two saved times, by more than the dynamics' tolerance
    explains (`Dynamics.largest_rise`); decay (time,). Between times at which λ differs it is not compared."""
    if dynamics.largest_rise is None:
        return ()
    with np.errstate(all="ignore"):
        values = np.stack(
            [
                problem.loss(frame) + problem.penalty(frame, rate)
                for frame, rate in zip(frames, decay, strict=True)
            ],
            1,
        ).astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    rise = np.diff(values, axis=1)
    rise[:, np.diff(decay) != 0] = 0.0
    rounding = max(ROUNDING, float(np.finfo(frames[0].hidden.dtype).eps)) * np.nanmax(
        values, axis=1, initial=0.0
    )
    wrong = (rise > dynamics.largest_rise * values[:, :-1]) & (rise > rounding[:, None])
    notes = []
    for index in np.flatnonzero(wrong.any(1)).tolist():
        first = int(np.argmax(wrong[index]))
        notes.append(
            f"seed {seeds[index]}: the objective rises from {values[index, first]:.6g} at {clock.time[first]:.6g} "
            f"to {values[index, first + 1]:.6g} at {clock.time[first + 1]:.6g}, which no flow does: its "
            "tolerance is too coarse, choose a smaller rtol, and atol: 0"
        )
    return tuple(notes)


def broken_off(lost: Any, clock: Clock, seeds: Sequence[int], stalls: Sequence[str]) -> tuple[str, ...]:
    """A note for each seed whose weights could not be carried to the last frame; lost (seed, time).

    stalls: for each seed why its flow stopped, "" where it did not say.
    """
    unsaid = "its forces are rounding there, or its weights leave the finite numbers"
    return tuple(
        f"seed {seed}: {reached(clock, index)}: {stall or unsaid}. Frames from there on are NaN."
        for seed, index, stall in (
            (seed, int(np.argmax(row)), stall)
            for seed, row, stall in zip(seeds, lost, stalls, strict=True)
            if row.any()
        )
    )


def reached(clock: Clock, index: int) -> str:
    """How far weights came whose frames are lost from an index on."""
    if index == 0:
        return "weights are not finite at the start"
    return f"weights could be carried to time {clock.time[index - 1]:.6g}, not to {clock.time[index]:.6g}"


def unfinished(lost: Any, seeds: Sequence[int], stalls: Sequence[str]) -> tuple[str, ...]:
    """A note for each seed that is finite to the end and of which a dynamics says what it could not reach; lost (seed,
    time)."""
    return tuple(
        f"seed {seed}: {stall}"
        for seed, stall, row in zip(seeds, stalls, lost, strict=True)
        if stall and not row.any()
    )


def diagnose(
    dynamics: Dynamics,
    problem: Any,
    weights: Weights,
    random: Sequence[np.random.Generator],
    seeds: Sequence[int],
    finite: Any,
    clock: Clock,
) -> tuple[Any, tuple[str, ...]]:
    """Run the diverged run again step by step: where each seed left the finite numbers, and from which loss.

    The stable step size of the note is 2 / sharpness where the loss was lowest. A run that stays finite where the
    run did not (rounding may differ) leaves the first saved step that was lost.
    """
    diverged = np.full(len(seeds), -1, dtype=np.int64)
    notes: list[str] = []
    lost = {
        index: int(clock.step[np.argmin(finite[index])])
        for index in np.flatnonzero(~finite.all(axis=1)).tolist()
    }
    last = max(lost.values())
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        first = before = lowest = loss = to_host(problem.loss(weights))
        hidden, output = to_host(weights.hidden).copy(), to_host(weights.output).copy()  # at the lowest loss
        steps = dynamics.steps(problem, weights, random)
        for step in range(last + 1):
            if step > 0:
                weights = problem.network.with_tied_outputs(next(steps))
                before, loss = loss, to_host(problem.loss(weights))
            lower = loss < lowest
            if lower.any():
                hidden[lower], output[lower] = to_host(weights.hidden)[lower], to_host(weights.output)[lower]
                lowest = np.fmin(loss, lowest)
            for index in sorted(lost):
                if not np.isfinite(loss[index]) or step == last:
                    diverged[index] = min(step, lost.pop(index))
                    note = f"seed {seeds[index]} diverged at step {diverged[index]}"
                    if np.isfinite(lowest[index]):
                        alone = data_of(problem.data.mapped(to_host), index).problem(problem.network)
                        sharpness = alone.sharpness(Weights(hidden[index], output[index]))
                        note += (
                            f": the loss was {first[index]:.3g} at the start, {lowest[index]:.3g} at its lowest "
                            f"and {before[index]:.3g} before that step. step_size is {dynamics.descent_step!r}; "
                            f"plain gradient descent is stable below {2.0 / sharpness:.3g} (2 / sharpness where the "
                            "loss was lowest)"
                        )
                    notes.append(f"{note}. Frames from that step on are NaN.")
    return diverged, tuple(notes)
