"""The tutorial in a real Jupyter kernel: figures show, progress shows in the cell and is gone at its end."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from project import PROJECT

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("ipykernel", "nbclient")),
        reason="needs ipykernel and nbclient",
    ),
]


def test_the_tutorial_runs_in_a_kernel(tmp_path: Path) -> None:
    nbformat, nbclient = importlib.import_module("nbformat"), importlib.import_module("nbclient")
    notebook = nbformat.read(PROJECT / "docs" / "tutorial.ipynb", 4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    pictures = [
        bool([each for each in cell.outputs if "image/png" in each.get("data", {})]) for cell in cells
    ]
    assert pictures == [True, True, False, True]  # the third cell prints a number
    assert all(output.get("name") != "stderr" for output in outputs), "a notebook shows it as a warning"
    said = ["".join(part.text for part in cell.outputs if part.output_type == "stream") for cell in cells]
    assert re.search(r"t = \S+ \(\d+ %\), loss \S+", "".join(said))
    for text in said:
        assert not text.rpartition("\r")[2].startswith("t = "), "progress stays after the cell has ended"
    assert "per decade, and ln 10 / 0.5 is" in said[1]
    assert (tmp_path / "neurons.gif").stat().st_size > 10_000
