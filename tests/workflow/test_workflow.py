"""The workflow under the real Snakemake: which job runs after which change, and what is left after a failure.

Each test works on a copy of the project in a temporary folder, whose `src` and `plugins` its jobs run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from project import PROJECT
from snakemake_project import Project

from twolayer.storage import netcdf

CONFIG = """\
backend: numpy
papers:
  tiny:
    experiments:
      descent:
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 3}
        initialization: {name: gaussian, scale: 1.0e-1}
        dynamics: {name: gradient_descent, step_size: 1.0e-1}
        times: {steps: [1, 10, 100]}
        seeds: 2
        sweep: {network.neurons: [2, 3]}
      flow:
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 3}
        initialization: {name: gaussian, scale: 1.0e-1}
        dynamics: {name: gradient_flow}
        times: {values: [1.0, 10.0]}
    figures:
      losses: {experiments: [descent]}
  other:
    experiments:
      decayed:
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 3}
        initialization: {name: gaussian, scale: 1.0e-1}
        dynamics: {name: regularized_gradient_descent, step_size: 1.0e-1, weight_decay: 1.0e-2}
        times: {steps: [1, 10]}
    figures:
      losses: {experiments: [decayed]}
"""

FIGURES = '''\
"""Figures of a small paper."""

from twolayer import drawing, hookimpl


@drawing("theorem", "Loss over time.", size=(3, 2))
def losses(canvas, data):
    axes = canvas.subplots()
    for dataset in data.values():
        axes.plot(dataset["loss"].values.reshape(-1, dataset.sizes["time"]).T)


@hookimpl
def register_figures(register):
    register("{paper}.losses", losses)
'''

CLAIMS = '''\
"""Claims of a small paper: one that holds, one that does not."""

from twolayer import at_most, claim, hookimpl


@claim("The loss falls.", "nowhere", "derived", ["descent"])
def falls(data):
    loss = data["descent"]["loss"]
    return at_most(float(loss[..., -1].min()), float(loss[..., 0].min()))


@claim("The loss is negative.", "nowhere", "derived", ["descent", "flow"])
def negative(data):
    return {name: at_most(float(dataset["loss"].min()), -1.0) for name, dataset in data.items()}


@hookimpl
def register_claims(register):
    register("tiny.falls", falls)
    register("tiny.negative", negative)
'''


def planned(output: str) -> Counter[str]:
    """The jobs of each rule in Snakemake's table; none where it says so."""
    if "Nothing to be done" in output:
        return Counter()
    rows = re.findall(
        r"^(\w+) +(\d+)$", output.partition("Job stats:")[2].partition("\ntotal")[0], re.MULTILINE
    )
    assert rows, output
    return Counter({rule: int(count) for rule, count in rows if rule in RULES})


def outputs(output: str) -> set[str]:
    """The files that the jobs of a dry run would write."""
    return {
        file for line in re.findall(r"^ +output: (.+)$", output, re.MULTILINE) for file in line.split(", ")
    }


