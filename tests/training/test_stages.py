"""stages: each against the same steps written out, on every backend; its clock, its λ, its schema, its code."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import BACKENDS, STAND_INS, backend
from networks import network_of

import twolayer
from twolayer import FiniteData, InitializationSpec, Network, Teacher, Weights
from twolayer.core.arrays import to_host
from twolayer.core.output_layer import OutputLayer
from twolayer.core.seeds import random_of
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.finite.flow.frames import FlowStalled, flow_frames
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.study.schema import build
from twolayer.training.train import train

REGISTRY = load()
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.standard_normal((2, 30, 4))  # seeds differ
DATA = {
    "finite": FiniteData(INPUTS, np.abs(INPUTS[..., 0]) - 0.5 * INPUTS[..., 1]),
    "population": Teacher(np.eye(4)[:2], np.array([1.0, -0.8]), "constant"),
}
WHOLE = [
    {"name": "gradient_descent", "step_size": 2.0, "layers": "hidden", "until": 2},
    {"name": "output_fit", "weight_decay": 0.05},
    {"name": "balancing"},
    {"name": "regularized_gradient_descent", "step_size": 0.05, "weight_decay": 0.05, "until": 4},
    {"name": "gradient_descent", "step_size": 0.1, "layers": "output", "until": 5},
    {"name": "gradient_flow", "weight_decay": 0.01, "layers": "output", "until": 6},
    {"name": "gradient_flow", "weight_decay": 0.01, "rtol": 1e-9, "layers": "hidden"},
]


def stages(listed: list[dict[str, Any]]) -> Any:
    return REGISTRY.build("dynamics", {"name": "sequence", "stages": listed}, "dynamics")[1]


def trained(data: Any, dynamics: Any, times: Any, device: str = "numpy", **fields: Any) -> Any:
    network = network_of(5, "abs", **fields)
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.5}, "initialization")[1]
    return train(data, network, start, dynamics, Times(values=times), [0, 1], backend(device))


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("device", BACKENDS)
def test_each_stage_is_its_rule(kind: str, device: str) -> None:
    data, times = DATA[kind], [2.0, 4.0, 5.0, 6.0, 7.0]
    path = trained(data, stages(WHOLE), times, device).weights
    problem = data.problem(network_of(5, "abs"))
    a, w = path.output[:, 0], path.hidden[:, 0]
    w = w - 2.0 * problem.gradient(Weights(w, a)).hidden
    np.testing.assert_allclose(path.hidden[:, 1], w, rtol=1e-10)
    np.testing.assert_array_equal(path.output[:, 1], a)
    gram, slope = OutputLayer.of(problem, w).form
    a = np.stack([np.linalg.solve(g + 0.05 * np.eye(5), h) for g, h in zip(gram, slope, strict=True)])
    assert np.abs(problem.gradient(Weights(w, a), 0.05).output).max() < 1e-13
    length = np.linalg.norm(w, axis=-1)
    size = np.sqrt(np.abs(a) * length)
    w, a = w * (size / length)[..., None], np.sign(a) * size
    for _ in range(40):
        step = problem.gradient(Weights(w, a), 0.05)
        w, a = w - 0.05 * step.hidden, a - 0.05 * step.output
    np.testing.assert_allclose(path.hidden[:, 2], w, rtol=1e-8)
    for _ in range(10):
        a = a - 0.1 * problem.gradient(Weights(w, a)).output
    np.testing.assert_array_equal(path.hidden[:, 3], path.hidden[:, 2])
    np.testing.assert_allclose(path.output[:, 3], a, rtol=1e-8)
    layer = OutputLayer.of(problem, path.hidden[:, 3])
    for seed in range(2):
        rest = layer.form[0][seed] + 0.01 * np.eye(5)
        goal = np.linalg.solve(rest, layer.form[1][seed])
        values, vectors = np.linalg.eigh(rest)
        exact = goal + vectors @ (np.exp(-values) * (vectors.T @ (a[seed] - goal)))
        np.testing.assert_allclose(path.output[seed, 4], exact, rtol=1e-7)
    np.testing.assert_array_equal(path.output[:, 5], path.output[:, 4])
    assert np.abs(path.hidden[:, 5] - path.hidden[:, 4]).max() > 1e-3
    objective = [
        problem.loss(frame) + 0.005 * (frame.hidden**2).sum((-2, -1))
        for frame in (Weights(path.hidden[:, moment], path.output[:, moment]) for moment in (4, 5))
    ]
    assert (objective[1] < objective[0]).all()


@pytest.mark.parametrize("kind", DATA)
def test_hidden_weights_alone_flow_as_with_fixed_outputs(kind: str) -> None:
    flow = {"name": "gradient_flow", "rtol": 1e-8}
    values = [0.3, -1.0, 0.5, 1.0, 0.7]
    start = [{"name": "output_fit"}, {**flow, "layers": "hidden"}]
    network = network_of(5, "abs", "fixed", output_values=values)
    begin = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.5}, "initialization")[1]
    plain = REGISTRY.build("dynamics", flow, "dynamics")[1]
    fixed = train(DATA[kind], network, begin, plain, Times(values=[0.5]), [0, 1], backend("numpy"))
    scheduled = train(
        DATA[kind],
        network,
        begin,
        stages([{**flow, "until": 0.2}, flow]),
        Times(values=[0.5]),
        [0, 1],
        backend("numpy"),
    )
    np.testing.assert_allclose(scheduled.weights.hidden, fixed.weights.hidden, rtol=1e-6, atol=1e-7)
    path = trained(DATA[kind], stages(start), [1e-9, 0.5]).weights
    np.testing.assert_array_equal(path.output[:, 1], path.output[:, 2])
    assert np.abs(path.hidden[:, 1] - path.hidden[:, 2]).max() > 1e-2


@pytest.mark.parametrize("layers", ["hidden", "output"])
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("device", BACKENDS)
def test_batches_move_the_layers_that_config_names(layers: str, kind: str, device: str) -> None:
    """Both layers' steps are drawn from one generator: the one that moves goes as the rule with its batch says."""
    listed = [{"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 8, "layers": layers}]
    path = trained(DATA[kind], stages(listed), [0.05, 0.1], device).weights
    problem = DATA[kind].problem(network_of(5, "abs"))
    random = [random_of(seed, "dynamics") for seed in (0, 1)]
    weights = Weights(path.hidden[:, 0], path.output[:, 0])
    for moment in (1, 2):
        slope = problem.batch(weights, 8, random).gradient(weights)
        moved = weights - 0.05 * slope
        weights = Weights(
            moved.hidden if layers == "hidden" else weights.hidden,
            moved.output if layers == "output" else weights.output,
        )
        np.testing.assert_allclose(path.hidden[:, moment], weights.hidden, rtol=1e-10)
        np.testing.assert_allclose(path.output[:, moment], weights.output, rtol=1e-10)


@pytest.mark.parametrize("kind", DATA)
def test_a_fit_without_weight_decay_moves_as_little_as_it_can(kind: str) -> None:
    """Two neurons alike: the loss is flat along their difference, which stays."""
    random = np.random.default_rng(4)
    hidden = random.standard_normal((2, 5, 4))
    hidden[:, 1] = hidden[:, 0]
    given = random.standard_normal((2, 5))
    problem = DATA[kind].problem(network_of(5, "abs"))
    layer = OutputLayer.of(problem, hidden)
    fitted = layer.minimum(Weights(hidden, given), 0.0)
    assert np.abs(problem.gradient(fitted).output).max() < 1e-12
    np.testing.assert_allclose(
        fitted.output[:, 0] - fitted.output[:, 1], given[:, 0] - given[:, 1], rtol=1e-9
    )
    top = np.linalg.eigvalsh(layer.form[0])[:, -1]
    np.testing.assert_allclose(layer.sharpness(fitted), top)
    loss = 0.5 * np.einsum("si,sij,sj->s", given, layer.form[0], given) - (layer.form[1] * given).sum(-1)
    zero = problem.loss(Weights(hidden, np.zeros((2, 5))))
    np.testing.assert_allclose(loss + zero, problem.loss(Weights(hidden, given)), rtol=1e-12)


@pytest.mark.parametrize("device", BACKENDS)
def test_balancing_keeps_the_function(device: str) -> None:
    library = backend(device)
    problem = library.problem(DATA["finite"], network_of(3), "float64", 1)
    hidden = np.array([[[1e-8, 0, 0, 0], [3.0, 4.0, 0, 0], [0, 0, 0, 0]]] * 2)
    output = np.array([[1e8, -0.2, 5.0]] * 2)
    weights = Weights(library.asarray(hidden, "float64"), library.asarray(output, "float64"))
    balancing = REGISTRY.find("dynamics", "balancing").plugin()
    after = balancing.update(problem, weights, [])
    length = np.linalg.norm(to_host(after.hidden), axis=-1)
    np.testing.assert_allclose(length, [[1.0, 1.0, 0.0]] * 2, rtol=1e-14)
    np.testing.assert_allclose(to_host(after.output), [[1.0, -1.0, 0.0]] * 2, rtol=1e-14)
    np.testing.assert_allclose(to_host(problem.predict(after)), to_host(problem.predict(weights)), rtol=1e-12)


def test_what_acts_at_once_may_stand_alone_and_may_rest() -> None:
    alone = REGISTRY.build("dynamics", {"name": "output_fit"}, "dynamics")[1]
    path = trained(DATA["population"], alone, [1.0, 2.0]).weights
    problem = DATA["population"].problem(network_of(5, "abs"))
    assert np.abs(problem.gradient(Weights(path.hidden[:, 1], path.output[:, 1])).output).max() < 1e-13
    np.testing.assert_array_equal(path.output[:, 1], path.output[:, 2])
    assert np.abs(path.output[:, 0] - path.output[:, 1]).max() > 0.1
    rest = stages([{"name": "output_fit", "until": 3}, {"name": "gradient_descent", "step_size": 0.5}])
    again = trained(DATA["population"], rest, [2.0, 3.0, 3.5])
    np.testing.assert_array_equal(again.clock.time, [0, 2, 3, 3.5])
    np.testing.assert_array_equal(again.weights.output[:, 1], again.weights.output[:, 2])
    assert np.abs(again.weights.hidden[:, 3] - again.weights.hidden[:, 2]).max() > 1e-3


def test_the_clock_is_common() -> None:
    """Descents at their steps, flows as asked; a descent ends at its step nearest to `until`."""
    listed = [
        {"name": "gradient_descent", "step_size": 0.3, "until": 1.0},  # ends at 0.9
        {"name": "gradient_flow", "until": 2.0},
        {"name": "gradient_descent", "step_size": 0.25},
    ]
    dynamics = stages(listed)
    assert dynamics.clock(Times(values=[0.2, 0.3, 0.95, 1.7, 2.1, 2.3])).time.tolist() == pytest.approx(
        [0, 0.3, 0.95, 1.7, 2.25]
    )
    assert dynamics.spans[0][1] == pytest.approx(0.9)
    clock = dynamics.clock(Times(start=0.01, stop=50, count=60, spacing="log"))
    assert (np.diff(clock.time) > 0).all()
    assert clock.step is None
    np.testing.assert_allclose([one.start for one in dynamics.timed(clock.time)], [0, 0.9, 2.0])
    again = dynamics.clock(Times(values=clock.time[1:].tolist()))
    np.testing.assert_allclose(again.time, clock.time, rtol=1e-14)


def test_what_is_saved_does_not_change_the_run() -> None:
    few = trained(DATA["population"], stages(WHOLE), [7.0])
    many = trained(DATA["population"], stages(WHOLE), [0.5, 2.0, 2.2, 2.9, 3.3, 4.5, 5.0, 5.5, 6.0, 7.0])
    np.testing.assert_allclose(few.weights.hidden[:, -1], many.weights.hidden[:, -1], rtol=1e-9)


def test_weight_decay_is_that_of_the_stage() -> None:
    path = trained(DATA["population"], stages(WHOLE), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert path.weight_decay.tolist() == [0, 0, 0.05, 0.05, 0, 0.01, 0.01]
    schedule = {"values": [0.3, 0.1], "until": [1.0]}  # on the stage's clock
    dynamics = stages(
        [
            {"name": "gradient_descent", "step_size": 0.5, "until": 10},
            {"name": "regularized_gradient_descent", "step_size": 0.5, "weight_decay": schedule},
        ]
    )
    assert [dynamics.weight_decay_at(time) for time in (0, 10, 10.5, 11, 11.5)] == [0, 0, 0.3, 0.3, 0.1]


@pytest.mark.parametrize("name", ["gradient_flow", "regularized_gradient_descent"])
def test_a_moment_of_change_belongs_to_what_ended_in_it(name: str) -> None:
    """A schedule of λ and stages of one λ each: the same weights, the same λ, and the same metrics of it."""
    step = {} if name == "gradient_flow" else {"step_size": 0.1}
    problem = {"name": "gaussian_teacher", "dimension": 3, "teachers": 2}
    schedule = {"values": [0.3, 0.1, 0.02], "until": [1.0, 2.5]}
    parts = [
        {"name": name, **step, "weight_decay": 0.3, "until": 1.0},
        {"name": name, **step, "weight_decay": 0.1, "until": 2.5},
        {"name": name, **step, "weight_decay": 0.02},
    ]
    found = [
        twolayer.run(
            {
                "problem": problem,
                "network": {"neurons": 4},
                "initialization": {"name": "gaussian", "scale": 0.3},
                "dynamics": dynamics,
                "times": {"values": [0.5, 1.0, 1.5, 2.5, 3.0]},
                "seeds": 2,
                "metrics": ["loss", "objective", "regularization", "gradient_norm", "suboptimality"],
            },
            weights=True,
        )
        for dynamics in (
            {"name": name, **step, "weight_decay": schedule},
            {"name": "sequence", "stages": parts},
        )
    ]
    scheduled, staged = found
    assert scheduled["regularization"].values.tolist() == [0.3, 0.3, 0.3, 0.1, 0.1, 0.02]
    for metric in ("regularization", "objective", "gradient_norm", "suboptimality", "hidden"):
        np.testing.assert_allclose(scheduled[metric].values, staged[metric].values, rtol=1e-7, atol=1e-15)
    squares = (scheduled["hidden"] ** 2).sum(("neuron", "feature")) + (scheduled["output"] ** 2).sum("neuron")
    by_hand = scheduled["loss"] + 0.5 * scheduled["regularization"] * squares
    np.testing.assert_allclose(scheduled["objective"].values, by_hand.values, rtol=1e-13)


def test_a_stage_that_diverges_is_named() -> None:
    wild = {"name": "gradient_descent", "step_size": 1e9}
    last = trained(DATA["finite"], stages([{"name": "balancing"}, wild]), [1e9, 1e12])
    assert np.isnan(last.weights.hidden[:, -1]).all()
    assert len(last.notes) == 2
    assert "seed 0: weights could be carried to time" in last.notes[0]
    both = trained(DATA["finite"], stages([{**wild, "until": 1e12}, wild]), [1e12, 1e13])
    assert np.isnan(both.weights.hidden[:, 1:]).all()
    assert np.isfinite(both.weights.hidden[:, 0]).all()
    assert (
        "seed 1: weights could be carried to time 0, not to 1e+12: stages[0] (gradient_descent)"
        in both.notes[1]
    )
    assert both.flow_forks is None


@dataclass(frozen=True)
class OneFarOff(InitializationSpec):
    """A start of size .5, and 100 times as large for seed 1."""

    def weights(self, data: Any, network: Network, random: np.random.Generator, seed: int) -> Weights:
        scale = 50.0 if seed == 1 else 0.5
        hidden = scale * random.standard_normal((network.neurons, data.features))
        return Weights(hidden, scale * random.standard_normal(network.neurons))


def first_by_descent(seeds: list[int], then: list[dict[str, Any]], kind: str, device: str) -> Any:
    """Descent whose step is too large for seed 1 alone, then other stages; one data set for all."""
    data = DATA[kind] if kind == "population" else FiniteData(INPUTS[0], DATA["finite"].targets[0])
    listed = stages([{"name": "gradient_descent", "step_size": 0.125, "until": 50.0}, *then])
    times = Times(values=[1.0, 25.0, 50.0, 51.0, 52.0])
    return train(data, network_of(5, "abs"), OneFarOff(), listed, times, seeds, backend(device))


@pytest.mark.parametrize(
    ("kind", "device"),
    [
        *itertools.product(DATA, ("numpy", "numba")),
        *itertools.product(["finite"], STAND_INS),
        *(pytest.param("population", device, marks=pytest.mark.slow) for device in STAND_INS),
        *(pytest.param(kind, "cupy", marks=pytest.mark.gpu) for kind in DATA),
    ],
)
@pytest.mark.parametrize(
    "then",
    [
        [{"name": "output_fit"}, {"name": "balancing"}, {"name": "gradient_descent", "step_size": 0.125}],
        [
            {"name": "gradient_flow", "until": 51.0, "rtol": 1e-4},
            {"name": "gradient_flow", "layers": "output", "rtol": 1e-4},
        ],
    ],
)
def test_a_stage_that_loses_one_seed_leaves_the_others_whole(kind: str, device: str, then: Any) -> None:
    broken = first_by_descent([0, 1, 2], then, kind, device)
    whole = first_by_descent([0, 3, 2], then, kind, device)
    assert np.isfinite(whole.weights.hidden).all()
    for index in (0, 2):
        assert np.array_equal(broken.weights.hidden[index], whole.weights.hidden[index])
        assert np.array_equal(broken.weights.output[index], whole.weights.output[index])
    assert np.isfinite(broken.weights.hidden[1, 0]).all()
    assert np.isnan(broken.weights.hidden[1, 2:]).all()
    assert np.isnan(broken.weights.output[1, 3:]).all()
    (note,) = (note for note in broken.notes if "could be carried" in note)
    assert "seed 1: weights could be carried to time" in note
    assert "stages[0] (gradient_descent) left the finite numbers before it ended, at time 50.0" in note


def test_a_flow_that_stalls_in_a_stage_costs_its_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FiniteData(INPUTS[0], DATA["finite"].targets[0])
    flow = {"name": "gradient_flow"}
    listed = stages([{**flow, "until": 2.0}, {"name": "output_fit"}, {**flow, "weight_decay": 0.1}])
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.5}, "initialization")[1]

    def run() -> Any:
        times = Times(values=[1.0, 2.0, 3.0, 4.0])
        return train(data, network_of(5, "abs"), start, listed, times, [3, 4, 5], backend("numpy"))

    whole, calls = run(), []

    def stalling(*arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        for index, frame in enumerate(flow_frames(*arguments, **settings)):
            if len(calls) == 2 and index == 2:
                raise FlowStalled("at time 1.5, neuron 0: no progress")
            yield frame._replace(forks=len(calls))

    monkeypatch.setattr("twolayer.finite.flow.flow_frames", stalling)
    broken = run()
    for index in (0, 2):
        assert np.array_equal(broken.weights.hidden[index], whole.weights.hidden[index])
    assert np.array_equal(broken.weights.hidden[1, :2], whole.weights.hidden[1, :2])
    assert np.isnan(broken.weights.hidden[1, 2:]).all()
    assert broken.flow_forks.tolist() == [1 + 4, 2, 3 + 6]  # in the first stage, and in the last
    (note,) = (note for note in broken.notes if "could be carried" in note)
    assert "seed 4: weights could be carried to time 1, not to 2: at time 1.5, neuron 0: no progress." in note


EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
    "network": {"neurons": 5},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "sequence", "stages": WHOLE},
    "times": {"values": [1.0, 7.0]},
}


