"""Training: what a dynamics, an initialisation and a backend are, and the run of one through the saved times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from twolayer import chaos, trust
from twolayer.model import EmpiricalProblem, FiniteData, Network, Weights, to_host
from twolayer.seeds import over_seeds, random_of
from twolayer.times import Times
from twolayer.trajectory import Clock, FlowWeights, Trajectory

__all__ = ["Backend", "Descent", "Dynamics", "Flow", "Initialization", "Jump", "WeightDecay", "train"]


BLOW_UP = 1e3
"""A loss that rises by more than this factor over its start is told of."""


@dataclass(frozen=True)
class WeightDecay:
    """λ as a schedule: `values[i]` until time `until[i]`, the last value for ever after."""

    values: list[float]
    until: list[float]

    def __post_init__(self) -> None:
        if len(self.until) != len(self.values) - 1:
            raise ValueError(
                f"until: {len(self.values)} values need {len(self.values) - 1} times at which one gives way "
                f"to the next, not {len(self.until)}"
            )
        if any(value < 0 for value in self.values):
            raise ValueError(f"values: weight decay is not negative, as in {self.values}")
        if list(self.until) != sorted(set(self.until)):
            raise ValueError(f"until: times must increase strictly, unlike {self.until}")

    @classmethod
    def of(cls, weight_decay: float | WeightDecay) -> WeightDecay:
        """A number or a schedule, as a schedule."""
        return weight_decay if isinstance(weight_decay, WeightDecay) else cls([float(weight_decay)], [])

    def at(self, time: float) -> float:
        """λ from a time on; at a moment of change, the new value (also where step · step_size rounds to below it)."""
        return self.values[
            sum(time >= until or math.isclose(time, until, rel_tol=1e-12) for until in self.until)
        ]

    def up_to(self, time: float) -> float:
        """λ up to a time; at a moment of change, the old value, which led to the weights there."""
        return self.values[
            sum(time > until and not math.isclose(time, until, rel_tol=1e-12) for until in self.until)
        ]

    def pieces(self, start: float, stop: float) -> Iterator[tuple[float, float, float]]:
        """(start, stop, λ) over [start, stop], split where λ changes."""
        edges = [start, *(until for until in self.until if start < until < stop), stop]
        for begin, end in itertools.pairwise(edges):
            yield begin, end, self.at(begin)


class Dynamics(Protocol):
    """How weights move: the fields of a dataclass are its config section, `trajectory` is its rule.

    Arrays of a device meet arrays of that device only: a trajectory takes and yields weights that lie where the
    problem's data lie. One that works on the host takes them there by `model.to_host`, and places its frames back by
    `model.placed_like`. Whatever looks at frames, here and in metrics, does so on the host.

    A class attribute `stays_in_span` (default: False) says that each update is a combination of weights and
    gradients so far, with coefficients that no rotation of the features changes: on a teacher it is then run in
    min(d, m + k) coordinates. One of `host_reason` (default: empty) says why it is computed on the host under every
    backend; a method `step_count(times)` says how many steps it takes, so that few of them go to the host, too.
    """

    def clock(self, times: Times) -> Clock:
        """The saved moments of this dynamics for a `times` section."""

    def weight_decay_at(self, time: float) -> float:
        """λ of the objective L + (λ/2)(|a|² + |W|²) that a moment's weights are seen with; 0 where nothing is added
        to the loss. Where λ changes it is the old one, which led there: the moment belongs to what ended in it."""

    def trajectory(
        self, problem: EmpiricalProblem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights at each saved moment, the start first, beside the data. `random` holds one generator a seed."""


