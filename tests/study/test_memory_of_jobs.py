"""The memory of a job: estimated from its sizes, above what it takes, and refused before it starts."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from peak_memory import VERB, peak_memory

from twolayer.cli import main
from twolayer.study import memory
from twolayer.study.job import Job
from twolayer.study.registry import load

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "default",
    "swept": {},
    "dtype": "float64",
    "problem": {"name": "gaussian_teacher", "dimension": 50, "teachers": 2, "samples": 20000},
    "network": {"neurons": 20},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.05},
    "times": {"steps": [1, 2]},
    "seeds": list(range(10)),
}


def test_a_job_takes_no_more_than_estimated(tmp_path: Path) -> None:
    """The peaks of generate, train and measure of 80 MB of data; below a tenth of it no estimate is of use."""
    needs = Job(RUN, load()).memory()
    problem, trajectory, metrics = (
        str(tmp_path / f"{name}.nc") for name in ("problem", "trajectory", "metrics")
    )
    for arguments in (
        ["generate", "--run", json.dumps(RUN), "--output", problem],
        ["train", "--problem", problem, "--backend", "numpy", "--output", trajectory],
        ["measure", "--problem", problem, "--trajectory", trajectory, "--output", metrics],
    ):
        _, peak = peak_memory(VERB, arguments)
        assert 0.1 * needs < peak < needs


def test_sizes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """More seeds, samples, neurons or times need more; a wide teacher problem is small in its span."""
    registry = load()
    base = Job(RUN, registry).memory()
    for key, value in (
        ("seeds", list(range(20))),
        ("network", {"neurons": 40}),
        ("problem", RUN["problem"] | {"samples": 40000}),
        ("times", {"steps": list(range(1, 100))}),
    ):
        assert Job(RUN | {key: value}, registry).memory() > base
    wide = RUN | {"problem": {"name": "gaussian_teacher", "dimension": 10**6, "teachers": 2}}
    assert Job(wide, registry).memory() < base


def test_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that does not fit says its need, what there is, and the remedy."""
    run = RUN | {"problem": RUN["problem"] | {"samples": 10}}
    problem, output = tmp_path / "problem.nc", tmp_path / "trajectory.nc"
    assert main(["generate", "--run", json.dumps(run), "--output", str(problem)]) == 0
    monkeypatch.setattr(memory, "available", lambda: 2e8)
    assert main(["train", "--problem", str(problem), "--output", str(output)]) == 2
    said = capsys.readouterr().err
    assert f"{output}: needs about 2" in said
    assert "and this machine has 200 MB: ask for fewer seeds" in said
    assert not output.exists()


def test_available() -> None:
    """Some memory is there, and no more than the machine has."""
    assert 1e8 < memory.available() < 1e15
    assert resource.getpagesize() > 0
