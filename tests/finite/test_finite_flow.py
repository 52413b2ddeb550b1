"""Exact gradient flow on finite data, against closed forms, general-purpose solvers and gradient descent."""

from __future__ import annotations

from typing import Any

import mpmath
import netCDF4
import numpy as np
import pytest
from networks import network_of, of_two_slopes
from project import PROJECT
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from twolayer.core.times import Times
from twolayer.finite.flow import FlowStalled, finite_flow, flow_frames, frames
from twolayer.finite.flow.coupled import flow_to
from twolayer.finite.problem import FiniteData
from twolayer.storage.contents import pack_trajectory, unpack_trajectory
from twolayer.study.registry import load
from twolayer.training.train import train

DATA = PROJECT / "plugins" / "papers" / "boursier2022" / "data"

FIVE_INPUTS = np.column_stack([[-1.5, -1.0, 0.0, 0.25, 2.0], np.ones(5)])
FIVE_TARGETS = np.array([0.7, -0.3, -0.3, 0.4, 0.2])
PLATEAU = 1209 / 19000


def published(name: str) -> dict[str, np.ndarray]:
    """A reference run in float64, its initial outputs balanced again: float32 leaves |a| off |w| by 1e-8."""
    with netCDF4.Dataset(DATA / f"boursier2022_{name}.nc") as file:
        run = {key: np.asarray(value[:], dtype=np.float64) for key, value in file.variables.items()}
    run["initial_output"] = np.sign(run["initial_output"]) * np.linalg.norm(run["initial_hidden"], axis=1)
    return run


