"""What the claims on Xu and Du 2023 predict, against the exact loss, and that they fail where the law is another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer import fit_rate, third_power
from twolayer.registry import load, load_file

theory = load_file(
    Path(__file__).parents[1] / "plugins" / "papers" / "xu2023" / "theory.py", "xu2023_tested.theory"
)
CLAIMS = load()


def claimed(name: str, **data: Any) -> dict[str, Any]:
    """The results of a claim on given datasets."""
    return dict(CLAIMS.find("claims", f"xu2023.{name}").thing.evaluate(data))


@pytest.mark.parametrize("heights", [[0.5, 0.5], [0.3, 0.7], [0.25] * 4])
def test_limits_are_those_of_the_flow(heights: list[float]) -> None:
    dataset = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 1},
            "network": {"neurons": len(heights), "output": "fixed"},
            "initialization": {"name": "aligned", "projections": [heights], "angle": 0.1},
            "dynamics": {"name": "gradient_flow", "rtol": 1e-7},
            "times": {"start": 1.0, "stop": 1e6, "count": 61, "spacing": "log"},
            "metrics": ["loss", "projection", "spread"],
        }
    ).isel(seed=0, teacher=0)
    constant = float(fit_rate(dataset)["constant"])
    last = dataset.isel(time=-1)
    h = last["projection"].values
    if len(heights) > 2:
        assert constant == pytest.approx(third_power.simplex_constant(len(heights)), rel=1e-4)
        return
    assert constant == pytest.approx(third_power.pair_constant(h), rel=1e-4)
    assert float(last["spread"] * last["time"]) == pytest.approx(third_power.group_spread(h), rel=1e-3)
    assert float(last["loss"] / last["spread"] ** 3) == pytest.approx(third_power.loss_by_spread(h), rel=1e-6)
    ratio = dataset["gradient_norm"] / dataset["loss"] ** (2 / 3)
    limit = third_power.gradient_limit(third_power.pair_constant(h))
    assert float(ratio.sel(time=1e4, method="nearest")) == pytest.approx(limit, rel=1e-3)


def test_a_simplex_of_two_is_a_mirrored_pair() -> None:
    assert third_power.simplex_constant(2) == pytest.approx(third_power.pair_constant([0.5, 0.5]), rel=1e-14)


@pytest.mark.parametrize("floor", [1e-3, 1e-6, -1e-4])
def test_the_smallest_growth_error_is_the_smallest(floor: float) -> None:
    """By trying: H keeps within its bounds up to T₂(ε₂) for every larger ε₂ and for no smaller one."""
    neurons, begin = 3, 0.1
    time = np.linspace(0, 12, 4000)
    growth = 0.8 * theory.grown(time, neurons, begin) + floor
    smallest, place = theory.smallest_growth_error(time, growth, neurons, begin)

    def fits(error: float) -> bool:
        end = begin + math.log(1 / (36 * error)) / neurons
        during = (time >= begin) & (time <= end)
        envelope = theory.grown(time, neurons, begin)
        below = growth <= envelope + 6 * error
        return bool((below & (growth >= 2 / 3 * envelope - 6 * error))[during].all())

    for factor in (1.02, 2.0, 10.0):
        assert fits(factor * smallest)
    for factor in (0.98, 0.5, 0.1):
        assert not fits(factor * smallest)
    assert math.exp(-neurons * (time[place] - begin)) == pytest.approx(36 * smallest, rel=0.02)


def test_a_power_is_found_again_seed_by_seed() -> None:
    neurons = np.array([2, 5, 10])
    powers = np.array([-1.5, 2.0])
    np.testing.assert_allclose(theory.exponents(neurons, 3.0 * neurons[:, None] ** powers), powers)


def falling(power: float) -> xr.Dataset:
    """Two students as in `mirrored`, with L = T^−power and Z = T^(−power/3)."""
    time = np.concatenate([[0.0], np.geomspace(0.1, 1e8, 181)])
    loss = (1.0 + time) ** -power
    return xr.Dataset(
        {
            "loss": (("projections", "seed", "time"), loss[None, None]),
            "gradient_norm": (("projections", "seed", "time"), loss[None, None] ** 0.5),
            "projection": (("projections", "seed", "time", "neuron"), np.full((1, 1, len(time), 2), 0.5)),
            "spread": (("projections", "seed", "time", "teacher"), loss[None, None, :, None] ** (1 / 3)),
        },
        coords={"projections": ["even"], "time": time},
    )


def test_claims_of_two_students_fail_on_another_law() -> None:
    for name in ("third_power", "gradient_bound", "lower_bound"):
        verdicts = {result.verdict for result in claimed(name, mirrored=falling(2.0)).values()}
        assert verdicts == {"fails"}, name
    results = claimed("third_power", mirrored=falling(3.0))  # the slope is right, the constant is not
    assert results["even, slope"].verdict == "holds"
    assert results["even, L t³"].verdict == "fails"


def test_uneven_students_are_told() -> None:
    """h_j ≥ h_i/2 does not hold where some h is below 0, nor where all are."""
    module = CLAIMS.find("claims", "xu2023.phase2").thing.evaluate.__globals__
    for heights, verdict in (
        ([1.0, 0.6], "holds"),
        ([1.0, 0.4], "fails"),
        ([1.0, -3.0], "fails"),
        ([-1.0, -1.1], "fails"),
    ):
        assert module["even"](np.array([heights])).verdict == verdict
