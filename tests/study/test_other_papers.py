"""Figures that are drawn from experiments of other papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from twolayer.cli import main
from twolayer.errors import ConfigError
from twolayer.reports.figure import figure_report
from twolayer.storage.layout import dataset_file, experiment_of
from twolayer.study.study import Study, load_study

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 10]},
    "metrics": ["loss"],
}

FIGURES = """\
from twolayer import Paper

paper = Paper("first", "Nobody, never", setting={"network.neurons": 2})

@paper.figure("theorem", "Two losses.", on={"rate": "loss", "second.rate": "loss"})
def both(canvas, first, other):
    axes = canvas.subplots()
    for run in (first, other):
        axes.plot(run.time, run.loss[0], label=run.experiment)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a paper whose figure shows another paper's experiment of the same name."""
    paper = tmp_path / "mine" / "papers" / "first"
    paper.mkdir(parents=True)
    (paper / "experiments.yaml").write_text(yaml.safe_dump({"experiments": {"rate": EXPERIMENT}}))
    (paper / "figures.py").write_text(FIGURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(**papers: Any) -> Study:
    """The study of a config with the first paper and others."""
    return load_study([], {"plugin_paths": ["mine"], "papers": {"first": {}, **papers}})


def test_the_dataset_of_another_paper_is_named_with_it() -> None:
    first, other = dataset_file("first", "rate"), dataset_file("first", "second.rate")
    assert (str(first), str(other)) == ("results/first/rate/dataset.nc", "results/second/rate/dataset.nc")
    assert [experiment_of(file, "first") for file in (first, other)] == ["rate", "second.rate"]
    assert experiment_of(Path("elsewhere/rate/dataset.nc"), "first") == "rate"


def test_the_figure_is_drawn_where_the_config_has_both_papers(folder: Path) -> None:
    alone = study()
    assert alone.papers["first"].figures == {}
    assert not [warning for warning in alone.warnings if "is not drawn" in warning]
    wide = EXPERIMENT | {"network": {"neurons": 3}}  # not the first paper's setting, nor an experiment of it
    both = study(second={"experiments": {"rate": wide}})
    assert both.figure("first", "both").experiments == ("rate", "second.rate")
    assert "data: results/second/rate/dataset.nc" in figure_report(both, "first.both")


def test_it_is_rendered_from_both_and_says_what_is_changed_in_either(folder: Path) -> None:
    second = {"second": {"experiments": {"rate": EXPERIMENT}}, "third": {"base": "second"}}
    second["third"]["experiments"] = {"rate": {"seeds": 2}}
    figures = {"both": {"experiments": ["rate", "third.rate"]}}
    found = load_study([], {"plugin_paths": ["mine"], "papers": {"first": {"figures": figures}, **second}})
    options = found.figure_options(found.figure("first", "both"))
    assert "third.rate" in options
    assert "seeds: 2" in options
    for paper in ("first", "third"):
        make(found, paper)
    datasets = [str(dataset_file("first", name)) for name in ("rate", "third.rate")]
    output = "results/first/figures/both.json"
    given = ["render", "first.both", "--plugin-path", "mine", "--datasets", *datasets, "--output", output]
    assert main(given) == 0
    text = Path(output).read_text()
    assert '"third.rate"' in text
    assert '"rate"' in text


def make(found: Study, paper: str) -> None:
    """The dataset of an experiment `rate`."""
    run = found.run(paper, "rate", "default")
    folder = f"results/{paper}/rate"
    problem, trajectory, metrics = (
        f"{folder}/default/{name}.nc" for name in ("problem", "trajectory", "metrics")
    )
    assert main(["generate", "--run", run.json(), "--output", problem]) == 0
    assert main(["train", "--problem", problem, "--backend", "numpy", "--output", trajectory]) == 0
    measured = ["--problem", problem, "--trajectory", trajectory, "--metrics", "loss", "--output", metrics]
    assert main(["measure", *measured]) == 0
    assert main(["gather", folder, "--runs", "default", "--output", f"{folder}/dataset.nc"]) == 0


def test_a_config_names_another_papers_experiment_and_an_unknown_one_is_an_error(folder: Path) -> None:
    for wrong, near in (("second.rte", "second.rate"), ("rte", "rate")):
        figures = {"both": {"experiments": ["rate", wrong]}}
        with pytest.raises(ConfigError, match=rf"there is no experiment '{wrong}'. Did you mean '{near}'\?"):
            load_study(
                [],
                {
                    "plugin_paths": ["mine"],
                    "papers": {
                        "first": {"figures": figures},
                        "second": {"experiments": {"rate": EXPERIMENT}},
                    },
                },
            )
