"""What a config may change: figures and claims follow it, or an error before training says what cannot be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twolayer.errors import ConfigError
from twolayer.study.merge import merge_papers
from twolayer.study.registry import Registry, load
from twolayer.study.study import PlannedPaper, load_study, make_paper

PROJECT = Path(__file__).parents[1]

PLUGIN = '''\
"""A figure of two experiments and one of any number."""

from twolayer import Paper
from twolayer.errors import DataError

paper = Paper("mine", "Mine, 2026", setting={"network.activation": "relu", "problem.samples": None})


def in_the_plane(widths, one):
    dimension = one.config.problem.dimension
    if dimension != 2:
        raise DataError(f"shows points of the plane, not of {dimension} dimensions")


@paper.figure(
    "theorem", "Loss by width.", on={"widths": ["neurons", "loss", "imbalance"], "one": "loss"}, check=in_the_plane
)
def losses(canvas, widths, one):
    pass


@paper.figure("theorem", "All losses.", on={"one": ["loss"]})
def every(canvas, *runs):
    pass
'''

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "gaussian_teacher", "dimension": 2, "teachers": 1},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.05},
    "times": {"steps": [1, 2]},
    "metrics": ["loss", "imbalance"],
}
WIDTHS = {**EXPERIMENT, "sweep": {"network.neurons": [2, 3]}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """All plugins, and the figures of a small paper."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "figures").mkdir()
    (folder / "figures" / "mine.py").write_text(PLUGIN)
    return load([folder])


def planned(registry: Registry, figures: Any = None, **changed: dict[str, Any]) -> PlannedPaper:
    """The paper of the two experiments with some sections changed."""
    usual = {"widths": WIDTHS, "one": EXPERIMENT}
    experiments = {name: {**section, **changed.get(name, {})} for name, section in usual.items()}
    merged: dict[str, Any] = {}
    merge_papers(merged, {"mine": {"experiments": experiments, "figures": figures or {}}}, "config.yaml")
    return make_paper("mine", merged["mine"], registry, [])


def refusal(registry: Registry, figures: Any = None, **changed: dict[str, Any]) -> str:
    """The error where a figure cannot be drawn from what is asked for."""
    with pytest.raises(ConfigError) as caught:
        planned(registry, figures, **changed)
    return str(caught.value)


def test_a_figure_that_can_be_drawn_is_planned(registry: Registry) -> None:
    figures = planned(registry).figures
    assert figures["losses"].experiments == ("widths", "one")
    assert planned(registry, one={"metrics": None}).figures.keys() == {"losses", "every"}


@pytest.mark.parametrize(
    ("changed", "lack"),
    [
        (
            {"widths": {"metrics": ["loss"]}},
            "'imbalance', which the experiment 'widths' neither measures nor sweeps",
        ),
        ({"widths": {"sweep": {}}}, "'neurons', which the experiment 'widths' neither measures nor sweeps"),
        ({"widths": {"sweep": {}}}, "it measures loss, gradient_norm, imbalance and sweeps nothing"),
        (
            {"one": {"problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1}}},
            "shows points of the plane, not of 3 dimensions",
        ),
        (
            {"widths": {"sweep": {"network.neurons": [2, 3], "dynamics.step_size": [0.01, 0.02]}}},
            "shows one run for each value of neurons; the experiment 'widths' sweeps step_size too",
        ),
    ],
)
def test_what_a_figure_cannot_show_is_an_error_before_training(
    registry: Registry, changed: dict[str, Any], lack: str
) -> None:
    message = refusal(registry, **changed)
    assert message.startswith("papers.mine.figures.losses: ")
    assert lack in message
    assert message.endswith("Or leave out what cannot be drawn: figures: {losses: false}")
    assert planned(registry, {"losses": False}, **changed).figures.keys() == {"every"}


def test_all_figures_that_a_config_leaves_without_a_setting_are_named_at_once(registry: Registry) -> None:
    changed = {"one": {"network": {"neurons": 2, "activation": "abs"}}}
    message = refusal(registry, **changed)
    for name in ("every", "losses"):
        assert f"figures.{name}: is about runs with network.activation: relu; 'one' has abs" in message
    assert message.endswith("figures: {every: false, losses: false}")
    assert not planned(registry, {"losses": False, "every": False}, **changed).figures


def test_other_experiments_that_the_config_names_are_looked_at_too(registry: Registry) -> None:
    swapped = {"losses": {"experiments": ["one", "widths"]}}
    assert "'neurons', which the experiment 'one' neither measures nor sweeps" in refusal(registry, swapped)
    alone = {"losses": {"experiments": ["widths"]}}
    assert "losses: is drawn from 2 experiments (widths, one), not 1" in refusal(registry, alone)
    several = planned(registry, {"every": {"experiments": ["one", "widths"]}})
    assert several.figures["every"].experiments == ("one", "widths")


def test_a_figure_section_is_false_or_names_experiments(registry: Registry) -> None:
    for wrong in ({}, None, {"experiments": []}, {"size": 3}):
        assert "or to be false, which leaves the figure out" in refusal(registry, {"losses": wrong})
    assert "there is no figure 'mine.lost'" in refusal(registry, {"lost": False})


def test_metrics_that_a_config_takes_from_a_paper_are_a_warning() -> None:
    experiments = {"groups": {"metrics": ["loss"]}}
    warnings = load_study(
        [PROJECT / "config.yaml"], {"papers": {"zhu2025": {"experiments": experiments}}}
    ).warnings
    assert warnings == [
        "papers.zhu2025.experiments.groups.metrics: leaves out closest_teacher, which the paper's own list has; "
        "claims that need them are inconclusive"
    ]
