"""Exact flow on finite data of activations with any two slopes, against closed forms, a solver and descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import activation_of, network_of, of_two_slopes
from scipy.integrate import solve_ivp
from test_finite_flow import balanced_start, descend

from twolayer import FiniteData, Weights
from twolayer.finite.flow import finite_flow

LINEAR = (1.0, 1.0, 1.0)
OF_EACH_KIND = [(0.3, 0.3, 1.0), (-0.4, 0.0, 1.0), (2.0, 1.0, 1.0), (-0.5, -0.5, -1.5), LINEAR]
MODES = ["trained", "fixed", "tied"]


def start(seed: int, output_layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Five neurons in three dimensions: unbalanced, of fixed size, or tied."""
    hidden, output = balanced_start(seed, 5, 3, 0.7)
    return hidden, {"trained": 1.3 * output, "fixed": np.sign(output), "tied": np.abs(output)}[output_layer]


@pytest.mark.parametrize("output_layer", MODES)
@pytest.mark.parametrize("slopes", OF_EACH_KIND)
def test_samples_on_one_line_against_direct_descent(slopes: Any, output_layer: Any) -> None:
    """Opposite and parallel inputs. Of first order: within 4 step sizes, at two of them.

    A descent chatters along a boundary, so that one error need not be a quarter of the other."""
    rng = np.random.default_rng(3)
    inputs, targets = rng.normal(size=(8, 3)), rng.normal(size=8)
    inputs[4], inputs[5], inputs[6], inputs[7] = -1.5 * inputs[0], -0.5 * inputs[1], 2.0 * inputs[1], 0.0
    hidden, output = start(4, output_layer)
    settings: Any = {"slopes": slopes, "output_layer": output_layer, "loss_weight": 1 / 16}
    settings |= {"weight_decay": 0.03, "output_scale": 0.7}
    path = finite_flow(inputs, targets, hidden, output, [0.0, 6.0], **settings)
    assert path.events > 0 or slopes == LINEAR
    for steps in (4_000, 16_000):
        reached, outer = descend(inputs, targets, hidden, output, 6.0, steps, **settings)
        assert np.max(np.abs(reached - path.hidden[-1])) < 4.0 * 6.0 / steps
        assert np.max(np.abs(outer - path.output[-1])) < 4.0 * 6.0 / steps
    preactivations = path.hidden[-1] @ inputs.T
    fitted = (np.where(preactivations > 0.0, slopes[2], slopes[0]) * preactivations).T @ path.output[-1]
    assert path.residual[-1] == pytest.approx(targets - 0.7 * fitted, abs=1e-12)


@pytest.mark.parametrize("output_layer", MODES)
@pytest.mark.parametrize("slopes", OF_EACH_KIND)
def test_without_events_against_a_general_solver(slopes: Any, output_layer: Any) -> None:
    """DOP853 at 1e-13, opposite inputs included. Stated before the run: 1e-9."""
    rng = np.random.default_rng(11)
    inputs, targets = rng.normal(size=(6, 3)), rng.normal(size=6)
    inputs[3] = -2.0 * inputs[0]
    duration = 20.0 if slopes == LINEAR else 0.2
    settings: Any = {"slopes": slopes, "output_layer": output_layer, "loss_weight": 0.1, "weight_decay": 0.02}
    for seed in range(12, 100):  # the first start from which there is no event
        hidden, output = start(seed, output_layer)
        path = finite_flow(inputs, targets, hidden, output, [0.0, duration], rtol=1e-12, **settings)
        if path.events == 0:
            break
    assert path.events == 0

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        inner = state[:15].reshape(5, 3)
        outer = np.linalg.norm(inner, axis=1) if output_layer == "tied" else state[15:]
        slope = np.where(inner @ inputs.T > 0.0, slopes[2], slopes[0])
        features = slope * (inner @ inputs.T)
        force = 0.2 * (targets - outer @ features)
        growth = features @ force
        change = outer[:, None] * ((slope * force) @ inputs) - 0.02 * inner
        if output_layer == "tied":
            change += (growth / outer)[:, None] * inner - 0.02 * inner
        grown = growth - 0.02 * outer if output_layer == "trained" else np.zeros(5)
        return np.concatenate([change.ravel(), grown])

    first = np.concatenate([hidden.ravel(), output])
    solved = solve_ivp(velocity, (0.0, duration), first, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    assert np.max(np.abs(path.hidden[-1].ravel() - solved[:15])) < 1e-9
    if output_layer != "tied":
        assert np.max(np.abs(path.output[-1] - solved[15:])) < 1e-9


@pytest.mark.parametrize("size", [1e-40, 1e-3])
def test_a_linear_network_on_one_input_grows_logistically(size: float) -> None:
    """E = κ(xu − y)², u = aw, a = ±w: u' = 4κx(y − xu)|u|, a logistic; the closed form of deep linear networks.

    Stated before the run: 1e-9 relative, ten times the tolerance.
    """
    times = np.array([0.0, 5.0, 20.0, 40.0, 200.0])
    root = np.sqrt(size)
    for sign in (1.0, -1.0):  # x > 0 and x < 0: an identity has no sides
        path = finite_flow(
            [[sign * 1.5]], [2.0], [[sign * root]], [root], times, slopes=LINEAR, loss_weight=0.25
        )
        exact = 1.0 / (0.75 + (1.0 / size - 0.75) * np.exp(-3.0 * times))
        assert path.events == 0
        assert path.output * path.hidden[:, :, 0] == pytest.approx(sign * exact[:, None], rel=1e-9)


def test_a_linear_network_follows_its_modes() -> None:
    """Whitened inputs: each singular mode is a logistic (Saxe, McClelland and Ganguli 2014), here that of y = β·x.

    A balanced neuron along β stays there, and |a| = |w| is the root of u, u' = 4κ u (|β| − u) with XᵀX = I.
    """
    inputs, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(9, 4)))
    beta = np.array([1.0, -2.0, 0.5, 0.3])
    length = np.linalg.norm(beta)
    times = np.linspace(0.0, 12.0, 7)
    path = finite_flow(
        inputs, inputs @ beta, [1e-2 * beta / length], [1e-2], times, slopes=LINEAR, loss_weight=0.5
    )
    exact = length / (1.0 + (length / 1e-4 - 1.0) * np.exp(-2.0 * length * times))
    assert path.output[:, 0] ** 2 == pytest.approx(exact, rel=1e-9)
    assert np.max(np.abs(path.hidden[:, 0] / path.output - beta / length)) < 1e-9


