"""Descents on every backend against the obvious loop, against gradient flow, and where they break."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from namespaces import BACKENDS, STAND_INS, backend
from networks import TWO_SLOPES, network_of
from scipy.integrate import solve_ivp

import twolayer
from twolayer import EmpiricalProblem, FiniteData, InitializationSpec, Network, Problem, Weights
from twolayer.core.arrays import to_host
from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics, WeightDecay
from twolayer.core.times import Times
from twolayer.study.registry import load
from twolayer.training.train import train

on_every_backend = pytest.mark.parametrize("name", BACKENDS)


def dynamics(name: str, **fields: Any) -> Any:
    """A dynamics plugin with its fields."""
    return load(kinds=["dynamics"]).find("dynamics", name).plugin(**fields)


def gaussian(**fields: Any) -> Any:
    """The Gaussian initialisation."""
    return load(kinds=["initializations"]).find("initializations", "gaussian").plugin(**fields)


def drawn(
    network: Network,
    samples: int,
    features: int,
    seeds: int,
    per_seed: bool = False,
    loss: str = "mean_square",
    number: int = 0,
) -> tuple[FiniteData, Weights]:
    """Normal data and weights of order one, the `number`-th of their kind."""
    random = np.random.default_rng([samples, features, seeds, number])
    lead = (seeds,) if per_seed else ()
    inputs = random.standard_normal((*lead, samples, features)) / np.sqrt(features)
    data = FiniteData(inputs, random.standard_normal((*lead, samples)), loss)
    hidden = random.standard_normal((seeds, network.neurons, features))
    output = random.standard_normal((seeds, network.neurons)) / np.sqrt(network.neurons)
    if network.output == "fixed":
        output = np.ones_like(output)
    return data, network.with_tied_outputs(Weights(hidden, output))


def placed(device: Backend, data: FiniteData, network: Network, dtype: str, threads: int = 1) -> Problem:
    """The problem on a backend."""
    given = dataclasses.replace(
        data, inputs=device.asarray(data.inputs, dtype), targets=device.asarray(data.targets, dtype)
    )
    return device.accelerate(given.problem(network), threads)


def descended(
    device: Backend,
    data: FiniteData,
    network: Network,
    weights: Weights,
    dtype: str,
    *step: Any,
    threads: int = 1,
) -> Weights:
    """`problem.descend` on a backend, back on the host."""
    there = Weights(device.asarray(weights.hidden, dtype), device.asarray(weights.output, dtype))
    result = placed(device, data, network, dtype, threads).descend(there, *step)
    return Weights(to_host(result.hidden), to_host(result.output))


def assert_close(actual: Weights, expected: Weights, tolerance: float) -> None:
    """Equal to `tolerance` of the largest weight."""
    largest = max(np.abs(expected.hidden).max(), np.abs(expected.output).max())
    np.testing.assert_allclose(actual.hidden, expected.hidden, rtol=0, atol=tolerance * largest)
    np.testing.assert_allclose(actual.output, expected.output, rtol=0, atol=tolerance * largest)


def identical(one: Weights, two: Weights) -> bool:
    """Equal bits."""
    return one.hidden.tobytes() == two.hidden.tobytes() and one.output.tobytes() == two.output.tobytes()


# ---- every mode against the reference ---------------------------------------------------------------------

# (samples, features): the compiled backend keeps weights where features are few, and pre-activations, in
# groups of sixteen samples, where they are many
SHAPES = {
    "few": (40, 3),
    "several": (30, 11),
    "one": (1, 1),
    "many": (5, 40),
    "full": (16, 20),
    "over": (33, 50),
}
MODES = [
    pytest.param(activation, output, id=f"{name}-{output}")
    for (name, activation), output in itertools.product(TWO_SLOPES.items(), ["trained", "fixed", "tied"])
]


def shapes_on_backends() -> Iterator[Any]:
    """Each shape on each backend: of the stand-ins, those of more numbers are slow."""
    for one in BACKENDS:
        name, marks = (one, ()) if isinstance(one, str) else (one.values[0], one.marks)
        for label, shape in SHAPES.items():
            repeated = name in STAND_INS and label not in ("few", "one")
            slow = [pytest.mark.slow] if repeated else []
            yield pytest.param(name, shape, marks=[*marks, *slow], id=f"{label}-{name}")


@pytest.mark.parametrize(("name", "shape"), list(shapes_on_backends()))
@pytest.mark.parametrize(("activation", "output"), MODES)
def test_descend_equals_the_reference(
    name: str, shape: tuple[int, int], activation: Any, output: Any
) -> None:
    device, steps = backend(name), 10
    settings = itertools.product(
        [False, True], [("mean_square", 1.0), ("half_mean_square", "1/sqrt(m)")], [0.0, 0.4]
    )
    for per_seed, (loss, scale), decay in settings:
        network = network_of(6, activation, output, output_scale=scale)
        data, weights, expected = away_from_borders(network, shape, per_seed, loss, decay, steps)
        for dtype, tolerance in (("float64", 1e-13), ("float32", 1e-5)):
            actual = descended(device, data, network, weights, dtype, 0.01, decay, steps)
            assert actual.hidden.dtype == actual.output.dtype == dtype
            assert_close(actual, expected, tolerance)


@pytest.mark.parametrize("per_seed", [False, True])
def test_many_features_are_left_to_the_array_code(per_seed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr("twolayer.finite.numba_descent.MOST_FEATURES", 4)
    monkeypatch.setattr("twolayer.finite.numba_descent.descend_direct", None)
    network = network_of(16, TWO_SLOPES["relu"], "trained")
    data, weights = drawn(network, 7, 5, seeds=3, per_seed=per_seed)
    expected = EmpiricalProblem(data, network).descend(weights, 0.01, 0.4, 10)
    assert_close(
        descended(backend("numba"), data, network, weights, "float64", 0.01, 0.4, 10, threads=2),
        expected,
        1e-14,
    )


def away_from_borders(
    network: Network, shape: tuple[int, int], per_seed: bool, loss: str, decay: float, steps: int
) -> tuple[FiniteData, Weights, Weights]:
    """Data, a start and the reference's end, with no pre-activation so small that rounding could turn its sign."""
    for number in itertools.count():
        data, weights = drawn(network, *shape, seeds=2, per_seed=per_seed, loss=loss, number=number)
        problem, state, closest = EmpiricalProblem(data, network), weights, np.inf
        for _ in range(steps):
            closest = min(closest, np.abs(problem.preactivations(state)).min())
            state = problem.descend(state, 0.01, decay, 1)
        if closest > 1e-4:
            return data, weights, state
    raise AssertionError


