"""Arnaboldi et al. 2023, escaping mediocrity: its settings, its formulas, and its claims on short runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import twolayer
from twolayer.errors import DataError
from twolayer.study.registry import load, load_file

FOLDER = Path(__file__).parents[2] / "plugins" / "papers" / "arnaboldi2023b"
EXPERIMENTS: dict[str, Any] = yaml.safe_load((FOLDER / "experiments.yaml").read_text(encoding="utf-8"))[
    "experiments"
]
REGISTRY = load(kinds=["claims", "figures"], papers=["arnaboldi2023b"])
theory = load_file(FOLDER / "theory.py", "arnaboldi2023b_tested.theory")
measured = load_file(FOLDER / "measured.py", "arnaboldi2023b_tested.measured")


def run(name: str, **changes: Any) -> xr.Dataset:
    """An experiment with changes."""
    experiment = {**EXPERIMENTS[name], **changes}
    experiment["initialization"] = dict(experiment["initialization"])
    if "path" in experiment["initialization"]:
        experiment["initialization"]["path"] = str(FOLDER / experiment["initialization"]["path"])
    return twolayer.run(experiment)


def evaluated(claim: str, **data: xr.Dataset) -> Any:
    """The results of a claim by case."""
    return REGISTRY.find("claims", f"arnaboldi2023b.{claim}").plugin.evaluate(data)


def test_the_settings_say_one_rate_and_one_share() -> None:
    """γ = .1 in d = 3000; exits at (1 − T)R(0) of the file; the best step in each width."""
    stored = xr.open_dataset(FOLDER / "data" / "risk.nc")
    for p in (1, 2):
        assert EXPERIMENTS[f"descent_{p}"]["dynamics"]["step_size"] * 3000 == pytest.approx(0.1, rel=1e-12)
        start = run(f"equations_{p}", times={"values": [0.01]}).loss.values[0, 0]
        if p == 1:
            assert start == pytest.approx(float(stored.excess_risk_ode[0]), abs=1e-8)
        for name, share in (("early", 0.01), ("late", 0.5)):
            level = EXPERIMENTS[f"exit_{p}_{name}"]["stop"]["loss"]
            assert level == pytest.approx((1 - share) * start, rel=1e-12)
        for point in EXPERIMENTS[f"width_descent_{p}"]["sweep"]:
            rate = point["problem.dimension"] * point["dynamics.step_size"]
            assert rate == pytest.approx(2 * p / theory.noise_cost(p, 0.0), rel=1e-12)
    for point in EXPERIMENTS["width_equations"]["sweep"]:
        p = point["network.neurons"]
        assert point["dynamics.rate"] == pytest.approx(2 * p / theory.noise_cost(p, 0.0), rel=1e-12)


def test_the_stored_solution_and_its_exits() -> None:
    equations = run("equations_1")
    results = evaluated(
        "stored_equations", equations_1=equations, risk=xr.open_dataset(FOLDER / "data" / "risk.nc")
    )
    assert results[""].verdict == "holds"
    for claim in ("equation_exits", "logistic"):
        found = evaluated(claim, equations_1=equations)
        assert {result.verdict for result in found.values()} == {"holds"}


def test_the_exit_of_the_diffusion_is_its_double_integral() -> None:
    """∫ (2/s²) exp(−μy²/s²) ∫₀^y exp(μz²/s²) dz dy by the trapezoidal rule, whose error is 1e-6 here."""
    risk, share, d, rate, noise = 1.998, 0.01, 3000, 0.1, 1e-4
    speed, square = theory.growth(1, rate, noise), rate * (48 + 4 * noise) / d
    m = np.linspace(0.0, np.sqrt(1 - (1 - share) * risk / 2), 100_001)
    inner = np.concatenate([[0.0], np.cumsum(np.diff(m) * (np.exp(speed * m**2 / square)[1:]
                            + np.exp(speed * m**2 / square)[:-1]) / 2)])  # fmt: skip
    outer = 2 / square * np.exp(-speed * m**2 / square) * inner
    chosen = m >= np.sqrt(1 - risk / 2)
    exact = np.trapezoid(outer[chosen], m[chosen])
    assert theory.diffusion_exit(risk, share, d, rate, noise) == pytest.approx(exact, rel=1e-3)


def test_a_crossing_between_saved_times() -> None:
    """An exponential is interpolated exactly; what is never reached is NaN."""
    time = np.array([0.0, 1.0, 2.0])
    assert measured.crossing(time, np.exp(time - 3), np.exp(-1.5)) == pytest.approx(1.5, abs=1e-12)
    assert np.isnan(measured.crossing(time, np.exp(time - 3), 1.0))


def test_a_slope_and_its_error() -> None:
    sizes = np.array([10.0, 100.0, 1000.0])
    slope, error = measured.slope(sizes, 3 * np.log(sizes) + 1, [0.1, 0.1, 0.1])
    assert slope == pytest.approx(3, rel=1e-12)
    assert error == pytest.approx(0.1 / np.sqrt(2 * np.log(10.0) ** 2), rel=1e-12)


def test_seeds_that_have_not_left_are_inconclusive() -> None:
    short = run("exit_1_early", times={"values": [0.1]}, seeds=3)
    assert {result.verdict for result in evaluated("mean_exits", exit_1_early=short).values()} == {
        "inconclusive"
    }


def test_seeds_that_have_not_left_are_not_drawn() -> None:
    """The figures count and leave out what has not come to the loss."""
    data = {
        name: run(name, times={"values": [1.2]}, seeds=6)
        for name in ("exit_1_early", "exit_1_late", "exit_2_early", "exit_2_late")
    }
    left = int(np.isfinite(data["exit_1_early"].stop_time).sum())
    assert 0 < left < 6
    canvas = twolayer.figure("arnaboldi2023b.exits", *data.values())
    assert canvas.axes[0].get_title() == f"$p$ = 1, $T$ = 0.01, {left} of 6 seeds"
    sweep = EXPERIMENTS["dimension"]["sweep"][:1]
    short = run("dimension", times={"values": [1.5]}, seeds=3, sweep=sweep)
    assert (
        "Left out, as not all seeds leave: d = 1000"
        in REGISTRY.find("figures", "arnaboldi2023b.dimension")
        .plugin.face("dimension", {"dimension": short})
        .caption
    )
    assert len(twolayer.figure("arnaboldi2023b.dimension", short).axes[0].containers) == 0


def test_known_means_are_of_one_rate() -> None:
    """From the authors' start with another step size no mean is known, and none is drawn."""
    faster = {**EXPERIMENTS["exit_2_early"]["dynamics"], "step_size": 6e-5}
    data = run("exit_2_early", dynamics=faster, seeds=3)
    (found,) = evaluated("mean_exits", exit_2_early=data).values()
    assert found.verdict == "inconclusive"
    assert "γ = 0.18" in found.detail
    equations = run(
        "equations_1",
        dynamics={**EXPERIMENTS["equations_1"]["dynamics"], "rate": 0.18},
        times={"values": [1.0]},
    )
    for claim, files in (
        ("equation_exits", {}),
        ("stored_equations", {"risk": xr.open_dataset(FOLDER / "data" / "risk.nc")}),
    ):
        found = evaluated(claim, equations_1=equations, **files)
        assert {result.verdict for result in found.values()} == {"inconclusive"}


