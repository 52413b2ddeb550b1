"""The step size that no minimum of a teacher problem bears: a bound against sharpness at minima, and the error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from networks import network_of, of_two_slopes

import twolayer
from twolayer import Teacher, Weights
from twolayer.errors import ConfigError
from twolayer.population.stability import step_limit


def random_minimum(random: Any, activation: Any, output: str, profile: str) -> tuple[Any, Weights]:
    """A problem and weights with L = 0: each student along a teacher, with a share of it."""
    count, spare = random.integers(1, 4), random.integers(0, 5)
    neurons = int(count + spare)
    teacher = random.standard_normal((count, 4)) * random.uniform(0.3, 3.0)
    given = random.uniform(0.3, 3.0, count)
    if output == "trained":
        given *= random.choice([-1.0, 1.0], count)
    scale = float(random.choice([1.0, 0.3, 2.0]))
    closest = np.concatenate([np.arange(count), random.integers(0, count, spare)])
    share = random.uniform(1e-3, 1.0, neurons) ** 3
    share /= (share * (closest == closest[:, None])).sum(-1)
    mass = (share * given[closest] / scale)[:, None] * teacher[closest]
    length = np.linalg.norm(mass, axis=1)
    outputs = random.uniform(0.2, 2.0, neurons)
    if output == "trained":
        outputs = (
            np.sign(given[closest]) * np.sqrt(length) * np.exp(random.normal() * random.choice([0.1, 1.0]))
        )
    hidden = mass / (np.sqrt(length) if output == "tied" else outputs)[:, None]
    if activation.even:
        hidden *= random.choice([-1.0, 1.0], (neurons, 1))
    values: Any = outputs.tolist() if output == "fixed" else 1.0
    network = network_of(neurons, activation, output, values, scale)  # type: ignore[arg-type]
    problem = Teacher(teacher, given, profile).problem(network)
    return problem, network.with_tied_outputs(Weights(hidden, outputs))


@pytest.mark.parametrize("profile", ["none", "constant", "linear"])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@of_two_slopes
def test_the_limit_is_a_bound_at_random_minima(activation: Any, output: str, profile: str) -> None:
    """Where σ is linear nothing bounds tied outputs, and with its linear part removed there is no loss at all."""
    random = np.random.default_rng(5)
    tightest = 0.0
    for _ in range(60):
        problem, weights = random_minimum(random, activation, output, profile)
        if activation.absolute == 0 and (output == "tied" or profile == "linear"):
            assert step_limit(problem.data, problem.network) == math.inf
            return
        assert float(problem.loss(weights)) < 1e-12
        stable = 2.0 / float(problem.sharpness(weights))
        tightest = max(tightest, stable / step_limit(problem.data, problem.network))
    assert 0.25 < tightest <= 1 + 1e-9


def test_limits_that_are_known_exactly() -> None:
    one, three = Teacher(np.eye(1, 5), np.ones(1)), Teacher(np.eye(3, 5), np.ones(3))
    assert step_limit(one, network_of(8, "relu", "fixed")) == pytest.approx(4 / 8)  # H has the eigenvalue n/2
    # Zhou, Ge, Jin 2021 with |·|: 1/(2 λ_max(D^½ K D^½)), K = 1 and 2/π off the diagonal
    assert step_limit(three, network_of(6, "abs", "tied")) == pytest.approx(1 / (2 * (1 + 4 / math.pi)))
    assert step_limit(three, network_of(2, "relu", "fixed")) == math.inf  # no minimum with L = 0
    assert step_limit(one, network_of(2, "relu", "fixed", [1.0, -1.0])) == math.inf


def section(**dynamics: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 1},
        "network": {"neurons": 4, "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", **dynamics},
        "times": {"steps": [1000]},
    }


@pytest.mark.parametrize("share", [0.98, 1.02])
def test_descent_leaves_a_minimum_above_the_limit_and_not_below(share: float) -> None:
    """Four students along one teacher: H = 1 − Σh ← (1 − 2η) H, and the limit is 1."""
    problem = Teacher(np.eye(1, 5), np.ones(1)).problem(network_of(4, "relu", "fixed"))
    start = Weights(np.outer([0.1, 0.2, 0.3, 0.4], np.eye(5)[0]) * (1 + 1e-3), np.ones(4))
    step = share * step_limit(problem.data, problem.network)
    end = problem.descend(start, step, 0.0, 50)
    grown = math.sqrt(float(problem.loss(end)) / float(problem.loss(start)))
    assert grown == pytest.approx(abs(1 - 2 * step) ** 50, rel=1e-6)
    assert (grown > 1) == (share > 1)


def test_a_step_above_the_limit_is_refused_by_name() -> None:
    with pytest.raises(
        ConfigError,
        match=r"experiment.dynamics.step_size: is 1.05, above the stability limit: .* above 1 ",
    ):
        twolayer.run(section(step_size=1.05))


def test_a_very_wide_problem_is_checked_at_once() -> None:
    wide = section(step_size=1.05) | {
        "problem": {"name": "gaussian_teacher", "dimension": 10**6, "angles": [0.0]}
    }
    with pytest.raises(ConfigError, match="stability limit"):
        twolayer.run(wide)


@pytest.mark.parametrize("last", [False, True])
def test_one_big_step_may_begin_stages_and_not_end_them(last: bool) -> None:
    big = {"name": "gradient_descent", "step_size": 10.0}
    small = {"name": "gradient_descent", "step_size": 0.1}
    stages = [{**small, "until": 1.0}, big] if last else [{**big, "until": 10.0}, small]
    staged = section(step_size=0.1) | {
        "dynamics": {"name": "sequence", "stages": stages},
        "times": {"values": [20.0]},
    }
    if last:
        with pytest.raises(
            ConfigError, match=r"dynamics.*stages\[1\]: step_size: is 10.0, above the stability"
        ):
            twolayer.run(staged)
    else:
        assert np.isfinite(twolayer.run(staged)["loss"]).all()