@on_every_backend
def test_descend_by_no_step_changes_nothing_and_never_its_argument(name: str) -> None:
    network = network_of(4)
    data, weights = drawn(network, 5, 30, seeds=2)
    device = backend(name)
    problem = placed(device, data, network, "float64")
    there = Weights(
        device.asarray(weights.hidden.copy(), "float64"), device.asarray(weights.output.copy(), "float64")
    )
    still, moved = problem.descend(there, 0.1, 0.0, 0), problem.descend(there, 0.1, 0.0, 3)
    for state in (still, there):
        assert identical(Weights(to_host(state.hidden), to_host(state.output)), weights)
    assert not np.array_equal(to_host(moved.hidden), weights.hidden)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_bits(shape: tuple[int, int], dtype: str) -> None:
    network = network_of(6)
    data, weights = drawn(network, *shape, seeds=5)
    device = backend("numba")
    alone = descended(device, data, network, weights, dtype, 0.01, 0.1, 50)
    for threads in (2, 5):
        together = descended(device, data, network, weights, dtype, 0.01, 0.1, 50, threads=threads)
        assert identical(together, alone)


@on_every_backend
@pytest.mark.parametrize("output", ["trained", "tied"])
@pytest.mark.parametrize("features", [2, 40])
def test_weights_far_below_one_keep_their_digits(name: str, output: Any, features: int) -> None:
    """At 1e-30 squares leave float32: growth is exponential still, and |w_j| is no zero."""
    network = network_of(5, output=output)
    data, weights = drawn(network, 4, features, seeds=1)
    small = Weights(1e-30 * weights.hidden, 1e-30 * weights.output)
    expected = EmpiricalProblem(data, network).descend(small, 0.01, 0.0, 100)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-4)):
        assert_close(
            descended(backend(name), data, network, small, dtype, 0.01, 0.0, 100), expected, tolerance
        )


# ---- against gradient flow --------------------------------------------------------------------------------


