"""The stop rule: each dynamics ends where the rule is met on its path, and its last state stands."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from heavy_ball import HeavyBall
from namespaces import BACKENDS, backend
from networks import network_of

import twolayer
from twolayer import FiniteData, Teacher, Weights
from twolayer.core.data import Data
from twolayer.core.dynamics import check_steps
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.storage.contents import pack_trajectory, unpack_trajectory
from twolayer.study.merge import merge_experiment
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.training.stop import StopRule
from twolayer.training.train import train

REGISTRY = load()
SEEDS = [3, 1, 4]
INPUTS = np.random.default_rng(0).standard_normal((3, 12, 3))
DATA: dict[str, Data] = {
    "finite": FiniteData(INPUTS, np.abs(INPUTS[..., 0]) - 0.5 * INPUTS[..., 1]),
    "population": Teacher(np.eye(3)[:2], np.array([1.0, 0.8])),
    "teachers": Teacher(np.stack([np.eye(3)[:2], np.eye(3)[1:], np.eye(3)[:2] + 0.1]), np.ones((3, 2))),
}
RULE = StopRule(loss=5e-3, gradient_norm=5e-3)


DYNAMICS: dict[str, Any] = {
    "gradient_descent": {"step_size": 0.05},
    "regularized_gradient_descent": {"step_size": 0.05, "weight_decay": 1e-3},
    "schedule": {
        "name": "regularized_gradient_descent",
        "step_size": 0.05,
        "weight_decay": {"values": [0.1, 1e-4], "until": [6.0]},
    },
    "stochastic_gradient_descent": {"step_size": 0.02, "batch_size": 6},
    "gradient_flow": {"rtol": 1e-6},
    "sequence": {
        "stages": [
            {"name": "gradient_descent", "step_size": 0.1, "layers": "hidden", "until": 2},
            {"name": "regularized_gradient_descent", "step_size": 0.05, "weight_decay": 1e-4},
        ]
    },
}


def made(name: str) -> Any:
    if name == "heavy_ball":
        return HeavyBall(0.05)
    return REGISTRY.build("dynamics", {"name": name, **DYNAMICS[name]}, "dynamics")[1]


def trained(kind: str, dynamics: Any, times: Times, stop: StopRule | None, **more: Any) -> Any:
    data, seeds = DATA[kind], more.pop("seeds", SEEDS)
    if data.per_seed and seeds != SEEDS:
        data = data.of_seeds(np.asarray([SEEDS.index(seed) for seed in seeds]))
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.7}, "initialization")[1]
    chosen = backend(more.pop("device", "numpy"))
    network = network_of(4, "relu", output=more.pop("output", "fixed"))
    return train(data, network, start, dynamics, times, seeds, chosen, stop=stop, **more)


def expected(kind: str, path: Any, dynamics: Any, rule: StopRule, after: float) -> list[tuple[int, int]]:
    """For each seed the first saved time at which the rule is met on a path without one, and why."""
    found = []
    for seed in range(len(SEEDS)):
        problem = DATA[kind].of_seed(seed).problem(network_of(4, "relu", output="fixed"))
        found.append((-1, 0))
        for index, time in enumerate(path.clock.time.tolist()):
            if time <= after:
                continue
            weights = Weights(path.weights.hidden[seed, index], path.weights.output[seed, index])
            gradient = problem.least_gradient if "flow" in dynamics.kinds else problem.gradient
            slope = gradient(
                Weights(weights.hidden[None], weights.output[None]), dynamics.weight_decay_at(time)
            )
            steep = np.sqrt((slope.hidden**2).sum() + (slope.output**2).sum())
            reason = 1 if steep <= rule.gradient_norm else 2 if problem.loss(weights) <= rule.loss else 0
            if reason:
                found[-1] = (index, reason)
                break
    return found


@pytest.mark.parametrize("kind", ["finite", "population", "teachers"])
@pytest.mark.parametrize("name", [*DYNAMICS, "heavy_ball"])
def test_a_seed_ends_where_its_path_first_meets_the_rule(name: str, kind: str) -> None:
    """Against the path without a rule, checked afterwards; weights to 1e-12, the flow's to 1e-9."""
    dynamics = made(name)
    after = {"schedule": 6.0, "sequence": 2.0}.get(name, -1.0)
    times = Times(values=np.arange(1.0, 46.0).tolist())
    whole, ended = (trained(kind, dynamics, times, rule, device="numba") for rule in (None, RULE))
    assert whole.stop_time is None
    np.testing.assert_array_equal(ended.clock.time, whole.clock.time)
    wanted = expected(kind, whole, dynamics, RULE, after)
    assert any(index > 0 for index, _ in wanted), "a test in which nothing stops"
    tolerance = 1e-9 if name == "gradient_flow" else 1e-12
    for seed, (index, reason) in enumerate(wanted):
        assert ended.stop_reason[seed] == reason
        if reason:
            assert ended.stop_time[seed] == whole.clock.time[index]
        else:
            assert np.isnan(ended.stop_time[seed])
        path = np.minimum(np.arange(len(whole.clock.time)), index if reason else len(whole.clock.time))
        for part in ("hidden", "output"):
            stood = getattr(whole.weights, part)[seed][path]
            np.testing.assert_allclose(getattr(ended.weights, part)[seed], stood, rtol=tolerance, atol=1e-13)