INTERNALS = PROJECT / "workflow" / "snakemake_internals.py"
NOTHING: Counter[str] = Counter()
RULES = ("generate", "train", "measure", "gather", "render", "animate", "claims", "chart", "gallery")
TEXTS = {".py", ".yaml", ".mplstyle"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose two papers have been made, once for this file; tests work on copies of it."""
    project = Project(tmp_path_factory.mktemp("workflow") / "project")
    project.write("config.yaml", CONFIG)
    for paper in ("tiny", "other"):
        project.write(f"plugins/papers/{paper}/figures.py", FIGURES.replace("{paper}", paper))
    project.write("plugins/papers/tiny/claims.py", CLAIMS)
    project.write("first.log", project.snakemake("tiny", "other", "gallery"))
    return project


@pytest.fixture
def project(pristine: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, time stamps and Snakemake's memory included."""
    return Project(tmp_path / "project", pristine.folder)


def test_everything_is_made_by_the_code_of_this_project_and_the_claims_are_reported(
    pristine: Project,
) -> None:
    printed = (pristine.folder / "first.log").read_text()
    assert planned(printed) == {
        "generate": 4,
        "train": 4,
        "measure": 4,
        "gather": 3,
        "render": 2,
        "claims": 1,
        "chart": 1,
        "gallery": 1,
    }
    assert "3 claims: 1 hold, 2 fail, 0 inconclusive" in printed
    assert re.search(r"^  fails: tiny\.negative\[flow\]: predicted .*, measured .*$", printed, re.MULTILINE)
    assert "tiny.falls" not in printed  # it holds
    assert len(printed.splitlines()) < 60, printed
    (log,) = (pristine.folder / ".snakemake" / "log").glob("*.log")
    assert "twolayer train" in log.read_text()  # what the terminal leaves out
    assert "papers.tiny.experiments.flow: no figure" not in printed  # a claim uses it
    verdicts = {
        row["claim"]: row["verdict"] for row in json.loads(pristine.result("tiny/claims.json").read_text())
    }
    assert verdicts == {"falls": "holds", "negative[descent]": "fails", "negative[flow]": "fails"}
    for figure in ("tiny/figures/losses.pdf", "tiny/figures/losses.png", "other/figures/losses.pdf"):
        assert pristine.result(figure).stat().st_size > 1000
    imported = subprocess.run(
        ["twolayer", "plugins"], env=pristine.environment, cwd="/", capture_output=True, text=True, check=True
    )
    assert str(pristine.folder / "plugins" / "dynamics" / "gradient_flow.py") in imported.stdout
    assert str(PROJECT) not in imported.stdout


def test_nothing_is_to_be_done(project: Project) -> None:
    # what does not decide a result: the spelling of numbers, time stamps, the backend, the number of cores
    project.edit("config.yaml", "backend: numpy", "backend: numba")
    project.edit("config.yaml", "scale: 1.0e-1", 'scale: "1e-1"')
    project.edit("config.yaml", "step_size: 1.0e-1", "step_size: 0.1")
    project.edit("config.yaml", "weight_decay: 1.0e-2", "weight_decay: 1e-2")
    project.edit("config.yaml", "values: [1.0, 10.0]", "values: [1, 1.0e+1]")
    touched = [
        *project.folder.glob("plugins/*/*.py"),
        *project.folder.glob("plugins/papers/*/*"),
        *project.folder.glob("src/twolayer/**/*.py"),
        project.folder / "config.yaml",
        project.folder / "workflow" / "figures.mplstyle",
        project.result("tiny/descent/neurons=2/problem.nc"),
        project.result("tiny/descent/neurons=3/trajectory.nc"),
        project.result("tiny/flow/default/metrics.nc"),
        project.result("tiny/flow/dataset.nc"),
    ]
    for file in touched:
        file.touch()
    again = project.snakemake("--cores", "2")
    assert "Nothing to be done" in again
    assert planned(again) == NOTHING


def append(file: str) -> Callable[[Project], None]:
    """An edit that changes a file and nothing that it does."""
    return lambda project: project.write(file, (project.folder / file).read_text() + "\nEDITED = True\n")


FOLLOW = {"measure": 1, "gather": 1}

EDITS = {
    "a dynamics plugin": (
        append("plugins/dynamics/regularized_gradient_descent.py"),
        {"train": 1, **FOLLOW, "render": 1},
        "other/",
    ),
    "a metric": (
        append("plugins/metrics/balance.py"),
        {"measure": 4, "gather": 3, "render": 2, "claims": 1, "chart": 1},
        "",
    ),
    "the figures of a paper": (append("plugins/papers/tiny/figures.py"), {"render": 1}, "tiny/figures/"),
    "the claims of a paper": (
        append("plugins/papers/tiny/claims.py"),
        {"claims": 1, "chart": 1},
        "tiny/claims.",
    ),
    "the exact flow": (
        append("src/twolayer/finite/flow/events.py"),
        {"train": 1, **FOLLOW, "claims": 1, "chart": 1},
        "tiny/",
    ),
    "the model": (
        append("src/twolayer/core/network.py"),
        {"generate": 4, "train": 4, "measure": 4, "gather": 3, "render": 2, "claims": 1, "chart": 1},
        "",
    ),
    "a kernel of a backend that did not run": (
        append("src/twolayer/finite/numba_descent.py"),
        {"train": 3, "measure": 3, "gather": 2, "render": 2, "claims": 1, "chart": 1},
        "",
    ),
    "the style": (append("workflow/figures.mplstyle"), {"render": 2, "chart": 1}, ""),
    "the metrics asked for": (
        lambda project: project.edit(
            "config.yaml", "times: {values", "metrics: [imbalance]\n        times: {values"
        ),
        {**FOLLOW, "claims": 1, "chart": 1},
        "tiny/",
    ),
}


BY_STAGE = ("the model", "a kernel of a backend that did not run")
"""Edits of a source that several stages run; tests/study/test_fingerprint.py has the stages of every such source."""


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] * (what in BY_STAGE)) for what in EDITS]
)
def test_an_edit_reruns_what_depends_on_it(pristine: Project, what: str) -> None:
    edit, expected, below = EDITS[what]
    kept = {file: file.read_text() for file in pristine.folder.glob("**/*.*") if file.suffix in TEXTS}
    try:
        edit(pristine)
        printed = pristine.snakemake("--dry-run", "--verbose", "tiny", "other")
    finally:
        for file, text in kept.items():
            if file.read_text() != text:
                file.write_text(text)
    assert planned(printed) == expected
    assert all(file.startswith(f"results/{below}") for file in outputs(printed)), outputs(printed)


