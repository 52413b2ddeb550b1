"""Checkpoints: what a training has computed so far, in a file from which it goes on bit for bit after a crash.

A training calls the trajectories of its dynamics, one for each stage, section of a run with a stop rule, or seed of a
flow. What such a call yields depends on its arguments alone. So the file is a log of calls: each by a hash of its
arguments, with the frames that it has yielded, the states of the random generators with them, and the weights that it
has reached since. A training that begins again makes the same calls: those in the log are read, not computed, and the
last goes on where the log ends. The log only grows, each record with its checksum, so that of a write that was cut
short the records before count.

A descent that takes many steps between two saved times is cut into pieces of equal numbers of steps, whether it is
logged or not: compiled kernels carry more than the weights from step to step, and the bits of a path depend on where
a call of them ends.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import hashlib
import itertools
import json
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from twolayer.core.arrays import array_namespace, to_host
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights, placed_like
from twolayer.core.output_layer import OutputLayer
from twolayer.core.problem import Problem
from twolayer.core.seeds import over_seeds
from twolayer.core.trajectory import Clock, FlowWeights, WeightsWithMemory

__all__ = ["Checkpoint", "Log", "checkpoint_of", "recorded"]

HEADER = struct.Struct("<4sQI")
"""Before each record: a mark, the length in bytes and the CRC-32 of what follows."""

MARK = b"2lck"

WORK = 4e10
"""Multiplications of one seed in a piece of a descent, about: half a minute of one core."""

FEWEST, MOST = 1000, 2**19
"""Steps of a piece."""

IN_MEMORY = 2**26
"""Bytes of records after which they are written, before their time."""


@dataclass(frozen=True)
class Checkpoint:
    """How often a training saves what it has: `seconds` between two saves, 0 for at each opportunity."""

    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError(f"seconds: must be 0 or above, is {self.seconds!r}")


@dataclass
class LoggedCall:
    """What the log has of one call: frames in their order, and the last state after them.

    Each is where its record lies in the file.
    """

    frames: list[tuple[int, int]] = field(default_factory=list)
    state: tuple[int, int] | None = None


class Log:
    """The log of one training, for as long as its process lives.

    path: of the file, which is made when there is something to write. identity: of the training; a log of another one
    is not read. seconds: between two writes.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.identity = json.dumps(identity, sort_keys=True)
        self.calls: dict[str, LoggedCall] = {}
        self.pending: list[bytes] = []
        self.size = 0
        self.lock = threading.RLock()
        self.file: BinaryIO | None = None
        self.usable = True
        self.last = time.monotonic()
        if path.is_file():
            self.open()

    def open(self) -> None:
        """Open the file and read what it has; a log that another process writes is neither read nor written."""
        try:
            self.file = self.path.open("a+b")
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.usable = False
            return
        self.file.seek(0)
        end, first = 0, True
        for start, length, content in records(self.file):
            meta, _ = unpacked(content, arrays=False)
            if first and meta.get("identity") != self.identity:
                break
            if not first:
                call = self.calls.setdefault(meta["call"], LoggedCall())
                if meta["kind"] == "state":
                    call.state = (start, length)
                elif meta["index"] == len(call.frames):
                    call.frames.append((start, length))
                    call.state = None
            first, end = False, start + length
        self.file.truncate(end)
        if end == 0:
            self.append(packed({"identity": self.identity}, {}))

    def append(self, record: bytes) -> None:
        """Add a record to what will be written."""
        self.pending.append(HEADER.pack(MARK, len(record), zlib.crc32(record)) + record)
        self.size += len(record)

    def frame(self, call: str, index: int, weights: Weights, random: Any = None) -> None:
        """Keep a frame of a call, and write where it is time. random: states of generators; None: as at its start."""
        with self.lock:
            if self.usable:
                meta = {"call": call, "kind": "frame", "index": index, "random": random}
                self.append(packed(*described(meta, weights)))
                self.write_if_due()

    def state(self, call: str, step: int, weights: Weights, random: Any = None) -> None:
        """Keep the state of a descent between two frames, where it is time to write."""
        with self.lock:
            if self.usable and self.due:
                meta = {"call": call, "kind": "state", "step": step, "random": random}
                self.append(packed(*described(meta, weights)))
                self.write_if_due()

    @property
    def due(self) -> bool:
        """Whether the last write is long ago."""
        return time.monotonic() - self.last >= self.seconds

    def write_if_due(self) -> None:
        """Write what is pending where the last write is long ago, or where it is much."""
        if not self.due and self.size < IN_MEMORY:
            return
        try:
            if self.file is None:
                waiting, self.pending, self.size = self.pending, [], 0
                self.open()
                self.pending += waiting
            if self.file is None or not self.usable:
                return
            self.file.write(b"".join(self.pending))
            self.file.flush()
            if self.due:
                os.fsync(self.file.fileno())
                self.last = time.monotonic()
        except OSError:  # a full disk costs the checkpoint, not the training
            self.usable = False
        self.pending, self.size = [], 0

    def found(self, call: str) -> LoggedCall:
        """What the file has of a call."""
        return self.calls.get(call, LoggedCall())

    def read(self, place: tuple[int, int]) -> tuple[dict[str, Any], Weights]:
        """A record: its words, and its weights on the host."""
        assert self.file is not None, "only what was read has a place"
        with self.lock:
            self.file.seek(place[0] + HEADER.size)
            content = self.file.read(place[1] - HEADER.size)
        meta, arrays = unpacked(content)
        return meta, weights_of(meta, arrays)

    def close(self) -> None:
        """Write what is pending where there is a file, and leave it: Snakemake may remove the output of a job that it
        has not noted as finished, and then all of it is read from here. The next stage removes it."""
        with self.lock, contextlib.suppress(OSError):
            if self.usable and self.file is not None:
                self.file.write(b"".join(self.pending))
                self.file.close()
            self.usable = False


