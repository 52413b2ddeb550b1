"""Frames: what a dynamics yields, kept on the host, in memory or in a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.seeds import over_seeds
from twolayer.core.wording import counted
from twolayer.errors import PluginError
from twolayer.storage.scratch import PartedArray, ScratchArray

__all__ = ["CACHED", "IN_MEMORY", "Frames", "PathArray", "kept"]

IN_MEMORY = 2**26
"""Bytes of the weights of a run over time, up to which they stay in memory where a file could be had."""

CACHED = 2**20
"""Bytes of a part of weights that stays in the processor's cache."""


def kept(frame: Any, start: Weights, dynamics: Dynamics, index: int, frames: int) -> Weights:
    """A frame as a copy on the host, as a dynamics may change it later; PluginError where it is one too many of
    `frames`, or not of the shape of the start."""
    where = f"dynamics {type(dynamics).__name__}"
    if index == frames:
        raise PluginError(
            f"{where}: yields more than {counted(frames, 'frame')}; must yield one for each saved time"
        )
    for name in ("hidden", "output"):
        shape, wanted = getattr(getattr(frame, name, None), "shape", None), getattr(start, name).shape
        if shape != wanted:
            raise PluginError(
                f"{where}: frame {index} has {name} of shape {shape}; must be Weights with {name} of shape {wanted}"
            )
    return Weights(np.array(to_host(frame.hidden)), np.array(to_host(frame.output)))


class Frames(Sequence[Weights]):
    """The frames of a run on the host in the order of time, of hidden (seed, neuron, feature), output (seed, neuron).

    count: how many there will be. like: the start. folder: where a file may take them; None keeps them in memory.
    """

    def __init__(self, count: int, like: Weights, folder: Path | None = None) -> None:
        self.arrays = [
            ScratchArray((count, *part.shape), to_host(part).dtype, folder)
            for part in (like.hidden, like.output)
        ]
        self.filled = 0
        self.lock = threading.Lock()

    def append(self, frame: Weights) -> None:
        """Keep the next frame."""
        self.put(self.filled, slice(None), frame)
        self.filled += 1

    def put(self, index: int, seeds: slice, frame: Weights) -> None:
        """Keep what a frame has of some seeds; from several threads at once."""
        with self.lock:
            for place, values in enumerate((frame.hidden, frame.output)):
                before = self.arrays[place]
                kind = np.result_type(before.dtype, values.dtype)
                if kind != before.dtype:  # a dynamics that computes in more digits than it starts with
                    self.arrays[place] = ScratchArray(before.shape, kind, before.folder)
                    for row in range(before.shape[0]):
                        self.arrays[place][row : row + 1, :] = before[row : row + 1, :]
                self.arrays[place][index : index + 1, seeds] = values[None]

    def __len__(self) -> int:
        return self.filled

    @overload
    def __getitem__(self, index: int) -> Weights: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Weights]: ...
    def __getitem__(self, index: int | slice) -> Weights | Sequence[Weights]:
        if isinstance(index, slice):
            return FramesOfSeeds(self, np.arange(self.seeds), range(self.filled)[index])
        place = range(self.filled)[index]
        hidden, output = (array[place : place + 1, :][0] for array in self.arrays)
        return Weights(hidden, output)

    def at_times(self, times: slice) -> Weights:
        """The weights at some times: hidden (time, seed, neuron, feature), output (time, seed, neuron)."""
        hidden, output = (array[times, :] for array in self.arrays)
        return Weights(hidden, output)

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return int(self.arrays[0].shape[1])

    def hidden_over_time(self, seeds: slice, times: slice) -> Any:
        """Hidden weights of some seeds at some times as a copy, (seed, time, neuron, feature)."""
        return np.ascontiguousarray(np.swapaxes(self.arrays[0][times, seeds], 0, 1))

    def output_over_time(self, seeds: slice, times: slice) -> Any:
        """Output weights of some seeds at some times as a copy, (seed, time, neuron)."""
        return np.ascontiguousarray(np.swapaxes(self.arrays[1][times, seeds], 0, 1))

    def of_seeds(self, chosen: Any, stop: int | None = None) -> Sequence[Weights]:
        """The frames of some seeds, by their index, up to `stop`, each made when it is asked for."""
        return FramesOfSeeds(self, chosen, range(self.filled)[:stop])