def test_a_new_value_of_a_sweep_runs_alone(project: Project) -> None:
    before = {file: file.stat().st_mtime_ns for file in project.result("tiny").glob("descent/*/*.nc")}
    assert len(before) == 6
    project.edit("config.yaml", "network.neurons: [2, 3]", "network.neurons: [2, 3, 4]")
    printed = project.snakemake()
    assert planned(printed) == {
        **{"generate": 1, "train": 1, **FOLLOW, "render": 1, "claims": 1, "chart": 1},
        "gallery": 1,
    }
    assert {file: file.stat().st_mtime_ns for file in before} == before
    with xr.open_dataset(project.result("tiny/descent/dataset.nc")) as dataset:
        assert dataset["neurons"].values.tolist() == [2, 3, 4]
        assert np.isfinite(dataset["loss"]).all()


NAP = '''\
"""nap: a descent that waits at its second step until a file says to wake."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from twolayer import Descent, hookimpl


@dataclass(frozen=True)
class Nap(Descent):
    """Stand still; `sleeps`: wait."""

    sleeps: bool

    def steps(self, problem, weights, random):
        yield weights
        if self.sleeps:
            Path("asleep").write_text(str(os.getpid()))
        for _ in range(2400):
            if not self.sleeps or Path("awake").exists():
                break
            time.sleep(0.05)
        while True:
            yield weights


@hookimpl
def register_dynamics(register):
    register("nap", Nap)
'''

SLEEPERS = """\
backend: numpy
papers:
  sleepers:
    experiments:
      naps:
        problem: {name: points, inputs: [[1.0]], targets: [1.0]}
        network: {neurons: 2}
        initialization: {name: gaussian, scale: 1.0}
        dynamics: {name: nap, step_size: 1.0}
        times: {steps: [3]}
        sweep: {dynamics.sleeps: [true, false]}
"""


