"""The map of the sphere keeps areas, and has its dots where neurons point."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from twolayer import draw_sphere
from twolayer.analysis.sphere import hammer
from twolayer.errors import DataError


def test_the_map_keeps_areas() -> None:
    """The Jacobian in (λ, φ) is cos φ, by central differences of 1e-5, and the poles and the date line are at the ends
    of the half axes √2 and 2√2."""

    def place(longitude: float, latitude: float) -> np.ndarray:
        across = np.cos(latitude)
        return hammer([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)])

    for longitude, latitude in np.random.default_rng(0).uniform([-3, -1.5], [3, 1.5], (50, 2)):
        step = 1e-5
        east = (place(longitude + step, latitude) - place(longitude - step, latitude)) / (2 * step)
        north = (place(longitude, latitude + step) - place(longitude, latitude - step)) / (2 * step)
        area = east[0] * north[1] - east[1] * north[0]
        assert area == pytest.approx(np.cos(latitude), abs=1e-8)
    ends = hammer([[1.0, 0, 0], [0, 0, 1.0], [0, 0, -1.0], [-1.0, 1e-300, 0]])
    wanted = [[0, 0], [0, np.sqrt(2)], [0, -np.sqrt(2)], [2 * np.sqrt(2), 0]]
    np.testing.assert_allclose(ends, wanted, atol=1e-12)


def test_dots_are_where_neurons_point() -> None:
    hidden = np.array([[2.0, 0, 0], [0, 0, 1.0], [0, 0, 0], [0, np.nan, 0]])
    axes = Figure().subplots()
    dots = draw_sphere(axes, hidden, [1.0, -1.0, 1.0, 1.0], teachers=[[0, 1.0, 0]], size=50)
    np.testing.assert_allclose(dots.get_offsets(), [[0, 0], [0, np.sqrt(2)]], atol=1e-12)
    np.testing.assert_allclose(dots.get_sizes(), [50, 25])
    first, second = dots.get_facecolors()[:, :3]
    assert (first != second).any()


def test_a_span_of_many_dimensions() -> None:
    """The same dots in five features as in the three of the basis."""
    hidden = np.random.default_rng(1).standard_normal((6, 3))
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 3)))[0].T
    one, other = (Figure().subplots() for _ in range(2))
    places = draw_sphere(one, hidden).get_offsets()
    np.testing.assert_allclose(
        places, draw_sphere(other, hidden @ basis, basis=basis).get_offsets(), atol=1e-12
    )
    with pytest.raises(DataError, match="5 features; the map is of three: give basis="):
        draw_sphere(one, hidden @ basis)