def balanced_start(seed: int, neurons: int, features: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hidden = scale * rng.normal(size=(neurons, features))
    return hidden, rng.choice([-1.0, 1.0], neurons) * np.linalg.norm(hidden, axis=1)


def descend(
    inputs: np.ndarray,
    targets: np.ndarray,
    hidden: np.ndarray,
    output: np.ndarray,
    time: float,
    steps: int,
    *,
    loss_weight: float,
    slopes: tuple[float, float, float] = (0.0, 0.0, 1.0),
    output_layer: str = "trained",
    output_scale: float = 1.0,
    weight_decay: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Euler's method on the weights as they are: no coordinates, no events, no sliding."""
    hidden, output, step, sides = hidden.copy(), output.copy(), time / steps, np.array(slopes)
    for _ in range(steps):
        if output_layer == "tied":
            output = np.sqrt(np.einsum("jd,jd->j", hidden, hidden))
        products = hidden @ inputs.T
        slope = sides[np.sign(products).astype(int) + 1]
        features = slope * products
        force = 2.0 * loss_weight * output_scale * (targets - output_scale * output @ features)
        change = output[:, None] * ((slope * force) @ inputs)
        if output_layer == "tied":
            change += (features @ force / output)[:, None] * hidden - 2.0 * weight_decay * hidden
        else:
            change -= weight_decay * hidden
        if output_layer == "trained":
            output += step * (features @ force - weight_decay * output)
        hidden += step * change
    return hidden, np.linalg.norm(hidden, axis=1) if output_layer == "tied" else output


# Closed forms


def test_two_points_follow_the_closed_form_once_each_neuron_sees_one_sample() -> None:
    # Derived: a + s p and a − s p grow and shrink by e^(θ), and z = e^(2θ) solves a Riccati equation.
    run = published("orthogonal_seed0")
    inputs, targets = run["inputs"], run["targets"]
    times = np.array([0.0, 18.0, 20.0, 26.0, 33.0, 40.0])
    path = finite_flow(
        inputs, targets, run["initial_hidden"], run["initial_output"], times, loss_weight=0.25, rtol=1e-13
    )
    norms = np.linalg.norm(inputs, axis=1)
    start = path.hidden[1] @ (inputs / norms[:, None]).T
    assert np.all(np.sum(start > 1e-15, axis=1) <= 1)
    mpmath.mp.dps = 40
    for sample, (target, norm) in enumerate(zip(targets, norms, strict=True)):
        sign, size, norm = float(np.sign(target)), mpmath.mpf(float(abs(target))), mpmath.mpf(float(norm))
        active = start[:, sample] > 1e-15
        outer = [mpmath.mpf(float(a)) for a in path.output[1, active]]
        inner = [mpmath.mpf(float(p)) for p in start[active, sample]]
        grows = sum((a + sign * p) ** 2 for a, p in zip(outer, inner, strict=True))
        falls = sum((a - sign * p) ** 2 for a, p in zip(outer, inner, strict=True))
        root = mpmath.sqrt(16 * size**2 / norm**2 + 4 * grows * falls)
        high = (4 * size / norm + root) / (2 * grows)
        low = -falls / (grows * high)
        for frame in range(2, len(times)):
            decay = mpmath.exp(-(norm**2) / 4 * root * (times[frame] - times[1]))
            ratio = (1 - high) / (1 - low) * decay
            growth = (high - low * ratio) / (1 - ratio)
            residual = sign * (size - norm / 4 * (grows * growth - falls / growth))
            assert abs(path.residual[frame, sample] - residual) < 1e-11
            assert abs(path.residual[frame, sample] / residual - 1) < 1e-6
            factor = mpmath.sqrt(growth)
            for j, a, p in zip(np.flatnonzero(active), outer, inner, strict=True):
                plus, minus = (a + sign * p) * factor, (a - sign * p) / factor
                assert abs(path.output[frame, j] - (plus + minus) / 2) < 1e-10
                projection = path.hidden[frame, j] @ inputs[sample] / float(norm)
                assert abs(projection - sign * (plus - minus) / 2) < 1e-10


def test_early_alignment_does_not_depend_on_the_scale() -> None:
    inputs = np.random.default_rng(3).normal(size=(6, 9))
    targets = np.array([1.0, -0.5, 0.7, 0.2, -1.1, 0.4])
    hidden, output = balanced_start(4, 12, 9, 1.0)
    directions = []
    for scale in (1e-30, 1e-45, 1e-150):
        path = finite_flow(
            inputs, targets, scale * hidden, scale * output, [0.0, 5.0, 20.0], loss_weight=1 / 12
        )
        directions.append(path.hidden / scale)
        assert path.events > 10
        assert path.steps == 0
    size = np.max(np.abs(directions[0]), axis=(1, 2), keepdims=True)
    assert np.max(np.abs(directions[1] - directions[0]) / size) < 1e-12
    assert np.max(np.abs(directions[2] - directions[0]) / size) < 1e-12


@pytest.mark.parametrize("output_layer", ["trained", "tied"])
@of_two_slopes
def test_decoupled_and_coupled_integration_agree(activation: Any, output_layer: Any) -> None:
    inputs = np.random.default_rng(5).normal(size=(5, 4))
    targets = np.array([0.6, -1.0, 0.3, 0.8, -0.2])
    hidden, output = balanced_start(6, 8, 4, 1e-12)
    if output_layer == "tied":
        output = np.abs(output)
    settings: Any = {"slopes": activation.slopes, "output_layer": output_layer, "loss_weight": 0.1}
    times = [0.0, 3.0, 9.0, 14.0]
    alone = finite_flow(inputs, targets, hidden, output, times, weight_decay=0.05, rtol=1e-12, **settings)
    # Without the closed form, the Taylor series does all of the work.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "decoupled_to", lambda *_: 0)
        together = finite_flow(
            inputs, targets, hidden, output, times, weight_decay=0.05, rtol=1e-12, **settings
        )
    assert together.steps > alone.steps
    assert together.events == alone.events
    assert np.max(np.abs(alone.hidden - together.hidden)[1:] / np.abs(together.output)[1:, :, None]) < 1e-9


def test_a_frozen_component_stays_frozen_for_orthogonal_inputs() -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    inputs, targets = rotation[:4] * np.array([[1.0], [1.3], [0.8], [1.1]]), np.array([1.0, 0.7, -0.6, -0.9])
    hidden, output = balanced_start(1, 20, 6, 0.3)
    path = finite_flow(inputs, targets, hidden, output, np.linspace(0.0, 400.0, 41), loss_weight=0.125)
    projection = path.hidden @ inputs.T
    ended = np.abs(projection[-1]) < 1e-14
    assert np.sum(ended) >= 5
    for j, sample in zip(*np.nonzero(ended), strict=True):
        values = projection[:, j, sample]
        first = np.argmax(np.abs(values) < 1e-14)
        assert np.all(np.abs(values[first:]) < 1e-14)
    assert np.max(np.abs(path.residual[-1])) < 1e-9


# Other methods


def test_against_a_general_purpose_solver_with_events() -> None:
    # Derived coordinates p = ⟨w, x⟩/|x|: p' = a g 1{p > 0}, a' = Σ g p₊; a component at zero is dropped.
    inputs, targets = np.diag([1.0, 1.5, 0.7]), np.array([1.0, -0.8, 0.6])
    norms = np.diag(inputs)
    hidden, output = balanced_start(2, 5, 3, 0.4)
    end = 25.0
    alive = hidden > 0.0

    def field(_: float, state: np.ndarray) -> np.ndarray:
        p, a = np.where(alive, state[:15].reshape(5, 3), 0.0), state[15:]
        force = norms / 3 * (targets - norms * (a @ p))
        return np.concatenate([(a[:, None] * force * alive).ravel(), p @ force])

    state, time = np.concatenate([np.where(alive, hidden, 0.0).ravel(), output]), 0.0
    while time < end:
        reach = [lambda _, s, index=index: s[index] for index in np.flatnonzero(alive)]
        for event in reach:
            event.terminal = True  # type: ignore[attr-defined]
            event.direction = -1.0  # type: ignore[attr-defined]
        part = solve_ivp(field, (time, end), state, "DOP853", events=reach, rtol=1e-12, atol=1e-14)
        state, time = part.y[:, -1], part.t[-1]
        if time < end:
            index = np.flatnonzero(alive)[[times.size > 0 for times in part.t_events].index(True)]
            alive.flat[index] = False
            state[index] = 0.0
    path = finite_flow(inputs, targets, hidden, output, [0.0, end], loss_weight=1 / 6, rtol=1e-12)
    projection = np.where(hidden > 0.0, path.hidden[-1], 0.0)
    assert np.max(np.abs(projection - state[:15].reshape(5, 3))) < 1e-9
    assert np.max(np.abs(path.output[-1] - state[15:])) < 1e-9


@pytest.mark.parametrize(("seed", "scale", "end"), [(7, 0.05, 60.0), (8, 0.3, 30.0), (9, 0.3, 30.0)])
def test_descent_converges_to_the_flow_at_first_order_through_sliding(
    seed: int, scale: float, end: float
) -> None:
    hidden, output = balanced_start(seed, 20, 2, scale)
    path = finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, [0.0, 0.5 * end, end], loss_weight=0.1)
    sliding = np.abs(path.hidden[-1] @ FIVE_INPUTS.T) < 1e-14 * np.abs(path.output[-1])[:, None]
    assert np.sum(sliding) >= 2
    errors = []
    for steps in (3_000, 24_000):
        reached, _ = descend(FIVE_INPUTS, FIVE_TARGETS, hidden, output, end, steps, loss_weight=0.1)
        errors.append(np.linalg.norm(reached - path.hidden[-1]))
    # Descent chatters across a boundary where the flow slides: its error is of first order, but not smooth.
    assert errors[1] < 2e-4
    assert 4.0 < errors[0] / errors[1] < 16.0


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("output_layer", ["trained", "balanced", "fixed", "tied"])
@of_two_slopes
def test_every_setting_against_direct_descent(
    activation: Any, output_layer: Any, weight_decay: float
) -> None:
    rng = np.random.default_rng(21)
    inputs, targets = rng.normal(size=(5, 3)), rng.normal(size=5)
    hidden, output = rng.normal(size=(6, 3)), rng.normal(size=6)
    if output_layer in ("balanced", "tied"):
        output = np.linalg.norm(hidden, axis=1) * (np.sign(output) if output_layer == "balanced" else 1.0)
    settings: Any = {
        "slopes": activation.slopes,
        "output_layer": "trained" if output_layer == "balanced" else output_layer,
        "output_scale": 0.7,
        "weight_decay": weight_decay,
        "loss_weight": 0.1,
    }
    path = finite_flow(inputs, targets, hidden, output, [0.0, 3.0], **settings)
    assert path.events > 0 or activation.slopes == (1.0, 1.0, 1.0)
    errors = []
    for steps in (2_000, 16_000):
        near_hidden, near_output = descend(inputs, targets, hidden, output, 3.0, steps, **settings)
        errors.append(
            max(np.max(np.abs(near_hidden - path.hidden[-1])), np.max(np.abs(near_output - path.output[-1])))
        )
    assert errors[1] < 5e-4
    assert errors[1] < 0.5 * errors[0]


# Order, conservation, range


@pytest.mark.parametrize("output_layer", ["trained", "fixed", "tied"])
@of_two_slopes
def test_the_error_is_proportional_to_the_tolerance(activation: Any, output_layer: Any) -> None:
    rng = np.random.default_rng(12)
    inputs, targets = rng.normal(size=(7, 4)), rng.normal(size=7)
    hidden, output = balanced_start(13, 9, 4, 0.5)
    if output_layer == "tied":
        output = np.abs(output)

    settings: Any = {"slopes": activation.slopes, "output_layer": output_layer, "loss_weight": 1 / 14}

    def end(rtol: float) -> np.ndarray:
        return finite_flow(inputs, targets, hidden, output, [0.0, 30.0], rtol=rtol, **settings).hidden[-1]

    exact = end(1e-14)
    for rtol in (1e-5, 1e-7, 1e-9, 1e-11):
        assert np.max(np.abs(end(rtol) - exact)) < 50 * rtol
        assert np.max(np.abs(end(rtol) - end(0.5 * rtol))) < 50 * rtol


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0])
def test_balance_is_conserved(scale: float) -> None:
    hidden, output = balanced_start(14, 30, 2, scale)
    path = finite_flow(
        FIVE_INPUTS, FIVE_TARGETS, hidden, output, np.linspace(0.0, 2000.0, 21), loss_weight=0.1
    )
    assert np.max(np.abs(np.linalg.norm(path.hidden, axis=2) / np.abs(path.output) - 1.0)) < 1e-14
    assert np.all(np.sign(path.output) == np.sign(output))
    assert np.mean(path.residual[-1] ** 2) < 0.5 * PLATEAU


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
def test_imbalance_is_conserved_up_to_decay(weight_decay: float) -> None:
    rng = np.random.default_rng(15)
    inputs, targets = rng.normal(size=(4, 6)), rng.normal(size=4)
    hidden, output = rng.normal(size=(8, 6)), 0.3 * rng.normal(size=8)
    times = np.linspace(0.0, 40.0, 5)
    path = finite_flow(inputs, targets, hidden, output, times, weight_decay=weight_decay, loss_weight=0.125)
    imbalance = path.output**2 - np.sum(path.hidden**2, axis=2)
    expected = imbalance[0] * np.exp(-2.0 * weight_decay * times)[:, None]
    assert np.max(np.abs(imbalance / expected - 1.0)) < 1e-12
    projector = np.eye(6) - np.linalg.pinv(inputs) @ inputs
    outside = path.hidden @ projector
    assert np.max(np.abs(outside - outside[0] * np.exp(-weight_decay * times)[:, None, None])) < 1e-12


