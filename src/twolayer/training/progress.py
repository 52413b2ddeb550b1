"""A meter of a training: share done, time reached, loss and time left, from the records of `core.progress`."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import TextIO

from twolayer.core.progress import LOGGER, Reached

__all__ = ["Meter", "State", "duration", "file_of", "in_notebook", "on_line", "read", "wanted", "written_to"]

EVERY = 0.5
"""Seconds between two states that are shown, at least."""

SURE, LITTLE = 2.0, 0.01
"""Seconds of training and share of the work before which nothing is said about the time left."""

FOLDER = Path(".snakemake", "twolayer", "progress")
"""Where jobs of a workflow say how far they are."""


@dataclass(frozen=True)
class State:
    """Where a training is: time of the dynamics, share of the work (0 to 1), median loss over seeds, seconds left
    (NaN: not known)."""

    time: float
    share: float
    loss: float
    left: float

    def __str__(self) -> str:
        """`t = 3.2e+05 (45 %), loss 1.2e-09, 40 s left`."""
        parts = [f"t = {self.time:.3g} ({100 * self.share:.0f} %)"]
        if math.isfinite(self.loss):
            parts.append(f"loss {self.loss:.3g}")
        if math.isfinite(self.left) and self.share < 1:
            parts.append(f"{duration(self.left)} left")
        return ", ".join(parts)


class Meter(logging.Handler):
    """Takes records and shows states.

    seeds: of the run. times: the saved ones. linear: whether work grows with time, as a descent's does; else it grows
    with the number of saved times. show: is given each state.
    """

    def __init__(
        self, seeds: int, times: Sequence[float], linear: bool, show: Callable[[State], None]
    ) -> None:
        super().__init__(logging.INFO)
        self.seeds, self.times, self.linear, self.show = seeds, list(times), linear, show
        self.began = time.monotonic()
        self.last, self.share, self.ended = self.began, 0.0, 0
        self.parts: dict[int, tuple[float, float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self.take(record.reached)  # type: ignore[attr-defined]

    def take(self, found: Reached) -> None:
        """Take what some seeds have reached."""
        share, thread = self.share_at(found.time), threading.get_ident()
        if found.seeds >= self.seeds:
            done = share
        else:
            before = self.parts.get(thread)
            if before is not None and found.time < before[0]:  # further seeds
                self.ended += before[2]
            self.parts[thread] = (found.time, share, found.seeds)
            going = sum(seeds * part for _, part, seeds in self.parts.values())
            done = min(1.0, (self.ended + going) / self.seeds)
        self.share = max(self.share, done)
        now = time.monotonic()
        if now - self.last < EVERY:
            return
        self.last = now
        spent = now - self.began
        left = spent * (1 - self.share) / self.share if self.share > LITTLE and spent > SURE else math.nan
        try:
            loss = median(float(loss) for loss in found.loss())
        except Exception:  # the training itself says what is wrong with it
            loss = math.nan
        self.show(State(found.time, self.share, loss, left))

    def share_at(self, moment: float) -> float:
        """The share of one seed's work up to a time."""
        if self.linear:
            return min(1.0, moment / self.times[-1]) if self.times[-1] > 0 else 1.0
        passed = bisect_right(self.times, moment * (1 + 1e-12)) - 1
        return max(0, passed) / max(1, len(self.times) - 1)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While it takes records."""
        level = LOGGER.level
        LOGGER.addHandler(self)
        LOGGER.setLevel(logging.INFO)
        try:
            yield
        finally:
            LOGGER.setLevel(level)
            LOGGER.removeHandler(self)


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def wanted(stream: TextIO) -> bool:
    """Whether progress is shown where nobody has said: on a terminal, and in a notebook."""
    return stream.isatty() or in_notebook()


@contextlib.contextmanager
def on_line(stream: TextIO, name: str = "") -> Iterator[Callable[[State], None]]:
    """A function that shows states in one line, which is cleared at the end; name: what is trained."""
    shown = 0

    def show(state: State) -> None:
        nonlocal shown
        text = f"{name}: {state}" if name else str(state)
        stream.write("\r" + text.ljust(shown))
        stream.flush()
        shown = len(text)

    try:
        yield show
    finally:
        if shown:
            stream.write("\r" + " " * shown + "\r")
            stream.flush()


def file_of(output: Path | str) -> Path:
    """The file in which the job that makes an output says how far it is."""
    return FOLDER / f"{sha256(str(output).encode()).hexdigest()[:16]}.json"


@contextlib.contextmanager
def written_to(file: Path) -> Iterator[Callable[[State], None]]:
    """A function that writes states to a file, which is gone at the end."""

    def show(state: State) -> None:
        with contextlib.suppress(OSError):  # a full disk, say: the training itself says so
            aside = file.with_name(f"{file.name}.{os.getpid()}")
            aside.write_text(json.dumps(asdict(state)), encoding="utf-8")
            aside.replace(file)

    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    try:
        yield show
    finally:
        file.unlink(missing_ok=True)


def read(file: Path) -> State | None:
    """The last state in a file; None where there is none."""
    try:
        return State(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
