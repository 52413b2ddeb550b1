"""Wide flows on a teacher: the explicit stabilised method, its force, and its agreement with the implicit method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of

from twolayer import Teacher, Weights
from twolayer.population import numba_flow
from twolayer.population.flow import population_flow
from twolayer.population.flow_integrator import Progress
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.population.numba_flow import CompiledOdeSystem
from twolayer.population.numba_rock import Room, take_step
from twolayer.population.rock_tables import FEWEST, MOST, Rock, reach, rock, stages_for
from twolayer.population.stabilized_flow import LARGER, RockFlow
from twolayer.population.wide_flow import Cost, WideFlow

STAGES = [5, 6, 9, 12, 16, 31, 50]


def steps(table: Rock, velocity: Any, state: Any, size: float, count: int) -> Any:
    """So many steps of y' = f(y), and the last one's estimate of the error, as `take_step` says."""
    for _ in range(count):
        before, current = np.zeros_like(state), np.zeros_like(state)
        slope = velocity(state)
        for coefficients in zip(table.slopes, table.latest, table.before, strict=True):
            following = size * coefficients[0] * slope + coefficients[1] * current - coefficients[2] * before
            before, current = current, following
            slope = velocity(state + current)
        slopes = [slope]
        for i in range(1, 4):
            slopes.append(velocity(state + current + size * table.matrix[i, :i] @ np.array(slopes)))
        state = state + current + size * table.weights @ np.array(slopes)
        error = size * table.errors @ np.array([*slopes, velocity(state)])
    return state, error


@pytest.mark.parametrize("stages", STAGES)
def test_order_of_the_method_and_of_its_estimate(stages: int) -> None:
    """y' = (y₂, −y₁ + y₁³): errors at t = 1 fall as h⁴, the estimate as that of order 3, h⁴ in a step."""
    table = rock(stages)

    def velocity(state: Any) -> Any:
        return np.array([state[1], state[0] ** 3 - state[0]])

    start = np.array([0.4, 0.3])
    exact, _ = steps(rock(10), velocity, start, 1 / 400, 400)
    errors = [np.linalg.norm(steps(table, velocity, start, 1 / n, n)[0] - exact) for n in (5, 10, 20)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders > 3.7).all(), orders
    estimates = [np.linalg.norm(steps(table, velocity, start, size, 1)[1]) for size in (0.2, 0.1, 0.05)]
    orders = np.log2(np.divide(estimates[:-1], estimates[1:]))
    assert (abs(orders - 4.0) < 0.4).all(), orders


@pytest.mark.parametrize("stages", STAGES)
def test_the_method_is_stable_as_far_as_it_says(stages: int) -> None:
    """|R(z)| < 1 on [−l, 0), below 0.95 beyond z = −0.6, and R = e^z + O(z⁵)."""
    points = -0.5 * reach(stages) * (1.0 - np.cos(np.linspace(0, np.pi, 40 * stages)[1:]))
    ends, _ = steps(rock(stages), lambda state: points * state, np.ones_like(points), 1.0, 1)
    assert (np.abs(ends) < 1.0 + 1e-12).all()
    assert (np.abs(ends[points < -0.6]) < 0.95).all()
    small = np.array([-0.02, -0.04])
    ends, _ = steps(rock(stages), lambda state: small * state, np.ones(2), 1.0, 1)
    first, second = np.abs(ends - np.exp(small))
    assert 4.5 < np.log2(second / first) < 5.5


def test_the_least_number_of_stages_that_reaches() -> None:
    for stiffness in (0.0, 1.0, 30.0, 500.0, 0.999 * reach(50)):
        stages = stages_for(stiffness)
        assert FEWEST <= stages <= MOST
        assert reach(stages) >= stiffness
        assert stages == FEWEST or 0.75 * reach(stages) < max(stiffness, 30.0)


def system_of(
    output: Any = "fixed",
    activation: str = "relu",
    decay: float = 0.0,
    students: int = 13,
    orthogonal: bool = True,
) -> CompiledOdeSystem:
    """Students in 12 dimensions of two teachers."""
    random = np.random.default_rng(3)
    vectors = np.eye(2, 12) if orthogonal else random.standard_normal((2, 12))
    network = network_of(students, activation, output)
    problem = CompiledPopulationProblem(Teacher(vectors, np.array([1.0, 0.8])), network)
    start = Weights(0.3 * random.standard_normal((students, 12)), 0.3 * random.standard_normal(students))
    if output == "fixed":
        start = Weights(start.hidden, np.ones(students))
    return CompiledOdeSystem(problem, network.with_tied_outputs(start), decay)


def explicit(system: CompiledOdeSystem, stop: float, rtol: float = 1e-7) -> RockFlow:
    """The explicit method alone, from the start."""
    return RockFlow(system, (0.0, stop), system.packed(system.start), (rtol, 0.0, 1.0), None)


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu", "linear"])
@pytest.mark.parametrize("orthogonal", [True, False])
def test_both_forms_of_the_velocity_agree(output: Any, activation: str, orthogonal: bool) -> None:
    """To the rounding of sums of two dozen terms of order one."""
    for students in (7, 13, 16):
        system = system_of(output, activation, 0.1, students, orthogonal)
        method = explicit(system, 1.0)
        method.plain = True
        state = system.packed(system.start)
        np.testing.assert_allclose(method.fun(0.0, state), system.velocity(state), rtol=0, atol=1e-13)