def gone(pid: int) -> bool:
    """Whether a process ends, for which init may take a moment."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(False, id="jobs by themselves"),
        pytest.param(True, marks=pytest.mark.slow, id="jobs of the server"),
    ],
)
def test_what_is_killed_leaves_nothing_half_done(tmp_path: Path, served: bool) -> None:
    project = Project(tmp_path / "project")
    project.edit(
        "workflow/rules/study.smk", "WORTH_A_SERVER = 10", f"WORTH_A_SERVER = {1 if served else 100}"
    )
    project.write("config.yaml", SLEEPERS)
    project.write("plugins/dynamics/nap.py", NAP)
    asleep, folder = project.folder / "asleep", project.result("sleepers/naps")

    def sleeper(process: subprocess.Popen[str]) -> int:
        while not asleep.exists() or not asleep.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        pid = int(asleep.read_text())
        asleep.unlink()
        return pid

    # a job that is killed: Snakemake goes on with the others, and fails in the end
    process = project.start("sleepers")
    os.kill(sleeper(process), signal.SIGKILL)
    printed, _ = process.communicate()
    assert process.returncode == 1, printed
    done = sorted(folder.glob("sleeps=False/*.nc"))
    assert [file.name for file in done] == ["metrics.nc", "problem.nc", "trajectory.nc"]
    assert [file.name for file in folder.glob("sleeps=True/*.nc")] == ["problem.nc"]
    made = {file: file.stat().st_mtime_ns for file in done}

    # ctrl-C: the job ends with Snakemake
    process = project.start("sleepers")
    pid = sleeper(process)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate()
    assert process.returncode != 0
    assert gone(pid)
    assert "Traceback" not in printed
    left = {file.name for file in folder.glob("**/*") if file.is_file() and file.suffix != ".log"}
    assert left == {"metrics.nc", "problem.nc", "trajectory.nc"}
    assert [file.name for file in folder.glob("sleeps=True/*.nc")] == ["problem.nc"]

    # SIGTERM to Snakemake alone, as a cluster or an init sends it: its jobs end too, and are not waited for
    process = project.start("sleepers")
    pid = sleeper(process)
    process.terminate()
    printed, _ = process.communicate(timeout=60)  # the job would sleep for two minutes
    assert process.returncode != 0
    assert gone(pid)
    assert "Traceback" not in printed

    # SIGKILL to all, as when a machine stops: the locks stay, and the next run takes them away
    process = project.start("sleepers")
    sleeper(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(project.folder.glob(".snakemake/locks/*.lock"))

    # so this run starts; a second one while it is alive is refused, and takes no lock away
    process = project.start("sleepers")
    sleeper(process)
    second = project.start("sleepers")
    printed, _ = second.communicate()
    assert second.returncode != 0
    assert "LockException" in printed
    assert f"another run is at work in this folder (process {process.pid})" in printed
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()

    # what is finished stays, the rest is made
    project.write("awake", "")
    assert planned(project.snakemake("sleepers")) == {"train": 1, "measure": 1, "gather": 1}
    assert {file: file.stat().st_mtime_ns for file in done} == made


def results_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes and the age of each netCDF file below a folder."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.glob("**/*.nc"))
    }


def test_old_results_stay_until_the_new_ones_are_whole_when_a_job_fails(project: Project) -> None:
    folder = project.result("tiny/descent")
    before = results_of(folder)
    project.edit(
        "config.yaml",
        "name: gradient_descent, step_size: 1.0e-1",
        "name: gradient_descent, step_size: 2.0e-1",
    )
    project.edit("src/twolayer/stages/measure.py", "    data = ", "    raise MemoryError\n    data = ")
    for _ in range(2):  # the next run tries again
        output = project.snakemake("tiny", status=1)
        assert "2 jobs failed" in output
        after = results_of(folder)
        assert set(after) == set(before)
        assert {name for name in before if after[name] == before[name]} == {
            "dataset.nc", "neurons=2/metrics.nc", "neurons=3/metrics.nc"
        }  # fmt: skip
    project.edit("src/twolayer/stages/measure.py", "    raise MemoryError\n", "")
    assert planned(project.snakemake("tiny")) == {
        "measure": 2,
        "gather": 1,
        "render": 1,
        "claims": 1,
        "chart": 1,
    }
    assert all(content != before[name] for name, content in results_of(folder).items())
    assert not list(project.folder.glob(".snakemake/backup/**/*.nc"))


@pytest.mark.parametrize(
    "ways",
    [
        ("SIGINT to all", "SIGKILL to all"),
        pytest.param(("SIGTERM to Snakemake", "SIGKILL to the job"), marks=pytest.mark.slow),
    ],
    ids=", ".join,
)
def test_old_results_stay_until_the_new_ones_are_whole_when_a_job_is_killed(
    tmp_path: Path, ways: tuple[str, ...]
) -> None:
    """Killed in one way, started again, and killed in the other."""
    project = Project(tmp_path / "project")
    project.write("config.yaml", SLEEPERS)
    project.write("plugins/dynamics/nap.py", NAP)
    asleep, awake, folder = (
        project.folder / "asleep",
        project.folder / "awake",
        project.result("sleepers/naps"),
    )
    project.write("awake", "")
    project.snakemake("sleepers")
    before = results_of(folder)
    awake.unlink()
    asleep.unlink()
    project.edit("config.yaml", "steps: [3]", "steps: [4]")

    def old() -> set[str]:
        return {name for name, content in results_of(folder).items() if before[name] == content}

    kept = {"dataset.nc", "sleeps=True/trajectory.nc", "sleeps=True/metrics.nc"}
    for way in ways:
        process = project.start("sleepers")
        while not asleep.exists() or not asleep.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        job = int(asleep.read_text())
        asleep.unlink()
        assert old() >= kept  # while they are being made again
        target, _, receiver = way.partition(" to ")
        number = getattr(signal, target)
        if receiver == "all":
            os.killpg(process.pid, number)
        else:
            os.kill(job if receiver == "the job" else process.pid, number)
        process.communicate()
        assert process.returncode != 0
        assert gone(job)
        assert old() >= kept
    project.write("awake", "")
    made = planned(project.snakemake("sleepers"))
    assert made["train"] in (1, 2)
    assert made["gather"] == 1
    assert old() == set()


@pytest.mark.slow
def test_a_job_that_outlives_snakemake_does_no_harm(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write("config.yaml", SLEEPERS.replace("[true, false]", "[true]"))
    project.write("plugins/dynamics/nap.py", NAP)
    process = project.start("sleepers")
    while not (project.folder / "asleep").exists():
        assert process.poll() is None
        time.sleep(0.05)
    orphan = int((project.folder / "asleep").read_text() or 0)
    process.kill()
    process.wait()
    os.kill(orphan, 0)  # alive
    assert "LockException" in project.snakemake("sleepers", status=1)
    project.snakemake("--unlock")
    project.write("awake", "")
    project.snakemake("sleepers")  # while the orphan runs, which writes the same file
    while Path(f"/proc/{orphan}").exists():
        time.sleep(0.05)
    assert "Nothing to be done" in project.snakemake("sleepers")
    run = project.result("sleepers/naps/sleeps=True")
    assert sorted(file.name for file in run.iterdir() if file.suffix != ".log") == [
        "metrics.nc",
        "problem.nc",
        "trajectory.nc",
    ]


MORE = """\
plugin_paths: [further]
papers:
  tiny:
    experiments:
      flow: {times: {values: [2.0]}}                # replaced
      descent: {initialization: {balanced: true}}   # merged
  wild:
    experiments:
      fast:
        problem: {name: file, path: data/two.nc}
        network: {neurons: 3, activation: abs}
        initialization: {name: gaussian, scale: 1.0}
        dynamics: {name: frozen, step_size: 1.0e-1}
        times: {steps: [1, 10, 40]}
        sweep:
          dynamics: {frozen: {name: frozen, step_size: 0.1}, wild: {name: gradient_descent, step_size: 50}}
