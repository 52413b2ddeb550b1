"""Seeds: their generators of random numbers, and work on several of them at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

__all__ = ["over_seeds", "random_of"]

PURPOSES = {"problem": 0, "initialization": 1, "dynamics": 2}

Result = TypeVar("Result")


def random_of(seed: int, purpose: str) -> np.random.Generator:
    """The generator of one seed for one purpose, on the host: the same for every backend and set of seeds."""
    return np.random.default_rng([seed, PURPOSES[purpose]])


def over_seeds(work: Callable[[int], Result], count: int, threads: int) -> list[Result]:
    """`work(index)` for each seed, `threads` at a time; compiled kernels release the interpreter's lock."""
    if threads == 1 or count == 1:
        return [work(index) for index in range(count)]
    with ThreadPoolExecutor(max_workers=min(threads, count)) as pool:
        return list(pool.map(work, range(count)))