@dataclass(frozen=True)
class Descent:
    """Base of discrete dynamics. A subclass adds fields and writes `steps`; step k is at time step_size·k."""

    step_size: float

    stays_in_span: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.step_size > 0:
            raise ValueError(f"step_size: must be above 0, is {self.step_size!r}")

    def clock(self, times: Times) -> Clock:
        """Saved steps and their times."""
        return times.clock(self.step_size)

    def step_count(self, times: Times) -> int:
        """The number of the last saved step."""
        return int(self.clock(times).step[-1])

    def weight_decay_at(self, time: float) -> float:
        """No penalty, unless a subclass says so."""
        return 0.0

    def steps(
        self, problem: EmpiricalProblem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights after step 1, 2, 3, … without end; memory between steps is a local variable."""
        raise TypeError(f"{type(self).__name__} must define steps(problem, weights, random)")

    def trajectory(
        self, problem: EmpiricalProblem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The states of `steps` at the saved steps."""
        steps, done = self.steps(problem, weights, random), 0
        for step in clock.step:
            for _ in range(int(step) - done):
                weights = problem.network.closed(next(steps))
            done = int(step)
            yield weights


@dataclass(frozen=True)
class Flow:
    """Base of continuous dynamics. A subclass adds fields and writes `trajectory`."""

    stays_in_span: ClassVar[bool] = False
    host_reason: ClassVar[str] = "gradient flow is computed on the host"

    def clock(self, times: Times) -> Clock:
        """Saved times."""
        return times.clock()

    def weight_decay_at(self, time: float) -> float:
        """No penalty, unless a subclass says so."""
        return 0.0

    def twin(
        self, problem: Any, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> tuple[Iterator[Weights], float] | None:
        """The frames of a second flow that shares the path unless that hangs on rounding, and the relative distance at
        which the two have parted; None where no second flow is run. Arguments as of `trajectory`."""
        return None


@dataclass(frozen=True)
class Jump:
    """Base of what acts at once: the start at time 0, and from then on the weights that `jump` makes of it."""

    def clock(self, times: Times) -> Clock:
        """Saved times."""
        return times.clock()

    def step_count(self, times: Times) -> int:
        """None."""
        return 0

    def weight_decay_at(self, time: float) -> float:
        """No penalty, unless a subclass says so."""
        return 0.0

    def jump(
        self, problem: EmpiricalProblem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Weights:
        """The weights after the jump."""
        raise TypeError(f"{type(self).__name__} must define jump(problem, weights, random)")

    def trajectory(
        self, problem: EmpiricalProblem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The start, then the jumped weights at every later time."""
        yield weights
        jumped = problem.network.closed(self.jump(problem, weights, random))
        for _ in clock.time[1:]:
            yield jumped


class Initialization(Protocol):
    """Where weights start: the fields of a dataclass are its config section."""

    def draw(self, data: FiniteData, network: Network, random: np.random.Generator) -> Weights:
        """The weights of one seed on the host: hidden (neuron, feature), output (neuron).

        The drawn output is used where outputs are trained; fixed and tied ones follow from the network. An
        initialisation that must know the seed's number has a method `of_seed(seed)` that returns one to draw from.
        """


class Backend(Protocol):
    """Where weights move: it holds arrays, and gives the problem its fastest descents and gradient there.

    A class attribute `on_device` (default: False) says that a device of its own holds the arrays, whose start takes
    time and which jobs share: small runs are then trained on the host (`placement`).
    """

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array on the backend."""

    def problem(self, data: FiniteData, network: Network, threads: int) -> EmpiricalProblem:
        """The network on data that `asarray` has already placed."""


def start(initialization: Any, data: Any, network: Network, seeds: Sequence[int]) -> tuple[Any, Any]:
    """The initial weights of all seeds in float64: hidden (seed, neuron, feature), output (seed, neuron)."""
    hidden, output = [], []
    for index, seed in enumerate(seeds):
        own = initialization.of_seed(seed) if hasattr(initialization, "of_seed") else initialization
        drawn = own.draw(data_of(data, index), network, random_of(seed, "initialization"))
        hidden.append(np.asarray(drawn.hidden, dtype=np.float64))
        output.append(np.asarray(drawn.output, dtype=np.float64))
    return np.stack(hidden), np.stack(output)


def train(
    data: FiniteData,
    network: Network,
    initialization: Initialization,
    dynamics: Dynamics,
    times: Times,
    seeds: Sequence[int],
    backend: Backend,
    dtype: str = "float64",
    threads: int = 1,
) -> Trajectory:
    """Run a dynamics from its initial weights through the saved times, for all seeds at once.

    A seed whose weights leave the finite numbers is kept up to its last finite frame, NaN from there, and
    told of in `notes`: at which step, the loss before, and the largest stable step size where it is known.
    A dynamics that stays in the span of its start runs there, in coordinates found once; only frames are widened.
    So is a loss that ends below what the weights' precision carries.
    A descent whose steps are too large somewhere is run again, moved by one unit in the last place now and then: where
    that parts from it, the path hangs on rounding (`chaos`).
    Where each seed has a teacher of its own, each is a run of its own, `threads` of them at a time.
    """
    if data.per_seed and not isinstance(data, FiniteData):

        def alone(index: int) -> Trajectory:
            own = data.of_seed(index)
            return train(own, network, initialization, dynamics, times, [seeds[index]], backend, dtype)

        return Trajectory.joined(over_seeds(alone, len(seeds), threads))
    hidden, output = start(initialization, data, network, seeds)
    if network.output == "fixed":
        output = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), output.shape).copy()
    begin = network.closed(Weights(hidden, output))
    inside, few, widen = begin, data, None
    if getattr(dynamics, "stays_in_span", False):
        reduced, inside, widen = data.problem(network).in_span(begin)
        few = reduced.data
    problem = problem_on(backend, few.mapped(lambda array: backend.asarray(array, dtype)), network, threads)
    on_host = few.mapped(lambda array: np.asarray(array, dtype)).problem(network)
    weights = network.closed(
        Weights(backend.asarray(inside.hidden, dtype), backend.asarray(inside.output, dtype))
    )
    clock = dynamics.clock(times)

    def random() -> list[np.random.Generator]:
        return [random_of(seed, "dynamics") for seed in seeds]

    frames, losses = [], []
    forks, stalls = None, ("",) * len(seeds)
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is found and told of below
        for frame in dynamics.trajectory(problem, weights, clock, random()):
            frames.append(Weights(to_host(frame.hidden), to_host(frame.output)))
            losses.append(on_host.loss(frames[-1]))  # overflows before the weights do
            if isinstance(frame, FlowWeights):
                forks = None if frame.forks is None else np.asarray(frame.forks, dtype=np.int64)
                stalls = frame.stall
        trusted = trust.last_trusted(on_host, frames)
    trajectory = Weights(
        np.stack([frame.hidden for frame in frames], axis=1),
        np.stack([frame.output for frame in frames], axis=1),
    )
    if widen is not None:
        shape = trajectory.hidden.shape
        rows = trajectory.hidden.reshape(shape[0], -1, shape[-1])  # all frames in one product
        hidden = widen(Weights(rows, trajectory.output)).hidden.astype(dtype, copy=False)
        trajectory = Weights(hidden.reshape(*shape[:-1], data.features), trajectory.output)
        trajectory.hidden[:, 0] = begin.hidden  # as it was drawn
    decay = np.asarray([dynamics.weight_decay_at(float(time)) for time in clock.time])
    finite = np.isfinite(trajectory.hidden).all((2, 3)) & np.isfinite(trajectory.output).all(2)
    loss = np.stack(losses, axis=1)
    finite &= np.isfinite(loss)
    diverged = np.full(len(seeds), -1, dtype=np.int64)
    notes = trust.told(trusted, loss, clock, seeds, dtype)
    if isinstance(dynamics, Descent):
        notes += blown_up(loss, clock, seeds)
    if not finite.all():
        lost = ~np.logical_and.accumulate(finite, axis=1)
        if isinstance(dynamics, Descent):
            diverged, told = diagnose(dynamics, problem, weights, random(), seeds, finite, clock)
            lost |= (diverged[:, None] >= 0) & (clock.step >= diverged[:, None])
        else:
            told = broken_off(lost, clock, seeds, stalls)
        notes += told
        for array in (trajectory.hidden, trajectory.output):
            array[lost] = np.nan
    path_trusted = None
    if isinstance(dynamics, Descent):
        shared, told = last_shared(
            dynamics, backend, problem, on_host, few, frames, finite, clock, decay, seeds, dtype, threads
        )
        path_trusted, notes = clock.time[shared], notes + told
    if isinstance(dynamics, Flow) and not isinstance(data, FiniteData):
        shared, told = last_shared_flow(dynamics, problem, weights, frames, finite, clock, seeds, random())
        path_trusted, notes = clock.time[shared], notes + told
    if forks is not None:
        notes += forked(forks, seeds)
    return Trajectory(
        clock, trajectory, decay, diverged, clock.time[trusted], notes,
        flow_forks=forks, path_trusted_until=path_trusted,
    )  # fmt: skip


def last_shared_flow(
    dynamics: Flow,
    problem: Any,
    weights: Weights,
    frames: Sequence[Weights],
    finite: Any,
    clock: Clock,
    seeds: Sequence[int],
    random: Sequence[np.random.Generator],
) -> tuple[Any, tuple[str, ...]]:
    """As `last_shared`, of a flow on a teacher."""
    lost = ~np.logical_and.accumulate(finite, axis=1)
    last = np.maximum(np.where(lost.any(1), lost.argmax(1), lost.shape[1]) - 1, 0)
    found = dynamics.twin(problem, weights, clock, random)
    if found is None:
        return last, ()
    twin, reach = found
    shared = chaos.last_shared(frames, twin, reach)
    parting = np.flatnonzero(shared < last)
    last = np.minimum(last, shared)
    if not len(parting):
        return last, ()
    first = parting[np.argmin(last[parting])]
    return last, (
        f"a flow of another tolerance parts from the path by more than {reach:.2g} of it after time "
        f"{float(clock.time[last[first]]):g} in seed {seeds[first]}, the first of {len(parting)}: from so small a "
        "start neurons come so close to each other that rounding decides when they part again. The time of each is "
        "path_trusted_until.",
    )


def last_shared(
    dynamics: Descent,
    backend: Backend,
    problem: Any,
    on_host: Any,
    data: Any,
    frames: Sequence[Weights],
    finite: Any,
    clock: Clock,
    weight_decay: Any,
    seeds: Sequence[int],
    dtype: str,
    threads: int,
) -> tuple[Any, tuple[str, ...]]:
    """For each seed the last frame, by its index, up to which a twin shares the path, and a note (`chaos`): seeds that
    need no twin share theirs to the last finite frame, finite (seed, time)."""

    def place(weights: Weights) -> Weights:
        return Weights(backend.asarray(weights.hidden, dtype), backend.asarray(weights.output, dtype))

    lost = ~np.logical_and.accumulate(finite, axis=1)
    last = np.maximum(np.where(lost.any(1), lost.argmax(1), lost.shape[1]) - 1, 0)
    twins = chaos.rising(problem, on_host, place, frames, clock, dynamics.step_size, weight_decay)
    if not twins.any():
        return last, ()
    chosen = np.flatnonzero(twins)
    own = data.of_seeds(chosen) if data.per_seed else data
    again = problem_on(
        backend, own.mapped(lambda array: backend.asarray(array, dtype)), problem.network, threads
    )
    paths = [Weights(frame.hidden[chosen], frame.output[chosen]) for frame in frames]
    random = [random_of(seeds[index], "dynamics") for index in chosen.tolist()]
    with np.errstate(over="ignore", invalid="ignore"):
        moved: Any = chaos.Jittered.of(again, place, paths[0])
        twin = dynamics.trajectory(moved, place(paths[0]), clock, random)
        last[chosen] = np.minimum(last[chosen], chaos.last_shared(paths, twin))
    return last, chaos.told(last, twins, lost, clock, seeds, dtype)


def problem_on(backend: Backend, data: Any, network: Network, threads: int) -> Any:
    """The backend's problem on placed data: `problem` for finite data, for a teacher `population` where the
    backend has it, and the array code elsewhere."""
    if isinstance(data, FiniteData):
        return backend.problem(data, network, threads)
    population = getattr(backend, "population", None)
    return population(data, network, threads) if population else data.problem(network)


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


def broken_off(lost: Any, clock: Clock, seeds: Sequence[int], stalls: Sequence[str]) -> tuple[str, ...]:
    """A note for each seed whose weights could not be carried to the last frame; lost (seed, time).

    stalls: for each seed why its flow stopped, "" where it did not say.
    """
    unsaid = "its forces are rounding there, or its weights leave the finite numbers"
    return tuple(
        f"seed {seed}: weights could be carried to time {clock.time[index - 1]:.6g}, not to {clock.time[index]:.6g}: "
        f"{stall or unsaid}. Frames from there on are NaN."
        for seed, index, stall in (
            (seed, int(np.argmax(row)), stall)
            for seed, row, stall in zip(seeds, lost, stalls, strict=True)
            if row.any()
        )
    )


def forked(forks: Any, seeds: Sequence[int]) -> tuple[str, ...]:
    """The note on seeds whose flow met points where the limit of small steps is not unique; forks (seed,)."""
    met = [f"{seed} ({count})" for seed, count in zip(seeds, forks.tolist(), strict=True) if count]
    if not met:
        return ()
    return (
        "the limit of small descent steps is not unique on the path of the flow, which follows one limit; seeds, "
        f"with the number of such points (flow_forks): {', '.join(met)}",
    )


def diagnose(
    dynamics: Descent,
    problem: EmpiricalProblem,
    weights: Weights,
    random: Sequence[np.random.Generator],
    seeds: Sequence[int],
    finite: Any,
    clock: Clock,
) -> tuple[Any, tuple[str, ...]]:
    """Walk the diverged run again step by step: where each seed left the finite numbers, and from which loss.

    The stable step size told of is 2 / sharpness where the loss was lowest. A walk that stays finite where the
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
                weights = problem.network.closed(next(steps))
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
                        own = data_of(problem.data.mapped(to_host), index).problem(problem.network)
                        sharpness = own.sharpness(Weights(hidden[index], output[index]))
                        note += (
                            f": the loss was {first[index]:.3g} at the start, {lowest[index]:.3g} at its lowest "
                            f"and {before[index]:.3g} before that step. step_size is {dynamics.step_size!r}; "
                            f"plain gradient descent is stable below {2.0 / sharpness:.3g} (2 / sharpness where the "
                            "loss was lowest)"
                        )
                    notes.append(f"{note}. Frames from that step on are NaN.")
    return diverged, tuple(notes)


def data_of(data: Any, index: int) -> Any:
    """The data of one seed, on the host."""
    return data.of_seed(index).mapped(to_host)
