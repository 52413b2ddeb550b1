"""The claims on Zhou and Ge 2024 can fail: each is evaluated on datasets that must make it hold, and fail."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from paper_settings import claims_of, in_setting
from project import PROJECT

from twolayer.analysis.runs import runs_of
from twolayer.analysis.starts import same_start
from twolayer.study.registry import load_file

FOLDER = PROJECT / "plugins" / "papers" / "zhou2024"
claims = claims_of("zhou2024")
measured = load_file(FOLDER / "measured.py", "zhou2024_claims_tested.measured")
theory = load_file(FOLDER / "theory.py", "zhou2024_claims_tested.theory")


def described(words: dict[str, Any] | None = None, **problem: Any) -> str:
    """A run as files carry it."""
    sections = {
        "swept": words or {},
        "problem": {
            "dimension": 5, "teachers": 3, "angles": None, "vectors": None, "norms": None, "samples": None,
            "coefficients": [1.0, -0.8, 1.2], "profile": "constant", **problem,
        },
        "network": {"activation": "abs", "neurons": 512},
        "initialization": {"name": "gaussian", "scale": 1e-9},
    }  # fmt: skip
    return json.dumps(in_setting(theory.paper, sections))


def descents(square: Any) -> xr.Dataset:
    """Runs at fixed λ with |∇|² = square(λ, ζ) at ζ from 0.2 to 1e-12, and one without weight decay."""
    excess = np.geomspace(0.2, 1e-12, 60)
    parts = []
    for decay in (0.0, 0.05, 0.02, 0.01):
        known = excess if decay else np.full(60, np.nan)
        variables = {
            "suboptimality": (("seed", "time"), known[None]),
            "gradient_norm": (("seed", "time"), np.sqrt(square(decay, excess))[None]),
            "regularization": (("time",), np.full(60, decay)),
        }
        coordinates = {"time": np.arange(60.0), "weight_decay": f"{decay:g}"}
        run = described({"weight_decay": f"{decay:g}"})
        parts.append(xr.Dataset({**variables, "run": run}, coordinates))
    return xr.concat(parts, "weight_decay")


def test_the_last_time_of_each_level() -> None:
    levels = ("time", [0.3, 0.3, 0.1, 0.1, 0.0])
    data = xr.Dataset(
        {"regularization": levels, "loss": ("time", np.arange(5.0)), "run": described()},
        {"time": np.arange(5.0)},
    )
    (run,) = runs_of("ladder", data)
    ladder = measured.by_level(run)
    assert ladder.regularization.values.tolist() == [0.3, 0.1]
    assert ladder.loss.values.tolist() == [1.0, 3.0]
    (level,) = measured.levels(run, most=0.2)
    assert same_start(level, run).config == run.config
    assert [level.swept for level in measured.levels(run, most=0.2)] == [{"regularization": 0.1}]


def verdicts(found: Any) -> set[str]:
    return {result.verdict for result in found.values()}


@pytest.mark.parametrize(
    ("factor", "power", "sharp", "bound"),
    [
        (2.0, 1.0, "holds", "holds"),
        (0.3, 1.0, "holds", "not reproduced under this reading"),
        (0.1, 1.0, "fails", "not reproduced under this reading"),
        (2.0, 1.5, "fails", "not reproduced under this reading"),
    ],
)
def test_the_bounds_on_the_gradient(factor: float, power: float, sharp: str, bound: str) -> None:
    """|∇|² = factor λ ζ^power: the sharp law holds from 0.161 λζ on; ζ⁴/λ² up to ζ = λ from λζ on."""
    data = {"descents": descents(lambda decay, excess: factor * decay * excess**power)}
    assert verdicts(claims.gradient_ratio.evaluate(data)) == {sharp}
    assert bound in verdicts(claims.gradient_bound.evaluate(data))
    if power == 1.0:
        assert verdicts(claims.gradient_bound.evaluate(data)) == {bound}


@pytest.mark.parametrize(
    ("factor", "count", "verdict"), [(1.0, 4096, "holds"), (1.5, 4096, "fails"), (1.0, 40, "inconclusive")]
)
def test_the_first_step_is_held_to_the_law_of_its_closed_form(
    factor: float, count: int, verdict: str
) -> None:
    """Energies drawn by the law hold, half as large again fail, and 40 directions decide nothing."""
    drawn = theory.off_span_energies(160, np.array([1.0, -0.8, 1.2]), 40000)
    energy = factor * np.random.default_rng(4).choice(drawn, (1, 1, 1, 1, count))
    dims = ("dimension", "coefficients", "seed", "time", "neuron")
    run = described({"dimension": 160, "coefficients": "signed"}, dimension=160)
    data = xr.Dataset(
        {
            "off_span_energy": (dims, energy),
            "run": (("dimension", "coefficients"), np.array([[run]], dtype=object)),
        },
        {"dimension": [160], "coefficients": ["signed"], "time": [1.0], "step": ("time", [1])},
    )
    assert verdicts(claims.first_step.evaluate({"first_step": data})) == {verdict}


@pytest.mark.parametrize(("power", "verdict"), [(-3.0, "holds"), (-2.0, "fails")])
def test_close_teachers_are_as_hard_as_was_measured(power: float, verdict: str) -> None:
    angles = np.array([40, 20, 10, 5])
    loss = 25.16 * (angles / 40.0) ** power * 1e-12
    dims = ("angles", "coefficients", "seed", "time")
    runs = [
        described(
            {"angles": str(gap), "coefficients": "opposite"},
            dimension=2,
            teachers=None,
            angles=[0.0, float(gap)],
            coefficients=[1.0, -1.0],
        )
        for gap in angles
    ]
    variables = {
        "loss": (dims, loss[:, None, None, None]),
        "optimal_loss": (("angles", "coefficients", "time"), loss[:, None, None]),
        "regularization": (("angles", "coefficients", "time"), np.full((4, 1, 1), 1e-6)),
        "suboptimality": (dims, np.full((4, 1, 1, 1), 1e-15)),
        "run": (dims[:2], np.array(runs, dtype=object)[:, None]),
    }
    data = xr.Dataset(
        variables, {"angles": list(map(str, angles)), "coefficients": ["opposite"], "time": [1e8]}
    )
    assert verdicts(claims.close_teachers_exponent.evaluate({"close_teachers": data})) == {verdict}
    found = claims.close_teachers.evaluate({"close_teachers": data})
    assert found["40"].verdict == "holds"
    assert verdicts(claims.same_sign.evaluate({"close_teachers": data})) == {"inconclusive"}
    early = {"close_teachers": data.assign(suboptimality=1e4 * data.suboptimality)}
    found = [
        *claims.close_teachers.evaluate(early).values(),
        *claims.close_teachers_exponent.evaluate(early).values(),
    ]
    assert {result.verdict for result in found[:1]} | {found[-1].verdict} == {"inconclusive"}
    assert "is not trained" in found[0].detail


def test_what_the_closed_forms_do_not_know_is_reported() -> None:
    skewed = described(vectors=[[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
    for run, claim, reason in (
        (described(profile="none"), claims.orthonormal, "is about runs with problem.profile"),
        (described(profile="none"), claims.first_step, "is about runs with problem.profile"),
        (skewed, claims.orthonormal, "the run's are not"),
        (skewed, claims.first_step, "the run's are not"),
    ):
        data = xr.Dataset({"run": run}, {"time": [0.0, 1.0], "step": ("time", [0, 1])})
        (result,) = claim.evaluate(dict.fromkeys(claim.experiments, data)).values()
        assert result.verdict == "inconclusive"
        assert reason in result.detail


def test_directions_need_time_to_be_captured() -> None:
    """λt = 30 and Σ|a||w|θ² = 1e-20 hold, 1e-6 fails, and λt = 3 is too short."""
    found = []
    for stop, last in ((3000.0, 1e-20), (3000.0, 1e-6), (300.0, 1e-20)):
        variables = {
            "mass_weighted_square_angle": (("seed", "time"), [[0.1, last]]),
            "regularization": (("time",), [0.01, 0.01]),
            "run": described(),
        }
        data = xr.Dataset(variables, {"time": [0.0, stop]})
        found += [result.verdict for result in claims.directions.evaluate({"descents": data}).values()]
    assert found == ["holds", "fails", "inconclusive"]
