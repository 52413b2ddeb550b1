"""Arrays from `.npz` and `.csv`: the examples of docs/files.md, the same numbers as from netCDF, what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from project import PROJECT

import twolayer
from twolayer.errors import DataError, TwolayerError
from twolayer.storage.netcdf import read_arrays, read_seed

DATA = {"inputs": ("sample", "feature"), "targets": ("sample",)}
STARTS = {"initial_hidden": ("neuron", "feature"), "initial_output": ("neuron",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of the page, those that its programs write among them."""
    root = tmp_path_factory.mktemp("files")
    page = (PROJECT / "docs" / "files.md").read_text(encoding="utf-8")
    for language, name, text in re.findall(r"^```(\w+)\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language == "python":
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(root)
                exec(compile(text, name, "exec"), {})
        else:
            (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("name", ["measured", "taught"])
def test_the_experiments_of_the_page(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    found = twolayer.run(config["papers"]["mine"]["experiments"][name], "numpy", threads=1)
    assert np.isfinite(found["loss"]).all()
    assert (found["loss"].isel(time=-1) < found["loss"].isel(time=0)).all()


def test_rows_of_seeds(folder: Path) -> None:
    arrays = np.load(folder / "data.npz")
    found = read_seed(folder / "data.npz", DATA, 7)
    np.testing.assert_array_equal(found["inputs"], arrays["inputs"][3])
    np.testing.assert_array_equal(found["targets"], arrays["targets"][3])
    starts = read_seed(folder / "starts.csv", STARTS, 1)
    assert starts["initial_hidden"].tolist() == [[0.3, 0.1], [-0.2, 0.1]]
    assert starts["initial_output"].tolist() == [0.2, 0.4]
    with pytest.raises(DataError, match=r"has the seeds \[0, 1\]; this run has a seed 4"):
        read_seed(folder / "starts.csv", STARTS, 4)


def test_formats_hold_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    inputs, targets = random.standard_normal((5, 2)), random.standard_normal(5)
    xr.Dataset({"inputs": (("sample", "feature"), inputs), "targets": ("sample", targets)}).to_netcdf(
        tmp_path / "data.nc"
    )
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=targets, remark=np.array("not read"))
    lines = [",".join(map(repr, (*x.tolist(), float(y)))) for x, y in zip(inputs, targets, strict=True)]
    (tmp_path / "data.CSV").write_text("\ufeff" + "\r\n".join(["first, second ,target", *lines, ""]))
    found = [read_arrays(tmp_path / name, DATA) for name in ("data.nc", "data.npz", "data.CSV")]
    for other in found[1:]:
        for name in DATA:
            assert other[name].tobytes() == found[0][name].tobytes()


CSV: dict[str, tuple[str, str]] = {
    "no lines": ("x,target\n", "has no lines after that of the column names"),
    "no names": ("1.0,2.0\n3.0,4.0\n", "the first line has numbers, 1.0,2.0; it must name the columns"),
    "no target": ("x,y\n1,2\n", "has no column 'target', which is targets"),
    "no features": ("target\n1\n", "has no columns of features, for inputs"),
    "a short line": ("x,target\n1,2\n3\n", "line 3 has 1 cells; must have 2"),
    "a word": ("x,target\n1,one\n", "line 2, column target: 'one' is no number"),
    "not finite": ("x,target\n1,nan\n", r"targets\[0\] is nan; every number must be finite"),
    "two of one name": ("x,x,target\n1,2,3\n", "two columns have one name"),
    "uneven seeds": (
        "seed,x,target\n0,1,1\n0,1,1\n1,1,1\n",
        "seeds must have as many lines each, and there are 2 of",
    ),
}


@pytest.mark.parametrize("case", CSV)
def test_what_is_wrong_with_a_csv(case: str, tmp_path: Path) -> None:
    text, message = CSV[case]
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_arrays(path, DATA)


NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"input": np.ones((2, 1)), "targets": np.ones(2)}, "Did you mean 'input'"),
    "axes": (
        {"inputs": np.ones(2), "targets": np.ones(2)},
        "inputs has 1 axes; must have 2, sample, feature",
    ),
    "lengths": ({"inputs": np.ones((3, 1)), "targets": np.ones(2)}, "targets has 2 along sample; must be 3"),
    "objects": ({"inputs": np.array([{}]), "targets": np.ones(2)}, "cannot be read"),
}


@pytest.mark.parametrize("case", NPZ)
def test_what_is_wrong_with_an_npz(case: str, tmp_path: Path) -> None:
    arrays, message = NPZ[case]
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(TwolayerError, match=message):
        read_arrays(path, DATA)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for name in ("data.npz", "data.csv"):
        (tmp_path / name).write_bytes(b"PK\x03\x04\xff\xfe cut")
        with pytest.raises(DataError, match=r"data\.\w+: "):
            read_arrays(tmp_path / name, DATA)
