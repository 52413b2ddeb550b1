"""Teachers drawn for each seed, with prescribed overlaps, and from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import twolayer
from twolayer.core.seeds import random_of
from twolayer.errors import ConfigError, TwolayerError
from twolayer.study.registry import load

PROBLEMS = load(kinds=["problems"])


def made(name: str, **keys: Any) -> Any:
    """The problem of a config section."""
    return PROBLEMS.build("problems", {"name": name, **keys}, "problem")[1]


def vectors(name: str, seed: int, **keys: Any) -> Any:
    """The teachers of a seed."""
    return made(name, **keys).generate(random_of(seed, "problem")).hidden


def run(problem: dict[str, Any], **changed: Any) -> xr.Dataset:
    """Two steps on a problem."""
    return twolayer.run(
        {
            "problem": problem,
            "network": {"neurons": 2, "output": "fixed"},
            "initialization": {"name": "gaussian", "scale": 0.5},
            "dynamics": {"name": "gradient_descent", "step_size": 0.1},
            "times": {"steps": [1, 2]},
            "seeds": [3, 1],
            **changed,
        },
        "numpy",
        threads=1,
    )


def test_directions_are_uniform() -> None:
    """A coordinate of a uniform direction in three dimensions is uniform on [−1, 1] (Archimedes)."""
    for directions, teachers in (("independent", 600), ("orthonormal", 3)):
        sets = [
            vectors("random_teachers", seed, dimension=3, teachers=teachers, directions=directions)
            for seed in range(1 if teachers > 3 else 400)
        ]
        found = np.concatenate(sets)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-12)
        for coordinate in found[
            :: 1 if teachers > 3 else 3
        ].T:  # one of an orthonormal set, which are independent
            assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-6
    np.testing.assert_allclose(sets[7] @ sets[7].T, np.eye(3), atol=1e-14)


def test_norms_and_coefficients() -> None:
    teacher = made(
        "random_teachers", dimension=5, teachers=2, norms=[2.0, 3.0], coefficients=[1.0, -1.0]
    ).generate(random_of(0, "problem"))
    np.testing.assert_allclose(np.linalg.norm(teacher.hidden, axis=1), [2.0, 3.0])
    assert teacher.output.tolist() == [1.0, -1.0]


OVERLAPS = [[1.0, 0.3, -0.2], [0.3, 2.0, 0.5], [-0.2, 0.5, 1.5]]


@pytest.mark.parametrize("rotated", [False, True])
def test_overlaps_are_those_prescribed(rotated: bool) -> None:
    keys = {"dimension": 6, "overlaps": OVERLAPS, "rotated": rotated}
    first, other = (vectors("overlapping_teachers", seed, **keys) for seed in (0, 1))
    for found in (first, other):
        np.testing.assert_allclose(found @ found.T, OVERLAPS, atol=1e-14)
    assert (first != other).any() == rotated
    pairs = vectors("overlapping_teachers", 0, dimension=6, overlaps=0.25, teachers=4)
    np.testing.assert_allclose(pairs @ pairs.T, 0.25 + 0.75 * np.eye(4), atol=1e-14)


def test_the_loss_of_two_unit_teachers_with_an_overlap() -> None:
    """½E(σ(v₁·x) + σ(v₂·x))² of a dead network: ½(1 + 2κ), E σσ = (sin θ + (π − θ) cos θ)/2π (Cho and Saul 2009)."""
    cosine = 0.4
    found = run(
        {"name": "overlapping_teachers", "dimension": 4, "overlaps": cosine, "teachers": 2, "rotated": True},
        initialization={"name": "matrix", "hidden": [[0.0] * 4] * 2},
    )
    theta = np.arccos(cosine)
    kernel = (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi)
    np.testing.assert_allclose(found["loss"], 0.5 * (1.0 + 2 * kernel), rtol=1e-12)


def test_each_seed_learns_from_its_teachers() -> None:
    """With samples too; a seed alone has the teachers that it has among others."""
    for more in ({}, {"samples": 30}):
        problem = {"name": "random_teachers", "dimension": 4, "teachers": 2, **more}
        found = run(problem)
        alone = run(problem, seeds=[1])
        np.testing.assert_array_equal(found["loss"].sel(seed=1), alone["loss"].sel(seed=1))
        assert (found["loss"].sel(seed=1) != found["loss"].sel(seed=3)).all()
        assert ("population_loss" in found) == bool(more)
        assert {"teacher_angle", "closest_teacher"} <= set(found)


def test_one_draw_for_all_seeds() -> None:
    problem = {"name": "random_teachers", "dimension": 4, "teachers": 2, "shared": True}
    found = run(problem, initialization={"name": "matrix", "hidden": [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]})
    np.testing.assert_array_equal(found["loss"].sel(seed=1), found["loss"].sel(seed=3))


ROWS = np.random.default_rng(5).standard_normal((2, 3, 4))


def test_teachers_of_a_file(tmp_path: Path) -> None:
    """One set for all, or one for each seed, with coefficients where the file has them."""
    each, one = tmp_path / "each.nc", tmp_path / "one.nc"
    outputs = np.array([1.0, -1.0, 0.5])
    xr.Dataset(
        {"teacher_hidden": (("seed", "teacher", "feature"), ROWS), "teacher_output": ("teacher", outputs)},
        {"seed": [1, 3]},
    ).to_netcdf(each)
    xr.Dataset({"teacher_hidden": (("teacher", "feature"), ROWS[0])}).to_netcdf(one)
    found = run({"name": "teacher_file", "dimension": 4, "path": str(each)})
    for seed, row in ((1, ROWS[0]), (3, ROWS[1])):
        written = {
            "name": "gaussian_teacher",
            "dimension": 4,
            "vectors": row.tolist(),
            "coefficients": outputs.tolist(),
        }
        np.testing.assert_array_equal(
            found["loss"].sel(seed=seed), run(written, seeds=[seed])["loss"].sel(seed=seed)
        )
    written = {"name": "gaussian_teacher", "dimension": 4, "vectors": ROWS[0].tolist(), "samples": 20}
    found = run({"name": "teacher_file", "dimension": 4, "path": str(one), "samples": 20})
    np.testing.assert_array_equal(found["loss"], run(written)["loss"])


def test_what_a_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "teachers.nc"
    xr.Dataset({"teacher_hidden": (("seed", "teacher", "feature"), ROWS)}).to_netcdf(path)
    section = {"name": "teacher_file", "dimension": 4, "path": str(path)}
    with pytest.raises(TwolayerError, match=r"has the seeds \[0, 1\]; this run has a seed 3"):
        run(section)
    with pytest.raises(TwolayerError, match="teacher_hidden has 4 features; dimension is 5"):
        run({**section, "dimension": 5}, seeds=[0])
    with pytest.raises(TwolayerError, match="there is no file"):
        run({**section, "path": str(tmp_path / "none.nc")})


def test_opposite_teachers_are_one_of_an_even_activation() -> None:
    problem = {"name": "overlapping_teachers", "dimension": 3, "overlaps": [[1.0, -1.0], [-1.0, 1.0]]}
    assert np.isfinite(run(problem)["loss"]).all()
    with pytest.raises(TwolayerError, match="teachers 0 and 1 of seed 3 are opposite"):
        run(problem, network={"neurons": 2, "output": "fixed", "activation": "abs"})


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no teacher": ("random_teachers", {"teachers": 0}, "problem.teachers: at least 1"),
    "too many": (
        "random_teachers",
        {"teachers": 5, "directions": "orthonormal"},
        "problem.teachers: 5 orthonormal",
    ),
    "norms of others": ("random_teachers", {"teachers": 2, "norms": [1.0]}, "problem.norms: 1 value for 2"),
    "coefficients of others": (
        "random_teachers",
        {"teachers": 2, "coefficients": [1.0]},
        "problem.coefficients: 1 value for 2",
    ),
    "a profile of samples": (
        "random_teachers",
        {"teachers": 2, "samples": 3, "profile": "linear"},
        "problem.profile: 'linear'",
    ),
    "nothing shared": (
        "overlapping_teachers",
        {"overlaps": OVERLAPS, "shared": True},
        "problem.shared: nothing is drawn",
    ),
    "no square": ("overlapping_teachers", {"overlaps": [[1.0, 0.0]]}, "problem.overlaps: must be a square"),
    "not symmetric": (
        "overlapping_teachers",
        {"overlaps": [[1.0, 0.5], [0.4, 1.0]]},
        "problem.overlaps: must be symmetric",
    ),
    "no Gram matrix": (
        "overlapping_teachers",
        {"overlaps": -0.6, "teachers": 3},
        "problem.overlaps: no vectors have them, as the smallest eigenvalue is -0.2",
    ),
    "no number": ("overlapping_teachers", {"overlaps": 0.1}, "problem.teachers: one overlap for all pairs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    name, keys, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        made(name, dimension=4, **keys)