def test_leaky_slopes_of_relu_abs_and_the_identity_are_those() -> None:
    for slope, name in ((0.0, "relu"), (-1.0, "abs"), (1.0, "linear")):
        assert activation_of("leaky_relu", slope=slope).slopes == activation_of(name).slopes


def test_the_size_of_the_slopes_is_a_scale_of_the_output() -> None:
    rng = np.random.default_rng(5)
    hidden, output = start(6, "trained")
    arrays = (rng.normal(size=(6, 3)), rng.normal(size=6), hidden, output, [0.0, 10.0])
    twice = finite_flow(*arrays, slopes=(0.6, 0.6, 2.0), loss_weight=0.1, output_scale=0.5)
    once = finite_flow(*arrays, slopes=(0.3, 0.3, 1.0), loss_weight=0.1)
    assert np.array_equal(twice.hidden, once.hidden)


@pytest.mark.parametrize("output_layer", ["trained", "fixed"])
@pytest.mark.parametrize("slopes", [(0.3, 0.3, 1.0), (1.5, 1.0, 1.0), LINEAR])
@pytest.mark.parametrize("others", [0, 2])
def test_a_neuron_at_exactly_zero_moves_where_the_derivative_there_is_not_zero(
    slopes: Any, output_layer: Any, others: int
) -> None:
    """Against descent, in which σ'(0) makes the first step. Stated before the run: 5e-3 at 20,000 steps."""
    rng = np.random.default_rng(8)
    inputs, targets = rng.normal(size=(7, 3)), rng.normal(size=7)
    hidden = np.concatenate([np.zeros((2, 3)), rng.normal(size=(others, 3))])
    output = np.array([0.7, -0.5, 0.4, -0.9][: 2 + others])
    settings: Any = {"slopes": slopes, "output_layer": output_layer, "loss_weight": 0.1}
    path = finite_flow(inputs, targets, hidden, output, [0.0, 5.0], **settings)
    assert np.all(np.linalg.norm(path.hidden[-1], axis=1) > 1e-2)
    reached, outer = descend(inputs, targets, hidden, output, 5.0, 20_000, **settings)
    assert np.max(np.abs(path.hidden[-1] - reached)) < 5e-3
    assert np.max(np.abs(path.output[-1] - outer)) < 5e-3


def test_a_neuron_at_exactly_zero_stays_where_slopes_have_different_signs() -> None:
    rng = np.random.default_rng(9)
    inputs, targets = rng.normal(size=(7, 3)), rng.normal(size=7)
    hidden, output = np.array([[0.0, 0.0, 0.0], [0.3, -0.2, 0.1]]), np.array([0.7, 0.4])
    path = finite_flow(inputs, targets, hidden, output, [0.0, 5.0], slopes=(-0.4, 0.0, 1.0), loss_weight=0.1)
    assert np.all(path.hidden[-1, 0] == 0.0)


def test_a_linear_neuron_passes_through_zero() -> None:
    """E = ¼(y − w)², w = y + (w₀ − y) e^(−t/2): no event, and nothing rests."""
    times = np.linspace(0.0, 8.0, 9)
    path = finite_flow(
        [[1.0]], [1.0], [[-3.0]], [1.0], times, slopes=LINEAR, output_layer="fixed", loss_weight=0.25
    )
    assert path.hidden[:, 0, 0] == pytest.approx(1.0 - 4.0 * np.exp(-0.5 * times), abs=1e-9)
    assert path.events == 0


@of_two_slopes
def test_the_problem_hands_its_slopes_to_the_flow(activation: Any) -> None:
    rng = np.random.default_rng(10)
    inputs, targets = rng.normal(size=(6, 3)), rng.normal(size=6)
    hidden, output = start(4, "trained")
    problem = FiniteData(inputs, targets, "half_mean_square").problem(network_of(5, activation))
    times = np.array([0.0, 2.0])
    resting = np.zeros(5, dtype=np.int8)
    *_, end = problem.flow_of_seed(0, Weights(hidden, output), times, 0.0, (1e-10, 0.0), resting)
    reached, outer = descend(
        inputs, targets, hidden, output, 2.0, 8_000, slopes=activation.slopes, loss_weight=1 / 12
    )
    assert np.max(np.abs(end.hidden - reached)) < 1e-3
    assert np.max(np.abs(end.output - outer)) < 1e-3
