"""The verbs for people: what they say of a study, and the plugins that `new` writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from gallery_files import write_study
from plugin_files import TINY_FIGURES

from twolayer.cli import main
from twolayer.study.hooks import KINDS
from twolayer.templates import TEMPLATES

CONFIG = """\
papers:
  tiny:
    experiments:
      falling:
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 2}
        initialization: {name: gaussian, scale: 1.0e-1}
        dynamics: {name: gradient_descent, step_size: 1.0e-1}
        times: {steps: [1, 10]}
        seeds: 2
        sweep: {network.neurons: [2, 3]}
plugin_paths: [mine]
"""

CLAIMS = """\
from twolayer import Paper, at_most

paper = Paper("tiny", "Nobody, never")

@paper.claim("The loss falls", "nowhere", "derived", on="falling", figures=["losses"])
def falls(run):
    return at_most(run.loss.diff("time"), 0.0)

@paper.claim("The loss is negative", "nowhere", "derived", on="falling")
def negative(run):
    return at_most(run.loss, -1.0)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and a paper of which nothing is made."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "mine" / "papers" / "tiny").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "mine" / "papers" / "tiny" / "figures.py").write_text(TINY_FIGURES)
    (folder / "mine" / "papers" / "tiny" / "claims.py").write_text(CLAIMS)
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What a verb prints."""
    assert main(list(arguments)) == status
    streams = capsys.readouterr()
    return streams.out if status == 0 else streams.err


def make(run: str) -> None:
    """The files of a run."""
    folder = f"results/tiny/falling/{run}"
    from twolayer.study.study import load_study

    described = load_study(["config.yaml"]).run("tiny", "falling", run).json()
    problem, trajectory = f"{folder}/problem.nc", f"{folder}/trajectory.nc"
    assert main(["generate", "--run", described, "--output", problem]) == 0
    assert main(["train", "--problem", problem, "--backend", "numpy", "--output", trajectory]) == 0
    options = ["--problem", problem, "--trajectory", trajectory, "--output", f"{folder}/metrics.nc"]
    assert main(["measure", *options]) == 0


def test_a_study_is_listed_with_what_is_up_to_date(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    printed = said(capsys, "list")
    assert "falling  2 runs of 2 seeds: missing" in printed
    assert "losses   missing" in printed
    make("neurons=2")
    assert "falling  2 runs of 2 seeds: 1 of 2 runs missing" in said(capsys, "list")
    make("neurons=3")
    assert "measured, not yet gathered" in said(capsys, "list")
    runs = ["neurons=2", "neurons=3"]
    assert (
        main(
            ["gather", "results/tiny/falling", "--runs", *runs, "--output", "results/tiny/falling/dataset.nc"]
        )
        == 0
    )
    assert "falling  2 runs of 2 seeds: up to date" in said(capsys, "list")
    folder = study / "results" / "tiny" / "figures"
    folder.mkdir(parents=True)
    for suffix in ("pdf", "png", "json"):
        (folder / f"losses.{suffix}").write_text("{}")
    assert said(capsys, "list").count("losses   drawn\n") == 1
    (study / "faster.yaml").write_text(CONFIG.replace("step_size: 1.0e-1", "step_size: 2.0e-1"))
    printed = said(capsys, "list", "--configfile", "faster.yaml")
    reason = "trajectory.nc is of another run: dynamics.step_size is 0.1, not 0.2"
    assert f"2 of 2 runs to be made again: {reason}" in printed.replace("problem.nc", "trajectory.nc")
    assert "losses   drawn, of 1 experiment not up to date: falling" in printed


def test_what_nothing_asks_for_is_said(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a variant of one figure the experiments of the others are not missing."""
    monkeypatch.chdir(study)
    changed = "papers: {lone: {base: tiny, claims: shown, figures: {losses: false}}}"
    (study / "lone.yaml").write_text(changed)
    printed = said(capsys, "list", "--configfile", "config.yaml", "lone.yaml")
    assert "falling  2 runs of 2 seeds: missing, and nothing asks for it" in printed


