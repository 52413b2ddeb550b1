"""Papers that are asked for, variants of papers, and what is said where a setting is not the paper's."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from twolayer.analysis.claims import evaluate, table
from twolayer.cli import main
from twolayer.cli.variants import check
from twolayer.errors import ConfigError
from twolayer.notebook import run
from twolayer.study.registry import plugin_folder
from twolayer.study.study import Study, load_study

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1, 0], [0, 1]], "targets": [1, -1]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 20]},
    "seeds": 2,
}
FIGURES = """
from twolayer import Paper, close

paper = Paper("{name}", "Author 2026")


@paper.figure("inferred", "The loss.", on="rate")
def losses(canvas, run):
    canvas.subplots().plot(run.time, run.loss.median("seed"))
"""
CLAIMS = """
from twolayer import Paper, at_most

paper = Paper("{name}", "Author 2026")


@paper.claim("{what} falls", "Figure 1", "derived", on="rate")
def falls(run):
    return at_most(run.loss[:, -1], run.loss[:, 0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of plugins with the paper `first`."""
    write(tmp_path / "more", "first", figures=FIGURES, claims=CLAIMS)
    return tmp_path


def write(plugins: Path, name: str, experiments: Any = None, **files: str) -> None:
    """A paper's folder."""
    paper = plugins / "papers" / name
    paper.mkdir(parents=True, exist_ok=True)
    body = {"experiments": {"rate": EXPERIMENT}} if experiments is None else experiments
    (paper / "experiments.yaml").write_text(yaml.safe_dump(body))
    for kind, text in files.items():
        (paper / f"{kind}.py").write_text(text.replace("{name}", name).replace("{what}", name))


def study(folder: Path, papers: Any, **top: Any) -> Study:
    """The study of a config in that folder."""
    config = {"plugin_paths": ["more"], "papers": papers, **top}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return load_study([folder / "config.yaml"])


@pytest.mark.parametrize(
    ("section", "original", "changed", "said"),
    [
        (
            "sweep",
            [{"network.neurons": 3, "dtype": "float64"}, {"network.neurons": 4, "dtype": "float64"}],
            [{"network.neurons": 3, "dtype": "float64"}, {"network.neurons": 5, "dtype": "float64"}],
            "sweep.run 2.network.neurons: 5 (paper: 4)",
        ),
        (
            "sweep",
            [{"network.neurons": m, "initialization.scale": 0.1 * m, "dtype": "float64"} for m in (3, 4, 5)],
            [{"network.neurons": m, "initialization.scale": 0.2, "dtype": "float32"} for m in (3, 4, 6)],
            "sweep.run 3.network.neurons: 6 (paper: 5); sweep.dtype: float32 (paper: float64); "
            "sweep.initialization.scale: 0.2 (paper: [0.3, 0.4, 0.5])",
        ),
        (
            "sweep",
            [{"network.neurons": count, "dtype": "float64"} for count in (3, 4, 5)],
            [{"network.neurons": count, "dtype": "float64"} for count in (3, 4)],
            "sweep: 2 runs (paper: 3 runs)",
        ),
        (
            "sweep",
            [{"network.neurons": m, "dtype": "float64", "initialization.scale": 0.125} for m in (3, 4)],
            [{"network.neurons": 3, "dtype": "float64", "initialization.scale": 0.125}],
            "sweep: 1 run (paper: 2 runs)",
        ),
        (
            "sweep",
            [
                {"dynamics": {"descent": {"name": "gradient_descent", "step_size": 0.1}}, "dtype": dtype}
                for dtype in ("float64", "float32")
            ]
            + [{"dynamics": {"other": {"name": "gradient_descent", "step_size": 0.2}}, "dtype": "float64"}],
            [
                {
                    "dynamics": {"descent": {"name": "gradient_descent", "step_size": 0.05}},
                    "dtype": "float64",
                },
                {"dynamics": {"other": {"name": "gradient_descent", "step_size": 0.2}}, "dtype": "float64"},
            ],
            "sweep: 2 runs (paper: 3 runs); sweep.dynamics.descent.step_size: 0.05 (paper: 0.1)",
        ),
        (
            "sweep",
            [{"network.neurons": 3, "dtype": "float64"}, {"network.neurons": 4, "dtype": "float64"}],
            {"network.neurons": [3, 4], "initialization.scale": [0.1, 0.2]},
            "sweep: over initialization.scale and network.neurons (paper: 2 runs)",
        ),
        (
            "sweep",
            {
                "initialization": [
                    {name: {"name": "gaussian", "scale": scale}} for name, scale in (("a", 1), ("b", 2))
                ]
            },
            {
                "initialization": [
                    {name: {"name": "gaussian", "scale": scale}} for name, scale in (("a", 1), ("b", 3))
                ]
            },
            "sweep.initialization.b.scale: 3 (paper: 2)",
        ),
        (
            "times",
            {"values": [0.1 * step for step in range(1, 101)]},
            {"values": [0.1 * step for step in range(1, 51)]},
            "times.values: 50 values, 0.1 to 5 (paper: 100 values, 0.1 to 10)",
        ),
    ],
)
def test_what_differs_in_a_long_setting_is_said(
    folder: Path, section: str, original: Any, changed: Any, said: str
) -> None:
    write(folder / "more", "first", {"experiments": {"rate": {**EXPERIMENT, section: original}}})
    papers = {"wide": {"base": "first", "experiments": {"rate": {section: changed}}}}
    assert study(folder, papers).papers["wide"].changes == {"rate": said}


def test_what_is_left_to_its_default_is_said_with_the_default(folder: Path) -> None:
    changed = {"network": {"activation": "abs"}, "dtype": "float32", "stop": {"loss": 1e-9}}
    found = study(folder, {"wide": {"base": "first", "experiments": {"rate": changed}}})
    assert found.papers["wide"].changes == {
        "rate": "network.activation: abs (paper: relu); dtype: float32 (paper: float64); "
        "stop.loss: 1e-09 (paper: none)"
    }
    same = study(
        folder, {"wide": {"base": "first", "experiments": {"rate": {"network": {"activation": "relu"}}}}}
    )
    assert same.papers["wide"].changes == {}


def test_one_seed_is_the_default_of_seeds(folder: Path) -> None:
    """`seeds: 1` and no seeds are both seed 0."""
    experiment = {key: value for key, value in EXPERIMENT.items() if key != "seeds"}
    write(folder / "more", "first", {"experiments": {"rate": experiment}})
    changed = {"network": {"neurons": 5}, "seeds": 1}
    papers = {"wide": {"base": "first", "experiments": {"rate": changed}}}
    assert study(folder, papers).papers["wide"].changes == {"rate": "network.neurons: 5 (paper: 3)"}
    papers = {"wide": {"base": "first", "experiments": {"rate": {"seeds": 4}}}}
    assert study(folder, papers).papers["wide"].changes == {"rate": "seeds: 4 (paper: 1)"}


def test_a_variant_stands_beside_the_original(folder: Path) -> None:
    changed = {"experiments": {"rate": {"network": {"neurons": 5}}}}
    found = study(folder, {"first": {}, "wide": {"base": "first", **changed}})
    assert list(found.papers) == ["first", "wide"]
    first, wide = found.papers["first"], found.papers["wide"]
    assert first.experiments["rate"].runs["default"].sections["network"]["neurons"] == 3
    assert wide.experiments["rate"].runs["default"].sections["network"]["neurons"] == 5
    assert first.changes == {}
    assert wide.changes == {"rate": "network.neurons: 5 (paper: 3)"}
    assert wide.figures["losses"].registered == "first.losses"
    assert list(wide.claims) == ["first.falls"]
    assert found.figure_options(first.figures["losses"]) == "first.losses"
    assert found.figure_options(wide.figures["losses"]).startswith(
        "first.losses --name wide.losses --changed"
    )
    assert found.claims_options("wide").startswith("wide --base first --changed")
    assert found.code("render", paper="wide", figure="losses") == found.code(
        "render", paper="first", figure="losses"
    )


def test_a_variant_alone_and_variants_of_variants(folder: Path) -> None:
    """A variant has the paper as it ships, whatever the config makes of the paper itself; a variant's variant has
    the variant as the config has it."""
    changed = {"experiments": {"rate": {"seeds": 4}}}
    found = study(
        folder,
        {
            "first": {"experiments": {"rate": {"seeds": 7}}},
            "second": {"base": "first", **changed},
            "third": {"base": "second", "experiments": {"rate": {"initialization": {"scale": "1e-2"}}}},
        },
    )
    seeds = {
        name: len(paper.experiments["rate"].runs["default"].sections["seeds"])
        for name, paper in found.papers.items()
    }
    assert seeds == {"first": 7, "second": 4, "third": 4}
    assert found.papers["first"].changes == {"rate": "seeds: 7 (paper: 2)"}
    assert found.papers["third"].changes == {"rate": "initialization.scale: 0.01 (paper: 0.1)"}
    assert found.papers["third"].lineage == ("third", "second", "first")
    alone = study(folder, {"second": {"base": "first"}})
    assert list(alone.papers) == ["second"]
    assert alone.papers["second"].changes == {}


def test_a_variant_with_a_folder_of_its_own(folder: Path) -> None:
    """Its claim of the same name takes the place of the paper's."""
    write(folder / "more", "mine", {"base": "first"}, claims=CLAIMS)
    found = study(folder, {"mine": {}}).papers["mine"]
    assert list(found.claims) == ["mine.falls"]
    assert found.figures["losses"].registered == "first.losses"


def test_equal_numbers_and_an_empty_section_are_no_change(folder: Path) -> None:
    same = {"initialization": {"scale": "1e-1"}, "times": {"steps": [1.0, "20"]}, "sweep": {}}
    assert study(folder, {"first": {"experiments": {"rate": same}}}).papers["first"].changes == {}


@pytest.mark.parametrize(
    ("papers", "message"),
    [
        ({"frist": {}}, r"papers\.frist: there is no paper 'frist'\. Did you mean 'first'"),
        (
            {"wide": {"base": "frist"}},
            r"papers\.wide\.base: there is no paper 'frist'\. Did you mean 'first'",
        ),
        ({"wide": {"base": 3}}, r"papers\.wide\.base: must be the name of a paper, is 3"),
        ({"wide": {"base": "wide"}}, r"papers\.wide\.base: leads back to itself, wide -> wide"),
        ({"a": {"base": "b"}, "b": {"base": "a"}}, r"papers\.a\.base: leads back to itself, a -> b -> a"),
        (
            {"wide": {"base": "first", "experiments": {"rate": {"network": {"neuron": 5}}}}},
            r"papers\.wide\.experiments\.rate\.network\.neuron: there is no key",
        ),
        (
            {"wide": {"base": "first", "figures": {"loses": {"experiments": ["rate"]}}}},
            r"papers\.wide\.figures\.loses: there is no figure 'loses'\. Did you mean 'losses'.*drawn_by",
        ),
        (
            {"first": {"figures": {"mine": {"drawn_by": "first.loses"}}}},
            r"papers\.first\.figures\.mine\.drawn_by: there is no figure 'first\.loses'\. Did you mean",
        ),
        (
            {"first": {"figures": {"losses": {"experiments": []}}}},
            r"papers\.first\.figures\.losses: takes experiments",
        ),
        ({"first": {"figures": {"losses": {"size": 3}}}}, r"figures\.losses: takes experiments"),
    ],
)
def test_mistakes(folder: Path, papers: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(folder, papers)


def test_a_broken_paper_stops_those_only_who_ask_for_it(folder: Path) -> None:
    write(folder / "more", "broken", claims="import nothing_of_that_name\n")
    (folder / "more" / "papers" / "broken" / "experiments.yaml").write_text("experiments: [")
    write(folder / "more", "unfinished", {"experiments": {"e": {"network": {}}}})
    assert list(study(folder, {"first": {}}).papers) == ["first"]
    with pytest.raises(ConfigError, match="is not valid YAML"):
        study(folder, {"first": {}, "broken": {}})
    with pytest.raises(ConfigError, match=r"papers\.unfinished\.experiments\.e: missing problem"):
        study(folder, {"unfinished": {}})
    shutil.copy(plugin_folder() / "papers" / "xu2023" / "experiments.yaml", folder / "more/papers/broken")
    with pytest.raises(ConfigError, match=r"papers\.broken: its claims cannot be loaded"):
        study(folder, {"broken": {}})
    with pytest.raises(ConfigError, match=r"papers\.like_it: its claims cannot be loaded"):
        study(folder, {"like_it": {"base": "broken"}})


def test_a_papers_figure_is_drawn_for_another(folder: Path) -> None:
    mine = {
        "experiments": {"descent": EXPERIMENT},
        "figures": {"fall": {"experiments": ["descent"], "drawn_by": "first.losses"}},
    }
    found = study(folder, {"mine": mine}).papers["mine"].figures
    assert [(figure.registered, figure.experiments) for figure in found.values()] == [
        ("first.losses", ("descent",))
    ]


SHOWN = """

@paper.claim("each ends below where it begins", "derived", "derived", on=["rate", "other"], figures=["losses"])
def each_falls(run):
    return at_most(run.loss[:, -1], run.loss[:, 0])
"""


def test_claims_that_figures_show_are_evaluated_on_the_experiments_of_these(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variant of one figure has the claims on its face, and trains nothing for any other."""
    experiments = {"rate": EXPERIMENT, "other": EXPERIMENT}
    write(folder / "more", "first", {"experiments": experiments}, figures=FIGURES, claims=CLAIMS + SHOWN)
    both, shown = ({"wide": {"base": "first", "claims": which}} for which in ("all", "shown"))
    assert study(folder, both).papers["wide"].claims == {
        "first.falls": ("rate",),
        "first.each_falls": ("rate", "other"),
    }
    found = study(folder, shown)
    assert found.papers["wide"].claims == {"first.each_falls": ("rate",)}
    assert found.claim_experiments("wide") == ["rate"]
    assert "no figure or claim uses it" not in "\n".join(found.warnings)
    with pytest.raises(ConfigError, match=r"papers\.wide\.claims: must be all or shown, is 'some'"):
        study(folder, {"wide": {"base": "first", "claims": "some"}})

    dataset, output = folder / "wide" / "rate" / "dataset.nc", folder / "claims.json"
    dataset.parent.mkdir(parents=True)
    run(EXPERIMENT).to_netcdf(dataset)
    options = shlex.split(found.claims_options("wide"))
    path = ["--plugin-path", str(folder / "more")]
    assert main(["claims", *path, *options, "--datasets", str(dataset), "--output", str(output)]) == 0
    rows = [(row["claim"], row["verdict"]) for row in json.loads(output.read_text())]
    assert rows == [("each_falls[rate]", "holds")]
    wrong = ["claims", *path, "first", "--only", "{", "--datasets", str(dataset), "--output", str(output)]
    assert main(wrong) == 2
    assert "--only: is not JSON" in capsys.readouterr().err


def test_a_figure_with_another_setting_has_the_claims_on_its_face(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = {"rate": EXPERIMENT, "other": EXPERIMENT}
    write(folder / "more", "first", {"experiments": experiments}, figures=FIGURES, claims=CLAIMS + SHOWN)
    monkeypatch.chdir(folder)
    commands: list[list[str]] = []

    def run_command(command: list[str], check: bool) -> Any:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run_command)
    assert main(["set", "--plugin-path", "more", "network.neurons=5", "--", "first.losses", "-n"]) == 0
    made = Path("results", "first_neurons_5")
    assert commands[0][-2:] == [str(made / "figures" / "losses.pdf"), str(made / "claims.json")]
    found = load_study([made / "config.yaml"])
    assert found.papers["first_neurons_5"].claims == {"first.each_falls": ("rate",)}


def test_a_changed_setting_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = study(folder, {"first": {"experiments": {"rate": {"network": {"neurons": 5}}}}})
    data = {"rate": run({**EXPERIMENT, "network": {"neurons": 5}}, "numpy")}
    drawing = found.registry.find("figures", "first.losses").plugin
    face = drawing.face("first.losses", data, found.papers["first"].changes).text()
    assert "Changed setting of rate: network.neurons: 5 (paper: 3)." in face
    claims = {"falls": found.registry.find("claims", "first.falls").plugin}
    (row,) = evaluate(claims, data, found.papers["first"].changes)
    assert (row["verdict"], row["changed"]) == ("holds", "rate: network.neurons: 5 (paper: 3)")
    (plain,) = evaluate(claims, data)
    assert plain["changed"] == ""
    file = folder / "first" / "claims.json"
    file.parent.mkdir()
    file.write_text(json.dumps([row]))
    assert "derived, changed setting" in table([file])
    wrong = ["claims", "first", "--changed", "[1", "--output", str(folder / "c.json")]
    assert main([*wrong, "--plugin-path", str(folder / "more")]) == 2
    assert "--changed: is not JSON" in capsys.readouterr().err


def test_an_experiment_alone_is_made_without_figures_that_cannot_show_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a figure that was asked for it is an error."""
    changed: dict[str, Any] = {
        "base": "xu2023",
        "experiments": {"exact_rank": {"network": {"output": "trained"}}},
    }
    with pytest.raises(
        ConfigError, match=r"^papers\.wide\.figures\.toys: is about runs with network\.output: fixed"
    ):
        check([], {}, "wide", changed, leave_out=False)
    check([], {}, "wide", changed, leave_out=True)
    assert changed["figures"] == {"toys": False}
    assert "without the figure toys, which is about runs with network.output" in capsys.readouterr().err