def test_residuals_decay_with_relative_accuracy_far_below_rounding() -> None:
    run = published("nonorthogonal_large_seed0")
    arguments = (run["inputs"], run["targets"], run["initial_hidden"], run["initial_output"])
    times = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    path = finite_flow(*arguments, times, loss_weight=0.1)
    loss = np.mean(path.residual**2, axis=1)
    assert loss[-1] < 1e-25 * loss[0]
    # Close to the end r' = −J r, with the tangent kernel J of the weights there; neurons that slide only grow.
    projections = path.hidden[-1] @ run["inputs"].T
    sliding = np.any(np.abs(projections) < 1e-13 * np.abs(path.output[-1])[:, None], axis=1)
    features = np.where(projections > 1e-13, projections, 0.0)
    slopes = path.output[-1][:, None, None] * np.sign(features)[:, :, None] * run["inputs"]
    unit = path.hidden[-1][sliding] / np.linalg.norm(path.hidden[-1][sliding], axis=1)[:, None]
    slopes[sliding] = np.einsum("jkd,jd->jk", slopes[sliding], unit)[:, :, None] * unit[:, None, :]
    kernel = 0.2 * (features.T @ features + np.einsum("jkd,jld->kl", slopes, slopes))
    for earlier, later in ((2, 3), (3, 4)):
        expected = expm(-10.0 * kernel) @ path.residual[earlier]
        assert path.residual[later] == pytest.approx(expected, rel=1e-4, abs=0.0)
    terms = features * path.output[-1][:, None]
    assert np.max(np.abs(np.sum(terms, axis=0) - run["targets"]) / np.sum(np.abs(terms), axis=0)) < 2e-14
    resting = finite_flow(*arguments, [0.0, 40.0, 200.0, 400.0], loss_weight=0.1)
    assert resting.stationary_from == 200.0
    assert np.array_equal(resting.hidden[2], resting.hidden[3])


