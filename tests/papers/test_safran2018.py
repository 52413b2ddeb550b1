"""The symmetric family of Safran and Shamir 2018 against their stored ends, mpmath and the engine; small runs."""

from __future__ import annotations

import json
from typing import Any

import mpmath
import numpy as np
import pytest
import xarray as xr
from paper_settings import in_setting
from project import PROJECT

import twolayer
from twolayer.analysis.runs import runs_of
from twolayer.errors import DataError
from twolayer.study.registry import load, load_file

FOLDER = PROJECT / "plugins" / "papers" / "safran2018"
theory = load_file(FOLDER / "theory.py", "safran2018_tested.theory")
measured = load_file(FOLDER / "measured.py", "safran2018_tested.measured")
PLUGINS = load()


def classes() -> xr.Dataset:
    """The classes of the authors' ends."""
    return xr.load_dataset(FOLDER / "data" / "authors_classes.nc")


def flipped_classes() -> list[tuple[int, int, float]]:
    """k, q and the stored loss of the classes q + (k − q) with q ≤ 4."""
    table = classes()
    found = []
    for place in range(table.sizes["minimum"]):
        row = table.isel(minimum=place)
        teachers, blocks = int(row["teachers"]), str(row["blocks"].values)
        for flipped in theory.FEW:
            if int(row["students"]) == teachers and blocks == f"{flipped}+{teachers - flipped}":
                found.append((teachers, flipped, float(row["loss"])))
    return found


def exact_loss(students: Any, teachers: int, flipped: int) -> Any:
    """L of the symmetric network by the plain double sum of E σ(u·x)σ(v·x) in 40 digits."""

    def kernel(u: Any, v: Any) -> Any:
        lengths = [mpmath.sqrt(mpmath.fsum(x * x for x in w)) for w in (u, v)]
        cosine = mpmath.fsum(x * y for x, y in zip(u, v, strict=True)) / (lengths[0] * lengths[1])
        angle = mpmath.acos(min(cosine, mpmath.mpf(1)))
        part = mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)
        return lengths[0] * lengths[1] * part / (2 * mpmath.pi)

    block = [0] * flipped + [1] * (teachers - flipped)
    rows = [
        [
            mpmath.mpf(float(students[block[i]][0 if i == j else 1 if block[i] == block[j] else 2]))
            for j in range(teachers)
        ]
        for i in range(teachers)
    ]
    eye = [[mpmath.mpf(int(i == j)) for j in range(teachers)] for i in range(teachers)]
    signed = [(1, row) for row in rows] + [(-1, row) for row in eye]
    return mpmath.fsum(a * b * kernel(u, v) for a, u in signed for b, v in signed) / 2


@pytest.mark.parametrize(("teachers", "flipped", "loss"), flipped_classes())
def test_family_has_the_stored_loss(teachers: int, flipped: int, loss: float) -> None:
    # stored: 16 digits; the solver stops at a gradient of 1e-9/k, so the loss is right to rounding, some 1e-14
    assert theory.family_minimum(teachers, flipped)[1] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize(("teachers", "flipped"), [(6, 1), (8, 2), (9, 4)])
def test_family_loss_against_forty_digits(teachers: int, flipped: int) -> None:
    students = np.random.default_rng(3).uniform(-1, 1, (2, 3))
    with mpmath.workdps(40):
        exact = float(exact_loss(students, teachers, flipped))
    assert theory.family_loss(students, teachers, flipped) == pytest.approx(exact, rel=1e-13)


def test_small_family_loss_keeps_its_digits() -> None:
    students, loss = theory.family_minimum(20, 1)
    with mpmath.workdps(40):
        assert loss == pytest.approx(float(exact_loss(students, 20, 1)), rel=1e-13)


def test_family_gradient_is_that_of_the_loss() -> None:
    teachers, flipped, step = 9, 3, 1e-5
    students = np.random.default_rng(4).uniform(-1, 1, (2, 3))
    sizes, counts = theory.coordinate_counts(teachers, flipped)
    for place in np.ndindex(2, 3):
        moved = np.zeros((2, 3))
        moved[place] = step
        rise = theory.family_loss(students + moved, teachers, flipped)
        rise -= theory.family_loss(students - moved, teachers, flipped)
        # a coordinate stands in all students of its block, as often as it occurs in one
        expected = (
            theory.family_gradient(students, teachers, flipped)[place] * sizes[place[0]] * counts[place]
        )
        assert rise / (2 * step) == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_excess_is_continuous_where_the_series_ends() -> None:
    for cosine in (0.0299, 0.0301, -0.7, 1.0):
        with mpmath.workdps(40):
            c = mpmath.mpf(cosine)
            exact = (mpmath.sqrt(1 - c * c) + c * mpmath.asin(c) - 1) / (2 * mpmath.pi)
        assert float(theory.excess(cosine)) == pytest.approx(float(exact), rel=1e-12)
        if cosine > 0.5:
            continue
        sine = float(mpmath.sqrt(1 - c * c))
        below = float((mpmath.pi / 2 - 1) / (2 * mpmath.pi) - exact)
        assert float(theory.below_one(sine)) == pytest.approx(below, rel=1e-12)


