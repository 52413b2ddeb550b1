"""Plugins: how they are found, what is refused and with which message, and that a short one runs everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from plugin_files import VELOCITY, place
from project import install

import twolayer
from twolayer.cli import main
from twolayer.errors import ConfigError, PluginError
from twolayer.study.fingerprint import closure
from twolayer.study.hooks import KINDS
from twolayer.study.registry import load, plugin_folder
from twolayer.study.study import load_study

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.5], [0.2, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "velocity", "step_size": 0.1},
    "times": {"steps": [1, 2, 30]},
    "seeds": 2,
}


def metric(name: str, prologue: str = "", hook: str = "register_metrics") -> str:
    """A metric plugin."""
    return (
        f"{prologue}\nfrom twolayer import Metric, hookimpl\n\n"
        f"@hookimpl\ndef {hook}(register):\n"
        f"    register({name!r}, Metric(lambda problem, path: path.weights.output, ('seed', 'time', 'neuron'), 'a'))\n"
    )


def test_every_built_in_enters_by_the_door_of_all() -> None:
    registry = load()
    assert registry.failures == {}
    assert registry.duplicates == {}
    for kind in KINDS:
        for name in registry.names(kind):
            found = registry.find(kind, name)
            assert found.file is not None
            assert found.file.is_relative_to(plugin_folder())
    expected = {
        "backends": {"numpy", "numba", "cupy"},
        "problems": {"points", "file", "orthogonal"},
        "initializations": {"gaussian", "file"},
        "dynamics": {"gradient_descent", "regularized_gradient_descent", "gradient_flow"},
        "metrics": {"loss", "gradient_norm", "objective", "imbalance", "path_norm"},
    }
    for kind, names in expected.items():
        assert names <= set(registry.names(kind))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_short_dynamics_runs_on_every_backend(tmp_path: Path, backend: str) -> None:
    assert len([line for line in VELOCITY.splitlines() if line]) <= 16
    folder = str(place(tmp_path / "further", dynamics__velocity=VELOCITY))
    dataset = twolayer.run(EXPERIMENT, backend, weights=True, plugin_paths=[folder])
    # the rule, written out
    start = twolayer.run(EXPERIMENT, "numpy", weights=True, plugin_paths=[folder]).isel(time=0)
    hidden, output = start["hidden"].values.copy(), start["output"].values.copy()
    inputs, targets = np.array([[1.0, 0.5], [0.2, 1.0]]), np.array([1.0, -1.0])
    speed_hidden, speed_output = 0 * hidden, 0 * output
    saved = []
    for step in range(1, 31):
        preactivation = np.einsum("sjd,kd->sjk", hidden, inputs)
        residual = np.einsum("sj,sjk->sk", output, np.maximum(preactivation, 0)) - targets
        active = preactivation > 0
        slope_hidden = np.einsum("sj,sjk,sk,kd->sjd", output, active, residual, inputs) / 2
        slope_output = np.einsum("sjk,sk->sj", np.maximum(preactivation, 0), residual) / 2
        speed_hidden = 0.9 * speed_hidden - 0.1 * slope_hidden
        speed_output = 0.9 * speed_output - 0.1 * slope_output
        hidden, output = hidden + speed_hidden, output + speed_output
        if step in (1, 2, 30):
            saved.append(hidden)
    np.testing.assert_allclose(dataset["hidden"].values[:, 1:], np.stack(saved, axis=1), rtol=1e-10)
    assert dataset["step"].values.tolist() == [0, 1, 2, 30]


def test_found_in_a_named_folder_and_reported_with_its_place(tmp_path: Path) -> None:
    place(tmp_path / "further", dynamics__velocity=VELOCITY, metrics__a=metric("a"))
    (tmp_path / "config.yaml").write_text("plugin_paths: [further]")
    study = load_study([tmp_path / "config.yaml"])
    found = study.registry.find("dynamics", "velocity")
    assert found.file == tmp_path / "further" / "dynamics" / "velocity.py"
    with pytest.raises(ConfigError, match=r"there is no dynamics 'velocitu'\. Did you mean 'velocity'"):
        study.registry.find("dynamics", "velocitu")


def test_a_plugin_finds_its_neighbours_and_counts_them_as_its_code(tmp_path: Path) -> None:
    text = metric("shared", "from . import _shared\nfrom ._shared import DIMENSIONS")
    folder = place(tmp_path / "further", metrics__shared=text, metrics___shared="DIMENSIONS = ('seed',)\n")
    registry = load([folder])
    assert registry.failures == {}
    found = registry.find("metrics", "shared")
    assert found.file is not None
    assert folder / "metrics" / "_shared.py" in closure([found.file])


def test_two_of_one_name_are_reported_with_both_places(tmp_path: Path) -> None:
    folder = place(tmp_path / "further", metrics__mine=metric("loss"), metrics__other=metric("fine"))
    registry = load([folder])
    with pytest.raises(ConfigError) as caught:
        registry.find("metrics", "loss", "here")
    message = str(caught.value)
    assert message.startswith("here: 'loss' is registered twice in metrics")
    assert str(plugin_folder() / "metrics" / "loss.py") in message
    assert str(folder / "metrics" / "mine.py") in message
    assert "Rename one of them" in message
    assert registry.find("metrics", "fine").name == "fine"


BROKEN = {
    "a misspelt hook": (
        metric("x", hook="register_metric"),
        r"there is no hook 'register_metric'\. Did you mean 'register_metrics'",
    ),
    "no hook at all": ("X = 1\n", r"registers nothing; mark what it has, as in @dynamics"),
    "another kind than its folder's": (
        VELOCITY,
        r"a file in metrics/ registers metrics, not register_dynamics; give each kind a file in the folder",
    ),
    "a syntax error": (metric("x") + "def broken(:\n", r"SyntaxError: .*line 7"),
    "a missing package": ("import nothing_of_that_name\n", r"ModuleNotFoundError: .*_that_name.*line 1"),
    "an error of the file": ("\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 2\)"),
    "a wrong argument": (metric("x").replace("(register)", "(registre)"), r"registre"),
    "a name that is no text": (
        metric("x").replace("register('x'", "register(3"),
        r"a name is a non-empty text, not 3",
    ),
    "a name twice": (
        metric("x") + "    register('x', Metric(len, (), 'b'))\n",
        r"'x' is registered twice in this plugin",
    ),
    "a metric whose name is no identifier": (
        metric("x").replace("register('x'", "register('x-y'"),
        r"'x-y': its name must be a Python identifier, as a variable of the dataset; is 'x-y'",
    ),
    "a metric called time": (
        metric("x").replace("register('x'", "register('time'"),
        r"'time' is the name of a dimension or a variable of every dataset",
    ),
    "a metric called step": (
        metric("x").replace("register('x'", "register('step'"),
        r"'step' is the name of a dimension or a variable of every dataset",
    ),
    "a metric called as the dimension of another": (
        metric("x").replace("register('x'", "register('direction'"),
        r"'direction' is a dimension of the metric '[a-z_]+'; rename one",
    ),
    "a dimension called as a metric": (
        metric("x").replace("'neuron')", "'loss')"),
        r"the dimension 'loss' of 'x' is a metric; rename one",
    ),
    "a dimension that is a variable": (
        metric("x").replace("'neuron')", "'step')"),
        r"'x': 'step' is a variable of every dataset, not a dimension",
    ),
    "a dimension twice": (
        metric("x").replace("'neuron')", "'time')"),
        r"'x' has a dimension twice: seed, time, time",
    ),
    "an object that is no metric": (
        metric("x").partition("register('x'")[0] + "register('x', 5)\n",
        r"'x' \(5\) must be a Metric",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_an_error_for_who_asks_and_a_warning_for_others(tmp_path: Path, what: str) -> None:
    text, message = BROKEN[what]
    folder = place(tmp_path / "further", metrics__broken=text, metrics__fine=metric("fine"))
    registry = load([folder])
    assert registry.find("metrics", "fine").name == "fine"
    assert registry.find("metrics", "loss").name == "loss"
    file = str(folder / "metrics" / "broken.py")
    (warning,) = registry.warnings()
    assert warning.startswith(f"plugin {file} is left out: ")
    with pytest.raises(ConfigError, match=message) as caught:
        registry.find("metrics", "x")
    assert f"A plugin that failed to load may have had it: {file}" in str(caught.value)


MARKED = """\
from twolayer import Problem, Weights, metric