def made(listed: Any, **changes: Any) -> Any:
    section = {**EXPERIMENT, "dynamics": {"name": "sequence", "stages": listed}, **changes}
    return make_experiment("paper", "e", section, REGISTRY)


GD = {"name": "gradient_descent", "step_size": 0.1}
PLACE = r"^papers\.paper\.experiments\.e\.dynamics\.stages"
BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "unknown dynamics": (
        [{"name": "gradient_descend"}],
        {},
        PLACE
        + r"\[0\]\.name: there is no dynamics 'gradient_descend'\. Did you mean 'gradient_descent'\? Known: adam, bal",
    ),
    "no name": ([{"step_size": 1}], {}, PLACE + r"\[0\]\.name: missing; known: adam, balancing, "),
    "no section": ([3], {}, PLACE + r"\[0\]: must be a section"),
    "missing key": ([{**GD, "until": 1}, {"name": GD["name"]}], {}, PLACE + r"\[1\]: missing step_size"),
    "bad value": ([{**GD, "step_size": -1}], {}, PLACE + r"\[0\]\.step_size: must be above 0"),
    "bad type": ([{**GD, "until": "soon"}], {}, PLACE + r"\[0\]\.until: must be a number"),
    "unknown key": (
        [{**GD, "layer": "hidden"}],
        {},
        PLACE + r"\[0\]\.layer: there is no key 'layer'\. Did you mean 'layers'\? "
        r"Known: layers, output_step_size, step_size, until\.",
    ),
    "unknown layers": ([{**GD, "layers": "first"}], {}, PLACE + r"\[0\]\.layers: there is no choice 'first'"),
    "empty": ([], {}, PLACE + r": at least one"),
    "no end": ([GD, GD], {}, PLACE + r"\[0\]\.until: missing"),
    "ends back": (
        [{**GD, "until": 2}, {**GD, "until": 2}],
        {},
        PLACE + r"\[1\]\.until: must be later than 2\.0",
    ),
    "no step": (
        [{**GD, "step_size": 10, "until": 2}],
        {},
        PLACE + r"\[0\]\.until: is 2\.0, not one step of 10\.0 after 0\.0",
    ),
    "stages in stages": (
        [{"name": "sequence", "stages": [GD]}],
        {},
        PLACE + r"\[0\]\.name: stages cannot be nested",
    ),
    "tied": (
        [{**GD, "layers": "hidden"}],
        {"network": {"neurons": 2, "output": "tied"}},
        PLACE + r"\[0\]\.layers: tied outputs",
    ),
    "fixed": (
        [{**GD, "layers": "output"}],
        {"network": {"neurons": 2, "output": "fixed"}},
        PLACE + r"\[0\]\.layers: the outputs of this network are fixed",
    ),
    "nothing to fit": (
        [{"name": "output_fit"}],
        {"network": {"neurons": 2, "output": "fixed"}},
        PLACE + r"\[0\]: fits output weights",
    ),
    "never begun": (
        [{**GD, "until": 8}, {"name": "balancing"}],
        {},
        r"e\.times: stages\[1\] of the dynamics begins at 8\.0",
    ),
    "steps": (
        [GD],
        {"times": {"steps": [1]}},
        r"e\.times\.steps: stages have steps of different sizes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_reported_with_their_place(case: str) -> None:
    listed, changes, message = BAD[case]
    with pytest.raises(ConfigError, match=message):
        made(listed, **changes)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
keys = st.sampled_from(["name", "layers", "until", "step_size", "weight_decay", "rtol", "stages"])
known = st.sampled_from(
    ["gradient_descent", "gradient_flow", "output_fit", "balancing", "hidden", "both", 0.1, 1, 5]
)
entry = st.dictionaries(keys, known | anything, max_size=5)


@given(st.lists(entry | anything, max_size=3) | anything)
def test_any_stages_are_taken_or_refused(listed: Any) -> None:
    """What is taken comes back the same from the run's JSON."""
    taken = attempt(listed)
    if taken is not None:
        described = json.loads(taken)
        (again,) = make_experiment(
            "paper", "e", {key: described[key] for key in EXPERIMENT}, REGISTRY
        ).runs.values()
        assert again.json() == taken


def attempt(listed: Any) -> str | None:
    """The run as JSON, or None where a ConfigError refuses it at its place."""
    try:
        (run,) = made(listed).runs.values()
    except ConfigError as error:
        if not str(error).startswith("papers.paper.experiments.e"):
            raise
        return None
    return run.json()


def test_a_run_carries_each_stage_whole() -> None:
    (run,) = made(WHOLE).runs.values()
    first, fit, *_ = run.sections["dynamics"]["stages"]
    assert first == {
        "name": "gradient_descent", "step_size": 2.0, "output_step_size": None, "layers": "hidden", "until": 2.0
    }  # fmt: skip
    assert fit == {"name": "output_fit", "weight_decay": 0.05, "layers": "both", "until": None}


def test_a_stage_can_be_swept() -> None:
    sweep = {"dynamics.stages[3].weight_decay": [0.05, 0.1], "dynamics.stages[0].step_size": [1.0, 2.0]}
    experiment = made(WHOLE, sweep=sweep)
    assert list(experiment.runs) == [
        f"weight_decay={decay},step_size={size}" for decay in (0.05, 0.1) for size in (1.0, 2.0)
    ]
    run = experiment.runs["weight_decay=0.1,step_size=1.0"]
    assert run.sections["dynamics"]["stages"][3]["weight_decay"] == 0.1
    assert run.swept == {"weight_decay": 0.1, "step_size": 1.0}
    labels = {"dynamics.stages": {"plain": [GD], "fitted": [{"name": "output_fit"}, GD]}}
    assert list(made(WHOLE, sweep=labels).runs) == ["stages=plain", "stages=fitted"]
    for path, message in {
        "dynamics.stages[9].until": r"there is no \[9\]",
        "dynamics.stages[0]": "must end in a key",
        "dynamics[0].until": "there is no section to sweep",
        "network.neurons[0].x": "neurons is 5, not a section with keys",
    }.items():
        with pytest.raises(ConfigError, match=message):
            made(WHOLE, sweep={path: [1.0]})


def test_the_code_of_every_stage_counts(tmp_path: Path) -> None:
    """Editing a dynamics reruns the runs that have it as a stage, and no others."""
    text = (
        "from dataclasses import dataclass\nfrom twolayer import InstantUpdate, hookimpl\n\n"
        "@dataclass(frozen=True)\nclass Still(InstantUpdate):\n    def update(self, problem, weights, random):\n"
        "        return weights\n\n@hookimpl\ndef register_dynamics(register):\n    register('still', Still)\n"
    )
    hashes = []
    for name, body in (("one", text), ("two", text + "CHANGED = True\n")):
        file = tmp_path / name / "dynamics" / "still.py"
        file.parent.mkdir(parents=True)
        file.write_text(body)
        registry = load([tmp_path / name])
        with_it, without = ([{"name": "still"}, GD], [GD])
        runs = []
        for listed in (with_it, without):
            section = {**EXPERIMENT, "dynamics": {"name": "sequence", "stages": listed}}
            (run,) = make_experiment("paper", "e", section, registry).runs.values()
            runs.append(Job(run.as_dict(), registry).code("train"))
        hashes.append(runs)
    assert hashes[0][0] != hashes[1][0]
    assert hashes[0][1] == hashes[1][1]


def test_a_section_that_names_a_plugin_needs_a_lookup() -> None:
    cls = REGISTRY.find("dynamics", "sequence").plugin
    with pytest.raises(ConfigError, match="none can be looked up"):
        build(cls, {"stages": [GD]}, "here")


def test_it_runs_from_config_to_metrics() -> None:
    dataset = twolayer.run({**EXPERIMENT, "times": {"values": [2.0, 4.0, 7.0]}})
    assert "step" not in dataset
    gap = dataset["objective"] - dataset["loss"]
    assert gap.isel(time=0).item() == 0
    assert gap.isel(time=2).item() > 0
