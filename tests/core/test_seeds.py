"""Work on many seeds at once: in the order of seeds, shared out evenly, ended by the first error."""

from __future__ import annotations

import threading

import pytest

from twolayer.core.seeds import even_batch, over_seeds


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("most", [0, 1, 7, 40, 1000])
@pytest.mark.parametrize("count", [0, 1, 5, 64, 512, 513])
def test_batches_are_even(count: int, most: int, threads: int) -> None:
    size = even_batch(count, most, threads)
    assert 1 <= size <= max(1, most)
    batches = -(-count // size)
    assert batches <= max(threads, -(-count // max(1, most))) + threads - 1
    loads = [0] * threads  # each thread takes the next batch when it has done its last
    for first in range(0, count, size):
        loads[loads.index(min(loads))] += min(size, count - first)
    assert max(loads) - min(loads) <= size
    rounds = -(-batches // threads)
    assert max(loads) <= count / threads + rounds


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_are_in_the_order_of_seeds(count: int, threads: int) -> None:
    assert over_seeds(lambda index: index**2, count, threads) == [index**2 for index in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_first_error_ends_the_work(threads: int) -> None:
    begun: list[int] = []
    all_fail = threading.Barrier(threads, timeout=10)

    def work(index: int) -> None:
        begun.append(index)
        if index >= 8:
            all_fail.wait()
            raise ValueError(f"seed {index}")

    with pytest.raises(ValueError, match=r"^seed 8$"):
        over_seeds(work, 1000, threads)
    assert sorted(begun) == list(range(8 + threads))
