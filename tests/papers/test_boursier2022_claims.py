"""The claims on Boursier, Pillaud-Vivien and Flammarion 2022 can fail: datasets that make them hold, and fail; and
what earlier runs gave, as regressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from networks import network_of
from paper_settings import claims_of, in_setting
from project import PROJECT

import twolayer
from twolayer import EmpiricalProblem, FiniteData, Run, Weights
from twolayer.analysis.runs import runs_of
from twolayer.errors import DataError
from twolayer.study.registry import load_file

ORTHOGONAL = {"name": "orthogonal", "loss": "half_mean_square"}
FOLDER = PROJECT / "plugins" / "papers" / "boursier2022"
claims = claims_of("boursier2022")
theory = load_file(FOLDER / "theory.py", "boursier2022_claims_tested.theory")
measured = load_file(FOLDER / "measured.py", "boursier2022_claims_tested.measured")
INPUTS, TARGETS = np.eye(5) * [1, 1.3, 0.8, 1.1, 0.9], np.array([1, 0.7, 1.2, -0.6, -0.9])


def described(
    dataset: xr.Dataset, problem: dict[str, Any], dynamics: dict[str, dict[str, Any]] | None = None
) -> xr.Dataset:
    """A dataset with the runs that made it, one for each point of the dimensions with swept values that come first in
    its loss or norm; dynamics: the sections by swept label."""
    swept = [name for name in ("dynamics", "dtype", "samples", "scale") if name in dataset.dims]
    runs = np.empty([dataset.sizes[name] for name in swept], dtype=object)
    for index in np.ndindex(runs.shape):
        words = {name: dataset[name].values[at].item() for name, at in zip(swept, index, strict=True)}
        run = {"swept": words, "problem": problem, "seeds": [0]}
        if dynamics:
            run["dynamics"] = dynamics[words["dynamics"]]
        runs[index] = json.dumps(in_setting(theory.paper, run))
    return dataset.assign(run=(swept, runs))


def sweep(stretch: float, noise: float) -> xr.Dataset:
    """A scale sweep whose losses fall in two steps, at `stretch` times the predicted times, with noise in them."""
    scales = 10.0 ** -np.arange(10, 31, 2)
    time = np.linspace(0, 500, 5001)
    random = np.random.default_rng(2)
    drives = theory.drives(INPUTS, TARGETS)
    start, level = float((TARGETS**2).sum() / 10), theory.plateau(TARGETS)
    losses = np.empty((len(scales), 4, len(time)))
    for spot in np.ndindex(losses.shape[:2]):
        first, second = (
            stretch * (-np.log(scales[spot[0]]) / drive) + noise * random.standard_normal()
            for drive in drives
        )
        losses[spot] = (start - level) * (time < first) + level * (time < second)
    variables = {
        "loss": (("scale", "seed", "time"), losses),
        "inputs": (("sample", "feature"), INPUTS),
        "targets": (("sample",), TARGETS),
    }
    return described(xr.Dataset(variables, {"scale": scales, "time": time}), ORTHOGONAL)


@pytest.mark.parametrize(
    ("stretch", "noise", "verdict"), [(1.0, 0.0, "holds"), (1.05, 0.0, "fails"), (1.0, 20.0, "inconclusive")]
)
def test_the_times_to_fit(stretch: float, noise: float, verdict: str) -> None:
    found = claims.times.evaluate({"scale_sweep": sweep(stretch, noise)})
    assert {result.verdict for result in found.values()} == {verdict}


@pytest.mark.parametrize(
    ("factor", "seeds", "verdict"), [(1.0, 6, "holds"), (1.3, 6, "fails"), (1.0, 1, "inconclusive")]
)
def test_the_exponent_of_the_excess(factor: float, seeds: int, verdict: str) -> None:
    """Norms with an excess of λ^(factor p) for p as predicted; one seed decides nothing."""
    least = theory.minimum_norm(INPUTS, TARGETS)
    scales = np.array([1e-16, 1e-64])
    exponents = np.array([0.1, 0.11, 0.12, 0.13, 0.14, 0.15])
    shown = np.where(np.arange(6) < seeds, exponents, 5.0)  # the others' excess is too small to be seen
    norm = least * (1 + scales[:, None] ** (factor * shown))
    runs = xr.Dataset(
        {
            "path_norm": (("samples", "scale", "seed", "time"), np.stack([0 * norm, norm], -1)[None]),
            "loss": (("samples", "scale", "seed", "time"), np.tile([1.0, 0.0], (1, 2, 6, 1))),
            "blind_exponent": (("samples", "scale", "seed"), np.tile(shown, (1, 2, 1))),
            "seed_inputs": (
                ("samples", "scale", "seed", "sample", "feature"),
                np.tile(INPUTS, (1, 2, 6, 1, 1)),
            ),
            "seed_targets": (("samples", "scale", "seed", "sample"), np.tile(TARGETS, (1, 2, 6, 1))),
        },
        {"samples": [5], "scale": scales, "time": [0.0, 1.0]},
    )
    found = claims.excess_exponent.evaluate({"implicit_bias": described(runs, ORTHOGONAL)})
    assert found["n = 5"].verdict == verdict


@pytest.mark.parametrize(("stretch", "verdict"), [(1.0, "holds"), (1.05, "fails"), (3.0, "inconclusive")])
def test_the_slope_of_growth_times(stretch: float, verdict: str) -> None:
    """One neuron of each sign along D_±, whose mass is a logistic function that is half of |v_±| at ln(1/λ)/|D_±|."""
    scales, time = np.array([1e-8, 1e-16]), np.linspace(0, 2.2 * np.log(1e16) / 0.3, 400)
    hidden, output = np.zeros((2, 1, 400, 2, 5)), np.zeros((2, 1, 400, 2))
    stages = {name: drive for name, drive, _ in measured.theory.fit_stages(INPUTS, TARGETS)}
    for neuron, (sign, name) in enumerate(((1, "+"), (-1, "−"))):
        seen = np.where(sign * TARGETS > 0, np.abs(TARGETS), 0) @ INPUTS
        _, end = measured.theory.end_of_group(INPUTS, TARGETS, float(sign))
        begin = stretch * np.log(1 / scales) / stages[name]
        mass = end / (1 + np.exp(-2 * stages[name] * (time - begin[:, None])))
        hidden[:, 0, :, neuron] = np.sqrt(mass)[..., None] * seen / np.linalg.norm(seen)
        output[:, 0, :, neuron] = sign * np.sqrt(mass)
    data = xr.Dataset(
        {
            "loss": (("scale", "seed", "time"), np.ones((2, 1, 400))),
            "hidden": (("scale", "seed", "time", "neuron", "feature"), hidden),
            "output": (("scale", "seed", "time", "neuron"), output),
            "inputs": (("sample", "feature"), INPUTS),
            "targets": (("sample",), TARGETS),
        },
        {"scale": scales, "time": time},
    )
    found = claims.growth_times.evaluate({"staircase": described(data, ORTHOGONAL)})
    assert {name: result.verdict for name, result in found.items()} == dict.fromkeys(
        ["group +", "group −"], verdict
    )


@pytest.mark.parametrize(("order", "verdict"), [(1, "holds"), (2, "fails")])
def test_descent_of_another_order_fails(order: int, verdict: str) -> None:
    time = np.linspace(0.1, 5, 50)
    shapes = [np.zeros(50), *(step**order * np.sin(time) for step in (1e-2, 1e-3, 1e-4))]
    loss = np.exp(-time) + np.array(shapes)
    names = ["flow", "step_1e-2", "step_1e-3", "step_1e-4"]
    kinds = [
        {"name": "gradient_flow"},
        *({"name": "gradient_descent", "step_size": float(name[5:])} for name in names[1:]),
    ]
    data = xr.Dataset(
        {"loss": (("dynamics", "seed", "time"), loss[:, None])}, {"dynamics": names, "time": time}
    )
    runs = described(data, ORTHOGONAL, dict(zip(names, kinds, strict=True)))
    found = claims.first_order.evaluate({"step_error": runs})
    assert list(found) == ["ratio from 1e-2 to 1e-3", "ratio from 1e-3 to 1e-4"]
    assert {result.verdict for result in found.values()} == {verdict}


def test_the_plateau_must_last_as_long_as_the_authors() -> None:
    """The authors' frames hold; the same curve 1 % later fails."""
    with xr.open_dataset(FOLDER / "data" / "boursier2022_orthogonal_seed0.nc") as file:
        theirs = file.load()
    step, files = theirs.attrs["learning_rate"], authors_files()
    time = theirs["iteration"].values * step
    for step_size, late, verdict in (
        (step, 1.0, "holds"),
        (step, 1.01, "fails"),
        (2 * step, 1.0, "inconclusive"),
    ):
        loss = np.interp(time / late, time, theirs["loss"].values)
        swept = ("dynamics", "dtype")
        run = xr.Dataset(
            {
                "loss": ((*swept, "seed", "time"), loss[None, None, None]),
                "output": (
                    (*swept, "seed", "time", "neuron"),
                    np.tile(theirs["initial_output"].values, (1, 1, 1, len(time), 1)),
                ),
                "targets": ((*swept, "sample"), theirs["targets"].values[None, None]),
                "step": ((*swept, "time"), theirs["iteration"].values[None, None]),
            },
            {"time": time, "dynamics": ["descent"], "dtype": ["float64"]},
        )
        kinds = {"descent": {"name": "gradient_descent", "step_size": step_size}}
        runs = described(run, {"name": "file", "loss": "mean_square"}, kinds)
        found = claims.two_point_plateau.evaluate({"orthogonal": runs} | files)
        assert list(found.values())[-1].verdict == verdict


