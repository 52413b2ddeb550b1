"""Names and labels become folders, variables and parts of commands: those that cannot are refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import twolayer
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.study.study import load_study

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.5], [0.2, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 2]},
}
COMMANDS = [
    "a b",
    "$(touch x)",
    "`touch x`",
    "a;touch x",
    "a'b",
    'a"b',
    "a\nb",
    "é",
    "a/b",
    "a\\b",
    "a&b",
    "{a}",
    "",
]
"""What a shell, a path or a wildcard would take for something else."""


@pytest.mark.parametrize("label", COMMANDS)
def test_labels_and_words_of_a_sweep(label: str) -> None:
    """In a product, in a zip, and a word that stands for itself."""
    for sweep in (
        {"network": {label: {"neurons": 2}}},
        [{"network": {label: {"neurons": 2}}}],
        {"network.activation": [label]},
    ):
        with pytest.raises(
            ConfigError, match=r"^experiment\.sweep.*(must be of letters|cannot be part of a file name)"
        ):
            twolayer.run({**EXPERIMENT, "sweep": sweep}, "numpy")


def test_paths_that_are_swept_get_a_label() -> None:
    """A path has a '/', or a space: it stands in a run's name by its label."""
    with pytest.raises(ConfigError, match="cannot be part of a file name; give it a label"):
        twolayer.run({**EXPERIMENT, "sweep": {"initialization.path": ["my data/start.nc"]}}, "numpy")


@pytest.mark.parametrize("word", ["a b", "$(touch x)", "a'b", "é"])
def test_the_last_word_of_a_swept_path(word: str) -> None:
    """It names runs and a dimension."""
    with pytest.raises(ConfigError, match=r"cannot name runs and a dimension"):
        twolayer.run({**EXPERIMENT, "sweep": {f"dynamics.{word}": [1, 2]}}, "numpy")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "é"])
@pytest.mark.parametrize("what", ["paper", "experiment", "figure"])
def test_papers_experiments_and_figures(tmp_path: Path, what: str, name: str) -> None:
    """They are identifiers."""
    papers: dict[str, Any] = {
        "paper": {name: {"experiments": {"e": EXPERIMENT}}},
        "experiment": {"mine": {"experiments": {name: EXPERIMENT}}},
        "figure": {"mine": {"experiments": {"e": EXPERIMENT}, "figures": {name: {"experiments": ["e"]}}}},
    }[what]
    (tmp_path / "config.yaml").write_text("backend: numpy\n")
    with pytest.raises(ConfigError, match=r"(?s)^papers\..*a name of letters, digits and '_'") as raised:
        load_study([tmp_path / "config.yaml"], {"papers": papers})
    assert repr(name) in str(raised.value)


METRIC = """\
from twolayer import metric


@metric({name!r}, ("seed", "time"), "what it is", by_default=False)
def measured(problem, trajectory):
    return trajectory.weights.output.sum(-1)
"""


@pytest.mark.parametrize("name", [*COMMANDS, "time", "seed", "step", "run", "class", "1a", "trusted_until"])
def test_metrics(tmp_path: Path, name: str) -> None:
    """A metric is a variable of the dataset; a name that cannot be one is an error for who asks for it."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "mine.py").write_text(METRIC.format(name=name))
    if name == "é":
        assert "é" in load([tmp_path]).names("metrics")  # an identifier
        return
    with pytest.raises(ConfigError, match=r"may have had it: .*mine\.py: register_metrics: "):
        make_experiment("p", "e", {**EXPERIMENT, "metrics": [name]}, load([tmp_path]))


FIGURE = """\
from twolayer import drawing, hookimpl


@drawing("theorem", "Loss over time.", size=(3, 2))
def drawn(canvas, data):
    canvas.subplots()


@hookimpl
def register_figures(register):
    register({name!r}, drawn)
"""


@pytest.mark.parametrize("name", [f"mine.{name}" for name in COMMANDS if name != "é"] + ["a b.losses"])
def test_registered_figures(tmp_path: Path, name: str) -> None:
    """They become files of results/<paper>/figures/."""
    folder = tmp_path / "papers" / "mine"
    folder.mkdir(parents=True)
    (folder / "figures.py").write_text(FIGURE.format(name=name))
    registry = load([tmp_path])
    assert name not in registry.names("figures")
    assert "must be of letters, digits and '_'" in registry.failures[str(folder / "figures.py")]


@pytest.mark.parametrize(
    "times", [{"values": [1e-3, 1e-2]}, {"start": 1e-4, "stop": 4e-2, "count": 9, "spacing": "log"}]
)
def test_times_that_all_round_to_step_0(times: dict[str, Any]) -> None:
    """They would leave the start alone."""
    with pytest.raises(
        ConfigError, match=r"^experiment\.times: all of them round to step 0, as the last, 0\.0[14]"
    ):
        twolayer.run({**EXPERIMENT, "times": times}, "numpy")
    later = twolayer.run({**EXPERIMENT, "times": {"values": [1e-3, 6e-2]}}, "numpy")
    assert later["step"].values.tolist() == [0, 1]


@pytest.mark.parametrize("times", [{"values": [0.0]}, {"steps": [0]}])
def test_the_start_alone_on_request(times: dict[str, Any]) -> None:
    assert twolayer.run({**EXPERIMENT, "times": times}, "numpy")["step"].values.tolist() == [0]
