"""Files: whole or absent, the same bytes again, labelled throughout, and one line for what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from applicable import applicable_metrics

from twolayer.cli import main
from twolayer.errors import DataError
from twolayer.stages.gather import gather
from twolayer.storage import atomic, checksum, contents, netcdf
from twolayer.study.registry import load

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "default",
    "swept": {},
    "problem": {"name": "orthogonal", "samples": 3, "dimension": 4, "targets": {"low": 0.5, "high": 1.0}},
    "network": {"neurons": 5, "activation": "relu", "output": "trained"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "regularized_gradient_descent", "step_size": 0.1, "weight_decay": 1e-3},
    "times": {"steps": [1, 10, 50]},
    "seeds": [0, 4, 2],
    "dtype": "float64",
}


def pipeline(folder: Path, run: dict[str, Any], threads: int = 1, metrics: tuple[str, ...] = ()) -> Path:
    """A run from generate to gather on the command line; its experiment's folder."""
    at = folder / run["name"]
    problem, trajectory = ["--problem", f"{at}/problem.nc"], ["--trajectory", f"{at}/trajectory.nc"]
    asked = ["--metrics", *metrics] if metrics else []
    threaded = ["--backend", "numba", "--threads", str(threads)]
    assert main(["generate", "--run", json.dumps(run), "--output", f"{at}/problem.nc"]) == 0
    assert main(["train", *problem, *threaded, "--output", f"{at}/trajectory.nc"]) == 0
    assert main(["measure", *problem, *trajectory, *asked, "--output", f"{at}/metrics.nc"]) == 0
    assert main(["gather", str(folder), "--runs", run["name"], "--output", f"{folder}/dataset.nc"]) == 0
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# ---- labelled, and the same bytes again ----


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment with every metric that applies to it."""
    metrics = applicable_metrics(RUN, load())
    assert len(metrics) >= 20
    return pipeline(tmp_path_factory.mktemp("run"), RUN, metrics=tuple(metrics))


def test_the_same_bytes_again_and_on_any_number_of_cores(tmp_path: Path) -> None:
    once = files_below(pipeline(tmp_path / "once", RUN))
    assert sorted(once) == ["dataset.nc", "default/metrics.nc", "default/problem.nc", "default/trajectory.nc"]
    assert files_below(pipeline(tmp_path / "again", RUN, threads=3)) == once
    assert files_below(pipeline(tmp_path / "once", RUN, threads=2)) == once


DIMENSIONS = {
    "problem": {"inputs": ("seed", "sample", "feature"), "targets": ("seed", "sample"), "seed": ("seed",)},
    "trajectory": {
        "hidden": ("seed", "time", "neuron", "feature"),
        "output": ("seed", "time", "neuron"),
        "seed": ("seed",),
        "time": ("time",),
        "step": ("time",),
        "weight_decay": ("time",),
        "diverged_step": ("seed",),
    },
    "metrics": {
        "loss": ("seed", "time"),
        "objective": ("seed", "time"),
        "gradient_norm": ("seed", "time"),
        "imbalance": ("seed", "time", "neuron"),
        "path_norm": ("seed", "time"),
        "seed": ("seed",),
        "time": ("time",),
        "step": ("time",),
    },
}
DIMENSIONS["dataset"] = {**DIMENSIONS["metrics"], "run": ()}


@pytest.mark.parametrize("name", DIMENSIONS)
def test_every_variable_is_labelled_and_every_file_tells_what_made_it(finished: Path, name: str) -> None:
    path = finished / "dataset.nc" if name == "dataset" else finished / "default" / f"{name}.nc"
    with xr.open_dataset(path) as dataset:
        for variable, dimensions in DIMENSIONS[name].items():
            assert dataset[variable].dims == dimensions
        for variable in dataset.variables.values():
            assert variable.attrs["long_name"]
            assert variable.attrs["units"]
        if name != "problem":
            assert set(dataset.coords) == {"seed", "time", "step"}
            assert dataset["time"].values.tolist() == [0.0, 0.1, 1.0, 5.0]
            assert dataset["step"].values.tolist() == [0, 1, 10, 50]
            assert dataset.attrs["backend"] == "numba"
        assert dataset["seed"].values.tolist() == RUN["seeds"]
        assert json.loads(dataset["run"].item() if name == "dataset" else dataset.attrs["run"]) == RUN
        versions = json.loads(dataset.attrs["versions"])
        assert versions["numpy"] == np.__version__
        assert {"python", "twolayer", "numba", "scipy", "netCDF4"} <= versions.keys()
        assert len(dataset.attrs["code"]) == 16
        assert "p/e/" in dataset.attrs["title"]


def test_every_number_stays_the_same_on_its_way_to_the_file(tmp_path: Path) -> None:
    values = {
        "doubles": np.array([1e-308, 5e-324, np.nan, np.inf, -0.0, 1 / 3]),
        "singles": np.array([1 / 3, np.nan], dtype=np.float32),
        "integers": np.array([-1, 2**62], dtype=np.int64),
        "flags": np.array([True, False]),
        "swept": np.array(["relu", "Σ|a||w|"], dtype=object),
        "alone": np.asarray("word"),
        "one": np.asarray(2.5),
    }
    dims = {name: (name,) if array.ndim else () for name, array in values.items()}
    variables = {
        name: ((f"d{name}",) if dims[name] else (), array, {"units": "1"}) for name, array in values.items()
    }
    netcdf.write(tmp_path / "file.nc", variables, {"note": "x"})
    back, attributes = netcdf.read(tmp_path / "file.nc")
    assert attributes.pop("checksum") == checksum.of_arrays(back, attributes)
    assert attributes == {"note": "x"}
    for name, array in values.items():
        found = back[name][1]
        assert found.shape == array.shape
        if array.dtype.kind in "fi":
            assert found.dtype == array.dtype
            assert found.tobytes() == array.tobytes()
        else:
            assert found.tolist() == (array.astype(int) if name == "flags" else array).tolist()
    with xr.open_dataset(tmp_path / "file.nc") as dataset:
        assert dataset["doubles"].values[:2].tolist() == [1e-308, 5e-324]


# ---- whole or absent ----


def written(text: str) -> Any:
    """A producer of a file with that text."""

    def produce(aside: Path) -> None:
        aside.write_text(text)

    return produce


def accept(aside: Path) -> None:
    """Any file will do."""


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("moment", ["while it is written", "when it is checked", "by ctrl-C"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, old: str | None, moment: str) -> None:
    path = tmp_path / "folder" / "file.txt"
    if old is not None:
        atomic.write(path, written(old), accept)

    def produce(aside: Path) -> None:
        aside.write_text("half")
        assert path.exists() == (old is not None)  # the new file does not show before it is whole
        if moment == "while it is written":
            raise OSError("the wire came loose")
        if moment == "by ctrl-C":
            raise KeyboardInterrupt

    def verify(aside: Path) -> None:
        raise ValueError("half of it is missing")

    if moment == "by ctrl-C":
        with pytest.raises(KeyboardInterrupt):
            atomic.write(path, produce, accept)
    else:
        reason = "the wire came loose" if moment == "while it is written" else "half of it is missing"
        with pytest.raises(
            DataError, match=f"^{path}: could not be written: {reason}.*nothing was left behind"
        ):
            atomic.write(path, produce, verify)
    left = {file.name: file.read_text() for file in path.parent.iterdir()}
    assert left == ({} if old is None else {"file.txt": old})


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".file.part.nc").write_bytes(b"half")
    (tmp_path / ".file.nc.lock").write_bytes(b"")
    netcdf.write(tmp_path / "file.nc", {"x": (("n",), np.arange(3.0), {})}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["file.nc"]
    assert netcdf.read(tmp_path / "file.nc")[0]["x"][1].tolist() == [0.0, 1.0, 2.0]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["generate", "--run", json.dumps(RUN), "--output", f"{tmp_path}/file/problem.nc"]) == 2
    assert one_line(capsys).startswith(
        f"twolayer generate: error: {tmp_path}/file/problem.nc: could not be written"
    )


WRITE = """
import resource, sys
import numpy as np
from pathlib import Path
from twolayer.storage import netcdf
from twolayer.errors import DataError
path, limit, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    netcdf.write(path, {"x": (("n",), np.random.default_rng(0).random(size), {})}, {})
except DataError as error:
    sys.exit(str(error))
