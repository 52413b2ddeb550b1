"""Lengths, products and angles of single vectors in compiled code, exact to rounding."""

from __future__ import annotations

import math
from typing import Any

from twolayer.kernels.jit import njit

__all__ = ["angle_between", "dot", "length_of"]


@njit(cache=True, nogil=True)
def length_of(vector: Any) -> float:
    """|u|, safe where squares leave the range of floats; NaN where a coordinate is: `core.arrays.norm` in kernels."""
    largest = 0.0
    for x in vector:
        largest = max(largest, abs(x))
    square = 0.0
    for x in vector:
        square += (x / largest) ** 2 if largest > 0.0 else x
    return largest * math.sqrt(square)


@njit(cache=True, nogil=True)
def dot(left: Any, right: Any) -> float:
    """u·v."""
    total = 0.0
    for a in range(left.size):
        total += left[a] * right[a]
    return total


@njit(cache=True, nogil=True)
def angle_between(left: Any, right: Any) -> float:
    """θ of two unit vectors (or 0), as `closed_form.angles`."""
    apart, together = 0.0, 0.0
    for a in range(left.size):
        apart += (left[a] - right[a]) ** 2
        together += (left[a] + right[a]) ** 2
    return 2.0 * math.atan2(math.sqrt(apart), math.sqrt(together))
