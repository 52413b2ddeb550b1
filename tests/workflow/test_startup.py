"""What a stage imports before it works: small runs pay for nothing that they do not use."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "default",
    "swept": {},
    "problem": {"name": "points", "inputs": [[1.0]], "targets": [1.0]},
    "network": {"neurons": 2, "activation": "relu", "output": "trained"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 2]},
    "seeds": [0],
    "dtype": "float64",
}

TEACHER = {**RUN, "name": "teacher", "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1}}

MAIN = """
import sys
from twolayer.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules)
"""

HEAVY = {
    "matplotlib",
    "xarray",
    "pandas",
    "snakemake",
    "numba",
    "scipy.linalg",
    "cupy",
    "torch",
    "imageio_ffmpeg",
    "IPython",
}

PLUGINS = """
from twolayer import at_most, claim, drawing, hookimpl

@drawing("theorem", "The loss.")
def loss(canvas, data):
    canvas.subplots().plot(data["e"].time, data["e"].loss.isel(seed=0))

@claim("One is one.", "nowhere", "derived", ["e"])
def one(data):
    return at_most(1.0, 1.0)

@hookimpl
def register_{kind}(register):
    register("mine.{name}", {name})
"""


def loaded(folder: Path, *arguments: str) -> set[str]:
    """The heavy packages that a command has loaded by its end."""
    command = [sys.executable, "-c", MAIN, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status, *names = done.stdout.splitlines()[-1].split()
    assert status == "0", done.stderr
    return HEAVY & set(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished experiment, a figure and a claim."""
    folder = tmp_path_factory.mktemp("startup")
    for kind, name in (("figures", "loss"), ("claims", "one")):
        file = folder / "plugins" / "papers" / "mine" / f"{kind}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PLUGINS.replace("{kind}", kind).replace("{name}", name))
    for verb in ("generate", "train", "measure", "gather"):
        loaded(folder, *VERBS[verb])
    loaded(folder, "generate", "--run", json.dumps(TEACHER), "--output", "teacher/problem.nc")
    loaded(folder, *VERBS["train compiled on a teacher"])  # compiles, which may load more than to run
    return folder


RESULT = "e/default"
FROM_PROBLEM = ("--problem", f"{RESULT}/problem.nc")
OURS = ("--plugin-path", "plugins")
VERBS = {
    "generate": ("generate", "--run", json.dumps(RUN), "--output", f"{RESULT}/problem.nc"),
    "train": ("train", *FROM_PROBLEM, "--backend", "numpy", "--output", f"{RESULT}/trajectory.nc"),
    "train compiled": ("train", *FROM_PROBLEM, "--backend", "numba", "--output", f"{RESULT}/compiled.nc"),
    "train compiled on a teacher": (
        *("train", "--problem", "teacher/problem.nc", "--backend", "numba"),
        *("--output", "teacher/trajectory.nc"),
    ),
    "measure": (
        *("measure", *FROM_PROBLEM, "--trajectory", f"{RESULT}/trajectory.nc"),
        *("--output", f"{RESULT}/metrics.nc"),
    ),
    "gather": ("gather", "e", "--runs", "default", "--output", "e/dataset.nc"),
    "render": ("render", *OURS, "mine.loss", "--datasets", "e/dataset.nc", "--output", "loss.png"),
    "claims": ("claims", *OURS, "mine", "--datasets", "e/dataset.nc", "--output", "claims.json"),
    "chart": ("chart", "claims.json", "--output", "claims.png"),
    "plugins": ("plugins", *OURS),
}

NEEDED: dict[str, set[str]] = {
    "generate": set(),
    "train": set(),
    "train compiled": {"numba", "scipy.linalg"},  # whose BLAS the compiled products of finite data call
    "train compiled on a teacher": {"numba"},
    "measure": set(),
    "gather": set(),
    "render": {"matplotlib", "xarray", "pandas"},
    "claims": {"xarray", "pandas"},
    "chart": {"matplotlib"},
    "plugins": set(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_stage_loads_only_what_it_uses(folder: Path, verb: str) -> None:
    assert loaded(folder, *VERBS[verb]) <= NEEDED[verb]


def test_the_flow_alone_loads_the_compiler(folder: Path) -> None:
    run = {**RUN, "dynamics": {"name": "gradient_flow"}, "times": {"values": [1e-3]}, "name": "flow"}
    output = ("--output", "flow/trajectory.nc")
    loaded(folder, "generate", "--run", json.dumps(run), "--output", "flow/problem.nc")
    found = loaded(folder, "train", "--problem", "flow/problem.nc", "--backend", "numpy", *output)
    assert found <= {"numba", "scipy.linalg"}


def test_reading_a_config_loads_nothing_heavy(folder: Path) -> None:
    (folder / "config.yaml").write_text(json.dumps({"plugin_paths": ["plugins"]}))
    code = "import sys; from twolayer.study.study import load_study; load_study(['config.yaml']);"
    code += "print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()


def test_the_package_itself_loads_nothing() -> None:
    code = "import sys, twolayer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (HEAVY | {"numpy", "netCDF4", "yaml", "pluggy"}) & set(done.stdout.split()) == set()


def test_what_is_loaded_without_bytecode_leaves_some_whatever_the_shell_says(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text("answer = 42\n")
    program = "import loaded; from twolayer.launch.bytecode import keep_bytecode; keep_bytecode()"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for command in ("import loaded", program):
        assert not list(tmp_path.rglob("*.pyc"))
        subprocess.run([sys.executable, "-c", command], cwd=tmp_path, env=environment, check=True)
    (kept,) = tmp_path.rglob("*.pyc")
    code = marshal.loads(kept.read_bytes()[16:])  # after the header of PEP 552
    assert 42 in code.co_consts
    assert code.co_filename == str(tmp_path / "loaded.py")
