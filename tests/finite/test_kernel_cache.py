"""Compiled kernels on disk: whatever state their files are in, a kernel runs, and is kept again where it can be."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from twolayer.kernels import jit

KERNEL = """\
from twolayer.kernels.jit import njit

@njit(cache=True)
def twice(x):
    return 2.0 * x
"""
NUMBER = count()

pytestmark = pytest.mark.skipif(not jit.compiles(), reason="kernels are not compiled")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with a kernel, that is kept in a folder of the test's own."""
    monkeypatch.setattr(jit.settings, "CACHE_DIR", str(tmp_path / "cache" / "deep"))
    (tmp_path / "kernel.py").write_text(KERNEL)
    return tmp_path / "kernel.py"


def run(file: Path) -> tuple[float, int]:
    """What the kernel gives, as a process gives it that has not loaded it before, and whether it was read."""
    spec = importlib.util.spec_from_file_location(f"kernel_{next(NUMBER)}", file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice(3.0), sum(module.twice.stats.cache_hits.values())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill(path: Path) -> None:
    path.write_bytes(b"q" * 3000)


def of_another_version(path: Path) -> None:
    path.write_bytes(pickle.dumps("0.1") + path.read_bytes())


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [truncate, of_another_version, empty, fill, Path.unlink],
    ids=["cut short", "of another version", "empty", "garbage", "gone"],
)
def test_a_file_that_cannot_be_read_is_replaced(
    file: Path, tmp_path: Path, suffix: str, damage: Callable[[Path], Any]
) -> None:
    assert run(file) == (6.0, 0)
    assert run(file) == (6.0, 1)
    (path,) = (tmp_path / "cache").rglob(f"*.{suffix}")
    damage(path)
    assert run(file) == (6.0, 0)
    assert run(file) == (6.0, 1)


def test_a_folder_that_goes_away_keeps_nothing(file: Path, tmp_path: Path) -> None:
    """As a full disk, or one that is read-only by now: the kernel was decorated while it was there."""
    spec = importlib.util.spec_from_file_location("kernel_away", file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file")
    assert module.twice(3.0) == 6.0


def test_a_folder_that_cannot_be_made_is_done_without(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert run(file)[0] == 6.0


@pytest.mark.parametrize("chosen", ["", "chosen"])
def test_edited_sources_have_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """numba itself would go on running a kernel whose callee, in another file, was edited."""
    source, home = tmp_path / "kernel.py", str(tmp_path / chosen) if chosen else ""
    monkeypatch.setattr(jit, "PACKAGE", tmp_path)
    monkeypatch.setattr(jit, "kernel_sources", lambda: [source])
    folders = []
    for text in (KERNEL, KERNEL.replace("2.0", "3.0"), KERNEL):
        source.write_text(text)
        folders.append(Path(jit.cache_folder(home)))
    assert folders[0] == folders[2] != folders[1]
    assert {folder.parent for folder in folders} == {tmp_path / (chosen or "__pycache__")}
