"""The budget of a flow, and flows that would go on without end."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import twolayer
from twolayer.core.budget import Budget, reason_of
from twolayer.errors import ConfigError
from twolayer.finite.flow import flow_frames, frames
from twolayer.population import flow

INPUTS = [[1.0, 0.3], [0.2, 1.0], [-1.0, 0.5], [0.3, -1.0]]
POINTS = {"name": "points", "inputs": INPUTS, "targets": [1.0, -0.5, 0.7, 0.2]}
ORTHOGONAL = {"name": "points", "inputs": np.eye(4).tolist(), "targets": [1.0, -0.5, 0.7, 0.2]}
TEACHER = {"name": "gaussian_teacher", "dimension": 5, "teachers": 2}


def run(problem: dict[str, Any], times: list[float], output: str = "trained", **dynamics: Any) -> Any:
    """A run of gradient flow with six neurons and one seed."""
    return twolayer.run(
        {
            "problem": problem,
            "network": {"neurons": 6, "output": output},
            "initialization": {"name": "gaussian", "scale": 0.1},
            "dynamics": {"name": "gradient_flow", **dynamics},
            "times": {"values": times},
            "seeds": 1,
        },
        threads=1,
        weights=True,
    )


def test_a_budget_says_which_part_is_spent() -> None:
    assert reason_of(Budget(10, 1e9).spend(10, 2.0)) == "max_steps"
    assert reason_of(Budget(10, 1e-9).spend(1, 2.0)) == "max_seconds"
    assert not Budget(10, 1e9).spend(9, 2.0)
    assert not reason_of("at time 3 no step is within tolerance")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"max_steps": 0}, "max_steps: at least 1, is 0"),
        ({"max_seconds": 0.0}, "max_seconds: must be above 0"),
    ],
)
def test_no_budget_is_a_mistake(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"dynamics[.:].*{message}"):
        run(POINTS, [1.0], **part)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("problem", [POINTS, TEACHER])
@pytest.mark.parametrize(("part", "code"), [({"max_steps": 12}, 4), ({"max_seconds": 1e-9}, 5)])
def test_a_flow_ends_with_its_budget(
    problem: Any, activation: str, part: Any, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames beyond it are NaN; which part it was, and how far the flow came, stand in the dataset."""
    monkeypatch.setattr(frames, "LOOK", 5)
    monkeypatch.setattr(flow, "AT_A_TIME", 5)
    data = twolayer.run(
        {
            "problem": problem,
            "network": {"neurons": 6, "activation": activation},
            "initialization": {"name": "gaussian", "scale": 0.1},
            "dynamics": {"name": "gradient_flow", **part},
            "times": {"values": [1e-9, 1e4]},
            "seeds": 2,
        },
        threads=1,
        weights=True,
    )
    assert (data.stop_reason.values == code).all()
    finite = np.isfinite(data.hidden.values).all((2, 3))
    reached = [float(data.time.values[row][-1]) for row in finite]
    np.testing.assert_array_equal(data.stop_time.values, reached)
    assert not finite[:, -1].any()
    assert "the budget" in str(data.attrs["notes"])


def test_a_flow_within_its_budget_is_not_marked() -> None:
    assert "stop_reason" not in run(POINTS, [1.0], max_steps=10_000)


@pytest.mark.parametrize("output", ["trained", "fixed"])
def test_orthogonal_points_to_a_distant_horizon(output: str) -> None:
    """Nothing happens after a while, and it costs nothing: within 2,000 steps, the state of T = 1e6."""
    path = run(ORTHOGONAL, [1e6, 1e10], output, max_steps=2000)
    assert np.isfinite(path.hidden.values).all()
    np.testing.assert_allclose(path.hidden.values[0, -1], path.hidden.values[0, -2], atol=1e-9)


@pytest.mark.parametrize("count", [2, 4])
def test_a_balance_with_weight_decay_costs_nothing(count: int) -> None:
    """T = 1e10 within 2,000 steps: the parts of the objective's gradient cancel to some times the tolerance of a step,
    1e-10, and a neuron at no sample has shrunk to 0."""
    random = np.random.default_rng(1)
    inputs, targets = np.array(INPUTS)[:count], np.array(POINTS["targets"])[:count]
    hidden = 0.3 * random.standard_normal((6, 2))
    hidden[0] = [-0.1, -0.2]  # at no sample, where there are two
    output = np.linalg.norm(hidden, axis=1) * np.array([1, -1, 1, 1, -1, 1])
    *_, last = flow_frames(
        inputs, targets, hidden, output, [0.0, 1e3, 1e10], loss_weight=0.125, weight_decay=0.01,
        budget=Budget(2000, 1e9),
    )  # fmt: skip
    rows = np.maximum(inputs @ last.hidden.T, 0.0)
    residual = targets - rows @ last.output
    pull = 0.25 * (residual[:, None] * rows).sum(0) - 0.01 * last.output
    np.testing.assert_allclose(pull, 0.0, atol=10 * 1e-10 * np.abs(0.01 * last.output).max())
    if count == 2:
        assert np.abs(last.hidden[0]).max() < 1e-300


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        *itertools.product(("trained", "fixed", "tied"), (POINTS,)),
        *itertools.product(("fixed", "tied"), (TEACHER,)),
        pytest.param("trained", TEACHER, marks=pytest.mark.slow),  # the longest, of the same kind
    ],
)
def test_fast_decay_is_solved(problem: Any, output: str) -> None:
    """Weight decay of 1e10 leaves no weights, and the loss of none, within 50,000 steps."""
    path = run(problem, [1.0, 10.0], output, weight_decay=1e10, max_steps=50_000)
    assert np.abs(path.hidden.values[0, -1]).max() < 1e-8
    none = 0.125 * np.sum(np.square(POINTS["targets"])) if problem is POINTS else path.loss.values[0, -1]
    assert path.loss.values[0, -1] == pytest.approx(none, rel=1e-6)


@pytest.mark.parametrize("problem", [POINTS, TEACHER])
@pytest.mark.parametrize("output", ["trained", "fixed"])
def test_the_last_time_of_floats_ends(problem: Any, output: str) -> None:
    """T = 1e300 arrives, or the frame is NaN and a note says why."""
    path = run(problem, [1.0, 1e300], output, max_steps=20_000)
    assert np.isfinite(path.hidden.values[0, -1]).all() or "1e+300" in str(path.attrs["notes"])


def test_targets_beyond_what_squares_carry_end_with_a_note() -> None:
    path = run(
        {"name": "points", "inputs": INPUTS, "targets": [1e100, -1e100, 1e99, 2.0]}, [10.0], max_steps=20_000
    )
    assert np.isfinite(path.loss.values).all() or str(path.attrs["notes"])
