"""sequence: one dynamics after another, each with parameters, layers and length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device

from twolayer import Dynamics, Loss, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.arrays import to_host
from twolayer.core.loss import refuse_other_losses
from twolayer.core.output_layer import OutputLayer
from twolayer.core.times import Times
from twolayer.core.trajectory import Clock, FlowWeights
from twolayer.study.schema import Nested

SAME = 1.0 + 1e-12
"""Times within this factor are one."""


@dataclass(frozen=True)
class Stage(Nested):
    """A dynamics by name, with its keys, and

    layers: which move; the other keeps its weights.
    until: the time, on the run's clock, at which the stage ends.
    """

    layers: Literal["hidden", "output", "both"] = "both"
    until: float | None = None

    kind: ClassVar[str] = "dynamics"

    @property
    def at_once(self) -> bool:
        """Whether it takes no time: what acts at once, and has no `until`."""
        return self.plugin.instantaneous and self.until is None

    def problem(self, problem: Any, weights: Weights) -> Any:
        """The problem as this stage sees it.

        Hidden weights alone: the network whose outputs are fixed where they are. Output weights alone: the linear
        problem that is left.
        """
        if self.layers == "hidden" and problem.network.output == "trained":
            return replace(problem, network=replace(problem.network, output="fixed"))
        return OutputLayer.of(problem, weights.hidden) if self.layers == "output" else problem


@dataclass(frozen=True)
class TimedStage:
    """A stage on the run's clock: it begins at `start`, runs by a separate `clock` that begins at 0, and of that
    the moments where `saved` is true are the run's."""

    stage: Stage
    start: float
    clock: Clock
    saved: Any


