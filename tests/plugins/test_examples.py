"""The plugins under docs/examples, as they would live elsewhere: each runs its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import PROJECT, install

from twolayer.errors import ConfigError
from twolayer.study.registry import load

EXAMPLES = PROJECT / "docs" / "examples"
PASSED = re.compile(r"^(\d+) passed in ", re.MULTILINE)


def passed_in(folder: Path, **environment: str) -> int:
    """How many tests of a folder passed; none may fail or be skipped."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    found = PASSED.search(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found, done.stdout
    return int(found[1])


def test_the_plugin_that_is_a_file_conforms() -> None:
    assert passed_in(EXAMPLES / "dropped_in") == 8


def test_the_plugin_that_is_a_package_conforms(tmp_path: Path) -> None:
    install(EXAMPLES / "twolayer-swish", tmp_path)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    assert passed_in(EXAMPLES / "twolayer-swish", PYTHONPATH=paths) == 4


def test_without_the_package_its_name_is_not_known() -> None:
    with pytest.raises(ConfigError, match="swish"):
        load().build("activations", {"name": "swish", "steepness": 2.0}, "activation")


def test_its_config_is_read() -> None:
    from twolayer.study.study import load_study

    study = load_study([EXAMPLES / "dropped_in" / "config.yaml"])
    assert len(study.papers["momentum"].experiments["descents"].runs) == 3