def smooth_stretch() -> tuple[EmpiricalProblem, Weights, float]:
    """A problem, a start and a time up to which no neuron changes its activation pattern."""
    network = network_of(3)
    data, weights = drawn(network, 3, 20, seeds=1)
    problem, time = EmpiricalProblem(data, network), 0.3
    signs = np.sign(problem.preactivations(weights))
    state = weights
    for _ in range(500):
        state = problem.descend(state, time / 500, 0.1, 1)
        assert (np.sign(problem.preactivations(state)) == signs).all()
    return problem, weights, time


def flow_by_scipy(problem: Problem, weights: Weights, time: float, weight_decay: float) -> Weights:
    """dθ/dt = −∇(L + penalty) by an order-8 Runge–Kutta method, one seed."""
    shape, count = weights.hidden.shape, weights.hidden.size

    def state(vector: Any) -> Weights:
        return Weights(vector[:count].reshape(shape), vector[count:].reshape(weights.output.shape))

    def slope(_: float, vector: Any) -> Any:
        gradient = problem.gradient(state(vector), weight_decay)
        return -np.concatenate([gradient.hidden.ravel(), gradient.output.ravel()])

    start = np.concatenate([weights.hidden.ravel(), weights.output.ravel()])
    return state(solve_ivp(slope, (0, time), start, method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1])


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_descent_converges_to_the_flow_at_first_order(name: str) -> None:
    problem, weights, time = smooth_stretch()
    flow = flow_by_scipy(problem, weights, time, 0.1)
    errors = []
    for steps in (200, 400, 800):
        state = descended(
            backend(name), problem.data, problem.network, weights, "float64", time / steps, 0.1, steps
        )
        errors.append(np.abs(state.hidden - flow.hidden).max())
    assert errors[0] < 1e-2
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.02)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_balance_drifts_by_the_order_of_the_step(name: str) -> None:
    """a² − |w|² is conserved by the flow; a step of descent moves it by step² (ȧ² − |ẇ|²)."""
    problem, weights, time = smooth_stretch()

    def balance(state: Weights) -> Any:
        return state.output**2 - (state.hidden**2).sum(-1)

    drifts = []
    for steps in (200, 400, 800):
        state = descended(
            backend(name), problem.data, problem.network, weights, "float64", time / steps, 0.0, steps
        )
        drifts.append(np.abs(balance(state) - balance(weights)).max())
    assert 0 < drifts[0] < 1e-2
    assert drifts[0] / drifts[1] == pytest.approx(2, abs=0.05)
    assert drifts[1] / drifts[2] == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("output", ["trained", "fixed", "tied"])
def test_a_descent_is_stable_just_below_two_over_the_sharpness(name: str, output: Any) -> None:
    """Next to an interpolating minimum a step of 1.9/sharpness returns to it, one of 2.1/sharpness leaves."""
    network = network_of(6, output=output)
    data, minimum = drawn(network, 3, 10, seeds=1)
    data = dataclasses.replace(data, targets=EmpiricalProblem(data, network).predict(minimum)[0])
    problem = EmpiricalProblem(data, network)
    sharpness = float(problem.sharpness(minimum)[0])
    nudge = 1e-6 * np.random.default_rng(1).standard_normal(minimum.hidden.shape)
    near = network.with_tied_outputs(Weights(minimum.hidden + nudge, minimum.output))
    start = float(problem.loss(near)[0])
    below = descended(backend(name), data, network, near, "float64", 1.9 / sharpness, 0.0, 100)
    above = descended(backend(name), data, network, near, "float64", 2.1 / sharpness, 0.0, 100)
    assert problem.loss(below)[0] < 1e-2 * start
    assert problem.loss(above)[0] > 1e2 * start


# ---- saved steps and schedules ----------------------------------------------------------------------------


def states_by_hand(
    problem: Problem, weights: Weights, step_size: float, decays: list[float]
) -> list[Weights]:
    """One gradient step after another, each with another λ."""
    states = [weights]
    for decay in decays:
        gradient = problem.gradient(states[-1], decay)
        states.append(problem.network.with_tied_outputs(states[-1] - step_size * gradient))
    return states