def wide(problem, trajectory):
    return problem.network.neurons > 2

@metric("length", ("seed", "time"), "length |W|", units="m", applies=wide, by_default=False, per_frame=True)
def length(problem, weights):
    return (weights.hidden**2).sum((-2, -1)) ** 0.5

@metric("whole_length", ("seed", "time"), "length |W|")
def whole(problem, trajectory):
    return (trajectory.weights.hidden**2).sum((-2, -1)) ** 0.5
"""


def test_a_metric_is_marked_at_its_function(tmp_path: Path) -> None:
    """The mark registers what a hook would, and leaves the function as it is."""
    folder = place(tmp_path / "further", metrics__mine=MARKED, dynamics__velocity=VELOCITY)
    found = load([folder]).find("metrics", "length").plugin
    assert (found.dimensions, found.long_name, found.units) == (("seed", "time"), "length |W|", "m")
    assert not found.by_default
    chosen = {**EXPERIMENT, "metrics": ["length", "whole_length", "hidden"]}
    dataset = twolayer.run(chosen, "numpy", plugin_paths=[str(folder)])
    expected = np.sqrt((dataset["hidden"].values ** 2).sum((-2, -1)))
    np.testing.assert_array_equal(dataset["length"].values, expected)
    np.testing.assert_array_equal(dataset["whole_length"].values, expected)
    assert "whole_length" in twolayer.run(EXPERIMENT, "numpy", plugin_paths=[str(folder)])


def test_hooks_and_marks_stand_in_one_module(tmp_path: Path) -> None:
    folder = place(tmp_path / "further", metrics__both=MARKED + metric("by_hook"))
    registry = load([folder])
    assert registry.failures == {}
    assert {registry.find("metrics", name).name for name in ("length", "whole_length", "by_hook")}


FAILING = """\
from twolayer import metric

