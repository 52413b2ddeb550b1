"""Figures and claims of Boursier, Pillaud-Vivien and Flammarion 2022 with settings that are not the paper's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from matplotlib.figure import Figure

import twolayer
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.study.study import load_study

DATA = Path(__file__).parents[2] / "plugins" / "papers" / "boursier2022" / "data"
REGISTRY = load(kinds=["claims"])
FIVE = {
    "name": "points",
    "inputs": [-1.5, -1, 0, 0.25, 2],
    "targets": [0.7, -0.3, -0.3, 0.4, 0.2],
    "bias": True,
    "loss": "mean_square",
}
TWO = {"name": "points", "inputs": [[-0.5, 1], [2, 1]], "targets": [-1, 1], "loss": "mean_square"}
KINDS = [
    {"dynamics": {"descent": {"name": "gradient_descent", "step_size": 1e-3}}, "dtype": "float64"},
    {"dynamics": {"flow": {"name": "gradient_flow"}}, "dtype": "float64"},
]


def authors_start(
    problem: dict[str, Any], times: dict[str, Any], seeds: int = 1, **initialization: Any
) -> xr.Dataset:
    """A run as those from the authors' weights, from others."""
    return twolayer.run(
        {
            "problem": problem,
            "network": {"neurons": 20},
            "initialization": {"name": "gaussian", **initialization},
            "dynamics": {"name": "gradient_flow"},
            "times": times,
            "seeds": seeds,
            "sweep": KINDS,
            "metrics": ["loss", "imbalance", "path_norm", "hidden", "output", "inputs", "targets"],
        }
    )


def verdicts(name: str, **data: xr.Dataset) -> dict[str, Any]:
    """The results of a claim, by case."""
    found = REGISTRY.find("claims", f"boursier2022.{name}").plugin.evaluate(data)
    return dict(found) if isinstance(found, dict) else {"": found}


def texts(canvas: Figure) -> str:
    """All that is written in a figure."""
    return " ".join(
        text.get_text() for part in (canvas, *canvas.axes) for text in part.texts if text.get_visible()
    )


def test_signs_are_judged_of_balanced_starts_alone() -> None:
    """a_j² − |w_j|² ≥ 0 keeps the sign of a_j; an unbalanced start does not, and neurons may change theirs."""
    times = {"values": [1.0, 5.0, 20.0]}
    other = authors_start(TWO, times, scale=5e-2)
    output = other["output"].sel(dynamics="flow").values
    assert (np.sign(output) != np.sign(output[..., :1, :])).any()  # some do change sign
    (found,) = verdicts("signs", orthogonal=other).values()
    assert found.verdict == "inconclusive"
    assert "does not start from balanced weights" in found.detail
    (found,) = verdicts("signs", orthogonal=authors_start(TWO, times, scale=5e-2, balanced=True)).values()
    assert found.verdict == "holds"


def test_the_plateau_of_five_points_is_judged_of_small_starts_alone() -> None:
    large = authors_start(FIVE, {"start": 0.1, "stop": 20, "count": 40, "spacing": "log"}, scale=0.4)
    for found in verdicts("five_point_plateau", nonorthogonal_small=large).values():
        assert found.verdict == "inconclusive"
        assert "λ is too large: the run starts with" in found.detail


@pytest.mark.parametrize(
    ("times", "note"),
    [
        ({"values": [0.01, 0.1, 1.0]}, False),
        ({"start": 0.0123456, "stop": 1.2345678, "count": 5, "spacing": "log"}, True),
    ],
)
def test_a_loss_profile_says_where_losses_cannot_be_compared(times: dict[str, Any], note: bool) -> None:
    """Three common iterations are points, not a line; none is said."""
    canvas = twolayer.figure("boursier2022.loss_orthogonal", authors_start(TWO, times, 2, scale=1e-2))
    assert ("no saved iteration in common" in texts(canvas)) == note
    assert "the first of 2 seeds" in texts(canvas)
    markers = {line.get_marker() for line in canvas.axes[1].lines if len(line.get_xdata())}
    assert ("o" in markers) != note
    assert {line.get_linestyle() for line in canvas.axes[1].lines if line.get_marker() == "o"} <= {"None"}


def test_the_authors_losses_are_compared_at_frames_after_the_start() -> None:
    """The start is the authors' as the run begins from their weights: by itself it compares nothing."""
    file = str(DATA / "boursier2022_orthogonal_seed0.nc")
    for last, verdict in ((3, "inconclusive"), (12, "holds")):
        data = twolayer.run(
            {
                "problem": {"name": "file", "path": file, "loss": "mean_square"},
                "network": {"neurons": 60},
                "initialization": {"name": "file", "path": file},
                "dynamics": {"name": "gradient_descent", "step_size": 1e-3},
                "times": {"steps": list(range(1, last + 1))},
                "sweep": KINDS[:1],
                "metrics": ["loss", "hidden", "output", "inputs", "targets"],
            }
        )
        stored = {found.stem: xr.load_dataset(found) for found in DATA.glob("*.nc")}
        (found,) = verdicts("authors_losses", orthogonal=data, **stored).values()
        assert found.verdict == verdict
        assert ("needs 10 of the" in found.detail) == (verdict == "inconclusive")


