"""Angles in lanes, and functions of them that keep their digits near 0: formulas of `orthogonal_form`."""

from __future__ import annotations

import math
from typing import Any

from twolayer.kernels.simd import (
    inlined,
    square_root,
    where_less,
)
from twolayer.population.closed_form import SERIES
from twolayer.population.lanes import arc

__all__ = ["angle_of", "arc_tangent", "bend", "beyond_sine", "g_of", "larger", "wide_arc_tangent", "xi"]


@inlined
def angle_of(minus: Any, plus: Any) -> Any:
    """θ in [0, π] of two directions by their chords, to rounding at both ends."""
    near = arc(where_less(plus, minus, plus, minus))
    return where_less(plus, minus, math.pi - near, near)


@inlined
def larger(left: Any, right: Any) -> Any:
    """The larger of two, and the first where one is NaN."""
    return where_less(left, right, right, left)


@inlined
def xi(x: Any) -> Any:
    """ξ = √(1 + X) − 1."""
    return x / (1.0 + square_root(1.0 + x))


@inlined
def arc_tangent(x: Any) -> Any:
    """atan x of |x| ≤ 0.06 by its series."""
    y = x * x
    series = y * (1.0 / 13.0) - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return x + x * y * series


@inlined
def wide_arc_tangent(x: Any) -> Any:
    """atan x of |x| ≤ 0.4, of half the angle."""
    half = x / (1.0 + square_root(1.0 + x * x))
    y = half * half
    series = y * (1.0 / 25.0) - 1.0 / 23.0
    series = series * y + 1.0 / 21.0
    series = series * y - 1.0 / 19.0
    series = series * y + 1.0 / 17.0
    series = series * y - 1.0 / 15.0
    series = series * y + 1.0 / 13.0
    series = series * y - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return 2.0 * (half + half * y * series)


@inlined
def beyond_sine(theta: Any) -> Any:
    """θ − sin θ of small angles."""
    y = theta * theta
    return (
        theta
        * y
        * (1.0 / 6.0)
        * (1.0 - y * (1.0 / 20.0) * (1.0 - y * (1.0 / 42.0) * (1.0 - y * (1.0 / 72.0))))
    )


@inlined
def g_of(theta: Any, sine: Any, cosine: Any) -> Any:
    """g(θ) = sin θ − θ cos θ, by its series below 0.5."""
    y = theta * theta
    series = 1.0 - y * (1.0 / SERIES[6])
    series = 1.0 - y * (1.0 / SERIES[5]) * series
    series = 1.0 - y * (1.0 / SERIES[4]) * series
    series = 1.0 - y * (1.0 / SERIES[3]) * series
    series = 1.0 - y * (1.0 / SERIES[2]) * series
    series = 1.0 - y * (1.0 / SERIES[1]) * series
    series = 1.0 - y * (1.0 / SERIES[0]) * series
    return where_less(theta, 0.5, theta * y * (1.0 / 3.0) * series, sine - theta * cosine)


@inlined
def bend(x: Any, rho: Any) -> Any:
    """ξ²/2 + ρκ, as `orthogonal_form.bend`."""
    grown = xi(x)
    slope = rho / (1.0 + grown)
    y = slope * slope
    series = y * (1.0 / 13.0) - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return 0.5 * grown * grown + rho * (slope * grown - slope * y * series)
