"""Work on many seeds at once is shared out evenly."""

from __future__ import annotations

import pytest

from twolayer.core.seeds import even_batch


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