"""


def test_further_config_plugins_and_a_descent_that_diverges(project: Project) -> None:
    project.write("elsewhere/more.yaml", MORE)
    frozen = NAP.replace("nap", "frozen").replace("sleeps: bool", "sleeps: bool = False")
    project.write("elsewhere/further/dynamics/frozen.py", frozen)
    project.write("elsewhere/further/metrics/broken.py", "import nothing_of_that_name\n")
    (project.folder / "elsewhere" / "data").mkdir()
    variables = {
        "inputs": (("sample", "feature"), np.eye(2), {}),
        "targets": (("sample",), np.array([1.0, -1.0]), {}),
    }
    netcdf.write(project.folder / "elsewhere" / "data" / "two.nc", variables, {})
    options = ("--configfile", "elsewhere/more.yaml", "--config", "backend=numba")
    printed = project.snakemake("wild", "tiny", *options)
    jobs = planned(printed)
    assert jobs == {
        "generate": 5,
        "train": 5,
        "measure": 5,
        "gather": 3,
        "render": 1,
        "claims": 1,
        "chart": 1,
    }
    assert "plugin elsewhere/further/metrics/broken.py is left out: ModuleNotFoundError" in printed
    assert re.search(
        r"seed 0 diverged at step \d+: the loss was .* before that step\. step_size is 50\.0", printed
    )
    assert re.search(r"plain gradient descent is stable below [\d.e-]+ ", printed)
    with xr.open_dataset(project.result("wild/fast/dataset.nc")) as dataset:
        assert dataset["dynamics"].values.tolist() == ["frozen", "wild"]
        assert dataset["diverged_step"].sel(dynamics="frozen").item() == -1
        step = dataset["diverged_step"].sel(dynamics="wild").item()
        assert 1 <= step <= 40
        loss = dataset["loss"].sel(dynamics="wild")[0]
        assert np.isfinite(loss[0])
        assert np.isnan(loss[-1])
        assert np.isfinite(dataset["loss"].sel(dynamics="frozen")).all()
        assert "diverged at step" in dataset.attrs["notes"]
        assert dataset.attrs["backend"] == "numba"
    with xr.open_dataset(project.result("tiny/flow/dataset.nc")) as dataset:
        assert dataset["time"].values.tolist() == [0.0, 2.0]
    assert "Nothing to be done" in project.snakemake("wild", "tiny", *options)


def test_a_file_that_is_no_yaml_is_reported_before_anything_runs(pristine: Project) -> None:
    pristine.write("tab.yaml", "papers:\n\ttiny: {}\n")
    printed = pristine.snakemake("--dry-run", "--configfile", "tab.yaml", status=1)
    assert 'tab.yaml", line 2, column 1' in printed


RULE = "papers.{0}: '{0}' is a rule of the workflow; choose another name"
MISTAKES = {
    "a value": (("--config", "backend=nmupy"), "backend: there is no backend 'nmupy'. Did you mean 'numpy'?"),
    "a run": (
        ("results/tiny/descent/neurons=9/metrics.nc",),
        "papers.tiny.experiments.descent: there is no run 'neurons=9'. Did you mean",
    ),
    "a target": (
        ("nothing",),
        "nothing: there is no such target. Targets are a paper's name, and the files",
    ),
    "the name of a rule": (("--config", "papers={claims: {base: tiny}}"), RULE.format("claims")),
    # as those above, of the other rules
    "a file": (("results/tiny/descent/data.nc",), "results/tiny/descent/data.nc: there is no such target."),
    "an experiment": (
        ("results/tiny/decent/dataset.nc",),
        "papers.tiny.experiments: there is no experiment 'decent'. Did you mean",
    ),
    "a figure": (
        ("results/tiny/figures/loses.pdf",),
        "papers.tiny.figures: there is no figure 'loses'. Did you mean",
    ),
    "a paper": (("results/tyni/claims.json",), "papers: there is no paper 'tyni'. Did you mean 'tiny'?"),
    "the first rule": (("--config", "papers={all: {base: tiny}}"), RULE.format("all")),
    "a rule of some figures": (("--config", "papers={animate: {base: tiny}}"), RULE.format("animate")),
}
REPEATED = ("a file", "an experiment", "a figure", "a paper", "the first rule", "a rule of some figures")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] * (what in REPEATED)) for what in MISTAKES]
)
def test_mistakes_are_reported_before_anything_runs(pristine: Project, what: str) -> None:
    arguments, message = MISTAKES[what]
    printed = pristine.snakemake("--dry-run", *arguments, status=1)
    assert f"\n{message}" in printed
    assert "Traceback" not in printed
    assert ".smk" not in printed


def test_the_locked_snakemake_is_the_one_whose_internals_were_read() -> None:
    checked = re.search(r'^CHECKED = "(.+)"$', INTERNALS.read_text(), re.MULTILINE)
    assert checked
    assert f"snakemake=={checked[1]} " in (PROJECT / "requirements.lock").read_text()
    assert version("snakemake") == checked[1], (
        f"read what {INTERNALS.name} takes from Snakemake again, then change CHECKED"
    )


def test_only_one_file_reaches_into_snakemake() -> None:
    documented = {"basedir", "cores"}
    for file in (PROJECT / "Snakefile", *(PROJECT / "workflow" / "rules").glob("*.smk")):
        used = set(re.findall(r"\bworkflow\.(\w+)", file.read_text())) - {"smk", "log"}
        assert used <= documented, f"{file.name}: {used - documented} belong into {INTERNALS.name}"


def test_a_figure_that_cannot_be_drawn_stays_as_it_was(project: Project) -> None:
    products = ("figures/losses.pdf", "figures/losses.png", "claims.json")
    before = {name: project.result(f"tiny/{name}").read_bytes() for name in products}
    project.edit("plugins/papers/tiny/claims.py", "    loss = data", "    exit(3)\n    loss = data")
    project.edit("plugins/papers/tiny/figures.py", "axes = canvas.subplots()", "axes = canvas.subplots_()")
    project.edit("plugins/papers/other/figures.py", "axes = canvas.subplots()", "axes = canvas.subplots( )")
    for _ in range(2):  # the next run tries again
        output = project.snakemake("tiny", "other", status=1)
        assert "has no attribute 'subplots_'" in output
        page = project.result("index.html").read_text()
        assert "The last attempt to draw this figure failed; what is shown is of an earlier run" in page
        assert "the last attempt to evaluate its claims failed; the verdicts are of an earlier run" in page
        for name, content in before.items():
            assert project.result(f"tiny/{name}").read_bytes() == content
    assert project.result("other/figures/losses.pdf").is_file()
    project.edit("plugins/papers/tiny/figures.py", "canvas.subplots_()", "canvas.subplots()")
    project.edit("plugins/papers/tiny/claims.py", "    exit(3)\n    loss = data", "    loss = data")
    assert planned(project.snakemake()) == {"render": 1, "claims": 1, "chart": 1, "gallery": 1}
    for name, content in before.items():
        assert project.result(f"tiny/{name}").read_bytes() == content
    assert "last attempt" not in project.result("index.html").read_text()


DESCENT = "dynamics: {name: gradient_descent, step_size: 1.0e-1}"
FLOW = "scale: 1.0e-1}\n        dynamics: {name: gradient_flow}"


def test_results_of_another_step_size_are_made_again_whatever_snakemake_remembers(project: Project) -> None:
    """Copied over those of this config, and with Snakemake's memory of another config's jobs, they count as results of
    this one by their age; the run that they carry tells."""
    other = Project(project.folder.parent / "other", project.folder)
    other.edit("config.yaml", DESCENT, DESCENT.replace("1.0e-1", "5.0e-2"))
    other.snakemake("tiny")
    shutil.copytree(other.result("tiny/descent"), project.result("tiny/descent"), dirs_exist_ok=True)
    output = project.snakemake("tiny")
    assert planned(output) == {
        "generate": 2,
        "train": 2,
        "measure": 2,
        "gather": 1,
        "render": 1,
        "claims": 1,
        "chart": 1,
    }
    printed = [line for line in output.splitlines() if "is made again" in line]
    assert len(printed) == 1
    assert (
        "results/tiny/descent/dataset.nc is of another run: dynamics.step_size is 0.05, not 0.1" in printed[0]
    )
    with xr.open_dataset(project.result("tiny/descent/dataset.nc")) as dataset:
        steps = {json.loads(run)["dynamics"]["step_size"] for run in dataset["run"].values.flat}
    assert steps == {0.1}
    again = project.snakemake("tiny")
    assert "Nothing to be done" in again
    assert "made again" not in again


@pytest.mark.slow
def test_figures_and_claims_that_were_copied_without_their_datasets_are_made_again(project: Project) -> None:
    """Younger than the datasets here, and of another config: what they carry of the runs tells."""
    other = Project(project.folder.parent / "other", project.folder)
    other.edit("config.yaml", DESCENT, DESCENT.replace("1.0e-1", "5.0e-2"))
    other.snakemake("tiny")
    figure, claims = "tiny/figures/losses.pdf", "tiny/claims.json"
    right = {name: project.result(name).read_bytes() for name in (figure, claims)}
    assert "Nothing to be done" in project.snakemake("tiny")
    for name in ("figures", "claims.json", "claims.pdf", "claims.png"):
        source, target = other.result(f"tiny/{name}"), project.result(f"tiny/{name}")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    assert project.result(figure).read_bytes() != right[figure]
    output = project.snakemake("tiny", "--dry-run")
    assert planned(output) == {"render": 1, "claims": 1, "chart": 1}
    assert "results/tiny/figures/losses.json is of other runs of 'descent'; it is made again" in output
    assert "results/tiny/claims.json is of other runs of 'descent'; it is made again" in output
    project.snakemake("tiny")
    assert {name: project.result(name).read_bytes() for name in right} == right
    assert "Nothing to be done" in project.snakemake("tiny")


def test_figures_that_were_copied_to_where_no_dataset_is_are_made_again(project: Project) -> None:
    shutil.rmtree(project.folder / ".snakemake")
    for folder in ("descent", "flow"):
        shutil.rmtree(project.result(f"tiny/{folder}"))
    plan = planned(project.snakemake("tiny", "--dry-run"))
    assert plan["render"] == plan["claims"] == 1
    assert plan["train"] == 3


def test_a_clone_with_copied_results_has_nothing_to_do(project: Project) -> None:
    """Without Snakemake's memory, and with sources younger than the results."""
    shutil.rmtree(project.folder / ".snakemake")
    for file in project.folder.rglob("*"):
        if file.is_file() and not file.is_relative_to(project.folder / "results"):
            file.touch()
    output = project.snakemake()
    assert "Nothing to be done" in output
    assert "made again" not in output