"""


def write_elsewhere(path: Path, limit: int, size: int) -> subprocess.CompletedProcess[str]:
    """Write `size` numbers in another process, whose files may have `limit` bytes (0: any number)."""
    command = [sys.executable, "-c", WRITE, str(path), str(limit), str(size)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_limit_on_the_size_of_files_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    assert write_elsewhere(path, 0, 10).returncode == 0
    before = path.read_bytes()
    failed = write_elsewhere(path, 50_000, 100_000)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"{path}: could not be written: ")
    assert "Traceback" not in failed.stderr
    assert files_below(tmp_path) == {"file.nc": before}


def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip(
            "needs the right to mount a file system: run `pytest tests/storage/test_datasets.py -k full_disk` as root"
        )
    try:
        path = disk / "file.nc"
        assert write_elsewhere(path, 0, 10).returncode == 0
        before = path.read_bytes()
        failed = write_elsewhere(path, 0, 100_000)
        assert failed.returncode == 1
        assert "the disk is full" in failed.stderr
        assert "nothing was left behind" in failed.stderr
        assert files_below(disk) == {"file.nc": before}
        assert write_elsewhere(path, 0, 20).returncode == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


HOLD = """
import sys
from pathlib import Path
from twolayer.storage import atomic
with atomic.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["released", "killed"])
def test_one_process_writes_and_the_other_waits(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "file.nc"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    command = [sys.executable, "-c", WRITE, str(path), "0", "10"]
    writer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert writer.stderr is not None
    assert writer.stderr.readline() == f"waiting for another process that writes {path}\n"
    assert not path.exists()
    if ending == "killed":
        holder.kill()
    holder.communicate()
    assert writer.wait() == 0
    writer.stderr.close()
    assert [file.name for file in tmp_path.iterdir()] == ["file.nc"]


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    command = [sys.executable, "-c", WRITE, str(path), "0", "1000"]
    writers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert [file.name for file in tmp_path.iterdir()] == ["file.nc"]
    assert np.array_equal(netcdf.read(path)[0]["x"][1], np.random.default_rng(0).random(1000))


KERNEL = '''
import hashlib
import sys
from dataclasses import dataclass
from twolayer import Descent, hookimpl

@dataclass(frozen=True)
class Kernel(Descent):
    """Hours in compiled code, which no signal handler of Python interrupts."""

    def steps(self, problem, weights, random):
        print("inside", file=sys.stderr, flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        yield weights

@hookimpl
def register_dynamics(register):
    register("kernel", Kernel)
'''


def test_ctrl_c_ends_a_long_kernel(tmp_path: Path) -> None:
    (tmp_path / "plugins" / "dynamics").mkdir(parents=True)
    (tmp_path / "plugins" / "dynamics" / "kernel.py").write_text(KERNEL)
    problem, trajectory = tmp_path / "out" / "problem.nc", tmp_path / "out" / "trajectory.nc"
    run = {**RUN, "dynamics": {"name": "kernel", "step_size": 1.0}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(problem)]) == 0
    verb = ["train", "--plugin-path", str(tmp_path / "plugins"), "--backend", "numpy"]
    files = ["--problem", str(problem), "--output", str(trajectory)]
    process = subprocess.Popen(
        [sys.executable, "-m", "twolayer.cli", *verb, *files], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "inside\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    assert os.listdir(tmp_path / "out") == ["problem.nc"]


# ---- gather ----


def metrics_of(times: list[float], seeds: int = 1, neurons: int = 1, **more: Any) -> netcdf.Variables:
    """A metrics file in memory: a = index of time, of seed, of neuron."""
    size = (seeds, len(times), neurons)
    labels = {"long_name": "x", "units": "1"}
    variables: netcdf.Variables = {
        "a": (("seed", "time", "neuron"), np.arange(np.prod(size), dtype=float).reshape(size), labels),
        "closest": (("seed", "neuron"), np.zeros((seeds, neurons), dtype=np.int64), labels),
        "seed": (("seed",), np.arange(seeds), labels),
        "time": (("time",), np.asarray(times), labels),
    }
    return variables | more


def run_with(**words: Any) -> dict[str, Any]:
    """A run of which only the words count."""
    return {"swept": words}


def test_gather_one_run() -> None:
    file = metrics_of([0.0, 1.0])
    found = gather([run_with()], [file])
    assert found["a"][0] == ("seed", "time", "neuron")
    assert json.loads(found["run"][1].item()) == {"swept": {}}


def test_gather_a_product_with_ragged_dimensions() -> None:
    runs = [run_with(neurons=m, scale=s) for m in (1, 3) for s in (0.5, 0.25)]
    files = [metrics_of([0.0, 1.0], neurons=run["swept"]["neurons"]) for run in runs]
    found = gather(runs, files)
    dimensions, values, labels = found["a"]
    assert dimensions == ("neurons", "scale", "seed", "time", "neuron")
    assert labels == {"long_name": "x", "units": "1"}
    assert values.shape == (2, 2, 1, 2, 3)
    assert values[1, 0, 0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert values[0, 0, 0, :, 0].tolist() == [0.0, 1.0]
    assert np.isnan(values[0, ..., 1:]).all()
    assert found["closest"][1][0, 0, 0].tolist() == [0, -1, -1]
    assert found["time"][0] == ("time",)
    assert found["neurons"][:2] == (("neurons",), pytest.approx(np.array([1, 3])))
    assert found["scale"][1].tolist() == [0.5, 0.25]
    assert json.loads(found["run"][1][1, 0]) == runs[2]
    for _, _, described in found.values():
        assert described["long_name"]
        assert described["units"]


def test_gather_a_zip_along_its_first_word() -> None:
    runs = [run_with(teachers=t, neurons=m, exact=e) for t, m, e in ((1, 5, True), (2, 9, False))]
    found = gather(runs, [metrics_of([0.0, 1.0], neurons=run["swept"]["neurons"]) for run in runs])
    assert found["a"][0] == ("teachers", "seed", "time", "neuron")
    assert (found["neurons"][0], found["neurons"][1].tolist()) == (("teachers",), [5, 9])
    assert found["exact"][1].tolist() == [1, 0]


def test_gather_a_zip_whose_first_word_repeats_leaves_holes() -> None:
    runs = [run_with(c="x", b=1.0), run_with(c="x", b=2.0), run_with(c="y", b=1.0)]
    found = gather(runs, [metrics_of([0.0, 1.0]) for _ in runs])
    assert found["a"][0] == ("c", "b", "seed", "time", "neuron")
    assert np.isnan(found["a"][1][1, 1]).all()
    assert np.isfinite(found["a"][1][0]).all()
    assert found["b"][1].tolist() == [1.0, 2.0]
    assert found["run"][1][1, 1] == ""


def test_gather_clocks_that_differ_get_the_swept_dimension(tmp_path: Path) -> None:
    step = ("step", np.array([0, 1]))
    flow = metrics_of([0.0, 1.0, 5.0])
    descent = metrics_of([0.0, 0.5], step=(("time",), step[1], {"long_name": "step", "units": "1"}))
    found = gather([run_with(dynamics="flow"), run_with(dynamics="descent")], [flow, descent])
    assert found["time"][0] == ("dynamics", "time")
    np.testing.assert_array_equal(found["time"][1], [[0.0, 1.0, 5.0], [0.0, 0.5, np.nan]])
    assert found["step"][0] == ("dynamics", "time")
    assert found["step"][1].tolist() == [[-1, -1, -1], [0, 1, -1]]
    assert np.isnan(found["a"][1][1, 0, 2]).all()
    netcdf.write(tmp_path / "dataset.nc", found, contents.coordinates(found, ["dynamics"]))
    with xr.open_dataset(tmp_path / "dataset.nc") as dataset:
        assert set(dataset.coords) == {"dynamics", "seed", "time", "step"}
        assert dataset["a"].sel(dynamics="flow")["time"].values.tolist() == [0.0, 1.0, 5.0]


def test_gather_numbers_beside_labels_are_text() -> None:
    found = gather([run_with(scale=1.0), run_with(scale="inverse")], [metrics_of([0.0])] * 2)
    assert found["scale"][1].tolist() == ["1.0", "inverse"]
    found = gather([run_with(n=1, scale=1.0), run_with(n=2, scale="inverse")], [metrics_of([0.0])] * 2)
    assert found["scale"][1].tolist() == ["1.0", "inverse"]


# ---- what cannot be read ----


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed: one line."""
    printed, warned = capsys.readouterr()
    assert printed == ""
    assert len(warned.splitlines()) == 1
    return warned


def data_file(path: Path, **changes: Any) -> Path:
    """A file with data and initial weights, some of it changed."""
    content: dict[str, Any] = {
        "inputs": (("sample", "feature"), np.eye(3, 4)),
        "targets": (("sample",), np.ones(3)),
        "initial_hidden": (("neuron", "feature"), np.ones((5, 4))),
        "initial_output": (("neuron",), np.ones(5)),
    }
    content = {name: value for name, value in (content | changes).items() if value is not None}
    netcdf.write(path, {name: (*value, {}) for name, value in content.items()}, {})
    return path


SAMPLE, FEATURE = ("sample",), ("sample", "feature")

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a variable missing": ({"inputs": None}, "there is no variable 'inputs'. Did you mean "),
    "another shape": (
        {"inputs": (SAMPLE, np.ones(3))},
        "inputs has the dimensions (sample); must be (sample, feature)",
    ),
    "turned around": (
        {"inputs": (("feature", "sample"), np.eye(4, 3))},
        "inputs has the dimensions (feature, sample); must be (sample, feature)",
    ),
    "a NaN": (
        {"inputs": (FEATURE, np.diag([1.0, np.nan])), "targets": None, "initial_hidden": None},
        "inputs[1, 1] is nan; every number must be finite",
    ),
    "an infinity": (
        {"targets": (SAMPLE, np.array([1.0, 2.0, -np.inf]))},
        "targets[2] is -inf; every number must be finite",
    ),
    "swept": ({"targets": (SAMPLE, np.array(["a", "b", "c"]))}, "targets does not hold numbers"),
    "no sample": (
        {"inputs": (FEATURE, np.ones((0, 4))), "targets": None, "initial_hidden": None},
        "inputs is empty along sample",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_data_file_that_cannot_be_used_is_one_line(tmp_path: Path, capsys: Any, what: str) -> None:
    changes, message = BAD[what]
    path = data_file(tmp_path / "data.nc", **changes)
    run = {**RUN, "problem": {"name": "file", "path": str(path)}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 2
    printed = one_line(capsys)
    assert printed.startswith(f"twolayer generate: error: {path}: ")
    assert message in printed
    assert os.listdir(tmp_path) == ["data.nc"]


def foreign_file(path: Path, kind: str, values: Any, written: int = 3, **attributes: Any) -> Path:
    """Data as another program writes them: targets of a kind, of which the first `written` rows are written."""
    fill = attributes.pop("_FillValue", None)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("sample", 3), ("feature", 4), ("neuron", 5)):
            file.createDimension(name, size)
        file.createVariable("inputs", "f8", ("sample", "feature"))[...] = np.eye(3, 4)
        file.createVariable("initial_hidden", "f8", ("neuron", "feature"))[...] = np.ones((5, 4))
        file.createVariable("unread", "f8", ("sample",), fill_value=-1.0)[...] = -1.0  # nobody reads it
        for name, dimension, size in (("targets", "sample", 3), ("initial_output", "neuron", 5)):
            variable = file.createVariable(name, kind, (dimension,), fill_value=fill)
            variable.setncatts(attributes)
            variable.set_auto_maskandscale(False)
            numbers = np.resize(np.asarray(values), size)
            numbers[3:] = numbers[0]
            variable[:written] = numbers[:written]
            if written == 3:
                variable[3:] = numbers[3:]
    return path


SHORT = {"scale_factor": 0.5, "add_offset": 1.0}

MISSING: dict[str, tuple[str, list[float], dict[str, Any], str]] = {
    "a fill value": ("f8", [1.0, -9999.0, 2.0], {"_FillValue": -9999.0}, "[1] is missing: the file holds -9999.0"),
    "a missing value": ("f4", [1.0, 2.0, 1e20], {"missing_value": np.float32(1e20)}, "[2] is missing"),
    "one of several": ("f8", [1.0, 2.0, -8.0], {"missing_value": np.array([-9.0, -8.0])}, "[2] is missing"),
    "packed": ("i2", [4, -32768, 2], {"_FillValue": -32768, **SHORT}, "[1] is missing: the file holds -32768"),
    "packed, missing": ("i2", [4, -1, 2], {"missing_value": np.int16(-1), **SHORT}, "[1] is missing"),
    "a range": ("f8", [1.0, 2.0, 101.0], {"valid_range": np.array([-100.0, 100.0])}, "[2] is missing"),
    "a least": ("f8", [-3.0, 2.0, 1.0], {"valid_min": 0.0}, "[0] is missing: the file holds -3.0 there (see valid_m"),
    "a most": ("i4", [1, 2, 7], {"valid_max": np.int32(5)}, "[2] is missing"),
    "never written": ("f8", [1.0, 2.0, 3.0], {"written": 2}, "[2] is missing: the file holds 9.969209968386869e+36"),
    "never written, float32": ("f4", [1.0, 2.0, 3.0], {"written": 1}, "[1] is missing"),
    "never written, integers": ("i4", [1, 2, 3], {"written": 2}, "[2] is missing: the file holds -2147483647"),
    "NaN that is the fill": ("f8", [1.0, np.nan, 2.0], {"_FillValue": np.nan}, "[1] is nan"),
    "a word as its mark": ("f8", [1.0, 2.0, 3.0], {"missing_value": "NA"}, ": its missing_value is 'NA'; must"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSING)
def test_what_a_file_calls_missing_is_refused(tmp_path: Path, capsys: Any, what: str) -> None:
    kind, values, attributes, message = MISSING[what]
    path = foreign_file(tmp_path / "data.nc", kind, values, **attributes)
    run = {**RUN, "problem": {"name": "file", "path": str(path)}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 2
    assert f"{path}: targets{message}" in one_line(capsys)
    run = {**RUN, "initialization": {"name": "file", "path": str(path)}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 0
    files = ["--problem", str(tmp_path / "problem.nc"), "--output", str(tmp_path / "trajectory.nc")]
    assert main(["train", *files, "--backend", "numpy"]) == 2
    assert f"{path}: initial_output{message}" in one_line(capsys)


@pytest.mark.parametrize(
    "marks", [{}, {"_FillValue": -32768}, {"valid_range": np.array([-5, 5], dtype="i2")}]
)
def test_packed_integers_are_unpacked(tmp_path: Path, marks: dict[str, Any]) -> None:
    path = foreign_file(tmp_path / "data.nc", "i2", [4, -3, 2], **SHORT, **marks)
    arrays = netcdf.read_arrays(path, {"targets": ("sample",)})
    np.testing.assert_array_equal(arrays["targets"], [3.0, -0.5, 2.0])
    assert netcdf.read(path, ["targets"])[0]["targets"][2] == {}


@pytest.mark.parametrize(("name", "variable"), [("problem", "targets"), ("trajectory", "hidden")])
def test_files_of_ours_that_somebody_edited(
    finished: Path, tmp_path: Path, capsys: Any, name: str, variable: str
) -> None:
    """A fill value in them is refused by its place; any other number, by the checksum of what was written."""
    shutil.copytree(finished / "default", tmp_path / "run")
    at = tmp_path / "run"
    arguments = {
        "problem": ["train", "--problem", f"{at}/problem.nc", "--backend", "numpy"],
        "trajectory": ["measure", "--problem", f"{at}/problem.nc", "--trajectory", f"{at}/trajectory.nc"],
    }[name]
    with netCDF4.Dataset(at / f"{name}.nc", "a") as file:
        file[variable].setncattr("missing_value", -9999.0)
        first = (0,) * file[variable].ndim
        kept = float(file[variable][first])
        file[variable][first] = -9999.0
    assert main([*arguments, "--output", str(tmp_path / "made.nc")]) == 2
    spot = ", ".join(map(str, first))
    assert f"{at}/{name}.nc: {variable}[{spot}] is missing: the file holds -9999.0" in one_line(capsys)
    with netCDF4.Dataset(at / f"{name}.nc", "a") as file:
        file[variable][first] = np.nan
    assert main([*arguments, "--output", str(tmp_path / "made.nc")]) == 2
    assert f"{at}/{name}.nc: is altered: what it holds is not what was written" in one_line(capsys)
    with netCDF4.Dataset(at / f"{name}.nc", "a") as file:
        file[variable][first] = kept
        file[variable].delncattr("missing_value")
    assert main([*arguments, "--output", str(tmp_path / "made.nc")]) == 0


def test_an_edit_by_xarray_keeps_a_file_whole(finished: Path, tmp_path: Path) -> None:
    """xarray marks NaN as the fill value of floats: such a file is read as it was."""
    with xr.open_dataset(finished / "default" / "trajectory.nc") as dataset:
        dataset.load().assign_attrs(remark="seen").to_netcdf(tmp_path / "trajectory.nc")
    back, _ = netcdf.read(tmp_path / "trajectory.nc")
    before, _ = netcdf.read(finished / "default" / "trajectory.nc")
    np.testing.assert_array_equal(back["hidden"][1], before["hidden"][1])


def test_lengths_that_disagree(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "data.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, dimensions, size in (("inputs", ("n", "d"), (3, 4)), ("targets", ("n",), (3,))):
            for dimension, length in zip(dimensions, size, strict=True):
                if dimension not in file.dimensions:
                    file.createDimension(dimension, length)
            file.createVariable(name, "f8", dimensions)[...] = 1.0
    run = {**RUN, "problem": {"name": "file", "path": str(path)}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 2
    assert "inputs has the dimensions (n, d); must be (sample, feature)" in one_line(capsys)
    run = {**RUN, "initialization": {"name": "file", "path": str(data_file(tmp_path / "weights.nc"))}}
    run["network"] = {**RUN["network"], "neurons": 6}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 0
    files = ["--problem", str(tmp_path / "problem.nc"), "--output", str(tmp_path / "trajectory.nc")]
    assert main(["train", *files, "--backend", "numpy"]) == 2
    assert "initial_hidden is (5, 4); this run has (neuron, feature) = (6, 4)" in one_line(capsys)


def test_a_dataset_with_another_number_is_neither_drawn_nor_judged(
    finished: Path, tmp_path: Path, capsys: Any
) -> None:
    """The number was changed after the file was written: its checksum tells."""
    shutil.copytree(finished, tmp_path / "e")
    dataset = tmp_path / "e" / "dataset.nc"
    with netCDF4.Dataset(dataset, "a") as file:
        file["loss"][..., -1] = 0.5
    paper = tmp_path / "plugins" / "papers" / "mine"
    paper.mkdir(parents=True)
    (paper / "figures.py").write_text(FIGURE)
    for verb in (["render", "mine.empty", "--plugin-path", str(tmp_path / "plugins")], ["claims", "nobody"]):
        output = tmp_path / "out.png"
        assert main([*verb, "--datasets", str(dataset), "--output", str(output)]) == 2
        assert f"{dataset}: is altered: what it holds is not what was written" in capsys.readouterr().err
        assert not output.exists()


@pytest.mark.parametrize(
    "name", [" led by a space", "'\"$(x)`", "new\nline", "{brace}", "-dash", "數", "%s*?[x]", "~", "#"]
)
def test_relative_paths_of_any_letters(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in the current folder is read there, by this package and as xarray opens it."""
    monkeypatch.chdir(tmp_path)
    path = Path(f"{name}.nc")
    netcdf.write(path, {"loss": (("time",), np.arange(3.0), {})}, {"title": name})
    assert netcdf.read(path)[1]["title"] == name
    with xr.open_dataset(netcdf.store_of(path)) as dataset:
        assert dataset.loss.values.tolist() == [0.0, 1.0, 2.0]
    assert list(netcdf.read_arrays(path, {"loss": ("time",)})["loss"]) == [0.0, 1.0, 2.0]


READERS = ("train", "measure", "gather", "render", "claims", "table")
CASES = [(verb, what) for verb in READERS for what in ("absent", "text", "cut short")]
CASES += [(verb, "of another stage") for verb in READERS[:3]]  # a figure or claim takes any dataset


@pytest.mark.parametrize(("verb", "what"), CASES)
def test_a_file_between_stages_that_cannot_be_used_is_one_line(
    finished: Path, tmp_path: Path, capsys: Any, verb: str, what: str
) -> None:
    experiment = tmp_path / "e"
    shutil.copytree(finished, experiment)
    at = experiment / "default"
    output = ["--output", str(tmp_path / ("figure.png" if verb == "render" else "out.nc"))]
    target, arguments = {
        "train": (at / "problem.nc", ["train", "--problem", f"{at}/problem.nc", *output]),
        "measure": (
            at / "trajectory.nc",
            ["measure", "--problem", f"{at}/problem.nc", "--trajectory", f"{at}/trajectory.nc", *output],
        ),
        "gather": (at / "metrics.nc", ["gather", str(experiment), "--runs", "default", *output]),
        "render": (
            experiment / "dataset.nc",
            ["render", "mine.empty", "--plugin-path", str(tmp_path / "plugins")],
        ),
        "claims": (experiment / "dataset.nc", ["claims", "nobody"]),
        "table": (experiment / "dataset.nc", ["claims", "--table", f"{experiment}/dataset.nc"]),
    }[verb]
    if verb in ("render", "claims"):
        arguments += ["--datasets", f"{experiment}/dataset.nc", *output]
        paper = tmp_path / "plugins" / "papers" / "mine"
        paper.mkdir(parents=True)
        (paper / "figures.py").write_text(FIGURE)
    whole = target.read_bytes()
    other = at / ("problem.nc" if verb != "train" else "trajectory.nc")
    target.unlink()
    if what != "absent":
        target.write_bytes(
            {"text": b"not a netCDF file", "cut short": whole[: len(whole) // 2]}.get(what)
            or other.read_bytes()
        )
    assert main(arguments) == 2
    printed = one_line(capsys)
    assert printed.startswith(f"twolayer {arguments[0]}: error: {target}: ")
    assert not (tmp_path / "out.nc").exists()


FIGURE = """
from twolayer import drawing, hookimpl

@drawing("theorem", "Nothing.")
def empty(canvas, data):
    pass

@hookimpl
def register_figures(register):
    register("mine.empty", empty)
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--run", "{", "--output", "x.nc"], "--run: is not JSON"),
        (["generate", "--run", "[]", "--output", "x.nc"], "--run: must be a mapping with"),
        (
            ["gather", "e", "--runs", "{", "--output", "x.nc"],
            "--runs: neither names nor the JSON of a product",
        ),
        (["gather", "e", "--runs", '{"a": 1}', "--output", "x.nc"], "--runs: neither names nor the JSON"),
        (["claims", "--output", "claims.json"], "claims: --output needs a paper"),
        (
            ["render", "no.figure", "--datasets", "x.nc", "--output", "x.png"],
            "there is no figure 'no.figure'",
        ),
        (["plugins", "--plugin-path", "nowhere"], "plugin_paths: there is no folder 'nowhere'"),
    ],
)
def test_arguments_that_make_no_sense_are_one_line(arguments: list[str], message: str, capsys: Any) -> None:
    assert main(arguments) == 2
    assert message in one_line(capsys)