def test_claims_are_printed_of_one_paper_or_all_and_those_that_fail_alone(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    assert "there is no claims.json of 'other'" in said(capsys, "claims", "other", status=2)
    assert "of 'zhu202'. Did you mean 'zhu2025'?" in said(capsys, "claims", "zhu202", status=2)
    data = ["--datasets", "results/tiny/falling/dataset.nc"]
    said(capsys, "claims", "tiny", "--plugin-path", "mine", *data, "--output", "results/tiny/claims.json")
    printed = said(capsys, "claims")
    assert "tiny.falls" in printed
    assert printed.endswith("2 claims: 1 hold, 1 fail, 0 inconclusive\n")
    printed = said(capsys, "claims", "tiny", "--failing")
    assert "tiny.falls" not in printed
    assert "fails: tiny.negative: The loss is negative." in printed


def test_a_figure_is_shown_with_settings_claims_files_and_command(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    printed = said(capsys, "show", "tiny.losses")
    for line in (
        "  shows: The loss falls.",
        "    swept neurons: 2, 3",
        '    dynamics: {"name": "gradient_descent", "step_size": 0.1',
        "    holds: falls: predicted ≤ 0, measured ",
        "  again: snakemake --cores all results/tiny/figures/losses.pdf",
    ):
        assert f"\n{line}" in printed
    printed = said(capsys, "show", "tiny.loses", status=2)
    assert "papers.tiny.figures: there is no figure 'loses'. Did you mean 'losses'?" in printed


def test_only_folders_of_runs_that_nothing_asks_for_are_removed(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    old, other = study / "results/tiny/falling/neurons=9", study / "results/tiny/falling/notes"
    for folder, name in ((old, "problem.nc"), (old, "generate.log"), (other, "of_mine.txt")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    assert said(capsys, "clean").endswith(
        "neurons=9\nThe config does not ask for 1 folder: remove by twolayer clean --yes.\n"
    )
    assert old.is_dir()
    said(capsys, "clean", "--yes")
    assert not old.exists()
    assert other.is_dir()
    assert (study / "results/tiny/falling/dataset.nc").is_file()


def test_every_plugin_is_listed_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "plugins")
    assert [line for line in printed.splitlines() if not line.startswith(" ")] == list(KINDS)
    without = [
        line
        for line in printed.splitlines()
        if line.startswith("  ") and line[2] != " " and len(line.split()) < 2
    ]
    assert without == []
    printed = said(capsys, "plugins", "metrics", "imbalance")
    assert "imbalance a² − |w|² (seed, time, neuron) [1]; where output weights are parameters" in printed
    assert "the difference of squares would lose half the digits" in printed
    assert "there is no kind 'metric'. Did you mean 'metrics'?" in said(capsys, "plugins", "metric", status=2)
    assert "there is no metric 'los'. Did you mean 'loss'?" in said(
        capsys, "plugins", "metrics", "los", status=2
    )


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"twolayer {version('twolayer')}\n"


def test_a_reader_who_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m twolayer.cli plugins | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "backends\n"
    assert done.stderr == ""


def test_what_new_writes_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in TEMPLATES:
        assert f"my_{kind}" in said(capsys, "new", kind, f"my_{kind}")
    assert "my_metric' of metrics already" in said(capsys, "new", "metric", "my_metric", status=2)
    assert "is there already" in said(capsys, "new", "paper", "my_paper", status=2)
    assert "Did you mean 'metric'?" in said(capsys, "new", "metrik", "mine", status=2)
    assert "not '3d'" in said(capsys, "new", "metric", "3d", status=2)
    assert "not '_mine'" in said(capsys, "new", "metric", "_mine", status=2)
    assert "dimension or variable 'time'" in said(capsys, "new", "metric", "time", status=2)
    taken = said(capsys, "new", "metric", "gradient_norm", status=2)
    assert "there is a plugin 'gradient_norm' of metrics already" in taken
    assert "metrics/loss.py" in taken
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout
    listed = json.dumps(said(capsys, "plugins", "--plugin-path", "plugins"))
    assert all(f"my_{kind}" in listed for kind in TEMPLATES)


def test_a_page_of_one_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "results")
    assert said(capsys, "gallery", "study", "--output", "results/page.html") == "results/page.html\n"
    page = Path("results/page.html").read_text()
    assert "Author &amp; Writer 2020" in page
    assert said(capsys, "gallery") == ""
    assert Path("results/index.html").is_file()
    assert "results/none has neither figures nor claims" in said(capsys, "gallery", "none", status=2)


def test_a_figure_of_a_variant_is_shown_with_the_verdicts_on_its_face(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    config = study / "results" / "tiny_more" / "config.yaml"
    (config.parent / "figures").mkdir(parents=True)
    config.write_text("papers: {tiny_more: {base: tiny, experiments: {falling: {seeds: 3}}}}")
    (config.parent / "figures" / "losses.json").write_text('{"claims": {"falls": "holds"}}')
    printed = said(capsys, "show", "tiny_more.losses")
    assert "changed from the paper: seeds: 3 (paper: 2)" in printed
    assert "holds: falls" in printed
    assert f"--configfile {config.relative_to(study)} -- results/tiny_more/figures/losses.pdf" in printed
    assert "results/tiny_more/config.yaml" in said(capsys, "list").splitlines()[-1]
