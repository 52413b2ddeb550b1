"""Arrays of which a part at a time is in memory: the others lie in an unnamed file on the disk of the output.

The file has no name, so a process that dies, or is killed, leaves nothing.
"""

from __future__ import annotations

import math
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.errors import DataError
from twolayer.storage.atomic import message_of

__all__ = ["PART", "PartedArray", "ScratchArray", "parts_of"]

PART = 2**25
"""Bytes of a part of an array, at most, unless a single entry of its first two axes is larger."""


class PartedArray(ABC):
    """An array, with a shape of two axes at least and a dtype, that is read by parts of the first two."""

    shape: tuple[int, ...]
    dtype: Any

    @abstractmethod
    def __getitem__(self, part: tuple[slice, slice]) -> Any:
        """A part, in memory."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """All of it."""
        return np.asarray(self[:, :], dtype)


def parts_of(shape: tuple[int, ...], itemsize: int, most: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Slices of the first two axes that together cover an array once, in C order, each of `most` bytes at most, by
    default `PART`: rows of the first axis, or columns of one row where a row is larger."""
    most = PART if most is None else most
    rows, columns = shape[:2]
    entry = max(1, math.prod(shape[2:]) * itemsize)
    if columns * entry <= most:
        step = max(1, most // max(1, columns * entry))
        for first in range(0, rows, step):
            yield slice(first, min(first + step, rows)), slice(0, columns)
        return
    step = max(1, most // entry)
    for row in range(rows):
        for first in range(0, columns, step):
            yield slice(row, row + 1), slice(first, min(first + step, columns))


class ScratchArray(PartedArray):
    """An array of zeros at first, read and written by parts of its first two axes.

    folder: where its file is made, to vanish with the array; None keeps it in memory. Raises DataError where the disk
    does not take it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, folder: Path | None) -> None:
        self.shape, self.dtype, self.folder = shape, np.dtype(dtype), folder
        self.entry = math.prod(shape[2:]) * self.dtype.itemsize
        self.array: Any = np.zeros(shape, dtype) if folder is None else None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self.file = tempfile.TemporaryFile(dir=folder, prefix=".scratch.", buffering=0)  # noqa: SIM115
            except OSError as error:
                raise DataError(f"{folder}: could not be written: {error}") from error

    def __getitem__(self, part: tuple[slice, slice]) -> Any:
        """A part, in memory: a view where the array is."""
        if self.array is not None:
            return self.array[part]
        found = np.empty(self.shape_of(part), self.dtype)
        for row, offset in enumerate(self.offsets(part)):
            self.fill(found[row], offset)
        return found

    def __setitem__(self, part: tuple[slice, slice], values: Any) -> None:
        """Write a part; values of its shape, or that broadcast to it."""
        if self.array is not None:
            self.array[part] = values
            return
        wanted = np.broadcast_to(np.asarray(values, self.dtype), self.shape_of(part))
        try:
            for row, offset in enumerate(self.offsets(part)):
                numbers: Any = np.ascontiguousarray(wanted[row]).reshape(-1).view(np.uint8)
                left = memoryview(numbers)
                while left:
                    done = os.pwrite(self.file.fileno(), left, offset)
                    left, offset = left[done:], offset + done
        except OSError as error:
            assert self.folder is not None
            raise DataError(
                f"{self.folder}: frames could not be written: {message_of(error, self.folder)}"
            ) from error

    def fill(self, row: Any, offset: int) -> None:
        """Read a contiguous row from an offset of the file on; what was never written is zero."""
        left = memoryview(row.reshape(-1).view(np.uint8))
        while left:
            done = os.preadv(self.file.fileno(), [left], offset)
            if done == 0:
                left[:] = bytes(len(left))
                return
            left, offset = left[done:], offset + done

    def offsets(self, part: tuple[slice, slice]) -> list[int]:
        """Where each row of a part begins in the file."""
        rows, columns = (range(*one.indices(size)) for one, size in zip(part, self.shape, strict=False))
        assert columns.step == 1, "columns lie one after another"
        return [(row * self.shape[1] + columns.start) * self.entry for row in rows]

    def shape_of(self, part: tuple[slice, slice]) -> tuple[int, ...]:
        """The shape of a part."""
        sizes = [len(range(*one.indices(size))) for one, size in zip(part, self.shape, strict=False)]
        return (*sizes, *self.shape[2:])
