"""One-pass descent with reduced draws: the compiled loop, its law against that in all features, its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

import twolayer
from twolayer import Teacher, Weights
from twolayer.core.network import Network
from twolayer.errors import ConfigError
from twolayer.population import numba_one_pass
from twolayer.population.one_pass import one_pass, triangular, turned
from twolayer.study.registry import load

ACTIVATIONS = load(kinds=["activations"])
DATA = Path(__file__).parents[2] / "plugins" / "papers" / "arnaboldi2023" / "data"


def generators(seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, 2]) for seed in range(seeds)]


@pytest.mark.parametrize("dimension", [None, 40])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("name", ["erf", "quadratic", "relu"])
def test_the_compiled_loop_is_the_plain_one(name: str, output: Any, dimension: int | None) -> None:
    """50 steps to 1e-13, in all of 5 features and in 6 of 40; float32 to its precision."""
    neurons, teachers = 4, 2
    features = 5 if dimension is None else neurons + teachers
    network = Network(neurons, ACTIVATIONS.find("activations", name).plugin(), output, output_scale="1/m")
    hidden = np.random.default_rng(1).normal(size=(3, neurons, features)) * 0.4
    hidden = turned(hidden, teachers) if dimension else hidden
    teacher = Teacher(np.eye(teachers, features), np.array([0.5, 0.5]), "none", dimension, 0.01)
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-4)):
        start = network.with_tied_outputs(Weights(hidden.astype(dtype), np.ones((3, neurons), dtype)))
        for lengths in (None, np.linalg.norm(hidden, axis=-1)):
            if lengths is not None and output == "tied":
                continue
            arguments = (network, teacher, start, 0.004, 50, generators(3), lengths)
            plain = one_pass(*arguments)
            compiled = numba_one_pass.one_pass(*arguments[:5], generators(3), lengths, 1)
            assert abs(plain.hidden - start.hidden).max() > 1e-3
            assert abs(plain.hidden - compiled.hidden).max() < tolerance
            assert abs(plain.output - compiled.output).max() < tolerance
            assert compiled.hidden.dtype == dtype
            if dimension:
                assert triangular(compiled.hidden, teachers)
            if lengths is not None:
                assert np.allclose(np.linalg.norm(compiled.hidden, axis=-1), lengths, rtol=1e-6)


def test_turning_keeps_overlaps() -> None:
    hidden = np.random.default_rng(1).normal(size=(2, 3, 7))
    found = turned(hidden, 2)
    assert found.shape == (2, 3, 5)
    assert triangular(found, 2)
    assert not triangular(hidden, 2)
    for left, right in ((hidden, found), (hidden[..., :2], found[..., :2])):
        assert np.allclose(left @ np.swapaxes(left, -1, -2), right @ np.swapaxes(right, -1, -2), atol=1e-14)


def experiment(draw: str, **changes: Any) -> dict[str, Any]:
    """Three students of two teachers in d = 12."""
    found = {
        "problem": {
            "name": "gaussian_teacher", "dimension": 12, "teachers": 2, "coefficients": 0.5, "noise": 0.05
        },
        "network": {"neurons": 3, "activation": "erf", "output": "fixed", "output_scale": "1/m"},
        "initialization": {"name": "identical", "scale": 0.3},
        "dynamics": {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 1, "draw": draw},
        "times": {"steps": [60]},
        "seeds": 1500,
        "metrics": ["loss", "student_overlaps", "teacher_overlaps"],
    }  # fmt: skip
    return {**found, **changes}


def start_file(folder: Path) -> dict[str, Any]:
    """One start for all seeds, in 12 features."""
    import xarray as xr

    hidden = np.random.default_rng(7).normal(size=(3, 12)) * 0.4
    file = {"initial_hidden": (("neuron", "feature"), hidden), "initial_output": ("neuron", np.ones(3))}
    xr.Dataset(file).to_netcdf(folder / "start.nc")
    return {"name": "file", "path": str(folder / "start.nc")}


@pytest.mark.parametrize(
    ("spherical", "seeds"),
    [
        (True, 400),
        pytest.param(True, 1500, marks=pytest.mark.slow),
        pytest.param(False, 1500, marks=pytest.mark.slow),
    ],
)
def test_overlaps_have_the_law_of_descent_in_all_features(
    tmp_path: Path, spherical: bool, seeds: int
) -> None:
    """60 steps in d = 12: each overlap by Kolmogorov and Smirnov, p above 1e-3 over their number; means within 4.5
    standard errors."""
    samples = []
    for draw in ("full", "reduced"):
        settings = experiment(draw, initialization=start_file(tmp_path), seeds=seeds)
        settings["dynamics"] = {**settings["dynamics"], "spherical": spherical}
        end = twolayer.run(settings).isel(time=-1)
        q, m = end.student_overlaps.values, end.teacher_overlaps.values
        upper = np.triu_indices(3, 1 if spherical else 0)
        samples.append(
            np.concatenate([q[:, upper[0], upper[1]], m.reshape(len(m), -1), end.loss.values[:, None]], 1)
        )
    full, reduced = samples
    for left, right in zip(full.T, reduced.T, strict=True):
        assert left.std() > 1e-3
        assert ks_2samp(left, right).pvalue > 1e-3 / full.shape[1]
        error = np.sqrt((left.var() + right.var()) / len(left))
        assert abs(left.mean() - right.mean()) < 4.5 * error


def test_deviations_from_the_limit_fall_as_the_root_of_the_dimension() -> None:
    """p = 4, γ = 2, Δ = .01, t ≤ 20: the median of 32 seeds of the largest deviation of (Q, M) from the
    equations, within 25 % of another program."""
    import xarray as xr

    stored = xr.open_dataset(DATA / "scaling.nc")
    exact = np.concatenate([stored.Q.values, stored.M.values], axis=2)
    for dimension in (25, 400):
        found = twolayer.run(
            experiment(
                "reduced",
                problem={
                    "name": "gaussian_teacher", "dimension": dimension, "teachers": 2, "coefficients": 0.5,
                    "noise": 0.01,
                },
                network={"neurons": 4, "activation": "erf", "output": "fixed", "output_scale": "1/m"},
                initialization={"name": "file", "path": str(DATA / "scaling.nc"), "coordinates": "reduced"},
                dynamics={
                    "name": "stochastic_gradient_descent", "step_size": 2 / dimension, "batch_size": 1,
                    "draw": "reduced",
                },
                times={"values": (4 * stored.time.values[1:]).tolist()},
                seeds=32,
            )
        )  # fmt: skip
        both = np.concatenate([found.student_overlaps.values, found.teacher_overlaps.values], axis=3)
        median = np.median(abs(both - exact).max((1, 2, 3)))
        assert median == pytest.approx(float(stored.deviation.sel(dimension=dimension)), rel=0.25)


def test_a_seed_has_its_path_whatever_is_saved_and_whoever_runs_along() -> None:
    settings = experiment("reduced", initialization={"name": "gaussian", "scale": 0.3}, seeds=3)
    found = twolayer.run(settings, weights=True)
    saved = twolayer.run({**settings, "times": {"steps": [7, 30, 60]}, "seeds": [2]}, weights=True)
    alone = twolayer.run({**settings, "seeds": [2]}, backend="numpy", weights=True)
    last = found.hidden.isel(time=-1, seed=2)
    assert abs(last - saved.hidden.isel(time=-1, seed=0)).max() < 1e-12
    assert abs(last - alone.hidden.isel(time=-1, seed=0)).max() < 1e-12


def test_reduced_starts_make_small_files() -> None:
    settings = experiment(
        "reduced", initialization={"name": "gaussian", "scale": 0.3, "draw": "reduced"}, seeds=2
    )
    settings["problem"] = {**settings["problem"], "dimension": 10**6}
    settings["dynamics"] = {**settings["dynamics"], "step_size": 1e-6}
    found = twolayer.run(settings, weights=True)
    assert found.sizes["feature"] == 5
    assert np.isfinite(found.loss).all()


def test_lengths_stay_in_all_features_too() -> None:
    dynamics = {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 3, "spherical": True}
    start = {"name": "gaussian", "scale": 0.3}
    found = twolayer.run(experiment("full", dynamics=dynamics, initialization=start, seeds=2), weights=True)
    length = np.linalg.norm(found.hidden, axis=-1)
    assert np.allclose(length[:, 0], length[:, -1], rtol=1e-14)
    assert abs(found.hidden.isel(time=0) - found.hidden.isel(time=-1)).max() > 1e-2


def test_what_reduced_draws_do_not_know_is_refused() -> None:
    descent = {"name": "stochastic_gradient_descent", "step_size": 0.1}
    problem = {"name": "gaussian_teacher", "dimension": 12, "teachers": 2}
    for changes, message in (
        ({"dynamics": {**descent, "batch_size": 2, "draw": "reduced"}}, "one sample per step"),
        ({"problem": {**problem, "samples": 9}}, "needs a teacher on the whole population"),
        ({"problem": {**problem, "profile": "constant"}}, "knows no profile"),
        (
            {
                "dynamics": {**descent, "batch_size": 2, "spherical": True},
                "network": {"neurons": 3, "output": "tied"},
            },
            "lengths are fixed",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            twolayer.run(experiment("reduced", **changes))


@pytest.mark.parametrize("draw", ["full", "reduced"])
def test_starts_on_the_sphere(draw: str) -> None:
    """Lengths are the scale, and m² d of a direction has mean 1 within 5 standard errors."""
    start = {"name": "gaussian", "scale": 0.7, "spherical": True, "draw": draw}
    found = twolayer.run(experiment("reduced", initialization=start, times={"steps": [1]}), weights=True)
    hidden = found.hidden.isel(time=0).values
    assert np.allclose(np.linalg.norm(hidden, axis=-1), 0.7, rtol=1e-14)
    squares = 12 * (hidden[..., :2] / 0.7) ** 2
    assert abs(squares.mean() - 1) < 5 * squares.std() / np.sqrt(squares.size)
