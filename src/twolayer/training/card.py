"""A card for a training alone: two trainings on one machine take different ones, or turns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["one_card", "visible"]

CARDS = Path("/proc/driver/nvidia/gpus")
"""Where the driver lists the cards of this machine, without CUDA being started."""

VISIBLE = "CUDA_VISIBLE_DEVICES"

PAUSE = 1.0
"""Seconds between two looks at cards that are taken."""


def visible(environment: Mapping[str, str]) -> list[str]:
    """The names of the cards that a process with this environment may use: those that CUDA_VISIBLE_DEVICES lists, or
    the numbers of all."""
    if (listed := environment.get(VISIBLE)) is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(CARDS.iterdir())] if CARDS.is_dir() else []


@contextlib.contextmanager
def one_card() -> Iterator[str | None]:
    """Take a card that no other training on this machine has, and let CUDA see that one alone; its name.

    Where all are taken it waits, and says so. To be called before CUDA starts. In a job of Slurm, which gives each
    job its cards, and where there is none, nothing is taken. A card is given back when the process ends, however.
    """
    before = os.environ.get(VISIBLE)
    names = [] if "SLURM_JOB_ID" in os.environ else visible(os.environ)
    if not names:
        yield None
        return
    name, lock = taken(names)
    os.environ[VISIBLE] = name
    try:
        yield name
    finally:
        os.close(lock)
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before


def taken(names: list[str]) -> tuple[str, int]:
    """The first card that is free, and the open file that marks it as taken."""
    waited = False
    while True:
        for name in names:
            lock = opened(Path(tempfile.gettempdir(), f"twolayer-card-{re.sub(r'[^A-Za-z0-9-]', '_', name)}"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return name, lock
            except BlockingIOError:
                os.close(lock)
        if not waited:
            print(f"waits for a card: another training has {', '.join(names)}", file=sys.stderr, flush=True)
            waited = True
        time.sleep(PAUSE)


def opened(file: Path) -> int:
    """The file of a card, which may be another user's."""
    with contextlib.suppress(FileNotFoundError):
        return os.open(file, os.O_RDONLY)
    return os.open(file, os.O_RDONLY | os.O_CREAT, 0o644)
