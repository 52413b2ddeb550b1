"""The jobs of a run: which have ended, which run, and how long the rest takes."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from twolayer.core.wording import counted
from twolayer.training import progress as training

__all__ = ["Job", "Progress"]

NAMED = 8
"""Running jobs that a line of progress names, at most: those of a cluster may be thousands."""


@dataclass
class Job:
    """A job as Snakemake announces it."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str
    logs: list[str]
    outputs: list[str] = field(default_factory=list)
    started: float = 0.0

    def state(self) -> training.State | None:
        """How far it is, where it says so."""
        return training.read(training.file_of(self.outputs[0])) if self.outputs else None

    def name(self) -> str:
        """`train zhu2025/rate/neurons=2`."""
        return " ".join([self.rule, "/".join(str(value) for value in self.wildcards.values())]).strip()


@dataclass
class Progress:
    """What has run, what runs, and how long the rest takes."""

    planned: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> int:
        """The number of jobs."""
        return sum(self.planned.values())

    @property
    def finished(self) -> int:
        """Those of them that have ended."""
        return self.done.total()

    def start(self, number: int, job: Job) -> None:
        """A job begins."""
        job.started = time.monotonic()
        self.running[number] = job

    def finish(self, number: int) -> Job | None:
        """A job has ended well."""
        job = self.running.pop(number, None)
        if job is not None:
            self.done[job.rule] += 1
            self.seconds[job.rule] += time.monotonic() - job.started  # type: ignore[assignment]
        return job

    def left(self) -> float | None:
        """Seconds until the end: each kind of job takes as long as it took so far; None before any has ended."""
        if not self.finished:
            return None
        usual = self.seconds.total() / self.finished
        work = sum(
            max(0, count - self.done[rule])
            * (self.seconds[rule] / self.done[rule] if self.done[rule] else usual)
            for rule, count in self.planned.items()
        )
        at_once = max(1.0, self.seconds.total() / max(1e-9, time.monotonic() - self.began))
        return work / at_once

    def line(self, failed: int, width: int | None = None) -> str:
        """`317 of 749 jobs, 2 failed, 2 min left: train zhu2025/rate/neurons=2 at t = 3e+04 (45 %), …`; of jobs only
        the share done where that is wider than `width`, which cuts what is still wider."""
        parts = [f"{self.finished} of {counted(self.total, 'job')}"]
        if failed:
            parts.append(f"{failed} failed")
        states = [(job.name(), job.state()) for job in itertools.islice(self.running.values(), NAMED)]
        known = [self.left(), *(state.left for _, state in states if state)]
        left = max((each for each in known if each is not None and math.isfinite(each)), default=None)
        if left is not None and self.finished < self.total:
            parts.append(f"{training.duration(left)} left")
        head = ", ".join(parts) + ": " * bool(states)
        more = f", and {len(self.running) - NAMED} more" * (len(self.running) > NAMED)
        whole = head + ", ".join(f"{name} at {state}" if state else name for name, state in states) + more
        if width is None or len(whole) <= width:
            return whole
        short = head + ", ".join(f"{state.share:.0%} {name}" if state else name for name, state in states)
        return short if len(short) <= width else f"{short[: width - 1]}…"
