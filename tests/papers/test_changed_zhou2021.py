"""Figures and claims of Zhou, Ge and Jin 2021 with settings that are not the paper's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import xarray as xr
import yaml
from project import PROJECT

import twolayer
from twolayer.errors import ConfigError
from twolayer.study.registry import load, load_file
from twolayer.study.study import load_study

REGISTRY = load(kinds=["claims"])
theory = load_file(PROJECT / "plugins" / "papers" / "zhou2021" / "theory.py", "zhou2021_changed.theory")
TIED = {"activation": "abs", "output": "tied"}


def verdicts(name: str, **data: xr.Dataset) -> dict[str, Any]:
    """The results of a claim, by case."""
    found = REGISTRY.find("claims", f"zhou2021.{name}").plugin.evaluate(data)
    return dict(found) if isinstance(found, dict) else {"": found}


FLOW = {"name": "gradient_flow", "rtol": 1e-8}


def one_line(*degrees: int, dynamics: dict[str, Any] = FLOW, last: float = 1000) -> xr.Dataset:
    """Students that start as one, before two teachers at an angle."""
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 2, "angles": [0, 60]},
            "network": {"neurons": 2, **TIED},
            "initialization": {"name": "identical", "scale": 0.3},
            "dynamics": dynamics,
            "times": {"values": [last]},
            "seeds": 2,
            "metrics": ["loss", "teacher_angles", "gradient_norm"],
            "sweep": {"problem.angles": {str(angle): [0, angle] for angle in degrees}},
        }
    )


def test_the_widest_bisector_is_that_of_the_best_line() -> None:
    """The loss of one line at φ and its best mass falls with K(φ − Δ/2) + K(φ + Δ/2): by a search over φ."""
    for delta, stays in (
        (theory.WIDEST_BISECTOR - 0.02, True),
        (theory.WIDEST_BISECTOR + 0.02, False),
        (0.3, True),
        (math.pi / 2, False),
    ):
        found = scipy.optimize.minimize_scalar(
            lambda phi, delta=delta: -theory.kernel(abs(phi - delta / 2)) - theory.kernel(phi + delta / 2),
            bounds=(0.0, math.pi / 4),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert (abs(found.x) < 1e-4) == stays


def test_a_bisector_that_students_leave_is_not_judged() -> None:
    """At 96° the lines are 84° apart: students that start as one go to another line, of a lower loss."""
    found = verdicts("bisector", bisector=one_line(70, 96))
    assert {result.verdict for case, result in found.items() if case.startswith("70")} == {"holds"}
    (other,) = (result for case, result in found.items() if case.startswith("96"))
    assert other.verdict == "inconclusive"
    assert "up to 81.4°; students that start as one leave the bisector of teachers at 84.0°" in other.detail


def variant(folder: Path, **experiments: Any) -> None:
    """The study of a variant of the paper."""
    body = {"mine": {"base": "zhou2021", "experiments": experiments}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"papers": body}))
    load_study([folder / "config.yaml"])


def test_figures_of_the_bisector_are_refused_before_training(tmp_path: Path) -> None:
    variant(tmp_path, bisector={"sweep": {"problem.angles": {"70": [0, 70], "115": [0, 115]}}})
    with pytest.raises(ConfigError, match=r"teachers: is about Δ up to 81.4°; .* at 90.0°"):
        variant(tmp_path, bisector={"sweep": {"problem.angles": {"90": [0, 90]}}})
    with pytest.raises(ConfigError, match=r"lojasiewicz: is about two teachers of norm 1; 'bisector' has 3"):
        variant(tmp_path, bisector={"sweep": {"problem.angles": {"three": [0, 30, 60]}}})


@pytest.fixture(scope="module")
def plane() -> xr.Dataset:
    """A short run like that of Figure 1, on the population alone."""
    problem = {"name": "gaussian_teacher", "dimension": 2, "angles": [20, 100]}
    return twolayer.run(
        {
            "problem": problem,
            "network": {"neurons": 4, **TIED},
            "initialization": {"name": "gaussian", "scale": 0.2},
            "dynamics": {"name": "gradient_descent", "step_size": 0.05},
            "times": {"values": [1, 2]},
            "metrics": ["loss", "hidden"],
            "sweep": {
                "initialization": {"ntk": {"name": "gaussian", "scale": 0.2}},
                "problem": {"population": problem},
            },
        }
    )


def test_figure_1_names_the_rows_that_it_has(plane: xr.Dataset) -> None:
    face = " ".join(text.get_text() for text in twolayer.figure("zhou2021.figure1", plane).texts)
    assert "by their starts (columns), on the population: directions" in face
    assert "sample" not in face


@pytest.mark.parametrize(("scale", "step"), [(1e-4, 0.001), (3.0, 0.001), (3.0, 0.1)])
def test_the_basin_shows_every_start(scale: float, step: float) -> None:
    """Starts of a loss of 1e3, above the axis of the paper's, small ones, and those that diverge."""
    basin = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 3},
            "network": {"neurons": 6, **TIED},
            "initialization": {"name": "gaussian", "scale": scale},
            "dynamics": {"name": "gradient_descent", "step_size": step},
            "times": {"values": [1]},
            "seeds": 3,
            "metrics": ["loss"],
            "sweep": {
                "initialization": {"gaussian": {"name": "gaussian", "scale": scale}},
                "network.neurons": [6],
            },
        }
    )
    left, right = twolayer.figure("zhou2021.basin", basin).axes
    low, high = left.get_xlim()
    assert ((basin["loss"].isel(time=0) > low) & (basin["loss"].isel(time=0) < high)).all()
    drawn = [
        line for line in left.lines if len(line.get_xdata()) == 3 and np.isfinite(line.get_ydata()).any()
    ]
    assert len(drawn) == 1
    assert np.isfinite(drawn[0].get_ydata()).all()
    assert (drawn[0].get_marker() == "^") == (step == 0.1)
    assert right.containers


