"""Files changed in every way that the netCDF library writes: refused in a line that names them, or without effect.

Each variable of a file is left out, renamed, transposed, emptied, cut, or of another type or other dimensions; each
attribute is left out, a number, empty or no JSON. What a stage takes all the same makes the numbers of the file as it
was.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from twolayer.cli import main
from twolayer.storage import netcdf

POINTS = {"name": "points", "inputs": [[1.0, 0.5], [0.0, 1.0], [1.0, -1.0]], "targets": [1.0, -1.0, 0.5]}
TEACHER = {"name": "gaussian_teacher", "dimension": 3, "teachers": 2}
DESCENT = {"name": "gradient_descent", "step_size": 0.1}

RUNS: dict[str, dict[str, Any]] = {
    "points": {"problem": POINTS, "dynamics": DESCENT, "times": {"steps": [1, 10]}},
    "teacher": {"problem": TEACHER, "dynamics": {"name": "gradient_flow"}, "times": {"values": [0.5, 1.0]}},
}

Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Of variables, {name: (dimensions, values)}, and of attributes, in place."""


def run_of(kind: str) -> dict[str, Any]:
    """A run as files carry it."""
    return {
        "paper": "p", "experiment": "e", "name": "default", "swept": {},
        "network": {"neurons": 2, "activation": "relu", "output": "trained"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "seeds": [0, 4], "dtype": "float64", **RUNS[kind],
    }  # fmt: skip


def commands(folder: Path, made: Path) -> dict[str, list[str]]:
    """What is made of each file."""
    problem, trajectory = f"{folder}/problem.nc", f"{folder}/trajectory.nc"
    measure = ["measure", "--problem", problem, "--trajectory", trajectory, "--output", str(made)]
    return {
        "problem.nc": ["train", "--problem", problem, "--backend", "numpy", "--output", str(made)],
        "trajectory.nc": measure,
        "metrics.nc": ["gather", str(folder.parent), "--runs", "default", "--output", str(made)],
    }


@pytest.fixture(scope="module", params=RUNS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, and next to each file what is made of it."""
    folder = tmp_path_factory.mktemp(request.param) / "e" / "default"
    folder.mkdir(parents=True)
    run = json.dumps(run_of(request.param))
    assert main(["generate", "--run", run, "--output", f"{folder}/problem.nc"]) == 0
    for name, made in (("problem.nc", "trajectory.nc"), ("trajectory.nc", "metrics.nc")):
        assert main(commands(folder, folder / made)[name]) == 0
    assert main(commands(folder, folder / "dataset.nc")["metrics.nc"]) == 0
    return folder


def dropped(name: str) -> Change:
    return lambda variables, attributes: variables.pop(name) and None


def valued(name: str, change: Callable[[tuple[str, ...], Any], tuple[tuple[str, ...], Any]]) -> Change:
    def apply(variables: dict[str, Any], attributes: dict[str, Any]) -> None:
        variables[name] = change(*variables[name])

    return apply


def attributed(name: str, value: Any) -> Change:
    def apply(variables: dict[str, Any], attributes: dict[str, Any]) -> None:
        attributes[name] = value

    return apply


def changes(path: Path) -> Iterator[tuple[str, Change]]:
    """All that is done to a file, with its name."""
    with netCDF4.Dataset(path) as file:
        variables = {name: file[name].dimensions for name in file.variables}
        attributes = file.ncattrs()
    point = np.dtype([("real", "f8"), ("imaginary", "f8")])
    for name, dimensions in variables.items():
        yield f"no {name}", dropped(name)
        ways: dict[str, Callable[[tuple[str, ...], Any], tuple[tuple[str, ...], Any]]] = {
            "text": lambda d, v: (d, np.full(v.shape, "x", dtype=object)),
            "letters": lambda d, v: (d, np.full(v.shape, b"x", dtype="S1")),
            "complex": lambda d, v: (d, np.zeros(v.shape, point)),
            "bytes": lambda d, v: (d, np.ones(v.shape, np.int8)),
            "a number": lambda d, v: ((), np.asarray(1.0)),
            "other dimensions": lambda d, v: (tuple(f"other_{each}" for each in d), v),
            "one dimension more": lambda d, v: (("more", *d), np.asarray(v)[None]),
            "empty": lambda d, v: (tuple(f"empty_{each}" for each in d), np.zeros((0,) * len(d))),
        }
        if len(dimensions) > 1:
            ways["transposed"] = lambda d, v: (d[::-1], np.asarray(v).T)
        for way, change in ways.items():
            yield f"{name}: {way}", valued(name, change)
    for name in attributes:
        yield f"attribute {name}: none", lambda _, found, name=name: found.pop(name) and None
        for value in (3.5, "", "{", "[1]", "null", '{"a": 1}'):
            yield f"attribute {name}: {value!r}", attributed(name, value)
    yield "no variables", lambda found, _: found.clear()
    yield "no attributes", lambda _, found: found.clear()


def rewrite(source: Path, target: Path, change: Change) -> None:
    """Write a file anew, changed, as any program might."""
    with netCDF4.Dataset(source) as file:
        variables = {name: (file[name].dimensions, file[name][...]) for name in file.variables}
        attributes = {name: file.getncattr(name) for name in file.ncattrs()}
    change(variables, attributes)
    with netCDF4.Dataset(target, "w") as file:
        file.setncatts(attributes)
        for name, (dimensions, values) in variables.items():
            values = np.ma.getdata(values)
            for dimension, size in zip(dimensions, np.shape(values), strict=True):
                if dimension not in file.dimensions:
                    file.createDimension(dimension, size)
            kind: Any = str if values.dtype == object else values.dtype
            if values.dtype.fields:
                kind = file.createCompoundType(values.dtype, f"{name}_type")
            made = file.createVariable(name, kind, dimensions)
            if values.size:
                made[...] = values


def numbers(path: Path) -> dict[str, Any]:
    """The variables of a file."""
    return {name: (dimensions, values) for name, (dimensions, values, _) in netcdf.read(path)[0].items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two files have the same numbers."""
    return one.keys() == other.keys() and all(
        dimensions == other[name][0]
        and np.array_equal(values, other[name][1], equal_nan=values.dtype.kind == "f")
        for name, (dimensions, values) in one.items()
    )


@pytest.mark.parametrize(
    ("name", "follows"),
    [("problem.nc", "trajectory.nc"), ("trajectory.nc", "metrics.nc"), ("metrics.nc", "dataset.nc")],
)
def test_a_file_changed_in_any_way(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, follows: str
) -> None:
    folder = tmp_path / "e" / "default"
    shutil.copytree(finished, folder)
    command, right = commands(folder, tmp_path / "made.nc")[name], numbers(finished / follows)
    wrong, refused = [], 0
    for what, change in changes(finished / name):
        try:
            rewrite(finished / name, folder / name, change)
        except RuntimeError:  # what the library does not write
            continue
        try:
            status = main(command)
        except BaseException as error:
            wrong.append(f"{what}: {error!r}")
            continue
        said = capsys.readouterr().err
        if status == 0 and not same(numbers(tmp_path / "made.nc"), right):
            wrong.append(f"{what}: taken, and makes other numbers")
        elif status and not re.fullmatch(r"twolayer \w+: error: .*" + re.escape(name) + r"\W.*\n", said):
            wrong.append(f"{what}: {said}")
        refused += status != 0
        (tmp_path / "made.nc").unlink(missing_ok=True)
    assert not wrong, "\n".join(wrong)
    assert refused > 20


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"{}", b"\0" * 4096])
@pytest.mark.parametrize("name", ["problem.nc", "trajectory.nc", "metrics.nc"])
def test_a_file_that_is_none(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    folder = tmp_path / "e" / "default"
    shutil.copytree(finished, folder)
    (folder / name).write_bytes(content)
    assert main(commands(folder, tmp_path / "made.nc")[name]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"twolayer \w+: error: .*" + re.escape(name) + r"\W.*\n", said), said