@on_every_backend
@pytest.mark.parametrize(("kind", "features"), [("trained", 3), ("trained", 40), ("tied", 3), ("fixed", 40)])
def test_saved_steps_are_those_of_the_loop(name: str, kind: Any, features: int) -> None:
    network = network_of(4, output=kind)
    data, _ = drawn(network, 7, features, seeds=2)
    path = train(
        data, network, gaussian(scale=0.5), dynamics("gradient_descent", step_size=0.02),
        Times(steps=[1, 2, 5, 17]), [3, 8], backend(name),
    )  # fmt: skip
    assert path.clock.step.tolist() == [0, 1, 2, 5, 17]
    assert path.clock.time == pytest.approx([0, 0.02, 0.04, 0.1, 0.34])
    start = Weights(path.weights.hidden[:, 0], path.weights.output[:, 0])
    states = states_by_hand(EmpiricalProblem(data, network), start, 0.02, [0.0] * 17)
    for moment, step in enumerate(path.clock.step):
        frame = Weights(path.weights.hidden[:, moment], path.weights.output[:, moment])
        assert_close(frame, states[step], 1e-13)


@on_every_backend
@pytest.mark.parametrize(
    ("step_size", "until", "changes"),
    [
        (0.1, [0.3, 0.7], [3, 7]),
        (0.1, [0.25, 0.61], [3, 7]),  # between steps: from the next step on
        (0.015, [0.165, 0.225], [11, 15]),  # 11 · 0.015 rounds to below 0.165
        (0.3, [0.9, 3.6], [3, 12]),  # 3 · 0.3 rounds to below 0.9
    ],
)
def test_a_step_uses_the_weight_decay_of_the_time_it_starts_from(
    name: str, step_size: float, until: list[float], changes: list[int]
) -> None:
    network, values, last = network_of(3), [0.5, 0.0, 0.2], 18
    data, _ = drawn(network, 5, 2, seeds=1)
    data = dataclasses.replace(data, inputs=0.3 * data.inputs)
    chosen = dynamics(
        "regularized_gradient_descent", step_size=step_size, weight_decay=WeightDecay(values, until)
    )
    decays = [values[sum(step >= change for change in changes)] for step in range(last)]
    seen = [chosen.weight_decay_at(step_size * step) for step in range(last)]
    assert seen == [decays[0], *decays[:-1]]
    sparse = train(data, network, gaussian(scale=0.5), chosen, Times(steps=[last]), [0], backend(name))
    dense = train(
        data, network, gaussian(scale=0.5), chosen, Times(steps=list(range(1, last + 1))), [0], backend(name)
    )
    start = Weights(sparse.weights.hidden[:, 0], sparse.weights.output[:, 0])
    states = states_by_hand(EmpiricalProblem(data, network), start, step_size, decays)
    assert_close(Weights(sparse.weights.hidden[:, -1], sparse.weights.output[:, -1]), states[-1], 1e-13)
    for step, state in enumerate(states):
        assert_close(Weights(dense.weights.hidden[:, step], dense.weights.output[:, step]), state, 1e-13)
    assert dense.weight_decay.tolist() == [decays[0], *decays]  # of the step that led to each


def test_steps_one_by_one_are_the_fused_trajectory() -> None:
    """`steps` is what finds a divergence: it must walk the same path as `trajectory`."""
    network = network_of(3)
    data, weights = drawn(network, 6, 2, seeds=1)
    problem = placed(backend("numba"), data, network, "float64")
    schedule = WeightDecay([0.3, 0.1], [0.165])
    chosen = dynamics("regularized_gradient_descent", step_size=0.015, weight_decay=schedule)
    *_, fused = chosen.trajectory(problem, weights, Times(steps=[30]).clock(0.015), [])
    *_, single = itertools.islice(chosen.steps(problem, weights, []), 30)
    assert_close(single, fused, 1e-13)


