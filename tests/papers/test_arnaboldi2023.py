"""Arnaboldi et al. 2023: its formulas, its settings, and its claims on short runs."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize("changes", [{"teachers": 3}, {"coefficients": 0.5}, {"norms": 2.0}, "quadratic"])
def test_the_plateau_is_of_erf_from_the_teachers(changes: Any) -> None:
    """Of other settings no level is drawn, and the claim says why; of the paper's own it is drawn."""
    settings = EXPERIMENTS["plateau_equations"]
    other = {"times": {"values": [10.0, 20.0, 30.0]}, "sweep": {"problem.noise": [1e-3, 1]}}
    if changes == "quadratic":
        other["network"] = {**settings["network"], "activation": changes}
    else:
        other["problem"] = {**settings["problem"], **changes}
    equations, usual = run("plateau_equations", **other), run("plateau_equations", times=other["times"])
    found = evaluated("plateau_of_noise", plateau_equations=equations)
    assert {result.verdict for result in found.values()} == {"inconclusive"}
    assert evaluated("plateau_of_noise", plateau_equations=usual).keys() == {
        f"Δ = {noise:g}" for noise in (1e-3, 1e-2, 0.1, 1)
    }
    descent = run("plateau_descent", times=other["times"], sweep=other["sweep"], seeds=2)
    for data, levels in ((equations, 0), (usual, 4)):
        axes = twolayer.figure("arnaboldi2023.plateau", data, descent).axes[0]
        assert sum(line.get_linewidth() >= 3 for line in axes.lines) == levels


def test_the_late_square_needs_as_many_students_as_dimensions() -> None:
    few = {**EXPERIMENTS["square_flow"]["network"], "neurons": 3}
    flow = run("square_flow", network=few, times={"values": [10.0]}, seeds=1)
    (found,) = evaluated("late_square", square_flow=flow).values()
    assert (found.verdict, "p = 3, d = 5" in found.detail) == ("inconclusive", True)


def test_a_mean_of_seeds_that_are_far_apart_does_not_decide() -> None:
    """Where three standard errors are more than the excess, any value would hold."""
    changes = {
        "times": {"values": [200.0, 400.0]},
        "network": {**EXPERIMENTS["square_flow"]["network"], "neurons": 20},
    }
    data = {name: run(name, seeds=4, **changes) for name in ("square_flow", "square_descent")}
    (found,) = evaluated("square_descent", **data).values()
    room = re.search(r"within the tolerance, (\S+);", found.detail)
    assert found.verdict == "inconclusive"
    assert room
    assert float(room[1]) > 0.22  # cδt


def test_stored_numbers_are_of_one_noise() -> None:
    noisy = {**EXPERIMENTS["classic_equations"]["problem"], "noise": 0.1}
    equations = run("classic_equations", problem=noisy, times={"values": [0.02, 1.0]})
    for claim, file in (("stored_equations", "classic_ode"), ("stored_descent", "classic_sgd")):
        (found,) = evaluated(claim, classic_equations=equations, **{file: stored(file)}).values()
        assert found.verdict == "inconclusive"
        assert "Δ = 0.1" in found.detail