def variant(folder: Path, times: dict[str, Any]) -> None:
    """The study of a variant of the paper whose experiment `step_error` is saved at other times."""
    body = {"mine": {"base": "boursier2022", "experiments": {"step_error": {"times": times}}}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"papers": body}))
    load_study([folder / "config.yaml"])


def test_errors_of_steps_need_times_that_all_runs_save(tmp_path: Path) -> None:
    """A descent is saved at whole steps: half a step of time would count as its error of first order."""
    variant(tmp_path, {"start": 0.1, "stop": 5.0, "count": 50, "spacing": "linear"})
    with pytest.raises(ConfigError, match=r"step_error: losses are compared at the times that all runs save"):
        variant(tmp_path, {"start": 0.1, "stop": 5.0, "count": 50, "spacing": "log"})


def test_the_largest_error_is_taken_over_common_times() -> None:
    """At times of which 12 are whole steps of all: as with these times alone, and first order."""
    common = [0.1 * count for count in range(1, 13)]
    odd = [0.1234567, 0.7654321, 1.1111111]
    found = []
    for values in (common, sorted(common + odd)):
        data = twolayer.run(
            {
                "problem": TWO,
                "network": {"neurons": 4},
                "initialization": {"name": "gaussian", "scale": 0.5, "balanced": True},
                "dynamics": {"name": "gradient_flow"},
                "times": {"values": values},
                "metrics": ["loss"],
                "sweep": {
                    "dynamics": {
                        "flow": {"name": "gradient_flow"},
                        "step_1e-2": {"name": "gradient_descent", "step_size": 1e-2},
                        "step_1e-3": {"name": "gradient_descent", "step_size": 1e-3},
                    }
                },
            }
        )
        (result,) = verdicts("first_order", step_error=data).values()
        found.append(float(result.measured))
    assert found[1] == pytest.approx(found[0], rel=1e-12)
    assert found[0] == pytest.approx(10.0, rel=0.1)


def test_a_plateau_that_is_not_left_is_not_judged() -> None:
    """Small weights that have not come down to the plateau, or not left it, by the end."""
    short = authors_start(FIVE, {"start": 0.1, "stop": 40, "count": 30, "spacing": "log"}, scale=1e-5)
    for found in verdicts("five_point_plateau", nonorthogonal_small=short).values():
        assert found.verdict == "inconclusive"
        assert "too short" in found.detail or "not come below half" in found.detail


def escapes(stop: float, seeds: int = 4) -> xr.Dataset:
    """Flows from one small scale on the five points."""
    return twolayer.run(
        {
            "problem": FIVE,
            "network": {"neurons": 10},
            "initialization": {"name": "gaussian", "scale": 1e-3, "balanced": True},
            "dynamics": {"name": "gradient_flow"},
            "times": {"start": 1, "stop": stop, "count": 60, "spacing": "linear"},
            "seeds": seeds,
            "metrics": ["loss", "path_norm", "inputs", "targets"],
            "sweep": {"initialization.scale": [1e-3, 1e-4]},
        }
    )


def later(dataset: xr.Dataset, when: Any) -> xr.Dataset:
    """The dataset with losses at a level of 1 until each seed leaves, then 0: a share of the plateau, (seed,)."""
    level = 0.95 * 2 * 1209 / 38000
    gone = dataset["time"] >= xr.DataArray(when, dims="seed")
    return dataset.assign(
        loss=(level * (1.0 - gone)).broadcast_like(dataset["loss"]).transpose(*dataset["loss"].dims)
    )


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ([10, 12, 11, 13], "holds"),
        ([10, 12, 11, math.inf], "fails"),
        ([10, 12, 30, math.inf], "inconclusive"),
        ([math.inf] * 4, "inconclusive"),
    ],
)
def test_a_seed_that_waits_is_judged_when_it_has_waited_long(when: list[float], verdict: str) -> None:
    """To t = 60: one that stays while the others leave by 12, by 30, and where none leaves."""
    found = verdicts("flow_escapes", escape_of_flow=later(escapes(60.0), when))
    assert {result.verdict for result in found.values()} == {verdict}


