"""The rate fit and the local slope against curves whose constants are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twolayer import fit_rate, local_slope, within_trust
from twolayer.analysis.rates import along_time, decay_rate, first_below, power_slope


def decaying(constants: Any, offset: float, exponent: float = 3.0, stop: float = 1e6) -> xr.Dataset:
    """L = C/(t + t₀)^p of several seeds."""
    time = np.concatenate([[0.0], np.geomspace(1.0, stop, 121)])
    loss = np.asarray(constants)[:, None] / (time + offset) ** exponent
    return xr.Dataset({"loss": (("seed", "time"), loss)}, coords={"time": time})


@given(st.floats(1e-8, 1e8), st.floats(0.1, 1e5), st.sampled_from([1.0, 2.0, 3.0, 3.5]), st.floats(1e3, 1e8))
def test_a_law_is_found_again(constant: float, offset: float, exponent: float, stop: float) -> None:
    fit = fit_rate(decaying([constant, 2 * constant], offset, exponent, stop), exponent=exponent)
    np.testing.assert_allclose(fit["constant"], [constant, 2 * constant], rtol=1e-8)
    np.testing.assert_allclose(fit["offset"], offset, rtol=1e-8, atol=1e-9 * stop)
    assert float(fit["misfit"].max()) < 1e-12


def test_the_default_is_the_last_decade_and_an_interval_can_be_chosen() -> None:
    dataset = decaying([1.0], 10.0)
    dataset["loss"][:, dataset["time"].values < 1e4] = 1.0  # another regime before
    assert int(fit_rate(dataset)["points"][0]) == 21
    assert float(fit_rate(dataset)["constant"][0]) == pytest.approx(1.0, rel=1e-9)
    assert int(fit_rate(dataset, 2e4, 5e4)["points"][0]) == 7
    assert float(fit_rate(dataset, start=1.0)["misfit"][0]) > 0.1


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """600 noisy curves: a 95 % interval covers in 95 % ± 4 standard errors, for C and for t₀."""
    dataset = decaying(np.ones(600), 1e5, stop=1e6)
    noise = np.random.default_rng(0).standard_normal(dataset["loss"].shape)
    dataset["loss"] = dataset["loss"] * (1 + 1e-4 * noise) ** -3
    fit = fit_rate(dataset)
    for name, truth in (("constant", 1.0), ("offset", 1e5)):
        covered = ((fit[f"{name}_low"] <= truth) & (truth <= fit[f"{name}_high"])).mean()
        assert abs(float(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 600)


def test_times_that_differ_between_runs_and_padding() -> None:
    time = np.array([[1.0, 10.0, 20.0, 40.0, 80.0], [2.0, 50.0, 70.0, 100.0, np.nan]])
    loss = 5.0 / (time + 3.0) ** 3
    dataset = xr.Dataset(
        {"loss": (("neurons", "seed", "time"), loss[:, None])},
        coords={"neurons": [2, 5], "time": (("neurons", "time"), time)},
    )
    fit = fit_rate(dataset, start=1.0)
    assert fit["constant"].dims == ("neurons", "seed")
    np.testing.assert_allclose(fit["constant"], 5.0, rtol=1e-10)
    assert fit["points"].values.tolist() == [[5], [4]]
    slope = local_slope(dataset)
    assert slope.dims == ("neurons", "seed", "time")
    assert np.isnan(slope[:, :, 0]).all()
    assert np.isnan(slope[1, 0, 4])


def test_only_frames_within_trust_are_used() -> None:
    """A law that rounding breaks off at 1e4 in one seed is found again from what comes before."""
    dataset = decaying([1.0, 1.0], 10.0)
    time = dataset["time"].values
    dataset["loss"][0, time > 1e4] = 1e-12
    dataset["trusted_until"] = ("seed", [time[time <= 1e4][-1], time[-1]])
    fit = fit_rate(dataset)
    np.testing.assert_allclose(fit["constant"], 1.0, rtol=1e-9)
    assert fit["points"].values.tolist() == [21, 21]
    assert not np.allclose(fit_rate(dataset, trusted_only=False)["constant"][0], 1.0)
    slope = local_slope(dataset)
    assert np.isnan(slope[0, time > 1e4]).all()
    assert np.isfinite(slope[1, 2:]).all()
    assert float(local_slope(dataset, trusted_only=False)[0, -1]) == 0
    kept = within_trust(dataset.transpose("time", "seed"))
    assert kept.dims == ("time", "seed")
    assert np.isnan(kept).sum() == (time > 1e4).sum()
    dataset["shared"] = ("time", np.ones(len(time)))
    assert np.isnan(within_trust(dataset, "shared")).sum() == (time > 1e4).sum()
    xr.testing.assert_identical(within_trust(dataset.drop_vars("trusted_until")), dataset["loss"])


def test_nothing_to_fit_is_nan_and_not_an_error() -> None:
    dataset = decaying([1.0, 1.0], 1.0)
    dataset["loss"][0] = 0.0
    dataset["loss"][1] = np.linspace(1, 2, dataset.sizes["time"])  # rises
    fit = fit_rate(dataset)
    assert np.isnan(fit["constant"]).all()
    assert fit["points"].values.tolist() == [0, 21]


def test_the_local_slope_is_biased_as_derived() -> None:
    """−p t/(t + t₀) at the geometric middle of two times."""
    dataset = decaying([1.0], 30.0)
    slope = local_slope(dataset).isel(seed=0).values[2:]
    time = dataset["time"].values[1:]
    middle = np.sqrt(time[1:] * time[:-1])
    np.testing.assert_allclose(slope, -3 * middle / (middle + 30.0), atol=2e-3)


@pytest.mark.parametrize("wrong", [{"exponent": 0.0}, {"confidence": 1.0}])
def test_meaningless_arguments_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fit_rate(decaying([1.0], 1.0), **wrong)  # type: ignore[arg-type]


def test_readings_of_curves() -> None:
    time = np.geomspace(1, 1e3, 61)
    assert power_slope(time, 5 * time**-3, 100, 1000) == pytest.approx(-3)
    gaps = np.where(time > 500, np.nan, 5 * time**-3)
    assert power_slope(time, gaps, 100, 1000) == pytest.approx(-3)
    assert math.isnan(power_slope(time, gaps, 600, 1000))
    linear = np.linspace(0, 10, 50)
    rate, misfit = decay_rate(linear, -np.exp(-1.7 * linear), 1e-6, 1e-1)
    assert rate == pytest.approx(1.7)
    assert misfit < 1e-12
    assert math.isnan(decay_rate(linear, np.ones(50), 1e-6, 1e-1)[0])


def test_readings_of_labelled_curves_are_those_of_each_curve() -> None:
    time = np.geomspace(1, 100, 20)
    values = xr.DataArray(
        [[time**-1.0, time**-3.0], [time**-2.0, time**0.5]],
        dims=("seed", "n", "time"),
        coords={"seed": [4, 7], "time": time},
    ).transpose("time", "seed", "n")
    start = xr.DataArray([1.0, np.nan], dims="seed", coords={"seed": [7, 4]})
    found = along_time(power_slope, values, start, 100.0)
    assert np.allclose(found.sel(seed=7).transpose("n"), [-2.0, 0.5])
    assert found.sel(seed=4).isnull().all()
    halved = along_time(first_below, values.isel(n=0), 0.5, spacing="log")
    for seed, curve in ((4, time**-1.0), (7, time**-2.0)):
        assert halved.sel(seed=seed) == first_below(time, curve, 0.5, "log")


def test_when_a_curve_first_falls_below_a_level() -> None:
    time = np.array([0.0, *np.geomspace(1, 1e3, 61)])
    linear, logarithm, power = (
        5.0 - 0.01 * time,
        5.0 - np.log(np.maximum(time, 0.1)),
        7.0 * (time + 1e-9) ** -3.0,
    )
    assert first_below(time, linear, 1.234) == pytest.approx((5 - 1.234) / 0.01)
    assert first_below(time, logarithm, 1.234, "log") == pytest.approx(np.exp(5 - 1.234))
    assert first_below(time, np.log(power), np.log(1e-5), "log") == pytest.approx(7e5 ** (1 / 3))
    assert math.isnan(first_below(time, linear, -10.0))
    assert first_below(time, linear, 6.0) == 0
    assert first_below(time, -time, -0.5, "log") == 1.0  # after time 0 nothing lies between