class FramesOfSeeds(Sequence[Weights]):
    """Some frames of some seeds, by their index."""

    def __init__(self, frames: Sequence[Weights], chosen: Any, places: range) -> None:
        self.frames, self.chosen, self.places = frames, chosen, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Weights: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Weights]: ...
    def __getitem__(self, index: int | slice) -> Weights | Sequence[Weights]:
        if isinstance(index, slice):
            return FramesOfSeeds(self.frames, self.chosen, self.places[index])
        frame = self.frames[self.places[index]]
        return Weights(frame.hidden[self.chosen], frame.output[self.chosen])


class PathArray(PartedArray):
    """Hidden weights (seed, time, neuron, feature) or output weights (seed, time, neuron) of a run, made from its
    frames by parts of the first two axes.

    part: `hidden` or `output`. lift: from the coordinates of the run to all features, of weights of some seeds; None
    where they are these. start: the weights at the first time where they are lifted, as they were drawn. threads: how
    many seeds of frames in memory are lifted at once. lost (seed, time): frames that are NaN; none until it is set.
    """

    def __init__(
        self,
        frames: Frames,
        part: str,
        lift: Callable[..., Weights] | None,
        start: Weights,
        dtype: str,
        threads: int = 1,
    ) -> None:
        self.frames, self.part, self.lift, self.start = frames, part, lift, start
        stored = frames.arrays[part == "output"]
        lifted = lift is not None and part == "hidden"
        self.dtype = np.dtype(dtype) if lifted else stored.dtype
        count, seeds, *rest = stored.shape
        self.shape = (seeds, count, *(start.hidden.shape[1:] if lifted else rest))
        self.threads, self.in_file = threads, stored.folder is not None
        self.lost: Any = None

    def __getitem__(self, part: tuple[slice, slice]) -> Any:
        """Some seeds at some times, in memory."""
        found = self.values(*part) if self.in_file else self.by_threads(*part)
        if self.lost is not None:
            found[self.lost[part]] = np.nan
        return found

    def by_threads(self, seeds: slice, times: slice) -> Any:
        """As `values`, `threads` parts of the seeds at a time: not of a file, which is read in long stretches."""
        every, columns = range(self.shape[0])[seeds], range(self.shape[1])[times]
        found = np.empty((len(every), len(columns), *self.shape[2:]), self.dtype)
        step = max(1, CACHED * len(every) // max(1, found.nbytes))

        def fill(index: int) -> None:
            some = slice(index * step, (index + 1) * step)
            found[some] = self.values(slice(every[some].start, every[some].stop), times)

        over_seeds(fill, -(-len(every) // step), self.threads)
        return found

    def values(self, seeds: slice, times: slice) -> Any:
        """Some seeds at some times as they were computed, in all features."""
        if self.part == "output":
            return self.frames.output_over_time(seeds, times)
        hidden = self.frames.hidden_over_time(seeds, times)
        return hidden if self.lift is None else self.lifted(hidden, seeds, times)

    def lifted(self, hidden: Any, seeds: slice, times: slice) -> Any:
        """Hidden weights of some seeds at some times in all features."""
        assert self.lift is not None
        shape = hidden.shape
        rows = hidden.reshape(shape[0], -1, shape[-1])  # all frames in one product
        output = self.frames.output_over_time(seeds, times)
        found = self.lift(Weights(rows, output), seeds).hidden.astype(self.dtype, copy=False)
        found = found.reshape(*shape[:-1], self.shape[-1])
        if range(self.shape[1])[times].start == 0:
            found[:, 0] = self.start.hidden[seeds]
        return found
