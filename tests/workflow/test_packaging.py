"""What is installed: the lock file, the wheel and the source archive."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from project import PROJECT

PARTS = (
    "README.md",
    "LICENSE",
    "pyproject.toml",
    ".gitignore",
    "Snakefile",
    "src",
    "plugins",
    "workflow",
    "results",
)


def name_of(requirement: str) -> str:
    return (
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")
    )


def test_lock_holds_everything_with_hashes_and_no_address() -> None:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert not re.search(r"://|@ |--index|--find-links", lock)
    locked = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in entry for entry in locked)
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    assert {name_of(entry) for entry in wanted} <= {name_of(entry) for entry in locked}
    assert "snakemake-executor-plugin-slurm" not in lock, "cluster and GPU packages are extras"


def test_data_of_others_are_small_enough_to_come_with_the_code() -> None:
    files = [file for file in (PROJECT / "plugins").rglob("data/*") if file.is_file()]
    assert files
    assert not [str(file) for file in files if file.stat().st_size >= 300_000]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and a source archive, built from a copy with litter in it."""
    root = tmp_path_factory.mktemp("packaging")
    copy = root / "copy"
    copy.mkdir()
    litter = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        if part == "results":
            (copy / part).mkdir()
            shutil.copy(PROJECT / part / "README.md", copy / part)
        elif (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, copy / part, ignore=litter)
        else:
            shutil.copy(PROJECT / part, copy / part)
    (copy / "results" / "made.nc").touch()
    (copy / "src/twolayer/kernel.nbi").touch()
    (copy / "plugins/dynamics/__pycache__").mkdir()
    (copy / "plugins/dynamics/__pycache__/kernel.nbc").touch()
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(root)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root


def test_wheel_ships_plugins_and_style_and_no_caches(archives: Path) -> None:
    (wheel,) = archives.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("src/twolayer", "twolayer"), ("plugins", "twolayer/plugins")):
        for file in (PROJECT / folder).rglob("*.py"):
            assert f"{inside}/{file.relative_to(PROJECT / folder).as_posix()}" in names
    assert {"twolayer/py.typed", "twolayer/population/cuda_descent.cu", "twolayer/figures.mplstyle"} <= names
    assert any(
        name.startswith("twolayer/plugins/papers/") and name.endswith("experiments.yaml") for name in names
    )
    assert not [name for name in names if re.search(r"\.nb[ic]$|__pycache__|^results|^workflow", name)]


def test_source_archive_has_no_results(archives: Path) -> None:
    (archive,) = archives.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = [name.partition("/")[2] for name in opened.getnames()]
    assert [name for name in names if name.startswith("results/")] == ["results/README.md"]
    assert {"Snakefile", "src/twolayer/py.typed", "workflow/figures.mplstyle"} <= set(names)
    assert not [name for name in names if re.search(r"\.nb[ic]$|__pycache__", name)]