def authors_files() -> dict[str, xr.Dataset]:
    """The authors' runs that the claims are compared with."""
    found = {}
    for name in claims.two_point_plateau.files:
        with xr.open_dataset(FOLDER / "claims" / name) as file:
            found[Path(name).stem] = file.load()
    return found


def test_the_plateau_of_one_sign() -> None:
    """Five points of the notebooks: 1209/38000, with the line through three points, one point fitted and one not; on
    orthogonal points the labels of the other sign."""
    line = np.array([-1.5, -1.0, 0.0, 0.25, 2.0])
    inputs, targets = np.stack([line, np.ones(5)], axis=1), np.array([0.7, -0.3, -0.3, 0.4, 0.2])
    assert theory.plateau_of_one_sign(inputs, targets) == pytest.approx(1209 / 38000, rel=1e-12)
    pair, labels = np.array([[2.0, 1.0], [-0.5, 1.0]]), np.array([1.0, -0.7])
    assert theory.plateau_of_one_sign(pair, labels) == pytest.approx(0.49 / 4, rel=1e-12)


def test_the_stages_come_in_the_order_of_their_drives() -> None:
    (first, fast, above), (second, slow, below) = theory.fit_stages(INPUTS, TARGETS)
    assert (first, second) == ("+", "−")
    assert fast > slow
    plateau = theory.plateau(TARGETS)
    assert (above, below) == pytest.approx(((plateau + (TARGETS**2).sum() / 10) / 2, plateau / 2))
    assert [stage[0] for stage in theory.fit_stages(INPUTS, -TARGETS)] == ["−", "+"]