@metric("failing", ("seed",), "nothing", by_default=DEFAULT)
def failing(problem, trajectory):
    return [1.0 / 0.0]
"""


def test_a_default_metric_that_fails_is_left_out_and_named(tmp_path: Path) -> None:
    text = FAILING.replace("DEFAULT", "True")
    folder = place(tmp_path / "further", metrics__failing=text, dynamics__velocity=VELOCITY)
    dataset = twolayer.run(EXPERIMENT, "numpy", plugin_paths=[str(folder)])
    expected = twolayer.run(
        EXPERIMENT, "numpy", plugin_paths=[str(place(tmp_path / "b", dynamics__velocity=VELOCITY))]
    )
    assert set(dataset.data_vars) == set(expected.data_vars)
    np.testing.assert_array_equal(dataset["loss"], expected["loss"])
    file = folder / "metrics" / "failing.py"
    (note,) = [line for line in dataset.notes.splitlines() if "failing" in line]
    assert note == (
        f"metric 'failing' ({file}) failed: ZeroDivisionError: float division by zero ({file}, line 5); it is left out"
    )
    # one that was asked for is an error that says the same
    with pytest.raises(PluginError, match=r"metric 'failing' \(.*failing\.py\) failed: ZeroDivisionError"):
        twolayer.run({**EXPERIMENT, "metrics": ["failing"]}, "numpy", plugin_paths=[str(folder)])


def test_a_metric_that_cannot_apply_is_refused_before_training(tmp_path: Path) -> None:
    folder = str(place(tmp_path / "further", dynamics__velocity=VELOCITY, metrics__mine=MARKED))
    asked = ["teacher_angle", "path_norm", "held_out_loss"]
    with pytest.raises(
        ConfigError,
        match=r"(?s)^experiment\.metrics: 'teacher_angle' does not apply to any run .*whether there are.*"
        r"'held_out_loss' does not.*Those of the list that do: \[path_norm\]$",
    ):
        twolayer.run({**EXPERIMENT, "metrics": asked}, "numpy", plugin_paths=[folder])
    # in a sweep, one run to which it applies is enough, and the others are padded
    swept = {**EXPERIMENT, "metrics": ["length"], "sweep": {"network.neurons": [2, 3]}}
    dataset = twolayer.run(swept, "numpy", plugin_paths=[folder])
    assert np.isnan(dataset["length"].sel(neurons=2)).all()
    assert np.isfinite(dataset["length"].sel(neurons=3)).all()
    assert "metric 'length'" in dataset.notes
    with pytest.raises(ConfigError, match="'length' does not apply to any run"):
        twolayer.run({**swept, "sweep": {"network.neurons": [1, 2]}}, "numpy", plugin_paths=[folder])


def test_a_metric_that_turns_out_not_to_apply_is_an_error_of_measuring(tmp_path: Path) -> None:
    """What depends on the trained weights cannot be known before."""
    text = MARKED.replace("problem.network.neurons > 2", "bool(trajectory.weights.hidden.any()) is False")
    folder = str(place(tmp_path / "further", dynamics__velocity=VELOCITY, metrics__mine=text))
    with pytest.raises(PluginError, match=r"metric 'length' \(.*mine\.py\) does not apply to this run"):
        twolayer.run({**EXPERIMENT, "metrics": ["length"]}, "numpy", plugin_paths=[folder])


@pytest.mark.parametrize("kind", ["problems", "initializations", "dynamics"])
def test_what_a_config_section_becomes_must_be_a_dataclass(tmp_path: Path, kind: str) -> None:
    base = {"problems": "ProblemSpec", "initializations": "InitializationSpec", "dynamics": "Dynamics"}[kind]
    text = (
        f"from twolayer import {base}, hookimpl\nclass Plain({base}):\n    generate = None\n"
        f"@hookimpl\ndef register_{kind}(register):\n    register('plain', Plain)\n"
    )
    registry = load([place(tmp_path / "further", **{f"{kind}__plain": text})])
    (reason,) = registry.failures.values()
    assert reason == f"register_{kind}: 'plain' must be a dataclass (its fields are its config section)"


PAPER = """\
from twolayer import drawing, hookimpl

