"""Names, labels, paths and folders of any letters: what reaches a command line is taken as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from snakemake_project import Project

from twolayer.errors import ConfigError
from twolayer.study.command import quoted, relative
from twolayer.study.registry import load
from twolayer.study.study import load_study

HOSTILE = "-x 'q' \"d\" $(touch pwned) `touch pwned` {braces} {{b}} ; touch pwned & * ? ~ # ! \\ émü 數"
"""Letters that a shell, Snakemake and argparse take for more than letters."""

READABLE = HOSTILE.replace("\\ ", "").replace("{braces} {{b}} ", "")
"""Without the backslash, which the netCDF library takes for a separator of folders, and without braces, which
Snakemake takes for wildcards in the names of inputs."""

CONFIG = """\
plugin_paths: [{plugins}]
backend: numpy
papers:
  höhe_數:
    experiments:
      größe:
        problem: {{name: file, path: {data}}}
        network: {{neurons: 2}}
        initialization: {{name: gaussian}}
        dynamics: {{name: gradient_descent, step_size: 1.0e-1}}
        times: {{steps: [1, 10]}}
        metrics: [loss, größter_schritt]
        sweep:
          initialization.scale: {{-a: 0.1, +b..: 0.2, "..": 0.3}}
"""

PAPER = """\
from twolayer import Paper, at_most

paper = Paper("höhe_數", "{text}")

@paper.figure("theorem", "{text}", on={{"größe": ["loss"]}}, files=["{text}.nc"])
def verlauf_數(canvas, run, more):
    canvas.subplots().plot(run.time, run.time)
"""

CLAIMS = """\
from twolayer import Paper, at_most

paper = Paper("höhe_數", "{text}")

@paper.claim("{text}", "{text}", "derived", on="größe", figures=["verlauf_數"])
def fällt(run):
    return at_most(run.loss.diff("time"), 0.0)
"""

METRIC = '''\
from twolayer import metric


@metric("größter_schritt", ("seed", "time"), "{text}")
def longest(problem, trajectory):
    """{text}"""
    return trajectory.weights.output[..., 0]
'''


def test_quoted() -> None:
    """A shell gives back what went in."""
    words = [HOSTILE, "", "-", "a\nb", "\t", "'", "é" * 3]
    printed = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {quoted(*words)}"], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split("\0")[:-1] == words


def test_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path looks like an option."""
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "-rf") == "./-rf"
    assert relative(tmp_path / "plain") == "plain"


@pytest.mark.parametrize(
    "newline",
    [pytest.param("", marks=pytest.mark.slow), "\n"],
    ids=["one line", "with a newline"],
)
def test_everything_hostile_through_snakemake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newline: str
) -> None:
    """The project's folder, the folder of plugins, the file of data, the figure's files, texts and labels."""
    hostile = READABLE.replace("; ", newline + "; ")
    project = Project(tmp_path / HOSTILE.replace("; ", newline + "; "))
    text = READABLE.replace('"', '\\"')
    data, plugins = f"{hostile} data.nc", f"{hostile} plugins"
    project.write("config.yaml", CONFIG.format(data=spelled(data), plugins=spelled(plugins)))
    paper = Path(plugins, "papers", "höhe_數")
    project.write(str(paper / "figures.py"), PAPER.format(text=text))
    project.write(str(paper / "claims.py"), CLAIMS.format(text=text))
    project.write(str(Path(plugins, "metrics", "it.py")), METRIC.format(text=text))
    monkeypatch.chdir(project.folder)
    for file in (data, str(paper / f"{READABLE}.nc")):
        with netCDF4.Dataset(file, "w") as made:
            made.createDimension("sample", 2)
            made.createDimension("feature", 2)
            made.createVariable("inputs", float, ("sample", "feature"))[...] = np.eye(2)
            made.createVariable("targets", float, ("sample",))[...] = [1.0, -1.0]
    project.snakemake()
    assert not list(tmp_path.rglob("pwned"))
    made = project.result("höhe_數")
    for name in ("figures/verlauf_數.png", "claims.json", "größe/dataset.nc", "größe/scale=-a/metrics.nc"):
        assert (made / name).is_file(), name
    assert "Nothing to be done" in project.snakemake()
    command = [sys.executable, "-m", "twolayer.cli", "verify"]
    verified = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert not list(tmp_path.rglob("pwned"))


def test_braces_in_the_name_of_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Snakemake would take for a wildcard is refused, with the remedy."""
    monkeypatch.chdir(tmp_path)
    Path("plugins", "papers").mkdir(parents=True)
    config = CONFIG.format(data=spelled("a{b}.nc"), plugins=spelled("plugins")).replace(
        ", größter_schritt", ""
    )
    Path("config.yaml").write_text(config)
    with pytest.raises(ConfigError, match=r"größe\.problem\.path: 'a\{b\}\.nc' has braces.*rename it"):
        load_study(["config.yaml"])


def spelled(text: str) -> str:
    """A text as YAML holds it in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@pytest.mark.parametrize(
    "name", ["a b", "a-b", "$(touch pwned)", "a\nb", "a/b", "../a", "1a", "", "a;b", "{x}"]
)
def test_names_are_identifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Papers, experiments, figures, swept words and plugins with another name are refused."""
    monkeypatch.chdir(tmp_path)
    for config in (
        f"papers: {{{spelled(name)}: {{experiments: {{}}}}}}",
        f"papers: {{p: {{experiments: {{{spelled(name)}: {{}}}}}}}}",
        f"papers: {{xu2023: {{figures: {{{spelled(name)}: {{experiments: [figure1]}}}}}}}}",
    ):
        Path("config.yaml").write_text(config)
        with pytest.raises(ConfigError, match="letters, digits and '_'"):
            load_study(["config.yaml"])
    folder = tmp_path / "more" / "dynamics"
    folder.mkdir(parents=True)
    (folder / "it.py").write_text(
        "from dataclasses import dataclass\nfrom twolayer import Descent, dynamics\n"
        f"@dynamics({name!r})\n@dataclass(frozen=True)\nclass It(Descent):\n"
        "    def steps(self, problem, weights, random):\n        yield weights\n"
    )
    failures = load([tmp_path / "more"]).failures
    assert any("a name is" in reason for reason in failures.values()), failures