def test_exponents_of_short_runs_say_what_is_missing() -> None:
    """One problem and a few steps: no exponent, and no bare 'nothing was measured'."""
    width = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
            "network": {"neurons": 4, **TIED},
            "initialization": {"name": "around_teachers", "angle": 0.4},
            "dynamics": {"name": "gradient_descent", "step_size": 0.05},
            "times": {"values": [1, 5]},
            "metrics": [
                *("loss", "gradient_norm", "teacher_angles", "mass", "average_neuron_residual"),
                *("r2_norm", "mass_weighted_square_angle"),
            ],
            "sweep": {
                "initialization": {
                    "two": {"name": "around_teachers", "angle": 0.4},
                    "far": {"name": "around_teachers", "angle": 0.3, "shares": [0.9, 0.3]},
                },
                "problem": {"r_2": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2}},
            },
        }
    )
    expected = {
        "gradient_exponents": ("rates", "goes through 2.5 decades below 1e-06"),
        "sharp_exponents": ("rates", "goes through 5 decades below 1e-10"),
        "near_students": ("states", "no state has a loss of at most 1e-4"),
        "half_masses": ("states", "no state has a loss of at most 1e-4"),
        "gradient_size": ("scaling", "needs runs with two values of it"),
    }
    for name, (experiment, message) in expected.items():
        also = {"states": width, "rates": width} if experiment == "states" else {experiment: width}
        printed = [
            result.detail for result in verdicts(name, **also).values() if result.verdict == "inconclusive"
        ]
        assert any(message in detail for detail in printed), (name, printed)
        assert not any("nothing was measured" in detail for detail in printed), (name, printed)