@pytest.mark.parametrize(
    ("values", "until", "message"),
    [
        ([0.1], [1.0], "until: 1 value: one gives way to the next at 0 times, not 1"),
        ([0.1, -0.1], [1.0], "values: weight decay is not negative"),
        ([0.1, 0.2, 0.3], [2.0, 1.0], "until: times must increase strictly"),
    ],
)
def test_a_schedule_that_cannot_be_says_why(values: Any, until: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightDecay(values, until)


# ---- seeds ------------------------------------------------------------------------------------------------


@on_every_backend
@pytest.mark.parametrize("features", [2, 40])
def test_a_seed_means_the_same_in_every_list_and_on_every_backend(name: str, features: int) -> None:
    network = network_of(4)
    data, _ = drawn(network, 5, features, seeds=1)

    def path(seeds: list[int], device: Backend) -> Weights:
        chosen: Dynamics = dynamics("gradient_descent", step_size=0.01)
        return train(data, network, gaussian(scale=0.1), chosen, Times(steps=[40]), seeds, device).weights

    alone, among = path([7], backend(name)), path([2, 7, 11], backend(name))
    reference = path([7], backend("numpy"))
    for part in ("hidden", "output"):
        one, same, expected = getattr(alone, part)[0], getattr(among, part)[1], getattr(reference, part)[0]
        assert np.array_equal(one[0], same[0])  # drawn on the host
        assert np.array_equal(one[0], expected[0])
        np.testing.assert_allclose(one[1], same[1], rtol=0, atol=1e-15)
        np.testing.assert_allclose(one[1], expected[1], rtol=0, atol=1e-15)
    if name == "numba":
        assert np.array_equal(alone.hidden[0], among.hidden[1])
        assert np.array_equal(alone.output[0], among.output[1])
    assert not np.array_equal(among.hidden[0, 0], among.hidden[1, 0])


# ---- divergence -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given(InitializationSpec):
    """The same weights for every seed."""

    hidden: Any
    output: Any

    def draw(self, data: FiniteData, network: Network, random: Any) -> Weights:
        return Weights(self.hidden, self.output)


def data_with_a_steep_seed(features: int) -> FiniteData:
    """Three seeds with different data; that of the second is 60 times as long."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((3, 4, features)) / np.sqrt(features)
    inputs[1] *= 60
    return FiniteData(inputs, random.standard_normal((3, 4)))


@on_every_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [3, 30])
def test_divergence_is_reported_and_touches_no_other_seed(name: str, dtype: str, features: int) -> None:
    network, step_size, last = network_of(3), 0.02, 60
    data = data_with_a_steep_seed(features)
    random = np.random.default_rng(5)
    start = Given(random.standard_normal((3, features)), random.standard_normal(3))
    device = backend(name)

    def path(given: FiniteData, seeds: list[int]) -> Any:
        chosen = dynamics("gradient_descent", step_size=step_size)
        times = Times(steps=list(range(1, last + 1)))
        return train(given, network, start, chosen, times, seeds, device, dtype)

    with np.errstate(all="ignore"):  # an independent walk of the steep seed
        problem = EmpiricalProblem(
            FiniteData(data.inputs[1].astype(dtype), data.targets[1].astype(dtype)), network
        )
        states = states_by_hand(
            problem, Weights(start.hidden.astype(dtype), start.output.astype(dtype)), step_size, [0.0] * last
        )
        losses = np.asarray([problem.loss(state) for state in states])
    first = int(np.argmin(np.isfinite(losses)))
    assert 1 < first < last

    noted = path(data, [10, 11, 12])
    assert noted.diverged_step.tolist() == [-1, first, -1]
    assert len(noted.notes) == 1
    pattern = (
        r"seed 11 diverged at step (\d+): the loss was (\S+) at the start, (\S+) at its lowest and (\S+) before "
        r"that step\. step_size is (\S+); plain gradient descent is stable below (\S+) "
    )
    numbers = re.match(pattern, noted.notes[0])
    assert numbers is not None
    step, at_start, lowest, before, used, stable = (float(number) for number in numbers.groups())
    assert (step, used) == (first, step_size)
    assert at_start == pytest.approx(losses[0], rel=0.01)
    assert lowest == pytest.approx(losses[:first].min(), rel=0.01)
    assert before == pytest.approx(losses[first - 1], rel=0.05)
    assert stable < step_size

    hidden, output = noted.weights.hidden[1], noted.weights.output[1]
    assert np.isfinite(hidden[:first]).all()
    assert np.isfinite(output[:first]).all()
    assert np.isnan(hidden[first:]).all()
    assert np.isnan(output[first:]).all()
    calm = path(FiniteData(data.inputs[[0, 2]], data.targets[[0, 2]]), [10, 12])
    assert calm.diverged_step.tolist() == [-1, -1]
    assert not calm.notes
    assert np.array_equal(noted.weights.hidden[[0, 2]], calm.weights.hidden)
    assert np.array_equal(noted.weights.output[[0, 2]], calm.weights.output)


@on_every_backend
def test_divergence_shows_although_the_weights_are_finite_still(name: str) -> None:
    """The loss overflows before the weights do: a run that ends between the two has diverged."""
    data = FiniteData(np.asarray([[1.0, 0.0]]), np.asarray([1.0]))
    start = Given(np.asarray([[1e90, 0.0]]), np.asarray([1e90]))
    chosen = dynamics("gradient_descent", step_size=1e-250)
    path = train(data, network_of(1), start, chosen, Times(steps=[1, 2]), [0], backend(name))
    assert path.diverged_step.tolist() == [0]
    assert np.isnan(path.weights.hidden).all()


@on_every_backend
def test_the_stable_step_size_that_is_reported_is_stable(name: str) -> None:
    network = network_of(5)
    data, _ = drawn(network, 6, 30, seeds=1)
    data = dataclasses.replace(data, inputs=10 * data.inputs)

    def path(step_size: float) -> Any:
        chosen = dynamics("gradient_descent", step_size=step_size)
        return train(data, network, gaussian(scale=1.0), chosen, Times(steps=[300]), [0], backend(name))

    noted = path(1.0)
    found = re.search(r"stable below (\S+) ", noted.notes[0])
    assert found is not None
    calm = path(0.5 * float(found.group(1)))
    assert calm.diverged_step.tolist() == [-1]
    problem = EmpiricalProblem(data, network)
    losses = [
        problem.loss(Weights(calm.weights.hidden[:, moment], calm.weights.output[:, moment]))[0]
        for moment in (0, -1)
    ]
    assert losses[1] < losses[0]


def test_a_blow_up_that_comes_back_to_finite_numbers_is_reported() -> None:
    """relu neurons thrown out of reach of every sample leave a dead network, whose loss is finite."""
    dataset = twolayer.run(
        {
            "problem": {"name": "orthogonal", "samples": 3, "dimension": 3, "targets": [1, 1, -1]},
            "network": {"neurons": 10},
            "initialization": {"name": "gaussian", "scale": 0.1, "balanced": True},
            "dynamics": {"name": "gradient_descent", "step_size": 50.0},
            "times": {"steps": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 40]},
            "seeds": 8,
        }
    )
    loss = dataset["loss"].values
    risen = np.isfinite(loss).all(1) & (loss.max(1) > 1e3 * loss[:, 0])
    assert risen.any()
    for seed in np.flatnonzero(risen):
        assert f"seed {seed} blew up without leaving the finite numbers" in dataset.attrs["notes"]
    assert dataset.attrs["notes"].count("blew up") == risen.sum()


@pytest.mark.parametrize(("name", "step_size", "last"), [("numpy", 2.1, 5_000), ("numba", 2.01, 50_000)])
def test_a_late_divergence_is_found_at_its_step(name: str, step_size: float, last: int) -> None:
    """f(x) = w at x = 1, y = 1: |w − 1| grows by |1 − η| in each step, until its square leaves float64 above
    1.797e308, before it is halved. The step to the next whole number, where rounding of w adds up to 1e-13 of it."""
    dataset = twolayer.run(
        {
            "problem": {"name": "points", "inputs": [[1.0]], "targets": [1.0]},
            "network": {"neurons": 1, "activation": "linear", "output": "fixed"},
            "initialization": {"name": "gaussian", "scale": 1.0},
            "dynamics": {"name": "gradient_descent", "step_size": step_size},
            "times": {"steps": [1, 10, last]},
            "seeds": 12,
        },
        backend=name,
        weights=True,
    )
    start = dataset["hidden"].values[:, 0, 0, 0]
    largest = np.log(np.finfo(np.float64).max)
    expected = np.ceil((0.5 * largest - np.log(np.abs(start - 1.0))) / np.log(step_size - 1.0))
    assert dataset["diverged_step"].values == pytest.approx(expected, abs=1)
    notes = dataset.attrs["notes"].splitlines()
    assert len(notes) == 11
    for seed in range(10):
        assert notes[seed].startswith(
            f"seed {seed} diverged at step {dataset['diverged_step'].values[seed]}: "
        )
    assert notes[10].startswith("2 further seeds diverged, at steps ")
    assert notes[10].endswith("diverged_step has that of each. Frames from there on are NaN.")
