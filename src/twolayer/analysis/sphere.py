"""Directions of neurons on the sphere, as a picture: an equal-area map of three dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.errors import DataError

__all__ = ["draw_sphere", "hammer"]

POINTS = 181
"""Of a line of the grid."""

GRID_DEGREES = 30
"""Between its lines."""


def hammer(directions: Any) -> Any:
    """Where unit vectors (…, 3) lie in Hammer's map, (…, 2): area is kept, and the sphere becomes an ellipse with half
    axes 2√2 and √2.

    x = 2√2 cos φ sin(λ/2)/z and y = √2 sin φ/z with z = √(1 + cos φ cos(λ/2)), φ the latitude over the plane of the
    first two axes, and λ the longitude, from the first. Source: Hammer 1892.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    half, across = 0.5 * np.arctan2(y, x), np.hypot(x, y)
    scale = math.sqrt(2.0) / np.sqrt(1.0 + across * np.cos(half))
    return np.stack([2.0 * scale * across * np.sin(half), scale * z], axis=-1)


def draw_sphere(
    axes: Any, hidden: Any, output: Any = None, teachers: Any = None, basis: Any = None, size: float = 60.0
) -> Any:
    """Draw the directions of neurons on the whole sphere: each a dot, of an area in proportion to |a||w|.

    axes: of matplotlib; ticks and frame are taken away, and its scales are equal.
    hidden: w (neuron, feature), in three features, or in any number with `basis`, three vectors (3, feature), of whose
    span the directions are drawn.
    output: a (neuron,), whose sign is the dot's colour; None counts as 1. teachers: v (teacher, feature), as crosses.
    size: of the largest dot, in points². Returns the dots, a collection of matplotlib.
    Neurons that are 0, or not finite, are left out. DataError for another number of features.
    """
    hidden = np.asarray(hidden, dtype=np.float64)
    output = np.ones(len(hidden)) if output is None else np.asarray(output, dtype=np.float64)
    for latitude in range(-90 + GRID_DEGREES, 90, GRID_DEGREES):
        line(axes, np.deg2rad(latitude), np.linspace(-np.pi, np.pi, POINTS))
    for longitude in range(-180, 181, GRID_DEGREES):
        edge = np.nextafter(np.deg2rad(longitude), 0.0)  # ±180° are two lines of the map
        line(axes, np.linspace(-0.5 * np.pi, 0.5 * np.pi, POINTS), edge, strong=abs(longitude) == 180)
    vectors, length = directions_of(hidden, basis)
    usable = np.isfinite(vectors).all(-1) & (length > 0) & np.isfinite(output)
    mass = (np.abs(output) * length)[usable]
    places = hammer(vectors[usable])
    dots = axes.scatter(
        *places.T,
        s=size * mass / mass.max() if mass.size and mass.max() > 0 else size,
        c=np.where(output[usable] < 0, "C1", "C0").tolist(),
        alpha=0.7,
        linewidths=0,
        zorder=3,
    )
    if teachers is not None:
        axes.scatter(
            *hammer(directions_of(teachers, basis)[0]).T, marker="+", color="black", s=size, zorder=4
        )
    axes.set_aspect("equal")
    axes.set_axis_off()
    return dots


def directions_of(vectors: Any, basis: Any) -> tuple[Any, Any]:
    """Unit vectors (…, 3) and lengths (…,) of vectors (…, feature), in the span of the basis where there is one."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if basis is not None:
        orthonormal, triangle = np.linalg.qr(np.asarray(basis, dtype=np.float64).T)
        vectors = vectors @ (orthonormal * np.sign(np.diag(triangle)))
    if vectors.shape[-1] != 3:
        raise DataError(
            f"draw_sphere: {vectors.shape[-1]} features; the map is of three: give basis=, three vectors whose span "
            "is drawn"
        )
    length = np.linalg.norm(vectors, axis=-1)
    return vectors / np.where(length > 0, length, 1.0)[..., None], length


def line(axes: Any, latitude: Any, longitude: Any, strong: bool = False) -> None:
    """A line of the grid."""
    latitude, longitude = np.broadcast_arrays(latitude, longitude)
    across = np.cos(latitude)
    places = hammer(
        np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)
    )
    axes.plot(*places.T, color="0.6" if strong else "0.85", linewidth=0.8 if strong else 0.5, zorder=1)