def test_the_order_of_the_flow_by_steps_of_one_size() -> None:
    """Errors at t = 2 against a thirty-second of the step fall as h⁴, with few stages and with many."""
    system = system_of("trained")
    for stages in (5, 20):
        ends = {}
        for count in (4, 8, 128):
            method = explicit(system, 2.0)
            room = Room.of(method.y.size, system.shape[0])
            room.state[:], room.velocity[:] = method.y, method.f
            for _ in range(count):
                take_step(system.law, system.work, method.columns, True, rock(stages), room, 2.0 / count)
                room.state[:], room.velocity[:] = room.end, room.end_velocity
            ends[count] = room.state.copy()
        ratio = np.linalg.norm(ends[4] - ends[128]) / np.linalg.norm(ends[8] - ends[128])
        assert np.log2(ratio) > 3.5


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_the_explicit_method_agrees_with_the_implicit_one(
    output: Any, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights at t = 0.3, 3 and 30 to 1e-6 at rtol = 1e-7, where the implicit method at 1e-11 stands for exact;
    students of fixed outputs reach 0 on the way."""
    times = np.array([0.0, 0.3, 3.0, 30.0])
    monkeypatch.setattr(numba_flow, "WIDE", 0)
    path = population_flow(system_of(output, decay=decay), times, 1e-7, 0.0)
    monkeypatch.setattr(numba_flow, "WIDE", 10**9)
    exact = population_flow(system_of(output, decay=decay), times, 1e-11, 0.0)
    np.testing.assert_allclose(path.hidden, exact.hidden, rtol=0, atol=1e-6)


def test_the_top_eigenvalue_is_above_the_hessians() -> None:
    """And no more than a fifth above it."""
    for output in ("fixed", "trained", "tied"):
        system = system_of(output, decay=0.1)
        method = explicit(system, 1.0)
        method.find_top()
        top = -np.linalg.eigvalsh(system.jacobian(method.y))[0]
        assert top < method.top < 1.2 * top
    assert LARGER > 1.0


def test_balance_is_kept() -> None:
    """|w|² − a² stays as it is in a flow with trained outputs, to rounding."""
    system = system_of("trained")
    method = explicit(system, 50.0)
    while method.t < 50.0:
        method.advance(Progress(0.0), np.zeros(0), None)
    hidden, output = system.hidden(method.y), system.outputs(method.y)
    np.testing.assert_allclose((hidden**2).sum(-1) - output**2, system.excess, rtol=0, atol=1e-14)


def test_wide_flows_save_time_and_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 students in 20 dimensions, 480 parameters: both methods take part, saved times do not change the path, the
    loss falls, and is that of the implicit method to 1e-6 at rtol = 1e-7."""
    taken = []
    advance = WideFlow.advance

    def watched(self: WideFlow, *arguments: Any) -> Any:
        found = advance(self, *arguments)
        taken.append(type(self.current).__name__)
        return found

    monkeypatch.setattr(WideFlow, "advance", watched)
    problem = CompiledPopulationProblem(Teacher(np.eye(3, 20), np.ones(3)), network_of(24, "relu", "fixed"))
    start = Weights(0.1 * np.random.default_rng(1).standard_normal((24, 20)), np.ones(24))
    times = np.array([0.0, 1.0, 10.0, 100.0, 1e3, 1e4])
    path = problem.flow(start, times, 0.0, 1e-7, 0.0)
    assert set(taken) == {"RockFlow", "CompiledRadau"}
    few = problem.flow(start, times[[0, -1]], 0.0, 1e-7, 0.0)
    np.testing.assert_array_equal(few.hidden[-1], path.hidden[-1])
    monkeypatch.setattr(numba_flow, "WIDE", 10**9)
    exact = problem.loss(problem.flow(start, times, 0.0, 1e-10, 0.0))
    loss = problem.loss(path)
    assert (np.diff(loss) < 0).all()
    np.testing.assert_allclose(loss, exact, rtol=1e-6)


def test_short_flows_are_explicit_and_stiff_ones_implicit() -> None:
    """The estimate of cost for 40 students of 4 teachers in 40 dimensions."""
    system = system_of()
    method, cost = explicit(system, 1e8), Cost(40, 4, 40, 1600)
    method.t, method.size_old, method.stages, method.plain = 10.0, 0.3, 5, True
    assert cost.explicit(method) < 0.01 * cost.implicit(method)
    method.t, method.size_old, method.stages, method.plain = 1e7, 1e3, 50, False
    assert cost.explicit(method) > cost.implicit(method)


@pytest.mark.slow
def test_wide_flows_have_the_loss_of_the_implicit_method_to_a_million(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """40 students of 4 teachers in 40 dimensions to T = 1e6, where the loss is 4e-19: within 1e-6 of the loss of the
    implicit method at rtol = 1e-10, at seven times; a minute of one core."""
    problem = CompiledPopulationProblem(Teacher(np.eye(4, 40), np.ones(4)), network_of(40, "relu", "fixed"))
    start = Weights(np.random.default_rng(1).standard_normal((40, 40)) / 40, np.ones(40))
    times = np.array([0.0, *10.0 ** np.arange(7)])
    loss = problem.loss(problem.flow(start, times, 0.0, 1e-7, 0.0))
    monkeypatch.setattr(numba_flow, "WIDE", 10**9)
    exact = problem.loss(problem.flow(start, times, 0.0, 1e-10, 0.0))
    assert loss[-1] < 1e-18
    np.testing.assert_allclose(loss, exact, rtol=1e-6)
