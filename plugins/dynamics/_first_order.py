"""Descents that take one gradient a step: step sizes of layers, batches, and what is carried from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import Descent, Network, Problem, ProblemSpec, Weights
from twolayer.core.arrays import to_host
from twolayer.core.trajectory import WeightsWithMemory
from twolayer.errors import TrainingError

MOST_IN_ORDER = 2**24
"""Samples in an order that a save holds exactly in float32."""

MOST_NUMBERS = 10**9
"""Of one batch; it lies in memory."""

Memory = Mapping[str, Any]
"""By name, arrays that lead with the seeds: what a rule carries from step to step."""

Rule = Callable[[Weights, Memory], tuple[Weights, Memory]]
"""(gradient, memory; none at the first step) -> the direction u of θ ← θ − step_size u, and the memory after it."""


def plain(gradient: Weights, memory: Memory) -> tuple[Weights, Memory]:
    """The rule of gradient descent, u = g."""
    return gradient, {}


class EpochOrder:
    """Batches by epochs: the samples of each seed in an order drawn anew for each epoch, so many at a time; the last
    batch of an epoch has what is left."""

    def __init__(
        self, samples: int, size: int, random: Sequence[np.random.Generator], memory: Memory
    ) -> None:
        self.samples, self.size, self.random = samples, size, random
        self.order: Any = np.zeros((len(random), 0))
        self.position = samples
        if "order" in memory:
            self.order = to_host(memory["order"]).astype(np.int64)
            self.position = int(to_host(memory["position"])[0])

    def following(self) -> Any:
        """The samples of the next batch, (seed, sample), each of them once in an epoch."""
        if self.position >= self.samples:
            self.order = np.stack([each.permutation(self.samples) for each in self.random])
            self.position = 0
        first, self.position = self.position, min(self.position + self.size, self.samples)
        return self.order[:, first : self.position]

    @property
    def memory(self) -> Memory:
        """The order of this epoch (seed, sample), and how many of it were taken (seed,)."""
        return {"order": self.order, "position": np.full(len(self.order), self.position)}


def steps_of(
    problem: Problem,
    weights: Weights,
    random: Sequence[np.random.Generator],
    step_sizes: tuple[float, float],
    batch_size: int | None = None,
    epochs: bool = False,
    rule: Rule = plain,
) -> Iterator[Weights]:
    """W ← W − η_W u_W and a ← a − η_a u_a without end, u of the gradient on all data or on batches.

    step_sizes: (η_W, η_a). batch_size: None for all data, or the population. The weights of each step carry the rule's
    memory and the order of the epoch, and are gone on from where they have them.
    """
    state: Memory = weights.memory or {}
    order = None
    if batch_size is not None and problem.data.samples is not None:
        refuse_above(batch_size, problem.data.samples)
        if epochs:
            order = EpochOrder(problem.data.samples, batch_size, random, state)
    state = {name: array for name, array in state.items() if name not in ("order", "position")}
    while True:
        seen = problem
        if order is not None:
            seen = problem.on_samples(weights, order.following())
        elif batch_size is not None:
            seen = problem.batch(weights, batch_size, random)
        direction, state = rule(seen.gradient(weights), state)
        moved = problem.network.with_tied_outputs(
            Weights(
                weights.hidden - step_sizes[0] * direction.hidden,
                weights.output - step_sizes[1] * direction.output,
            )
        )
        memory = {**state, **(order.memory if order is not None else {})}
        weights = WeightsWithMemory(moved.hidden, moved.output, memory) if memory else moved
        yield weights


def refuse_above(batch_size: int, samples: int) -> None:
    """Refuse, in training, a batch of more samples than data have whose number no config knew."""
    try:
        check_batch(batch_size, samples)
    except ValueError as error:
        raise TrainingError(f"dynamics.{error}") from None


def check_batch(batch_size: int, samples: int) -> None:
    """Refuse more samples than there are: they are drawn without replacement."""
    if batch_size > samples:
        raise ValueError(
            f"batch_size: {batch_size} of {samples} samples cannot be drawn without replacement; "
            f"{samples} at most"
        )


def check_batches(problem: ProblemSpec, batch_size: int, epochs: bool) -> None:
    """Refuse batches that the data do not have, that memory does not hold, or epochs of what has none."""
    if epochs:
        check_epochs(problem)
    samples, features = problem.size
    if samples is not None:
        check_batch(batch_size, samples)
    if batch_size * (features or 1) > MOST_NUMBERS:
        raise ValueError(f"batch_size: a batch of {batch_size} samples is more than memory holds")


def check_epochs(problem: ProblemSpec) -> None:
    """Refuse epochs where samples are drawn without end, or are more than a save holds the order of."""
    samples, _ = problem.size
    if "finite" not in problem.laws or (samples is None and "population" in problem.laws):
        raise ValueError(
            "epochs: a population has no samples to go through; set samples of the problem, or leave epochs out"
        )
    if samples is not None and samples > MOST_IN_ORDER:
        raise ValueError(f"epochs: the order of {samples} samples is not kept; {MOST_IN_ORDER} at most")


def check_output_step(output_step_size: float | None, network: Network | None = None) -> None:
    """Refuse a step size of the output layer that is none, or where outputs do not move by themselves."""
    if output_step_size is None:
        return
    if not output_step_size > 0:
        raise ValueError(f"output_step_size: must be above 0, is {output_step_size!r}")
    if network is not None and network.output != "trained":
        raise ValueError(
            f"output_step_size: the outputs of this network are {network.output}; leave it out, or set "
            "network.output: trained"
        )


@dataclass(frozen=True)
class FirstOrder(Descent):
    """Base of descents with a rule: θ ← θ − step_size u. A subclass adds fields with defaults and writes `direction`.

    output_step_size: of the output layer, where it is another; time is that of `step_size`.
    batch_size: samples a step, fresh ones on a teacher's population; without it all data, or the population's loss.
    epochs: whether batches go through finite data, each sample once an epoch, in an order that is drawn for each epoch
    anew; without it each batch is drawn from all samples.
    """

    output_step_size: float | None = None
    batch_size: int | None = None
    epochs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output_step(self.output_step_size)
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size: at least 1, is {self.batch_size}")
        if self.epochs and self.batch_size is None:
            raise ValueError("epochs: only with batches; give batch_size")

    def direction(self, gradient: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """u and the memory after the step; `memory` is empty at the first step."""
        raise TypeError(f"{type(self).__name__} must define direction(gradient, memory)")

    @property
    def samples_per_step(self) -> int | None:
        """A batch."""
        return self.batch_size

    def resumes(self) -> bool:
        """Yes: the weights carry the memory."""
        return True

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a step size of outputs that do not move, and batches that the data do not have."""
        check_output_step(self.output_step_size, network)
        if self.batch_size is not None:
            check_batches(problem, self.batch_size, self.epochs)

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another."""
        sizes = self.step_size, self.output_step_size or self.step_size
        return steps_of(problem, weights, random, sizes, self.batch_size, self.epochs, self.direction)