def of_widths(starts: dict[str, Any], neurons: list[int]) -> xr.Dataset:
    """Short runs of several m."""
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
            "network": {"neurons": 4, **TIED},
            "initialization": {"name": "around_teachers", "angle": 0.5},
            "dynamics": {"name": "gradient_descent", "step_size": 0.1},
            "times": {"start": 1, "stop": 60, "count": 30, "spacing": "log"},
            "seeds": 4,
            "metrics": ["loss"],
            "sweep": [
                {"network.neurons": count, "initialization": {name: {"name": "around_teachers", **start}}}
                for count, (name, start) in zip(neurons, starts.items(), strict=True)
            ],
        }
    )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"angle": 0.5}, {"angle": 0.5}, ""),
        ({"angle": 0.05}, {"angle": 0.5}, "angle is 0.05 at m = 4 and 0.5 at m = 8"),
        (
            {"angle": 0.5, "shares": [0.8], "background_neurons": 0.2},
            {"angle": 0.5, "shares": [0.8], "background_neurons": 0.115},
            "",
        ),
        (
            {"angle": 0.5, "shares": [0.8], "background_neurons": 0.2},
            {"angle": 0.5, "shares": [0.8], "background_neurons": 0.2},
            "mass of background neurons is 0.08 at m = 4 and 0.24 at m = 8",
        ),
    ],
)
def test_times_of_several_m_are_compared_from_starts_that_are_alike(
    first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    """Of two teachers with a student each that leaves 2 and 6 background neurons."""
    runs = of_widths({"few": first, "many": second}, [4, 8])
    found = verdicts("independence", width=runs)
    legend = twolayer.figure("zhou2021.width", runs).axes[1].get_legend()
    shown = {text.get_text() for text in legend.get_texts()}
    assert ("all near teachers" in shown) == ("background_neurons" not in first)
    if message:
        (result,) = found.values()
        assert result.verdict == "inconclusive"
        assert message in result.detail
    else:
        assert {"holds"} <= {result.verdict for result in found.values()} <= {"holds", "inconclusive"}


def test_times_to_a_loss_that_starts_are_below_of_are_not_compared() -> None:
    found = verdicts(
        "independence", width=of_widths({"few": {"angle": 0.01}, "many": {"angle": 0.01}}, [4, 8])
    )
    assert found["all near, ε = 1e-02"].verdict == "inconclusive"
    assert found["all near, ε = 1e-02"].detail == "at m = 4 starts are below this loss"


@pytest.mark.parametrize(("subspace", "verdict"), [(1, "inconclusive"), (2, "holds")])
def test_fits_in_a_subspace_without_the_teachers_are_not_judged(subspace: int, verdict: str) -> None:
    """No number of students in one dimension fits two teachers."""
    data = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
            "network": {"neurons": 4, **TIED},
            "initialization": {"name": "nonnegative_least_squares"},
            "dynamics": {"name": "gradient_descent", "step_size": 0.05},
            "times": {"steps": [1]},
            "seeds": 12,
            "metrics": ["loss"],
            "sweep": {
                "network.neurons": [4, 32],
                "initialization": [{"drawn": {"name": "nonnegative_least_squares", "subspace": subspace}}],
            },
        }
    )
    (found,) = verdicts("start_in_subspace", subspace=data).values()
    assert found.verdict == verdict
    assert ("the teachers span more" in found.detail) == (verdict == "inconclusive")


def test_lemmas_are_judged_of_states_of_one_problem() -> None:
    """Whatever tells the runs of random states apart: here their number of students."""
    data = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1},
            "network": {"neurons": 2, **TIED},
            "initialization": {"name": "around_teachers", "angle": [1e-4, 0.5]},
            "dynamics": {"name": "gradient_descent", "step_size": 0.05},
            "times": {"steps": [1]},
            "seeds": 40,
            "metrics": ["loss", "average_neuron_residual", "r2_norm", "mass_weighted_square_angle", "mass"],
            "sweep": {"network.neurons": [2, 5]},
        }
    )
    for name in ("average_neurons", "second_part", "directions"):
        (found,) = verdicts(name, states=data).values()
        assert found.verdict == "holds"


def test_a_caption_says_how_the_runs_were_trained() -> None:
    data = {"bisector": one_line(40, dynamics={"name": "gradient_descent", "step_size": 0.1}, last=10)}
    caption = load(kinds=["figures"]).find("figures", "zhou2021.teachers").plugin.caption(data)
    assert "the loss of gradient descent on the bisector" in caption
