"""The tutorial's cells, run in their order in one namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from project import PROJECT


def test_the_tutorial_runs_and_says_what_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((PROJECT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)
    assert float(names["dataset"]["loss"].isel(time=-1).max()) < 1e-20
    np.testing.assert_allclose(names["per_decade"], np.log(10) / 0.5, atol=0.1 / 3)  # times are 0.1 apart
    plateau = names["dataset"]["loss"].sel(time=9, method="nearest")
    np.testing.assert_allclose(plateau, 0.25, rtol=0.02)  # one of two labels is fitted, from 7.2 to 14.3
    assert float(names["rolling"]["loss"].isel(time=-1).max()) < 1e-20
    assert (tmp_path / "neurons.gif").stat().st_size > 10_000