def test_formulas_of_orthogonal_inputs_refuse_others() -> None:
    tilted = INPUTS + 1e-3
    for formula in (theory.minimum_norm, theory.excess_exponent, theory.fit_stages):
        formula(INPUTS, TARGETS)
        with pytest.raises(DataError, match="orthogonal inputs, and these are not"):
            formula(tilted, TARGETS)


def test_a_group_aligns_and_grows_to_its_end() -> None:
    """The flow from 1e-5 on two orthogonal points, along D_+ to v_+ and D_- to v_-."""
    inputs, targets = np.array([[-0.5, 1.0], [2.0, 1.0]]), np.array([-1.0, 1.0])
    section = {"name": "points", "inputs": inputs.tolist(), "targets": targets.tolist()}
    found = twolayer.run(
        {
            "problem": section,
            "network": {"neurons": 12},
            "initialization": {"name": "gaussian", "scale": 1e-5, "balanced": True},
            "dynamics": {"name": "gradient_flow"},
            "times": {"values": [60]},
            "metrics": ["loss", "hidden", "output", "inputs", "targets"],
        }
    )
    (run,) = runs_of("staircase", found)
    for sign in (1.0, -1.0):
        cosine, mass = (part.isel(seed=0).values for part in measured.group(run, sign))
        end, norm = theory.end_of_group(inputs, targets, sign)
        assert end == pytest.approx(1.0)  # one sample of each sign: v is along D
        assert cosine[0] < 0.99
        assert cosine[-1] == pytest.approx(end, abs=1e-3)
        assert mass[0] < 1e-8
        assert mass[-1] == pytest.approx(norm, rel=0.02)


