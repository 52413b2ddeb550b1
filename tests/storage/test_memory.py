"""Trajectories larger than memory: the peak of training and measuring does not grow with frames or seeds, and results
are the same bits as in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peak_memory import VERB, peak_memory

from twolayer.analysis import metric
from twolayer.cli import main
from twolayer.errors import DataError
from twolayer.storage import netcdf, scratch
from twolayer.storage.scratch import ScratchArray, parts_of
from twolayer.training import frames

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "r",
    "swept": {},
    "network": {"neurons": 50, "activation": "relu"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.01},
    "dtype": "float64",
}
ORTHOGONAL = {"name": "orthogonal", "samples": 2, "dimension": 100, "targets": [1.0, -1.0]}
TEACHER = {"name": "gaussian_teacher", "dimension": 9, "teachers": 2}


def made(folder: Path, seeds: int, saved: int, **changes: Any) -> Path:
    """A folder with the problem of a run."""
    run = RUN | {
        "problem": ORTHOGONAL,
        "seeds": list(range(seeds)),
        "times": {"steps": list(range(1, saved))},
    }
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(run | changes))
    assert main(["generate", "--run", f"@{folder}/run.json", "--output", f"{folder}/problem.nc"]) == 0
    return folder


def verbs(folder: Path) -> dict[str, list[str]]:
    """The command lines of training and measuring."""
    problem, trajectory = ["--problem", f"{folder}/problem.nc"], f"{folder}/trajectory.nc"
    measured = ["--trajectory", trajectory, "--output", f"{folder}/metrics.nc"]
    return {
        "train": ["train", *problem, "--backend", "numpy", "--output", trajectory],
        "measure": ["measure", *problem, *measured],
    }


def peaks(folder: Path) -> dict[str, int]:
    """The largest memory of each, MiB, in a process by itself."""
    return {name: peak_memory(VERB, arguments)[1] >> 20 for name, arguments in verbs(folder).items()}


@pytest.mark.skipif(sys.platform == "darwin", reason="no VmHWM there")
def test_the_peak_of_memory_does_not_grow_with_frames(tmp_path: Path) -> None:
    # 64 seeds of 5,050 weights: 2.6 MB a frame, so 78 MB of weights, then 233 MB
    few, many = (peaks(made(tmp_path / str(saved), 64, saved)) for saved in (30, 90))
    for name in few:
        assert many[name] - few[name] < 60, (few, many)
    assert (tmp_path / "90" / "trajectory.nc").stat().st_size > 230e6


def in_small_parts(patch: pytest.MonkeyPatch) -> None:
    """Anything goes by file, a few networks at a time."""
    patch.setattr(frames, "IN_MEMORY", 0)
    patch.setattr("twolayer.training.train.IN_MEMORY", 0)
    patch.setattr(metric, "IN_MEMORY", 0)
    patch.setattr(metric, "SEEDS_AT_ONCE", 100)
    patch.setattr(scratch, "PART", 1000)


CASES: dict[str, dict[str, Any]] = {
    "samples": {},
    "samples of each seed": {"problem": ORTHOGONAL | {"directions": "random"}},
    "a teacher, all features": {"problem": TEACHER},
    "a teacher, reduced": {"problem": TEACHER, "network": {"neurons": 3, "activation": "relu"}},
    "a teacher for each seed": {
        "problem": TEACHER | {"shared": False},
        "network": {"neurons": 3, "activation": "relu"},
    },
    "float32": {"dtype": "float32"},
    "diverges": {"dynamics": {"name": "gradient_descent", "step_size": 1e3}},
    "stops": {"stop": {"loss": 0.4}, "network": {"neurons": 3, "activation": "relu"}},
    "a flow that stops": {
        "network": {"neurons": 3, "activation": "relu"},
        "dynamics": {"name": "gradient_flow"},
        "times": {"values": [0.1, 0.5, 2.0, 4.0]},
        "stop": {"loss": 0.4},
    },
}


@pytest.mark.parametrize("what", CASES)
def test_results_do_not_depend_on_how_much_is_in_memory(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "run", 5, 7, **CASES[what])
    written = []
    for small in (False, True):
        if small:
            in_small_parts(monkeypatch)
        for arguments in verbs(folder).values():
            assert main(arguments) == 0
        written.append([(folder / name).read_bytes() for name in ("trajectory.nc", "metrics.nc")])
        left = {"run.json", "problem.nc", "trajectory.nc", "metrics.nc"}
        assert {file.name for file in folder.iterdir()} == left
    assert written[0] == written[1]


def test_parts_cover_an_array_once() -> None:
    for shape in ((5, 7, 3), (1, 9), (4, 0, 2), (0, 3), (2, 3, 0)):
        for most in (1, 60, 100, 10**6):
            seen = np.zeros(shape, dtype=int)
            for part in parts_of(shape, 8, most):
                seen[part] += 1
            assert (seen == 1).all()


@pytest.mark.parametrize("by_file", [False, True])
def test_a_scratch_array_gives_what_was_put_in(tmp_path: Path, by_file: bool) -> None:
    array = ScratchArray((4, 5, 2), "float32", tmp_path if by_file else None)
    wanted = np.zeros((4, 5, 2), dtype="float32")
    random = np.random.default_rng(0)
    for part in ((slice(1, 3), slice(2, 5)), (slice(0, 1), slice(None)), (slice(None), slice(4, 5))):
        wanted[part] = random.random(wanted[part].shape)
        array[part] = wanted[part]
    np.testing.assert_array_equal(array[:, :], wanted)
    np.testing.assert_array_equal(array[2:4, 1:3], wanted[2:4, 1:3])
    np.testing.assert_array_equal(np.asarray(array), wanted)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    program = """
import resource, sys
import numpy as np
from pathlib import Path
from twolayer.errors import DataError
from twolayer.storage.scratch import ScratchArray
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
array = ScratchArray((10, 100), float, Path(sys.argv[1]))
try:
    array[:, :] = 1.0
except DataError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith(f"{tmp_path}: frames could not be written: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    variables = {"x": (("a", "b"), np.ones((2, 3)), {})}
    netcdf.write(tmp_path / "file.nc", variables, {})
    stored = netcdf.read(tmp_path / "file.nc", by_parts=["x"])[0]["x"][1]
    np.testing.assert_array_equal(stored[0:1, :], np.ones((1, 3)))
    netcdf.write(tmp_path / "file.nc", variables, {"note": "another"})
    with pytest.raises(DataError, match=r"file.nc: was replaced by another file while it was read"):
        stored[0:1, :]