@pytest.mark.slow
def test_without_memory_results_of_other_settings_or_code_are_made_again(project: Project) -> None:
    shutil.rmtree(project.folder / ".snakemake")
    project.edit("config.yaml", FLOW, FLOW.replace("1.0e-1", "2.0e-1"))
    plan = project.snakemake("--dry-run")
    assert planned(plan) == {
        **{"generate": 1, "train": 1, "measure": 1, "gather": 1, "claims": 1, "chart": 1},
        "gallery": 1,
    }
    assert "initialization.scale is 0.1, not 0.2" in plan
    project.edit("config.yaml", "scale: 2.0e-1", "scale: 1.0e-1")
    append("plugins/dynamics/regularized_gradient_descent.py")(project)
    plan = project.snakemake("--dry-run")
    assert planned(plan) == {"train": 1, "measure": 1, "gather": 1, "render": 1, "gallery": 1}
    assert "results/other/decayed/default/trajectory.nc was made by other code; it is made again" in plan
    assert planned(project.snakemake("--dry-run", "--rerun-triggers", "mtime")) == NOTHING
    project.snakemake()
    assert "Nothing to be done" in project.snakemake()


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("problem", marks=pytest.mark.slow),
        "trajectory",
        pytest.param("metrics", marks=pytest.mark.slow),
        pytest.param("dataset", marks=pytest.mark.slow),
    ],
)
def test_moved_and_truncated_files_are_made_again(project: Project, stage: str) -> None:
    """A file of another run, and one cut short, each as old as the one it stands for."""
    rule = {"problem": "generate", "trajectory": "train", "metrics": "measure", "dataset": "gather"}[stage]
    folders = ("descent", "decayed") if stage == "dataset" else ("descent/neurons=2", "decayed/default")
    moved, cut = (
        project.result(f"{paper}/{folder}/{stage}.nc")
        for paper, folder in zip(("tiny", "other"), folders, strict=True)
    )
    whole = {file: file.read_bytes() for file in (moved, cut)}
    foreign = cut if stage == "dataset" else project.result(f"tiny/descent/neurons=3/{stage}.nc")
    for file, wrong in ((moved, foreign.read_bytes()), (cut, whole[cut][: len(whole[cut]) // 2])):
        age = file.stat()
        file.write_bytes(wrong)
        os.utime(file, ns=(age.st_atime_ns, age.st_mtime_ns))
    output = project.snakemake()
    for file in whole:
        assert f"{file.relative_to(project.folder)} is " in output
    assert planned(output)[rule] == 2
    assert {file: file.read_bytes() for file in whole} == whole
    assert "Nothing to be done" in project.snakemake()


@pytest.mark.slow
def test_a_leftover_job_of_a_killed_run_is_found_by_what_it_wrote(project: Project) -> None:
    """A job that outlives its workflow overwrites a trajectory after the config has changed: the next run trains it
    again, and no dataset is made of it."""
    folder = project.result("tiny/descent/neurons=2")
    leftover = (folder / "trajectory.nc").read_bytes()
    project.edit("config.yaml", DESCENT, DESCENT.replace("1.0e-1", "5.0e-2"))
    project.snakemake("tiny")
    (folder / "trajectory.nc").write_bytes(leftover)
    problem = ["--problem", f"{folder}/problem.nc", "--trajectory", f"{folder}/trajectory.nc"]
    measured = subprocess.run(
        ["twolayer", "measure", *problem, "--output", f"{folder}/made.nc"],
        env=project.environment,
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 2
    assert "is of another run than" in measured.stderr
    output = project.snakemake("tiny")
    assert "trajectory.nc is of another run: dynamics.step_size is 0.1, not 0.05; it is made again" in output
    assert planned(output)["train"] == 1
    with xr.open_dataset(project.result("tiny/descent/dataset.nc")) as dataset:
        assert {json.loads(run)["dynamics"]["step_size"] for run in dataset["run"].values.flat} == {0.05}
    assert "Nothing to be done" in project.snakemake("tiny")


def test_folders_of_any_name_reach_the_commands_whole(project: Project) -> None:
    """Quotes, spaces and what a shell would run are parts of a folder's name."""
    name = "it's $(touch x) `touch x` {here}"
    (project.folder / name / "metrics").mkdir(parents=True)
    project.edit("config.yaml", "backend: numpy", f"backend: numpy\nplugin_paths: [{json.dumps(name)}]")
    output = project.snakemake("--force", "results/tiny/flow/default/metrics.nc")
    assert planned(output) == {"measure": 1}
    assert not (project.folder / "x").exists()