def test_frames_do_not_change_the_flow() -> None:
    hidden, output = balanced_start(16, 20, 2, 1e-3)
    dense = np.linspace(0.0, 400.0, 401)
    path = finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, dense, loss_weight=0.1)
    sparse = finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, dense[::100], loss_weight=0.1)
    assert np.max(np.abs(path.hidden[::100] - sparse.hidden)) < 1e-8
    again = finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, dense, loss_weight=0.1)
    assert np.array_equal(path.hidden, again.hidden)
    frames = flow_frames(FIVE_INPUTS, FIVE_TARGETS, hidden, output, dense, loss_weight=0.1)
    assert all(np.array_equal(next(frames).hidden, path.hidden[index]) for index in range(100))


# Findings of the paper's problems


@pytest.mark.parametrize("seed", range(4))
def test_the_flow_escapes_the_plateau_of_the_five_points(seed: int) -> None:
    hidden, output = balanced_start(seed, 60, 2, 1e-4 / np.sqrt(60))
    times = np.append(np.arange(0.0, 300.0, 1.0), 600.0)
    path = finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, times, loss_weight=0.1, rtol=1e-8)
    loss = np.mean(path.residual**2, axis=1)
    plateau = loss[(times > 200.0) & (times < 250.0)]
    assert np.min(np.abs(plateau / PLATEAU - 1.0)) < 1e-3
    assert 260.0 < times[(times > 200.0) & (loss < 0.9 * PLATEAU)][0] < 293.0
    assert loss[-1] < 0.01


