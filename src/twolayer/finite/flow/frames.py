"""The flow of given weights on given data, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twolayer.core.arrays import norm
from twolayer.core.budget import Budget, pause
from twolayer.core.network import OUTPUTS, OutputMode
from twolayer.core.saved_state import State, StateStore, restore
from twolayer.errors import TrainingError
from twolayer.finite.flow.clock import FlowClock, start_clock
from twolayer.finite.flow.collocation import build_collocation
from twolayer.finite.flow.coupled import flow_to
from twolayer.finite.flow.decoupled import decoupled_to
from twolayer.finite.flow.neurons import Neurons, outputs_of_network, rebuild_weights, state_of_weights
from twolayer.finite.flow.problem import (
    Floats,
    FlowProblem,
    Lines,
    Samples,
    build_problem,
    sample_residual,
)
from twolayer.finite.flow.rays import build_rays, no_rays
from twolayer.finite.flow.rest import RestWatch, Snapshot, decay_resting
from twolayer.finite.flow.series import Series, build_series
from twolayer.finite.flow.sliding import settle_all
from twolayer.finite.flow.status import ARRIVED, AT_ZERO, PAUSED, STATIONARY, UNSETTLED
from twolayer.finite.flow.zero import ARRIVED_NOW, at_zero
from twolayer.kernels.record import Record

__all__ = ["FlowFrame", "FlowStalled", "flow_frames"]


LOOK = 20
"""After so many steps and events it is looked whether the flow is at rest, and whether its budget is spent."""


class FlowStalled(TrainingError):
    """The integration stopped making progress; the message says at which time, neuron and sample."""


class FlowFrame(NamedTuple):
    """The flow at one time. `stationary`: nothing moves any more; `events`, `steps` and `forks` count from the start.

    resting (neuron,): of neurons at 0, above 1 where one may leave: 2, or 3 where small steps may be caught there.
    """

    time: float
    hidden: Floats  # (neuron, feature)
    output: Floats  # (neuron,)
    residual: Floats  # (sample,) y − h
    events: int
    steps: int
    stationary: bool
    forks: int
    resting: npt.NDArray[np.int8]  # (neuron,)


def flow_frames(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    hidden: npt.ArrayLike,
    output: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    slopes: tuple[float, float, float] = (0.0, 0.0, 1.0),
    output_layer: OutputMode = "trained",
    loss_weight: float,
    output_scale: float = 1.0,
    weight_decay: float = 0.0,
    rtol: float = 1e-10,
    atol: float = 0.0,
    resting: npt.NDArray[np.int8] | None = None,
    budget: Budget | None = None,
    states: StateStore | None = None,
) -> Iterator[FlowFrame]:
    """The frames of `finite_flow`, each as soon as it is computed; the first is the start.

    resting (neuron,): as the last frame of a flow that this one continues; without it a neuron at 0 stays there
    where σ'(0) = 0. budget: beyond it FlowStalled is raised. states: where the state is saved after every so many
    steps; from one that is found there, the frames after it are yielded.
    """
    data, labels, weights, output_weights, times_of_frames = (
        np.array(value, dtype=np.float64, order="C") for value in (inputs, targets, hidden, output, times)
    )
    check_arrays(data, labels, weights, output_weights, times_of_frames)
    if len(slopes) != 3 or not np.all(np.isfinite(slopes)):
        raise ValueError(f"slopes must be three finite numbers, σ' under, at and over 0, not {slopes}")
    if output_layer not in OUTPUTS:
        raise ValueError(
            f"there is no output layer {output_layer!r} here; known: {', '.join(sorted(OUTPUTS))}"
        )
    for name, value in (("loss_weight", loss_weight), ("output_scale", output_scale)):
        if not 0.0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, not {value}")
    if not (0.0 <= weight_decay < np.inf and atol >= 0.0 and 0.0 < rtol < 1.0):
        raise ValueError("weight_decay and atol must be at least 0, and rtol between 0 and 1")
    if output_layer == "tied":
        length = norm(weights)
        if not np.allclose(output_weights, length, rtol=1e-5, atol=0.0):
            raise ValueError("tied outputs must be the norms of the hidden weights")
        output_weights = length
    law = build_problem(
        data,
        labels,
        slopes=slopes,
        radial=OUTPUTS[output_layer],
        loss_weight=loss_weight,
        output_scale=output_scale,
        weight_decay=weight_decay,
    )
    if resting is None:
        resting = np.zeros(len(output_weights), dtype=np.int8)
    start = (weights, output_weights, resting)
    return integrate(*law, start, times_of_frames, output_layer, rtol, atol, budget, states)


def check_arrays(inputs: Floats, targets: Floats, hidden: Floats, output: Floats, times: Floats) -> None:
    """Raise ValueError unless the arrays belong together, are finite, and times increase."""
    if inputs.ndim != 2 or hidden.ndim != 2 or inputs.shape[1] != hidden.shape[1]:
        raise ValueError(
            f"inputs {inputs.shape} and hidden {hidden.shape} must share their second axis, feature"
        )
    if targets.shape != inputs.shape[:1]:
        raise ValueError(f"targets {targets.shape} must have one value per sample, {inputs.shape[:1]}")
    if output.shape != hidden.shape[:1]:
        raise ValueError(f"output {output.shape} must have one value per neuron, {hidden.shape[:1]}")
    if times.ndim != 1 or times.size == 0 or np.any(np.diff(times) <= 0.0):
        raise ValueError("times must be one strictly increasing axis with at least one value")
    named = {"inputs": inputs, "targets": targets, "hidden": hidden, "output": output, "times": times}
    for name, value in named.items():
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name} must be finite")


def integrate(
    problem: FlowProblem,
    lines: Lines,
    samples: Samples,
    start: tuple[Floats, Floats, npt.NDArray[np.int8]],
    times: Floats,
    output_layer: str,
    rtol: float,
    atol: float,
    budget: Budget | None,
    states: StateStore | None,
) -> Iterator[FlowFrame]:
    """`flow_frames` of a problem. start: hidden (neuron, feature), output (neuron,) and resting (neuron,)."""
    hidden, output, resting = start
    neurons, outside_direction = state_of_weights(problem, lines, hidden, output, output_layer)
    frame, _ = state_of_weights(problem, lines, hidden, output, output_layer)
    clock = start_clock(problem, len(hidden), times[0])
    waiting = go_on_resting(problem, neurons, clock, resting)
    outputs_of_network(problem, neurons, clock.residual)
    clock.scale[:] = np.maximum(np.abs(problem.targets), np.abs(clock.residual))
    clock.residual[:] = problem.targets - clock.residual
    residual = clock.residual.copy()
    found = None if states is None else states.load()
    if found is None:
        yield frame_of(times[0], hidden, output, sample_residual(samples, residual), neurons, clock, False)

    # Measured: a product with the Gram matrix per order is cheap for few lines, where longer steps pay.
    few = len(problem.gram) <= 16
    order = min(max(round(-np.log10(rtol)), 8) + (4 if few else 0), 20)
    series = build_series(len(hidden), len(problem.gram), len(problem.targets), problem.rank, order)
    series.residual[:, 0] = residual
    rule = build_collocation(order)
    failed = settle_all(problem, neurons, series.residual, clock.forks)
    if failed >= 0:
        raise FlowStalled(stall_message(UNSETTLED, clock, samples, failed, -1))
    starting = start_at_zero(problem, neurons, clock)
    listed = waiting or starting
    rays = build_rays(problem, lines) if listed else no_rays(problem)
    if starting:
        at_zero(problem, neurons, series, clock, rays)
    most_events = 1_000_000 + 1000 * neurons.projection.size
    decoupled = output_layer != "fixed" and not listed and bool(np.all(neurons.balanced[neurons.moving]))
    watch, at_rest = RestWatch(problem), None
    saved = Saved(neurons, series, clock, frame, residual, watch)
    if states is not None and found is not None:
        saved.restore(found)
        decoupled = False
        if found["listed"] and not listed:
            rays, listed = build_rays(problem, lines), True
    for time in times[1 if states is None else max(1, states.frames) :]:
        status = ARRIVED
        state = neurons
        if decoupled:
            # An output below a thousandth of the tolerance moves nothing that the tolerance would show.
            status = decoupled_to(time, min(1e-3 * rtol, 1e-12), problem, neurons, series, clock)
            outputs_of_network(problem, neurons, residual)
            residual[:] = problem.targets - residual
            clock.residual[:] = residual
            decoupled = clock.times[0] >= time
        if at_rest is not None:
            decay_resting(problem, neurons, time - at_rest)
            at_rest, state, status = time, neurons, STATIONARY
        elif not decoupled and status == ARRIVED:
            status = AT_ZERO
            while status in (AT_ZERO, PAUSED):
                if states is not None:
                    states.offer(partial(saved.state, listed))
                done = int(clock.counts[0] + clock.counts[1])
                status = flow_to(
                    time,
                    most_events,
                    done + pause(budget, LOOK),
                    rule,
                    problem,
                    neurons,
                    series,
                    clock,
                    rtol,
                    atol,
                    frame,
                    residual,
                    rays,
                )
                spent = ""
                if budget is not None:
                    done = int(clock.counts[0] + clock.counts[1]) - done
                    spent = budget.spend(done, float(clock.times[0]))
                if spent and status not in (ARRIVED, STATIONARY):
                    raise FlowStalled(spent)
                if status != PAUSED:
                    watch.note(neurons, clock)
                elif watch.is_at_rest(neurons, clock):
                    status, at_rest = STATIONARY, float(clock.times[0])
                if status == AT_ZERO:
                    if not listed:
                        rays, listed = build_rays(problem, lines), True
                    at_zero(problem, neurons, series, clock, rays)
            state = neurons if status == STATIONARY else frame
            if status == STATIONARY:
                residual[:] = clock.residual
            if at_rest is not None:
                decay_resting(problem, neurons, time - at_rest)
                at_rest = time
        if status not in (ARRIVED, STATIONARY):
            raise FlowStalled(
                stall_message(status, clock, samples, int(clock.counts[4]), int(clock.counts[5]))
            )
        new_hidden, new_output = rebuild_weights(lines, outside_direction, state, output_layer)
        left = sample_residual(samples, residual)
        yield frame_of(time, new_hidden, new_output, left, neurons, clock, status == STATIONARY)


def frame_of(
    time: float,
    hidden: Floats,
    output: Floats,
    residual: Floats,
    neurons: Neurons,
    clock: FlowClock,
    stationary: bool,
) -> FlowFrame:
    """A frame, with what has been counted so far."""
    events, steps, forks = int(clock.counts[0]), int(clock.counts[1]), int(clock.forks[0])
    return FlowFrame(time, hidden, output, residual, events, steps, stationary, forks, neurons.resting.copy())


@dataclass(frozen=True)
class Saved:
    """All that changes from step to step, but for the rays, which are those of the problem."""

    neurons: Neurons
    series: Series
    clock: FlowClock
    frame: Neurons
    residual: Floats
    watch: RestWatch

    @property
    def records(self) -> dict[str, Record]:
        """Those of arrays that kernels fill, by name."""
        return {"neurons": self.neurons, "series": self.series, "clock": self.clock, "frame": self.frame}

    def state(self, listed: bool) -> State:
        """The state after a call of the kernel. listed: whether the rays have been listed."""
        records = {name: record.arrays for name, record in self.records.items()}
        past = {str(index): asdict(snapshot) for index, snapshot in enumerate(self.watch.past)}
        return {"listed": listed, "residual": self.residual, "past": past, **records}

    def restore(self, found: State) -> None:
        """Go on from a state."""
        for name, record in self.records.items():
            restore(record, found[name])
        self.residual[:] = found["residual"]
        self.watch.past[:] = [Snapshot(**snapshot) for snapshot in found["past"].values()]


def go_on_resting(
    problem: FlowProblem, neurons: Neurons, clock: FlowClock, resting: npt.NDArray[np.int8]
) -> bool:
    """Put the neurons to rest that are at 0 and were resting (neuron,); True if there are any.

    Sizes begin anew: those of the neurons as they are. Where all rest the residual is the targets, and none leaves.
    """
    if not len(problem.norm):
        return False
    sizes = np.max(np.abs(neurons.projection) / problem.norm, axis=1)
    at = (resting > 1) & (sizes <= 1e-13 * neurons.outside)
    if not at.any():
        return False
    neurons.projection[at] = 0.0
    neurons.moving[at] = False
    neurons.resting[at] = resting[at]
    clock.reach[:] = np.where(at, 0.0, sizes)
    return True


def start_at_zero(problem: FlowProblem, neurons: Neurons, clock: FlowClock) -> bool:
    """Mark the neurons that start at w = 0 where σ'(0) ≠ 0 moves them, for `at_zero`; True if there are any.

    Where all start there, sizes are those that the targets ask for.
    """
    starting = ~neurons.moving & (neurons.resting == 0) & (neurons.gain != 0.0)
    if not len(problem.norm) or not np.any(problem.slope[1]) or not starting.any():
        return False
    neurons.resting[starting] = ARRIVED_NOW
    sizes = np.max(np.abs(neurons.projection) / problem.norm, axis=1)
    if not sizes.any():
        wanted = np.max(np.abs(problem.targets) / problem.response_norm) / problem.output_scale
        sizes[starting] = 1.0 if problem.radial else wanted / np.max(np.abs(neurons.gain))
    clock.reach[:] = np.maximum(clock.reach, sizes)
    return True


def stall_message(status: int, clock: FlowClock, samples: Samples, neuron: int, line: int) -> str:
    """Where and after how much the integration stopped."""
    where = f"at time {clock.times[0]:.17g} (+ {clock.times[2]:.3g}), neuron {neuron}"
    if line >= 0:
        where += f", sample {np.flatnonzero(samples.line == line)[0]}"
    reason = "the sliding rule did not end" if status == UNSETTLED else "events repeat without progress"
    return f"{where}: {reason}, after {clock.counts[0]} events and {clock.counts[1]} steps"
