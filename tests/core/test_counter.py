"""Normal numbers by a counter: their law, their independence, and that all implementations give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from twolayer.core.counter import AREA, EDGES, TAIL, batch_keys, normals
from twolayer.core.seeds import random_of
from twolayer.kernels.normals import fill_normals

KEYS = [0, 1, 2**63, 2**64 - 1, 0x123456789ABCDEF]


def filled(key: int, first: int, count: int) -> Any:
    out = np.empty(count)
    fill_normals(np.uint64(key), first, out)
    return out


@pytest.mark.parametrize("key", KEYS)
def test_compiled_numbers_are_the_same_bits(key: int) -> None:
    """Of 60,000, of which 700 need more bits and 15 are in the tail."""
    expected = normals(key, 60_000)
    assert (np.abs(expected) > TAIL).any()
    np.testing.assert_array_equal(filled(key, 0, 60_000), expected)
    np.testing.assert_array_equal(filled(key, 59_000, 1000), expected[59_000:])


def test_layers_have_the_same_area() -> None:
    """x_i (f(x_{i+1}) − f(x_i)), and the lowest with the tail."""
    heights = np.exp(-0.5 * EDGES**2)
    np.testing.assert_allclose(EDGES[1:-1] * (heights[2:] - heights[1:-1]), AREA, rtol=1e-8)
    tail = np.sqrt(2 * np.pi) * stats.norm.sf(TAIL)
    assert TAIL * heights[1] + tail == pytest.approx(AREA, rel=1e-8)


def test_the_law_is_normal() -> None:
    """Ten million numbers of 1,000 keys: moments to 5 standard errors, 400 classes of one probability by χ², and the
    tail beyond 3.65 and 4.5."""
    keys = batch_keys(random_of(3, "dynamics"), 1000)
    numbers = np.concatenate([filled(int(key), 0, 10_000) for key in keys])
    count = numbers.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((numbers**power).mean() - moment) < 5 * np.sqrt(variance / count)
    classes = np.bincount(np.searchsorted(stats.norm.ppf(np.arange(1, 400) / 400), numbers), minlength=400)
    assert stats.chisquare(classes).pvalue > 1e-4
    for edge in (TAIL, 4.5):
        expected = 2 * count * stats.norm.sf(edge)
        assert abs((np.abs(numbers) > edge).sum() - expected) < 5 * np.sqrt(expected)


def test_numbers_do_not_depend_on_each_other() -> None:
    """Correlations of numbers, their squares and signs of one key at distances 1 to 32, and of neighbouring keys and
    keys of one generator, to 5 standard errors of 400,000."""
    count, keys = 400_000, batch_keys(random_of(1, "dynamics"), 2)
    one = filled(int(keys[0]), 0, count)
    others = [np.roll(one, shift) for shift in (1, 2, 3, 8, 20, 32)]
    others += [filled(int(keys[1]), 0, count), filled((int(keys[0]) + 1) % 2**64, 0, count)]
    for other in others:
        for function in (lambda x: x, lambda x: (x * x - 1) / np.sqrt(2), np.sign):
            assert abs((function(one) * function(other)).mean()) < 5 / np.sqrt(count)


def test_keys_do_not_depend_on_how_many_are_drawn_at_a_time() -> None:
    together, apart = random_of(5, "dynamics"), random_of(5, "dynamics")
    expected = batch_keys(together, 7)
    found = np.concatenate([batch_keys(apart, count) for count in (2, 0, 4, 1)])
    np.testing.assert_array_equal(found, expected)
    assert together.random() == apart.random()
    assert len(set(expected.tolist())) == 7