def test_time_to_grow_is_linear_in_the_logarithm_of_the_scale() -> None:
    inputs = np.diag([1.0, 1.3, 0.8, 1.1, 0.9])
    targets = np.array([1.0, 0.7, 1.2, -0.6, -0.9])
    strength = np.linalg.norm(targets[:3] @ inputs[:3]) / 5
    hidden, output = balanced_start(0, 60, 5, 1.0)
    reached = []
    for scale in (1e-10, 1e-20, 1e-30):
        times = np.linspace(0.0, 400.0, 4001)
        path = finite_flow(inputs, targets, scale * hidden, scale * output, times, loss_weight=0.1, rtol=1e-8)
        reached.append(times[np.argmax(np.abs(path.residual[:, 0]) < 0.5)])
    assert np.diff(reached) / 10 == pytest.approx(np.log(10.0) / strength, rel=0.01)


@pytest.mark.slow
def test_the_high_dimensional_run() -> None:
    run = published("high_dimension_seed4")
    times = np.append(0.0, 2e-3 * run["iteration"][1:])
    arguments = (run["inputs"], run["targets"], run["initial_hidden"], run["initial_output"])
    path = finite_flow(*arguments, [*times, 400.0], loss_weight=1 / 150, rtol=1e-8)
    tight = finite_flow(*arguments, [0.0, 200.0, 400.0], loss_weight=1 / 150, rtol=1e-10)
    loss = np.mean(path.residual**2, axis=1)
    assert loss[-1] == pytest.approx(np.mean(tight.residual[-1] ** 2), rel=1e-7)
    assert loss[-1] == pytest.approx(2.25933e-5, rel=1e-4)
    # Descent with step 1e-3 is late in the steep drop, by less than half a per cent of the initial loss.
    assert np.max(np.abs(loss[:-1] - run["loss"])) < 5e-3 * run["loss"][0]


