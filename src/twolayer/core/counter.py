"""Normal numbers by a counter: number n of a key is a function of both, the same on every backend.

Bits are SplitMix64's (Steele, Lea and Flood, OOPSLA 2014) at key + (n + 1)γ, and normal numbers are made of them by
the ziggurat of 256 layers (Marsaglia and Tsang, J. Stat. Softw. 5, 2000; its wedges as in Doornik, 2005): the low
eight bits choose the layer, the upper 53 are the number in it. Where more bits are needed, for one number in a
hundred, they are SplitMix64's from the last ones on. Any part of a batch can so be drawn by itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["EDGES", "GAMMA", "MIXERS", "RATIOS", "TAIL", "batch_keys", "normals"]

GAMMA = 0x9E3779B97F4A7C15
MIXERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""SplitMix64's step and multipliers."""

TAIL, AREA = 3.654152885361009, 0.00492867323397465524494
"""Where the tail begins, and the area of each layer under exp(−x²/2)."""

WORD = 2**64


def edges() -> Any:
    """x_0 > … > x_256 = 0 of the layers, (257,): x_0 that of a rectangle as large as the lowest layer."""
    found = [AREA / math.exp(-0.5 * TAIL * TAIL), TAIL]
    while len(found) < 256:
        height = AREA / found[-1] + math.exp(-0.5 * found[-1] ** 2)
        found.append(math.sqrt(-2.0 * math.log(height)))
    return np.array([*found, 0.0])


EDGES = edges()
RATIOS = EDGES[1:] / EDGES[:-1]
"""Which share of each layer lies under the curve, (256,)."""


def batch_keys(random: np.random.Generator, count: int) -> Any:
    """The keys of so many batches, (batch,): the next words of a seed's generator, 64 bits each."""
    return random.bit_generator.random_raw(count)


def normals(key: int, count: int) -> Any:
    """The first normal numbers of a key, (count,)."""
    gamma = np.uint64(GAMMA)
    bits = np.uint64(key) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * gamma
    for shift, factor in zip((30, 27), MIXERS, strict=True):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    layer = (bits & np.uint64(255)).astype(np.int64)
    share = (bits.view(np.int64) >> 11) * 2.0**-52
    found = share * EDGES[layer]
    for index in np.flatnonzero(np.abs(share) >= RATIOS[layer]):
        found[index] = beyond_the_layer(int(bits[index]))
    return found


def beyond_the_layer(bits: int) -> float:
    """The normal number of bits that are not under the curve by themselves."""
    while True:
        layer = bits & 255
        share = ((bits >> 11) - (2**53 if bits >> 63 else 0)) * 2.0**-52
        x = share * float(EDGES[layer])
        if abs(share) < RATIOS[layer]:
            return x
        if layer == 0:
            while True:
                bits = following(bits)
                beyond = -math.log(above_zero(bits)) / TAIL
                bits = following(bits)
                if -2.0 * math.log(above_zero(bits)) > beyond * beyond:
                    return TAIL + beyond if share > 0.0 else -(TAIL + beyond)
        bits = following(bits)
        lower = math.exp(0.5 * (x * x - float(EDGES[layer]) ** 2))
        upper = math.exp(0.5 * (x * x - float(EDGES[layer + 1]) ** 2))
        if lower + (above_zero(bits)) * (upper - lower) < 1.0:
            return x
        bits = following(bits)


def following(bits: int) -> int:
    """SplitMix64's next word."""
    bits = (bits + GAMMA) % WORD
    for shift, factor in zip((30, 27), MIXERS, strict=True):
        bits = ((bits ^ (bits >> shift)) * factor) % WORD
    return bits ^ (bits >> 31)


def above_zero(bits: int) -> float:
    """A uniform number in (0, 1]."""
    return ((bits >> 11) + 1) * 2.0**-53
