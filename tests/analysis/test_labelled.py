"""Functions on labelled arrays, handed something else: the error says what they take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import twolayer
from twolayer.errors import DataError

TIME = np.arange(1.0, 21.0)
FALLING = xr.Dataset(
    {"loss": (("order", "seed", "time"), np.ones((2, 3, 1)) * TIME**-3), "run": ("order", ["{}", "{}"])},
    {"order": [1, 2], "seed": [0, 1, 2], "time": TIME},
)
AXES = Figure().subplots()


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "not NoneType"),
        ("results/x.nc", r"not str; xarray\.open_dataset\(path\) opens one"),
        (Path("x.nc"), "not PosixPath; xarray"),
        (FALLING.loss, "not DataArray"),
        ({"loss": [1.0]}, "not dict"),
    ],
)
def test_what_takes_a_dataset_says_so(given: Any, what: str) -> None:
    for function, further in (
        (twolayer.fit_rate, ()),
        (twolayer.local_slope, ()),
        (twolayer.within_trust, ()),
        (twolayer.unpadded, ()),
        (twolayer.runs_by, ("order",)),
        (twolayer.chance_of_reaching, (0.1,)),
    ):
        with pytest.raises(DataError, match=rf"^{function.__name__}: takes an xarray\.Dataset, {what}"):
            function(given, *further)


def test_what_takes_labelled_values_says_so() -> None:
    values = np.ones((3, 20))
    for call, message in (
        (lambda: twolayer.bands(AXES, TIME, values), "bands: takes an xarray.DataArray, not ndarray"),
        (
            lambda: twolayer.bands(AXES, TIME, FALLING.time),
            "bands: takes values with a dimension seed; these have time",
        ),
        (lambda: twolayer.floored(AXES, values, 0.1), "floored: takes an xarray.DataArray"),
        (lambda: twolayer.name_axes(AXES, x=values), "name_axes: takes an xarray.DataArray"),
        (lambda: twolayer.facets(Figure(), []), "facets: there is no run to show"),
        (lambda: twolayer.runs_by(FALLING, "seed"), "there is no swept word 'seed'. Known: order."),
        (lambda: twolayer.runs_by(FALLING, "ordre"), "Did you mean 'order'?"),
        (
            lambda: twolayer.runs_by(FALLING.drop_vars("run"), "order"),
            "runs_by: the dataset has no variable 'run'",
        ),
        (lambda: twolayer.chance_of_reaching(FALLING, math.nan), "level must be a finite number, is nan"),
        (lambda: twolayer.chance_of_reaching(FALLING, "low"), "level must be a finite number, is 'low'"),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert message in str(caught.value)


def test_a_rate_is_fitted_from_a_time_to_a_later_one() -> None:
    with pytest.raises(ValueError, match="start: must be below stop = 5, is 5"):
        twolayer.fit_rate(FALLING, start=5, stop=5)
    fit = twolayer.fit_rate(FALLING, start=5, stop=15)
    np.testing.assert_allclose(fit.constant, 1.0, rtol=1e-9)
    assert (fit.points == 11).all()
