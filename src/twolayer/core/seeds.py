"""Seeds: their generators of random numbers, and work on several of them at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

__all__ = ["even_batch", "over_seeds", "random_of", "subset"]

PURPOSES = {"problem": 0, "initialization": 1, "dynamics": 2}

Result = TypeVar("Result")


def random_of(seed: int, purpose: str) -> np.random.Generator:
    """The generator of one seed for one purpose, on the host: the same for every backend and set of seeds."""
    return np.random.default_rng([seed, PURPOSES[purpose]])


def over_seeds(work: Callable[[int], Result], count: int, threads: int) -> list[Result]:
    """`work(index)` for each seed, `threads` at a time; compiled kernels release the interpreter's lock.

    A thread goes on with the next seed by itself: work may take less time than to hand it over. After an error no seed
    is begun, and that of the first seed is raised.
    """
    if threads == 1 or count <= 1:
        return [work(index) for index in range(count)]
    waiting = iter(range(count))  # from which several threads may take
    found: dict[int, Result] = {}
    errors: dict[int, Exception] = {}

    def take() -> None:
        for index in waiting:
            try:
                found[index] = work(index)
            except Exception as error:
                errors[index] = error
                give_up()

    def give_up() -> None:
        for _ in waiting:
            pass

    with ThreadPoolExecutor(max_workers=min(threads, count)) as pool:
        try:
            for taking in [pool.submit(take) for _ in range(min(threads, count))]:
                taking.result()
        finally:
            give_up()  # where Ctrl-C has ended the wait
    if errors:
        raise errors[min(errors)]
    return [found[index] for index in range(count)]


def even_batch(count: int, most: int, threads: int) -> int:
    """The size of batches of at most `most` of so many pieces of work, of which each thread takes as many."""
    rounds = -(-count // (max(1, most) * threads))
    return max(1, -(-count // max(1, rounds * threads)))


Array = Any


def subset(random: Any, samples: int, size: int) -> list[int]:
    """`size` different numbers below `samples`, all sets alike up to rounding: the first steps of a shuffle
    (Fisher–Yates), one uniform number a step."""
    moved: dict[int, int] = {}
    chosen = []
    for index, uniform in enumerate(random.random(size).tolist()):
        other = index + int(uniform * (samples - index))
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(index, index)
    return chosen
