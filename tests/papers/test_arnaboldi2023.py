"""Arnaboldi et al. 2023: its formulas, its settings, and its claims on short runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import twolayer
from twolayer.study.registry import load, load_file

FOLDER = Path(__file__).parents[2] / "plugins" / "papers" / "arnaboldi2023"
EXPERIMENTS: dict[str, Any] = yaml.safe_load((FOLDER / "experiments.yaml").read_text(encoding="utf-8"))[
    "experiments"
]
theory = load_file(FOLDER / "theory.py", "arnaboldi2023_tested.theory")
REGISTRY = load(kinds=["claims", "figures"], papers=["arnaboldi2023"])


def run(name: str, **changes: Any) -> xr.Dataset:
    """An experiment with changes."""
    experiment = {**EXPERIMENTS[name], **changes}
    experiment["initialization"] = dict(experiment["initialization"])
    if "path" in experiment["initialization"]:
        experiment["initialization"]["path"] = str(FOLDER / experiment["initialization"]["path"])
    return twolayer.run(experiment)


def evaluated(claim: str, **data: xr.Dataset) -> Any:
    """The results of a claim by case."""
    return REGISTRY.find("claims", f"arnaboldi2023.{claim}").plugin.evaluate(data)


def stored(name: str) -> xr.Dataset:
    return xr.open_dataset(FOLDER / "data" / f"{name}.nc")


def test_step_sizes_are_those_of_one_rate() -> None:
    """γ = step_size × d in all descents of one experiment and its equations."""
    for descent, equations in (
        ("classic_descent", "classic_equations"),
        ("dimension_5", "dimension_equations"),
        ("dimension_10", "dimension_equations"),
        ("dimension_50", "dimension_equations"),
        ("plateau_descent", "plateau_equations"),
        ("scaling_descent", "scaling_equations"),
    ):
        settings = EXPERIMENTS[descent]
        rate = settings["dynamics"]["step_size"] * settings["problem"]["dimension"]
        assert rate == pytest.approx(EXPERIMENTS[equations]["dynamics"]["rate"], rel=1e-12)
    for point in EXPERIMENTS["scaling_descent"]["sweep"]:
        assert point["problem.dimension"] * point["dynamics.step_size"] == pytest.approx(2, rel=1e-12)


def test_the_flow_of_squares_is_that_of_weights() -> None:
    """On the matrix G against the gradient flow in weights, 1e-7 relative."""
    found = run("square_flow", network={**EXPERIMENTS["square_flow"]["network"], "neurons": 6}, seeds=1,
                times={"values": [0.6, 3, 12]})  # fmt: skip
    start = (
        np.random.default_rng([0, 1]).standard_normal((6, 5))
        * EXPERIMENTS["square_flow"]["initialization"]["scale"]
    )
    exact = theory.square_flow(start, np.eye(2, 5), np.array([0.0, 0.1, 0.5, 2.0]))
    assert np.allclose(found.loss.values[0], exact, rtol=1e-6)


def test_the_excess_of_late_squares_is_its_mean_over_samples() -> None:
    """c = (2/k) E e²|x_∥|²|x|² / E e² of 2e5 samples, 6 standard errors."""
    k, d = 3, 7
    x = np.random.default_rng(5).standard_normal((200_000, d))
    inside, outside = (x[:, :k] ** 2).sum(1), (x[:, k:] ** 2).sum(1)
    square = (outside - (d - k) / (k + 2) * inside) ** 2
    terms = 2 / k * square * inside * (inside + outside) / square.mean()
    assert theory.square_excess(k, d) == pytest.approx(terms.mean(), abs=6 * terms.std() / np.sqrt(len(x)))


def test_published_numbers_hold() -> None:
    equations = run("classic_equations")
    for claim, file in (("stored_equations", "classic_ode"), ("stored_descent", "classic_sgd")):
        results = evaluated(claim, classic_equations=equations, **{file: stored(file)})
        assert {result.verdict for result in results.values()} == {"holds"}
    assert evaluated("stored_mean_field", meanfield_sgd=stored("meanfield_sgd"))[""].verdict == "holds"


def test_a_claim_on_other_rates_is_inconclusive() -> None:
    """Descent with another γ, or other saved times, is not compared."""
    times = {"values": [2.0, 4.0]}
    equations = run("scaling_equations", times=times)
    other = {**EXPERIMENTS["scaling_descent"]["dynamics"], "step_size": 0.01}
    for changes in ({"dynamics": other, "times": times}, {"times": {"values": [2.0]}}):
        descent = run("scaling_descent", sweep={}, seeds=2, **changes)
        found = evaluated("mean_of_seeds", scaling_descent=descent, scaling_equations=equations)
        assert {result.verdict for result in found.values()} == {"inconclusive"}