@pytest.mark.parametrize(
    "name", ["gradient_descent", "stochastic_gradient_descent", "heavy_ball", "sequence"]
)
@pytest.mark.parametrize("kind", ["finite", "population"])
def test_a_seed_ends_alike_alone_and_on_every_backend(name: str, kind: str) -> None:
    rule, times = StopRule(loss=3e-2, gradient_norm=5e-3), Times(values=np.arange(1.0, 11.0).tolist())
    every = trained(kind, made(name), times, rule)
    assert (every.stop_reason > 0).any()
    for device in BACKENDS[1:3]:
        other = trained(kind, made(name), times, rule, device=device)
        np.testing.assert_array_equal(other.stop_time, every.stop_time)
        np.testing.assert_array_equal(other.stop_reason, every.stop_reason)
        np.testing.assert_allclose(other.weights.hidden, every.weights.hidden, rtol=1e-9, atol=1e-11)
    for index, seed in enumerate(SEEDS):
        alone = trained(kind, made(name), times, rule, seeds=[seed])
        np.testing.assert_array_equal(alone.stop_time, every.stop_time[[index]])
        np.testing.assert_allclose(
            alone.weights.hidden[0], every.weights.hidden[index], rtol=1e-12, atol=1e-14
        )


def test_a_descent_is_checked_every_thousand_steps_then_each_twentieth_of_them() -> None:
    steps = check_steps(10**6)
    np.testing.assert_array_equal(steps[:20], 1000 * np.arange(1, 21))
    later = steps[20:]
    assert ((np.diff(later) <= later[:-1] // 20) & (np.diff(later) >= 1000)).all()
    assert len(steps) < 110
    assert len(check_steps(1000)) == 0


@pytest.mark.parametrize("device", ["numpy", "numba"])
def test_a_descent_with_one_saved_time_ends_between(device: str) -> None:
    """The state is the one at the check, and no step is taken after it."""
    rule, dynamics = StopRule(gradient_norm=5e-4), made("gradient_descent")
    ended = trained("population", dynamics, Times(steps=[4000]), rule, device=device)
    assert (ended.stop_reason == 1).any()
    ends = {seed: round(ended.stop_time[seed] / 0.05) for seed in np.flatnonzero(ended.stop_reason).tolist()}
    assert set(ends.values()) <= set(check_steps(4000).tolist())
    steps = sorted(set(ends.values()))
    there = trained("population", dynamics, Times(steps=steps), None, device=device)
    for seed, step in ends.items():
        frame = steps.index(step) - len(steps)
        np.testing.assert_allclose(
            ended.weights.hidden[seed, -1], there.weights.hidden[seed, frame], rtol=0, atol=1e-13
        )


def test_unchanged_compares_with_half_of_the_time() -> None:
    dynamics, times = made("gradient_descent"), Times(values=np.arange(1.0, 61.0).tolist())
    rule = StopRule(unchanged=0.03)
    whole, ended = trained("finite", dynamics, times, None), trained("finite", dynamics, times, rule)
    assert (ended.stop_reason == 3).any()
    for seed, hidden in enumerate(whole.weights.hidden):
        change = [
            np.abs(hidden[index] - hidden[index // 2]).max()
            / max(np.abs(hidden[index]).max(), np.abs(whole.weights.output[seed, index]).max())
            for index in range(1, 61)
        ]
        met = np.flatnonzero(np.asarray(change) <= 0.03)
        if len(met):
            assert ended.stop_time[seed] == 1.0 + met[0]
        else:
            assert np.isnan(ended.stop_time[seed])


def test_what_acts_at_once_and_single_precision() -> None:
    fit = REGISTRY.build("dynamics", {"name": "output_fit", "weight_decay": 0.1}, "dynamics")[1]
    ended = trained("finite", fit, Times(values=[1.0, 2.0]), StopRule(loss=1e9), output="trained")
    np.testing.assert_array_equal(ended.stop_time, [1.0, 1.0, 1.0])  # the start is not its result
    still = StopRule(unchanged=0.05)
    single = trained(
        "population", made("gradient_descent"), Times(values=[200]), still, dtype="float32", device="numba"
    )
    assert single.weights.hidden.dtype == np.float32
    assert (single.stop_reason == 3).any()
    assert single.stop_time.min() < 200


def test_marks_of_trust_are_those_of_the_path_that_was_run() -> None:
    """A step that is chaotic: a twin ends where its run ends, and does not part from a state that stands."""
    dynamics = REGISTRY.build("dynamics", {"name": "gradient_descent", "step_size": 0.9}, "dynamics")[1]
    times = Times(steps=[1, 2, 3, 50, 400])
    ended = trained("finite", dynamics, times, StopRule(loss=1e3))
    np.testing.assert_array_equal(ended.stop_time, np.zeros(3))
    np.testing.assert_array_equal(ended.path_trusted_until, np.full(3, 360.0))
    small = Times(values=[0.1, 1.0, 10.0])
    flow = REGISTRY.build("dynamics", {"name": "gradient_flow"}, "dynamics")[1]
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 1e-8}, "initialization")[1]
    path = train(
        DATA["population"], network_of(4, "relu", output="fixed"), start, flow, small, SEEDS, backend("numba"),
        stop=StopRule(loss=10.0),
    )  # fmt: skip
    np.testing.assert_array_equal(path.stop_time, np.zeros(3))
    np.testing.assert_array_equal(path.path_trusted_until, np.full(3, 10.0))


def test_files_keep_what_stopped() -> None:
    ended = trained("finite", made("gradient_descent"), Times(values=[5.0, 40.0]), RULE)
    packed = pack_trajectory(ended, SEEDS)
    assert "1 gradient_norm, 2 loss, 3 unchanged" in packed["stop_reason"][2]["long_name"]
    back = unpack_trajectory(packed)
    np.testing.assert_array_equal(back.stop_time, ended.stop_time)
    np.testing.assert_array_equal(back.stop_reason, ended.stop_reason)


EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 2},
    "network": {"neurons": 3, "output": "fixed"},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"values": [1, 2000]},
    "seeds": 2,
}


