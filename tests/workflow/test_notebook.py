"""`twolayer.run`: the way through the house without files gives what the files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer.cli import main
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.5], [0.2, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 2, 30]},
    "seeds": [3, 1],
    "sweep": {"initialization.balanced": [True, False], "network.neurons": [2, 4]},
}


def test_the_same_dataset_as_from_the_files(tmp_path: Path) -> None:
    runs = make_experiment("p", "e", EXPERIMENT, load()).runs
    for name, run in runs.items():
        at = tmp_path / name
        problem, trajectory = ["--problem", f"{at}/problem.nc"], ["--trajectory", f"{at}/trajectory.nc"]
        assert main(["generate", "--run", run.json(), "--output", f"{at}/problem.nc"]) == 0
        assert main(["train", *problem, "--backend", "numpy", "--output", f"{at}/trajectory.nc"]) == 0
        assert main(["measure", *problem, *trajectory, "--output", f"{at}/metrics.nc"]) == 0
    output = tmp_path / "dataset.nc"
    assert main(["gather", str(tmp_path), "--runs", *runs, "--output", str(output)]) == 0
    ours = twolayer.run(EXPERIMENT, "numpy")
    with xr.open_dataset(output) as theirs:
        assert set(ours.variables) == set(theirs.variables)
        for name in set(ours.variables) - {"run"}:  # which tells the paper and the experiment
            xr.testing.assert_identical(ours[name], theirs[name])
        assert set(ours.coords) == set(theirs.coords)
    assert ours["loss"].dims == ("balanced", "neurons", "seed", "time")
    assert ours["loss"].sel(balanced=1, neurons=4, seed=3).shape == (4,)
    assert ours["seed"].values.tolist() == [3, 1]


def test_weights_on_request() -> None:
    dataset = twolayer.run(EXPERIMENT, "numpy", weights=True)
    assert dataset["hidden"].dims == ("balanced", "neurons", "seed", "time", "neuron", "feature")
    assert dataset["output"].sizes == {"balanced": 2, "neurons": 2, "seed": 2, "time": 4, "neuron": 4}
    assert np.isnan(dataset["hidden"].sel(neurons=2).values[..., 2:, :]).all()
    assert "hidden" not in twolayer.run(EXPERIMENT, "numpy")


@pytest.mark.parametrize("scale", [0.5, 1e3])
@pytest.mark.parametrize(
    "problem", [EXPERIMENT["problem"], {"name": "gaussian_teacher", "dimension": 9, "teachers": 2}]
)
def test_metrics_do_not_depend_on_whether_weights_are_kept(problem: Any, scale: float) -> None:
    """Weights in few coordinates and in all, of descents that diverge and that do not."""
    one = EXPERIMENT | {"problem": problem, "network": {"neurons": 3, "activation": "abs"}, "sweep": None}
    one["initialization"] = {"name": "gaussian", "scale": scale}
    with_weights = twolayer.run(one, "numpy", weights=True)
    without = twolayer.run(one, "numpy")
    xr.testing.assert_identical(with_weights.drop_vars(["hidden", "output"]), without)
    diverges = scale > 1
    assert ((without["diverged_step"] >= 0) == diverges).all()
    assert (np.isnan(with_weights["hidden"][:, -1]) == diverges).all()


def test_mistakes_are_reported_with_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^experiment\.network\.nuerons: .* Did you mean 'neurons'"):
        twolayer.run({**EXPERIMENT, "network": {"nuerons": 3}})
    with pytest.raises(ConfigError, match=r"backend: there is no backend 'torch'"):
        twolayer.run(EXPERIMENT, "torch")
    swept = {**EXPERIMENT, "sweep": {"network.output": ["fixed", "trained"]}}
    assert twolayer.run(swept, "numpy")["output"].values.tolist() == ["fixed", "trained"]
    with pytest.raises(ConfigError, match=r"^experiment\.sweep: 'output' is a variable with weights=True"):
        twolayer.run(swept, "numpy", weights=True)


def test_a_descent_that_diverges_keeps_what_was_computed() -> None:
    wild = {**EXPERIMENT, "dynamics": {"name": "gradient_descent", "step_size": 100.0}, "sweep": None}
    wild["network"] = {"neurons": 3, "activation": "abs"}
    dataset = twolayer.run(wild, "numpy")
    step = dataset["diverged_step"].values
    assert (step >= 1).all()
    assert np.isfinite(dataset["loss"].sel(time=0.0)).all()
    assert np.isnan(dataset["loss"][:, -1]).all()
    for seed, found in zip(dataset["seed"].values, step, strict=True):
        assert f"seed {seed} diverged at step {found}: the loss was" in dataset.attrs["notes"]
    assert "plain gradient descent is stable below" in dataset.attrs["notes"]


def test_numpy_ranges_and_tuples_are_welcome() -> None:
    """Numbers and lists of any kind describe the same experiment."""
    numbers: dict[str, Any] = {
        "problem": {
            "name": np.str_("points"),
            "inputs": np.array([[1.0, 0.5], [0.2, 1.0]]),
            "targets": (np.float64(1.0), -1.0),
        },
        "network": {"neurons": np.int64(3)},
        "initialization": {"name": "gaussian", "scale": np.array(0.5)},
        "dynamics": {"name": "gradient_descent", "step_size": xr.DataArray(0.1)},
        "times": {"steps": np.array([1, 2, 30])},
        "seeds": (np.int32(3), 1),
        "sweep": {"initialization.balanced": np.array([True, False]), "network.neurons": range(2, 5, 2)},
    }
    xr.testing.assert_identical(twolayer.run(numbers, "numpy"), twolayer.run(EXPERIMENT, "numpy"))


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), "float32"])
def test_a_type_of_numpy_is_its_name(dtype: Any) -> None:
    run = json.loads(twolayer.run({**EXPERIMENT, "dtype": dtype}, "numpy")["run"].values.flat[0])
    assert run["dtype"] == "float32"


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ((seed for seed in range(2)), "has a generator, which can be read but once; make a list of it"),
        (np.ma.masked_array([0, 1], [False, True]), "has an array with masked entries"),
    ],
)
def test_what_numbers_cannot_be_read_from_is_refused(seeds: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        twolayer.run({**EXPERIMENT, "seeds": seeds}, "numpy")


def test_the_runs_of_a_dataset_are_taken_as_they_stand() -> None:
    """Each point of `run`, as text, as a labelled array or as a mapping, gives that point of the dataset again."""
    dataset = twolayer.run(EXPERIMENT, "numpy")
    for point in ({"balanced": 1, "neurons": 4}, {"balanced": 0, "neurons": 2}):
        chosen = dataset.sel(point)
        for run in (chosen["run"], chosen["run"].item(), json.loads(chosen["run"].item())):
            again = twolayer.run(run, "numpy")
            np.testing.assert_array_equal(again["loss"].values, chosen["loss"].values)
    sections = json.loads(again["run"].item())
    assert sections["paper"] == "notebook"
    assert sections["seeds"] == EXPERIMENT["seeds"]


@pytest.mark.parametrize("given", ["loss", "[1]", 3, None, [EXPERIMENT], np.array(["a", "b"])])
def test_what_is_no_experiment_is_refused(given: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^experiment: .*; must be a mapping with problem, network, …, as in"
    ):
        twolayer.run(given, "numpy")


DYNAMICS = '''\
from dataclasses import dataclass

from twolayer import Descent, dynamics

from ._shared import factor


@dynamics("mine")
@dataclass(frozen=True)
class Mine(Descent):
    """Descent with a factor on its step."""

    def steps(self, problem, weights, random):
        while True:
            weights = weights - {factor} * factor() * self.step_size * problem.gradient(weights)
            yield weights
'''


def test_plugins_are_as_their_files_are_now(tmp_path: Path) -> None:
    """A file that changed is imported anew, and so is one whose neighbour changed or that was mended; what was made of
    the old ones goes on as it was. Edits of one size within a second are seen too."""
    folder = tmp_path / "plugins" / "dynamics"
    folder.mkdir(parents=True)
    experiment = {
        **EXPERIMENT,
        "dynamics": {"name": "mine", "step_size": 0.1},
        "sweep": {"network.neurons": [3]},
        "metrics": ["loss"],
    }

    def losses(shared: float, private: float) -> Any:
        (folder / "_shared.py").write_text(f"def factor():\n    return {shared}\n")
        (folder / "mine.py").write_text(DYNAMICS.replace("{factor}", str(private)))
        dataset = twolayer.run(experiment, "numpy", plugin_paths=[str(tmp_path / "plugins")])
        return dataset["loss"].values

    def plain(factor: float) -> Any:
        section = {"name": "gradient_descent", "step_size": 0.1 * factor}
        return twolayer.run({**experiment, "dynamics": section}, "numpy")["loss"].values

    np.testing.assert_allclose(losses(1.0, 1.0), plain(1.0), rtol=1e-12)
    old = load([tmp_path / "plugins"]).find("dynamics", "mine").plugin
    assert load([tmp_path / "plugins"]).find("dynamics", "mine").plugin is old  # nothing changed
    np.testing.assert_allclose(losses(1.0, 0.5), plain(0.5), rtol=1e-12)
    np.testing.assert_allclose(losses(2.0, 0.5), plain(1.0), rtol=1e-12)
    np.testing.assert_allclose(losses(0.5, 0.5), plain(0.25), rtol=1e-12)
    assert load([tmp_path / "plugins"]).find("dynamics", "mine").plugin is not old
    assert old.steps.__globals__["factor"]() == 1.0
    (folder / "mine.py").write_text("def broken(:\n")
    with pytest.raises(ConfigError, match=r"may have had it: .*SyntaxError"):
        twolayer.run(experiment, "numpy", plugin_paths=[str(tmp_path / "plugins")])
    np.testing.assert_allclose(losses(1.0, 1.0), plain(1.0), rtol=1e-12)
    (folder / "mine.py").unlink()
    with pytest.raises(ConfigError, match="there is no dynamics 'mine'"):
        twolayer.run(experiment, "numpy", plugin_paths=[str(tmp_path / "plugins")])


def test_one_folder_of_plugins_may_stand_alone(tmp_path: Path) -> None:
    """As a text or a path, and not letter by letter."""
    for folder in (str(tmp_path / "none"), tmp_path / "none"):
        with pytest.raises(ConfigError, match=rf"plugin_paths: there is no folder '{tmp_path / 'none'}'"):
            twolayer.run({}, plugin_paths=folder)
