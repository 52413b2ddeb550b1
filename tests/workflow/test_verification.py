"""`twolayer verify`: each way in which a result can be wrong is found, and the command that it says mends it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from plugin_files import TINY_FIGURES
from snakemake_project import Project

from twolayer.cli import main

CONFIG = """\
plugin_paths: [mine]
papers:
  tiny:
    experiments:
      falling: &falling
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 2}
        initialization: {name: gaussian, scale: 1.0e-1}
        dynamics: {name: gradient_descent, step_size: 1.0e-1}
        times: {steps: [1, 2, 3, 5, 7, 10]}
        seeds: 2
        sweep: {network.neurons: [2, 3]}
      rising:
        <<: *falling
        dynamics: {name: gradient_descent, step_size: 2.0e-1}
        sweep: {}
"""

CLAIMS = """\
from twolayer import Paper, at_most

paper = Paper("tiny", "Nobody, never")

@paper.claim("The loss falls", "nowhere", "derived", on="falling", figures=["losses"])
def falls(run):
    return at_most(run.loss.diff("time"), 0.0)

@paper.claim("It does not rise either", "nowhere", "derived", on="rising")
def falls_too(run):
    return at_most(run.loss.diff("time"), 0.0)
"""

RUN = "tiny/falling/neurons=2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose results are all made."""
    project = Project(tmp_path_factory.mktemp("verified") / "made")
    project.write("config.yaml", CONFIG)
    project.write("mine/papers/tiny/figures.py", TINY_FIGURES)
    project.write("mine/papers/tiny/claims.py", CLAIMS)
    project.snakemake()
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A fresh copy of it, without what Snakemake noted, and the results copied."""
    copy = Project(tmp_path / "a clone", made.folder)
    shutil.rmtree(copy.folder / ".snakemake")
    return copy


def verify(project: Project, *arguments: str, status: int) -> str:
    """What `twolayer verify` prints."""
    command = [sys.executable, "-m", "twolayer.cli", "verify", *arguments]
    ended = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def cut(path: Path) -> None:
    """Leave the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_number(path: Path) -> None:
    """Move one number by its last bit."""
    with netCDF4.Dataset(path, "a") as file:
        name = next(name for name in ("loss", "hidden", "inputs") if name in file.variables)
        values = file[name][...]
        values.flat[-1] = np.nextafter(values.flat[-1], np.inf)
        file[name][...] = values


def change_attribute(path: Path) -> None:
    """Say another backend."""
    with netCDF4.Dataset(path, "a") as file:
        file.backend = "abacus"


def flip_bit(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_verdict(path: Path) -> None:
    """Another verdict in the first row."""
    rows = json.loads(path.read_text())
    rows[0]["verdict"] = "fails"
    path.write_text(json.dumps(rows))


def drop_row(path: Path) -> None:
    """Leave out a claim."""
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))


