"""Compiled normal numbers by a counter: as `core.counter`, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.core import counter
from twolayer.core.counter import EDGES, GAMMA, MIXERS, RATIOS, TAIL
from twolayer.kernels.jit import compiles, njit

__all__ = ["batch_normals", "fill_normals"]

STEP, FIRST, SECOND = np.uint64(GAMMA), np.uint64(MIXERS[0]), np.uint64(MIXERS[1])
LOW, ONE, ELEVEN = np.uint64(255), np.uint64(1), np.uint64(11)
S30, S27, S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@njit(cache=True, nogil=True, forceinline=True)
def mixed(bits: Any) -> Any:
    """SplitMix64's word of a counter."""
    bits = (bits ^ (bits >> S30)) * FIRST
    bits = (bits ^ (bits >> S27)) * SECOND
    return bits ^ (bits >> S31)


@njit(cache=True, nogil=True, forceinline=True)
def above_zero(bits: Any) -> float:
    """A uniform number in (0, 1]."""
    return float((bits >> ELEVEN) + ONE) * 2.0**-53


@njit(cache=True, nogil=True)
def beyond_the_layer(bits: Any) -> float:
    """As `counter.beyond_the_layer`."""
    while True:
        layer = np.int64(bits & LOW)
        share = float(np.int64(bits) >> 11) * 2.0**-52
        x = share * EDGES[layer]
        if abs(share) < RATIOS[layer]:
            return x
        if layer == 0:
            while True:
                bits = mixed(bits + STEP)
                beyond = -math.log(above_zero(bits)) / TAIL
                bits = mixed(bits + STEP)
                if -2.0 * math.log(above_zero(bits)) > beyond * beyond:
                    return TAIL + beyond if share > 0.0 else -(TAIL + beyond)
        bits = mixed(bits + STEP)
        lower = math.exp(0.5 * (x * x - EDGES[layer] * EDGES[layer]))
        upper = math.exp(0.5 * (x * x - EDGES[layer + 1] * EDGES[layer + 1]))
        if lower + above_zero(bits) * (upper - lower) < 1.0:
            return x
        bits = mixed(bits + STEP)


@njit(cache=True, nogil=True)
def fill_normals(key: Any, first: int, out: Any) -> None:
    """The normal numbers of a key from number `first` on into `out` (number,)."""
    number = key + np.uint64(first) * STEP
    for index in range(out.size):
        number += STEP
        bits = mixed(number)
        layer = np.int64(bits & LOW)
        share = float(np.int64(bits) >> 11) * 2.0**-52
        if abs(share) < RATIOS[layer]:
            out[index] = share * EDGES[layer]
        else:
            out[index] = beyond_the_layer(bits)


def batch_normals(key: Any, count: int) -> Any:
    """The first normal numbers of a key, (count,), compiled unless NUMBA_DISABLE_JIT is set."""
    if not compiles():
        return counter.normals(int(key), count)
    out = np.empty(count)
    fill_normals(key, 0, out)
    return out
