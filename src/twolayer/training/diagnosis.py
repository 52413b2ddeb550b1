"""Notes on a run that diverged, blew up or broke off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.problem import data_of
from twolayer.core.trajectory import Clock
from twolayer.core.wording import counted

__all__ = []

DETAILED = 10
"""Seeds whose notes say what was found; of more, how many they are and where to look."""

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
    return first_of(notes, "blew up as these did")


def first_of(notes: Sequence[str], what: str) -> tuple[str, ...]:
    """The first notes on seeds, one for each, and how many there are more, of which it says what they did."""
    more = len(notes) - DETAILED
    return (*notes[:DETAILED], *[f"{counted(more, 'further seed')} {what}"] * (more > 0))


TOO_LARGE = "the weights that it starts from are too large for it"

ROUNDING = 1e-12
"""Of the largest objective of a seed: a smaller rise is rounding."""


def risen(
    dynamics: Dynamics,
    problem: Any,
    frames: Sequence[Weights],
    loss: Any,
    decay: Any,
    clock: Clock,
    seeds: Sequence[int],
) -> tuple[str, ...]:
    """A note for each seed in which the objective rises, between two saved times, by more than the dynamics' tolerance
    explains (`Dynamics.largest_rise`); loss (seed, time), decay (time,). Between times at which λ differs it is not
    compared."""
    if dynamics.largest_rise is None:
        return ()
    with np.errstate(all="ignore"):
        values = np.array(loss, dtype=np.float64)
        for index in np.flatnonzero(decay).tolist():
            values[:, index] += problem.penalty(frames[index], decay[index])
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
    return first_of(notes, "have an objective that rises, for the same reason")


def broken_off(lost: Any, clock: Clock, seeds: Sequence[int], stalls: Sequence[str]) -> tuple[str, ...]:
    """A note for each seed whose weights could not be carried to the last frame; lost (seed, time).

    stalls: for each seed why its flow stopped, "" where it did not say.
    """
    unsaid = "its forces are rounding there, or its weights leave the finite numbers"
    notes = [
        f"seed {seed}: {reached(clock, index)}: {stall or (unsaid if index else TOO_LARGE)}. Frames from "
        "there on are NaN."
        for seed, index, stall in (
            (seed, int(np.argmax(row)), stall)
            for seed, row, stall in zip(seeds, lost, stalls, strict=True)
            if row.any()
        )
    ]
    return first_of(
        notes, "could not be carried to the last saved time; their frames are NaN from where they ended"
    )


def reached(clock: Clock, index: int) -> str:
    """How far weights came whose frames are lost from an index on."""
    if index == 0:
        return "the loss is not finite at the start"
    return f"weights could be carried to time {clock.time[index - 1]:.6g}, not to {clock.time[index]:.6g}"


def unfinished(lost: Any, seeds: Sequence[int], stalls: Sequence[str]) -> tuple[str, ...]:
    """A note for each seed that is finite to the end and of which a dynamics says what it could not reach; lost (seed,
    time)."""
    notes = [
        f"seed {seed}: {stall}"
        for seed, stall, row in zip(seeds, stalls, lost, strict=True)
        if stall and not row.any()
    ]
    return first_of(notes, "did not reach all that was asked for")


PIECES = 64
"""Steps between two known ones at which the search for a step of divergence looks, at least 2 where seeds are many."""

ROUNDS = 40
"""Runs of the search at most, where rounding leads each elsewhere."""

LOOKS = 4096
"""Steps at which one run of the search looks, about."""


@dataclass
class Divergence:
    """Where one seed left the finite numbers: after step `low`, at step `high` or before."""

    low: int
    high: int
    first: float = np.nan
    """The loss at the start."""
    before: float = np.nan
    """The loss at step `low`."""
    lowest: float = np.inf
    """The lowest loss of those looked at, and the weights there."""
    at_lowest: Weights | None = None


def diagnose(
    dynamics: Dynamics,
    problem: Any,
    begin: Callable[[], Weights],
    random: Callable[[], Sequence[np.random.Generator]],
    seeds: Sequence[int],
    finite: Any,
    clock: Clock,
) -> tuple[Any, tuple[str, ...]]:
    """Run the diverged run again, looking between its saved steps, ever closer: where each seed left the finite
    numbers, and from which loss.

    The stable step size of the note is 2 / sharpness where the loss was lowest. A run that stays finite where the
    run did not (rounding may differ) leaves the first saved step that was lost. begin, random: make the start and its
    random generators anew.
    """
    steps = np.asarray(clock.step)
    found = {}
    for index in np.flatnonzero(~finite.all(axis=1)).tolist():
        lost = int(np.argmin(finite[index]))
        found[index] = Divergence(int(steps[max(lost - 1, 0)]), int(steps[lost]))
    looked = steps[steps <= max(one.high for one in found.values())]
    for _ in range(ROUNDS):
        closer = between(found.values())
        look_at(dynamics, problem, begin, random, found, np.union1d(looked, closer))
        if not any(one.high - one.low > 1 for one in found.values()):
            break
        looked = steps[:1]
    diverged = np.full(len(seeds), -1, dtype=np.int64)
    notes: list[str] = []
    for index, one in found.items():
        diverged[index] = one.high
        if len(notes) < DETAILED:
            note = f"seed {seeds[index]} diverged at step {one.high}"
            if one.high == 0:
                note += f": the loss is not finite there: {TOO_LARGE}"
            if one.at_lowest is not None:
                alone = data_of(problem.data.mapped(to_host), index).problem(problem.network)
                with np.errstate(all="ignore"):
                    stable = 2.0 / float(alone.sharpness(one.at_lowest))
                note += (
                    f": the loss was {one.first:.3g} at the start, {one.lowest:.3g} at its lowest and "
                    f"{one.before:.3g} before that step. step_size is {dynamics.descent_step!r}; "
                    f"plain gradient descent is stable below {stable:.3g} (2 / sharpness where the loss was lowest)"
                )
            notes.append(f"{note}. Frames from that step on are NaN.")
    if len(found) > DETAILED:
        later = diverged[list(found)[DETAILED:]]
        notes.append(
            f"{counted(len(later), 'further seed')} diverged, at steps {later.min()} to {later.max()}: "
            "diverged_step has that of "
            "each. Frames from there on are NaN."
        )
    return diverged, tuple(notes)


def between(found: Iterable[Divergence]) -> Any:
    """Steps to look at: of each span that is longer than one step its ends and some in it, evenly spaced."""
    spans = {(one.low, one.high) for one in found}
    pieces = max(2, min(PIECES, LOOKS // len(spans)))
    steps = [np.linspace(low, high, min(pieces, high - low) + 1).round() for low, high in spans]
    return np.unique(np.concatenate(steps)).astype(np.int64)


def look_at(
    dynamics: Dynamics,
    problem: Any,
    begin: Callable[[], Weights],
    random: Callable[[], Sequence[np.random.Generator]],
    found: Mapping[int, Divergence],
    steps: Any,
) -> None:
    """Run the dynamics through steps, the first of which is its first, and narrow the span of each seed in which it
    left the finite numbers."""
    clock = Clock(dynamics.descent_step * steps, steps)
    narrowed = {
        index: [one.low, one.high - 1] for index, one in found.items()
    }  # where it stays finite: at `high`
    left = set(found)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        last = 0
        path = dynamics.trajectory(problem, begin(), clock, random())
        for step, weights in zip(steps.tolist(), path, strict=False):
            loss = to_host(problem.loss(weights))
            for index in sorted(left):
                one, value = found[index], float(loss[index])
                if step == steps[0]:
                    one.first = value
                if not np.isfinite(value):
                    narrowed[index] = [min(last, step), step]
                    left.remove(index)
                    continue
                if step >= one.high:
                    narrowed[index] = [one.high - 1, one.high]
                    left.remove(index)
                    continue
                narrowed[index], one.before = [step, one.high], value
                if value < one.lowest:
                    one.lowest = value
                    one.at_lowest = Weights(
                        *(to_host(part)[index].copy() for part in (weights.hidden, weights.output))
                    )
            last = step
            if not left:
                break
    for index, span in narrowed.items():
        found[index].low, found[index].high = span