def change_caption(path: Path) -> None:
    """Another caption."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"caption": "The loss rises."}))


def change_page(path: Path) -> None:
    """Another word."""
    path.write_text(path.read_text().replace("Neurons", "Neutrons").replace("claims", "claim5"))


def empty(path: Path) -> None:
    """No bytes."""
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        (f"{RUN}/problem.nc", cut, "is cut short"),
        (f"{RUN}/trajectory.nc", cut, "is cut short"),
        (f"{RUN}/metrics.nc", empty, "is not a netCDF file"),
        ("tiny/falling/dataset.nc", cut, "is cut short"),
        (f"{RUN}/problem.nc", change_number, "is altered"),
        (f"{RUN}/trajectory.nc", change_number, "is altered"),
        (f"{RUN}/metrics.nc", change_number, "is altered"),
        ("tiny/falling/dataset.nc", change_number, "is altered"),
        (f"{RUN}/metrics.nc", change_attribute, "is altered"),
        ("tiny/claims.json", flip_verdict, "is altered"),
        ("tiny/claims.json", drop_row, "is altered"),
        ("tiny/claims.json", cut, "is cut short"),
        ("tiny/claims.pdf", cut, "is cut short"),
        ("tiny/claims.png", flip_bit, "is altered"),
        ("tiny/figures/losses.png", flip_bit, "is altered"),
        ("tiny/figures/losses.png", cut, "is cut short"),
        ("tiny/figures/losses.pdf", flip_bit, "is altered"),
        ("tiny/figures/losses.pdf", cut, "is cut short"),
        ("tiny/figures/losses.json", change_caption, "is altered"),
        ("tiny/explorer.html", change_page, "is altered"),
        ("index.html", change_page, "is altered"),
        ("index.html", cut, "is cut short"),
    ],
)
def test_damage(
    made: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    """A file that is cut short or altered by one bit is named with the reason, and the exit status is 1."""
    for part in ("results", "mine"):
        shutil.copytree(made.folder / part, tmp_path / part)
    shutil.copy(made.folder / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    damage(tmp_path / "results" / name)
    assert main(["verify"]) == 1
    assert f"results/{name}: {said}" in capsys.readouterr().out
    assert main(["verify", "--files"]) == 1
    assert f"results/{name}\n" in capsys.readouterr().out


def test_whole(project: Project) -> None:
    """Copied results of this config are whole, though Snakemake knows nothing of them; of one paper too."""
    output = verify(project, status=0)
    assert output.splitlines()[-1].endswith("wrong: 0; not there: 0.")
    assert "wrong: 0" in verify(project, "tiny", status=0)
    assert "there is no paper 'tinny'. Did you mean 'tiny'?" in verify(project, "tinny", status=2)


def test_misplaced_foreign_left_over(project: Project) -> None:
    """A file in another run's place, a file of somewhere else, and runs that no config asks for any more."""
    shutil.copy(project.result("tiny/falling/neurons=3/metrics.nc"), project.result(f"{RUN}/metrics.nc"))
    shutil.copytree(project.result("tiny/falling/neurons=3"), project.result("tiny/falling/neurons=4"))
    with netCDF4.Dataset(project.result("tiny/rising/other.nc"), "w") as file:
        file.title = "not ours"
    output = verify(project, status=1)
    assert f"results/{RUN}/metrics.nc: is of another run: name is" in output
    assert "neurons=4/metrics.nc: is misplaced: it is results/tiny/falling/neurons=3/metrics.nc" in output
    assert "results/tiny/rising/other.nc: is foreign" in output
    project.edit("config.yaml", "[2, 3]", "[3]")
    shutil.rmtree(project.result("tiny/falling/neurons=4"))
    project.result("tiny/rising/other.nc").unlink()
    assert f"results/{RUN}: the config does not ask for it" in verify(project, status=1)


def test_stale(project: Project) -> None:
    """Another setting, other code, and a source that was made again since."""
    kept = (project.folder / "config.yaml").read_text()
    project.edit("config.yaml", "step_size: 2.0e-1", "step_size: 3.0e-1")
    output = verify(project, status=1)
    assert "rising/default/trajectory.nc: is of another run: dynamics.step_size is 0.2, not 0.3" in output
    assert "falling" not in output.partition("To make")[0]
    project.write("config.yaml", kept)
    metric = "plugins/metrics/balance.py"
    project.write(metric, (project.folder / metric).read_text() + "\nMORE = 1\n")
    output = verify(project, status=1)
    assert "metrics.nc: was made by other code" in output
    assert "trajectory.nc" not in output.partition("To make")[0]


def test_source_made_again(project: Project) -> None:
    """A trajectory that was trained anew, to other numbers, leaves the metrics and the dataset stale."""
    from twolayer.storage import netcdf

    path = project.result(f"{RUN}/trajectory.nc")
    variables, attributes = netcdf.read(path)
    attributes["backend"] = "another"
    netcdf.write(path, variables, attributes)
    output = verify(project, status=1)
    assert f"results/{RUN}/metrics.nc: is stale: it was made from another trajectory.nc" in output
    assert f"results/{RUN}/trajectory.nc" not in output.partition("To make")[0]


def test_the_command_mends(project: Project) -> None:
    """What verify says to run leaves nothing wrong, and the same bytes as before."""
    names = (f"{RUN}/trajectory.nc", "tiny/claims.json", "tiny/figures/losses.png")
    before = {name: project.result(name).read_bytes() for name in names}
    change_number(project.result(names[0]))
    flip_verdict(project.result(names[1]))
    flip_bit(project.result(names[2]))
    command = next(line.split() for line in verify(project, status=1).splitlines() if "--forcerun" in line)
    assert command[:4] == ["snakemake", "--cores", "all", "--forcerun"]
    project.snakemake(*command[3:])
    verify(project, status=0)
    assert {name: project.result(name).read_bytes() for name in names} == before