def test_progress_is_even_in_turning_and_in_the_fall_of_the_loss() -> None:
    """A neuron that turns by a right angle in two steps, then a loss that falls in one step."""
    hidden = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 2.0]], [[0.0, 2.0]]])
    dataset = xr.Dataset(
        {"hidden": (("time", "neuron", "feature"), hidden), "loss": ("time", [1.0, 1.0, 1.0, 0.0])},
        {"time": np.arange(4.0)},
    )
    run = Run("orthogonal", dataset, [{"swept": {}}])
    assert measured.progress(run) == pytest.approx([0.0, 0.25, 0.5, 1.0])
    assert measured.evenly(run, np.arange(4.0), 5) == pytest.approx([0.0, 1.0, 2.0, 2.5, 3.0])
    assert measured.evenly(run, hidden, 3)[1] == pytest.approx(hidden[2])


@pytest.mark.parametrize(("loss", "step"), [("mean_square", 1e-3), ("half_mean_square", 2e-3)])
def test_the_authors_losses_are_in_the_unit_of_the_run(loss: str, step: float) -> None:
    """The same descent of L and of 2L: twice the step, half the loss, at the same iterations."""
    file = FOLDER / "data" / "boursier2022_orthogonal_seed0.nc"
    found = twolayer.run(
        {
            "problem": {"name": "file", "path": str(file), "loss": loss},
            "network": {"neurons": 60},
            "initialization": {"name": "file", "path": str(file)},
            "dynamics": {"name": "gradient_descent", "step_size": step},
            "times": {"steps": [1, 10, 101, 1017, 6397, 12000]},
            "metrics": ["loss"],
        }
    )
    (run,) = runs_of("orthogonal", found)
    with xr.open_dataset(file) as theirs:
        common, apart = measured.distance(
            measured.losses_by_iteration(run, step), measured.authors_losses(run, theirs)
        )
    assert len(common) > 3
    assert common[-1] > 6000
    assert apart.max() < 2e-6 * float(run.loss[0, 0])


def test_losses_are_compared_at_common_iterations() -> None:
    ours = xr.DataArray([3.0, 2.0, 1.0], {"iteration": [0.0, 10.0, 20.0]})
    theirs = xr.DataArray([2.5, 1.5], {"iteration": [20.0, 10.0]})
    common, apart = measured.distance(ours, theirs)
    assert common.tolist() == [10.0, 20.0]
    assert apart == pytest.approx([0.5, 1.5])


def test_regression_of_the_error_of_descent() -> None:
    """An earlier run had max|ΔL| = 0.0043 at step 1e-3 on the two points; at first order 1e-2 is nine times that off,
    at the experiment's 200 times."""
    with xr.open_dataset(FOLDER / "data" / "boursier2022_orthogonal_seed0.nc") as file:
        data = FiniteData(file["inputs"].values, file["targets"].values, "mean_square")
        start = Weights(
            *(file[f"initial_{name}"].values[None].astype(float) for name in ("hidden", "output"))
        )
    problem = EmpiricalProblem(data, network_of(start.output.shape[-1], "relu", "trained"))

    def losses(step: float) -> Any:
        weights, found = start, []
        for _ in range(200):
            weights = problem.descend(weights, step, 0.0, round(0.1 / step))
            found.append(float(problem.loss(weights)[0]))
        return np.array(found)

    assert np.abs(losses(1e-2) - losses(1e-3)).max() == pytest.approx(9 * 0.0043, rel=0.05)
