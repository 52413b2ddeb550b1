"""gradient_flow: dθ/dt = −∇(L + (λ/2)|θ|²), exact between a finite data set's events, implicit on a teacher."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from twolayer import Flow, Loss, Network, Problem, Weights, dynamics
from twolayer.core.arrays import norm, to_host
from twolayer.core.budget import Budget
from twolayer.core.dynamics import WeightDecay
from twolayer.core.loss import refuse_other_losses
from twolayer.core.network import placed_like
from twolayer.core.progress import reached
from twolayer.core.seeds import over_seeds
from twolayer.core.trajectory import Clock, FlowWeights
from twolayer.errors import TrainingError
from twolayer.training.chaos import parted

SMALL = 1e-6
"""Starts on a teacher shorter than this, times the longest teacher, are followed twice: neurons then come so close to
each other that rounding may decide when they part again."""
COARSEST = 1e-2
"""The largest rtol and atol."""
RISE = 10.0
"""A rise of the objective by more than so many times rtol is more than the tolerance explains."""
FINER, PARTED = 1e-2, 1e3
"""The twin's rtol over the flow's, and the distance in units of rtol at which the two have parted."""


@dynamics("gradient_flow")
@dataclass(frozen=True)
class GradientFlow(Flow):
    """dθ/dt = −∇(L + (weight_decay/2)(|a|² + |W|²)) over the trained parameters.

    On finite data: Taylor series between activation changes, each located, and sliding motion along activation
    boundaries (Filippov), in float64 on the host under every backend. On a teacher: implicit Runge–Kutta with the
    exact Jacobian, in min(d, m + k) coordinates, likewise; one teacher is carried to T = 1e8 and beyond.
    Wide networks on a teacher begin with an explicit stabilised method, where it costs less (`stabilized_flow`).
    A smooth σ is integrated likewise on both, by explicit steps of order 8 before (`core.implicit_flow`).
    On finite data a neuron that has come to 0 leaves when a direction of descent opens (`docs/config.md`, Flows).
    weight_decay: a number, or {values, until} as in `regularized_gradient_descent`.
    rtol, atol: error of a step, relative and absolute.
    max_steps, max_seconds: what the flow of one seed may take; frames beyond are NaN, and `stop_reason` says so.
    """

    weight_decay: float | WeightDecay = 0.0
    rtol: float = 1e-10
    atol: float = 0.0
    max_steps: int = 1_000_000
    max_seconds: float = 3600.0

    stays_in_span = True

    def __post_init__(self) -> None:
        if isinstance(self.weight_decay, float) and self.weight_decay < 0:
            raise ValueError(f"weight_decay: must be 0 or above, is {self.weight_decay!r}")
        if not 1e-14 <= self.rtol <= COARSEST:
            raise ValueError(
                f"rtol: must lie in [1e-14, {COARSEST:g}], as below 1e-14 is rounding and above {COARSEST:g} the "
                f"flow is not followed; is {self.rtol!r}"
            )
        if not 0 <= self.atol <= COARSEST:
            raise ValueError(
                f"atol: must lie in [0, {COARSEST:g}], as above the flow is not followed; is {self.atol!r}"
            )
        if self.max_steps < 1:
            raise ValueError(f"max_steps: at least 1, is {self.max_steps!r}")
        if not self.max_seconds > 0:
            raise ValueError(f"max_seconds: must be above 0, is {self.max_seconds!r}")

    def validate_loss(self, loss: Loss, name: str, network: Network) -> None:
        """Refuse a loss that is not square where σ has a kink: the flow between its events is linear for no other."""
        slopes = network.activation.slopes
        if slopes is not None and slopes[0] != slopes[2]:
            refuse_other_losses(loss, name, "the exact flow of an activation with a kink")

    @property
    def most_seconds(self) -> float:
        """The budget of one seed."""
        return self.max_seconds

    @property
    def largest_rise(self) -> float:
        """Along the flow the objective only falls: a rise comes from the tolerance."""
        return RISE * self.rtol

    def weight_decay_at(self, time: float) -> float:
        """λ up to a time: where it changes, still the old one."""
        return WeightDecay.of(self.weight_decay).up_to(time)

    @property
    def settled_after(self) -> float:
        """When λ changes for the last time."""
        return WeightDecay.of(self.weight_decay).last_change

    def twin(
        self, problem: Any, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> tuple[Iterator[Weights], float] | None:
        """A flow of a hundredth of the tolerance, or a few times of it where that is below rounding, from small starts
        on a teacher."""
        longest = norm(to_host(weights.hidden)).max()
        if not problem.on_population:
            return None
        if not 0 < longest < SMALL * norm(to_host(problem.data.hidden)).max():
            return None
        rtol = FINER * self.rtol if FINER * self.rtol >= 1e-12 else 3.0 * self.rtol
        reach = max(parted(np.float64), PARTED * self.rtol)
        return replace(self, rtol=rtol).trajectory(problem, weights, clock, random), reach

    def finer(self, factor: float, least: float) -> tuple[GradientFlow, float]:
        """The flow with a tolerance smaller by a factor, no smaller than the least, and by how much it is smaller."""
        rtol = max(factor * self.rtol, least)
        return replace(self, rtol=rtol), rtol / self.rtol

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights at the saved times, all seeds."""
        hidden, output = to_host(weights.hidden), to_host(weights.output)
        refuse_tiny(problem, hidden)
        with np.errstate(over="ignore", invalid="ignore"):
            in_range = np.isfinite(losses_of(problem, Weights(hidden, output)))
        resting = np.zeros(output.shape, dtype=np.int8)
        if weights.resting is not None:
            resting = weights.resting

        def path(seed: int) -> Iterator[FlowWeights]:
            begin = FlowWeights(hidden[seed], output[seed], resting=resting[seed])
            return self.flow_of_seed(problem, seed, begin, clock.time, bool(in_range[seed]))

        def said(seed: int) -> Iterator[FlowWeights]:
            """The path, which says how far it is: the frames of all seeds come at the end."""
            for time, frame in zip(clock.time.tolist(), path(seed), strict=True):
                reached(time, 1, partial(loss_of_seed, problem, seed, frame))
                yield frame

        seeds = hidden.shape[0]
        frames: Iterable[Sequence[FlowWeights]]
        if seeds == 1:  # each frame as soon as it is reached
            frames = ([frame] for frame in path(0))
        else:
            frames = zip(*over_seeds(lambda seed: list(said(seed)), seeds, problem.threads), strict=True)
        for frame in frames:
            yield FlowWeights(
                placed_like(np.stack([one.hidden for one in frame]), weights.hidden),
                placed_like(np.stack([one.output for one in frame]), weights.output),
                np.array([one.forks for one in frame]),
                tuple(one.stall for one in frame),
                np.stack([one.resting for one in frame]),
            )

    def flow_of_seed(
        self, problem: Problem, seed: int, weights: FlowWeights, times: Any, in_range: bool
    ) -> Iterator[FlowWeights]:
        """One seed's frames at the times, the start first, as they are reached; NaN from a stall on, and where the
        loss of the start is not `in_range` of floats."""
        here = FlowWeights(
            weights.hidden.astype(np.float64), weights.output.astype(np.float64), 0, "", weights.resting
        )
        yield here
        budget = Budget(self.max_steps, self.max_seconds)
        for start, stop, decay in WeightDecay.of(self.weight_decay).pieces(float(times[0]), float(times[-1])):
            saved = times[(times > start) & (times <= stop)]
            moments = np.union1d([start, stop], saved)
            begin = here
            if in_range and np.isfinite(begin.hidden).all() and np.isfinite(begin.output).all():
                tolerance = (self.rtol, self.atol)
                path = problem.flow_of_seed(seed, begin, moments, decay, tolerance, begin.resting, budget)
            else:
                path = itertools.repeat(FlowWeights.lost(begin, begin.resting), len(moments))
            for moment, frame in zip(moments[1:], itertools.islice(path, 1, None), strict=True):
                forks, stall = begin.forks + frame.forks, begin.stall or frame.stall
                here = replace(frame, forks=forks, stall=stall)  # where λ changes, saved or not
                if moment in saved:
                    yield here


def losses_of(problem: Problem, weights: Weights) -> Any:
    """The losses of all seeds on the host, (seed,)."""
    return problem.data.mapped(to_host).problem(problem.network).loss(weights)


def loss_of_seed(problem: Problem, seed: int, weights: Weights) -> Any:
    """The loss of one seed, (1,): hidden (neuron, feature), output (neuron,)."""
    data = problem.data.of_seed(seed).mapped(to_host)
    return data.problem(problem.network).loss(Weights(weights.hidden[None], weights.output[None]))


def refuse_tiny(problem: Problem, hidden: Any) -> None:
    """Refuse starts on a teacher (seed, neuron, feature) at which squares of rates leave the range of floats."""
    longest = norm(hidden).max(-1)
    tiny = (longest > 0) & (longest < problem.shortest_start)
    if tiny.any():
        seed = int(np.argmax(tiny))
        raise TrainingError(
            f"initialization: the longest neuron of seed number {seed} has length {longest[seed]:.3g}; "
            f"gradient_flow on a teacher starts from {problem.shortest_start:g} or above, or at exactly 0"
        )
