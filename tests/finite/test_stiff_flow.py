"""Long flows on finite data with fast and slow samples, against closed forms and the Taylor steps alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twolayer.core.arrays import norm
from twolayer.finite.flow import FlowPath, finite_flow, frames
from twolayer.finite.flow.clock import FlowClock, start_clock
from twolayer.finite.flow.collocation import build_collocation


def pair(sizes: tuple[float, float], times: np.ndarray) -> tuple[FlowPath, np.ndarray, np.ndarray]:
    """Two orthogonal points with a neuron each; u = |w| a of both, computed and in closed form, (time, point)."""
    size = np.array(sizes)
    start = 1e-3 / size
    path = finite_flow(
        np.diag(size), np.ones(2), np.diag(np.sqrt(start)), np.sqrt(start), times, loss_weight=0.25
    )
    reached = path.output * np.einsum("tjj->tj", path.hidden)
    exact = 1.0 / (size * (1.0 + (1.0 / (size * start) - 1.0) * np.exp(-size * times[:, None])))
    return path, reached, exact


def random_problem(seed: int) -> tuple[tuple[np.ndarray, ...], dict[str, Any]]:
    """Inputs of lengths over two decades, in general position."""
    rng = np.random.default_rng(seed)
    samples, features, neurons = rng.integers(2, 6, size=3)
    inputs = rng.normal(size=(samples, features)) * 10.0 ** rng.uniform(-1.2, 1.2, size=(samples, 1))
    hidden = rng.normal(size=(neurons, features)) * 10.0 ** rng.uniform(-3.0, 0.0)
    output = rng.normal(size=neurons)
    output_layer = rng.choice(["trained", "balanced", "fixed", "tied"])
    length = np.linalg.norm(hidden, axis=1)
    if output_layer == "balanced":
        output = np.sign(output) * length
    elif output_layer == "tied":
        output = length
    settings = {
        "slopes": ((0.0, 0.0, 1.0), (-1.0, 0.0, 1.0), (0.3, 0.3, 1.0), (-0.4, 0.0, 1.0), (1.0, 1.0, 1.0))[
            rng.integers(5)
        ],
        "output_layer": "trained" if output_layer == "balanced" else output_layer,
        "weight_decay": rng.choice([0.0, 0.0, 1e-3, 0.1]),
        "loss_weight": 0.5 / samples,
        "output_scale": 0.7,
    }
    return (inputs, rng.normal(size=samples), hidden, output), settings


def impatient(never: bool) -> Any:
    """A clock after which only Taylor steps are taken, or stiff ones are tried at once."""

    def start(*arguments: Any) -> FlowClock:
        clock = start_clock(*arguments)
        clock.patience[2] = 2**60 if never else 1
        return clock

    return start


def test_the_rule_integrates_polynomials_of_its_order() -> None:
    rule = build_collocation(14)
    stages = len(rule.points)
    for degree in range(stages):
        assert rule.integral @ rule.points**degree == pytest.approx(
            rule.points ** (degree + 1) / (degree + 1), abs=1e-14
        )
    for degree in range(stages, 2 * stages - 1):
        assert rule.integral[-1] @ rule.points**degree == pytest.approx(1.0 / (degree + 1), rel=1e-12)
    values = np.exp(-np.append(0.0, rule.points))
    assert np.polyval((rule.powers @ (rule.modes @ values))[::-1], 0.3) == pytest.approx(
        np.exp(-0.3), rel=1e-14
    )


@pytest.mark.parametrize("sizes", [(1e3, 1e-3), (1e2, 1e-2), (1e-1, 1e1), (1.0, 1.0), (1e5, 1e-5)])
def test_a_fast_and_a_slow_point_follow_the_logistic_function(sizes: tuple[float, float]) -> None:
    times = np.append(0.0, np.geomspace(1e-6, 1e6, 100))
    path, reached, exact = pair(sizes, times)
    assert np.max(np.abs(reached / exact - 1.0)) < 1e-9
    assert np.max(np.abs(np.linalg.norm(path.hidden, axis=2) / path.output - 1.0)) < 1e-14
    # Taylor steps alone take 1e3 time scales of the slow point in steps of the fast one's, 1e9 for 1e3 and 1e-3.
    assert path.steps < 400


def test_steps_do_not_grow_with_the_horizon_where_nothing_happens() -> None:
    # No neuron sees the last point; its residual is 1 for ever, and is no reason to go on.
    inputs, targets = np.diag([1.0, 1.3, 0.8, 1.1]), np.array([1.0, 0.7, -0.6, -0.9])
    rng = np.random.default_rng(0)
    hidden = 0.3 * rng.normal(size=(8, 4))
    hidden[:, 3] = -np.abs(hidden[:, 3])
    output = rng.choice([-1.0, 1.0], 8) * np.linalg.norm(hidden, axis=1)
    times = np.append(0.0, 10.0 ** np.arange(1, 11))
    found = list(frames.flow_frames(inputs, targets, hidden, output, times, loss_weight=0.125))
    steps = np.array([frame.steps for frame in found])
    assert steps[4] < 150
    assert np.all(np.diff(steps[4:]) <= 10)
    assert np.max(np.abs(found[-1].residual[:3])) < 1e-15
    assert found[-1].residual[3] == targets[3]


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 6])
def test_stiff_steps_agree_with_taylor_steps(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(seed, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_stiff_steps_agree_with_taylor_steps_in_many_cases(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(seed, monkeypatch)


def compare(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, settings = random_problem(seed)
    times = [0.0, 1.0, 10.0, 100.0]
    monkeypatch.setattr(frames, "start_clock", impatient(never=True))
    taylor = finite_flow(*arrays, times, **settings)
    monkeypatch.setattr(frames, "start_clock", impatient(never=False))
    stiff = finite_flow(*arrays, times, **settings)
    size = max(1.0, np.max(np.abs(taylor.hidden)))
    assert np.max(np.abs(stiff.hidden - taylor.hidden)) < 1e-8 * size
    assert np.max(np.abs(stiff.output - taylor.output)) < 1e-8 * size
    # Events are not compared: late ones may be rounding, from which Taylor steps chatter and stiff ones do not.
    assert np.max(np.abs(stiff.residual - taylor.residual)) < 1e-7 * max(1.0, np.max(np.abs(taylor.residual)))
    assert stiff.steps <= taylor.steps + 20


def test_a_late_event_of_a_slow_point(monkeypatch: pytest.MonkeyPatch) -> None:
    # The fast point is fitted at once; much later the slow one, tilted, turns a neuron away from the third.
    inputs = np.array([[20.0, 0.0, 0.0], [0.0, 0.3, -0.2], [0.0, 0.1, 0.4]])
    targets = np.array([1.0, 0.5, 0.5])
    hidden = np.array([[0.1, 0.02, 0.05], [0.05, 0.03, 0.001], [0.02, 0.01, 0.03]])
    output = np.array([1.0, 1.0, -1.0]) * np.linalg.norm(hidden, axis=1)
    times = np.append(0.0, np.geomspace(0.1, 2000.0, 40))
    path = finite_flow(inputs, targets, hidden, output, times, loss_weight=1 / 6)
    monkeypatch.setattr(frames, "start_clock", impatient(never=True))
    taylor = finite_flow(inputs, targets, hidden, output, times, loss_weight=1 / 6)
    signs = np.sign(np.round(taylor.hidden @ inputs.T, 14))
    changes = times[1:][np.any(signs[1:] != signs[:-1], axis=(1, 2))]
    assert np.max(changes) > 5.0
    assert path.events == taylor.events > 0
    assert path.steps < 0.1 * taylor.steps
    assert np.max(np.abs(path.hidden - taylor.hidden)) < 1e-8


@pytest.mark.parametrize("output_layer", ["trained", "fixed", "tied"])
@pytest.mark.parametrize("weight_decay", [1e3, 1e10])
def test_large_weight_decay(output_layer: Any, weight_decay: float) -> None:
    rng = np.random.default_rng(2)
    inputs, targets = rng.normal(size=(4, 3)), rng.normal(size=4)
    hidden = rng.normal(size=(5, 3))
    output = np.linalg.norm(hidden, axis=1) * (1.0 if output_layer == "tied" else rng.choice([-1.0, 1.0], 5))
    times = [0.0, 1.0, 1e3]
    path = finite_flow(
        inputs,
        targets,
        hidden,
        output,
        times,
        output_layer=output_layer,
        weight_decay=weight_decay,
        loss_weight=0.125,
    )
    assert path.steps < 3000
    if output_layer != "fixed":
        assert (
            np.all(path.hidden[1:] == 0.0) if weight_decay > 1e4 else np.max(np.abs(path.hidden[1:])) < 1e-200
        )
        return
    # The balance λ w = a D, with a share in [0, 1] of the force of each sample along whose boundary w slides.
    for weights, outer in zip(path.hidden[-1], output, strict=True):
        cosine = inputs @ weights / np.linalg.norm(inputs, axis=1) / np.linalg.norm(weights)
        sliding = np.abs(cosine) < 1e-9
        force = 0.25 * path.residual[-1][:, None] * inputs
        missing = weight_decay * weights / outer - np.sum(force[(cosine > 0.0) & ~sliding], axis=0)
        share = np.linalg.lstsq(force[sliding].T, missing, rcond=None)[0]
        scale = np.max(np.abs(force))
        assert np.max(np.abs(missing - share @ force[sliding])) < 1e-9 * scale
        assert np.all((share > -1e-6) & (share < 1.0 + 1e-6))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slopes", [(0.0, 0.0, 1.0), (-1.0, 0.0, 1.0)], ids=["relu", "abs"])
@pytest.mark.parametrize("sizes", [(1e3, 1e-3), (1e2, 1e-2)], ids=str)
def test_inputs_of_very_different_lengths(
    sizes: tuple[float, float], slopes: tuple[float, float, float], seed: int
) -> None:
    # Outputs on the long input are small differences to the neurons that fit the short one.
    rng = np.random.default_rng(seed)
    inputs, targets = np.diag(sizes), np.ones(2)
    hidden = 0.01 * rng.normal(size=(4, 2))
    output = np.linalg.norm(hidden, axis=1) * rng.choice([-1.0, 1.0], 4)
    times = [0.0, 1.0, 1e3, 1e4, 1e5, 1e6]
    path = finite_flow(inputs, targets, hidden, output, times, slopes=slopes, loss_weight=0.25)
    assert path.steps < 3000
    before = path.hidden @ inputs.T
    network = np.einsum(
        "tj,tjk->tk", path.output, np.maximum(before, 0.0) + slopes[0] * np.minimum(before, 0.0)
    )
    length = norm(path.hidden)
    error = 1e-10 * np.sum(np.abs(path.output) * length, axis=1)[:, None] * np.array(sizes)  # of one step
    allowed = 1e-9 + np.sqrt(path.steps) * error
    assert np.all(np.abs(targets - network - path.residual) <= allowed)
    np.testing.assert_allclose(np.abs(path.output), length, rtol=1e-12)


def test_weights_that_follow_residuals_are_those_of_taylor_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # So long inputs that stiff steps drift, and so short a time that Taylor steps arrive.
    rng = np.random.default_rng(1)
    inputs, targets = np.array([[300.0, 0.0], [30.0, 0.3]]), np.array([1.0, 1.1])
    hidden = 0.01 * rng.normal(size=(4, 2))
    output = np.linalg.norm(hidden, axis=1)
    times = [0.0, 0.1, 1.0, 10.0]
    path = finite_flow(inputs, targets, hidden, output, times, loss_weight=0.25)
    monkeypatch.setattr(frames, "start_clock", impatient(never=True))
    taylor = finite_flow(inputs, targets, hidden, output, times, loss_weight=0.25)
    assert path.steps < 0.2 * taylor.steps
    assert np.max(np.abs(path.hidden - taylor.hidden)) < 1e-8 * np.max(np.abs(taylor.hidden))
    assert np.max(np.abs(path.residual - taylor.residual)) < 1e-7
