"""The time that a cluster keeps for a run: above what it takes, and more for more work."""

from __future__ import annotations

from typing import Any

import pytest

from twolayer.study.job import Job
from twolayer.study.registry import load

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "default",
    "swept": {},
    "dtype": "float64",
    "problem": {"name": "orthogonal", "samples": 100, "dimension": 200, "targets": [1.0] * 100},
    "network": {"neurons": 500},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.05},
    "times": {"steps": [0, 1000]},
    "seeds": list(range(8)),
}


def longest(threads: int = 1, **changes: Any) -> dict[str, float]:
    return Job({**RUN, **changes}, load()).longest(threads)


def test_a_descent_takes_its_steps_on_its_cores() -> None:
    """Steps times multiplications; eight seeds on four cores are two rounds, on three cores three."""
    whole = longest()["train"]
    assert longest(times={"steps": [0, 2000]})["train"] == pytest.approx(2 * whole)
    assert longest(network={"neurons": 1000})["train"] == pytest.approx(2 * whole)
    assert longest(4)["train"] == pytest.approx(whole / 4)
    assert longest(3)["train"] == pytest.approx(3 * whole / 8)
    assert longest(16)["train"] == pytest.approx(whole / 8)


def test_a_flow_takes_no_longer_than_its_budget() -> None:
    times = {"start": 0.1, "stop": 1.0, "count": 5, "spacing": "log"}
    short = longest(8, dynamics={"name": "gradient_flow", "max_seconds": 20.0}, times=times)
    assert short["train"] == 20.0
    assert short["measure"] >= short["train"], "its error is measured by a second flow"
    assert longest(8, dynamics={"name": "gradient_flow"}, times=times)["train"] < 3600
