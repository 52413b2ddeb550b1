"""Checkpoints: what a training has computed so far, in a file from which it goes on bit for bit after a crash.

A training calls the trajectories of its dynamics, one for each stage, section of a run with a stop rule, or seed of a
flow. What such a call yields depends on its arguments alone. So the file is a log of calls: each by a hash of its
arguments, with the frames that it has yielded, the states of the random generators with them, and the weights that it
has reached since. A training that begins again makes the same calls: those in the log are read, not computed, and the
last goes on where the log ends. Flows and minimisations of a seed, which carry more than the weights from step to
step, save all of their state there (`core.saved_state`). Records are added at the end, each with its checksum, so that
of a write that was cut short the records before count; states that later ones replace are left out now and then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.network import Weights, placed_like
from twolayer.core.saved_state import State
from twolayer.core.trajectory import FlowWeights, WeightsWithMemory

__all__ = ["Checkpoint", "Log", "checkpoint_of", "placed", "remove", "restore", "states"]

HEADER = struct.Struct("<4sQI")
"""Before each record: a mark, the length in bytes and the CRC-32 of what follows."""

MARK = b"2lck"

WORDS = 500
"""Bytes of the words of a record, about."""

IN_MEMORY = 2**26
"""Bytes of records after which they are written, before their time."""


@dataclass(frozen=True)
class Checkpoint:
    """How often a training saves what it has: `seconds` between two saves, 0 for at each opportunity."""

    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError(f"seconds: must be 0 or above, is {self.seconds!r}")


REPLACED = 2**28
"""Bytes of replaced states after which the file is written again without them."""


@dataclass
class LoggedCall:
    """What the log has of one call: frames in their order, the last state of a descent after them, and the last state
    inside a flow or a minimisation, wherever between them.

    Each is where its record lies in the file.
    """

    frames: list[tuple[int, int]] = field(default_factory=list)
    state: tuple[int, int] | None = None
    inside: tuple[int, int] | None = None


class Log:
    """The log of one training, for as long as its process lives.

    path: of the file, which is made when there is something to write. identity: of the training; a log of another one
    is not read. seconds: between two writes.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.identity = json.dumps(identity, sort_keys=True)
        self.calls: dict[str, LoggedCall] = {}
        self.pending: list[Callable[[], bytes]] = []
        self.size = 0
        self.lock = threading.RLock()
        self.file: BinaryIO | None = None
        self.usable = True
        self.last = self.begun = time.monotonic()
        self.saved: dict[str, tuple[float, int]] = {}
        """Of calls of this process: when a state was saved last, and its bytes."""
        self.replaced = 0
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
                elif meta["kind"] == "inside":
                    call.inside = (start, length)
                elif meta["index"] == len(call.frames):
                    call.frames.append((start, length))
                    call.state = None
            first, end = False, start + length
        self.file.truncate(end)
        if end == 0:
            self.append({"identity": self.identity}, {})

    def append(self, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> int:
        """Add a record to what will be written, of about so many bytes: it is packed when it is, as most trainings
        end before."""
        kept = {name: np.array(array) for name, array in arrays.items()}
        self.pending.append(lambda: headed(packed(meta, kept)))
        size = sum(array.nbytes for array in kept.values()) + WORDS
        self.size += size
        return size

    def frame(
        self, call: str, index: int, weights: Weights, random: Any = None, used: Sequence[float] = ()
    ) -> None:
        """Save a frame of a call, and write where it is time. random: states of generators; None: as at its start.
        used: of a flow's budget."""
        with self.lock:
            if self.usable:
                meta = {"call": call, "kind": "frame", "index": index, "random": random, "used": list(used)}
                self.append(*described(meta, weights))
                self.write_if_due()

    def state(self, call: str, step: int, weights: Weights, random: Any = None) -> None:
        """Save the state of a descent between two frames, where it is time."""
        if self.state_is_due(call):
            meta = {"call": call, "kind": "state", "step": step, "random": random}
            self.append_state(call, *described(meta, weights))

    def inside(self, call: str, frames: int, state: Callable[[], State], used: Sequence[float] = ()) -> None:
        """Save the state of a flow or a minimisation that has yielded so many frames, where it is time."""
        if self.state_is_due(call):
            words, arrays = flattened(state())
            meta = {"call": call, "kind": "inside", "frames": frames, "used": list(used), "words": words}
            self.append_state(call, meta, arrays)

    def state_is_due(self, call: str) -> bool:
        """Whether the last state of a call is long ago: each seed has its time, whatever others write."""
        since, _ = self.saved.get(call, (self.begun, 0))
        return self.usable and time.monotonic() - since >= self.seconds

    def append_state(self, call: str, meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Write the state of a call, which replaces the one before."""
        with self.lock:
            if not self.usable:
                return
            size = self.append(meta, arrays)
            self.replaced += self.saved.get(call, (0.0, 0))[1]
            self.saved[call] = (time.monotonic(), size)
            self.write(sync=True)
            if self.replaced > REPLACED and self.usable:
                self.compact()

    @property
    def due(self) -> bool:
        """Whether the last write is long ago."""
        return time.monotonic() - self.last >= self.seconds

    def write_if_due(self) -> None:
        """Write what is pending where the last write is long ago, or where it is much."""
        if self.due or self.size >= IN_MEMORY:
            self.write(self.due)

    def write(self, sync: bool) -> None:
        """Write what is pending. sync: to the disk itself."""
        try:
            if self.file is None:
                waiting, self.pending, self.size = self.pending, [], 0
                self.open()
                self.pending += waiting
            if self.file is None or not self.usable:
                return
            self.file.write(b"".join(record() for record in self.pending))
            self.file.flush()
            if sync:
                os.fsync(self.file.fileno())
                self.last = time.monotonic()
        except OSError:  # a full disk costs the checkpoint, not the training
            self.usable = False
        self.pending, self.size = [], 0

    def compact(self) -> None:
        """Write the file again without states that later ones replace, and put it in the place of the old one."""
        assert self.file is not None, "a state was written"
        self.file.seek(0)
        last: dict[tuple[str, str], int] = {}
        for start, _, content in records(self.file):
            meta, _ = unpacked(content, arrays=False)
            if meta.get("kind") in ("state", "inside"):
                last[meta["call"], meta["kind"]] = start
        partial, moved = rewritten(self.path), {}
        try:
            partial.unlink(missing_ok=True)
            file = partial.open("a+b")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.file.seek(0)
            for start, length, content in records(self.file):
                meta, _ = unpacked(content, arrays=False)
                if last.get((meta.get("call", ""), meta.get("kind", "")), start) == start:
                    moved[start] = (file.tell(), length)
                    file.write(headed(content))
            file.flush()
            os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError:  # as it is, the file serves
            self.replaced = -REPLACED
            return
        self.file.close()
        self.file, self.replaced = file, 0
        for call in self.calls.values():
            call.frames = [moved[start] for start, _ in call.frames]
            call.state, call.inside = (
                None if at is None else moved.get(at[0]) for at in (call.state, call.inside)
            )

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

    def frame_of(self, call: str, index: int) -> tuple[dict[str, Any], Weights]:
        """A frame of a call as `read`; where it lies may change at any time."""
        with self.lock:
            return self.read(self.found(call).frames[index])

    def read_inside(self, call: str) -> tuple[dict[str, Any], State] | None:
        """The words and the last state inside a call, or None."""
        place = self.found(call).inside
        if place is None:
            return None
        assert self.file is not None, "only what was read has a place"
        with self.lock:
            self.file.seek(place[0] + HEADER.size)
            meta, arrays = unpacked(self.file.read(place[1] - HEADER.size))
        return meta, nested(meta["words"], arrays)

    def close(self) -> None:
        """Write what is pending where there is a file, and leave it: Snakemake may remove the output of a job that it
        has not noted as finished, and then all of it is read from here. The next stage removes it."""
        with self.lock, contextlib.suppress(OSError):
            if self.usable and self.file is not None:
                self.file.write(b"".join(record() for record in self.pending))
                self.file.close()
            self.usable = False


def checkpoint_of(trajectory: Path) -> Path:
    """Where the log of a training lies, by the file of its result."""
    return trajectory.with_name(f".{trajectory.stem}.checkpoint")


def rewritten(log: Path) -> Path:
    """Where a log is written again, before it takes the place of the old one."""
    return log.with_name(f"{log.name}.new")


def remove(trajectory: Path) -> None:
    """Remove the log of a training whose result is used, and what a kill has left of one that was written again."""
    for path in (checkpoint_of(trajectory), rewritten(checkpoint_of(trajectory))):
        path.unlink(missing_ok=True)


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


def headed(content: bytes) -> bytes:
    """A record with its header."""
    return HEADER.pack(MARK, len(content), zlib.crc32(content)) + content


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
    if weights.of_flow:
        meta |= {"stall": weights.stall, "flow": True}
        optional = {"forks": weights.forks, "resting": weights.resting}
        arrays |= {name: np.asarray(value) for name, value in optional.items() if value is not None}
    for name, value in (weights.memory or {}).items():
        arrays[f"memory {name}"] = to_host(value)
    return meta, arrays


def flattened(state: State, under: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The words and arrays of a state by their paths, `a/b` for b of the state a; numbers of NumPy are arrays."""
    words: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, value in state.items():
        path = f"{under}{name}"
        if isinstance(value, Mapping):
            words[path] = {}
            inner = flattened(value, f"{path}/")
            words |= inner[0]
            arrays |= inner[1]
        elif isinstance(value, np.ndarray) and value.flags.f_contiguous and not value.flags.c_contiguous:
            arrays[f"{path}.T"] = value.T
        elif isinstance(value, np.ndarray | np.generic):
            arrays[path] = value
        else:
            words[path] = value
    return words, arrays


def nested(words: Mapping[str, Any], arrays: Mapping[str, Any]) -> State:
    """The state of `flattened`."""
    state: dict[str, Any] = {}
    for path, value in (*words.items(), *arrays.items()):
        at = state
        *under, name = path.split("/")
        for each in under:
            at = at.setdefault(each, {})
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        elif name.endswith(".T"):
            name, value = name.removesuffix(".T"), value.T
        at[name] = value
    return state


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
    return weights.mapped(lambda part: placed_like(part, like.hidden))


def states(random: Sequence[np.random.Generator]) -> list[Any]:
    """The states of generators, as JSON has them."""
    return [generator.bit_generator.state for generator in random]


def restore(random: Sequence[np.random.Generator], found: Sequence[Any]) -> None:
    """Put generators into the states of a record."""
    for generator, state in zip(random, found, strict=True):
        generator.bit_generator.state = state