# Edges


@pytest.mark.parametrize("output_layer", ["trained", "fixed"])
def test_repeated_opposite_and_zero_inputs(output_layer: Any) -> None:
    rng = np.random.default_rng(20)
    inputs = rng.normal(size=(6, 2))
    inputs[1], inputs[2], inputs[3] = inputs[0], 2.0 * inputs[0], -0.5 * inputs[0]
    inputs[4] = 0.0
    targets = rng.normal(size=6)
    hidden, output = rng.normal(size=(5, 2)), rng.normal(size=5)
    settings: Any = {"output_layer": output_layer, "loss_weight": 0.1}
    path = finite_flow(inputs, targets, hidden, output, [0.0, 4.0], **settings)
    reached, outer = descend(inputs, targets, hidden, output, 4.0, 20_000, **settings)
    assert np.max(np.abs(path.hidden[-1] - reached)) < 1e-3
    assert np.max(np.abs(path.output[-1] - outer)) < 1e-3
    fitted = np.maximum(path.hidden[-1] @ inputs.T, 0.0).T @ path.output[-1]
    assert path.residual[-1] == pytest.approx(targets - fitted, abs=1e-12)


def test_neurons_that_are_zero_stay_and_a_zero_output_wakes() -> None:
    hidden = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, -0.5], [0.3, 0.2]])
    output = np.array([0.0, 0.7, 0.0, 0.0])
    path = finite_flow(
        FIVE_INPUTS, FIVE_TARGETS, hidden, output, [0.0, 5.0], loss_weight=0.1, weight_decay=0.1
    )
    assert np.all(path.hidden[-1, :2] == 0.0)
    assert path.output[-1, :2] == pytest.approx(output[:2] * np.exp(-0.5), rel=1e-14)
    settings: Any = {"loss_weight": 0.1, "weight_decay": 0.1}
    reached, outer = descend(FIVE_INPUTS, FIVE_TARGETS, hidden, output, 5.0, 20_000, **settings)
    assert np.max(np.abs(path.hidden[-1] - reached)) < 1e-4
    assert np.max(np.abs(path.output[-1] - outer)) < 1e-4


def test_targets_that_are_all_zero() -> None:
    hidden, output = balanced_start(21, 6, 2, 0.5)
    path = finite_flow(FIVE_INPUTS, np.zeros(5), hidden, output, [0.0, 10.0, 100.0], loss_weight=0.1)
    reached, _ = descend(FIVE_INPUTS, np.zeros(5), hidden, output, 10.0, 20_000, loss_weight=0.1)
    assert np.max(np.abs(path.hidden[1] - reached)) < 3e-4
    assert np.all(np.isfinite(path.hidden))


@pytest.mark.parametrize("inputs", [np.zeros((3, 2)), np.array([[1.0, 2.0]])])
def test_no_line_and_one_line(inputs: np.ndarray) -> None:
    hidden, output = balanced_start(22, 4, 2, 0.1)
    targets = np.arange(1.0, len(inputs) + 1)
    path = finite_flow(inputs, targets, hidden, output, [0.0, 1.0, 50.0], loss_weight=0.5)
    if np.any(inputs):
        assert abs(path.residual[-1, 0]) < 1e-10
    else:
        assert path.hidden[-1] == pytest.approx(hidden, rel=1e-15)
        assert np.array_equal(path.residual[-1], targets)