def test_stored_minimum_is_one_of_the_engine() -> None:
    dataset = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 10, "teachers": 10},
            "network": {"neurons": 10, "output": "fixed"},
            "initialization": {"name": "file", "path": str(FOLDER / "data" / "minima_k10_n10.nc")},
            "dynamics": {"name": "minimize"},
            "times": {"values": [1]},
            "seeds": 2,
            "metrics": ["loss", "final_hessian_eigenvalues"],
        }
    ).isel(time=-1)
    table = classes()
    stored = table.isel(minimum=np.flatnonzero((table["teachers"] == 10) & (table["students"] == 10)))
    np.testing.assert_allclose(dataset["loss"], stored["loss"], rtol=1e-12)
    lowest = dataset["final_hessian_eigenvalues"].isel(extreme=0)
    np.testing.assert_allclose(lowest, stored["lowest_eigenvalue"], atol=1e-9)


def test_stored_ends_are_those_of_the_seeds_that_were_run() -> None:
    description = in_setting(
        theory.paper,
        {
            "swept": {},
            "problem": {"teachers": 10},
            "network": {"neurons": 10},
            "dynamics": {"name": "minimize"},
        },
    )
    dataset = xr.Dataset(
        {
            "run": ((), np.array(json.dumps(description), dtype=object)),
            "loss": (("seed", "time"), [[1.0, 0.1]]),
        },
        {"seed": [1], "time": [0.0, 1.0]},
    )
    run = next(runs_of("minima", dataset))
    stored = measured.of_pair(classes(), run)
    assert measured.of_ends(classes(), run)["loss"].values == stored["loss"].values[[1]]
    with pytest.raises(DataError, match=r"2 ends stored for \(10, 10\), not one for seed 2"):
        measured.of_ends(classes(), next(runs_of("minima", dataset.assign_coords(seed=[2]))))


def test_minima_that_are_drawn_as_matrices_are_run_or_the_figure_is_refused() -> None:
    def planned(teachers: int) -> dict[str, Any]:
        section = {"swept": {}, "problem": {"teachers": teachers}, "network": {"neurons": teachers}}
        run = in_setting(theory.paper, {**section, "dynamics": {"name": "minimize"}})
        return {"minima": ([run], ["loss", "final_hidden"])}

    drawing = PLUGINS.find("figures", "safran2018.matrices").plugin
    drawing.validate(planned(14))
    with pytest.raises(
        DataError, match=r"shows minima of k = 8, n = 8; .* the experiment 'minima' has no run"
    ):
        drawing.validate(planned(10))


def made_up(hits: int, lowest: float = 0.02, loss: float = 0.02150803717152142) -> xr.Dataset:
    """1000 ends of k = n = 8, so many of them at a loss."""
    ends = np.where(np.arange(1000) < hits, loss, 1e-25)
    description = in_setting(
        theory.paper,
        {
            "swept": {"dimension": 8},
            "problem": {"dimension": 8, "teachers": 8},
            "network": {"neurons": 8},
            "dynamics": {"step_size": 0.625},
        },
    )
    return xr.Dataset(
        {
            "run": ("dimension", np.array([json.dumps(description)], dtype=object)),
            "loss": (("dimension", "seed", "time"), np.stack([np.ones(1000), ends], axis=1)[None]),
            "gradient_norm": (("dimension", "seed", "time"), np.full((1, 1000, 2), 1e-11)),
            "final_hessian_eigenvalues": (("dimension", "seed", "extreme"), np.full((1, 1000, 2), lowest)),
        },
        {"dimension": [8], "time": [0.0, 5000.0], "seed": np.arange(1000)},
    )


def verdicts(name: str, dataset: xr.Dataset) -> list[str]:
    """Of a claim on the experiment `counts`."""
    stored = {
        name: xr.load_dataset(FOLDER / "data" / f"{name}.nc")
        for name in ("authors_counts", "authors_classes")
    }
    found = PLUGINS.find("claims", f"safran2018.{name}").plugin.evaluate({"counts": dataset, **stored})
    return [result.verdict for result in found.values()]


def test_shares_hold_where_the_counts_agree() -> None:
    assert verdicts("shares", made_up(126)) == ["holds"]
    assert verdicts("shares", made_up(250)) == ["not reproduced under this reading"]


def test_an_end_of_no_class_must_be_a_minimum() -> None:
    assert verdicts("classes", made_up(126)) == ["holds"]
    assert verdicts("classes", made_up(126, loss=0.0123)) == ["holds"]
    assert verdicts("classes", made_up(126, lowest=-0.1, loss=0.0123)) == ["fails"]
    assert verdicts("classes", made_up(126, loss=0.02150803717152142 + 1e-10)) == ["fails"]
