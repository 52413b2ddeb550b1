"""What a config may change: figures and claims follow it, or an error before training says what cannot be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.figure import Figure
from project import PROJECT

from twolayer import run
from twolayer.analysis.claims import evaluate
from twolayer.errors import ConfigError
from twolayer.study.merge import merge_experiment, read_config
from twolayer.study.planned import PlannedPaper, make_paper
from twolayer.study.registry import Registry, load
from twolayer.study.runs import Experiment, make_experiment
from twolayer.study.study import load_study
from twolayer.study.variant import Composed

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
    return made("mine", Composed(experiments, figures or {}, ("mine",), {}), registry)


def made(
    paper: str, composed: Composed, registry: Registry, known: dict[str, Experiment] | None = None
) -> PlannedPaper:
    """A paper of these experiments. known: those of `composed` that are planned already, by their names."""
    known = known or {}
    checked = {
        f"{paper}.{name}": known.get(name) or make_experiment(paper, name, section, registry)
        for name, section in composed.experiments.items()
    }
    return make_paper(paper, composed, checked, {}, registry, [])


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


@pytest.mark.parametrize(
    ("activation", "spelled"),
    [("abs", "abs"), ({"name": "leaky_relu", "slope": 0.2}, "leaky_relu (slope 0.2)")],
)
def test_all_figures_that_a_config_leaves_without_a_setting_are_named_at_once(
    registry: Registry, activation: Any, spelled: str
) -> None:
    changed = {"one": {"network": {"neurons": 2, "activation": activation}}}
    message = refusal(registry, **changed)
    for name in ("every", "losses"):
        assert (
            f"figures.{name}: is about runs with network.activation: relu; 'one' has {spelled}\n" in message
        )
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
        assert "or has to be false, which leaves the figure out" in refusal(registry, {"losses": wrong})
    assert "there is no figure 'lost'" in refusal(registry, {"lost": False})


def test_metrics_that_a_config_takes_from_a_paper_are_a_warning() -> None:
    experiments = {"groups": {"metrics": ["loss"]}}
    warnings = load_study(
        [PROJECT / "config.yaml"], {"papers": {"zhu2025": {"experiments": experiments}}}
    ).warnings
    assert warnings == [
        "papers.zhu2025.experiments.groups.metrics: leaves out closest_teacher, which the paper's list has; "
        "claims that need them are inconclusive"
    ]


PAPERS = {
    file.parent.name: read_config(file)["experiments"]
    for file in sorted((PROJECT / "plugins" / "papers").glob("*/experiments.yaml"))
}


def overrides_of(section: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Overrides of every kind of setting that an experiment has."""
    for metric in section["metrics"]:
        yield {"metrics": [other for other in section["metrics"] if other != metric]}
    sweep = section.get("sweep") or {}
    if isinstance(sweep, list):
        yield from ({"sweep": part} for part in (sweep[:1], sweep[1:], sweep[::-1]) if part)
    for path, values in sweep.items() if isinstance(sweep, dict) else ():
        kept = dict(list(values.items())[:1]) if isinstance(values, dict) else values[:1]
        yield {"sweep": {**sweep, path: kept}}
        yield {"sweep": {word: others for word, others in sweep.items() if word != path}}
    yield {"sweep": {}}
    yield {"network": {"activation": "abs"}}
    yield {"network": {"activation": "relu"}}
    yield from ({"network": {"output": output}} for output in ("fixed", "trained", "tied"))
    yield {"problem": {"samples": 7}}
    yield {"problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 2}}
    yield {"initialization": {"name": "gaussian", "scale": 0.1}}
    yield {"dynamics": {"name": "regularized_gradient_descent", "step_size": 0.01, "weight_decay": 0.1}}
    yield from (
        {"times": times}
        for times in ({"values": [1.0]}, {"start": 0.5, "stop": 2.0, "count": 3, "spacing": "log"})
    )
    yield from ({"seeds": seeds} for seeds in (1, [3, 7]))
    yield {"dtype": "float32"}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_override_of_a_paper_is_planned_or_refused_with_what_is_wrong(
    paper: str, registry: Registry
) -> None:
    refused = 0
    usual = {name: make_experiment(paper, name, section, registry) for name, section in PAPERS[paper].items()}
    for name, section in PAPERS[paper].items():
        others = {other: experiment for other, experiment in usual.items() if other != name}
        for override in overrides_of(section):
            experiments = {**PAPERS[paper], name: merge_experiment(section, override)}
            message = ""
            try:
                assert made(paper, Composed(experiments, {}, (paper,), {}), registry, others).figures
            except ConfigError as error:
                message = str(error)
            refused += bool(message)
            assert not message or message.startswith(f"papers.{paper}."), override
    assert refused


def test_figures_and_claims_of_a_paper_follow_what_was_run(registry: Registry) -> None:
    override = {
        "problem": {"norms": 2.0},
        "sweep": {"network.neurons": [3, 1], "problem.dimension": [4]},
        "times": {"start": 0.5, "stop": 20.0, "count": 12, "spacing": "log"},
        "seeds": [3, 7],
    }
    experiment = merge_experiment(PAPERS["xu2023"]["figure1"], override)
    data = {"figure1": run(experiment, "numpy")}
    for name in ("figure1", "rate"):
        drawing = registry.find("figures", f"xu2023.{name}").plugin
        assert "2 seeds" in drawing.face(f"xu2023.{name}", data).text()
        canvas = Figure(figsize=drawing.size)
        drawing.draw(canvas, data)
        labels = {text for axes in canvas.axes for text in axes.get_legend_handles_labels()[1]}
        assert "$n$ = 3" in labels
        assert "$n$ = 5" not in labels
        drawing.draw(Figure(figsize=drawing.size), {"figure1": data["figure1"].isel(seed=[0])})
    claims = {
        name: registry.find("claims", name).plugin
        for name in registry.names("claims")
        if name.startswith("xu2023.") and registry.find("claims", name).plugin.experiments == ("figure1",)
    }
    rows = evaluate(claims, data)
    assert {row["verdict"] for row in rows} >= {"holds"}
    assert not [row for row in rows if "could not be evaluated" in row["detail"]]