def test_one_dimension_with_fixed_outputs_passes_and_stops_at_zero() -> None:
    inputs, targets = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0])
    hidden, output = np.array([[0.5], [0.5], [-0.5]]), np.array([-1.0, 1.0, -0.5])
    settings: Any = {"output_layer": "fixed", "loss_weight": 0.25}
    path = finite_flow(inputs, targets, hidden, output, [0.0, 6.0], **settings)
    reached, _ = descend(inputs, targets, hidden, output, 6.0, 40_000, **settings)
    assert np.max(np.abs(path.hidden[-1] - reached)) < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.zeros(4)}, "one value per sample"),
        ({"hidden": np.ones((3, 3))}, "share their second axis"),
        ({"output": np.ones(2)}, "one value per neuron"),
        ({"times": [0.0, 0.0]}, "strictly increasing"),
        ({"targets": np.full(5, np.nan)}, "targets must be finite"),
        ({"slopes": (0.0, np.nan, 1.0)}, "three finite numbers"),
        ({"output_layer": "frozen"}, "known: fixed, tied, trained"),
        ({"output_layer": "tied"}, "norms of the hidden weights"),
        ({"rtol": 0.0}, "between 0 and 1"),
        ({"loss_weight": 0.0}, "loss_weight must be positive"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "inputs": FIVE_INPUTS,
        "targets": FIVE_TARGETS,
        "hidden": np.ones((3, 2)),
        "output": np.ones(3),
        "times": [0.0, 1.0],
        "loss_weight": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        finite_flow(**(arguments | change))


def test_a_stalled_flow_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, output = balanced_start(23, 6, 2, 0.5)
    monkeypatch.setattr(frames, "flow_to", lambda target, _, *rest: flow_to(target, 1, *rest))
    with pytest.raises(FlowStalled, match=r"at time \S+ .*neuron \d+.*without progress, after 2 events"):
        finite_flow(FIVE_INPUTS, FIVE_TARGETS, hidden, output, [0.0, 100.0], loss_weight=0.1)


def test_a_stall_of_one_seed_leaves_the_others_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load()
    _, start = registry.build("initializations", {"name": "gaussian", "scale": 0.5}, "initialization")
    _, dynamics = registry.build("dynamics", {"name": "gradient_flow"}, "dynamics")
    backend = registry.find("backends", "numpy").plugin
    seeds = [3, 4, 5]
    data = FiniteData(np.eye(2, 3), np.array([1.0, -0.8]), "half_mean_square")

    def run() -> Any:
        return train(
            data, network_of(neurons=4), start, dynamics, Times(values=[1.0, 2.0, 3.0]), seeds, backend
        )

    whole, calls = run(), []
    assert whole.flow_forks.tolist() == [0, 0, 0]
    assert not whole.notes

    def stalling(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        for index, frame in enumerate(flow_frames(*arguments, **settings)):
            if len(calls) == 2 and index == 2:
                raise FlowStalled("at time 1.5, neuron 0: no progress")
            yield frame._replace(forks=index if len(calls) == 2 else 0)

    monkeypatch.setattr("twolayer.finite.flow.flow_frames", stalling)
    broken = run()
    for index in (0, 2):
        assert np.array_equal(broken.weights.hidden[index], whole.weights.hidden[index])
    assert np.array_equal(broken.weights.output[1, :2], whole.weights.output[1, :2])
    assert np.isnan(broken.weights.hidden[1, 2:]).all()
    assert broken.flow_forks.tolist() == [0, 1, 0]
    stalled, forked = broken.notes
    assert "seed 4: weights could be carried to time 1, not to 2: at time 1.5, neuron 0" in stalled
    assert "4 (1)" in forked
    variables = pack_trajectory(broken, seeds)
    assert variables["flow_forks"][:2] == (("seed",), broken.flow_forks)
    assert unpack_trajectory(variables).flow_forks.tolist() == [0, 1, 0]
