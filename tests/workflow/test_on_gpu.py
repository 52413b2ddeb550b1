"""The script that measures a GPU says where there is none."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec

import pytest
from project import PROJECT


@pytest.mark.skipif(find_spec("cupy") is not None, reason="cupy is installed: there may be a card")
def test_without_a_card_it_says_so_and_measures_nothing() -> None:
    script = PROJECT / "benchmarks" / "on_gpu.sh"
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout.startswith("No GPU: cupy finds no CUDA device here, so nothing is measured.")
