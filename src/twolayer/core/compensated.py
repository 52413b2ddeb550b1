"""Compensated sums of products: right to rounding of the sum, not of its terms.

Where terms of order one leave 1e-13, a plain sum of them has three digits. Two-sum is Knuth's, two-product Dekker's
with Veltkamp's splitting (T. J. Dekker, Numer. Math. 18, 224, 1971).
"""

from __future__ import annotations

import math
from typing import Any

from twolayer.core.arrays import array_namespace

__all__ = ["sum_of_products", "two_product", "two_sum"]

Array = Any


def two_sum(left: Array, right: Array) -> tuple[Array, Array]:
    """s and e with s = fl(left + right) and s + e = left + right exactly."""
    total = left + right
    second = total - left
    return total, (left - (total - second)) + (right - second)


def split(values: Array) -> tuple[Array, Array]:
    """Two halves of few enough bits for their products to be exact."""
    xp = array_namespace(values)
    bits = 1 - round(math.log2(xp.finfo(values.dtype).eps))
    scaled = float(2 ** ((bits + 1) // 2) + 1) * values
    high = scaled - (scaled - values)
    return high, values - high


def two_product(left: Array, right: Array) -> tuple[Array, Array]:
    """p and e with p = fl(left · right) and p + e = left · right exactly, unless it leaves the range of floats."""
    product = left * right
    (a, b), (c, d) = split(left), split(right)
    return product, ((a * c - product) + a * d + b * c) + b * d


def sum_of_products(products: Array, errors: Array) -> Array:
    """Σ (products + errors) over the second axis from the end, as `two_product` gives them: (…, term, feature) to
    (…, feature). Its error is about that of the result, and ε² of the terms."""
    xp = array_namespace(products)
    rest = xp.sum(errors, axis=-2)
    while products.shape[-2] > 1:
        half = products.shape[-2] // 2
        total, error = two_sum(products[..., :half, :], products[..., half : 2 * half, :])
        rest = rest + xp.sum(error, axis=-2)
        odd = products[..., 2 * half :, :]
        products = xp.concat([total, odd], axis=-2) if odd.shape[-2] else total
    return products[..., 0, :] + rest