@pytest.mark.filterwarnings("error")
def test_the_law_of_exits_is_of_one_student_and_its_error_of_two_seeds() -> None:
    sweep = EXPERIMENTS["dimension"]["sweep"][:2]
    single = run("dimension", seeds=1, sweep=sweep)
    pair = run(
        "dimension", seeds=2, sweep=sweep, network={**EXPERIMENTS["dimension"]["network"], "neurons": 2}
    )
    for data, reason in ((single, "two seeds"), (pair, "p = 2")):
        (found,) = evaluated("random_starts", dimension=data).values()
        assert found.verdict == "inconclusive"
        assert reason in found.detail
    assert len(twolayer.figure("arnaboldi2023b.dimension", single).axes[0].containers) == 2


def test_steps_at_which_nothing_leaves_have_no_law() -> None:
    """μ = 4 − 24γ < 0 of one student: no time of the diffusion, and none from random starts."""
    fast = {**EXPERIMENTS["exit_1_early"]["dynamics"], "step_size": 0.2 / 3000}
    data = {
        name: run(name, dynamics=fast, times={"values": [0.6]}, seeds=2)
        for name in ("exit_1_early", "exit_1_late", "exit_2_early", "exit_2_late")
    }
    labels = twolayer.figure("arnaboldi2023b.exits", *data.values()).axes[0].get_legend_handles_labels()[1]
    assert "diffusion" not in labels
    sweep = [{"problem.dimension": 1000, "dynamics.step_size": 2e-4}]
    still = run("dimension", times={"values": [0.1]}, seeds=2, sweep=sweep)
    with pytest.raises(DataError, match=r"'dimension' has μ ≤ 0 at γ = 0\.2"):
        twolayer.figure("arnaboldi2023b.dimension", still)
    (found,) = evaluated("random_starts", dimension=still).values()
    assert found.verdict == "inconclusive"
