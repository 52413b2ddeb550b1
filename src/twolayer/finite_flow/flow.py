"""The flow of given weights on given data, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from twolayer.finite_flow.coupled import ARRIVED, HELD, UNSETTLED, flow_to, start_clock
from twolayer.finite_flow.neurons import outputs_of_network, place_neurons, rebuild_weights
from twolayer.finite_flow.problem import Floats, build_problem, sample_residual
from twolayer.finite_flow.series import build_series
from twolayer.finite_flow.sliding import settle

__all__ = ["FlowFrame", "FlowPath", "FlowStalled", "finite_flow", "flow_frames"]


class FlowStalled(RuntimeError):
    """The integration stopped making progress; the message says at which time, neuron and sample."""


class FlowFrame(NamedTuple):
    """The flow at one time."""

    time: float
    hidden: Floats  # (neuron, feature)
    output: Floats  # (neuron,)
    residual: Floats  # (sample,) y − h
    events: int
    steps: int
    held: bool


@dataclass(frozen=True)
class FlowPath:
    """The flow at all times asked for.

    hidden: (time, neuron, feature); output: (time, neuron); residual: (time, sample) y − h, carried as a variable
    of its own once it is small, where the weights no longer resolve it; events, steps: numbers of pattern
    changes and Taylor steps; held_from: the first of the times at which nothing moved any more because every
    residual was below 1e-20 of its scale, or infinity.
    """

    hidden: Floats
    output: Floats
    residual: Floats
    events: int
    steps: int
    held_from: float


def flow_frames(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    hidden: npt.ArrayLike,
    output: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    activation: Literal["relu", "abs"] = "relu",
    output_layer: Literal["trained", "fixed", "tied"] = "trained",
    loss_weight: float,
    output_scale: float = 1.0,
    weight_decay: float = 0.0,
    rtol: float = 1e-10,
    atol: float = 0.0,
) -> Iterator[FlowFrame]:
    """The frames of `finite_flow`, each as soon as it is known."""
    inputs = np.ascontiguousarray(inputs, dtype=np.float64)
    targets = np.ascontiguousarray(targets, dtype=np.float64)
    hidden = np.ascontiguousarray(hidden, dtype=np.float64)
    output = np.ascontiguousarray(output, dtype=np.float64)
    times = np.ascontiguousarray(times, dtype=np.float64)
    radial = {"trained": 1, "tied": 2, "fixed": 0}[output_layer]
    problem, lines, samples = build_problem(
        inputs,
        targets,
        activation=activation,
        radial=radial,
        loss_weight=loss_weight,
        output_scale=output_scale,
        weight_decay=weight_decay,
    )
    neurons, direction = place_neurons(problem, lines, hidden, output, output_layer)
    frame, _ = place_neurons(problem, lines, hidden, output, output_layer)
    clock = start_clock(problem, len(hidden), times[0])
    outputs_of_network(problem, neurons, clock.residual)
    clock.scale[:] = np.maximum(np.abs(problem.targets), np.abs(clock.residual))
    clock.residual[:] = problem.targets - clock.residual
    for j in np.flatnonzero(neurons.moving):
        if not settle(j, -1, problem, neurons, clock.residual):
            raise FlowStalled(f"at time {times[0]} the sliding rule of neuron {j} did not settle")
    order = min(max(round(-np.log10(rtol)), 4), 16)
    series = build_series(len(hidden), len(problem.gram), len(problem.targets), problem.rank, order)
    most_events = 1_000_000 + 1000 * neurons.projection.size
    frame_residual = clock.residual.copy()

    yield FlowFrame(times[0], hidden.copy(), output.copy(), sample_residual(samples, clock.residual), 0, 0, False)
    for time in times[1:]:
        status = flow_to(time, most_events, problem, neurons, series, clock, rtol, frame, frame_residual)
        events, steps = int(clock.counts[0]), int(clock.counts[1])
        if status not in (ARRIVED, HELD):
            raise FlowStalled(
                f"at time {clock.times[0]} neuron {clock.counts[4]}, line {clock.counts[5]}: "
                + ("the sliding rule did not settle" if status == UNSETTLED else "events repeat without progress")
                + f" after {events} events and {steps} steps"
            )
        own_hidden, own_output = rebuild_weights(
            lines,
            direction,
            neurons,
            frame.projection,
            frame.log_scale,
            frame.gain,
            frame.outside,
            output_layer=output_layer,
        )
        yield FlowFrame(
            time, own_hidden, own_output, sample_residual(samples, frame_residual), events, steps, status == HELD
        )


def finite_flow(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    hidden: npt.ArrayLike,
    output: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    activation: Literal["relu", "abs"] = "relu",
    output_layer: Literal["trained", "fixed", "tied"] = "trained",
    loss_weight: float,
    output_scale: float = 1.0,
    weight_decay: float = 0.0,
    rtol: float = 1e-10,
    atol: float = 0.0,
) -> FlowPath:
    """Gradient flow of a two-layer network on finite data."""
    frames = list(
        flow_frames(
            inputs,
            targets,
            hidden,
            output,
            times,
            activation=activation,
            output_layer=output_layer,
            loss_weight=loss_weight,
            output_scale=output_scale,
            weight_decay=weight_decay,
            rtol=rtol,
            atol=atol,
        )
    )
    held = [frame.time for frame in frames if frame.held]
    return FlowPath(
        hidden=np.stack([frame.hidden for frame in frames]),
        output=np.stack([frame.output for frame in frames]),
        residual=np.stack([frame.residual for frame in frames]),
        events=frames[-1].events,
        steps=frames[-1].steps,
        held_from=held[0] if held else np.inf,
    )