@dynamics("sequence")
@dataclass(frozen=True)
class StageSequence(Dynamics):
    """stages: a list of {name: a dynamics, its keys, layers, until}, in the order in which they are run.

    Time is the run's: a descent moves it by step_size a step, a flow by its time, and what acts at once
    (`output_fit`, `balancing`) does not move it, unless `until` says how long to rest there. Ends increase; the
    last stage goes on. A descent ends at the step nearest to `until`, and the next stage begins where it ended.
    A saved time at which a stage ends shows what it has reached, with its λ; time 0 shows the start. A stage's
    schedule of weight decay counts from the stage's begin.
    """

    stages: list[Stage]

    sequential = True

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages: at least one is needed")
        end = 0.0
        for index, stage in enumerate(self.stages):
            place = f"stages[{index}]"
            if stage.plugin.sequential:
                raise ValueError(f"{place}.name: stages cannot be nested; write them in one list")
            if stage.until is None:
                if index < len(self.stages) - 1 and not stage.at_once:
                    raise ValueError(f"{place}.until: missing; only the last stage goes on without end")
                continue
            if not stage.until > end:
                raise ValueError(
                    f"{place}.until: must be later than {end!r}, where it begins; is {stage.until!r}"
                )
            ended = end + float(stage.plugin.clock(Times(values=[stage.until - end])).time[-1])
            if not ended > end:
                raise ValueError(
                    f"{place}.until: is {stage.until!r}, not one step of {stage.plugin.step_size!r} after {end!r}, "
                    "where the stage begins"
                )
            end = ended

    @property
    def kinds(self) -> frozenset[str]:  # type: ignore[override]
        """Those of its stages."""
        return frozenset().union(*(stage.plugin.kinds for stage in self.stages))

    @property
    def stays_in_span(self) -> bool:  # type: ignore[override]
        """Whether no stage leaves the span of students and teachers."""
        return all(stage.plugin.stays_in_span for stage in self.stages)

    @property
    def host_reason(self) -> str:  # type: ignore[override]
        """Why the stages are computed on the host, where one of them is."""
        return next((stage.plugin.host_reason for stage in self.stages if stage.plugin.host_reason), "")

    def with_trajectories(
        self, trajectory_of: Callable[[Dynamics], Callable[..., Iterator[Weights]]]
    ) -> StageSequence:
        """The stages with theirs."""
        return replace(
            self,
            stages=[
                replace(stage, plugin=stage.plugin.with_trajectories(trajectory_of)) for stage in self.stages
            ],
        )

    def step_count(self, times: Times) -> int:
        """The steps of all descents until the last saved time."""
        clocks = [timed_stage.clock for timed_stage in self.timed(times.clock().time)]
        return sum(int(clock.step[-1]) for clock in clocks if clock.step is not None)

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse layers that cannot be kept, and what a stage's dynamics refuses."""
        for index, stage in enumerate(self.stages):
            place = f"stages[{index}]"
            if network.output == "tied" and stage.layers != "both":
                raise ValueError(f"{place}.layers: tied outputs follow the hidden weights; must be both")
            if network.output == "fixed" and stage.layers == "output":
                raise ValueError(f"{place}.layers: the outputs of this network are fixed; none would move")
            try:
                stage.plugin.validate(problem, network)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None

    def validate_loss(self, loss: Loss, name: str, network: Network) -> None:
        """Refuse what a stage's dynamics refuses, and a loss without the quadratic form of output weights alone."""
        for index, stage in enumerate(self.stages):
            try:
                if stage.layers == "output":
                    refuse_other_losses(loss, name, "layers: output")
                stage.plugin.validate_loss(loss, name, network)
            except ValueError as error:
                raise ValueError(f"stages[{index}]: {error}") from None

    def validate_last_stage(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a last stage that cannot end at a minimum; those before it, such as one big step, need not."""
        last = self.stages[-1].plugin
        try:
            last.validate_last_stage(problem, network)
        except ValueError as error:
            raise ValueError(f"stages[{len(self.stages) - 1}]: {error}") from None

    @cached_property
    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of each stage; the last may end at infinity."""
        spans, start = [], 0.0
        for stage in self.stages:
            if stage.until is not None:
                end = start + float(stage.plugin.clock(Times(values=[stage.until - start])).time[-1])
            else:
                end = start if stage.at_once and stage is not self.stages[-1] else np.inf
            spans.append((start, end))
            start = end
        return spans

    def timed(self, moments: Any) -> list[TimedStage]:
        """The stages that the saved moments (time,), the first of which is 0, ask for."""
        timed = []
        for stage, (start, end) in zip(self.stages, self.spans, strict=True):
            if end == start:
                timed.append(
                    TimedStage(stage, start, stage.plugin.clock(Times(values=[1.0])), np.zeros(2, dtype=bool))
                )
                continue
            if moments[-1] <= start * SAME:
                break
            asked = moments[(moments > start * SAME) & (moments <= end * SAME)] - start
            last = min(end - start, float(moments[-1]) - start)
            clock = stage.plugin.clock(Times(values=np.union1d(asked, [last]).tolist()))
            saved = np.zeros(len(clock.time), dtype=bool)
            if len(asked):
                reached = stage.plugin.clock(Times(values=np.minimum(asked, last).tolist())).time
                saved = np.isin(clock.time, reached) & (clock.time > 0)
            timed.append(TimedStage(stage, start, clock, saved))
        return timed

    def clock(self, times: Times) -> Clock:
        """Saved times, those in a descent at its nearest step."""
        if times.steps is not None:
            raise ValueError("steps: stages have steps of different sizes; give times")
        moments = times.clock().time
        for index, (start, _) in enumerate(self.spans):
            if moments[-1] <= start * SAME and index > 0:
                raise ValueError(
                    f"stages[{index}] of the dynamics begins at {start!r}, not before the last saved time, "
                    f"{float(moments[-1])!r}"
                )
        return self.clock_of(moments)

    def clock_of(self, moments: Any) -> Clock:
        """Moments (time,), each at the nearest step of its stage."""
        saved = [
            timed_stage.start + timed_stage.clock.time[timed_stage.saved]
            for timed_stage in self.timed(moments)
        ]
        return Clock(np.concatenate([np.zeros(1), *saved]))

    @property
    def settled_after(self) -> float:
        """When the last stage begins, or later where its rule changes."""
        last = self.stages[-1].plugin.settled_after
        return last if len(self.stages) == 1 else self.spans[-1][0] + max(last, 0.0)

    def check_clock(self, clock: Clock) -> Clock:
        """The saved times, and those at which the last stage is checked."""
        last, start = self.stages[-1].plugin, self.spans[-1][0]
        checked = last.check_clock(last.clock(Times(values=[float(clock.time[-1]) - start])))
        return self.clock_of(np.union1d(clock.time, start + checked.time[1:]))

    def last_problem(self, problem: Problem, weights: Weights) -> Problem:
        """The last stage's."""
        stage = self.stages[-1]
        return stage.plugin.last_problem(stage.problem(problem, weights), weights)

    def weight_decay_at(self, time: float) -> float:
        """λ of the stage that is run at a time; where one ends, still that one."""
        for stage, (start, end) in zip(self.stages, self.spans, strict=True):
            if end > start and time <= end * SAME:
                return float(stage.plugin.weight_decay_at(max(time - start, 0.0)))
        raise AssertionError("the last stage has no end")

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights at the saved times, stage by stage; of a seed that a stage loses, NaN in all later ones."""
        yield weights
        begin, record = weights, StageRecord.of(len(random))
        for index, timed_stage in enumerate(self.timed(clock.time)):
            if index > 0:
                record = record.lost(
                    weights, f"stages[{index - 1}] ({self.stages[index - 1].name})", timed_stage.start
                )
            if not record.alive.any():
                yield from [record.frame(weights)] * int(timed_stage.saved.sum())
                continue
            begin = stand_in(weights, begin, record.alive)
            if record.resting is not None and record.resting.any():
                begin = FlowWeights(begin.hidden, begin.output, resting=record.resting)
            elif begin.memory is not None:  # a stage begins without what another carried from step to step
                begin = Weights(begin.hidden, begin.output)
            seen = timed_stage.stage.problem(problem, begin)
            path = timed_stage.stage.plugin.trajectory(seen, begin, timed_stage.clock, random)
            before = record
            for saved, frame in zip(timed_stage.saved, path, strict=True):
                weights, record = frame, before.joined(frame)
                if saved:
                    yield record.frame(frame)


@dataclass(frozen=True)
class StageRecord:
    """What the stages so far say of each seed.

    alive (seed,): False from the end of the stage that lost it. forks: as in `FlowWeights`, None before the first
    flow. stall: why a flow stopped, or how else the seed was lost, or "". resting (seed, neuron): of the last flow.
    """

    alive: Any
    forks: Any
    stall: tuple[str, ...]
    resting: Any = None

    @classmethod
    def of(cls, seeds: int) -> StageRecord:
        """All alive, nothing to say."""
        return cls(np.ones(seeds, dtype=bool), None, ("",) * seeds)

    def lost(self, weights: Weights, stage: str, time: float) -> StageRecord:
        """Without the seeds whose weights are not finite at the end of a stage, named, on the run's clock."""
        finite = np.isfinite(to_host(weights.hidden)).all((1, 2)) & np.isfinite(to_host(weights.output)).all(
            1
        )
        reason = (
            f"{stage} left the finite numbers before it ended, at time {time!r}; a smaller step may carry it"
        )
        stall = tuple(
            said or ("" if ok or not alive else reason)
            for said, ok, alive in zip(self.stall, finite, self.alive, strict=True)
        )
        return replace(self, alive=self.alive & finite, stall=stall)

    def joined(self, frame: Weights) -> StageRecord:
        """With what a frame of the next stage says of the seeds that are alive."""
        if frame.forks is None and frame.resting is None and not any(frame.stall):
            return self
        met = self.forks
        if frame.forks is not None:
            met = (0 if self.forks is None else self.forks) + np.where(self.alive, frame.forks, 0)
        stalls = frame.stall or ("",) * len(self.alive)
        stall = tuple(
            said or (new if alive else "")
            for said, new, alive in zip(self.stall, stalls, self.alive, strict=True)
        )
        resting = self.resting if frame.resting is None else frame.resting
        return replace(self, forks=met, stall=stall, resting=resting)

    def frame(self, frame: Weights) -> Weights:
        """A frame with the record, and NaN in the place of the seeds that are lost."""
        if self.forks is None and not any(self.stall):
            return frame
        shown = chosen(self.alive, frame, None)
        return FlowWeights(shown.hidden, shown.output, self.forks, self.stall)


def chosen(mask: Any, weights: Weights, other: Weights | None) -> Weights:
    """The weights of the seeds where `mask` (seed,) is true, and in the place of the others another's, or NaN."""
    if mask.all():
        return weights
    xp = array_namespace(weights.hidden)
    mask = xp.asarray(mask, device=device(weights.hidden))
    rest = Weights(weights.hidden * np.nan, weights.output * np.nan) if other is None else other
    return Weights(
        xp.where(mask[:, None, None], weights.hidden, rest.hidden),
        xp.where(mask[:, None], weights.output, rest.output),
    )


def stand_in(weights: Weights, last: Weights, alive: Any) -> Weights:
    """The weights with which a stage begins: for a seed that is lost, those of its last stage's begin, so
    that no stage meets NaN; what it makes of them is not shown."""
    return chosen(alive, weights, last)
