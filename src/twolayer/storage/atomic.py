"""Files that are whole or absent: written under another name, checked, and renamed, by one process at a time.

A killed workflow leaves its jobs alive, a full disk leaves files that open with half their values zero, and
a reader may look at any time. So a file is written under a temporary name in the same folder, synced,
reopened and checked, renamed and the folder synced, all under a lock that belongs to the output.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from twolayer.errors import DataError

__all__ = ["locked", "write", "write_text"]


def write(path: Path, produce: Callable[[Path], None], verify: Callable[[Path], None]) -> None:
    """`produce` a file under a temporary name, `verify` it (raise if it is not whole), and move it to `path`."""
    with locked(path):
        aside = path.with_name(f".{path.stem}.part{path.suffix}")
        try:
            produce(aside)
            sync(aside)
            verify(aside)
            os.replace(aside, path)
            sync(path.parent)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(f"{path}: could not be written: {message_of(error, path.parent)}") from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8."""

    def produce(aside: Path) -> None:
        aside.write_text(text, encoding="utf-8")

    def verify(aside: Path) -> None:
        if aside.read_text(encoding="utf-8") != text:
            raise ValueError("it reads back otherwise than it was written")

    write(path, produce, verify)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output; wait, and say so, while another process writes it."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise DataError(f"{path}: could not be written: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that writes {path}", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        # the process that had it may have removed it: then this lock is on a file without a name
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                break
        os.close(handle)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a crash."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def message_of(error: BaseException, folder: Path) -> str:
    """The reason of a failed write; the netCDF library hides a full disk behind 'HDF error'."""
    free = shutil.disk_usage(folder).free
    if getattr(error, "errno", None) == errno.ENOSPC or free < 1 << 20:
        return f"the disk is full ({free} bytes free on that of {folder}); nothing was left behind"
    return f"{error} ({free / 2**20:.0f} MiB free); nothing was left behind"
