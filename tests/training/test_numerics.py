"""What leaves the range of floats, or goes on without progress: said where and why, and never shown as a number."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import twolayer

POINTS = {
    "name": "points",
    "inputs": [[1.0, 0.3], [0.2, 1.0], [1.0, -1.0]],
    "targets": [1.0, -1.0, 0.5],
}
TEACHER = {"name": "gaussian_teacher", "dimension": 3, "teachers": 2}
PROBLEMS: dict[str, Any] = {"points": POINTS, "teacher": TEACHER, "samples": {**TEACHER, "samples": 8}}

DESCENTS: dict[str, dict[str, Any]] = {
    "gradient_descent": {},
    "regularized_gradient_descent": {"weight_decay": 0.01},
    "stochastic_gradient_descent": {"batch_size": 2},
    "momentum": {"momentum": 0.9},
    "adam": {},
}

BACKENDS = ("numpy", "numba")


def ran(problem: str, dynamics: dict[str, Any], backend: str, scale: float = 0.5, **more: Any) -> Any:
    """The dataset of a run, in which no warning of Python's is shown."""
    saved = {"steps": [1, 5, 60]} if "step_size" in dynamics else {"values": [0.5, 5.0]}
    experiment = {
        "problem": PROBLEMS[problem],
        "network": {"neurons": 3, "activation": "relu", "output": "trained"},
        "initialization": {"name": "gaussian", "scale": scale},
        "dynamics": dynamics,
        "times": saved,
        "seeds": 2,
        **more,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return twolayer.run(experiment, backend=backend, threads=1, progress=False)


def numbers_are_numbers(dataset: Any) -> bool:
    """Whether no variable holds an infinite number, and none is a number in a frame that was lost."""
    lost = ~np.isfinite(dataset["loss"].values)
    for variable in dataset.data_vars.values():
        if variable.dtype.kind != "f":
            continue
        if np.isinf(variable.values).any():
            return False
        if variable.dims[:2] == ("seed", "time") and np.isfinite(variable.values[lost]).any():
            return False
    return True


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", DESCENTS)
def test_steps_that_are_too_large(name: str, problem: str, backend: str) -> None:
    """Of 10³⁰⁰ all seeds diverge in the first step that moves them; of 3 some do, some descents come back."""
    for step_size in (3.0, 1e300):
        if problem == "teacher" and step_size > 3 and name in ("gradient_descent", "momentum"):
            with pytest.raises(twolayer.errors.ConfigError, match="above the stability limit"):
                ran(problem, {"name": name, "step_size": step_size, **DESCENTS[name]}, backend)
            continue
        dataset = ran(problem, {"name": name, "step_size": step_size, **DESCENTS[name]}, backend)
        lost = ~np.isfinite(dataset["loss"].values)
        assert numbers_are_numbers(dataset)
        assert (lost.any(1) == (dataset["diverged_step"].values >= 0)).all()
        for seed, step in enumerate(dataset["diverged_step"].values.tolist()):
            assert (f"seed {seed} diverged at step {step}: " in dataset.attrs["notes"]) == (step >= 0)
            assert step < 0 or (lost[seed] == (dataset["step"].values >= step)).all()
        assert step_size == 3.0 or lost[:, -1].all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", [*DESCENTS, "gradient_flow", "minimize"])
def test_a_start_whose_loss_is_none(name: str, problem: str, backend: str) -> None:
    """|w| |a| = 10¹⁶⁰, whose square is no float64; in float32, 10⁴⁰."""
    step = {"step_size": 0.1} if name in DESCENTS else {}
    for scale, dtype in ((1e80, "float64"), (1e20, "float32")):
        dynamics = {"name": name, **step, **DESCENTS.get(name, {})}
        dataset = ran(problem, dynamics, backend, scale, dtype=dtype)
        assert np.isnan(dataset["loss"].values).all()
        assert numbers_are_numbers(dataset)
        notes = dataset.attrs["notes"].splitlines()
        for seed in range(2):
            assert any(
                note.startswith(f"seed {seed}") and "the loss is not finite" in note for note in notes
            ), notes


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flow_without_end_says_where_it_ended(backend: str) -> None:
    """By its budget: frames are NaN from there, and the note says when."""
    dataset = ran(
        "samples", {"name": "gradient_flow", "max_steps": 3}, backend, times={"values": [1e-3, 1e3]}
    )
    assert np.isnan(dataset["loss"].values[:, -1]).all()
    assert numbers_are_numbers(dataset)
    for seed in range(2):
        assert f"seed {seed}: weights could be carried to time " in dataset.attrs["notes"]
    assert "the budget max_steps: 3 is spent at time" in dataset.attrs["notes"]


def test_a_metric_that_overflows_where_the_loss_does_not() -> None:
    """Neurons thrown far out of reach of all samples: the loss is that of a dead network, their squares are no floats.
    Such values are NaN, and a note says so."""
    dynamics = {"name": "stochastic_gradient_descent", "step_size": 1e300, "batch_size": 1}
    dataset = ran("points", dynamics, "numpy")
    assert numbers_are_numbers(dataset)
    assert (np.isnan(dataset["imbalance"].values) & np.isfinite(dataset["loss"].values[..., None])).any()
    assert "metric 'imbalance'" in dataset.attrs["notes"]
    assert "leaves the range of floats in" in dataset.attrs["notes"]