def checkpoint_of(trajectory: Path) -> Path:
    """Where the log of a training lies, by the file of its result."""
    return trajectory.with_name(f".{trajectory.stem}.checkpoint")


def records(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Where each whole record begins, its length with its header, and its content."""
    while True:
        start = file.tell()
        head = file.read(HEADER.size)
        if len(head) < HEADER.size:
            return
        mark, length, check = HEADER.unpack(head)
        if mark != MARK:
            return
        content = file.read(length)
        if len(content) < length or zlib.crc32(content) != check:
            return
        yield start, HEADER.size + length, content


def packed(meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Words and arrays as bytes."""
    listed = {name: (np.asarray(array).dtype.str, np.shape(array)) for name, array in arrays.items()}
    head = json.dumps({**meta, "arrays": listed}).encode()
    content = [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    return b"".join([struct.pack("<I", len(head)), head, *content])


def unpacked(content: bytes, arrays: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words and the arrays of a record."""
    (length,) = struct.unpack_from("<I", content)
    at = 4 + length
    meta: dict[str, Any] = json.loads(content[4:at])
    found: dict[str, Any] = {}
    listed = meta.pop("arrays")
    for name, (kind, shape) in listed.items() if arrays else ():
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = np.frombuffer(content, kind, count, at).reshape(shape).copy()
        at += found[name].nbytes
    return meta, found


def described(meta: dict[str, Any], weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words and arrays of a record of weights, with what a flow or a memory adds to them."""
    arrays = {"hidden": to_host(weights.hidden), "output": to_host(weights.output)}
    if isinstance(weights, FlowWeights):
        meta |= {"stall": weights.stall, "flow": True}
        optional = {"forks": weights.forks, "resting": weights.resting}
        arrays |= {name: np.asarray(value) for name, value in optional.items() if value is not None}
    for name, value in (weights.memory or {}).items():
        arrays[f"memory {name}"] = to_host(value)
    return meta, arrays


def weights_of(meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> Weights:
    """The weights of a record."""
    hidden, output = arrays["hidden"], arrays["output"]
    if meta.get("flow"):
        stall = meta["stall"] if isinstance(meta["stall"], str) else tuple(meta["stall"])
        forks = arrays.get("forks")
        if forks is not None and not np.ndim(forks):
            forks = int(forks)
        return FlowWeights(hidden, output, forks, stall, arrays.get("resting"))
    memory = {name.partition(" ")[2]: value for name, value in arrays.items() if name.startswith("memory ")}
    return WeightsWithMemory(hidden, output, memory) if memory else Weights(hidden, output)


def placed(weights: Weights, like: Weights) -> Weights:
    """Weights of the log where a trajectory's lie."""
    hidden, output = (
        placed_like(part, old) for part, old in ((weights.hidden, like.hidden), (weights.output, like.output))
    )
    if isinstance(weights, FlowWeights):
        return FlowWeights(hidden, output, weights.forks, weights.stall, weights.resting)
    if weights.memory:
        memory = {name: placed_like(value, like.hidden) for name, value in weights.memory.items()}
        return WeightsWithMemory(hidden, output, memory)
    return Weights(hidden, output)


def states(random: Sequence[np.random.Generator]) -> list[Any]:
    """The states of generators, as JSON has them."""
    return [generator.bit_generator.state for generator in random]


def restore(random: Sequence[np.random.Generator], found: Sequence[Any]) -> None:
    """Put generators into the states of a record."""
    for generator, state in zip(random, found, strict=True):
        generator.bit_generator.state = state


def recorded(dynamics: Dynamics, log: Log | None) -> Dynamics:
    """The dynamics, with long descents in pieces and, where there is a log, with its trajectories in it."""
    return dynamics.with_trajectories(lambda part: trajectory_of(part, log))


def trajectory_of(dynamics: Dynamics, log: Log | None) -> Callable[..., Iterator[Weights]]:
    """The trajectory of a dynamics that runs no others, in pieces and by way of the log."""

    def trajectory(
        problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        call = TrajectoryCall(dynamics, problem, weights, clock, random)
        if log is None:
            return call.frames()
        if "flow" in dynamics.kinds:
            return dynamics.trajectory(with_logged_flows(problem, log), weights, clock, random)
        if dynamics.seed_by_seed and len(random) > 1 and not isinstance(problem, OutputLayer):
            return seed_by_seed(call, log)
        return call.logged(log)

    return trajectory


def in_pieces(dynamics: Dynamics, problem: Problem, weights: Weights, clock: Clock) -> Clock:
    """The clock of a descent with the ends of its pieces among its times: at multiples of a number of steps that
    depends on the sizes of one seed alone. As it is for any other dynamics."""
    step_size = dynamics.descent_step
    if step_size is None or clock.step is None:
        return clock
    neurons, features = weights.hidden.shape[-2:]
    units = dynamics.samples_per_step or getattr(problem.data, "samples", None) or 2 * neurons
    piece = int(min(max(WORK / (neurons * features * units), FEWEST), MOST))
    first, last = int(clock.step[0]), int(clock.step[-1])
    ends = np.arange((first // piece + 1) * piece, last, piece)
    if not len(ends):
        return clock
    step = np.union1d(clock.step, ends)
    times = dict(zip(clock.step.tolist(), clock.time.tolist(), strict=True))
    return Clock(np.asarray([times.get(one, step_size * one) for one in step.tolist()]), step)


@dataclass(frozen=True)
class TrajectoryCall:
    """A call of a dynamics' trajectory."""

    dynamics: Dynamics
    problem: Problem
    weights: Weights
    clock: Clock
    random: Sequence[np.random.Generator]

    @property
    def fine(self) -> Clock:
        """The clock with the ends of pieces."""
        return in_pieces(self.dynamics, self.problem, self.weights, self.clock)

    def path(self, weights: Weights, fine: Clock) -> Iterator[tuple[int, bool, Weights]]:
        """The states at the times of a finer clock, which begins at one of the run's, from the weights there: each
        with its place in that clock, and whether the run asks for it."""
        asked = None if fine.step is None else np.isin(fine.step, self.clock.step)
        path = self.dynamics.trajectory(self.problem, weights, fine, self.random)
        for place, state in enumerate(path):
            yield place, asked is None or place >= len(asked) or bool(asked[place]), state

    def frames(self) -> Iterator[Weights]:
        """Its frames."""
        return (state for _, asked, state in self.path(self.weights, self.fine) if asked)

    def logged(self, log: Log) -> Iterator[Weights]:
        """Its frames: those of the log first. Then it goes on from the last state; a dynamics that cannot begins
        again, and what it has yielded before is passed over."""
        before = states(self.random)
        call = call_of(self.dynamics, self.problem, self.weights, self.clock, before)
        found, fine, state, count = log.found(call), self.fine, self.weights, 0
        for record in found.frames:
            words, frame = log.read(record)
            restore(self.random, words["random"] or before)
            state, count = placed(frame, self.weights), count + 1
            yield state
        if count == len(self.clock.time):
            return
        goes_on = self.dynamics.resumes()
        begins_inside, passed = bool(count and goes_on), 0 if goes_on else count
        if begins_inside:
            begin = int(np.flatnonzero(np.isin(fine.time, self.clock.time))[count - 1])
            if found.state is not None:
                words, frame = log.read(found.state)
                restore(self.random, words["random"] or before)
                state, begin = placed(frame, self.weights), int(np.searchsorted(fine.step, words["step"]))
            fine = Clock(fine.time[begin:], None if fine.step is None else fine.step[begin:])
        elif count:
            state = self.weights
            restore(self.random, before)
        for place, asked, reached in self.path(state, fine):
            if begins_inside and place == 0:
                continue  # the state that it begins with
            if asked and passed:
                passed -= 1
                continue
            now = states(self.random)
            drawn = None if now == before else now
            if asked:
                log.frame(call, count, reached, drawn)
                count += 1
                yield reached
            elif goes_on:
                log.state(call, int(fine.step[place]), reached, drawn)


def seed_by_seed(call: TrajectoryCall, log: Log) -> Iterator[Weights]:
    """The frames of a trajectory whose seeds are moved one after another, on the host, each a call by itself."""
    data = call.problem.data.mapped(to_host)

    def path(seed: int) -> list[Weights]:
        chosen = np.asarray([seed])
        weights = Weights(call.weights.hidden[seed : seed + 1], call.weights.output[seed : seed + 1])
        problem = replace(call.problem, data=data.of_seeds(chosen))
        return list(
            replace(call, problem=problem, weights=weights, random=call.random[seed : seed + 1]).logged(log)
        )

    xp = array_namespace(call.weights.hidden)
    paths = over_seeds(path, len(call.random), call.problem.threads)
    for frames in zip(*paths, strict=True):
        hidden = xp.concat([one.hidden for one in frames])
        output = xp.concat([one.output for one in frames])
        stalls = tuple(stall for one in frames for stall in (one.stall or ("",)))
        yield FlowWeights(hidden, output, None, stalls) if any(stalls) else Weights(hidden, output)


def with_logged_flows(problem: Problem, log: Log) -> Problem:
    """The problem, whose flows of single seeds are in the log. One that was not whole is begun again: an integrator
    carries more than the weights."""
    whole = copy.copy(problem)

    def flow_of_seed(seed: int, weights: Weights, times: Any, *settings: Any, **named: Any) -> Iterator[Any]:
        one = problem.data.of_seed(seed) if hasattr(problem.data, "of_seed") else problem.data
        call = call_of(("flow", *settings, *named.items()), problem, weights, Clock(times), [], one)
        found = log.found(call)
        for place in found.frames:
            yield log.read(place)[1]
        if len(found.frames) == len(times):
            return
        frames: list[Weights] = []
        try:
            path = problem.flow_of_seed(seed, weights, times, *settings, **named)
            for frame in itertools.islice(path, len(found.frames), None):
                frames.append(frame)
                yield frame
        finally:  # its end, or that of a seed that met a stop rule
            for index, reached in enumerate(frames, start=len(found.frames)):
                log.frame(call, index, reached)

    object.__setattr__(whole, "flow_of_seed", flow_of_seed)
    return whole


def call_of(
    dynamics: Any, problem: Problem, weights: Weights, clock: Clock, random: Any, data: Any = None
) -> str:
    """A hash of the arguments of a call, and of the dynamics and the problem that it is a method of."""
    words = [repr(dynamics), type(problem).__name__, problem.network.output, json.dumps(random)]
    found = hashlib.sha256("\n".join(words).encode())
    parts = [weights.hidden, weights.output, clock.time, *(weights.memory or {}).values()]
    parts += [part for part in (clock.step, weights.resting) if part is not None]
    parts += [values for _, values, _ in (data or problem.data).arrays().values()]
    for part in parts:
        array = np.ascontiguousarray(to_host(part))
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return found.hexdigest()[:32]