def test_the_panel_of_escapes_shows_those_that_did_not_leave() -> None:
    flows = later(escapes(60.0), [math.inf] * 4)
    descent = twolayer.run(
        {
            "problem": FIVE,
            "network": {"neurons": 4},
            "initialization": {"name": "gaussian", "scale": 1e-3},
            "dynamics": {"name": "gradient_descent", "step_size": 0.1},
            "times": {"values": [10]},
            "metrics": ["loss", "output"],
            "sweep": {"initialization.scale": [1e-3], "dynamics.step_size": [0.1, 0.05]},
        }
    )
    canvas = twolayer.figure("boursier2022.escape", flows, descent)
    (shown,) = (line for line in canvas.axes[0].lines if line.get_label() == "not by $t$ = 60")
    assert shown.get_ydata().tolist() == [60.0, 60.0]
    assert "(4 starts, mean and range), and the share of 1 descent that leave it" in texts(canvas)


def test_figure_2_shows_the_authors_times_whatever_the_step() -> None:
    """Their iterations 0, 1881, 9004 and 15407 of a step of 1e-3; of a run that ends at 9.5 the last twice as one."""
    titles = []
    for step, stop in ((2.6e-3, 20.0), (1e-3, 9.5)):
        kinds = [
            {"dynamics": {"descent": {"name": "gradient_descent", "step_size": step}}, "dtype": "float64"},
            KINDS[1],
        ]
        data = twolayer.run(
            {
                "problem": TWO,
                "network": {"neurons": 4},
                "initialization": {"name": "gaussian", "scale": 1e-2},
                "dynamics": {"name": "gradient_flow"},
                "times": {"start": 0.013, "stop": stop, "count": 2000, "spacing": "linear"},
                "sweep": kinds,
                "metrics": ["loss", "hidden", "output", "inputs", "targets"],
            }
        )
        axes = twolayer.figure("boursier2022.figure2", data).axes
        titles.append([int(one.get_title().split()[1].strip(",")) for one in axes if one.get_title()])
    assert np.array(titles[0]) * 2.6e-3 == pytest.approx([0.0, 1.881, 9.004, 15.407], abs=0.01)
    assert np.array(titles[1]) * 1e-3 == pytest.approx([0.0, 1.881, 9.004, 9.5], abs=0.01)


def test_slopes_of_growth_need_small_scales() -> None:
    """Between 1e-4 and 1e-8 the slope is off by more than the claim's 1 %."""
    found = twolayer.run(
        {
            "problem": {"name": "orthogonal", "samples": 2, "dimension": 2, "targets": [1, -0.6]},
            "network": {"neurons": 6},
            "initialization": {"name": "covering", "scale": 1e-4},
            "dynamics": {"name": "gradient_flow"},
            "times": {"start": 1, "stop": 100, "count": 100, "spacing": "linear"},
            "metrics": ["loss", "hidden", "output", "inputs", "targets"],
            "sweep": {"initialization.scale": [1e-4, 1e-8]},
        }
    )
    (result,) = verdicts("growth_times", staircase=found).values()
    assert result.verdict == "inconclusive"
    assert "needs runs of two scales λ ≤ 1e-8" in result.detail


@pytest.mark.parametrize(("last", "verdict"), [(60, "inconclusive"), (4000, "holds")])
def test_the_implicit_bias_is_judged_of_fitted_labels(last: float, verdict: str) -> None:
    """Neurons that have not grown have less than the least norm, and no minimum of it."""
    data = twolayer.run(
        {
            "problem": {
                "name": "orthogonal",
                "samples": 3,
                "dimension": 3,
                "norms": {"low": 0.7, "high": 1.3},
                "targets": {"low": 0.5, "high": 1.5, "random_sign": True},
                "directions": "random",
            },
            "network": {"neurons": 20},
            "initialization": {"name": "covering", "scale": 1e-64},
            "dynamics": {"name": "gradient_flow"},
            "times": {"values": [last]},
            "seeds": 3,
            "metrics": [
                *("loss", "path_norm", "carrying_directions", "covering_neurons", "blind_exponent"),
                *("seed_inputs", "seed_targets"),
            ],
            "sweep": {"problem.samples": [3], "initialization.scale": [1e-64]},
        }
    )
    for found in verdicts("implicit_bias", implicit_bias=data).values():
        assert found.verdict == verdict
        assert ("have not fitted all labels" in found.detail) == (verdict == "inconclusive")
    canvas = twolayer.figure("boursier2022.implicit_bias", data)
    assert ("Left out: 3 of 3 runs" in texts(canvas)) == (verdict == "inconclusive")
    shown = [
        line
        for line in canvas.axes[0].lines
        if np.isfinite(line.get_ydata()).any() and len(line.get_xdata()) == 3
    ]
    assert bool(shown) == (verdict == "holds")
