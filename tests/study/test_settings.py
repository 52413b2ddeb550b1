"""Settings of the command line: what they make of a paper, and what is wrong with those that make nothing."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from twolayer.cli import main
from twolayer.errors import ConfigError
from twolayer.study.settings import Target, changed_paper, read_setting, variant_name
from twolayer.study.study import load_study
from twolayer.study.variant import Composed

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 10]},
}


def variant(text: str, **changes: Any) -> dict[str, Any]:
    """What one setting, or several with semicolons between, make of an experiment `rate`."""
    composed = Composed({"rate": EXPERIMENT | changes, "other": EXPERIMENT}, {}, ("p",), {})
    target = Target("p", ("rate",), ())
    return changed_paper(target, [read_setting(word) for word in text.split("; ")], composed, ())[
        "experiments"
    ]


def test_values_are_read_as_yaml_and_cut_at_commas_outside_of_brackets() -> None:
    assert read_setting("a.b=1").values == (1,)
    assert read_setting("a.b=1,x").values == (1, "x")
    assert read_setting("a={c: 1, d: [2, 3]},[4, 5]").values == ({"c": 1, "d": [2, 3]}, [4, 5])
    assert read_setting("a='x, y'").values == ("x, y",)


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=1,", "a=[1"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(repr(text))):
        read_setting(text)


def test_one_value_is_set_and_several_are_swept() -> None:
    assert variant("network.neurons=5") == {"rate": {"network": {"neurons": 5}}}
    swept = variant("network.neurons=5,6; dynamics.step_size=0.2,0.3")
    assert swept == {"rate": {"sweep": {"network.neurons": [5, 6], "dynamics.step_size": [0.2, 0.3]}}}
    assert variant("other.seeds=3") == {"other": {"seeds": 3}}
    assert variant("seeds=3,5") == {"rate": {"seeds": [3, 5]}}
    assert variant("dynamics={name: gradient_flow}") == {"rate": {"dynamics": {"name": "gradient_flow"}}}
    assert EXPERIMENT["network"] == {"neurons": 2}


def test_a_path_that_is_swept_is_set_in_its_sweep() -> None:
    product = {"network.neurons": [2, 3], "dtype": ["float64", "float32"]}
    swept = variant("network.neurons=7", sweep=product)
    assert swept == {"rate": {"sweep": {**product, "network.neurons": [7]}}}
    rows = [{"network.neurons": 2, "dtype": "float32"}, {"network.neurons": 3, "dtype": "float64"}]
    swept = variant("network.neurons=7", sweep=rows)
    assert swept == {"rate": {"sweep": [{**row, "network.neurons": 7} for row in rows]}}
    for text in ("network.neurons=7,8", "seeds=1; dynamics.step_size=1,2"):
        with pytest.raises(ConfigError, match=r"its sweep is a list of runs|takes one value"):
            variant(text, sweep=rows)
    with pytest.raises(ConfigError, match="its sweep has whole sections 'dynamics'"):
        variant("dynamics.step_size=1", sweep={"dynamics": {"a": {}}})


def test_an_entry_of_a_list_is_set() -> None:
    stages = {"name": "sequence", "stages": [{"name": "balancing"}, {"name": "minimize", "iterations": 5}]}
    changed = variant("dynamics.stages[1].iterations=9", dynamics=stages)
    assert changed["rate"]["dynamics"]["stages"][1]["iterations"] == 9
    with pytest.raises(ConfigError, match=r"there is no \[2\]"):
        variant("dynamics.stages[2].iterations=9", dynamics=stages)


def test_the_name_says_the_settings_and_is_an_identifier() -> None:
    settings = [read_setting("network.neurons=2,5"), read_setting("initialization.scale=0.3")]
    assert variant_name("p", settings) == "p_neurons_2_5_scale_0_3"
    long = [read_setting(f"problem.inputs={[[float(i), 0.5] for i in range(30)]}")]
    assert re.fullmatch(r"p_inputs\w+_[0-9a-f]{6}", variant_name("p", long))
    assert variant_name("p", settings, "mine") == "mine"
    with pytest.raises(ConfigError, match="must not be p itself"):
        variant_name("p", settings, "p")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a paper of two experiments."""
    paper = {"experiments": {"rate": EXPERIMENT, "other": EXPERIMENT}}
    (tmp_path / "config.yaml").write_text(json.dumps({"papers": {"mine": paper}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_verb_writes_a_variant_and_makes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run(command: list[str], check: bool) -> Any:
        commands.append(command[2:])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["set", "network.neurons=3", "--", "mine.rate", "-n"]) == 0
    file = "results/mine_neurons_3/config.yaml"
    options = ["-n", "--cores", "all", "--configfile", file]
    assert commands == [["snakemake", *options, "--", "results/mine_neurons_3/rate/dataset.nc"]]
    study = load_study(["config.yaml", file])
    run_of = next(iter(study.experiment("mine_neurons_3", "rate").runs.values()))
    assert run_of.sections["network"]["neurons"] == 3
    assert study.papers["mine_neurons_3"].changes == {"rate": "network.neurons: 3 (paper: 2)"}
    assert main(["set", "network.neurons=3", "--", "results/mine/other/dataset.nc", "--jobs", "9"]) == 0
    assert commands[1][:3] == ["snakemake", "--jobs", "9"]
    assert yaml.safe_load(Path(file).read_text())["papers"]["mine_neurons_3"]["experiments"].keys() == {
        "other"
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["network.neurons=3"], "needs PATH=VALUE ... -- TARGET"),
        (["network.neuron=3", "--", "mine"], "there is no key 'neuron'. Did you mean 'neurons'?"),
        (["rte.seeds=3", "--", "mine"], "there is no section or experiment 'rte'. Did you mean 'rate'?"),
        (["seeds=3", "--", "mine.rte"], "there is no figure or experiment 'rte'. Did you mean 'rate'?"),
        (["seeds=3", "--", "min"], "there is no paper 'min'. Did you mean 'mine'?"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["set", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "results").exists()