@drawing("theorem", "Nothing.")
def empty(canvas, data):
    pass

@hookimpl
def register_figures(register):
    register("mine.empty", empty)
"""


def test_a_paper_in_a_named_folder(tmp_path: Path) -> None:
    folder = place(tmp_path / "further", papers__mine__figures=PAPER, dynamics__velocity=VELOCITY)
    experiments = {"experiments": {"e": EXPERIMENT}, "figures": {"empty": {"experiments": ["e"]}}}
    (folder / "papers" / "mine" / "experiments.yaml").write_text(yaml.safe_dump(experiments))
    (tmp_path / "config.yaml").write_text("plugin_paths: [further]\npapers: {mine: {}}")
    paper = load_study([tmp_path / "config.yaml"]).papers["mine"]
    assert paper.figures["empty"].suffixes == ("pdf", "png", "json")
    # claims that cannot be loaded must not vanish from the paper that has them
    place(folder, papers__mine__claims="import nothing_of_that_name\n")
    with pytest.raises(
        ConfigError, match=r"papers\.mine: its claims cannot be loaded: .*claims\.py: ModuleNotFound"
    ):
        load_study([tmp_path / "config.yaml"])


def test_the_list_of_plugins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place(tmp_path / "further", dynamics__velocity=VELOCITY, metrics__broken="1 / 0\n")
    assert main(["plugins", "--plugin-path", str(folder)]) == 0
    printed, warned = capsys.readouterr()
    lines = printed.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(KINDS)
    at = next(index for index, line in enumerate(lines) if line.startswith("  velocity  "))
    assert lines[at + 1 : at + 4] == [
        "      step_size: float   (required)",
        "      beta: float = 0.9",
        f"      ({folder / 'dynamics' / 'velocity.py'})",
    ]
    assert f"      ({plugin_folder() / 'metrics' / 'loss.py'})" in lines
    assert f"warning: plugin {folder / 'metrics' / 'broken.py'} is left out: ZeroDivisionError" in warned


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "twolayer-velocity"
version = "1.0"
[project.entry-points.twolayer]
velocity = "twolayer_velocity"
damaged = "twolayer_velocity.damaged"
"""


def test_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "package" / "twolayer_velocity"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(VELOCITY)
    (package / "damaged.py").write_text("import nothing_of_that_name\n")
    site = tmp_path / "site"
    install(package.parent, site)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def listed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )

    printed = listed("-m", "twolayer.cli", "plugins")
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("  velocity  "))
    assert lines[at + 1] == "      step_size: float   (required)"
    assert "      (entry point velocity = twolayer_velocity)" in lines[at : at + 5]
    assert (
        "plugin entry point damaged = twolayer_velocity.damaged is left out: ModuleNotFoundError"
        in printed.stderr
    )
    ran = listed("-c", f"import twolayer; print(float(twolayer.run({EXPERIMENT!r}, 'numpy')['loss'][0, -1]))")
    assert ran.returncode == 0, ran.stderr
    folder = str(place(tmp_path / "further", dynamics__velocity=VELOCITY))
    expected = twolayer.run(EXPERIMENT, "numpy", plugin_paths=[folder])["loss"].values[0, -1]
    assert float(ran.stdout) == pytest.approx(expected, rel=1e-12)
    # the file that an entry point came from counts as its code
    code = "from twolayer.study.registry import load; print(load().find('dynamics', 'velocity').file)"
    assert listed("-c", code).stdout.strip() == str(site / "twolayer_velocity" / "__init__.py")