def test_a_dataset_says_when_and_why() -> None:
    dataset = twolayer.run(
        EXPERIMENT | {"stop": {"gradient_norm": "1e-4"}, "sweep": {"dynamics.step_size": [0.1, 0.2]}}
    )
    assert dataset.stop_time.dims == ("step_size", "seed")
    assert (dataset.gradient_norm.isel(time=-1) <= 1e-4).where(dataset.stop_reason == 1, other=True).all()
    assert (dataset.stop_reason == 1).any()
    run = json.loads(str(dataset.run.values.flat[0]))
    assert run["stop"] == {"gradient_norm": 1e-4}
    twolayer.run(EXPERIMENT | {"stop": run["stop"], "times": {"values": [1]}, "metrics": ["loss"]})


def run_of(section: dict[str, Any]) -> dict[str, Any]:
    return next(iter(make_experiment("p", "e", section, REGISTRY).runs.values())).as_dict()


def test_a_run_without_a_rule_is_as_before() -> None:
    plain = run_of(EXPERIMENT)
    assert "stop" not in plain
    for off in (None, False):
        assert run_of(EXPERIMENT | {"stop": off}) == plain
    base = EXPERIMENT | {"stop": {"loss": 1e-3}}
    assert merge_experiment(base, {"stop": {"unchanged": 1e-6}})["stop"] == {"unchanged": 1e-6}
    assert run_of(merge_experiment(base, {"stop": None})) == plain


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "stop: give one or more of gradient_norm, loss, unchanged"),
        ({"loss": 0}, "stop.loss: must be above 0"),
        ({"gradient_norm": -1e-3}, "stop.gradient_norm: must be above 0"),
        ({"unchanged": float("inf")}, "stop.unchanged: must be finite"),
        ({"unchanged": float("nan")}, "stop.unchanged: must be finite"),
        ({"gradient": 1e-3}, "stop.gradient: "),
        ({"loss": True}, "stop.loss: must be a number"),
        ({"loss": "small"}, "stop.loss: must be a number"),
        (1e-3, "stop: must be a section with keys"),
        (True, "stop: must be a section with keys"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(rule: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"papers.p.experiments.e.{message}"):
        run_of(EXPERIMENT | {"stop": rule})


def test_a_rule_is_looked_at_every_so_many_steps() -> None:
    """The time of arrival to a step: the loss there is below the level, and one step before it is not."""
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1},
        "network": {"neurons": 2, "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.05},
        "times": {"steps": [500]},
        "stop": {"loss": 3e-2, "every": 1},
        "seeds": 2,
    }
    ended = twolayer.run(experiment)
    steps = np.rint(ended.stop_time.values / 0.05).astype(int)
    for seed, step in enumerate(steps.tolist()):
        path = twolayer.run({**experiment, "stop": None, "times": {"steps": [step - 1, step]}})
        before, after = path.loss.isel(seed=seed, time=slice(1, None)).values
        assert after <= 3e-2 < before
    coarse = twolayer.run({**experiment, "stop": {"loss": 3e-2, "every": 7}})
    found = np.rint(coarse.stop_time.values / 0.05).astype(int)
    assert (found == -(-steps // 7) * 7).all()
    with pytest.raises(ConfigError, match="every: at least 1 step"):
        twolayer.run({**experiment, "stop": {"loss": 3e-2, "every": 0}})
    with pytest.raises(ConfigError, match="give one or more of"):
        twolayer.run({**experiment, "stop": {"every": 3}})
