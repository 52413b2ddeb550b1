"""Fused descents on Gaussian input against the obvious loop, against 40 digits, and where they could break."""

from __future__ import annotations

import ctypes
import itertools
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from kernels import KINDS, HostCuda, fused, host_library
from namespaces import backend
from networks import network_of, of_two_slopes
from numba import njit

import twolayer.population.fused_descent
from twolayer import Network, PopulationProblem, Problem, Teacher, Weights
from twolayer.core.times import Times
from twolayer.kernels.simd import load, store
from twolayer.population import lanes, numba_descent
from twolayer.population.angle_polynomial import COEFFICIENTS
from twolayer.population.cuda_descent import COMMON, source
from twolayer.population.fused_descent import FusedPopulationProblem
from twolayer.population.numba_descent import CompiledPopulationProblem, angle
from twolayer.study.registry import load as plugins
from twolayer.training.train import train

Made = Callable[..., Any]

KERNELS = pytest.mark.parametrize("neurons", [3, 19], ids=["lanes are seeds", "lanes are neurons"])


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> Made:
    """What makes the problem of a teacher and a network, on NumPy arrays, for each kind of kernel."""
    return fused(request.param)


def drawn(
    network: Network,
    teachers: int,
    features: int,
    seeds: int,
    scale: float = 1.0,
    profile: str = "none",
    number: int = 0,
) -> tuple[Teacher, Weights]:
    """Teachers at normal angles with coefficients of both signs, and normal students of length about `scale`."""
    random = np.random.default_rng([network.neurons, teachers, features, number])
    teacher = Teacher(
        random.standard_normal((teachers, features)) / np.sqrt(features),
        np.linspace(1.0, -0.5, teachers),
        profile,
    )
    hidden = scale * random.standard_normal((seeds, network.neurons, features)) / np.sqrt(features)
    output = scale * random.standard_normal((seeds, network.neurons))
    if network.output == "fixed":
        output = np.broadcast_to(np.asarray(network.output_values, dtype=float), output.shape).copy()
    return teacher, network.with_tied_outputs(Weights(hidden, output))


def obvious(teacher: Teacher, network: Network, weights: Weights, *step: Any) -> Weights:
    """The loop over gradients, in all dimensions."""
    return Problem.descend(PopulationProblem(teacher, network), weights, *step)


def assert_close(actual: Weights, expected: Weights, tolerance: float) -> None:
    """Both layers, relative to the largest number of each."""
    for part in ("hidden", "output"):
        one, other = getattr(actual, part), getattr(expected, part)
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


def same_bits(left: Weights, right: Weights) -> bool:
    return np.array_equal(left.hidden, right.hidden) and np.array_equal(left.output, right.output)


# ---- against the obvious loop -------------------------------------------------------------------------------


@cache
def walked(size: tuple[int, ...], output: Any, activation: Any, profile: str) -> tuple[Any, ...]:
    """A network, a teacher, weights, and where 40 steps of the obvious loop end: for every implementation."""
    neurons, teachers, features, seeds = size
    values: Any = np.linspace(-0.5, 1.5, neurons).tolist() if output == "fixed" else 1.0
    network = network_of(neurons, activation, output, values, "1/sqrt(m)")
    teacher, weights = drawn(network, teachers, features, seeds, profile=profile)
    return network, teacher, weights, obvious(teacher, network, weights, 0.1, 0.03, 40)


@pytest.mark.parametrize("profile", ["none", "constant", "linear"])
@of_two_slopes
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize(
    ("neurons", "teachers", "features", "seeds"), [(4, 1, 5, 9), (7, 3, 20, 3), (16, 2, 9, 2), (21, 5, 40, 2)]
)
def test_descents_are_the_obvious_loop(
    made: Made,
    neurons: int,
    teachers: int,
    features: int,
    seeds: int,
    output: Any,
    activation: Any,
    profile: str,
) -> None:
    network, teacher, weights, expected = walked(
        (neurons, teachers, features, seeds), output, activation, profile
    )
    before = Weights(weights.hidden.copy(), weights.output.copy())
    actual = made(teacher, network).descend(weights, 0.1, 0.03, 40)
    assert np.abs(expected.hidden - weights.hidden).max() > 0.05
    assert_close(actual, expected, 1e-13)
    assert same_bits(weights, before)  # what was handed in stays


@KERNELS
@pytest.mark.parametrize(("output", "scale"), [("fixed", 1e-14), ("trained", 1e-14), ("tied", 1e-200)])
def test_small_starts(made: Made, neurons: int, output: Any, scale: float) -> None:
    network = network_of(neurons, output=output)
    teacher, weights = drawn(network, 2, 30, 4, scale=scale)
    actual = made(teacher, network).descend(weights, 0.02, 0.0, 25)
    expected = obvious(teacher, network, weights, 0.02, 0.0, 25)
    assert_close(actual, expected, 1e-12)


@KERNELS
def test_few_coordinates_are_all_coordinates(made: Made, neurons: int) -> None:
    """In 400 dimensions as in the span, and out of the span nothing moves but by the decay."""
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, 400, 2)
    actual = made(teacher, network).descend(weights, 0.05, 0.1, 30)
    assert_close(actual, obvious(teacher, network, weights, 0.05, 0.1, 30), 1e-13)


@KERNELS
def test_axes_before_neurons_may_be_none_or_several(made: Made, neurons: int) -> None:
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, 5, 6)
    problem = made(teacher, network)
    flat = problem.descend(weights, 0.05, 0.0, 10)
    grid = problem.descend(
        Weights(weights.hidden.reshape(2, 3, neurons, 5), weights.output.reshape(2, 3, neurons)),
        0.05,
        0.0,
        10,
    )
    assert np.array_equal(grid.hidden.reshape(6, neurons, 5), flat.hidden)
    assert np.array_equal(grid.output.reshape(6, neurons), flat.output)
    alone = problem.descend(Weights(weights.hidden[4], weights.output[4]), 0.05, 0.0, 10)
    assert same_bits(alone, Weights(flat.hidden[4], flat.output[4]))


@KERNELS
def test_steps_one_by_one_are_the_fused_ones(made: Made, neurons: int) -> None:
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, 40, 2)
    problem = made(teacher, network)
    single = weights
    for _ in range(20):
        single = problem.descend(single, 0.05, 0.1, 1)
    assert_close(single, problem.descend(weights, 0.05, 0.1, 20), 1e-13)
    assert problem.descend(weights, 0.05, 0.1, 0) is weights


@KERNELS
def test_float32_weights_are_rounded_at_the_end_only(made: Made, neurons: int) -> None:
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, 5, 3)
    problem = made(teacher, network)
    short = Weights(weights.hidden.astype(np.float32), weights.output.astype(np.float32))
    wide = Weights(short.hidden.astype(np.float64), short.output.astype(np.float64))
    actual, expected = problem.descend(short, 0.05, 0.0, 50), problem.descend(wide, 0.05, 0.0, 50)
    assert actual.hidden.dtype == actual.output.dtype == np.float32
    assert same_bits(actual, Weights(expected.hidden.astype(np.float32), expected.output.astype(np.float32)))


# ---- against 40 digits --------------------------------------------------------------------------------------


@njit
def compiled_angles(squares: Any, theta: Any, sine: Any) -> None:
    for start in range(0, squares.size, 8):
        one, other = angle(load(squares, start))
        store(theta, start, one)
        store(sine, start, other)


def host_angles(squares: Any, theta: Any, sine: Any) -> None:
    arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (squares, theta, sine)]
    host_library().angles(*arrays, squares.size)


@pytest.mark.parametrize("angles_of", [compiled_angles, host_angles])
def test_angles_to_the_last_digit(angles_of: Any) -> None:
    """θ = 2 asin(√a/2) and sin θ for a = |û − v̂|² from nothing to 4, and by rounding a little above."""
    squares = np.concatenate(
        [[0.0, 4.0, 4.0 + 1e-15, 2.0], np.logspace(-300, 0, 500), np.linspace(0, 4, 504)]
    )
    theta, sine = np.empty_like(squares), np.empty_like(squares)
    angles_of(squares, theta, sine)
    with mpmath.workdps(40):
        exact = [2 * mpmath.asin(mpmath.sqrt(mpmath.mpf(min(a, 4.0))) / 2) for a in squares]
        for ours, our_sine, true in zip(theta, sine, exact, strict=True):
            assert abs(ours - true) <= 4e-16 * true
            assert abs(our_sine - mpmath.sin(true)) <= 4e-16 * mpmath.sin(true) + 2e-16 * (true > 3)


def test_one_table_for_both_kernels() -> None:
    """Neither kernel writes numbers: all coefficients are the table's, and each is used."""
    assert lanes.P is COEFFICIENTS
    assert not set(COEFFICIENTS[1:]) & set(angle.py_func.__code__.co_consts)
    kernel = COMMON.read_text(encoding="utf-8")
    assert re.findall(r"\d\.\d*e-\d+", kernel) == []
    for power, value in enumerate(COEFFICIENTS):
        assert len(re.findall(rf"\bP{power}\b", kernel.split("double even")[1])) == 1
        assert f"#define P{power} {value!r}\n" in source()


def test_the_polynomial_is_as_good_as_it_says() -> None:
    """|P(c) − asin(√c/2)/(√c/2)| ≤ 4e-18 and what the rounding of the coefficients adds, Σ 2⁻⁵³ |p_k| c^k."""
    with mpmath.workdps(40):
        for c in (mpmath.mpf(step) / 500 for step in range(1, 1001)):
            terms = [mpmath.mpf(p) * c**power for power, p in enumerate(COEFFICIENTS)]
            half = mpmath.sqrt(c) / 2
            added = mpmath.mpf(2) ** -53 * sum(abs(term) for term in terms[1:])
            assert abs(sum(terms) - mpmath.asin(half) / half) <= 4e-18 + added


def exact_force(teacher: Teacher, hidden: Any, output: Any) -> Any:
    """∂L/∂w (neuron, feature) for relu, by the formula of arc cosines in 40 digits."""
    with mpmath.workdps(40):
        vectors = [[mpmath.mpf(float(x)) for x in row] for row in (*hidden, *teacher.hidden)]
        coefficients = [mpmath.mpf(float(c)) for c in (*output, *(-teacher.output))]

        def dot(u: Any, v: Any) -> Any:
            return mpmath.fsum(x * y for x, y in zip(u, v, strict=True))

        norms = [mpmath.sqrt(dot(u, u)) for u in vectors]
        rows = []
        for i, w in enumerate(vectors[: len(hidden)]):
            row = [mpmath.mpf(0)] * len(w)
            for u, c, size in zip(vectors, coefficients, norms, strict=True):
                if size == 0 or norms[i] == 0:
                    continue
                cosine = max(-1, min(1, dot(w, u) / size / norms[i]))
                theta = mpmath.acos(cosine)
                for d in range(len(w)):
                    along = size * mpmath.sin(theta) * w[d] / norms[i]
                    row[d] += coefficients[i] * c * (u[d] / 2 + (along - theta * u[d]) / (2 * mpmath.pi))
            rows.append(row)
        return np.asarray([[float(x) for x in row] for row in rows])


@KERNELS
def test_a_step_among_parallel_opposite_equal_and_zero_units(made: Made, neurons: int) -> None:
    network = network_of(neurons, output="fixed")
    teacher, weights = drawn(network, 2, 6, 1)
    hidden = weights.hidden.copy()
    hidden[0, 0] = 0.7 * teacher.hidden[0]
    hidden[0, 1] = -1.3 * teacher.hidden[0]
    hidden[0, 2] = 0.0
    if neurons > 6:
        hidden[0, 3:5] = hidden[0, 5]
        hidden[0, 6] = -hidden[0, 5]
        hidden[0, 7] = hidden[0, 5] + 1e-9
    actual = made(teacher, network).descend(Weights(hidden, weights.output), 1.0, 0.0, 1)
    expected = hidden[0] - exact_force(teacher, hidden[0], weights.output[0])
    assert np.isfinite(actual.hidden).all()
    np.testing.assert_allclose(actual.hidden[0], expected, rtol=0, atol=2e-15 * neurons)
    assert np.array_equal(actual.hidden[0, 2], hidden[0, 2])


@KERNELS
@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-8])
def test_small_angles_keep_their_force(made: Made, neurons: int, small: float) -> None:
    """Students at angles of order `small` to one teacher: the transverse force is of order small²."""
    network = network_of(neurons, output="fixed")
    random = np.random.default_rng(neurons)
    hidden = np.zeros((1, neurons, 4))
    hidden[..., 0] = 1.0 / 32  # what is left over along the teacher acts along it
    across = np.round(2.0**20 * random.standard_normal((neurons, 3))) / 2.0**20
    across[-1] = -across[:-1].sum(0)  # exactly: no residual across
    hidden[0, :, 1:] = small / 32 * across
    teacher = Teacher(np.eye(1, 4), np.ones(1))
    start = Weights(hidden, np.ones((1, neurons)))
    step_size = 1.0
    end = made(teacher, network).descend(start, step_size, 0.0, 1)
    force = ((hidden - end.hidden) / step_size)[0, :, 1:]
    exact = exact_force(teacher, hidden[0], start.output[0])[:, 1:]
    residual = hidden[0, :, 1:].sum(0)
    assert np.abs(residual).max() <= 1e-16 * small
    np.testing.assert_allclose(force, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


@KERNELS
def test_aligned_students_stay_on_their_axis(made: Made, neurons: int) -> None:
    network = network_of(neurons, output="fixed")
    hidden = np.zeros((1, neurons, 60))
    hidden[0, :, 0] = np.linspace(0.1, 1.0, neurons)
    teacher = Teacher(np.eye(1, 60), np.ones(1))
    end = made(teacher, network).descend(Weights(hidden, np.ones((1, neurons))), 0.02, 0.0, 3000)
    assert (end.hidden[..., 1:] == 0).all()
    assert end.hidden[..., 0].sum() == pytest.approx(1.0, abs=1e-13)


def test_seeds_close_to_orthogonal_teachers_keep_the_digits_of_their_forces(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two students of each of two teachers, 1e-7 off: what one group does to the other is of order 1e-15, where
    the plain form has its rounding. A seed from afar in the same ensemble is not touched by that."""
    network = network_of(4, output="fixed")
    teacher = Teacher(np.eye(2, 5), np.ones(2))
    near = np.zeros((4, 5))
    near[[0, 1, 2, 3], [0, 0, 1, 1]] = 0.375, 0.625, 0.25, 0.75
    near[:, 2:] = 1e-7 * np.random.default_rng(0).standard_normal((4, 3))
    far = drawn(network, 2, 5, 1)[1].hidden[0]
    problem = made(teacher, network)
    output = np.ones((2, 4))
    both = problem.descend(Weights(np.stack([near, far]), output), 0.5, 0.0, 1)
    alone = problem.descend(Weights(far[None], output[:1]), 0.5, 0.0, 1)
    assert np.array_equal(both.hidden[1], alone.hidden[0])

    # of the second teacher on the first one's students; their weights are 0 there, so the step shows the force
    exact = exact_force(teacher, near, output[0])[:2, 1]
    assert (np.abs(exact) > 1e-16).all()
    np.testing.assert_allclose(both.hidden[0, :2, 1], -0.5 * exact, rtol=1e-12)
    start = Weights(near[None], output[:1])
    monkeypatch.setattr(FusedPopulationProblem, "keeps_digits", lambda *_: False)
    plain = problem.descend(start, 0.5, 0.0, 1)
    assert (np.abs(plain.hidden[0, :2, 1] + 0.5 * exact) > 1e-3 * np.abs(exact)).any()


@pytest.mark.parametrize("size", [1e-9, 1e-7, 1e-5])
@pytest.mark.parametrize("turned", [False, True])
def test_a_stray_beside_a_near_solution_leaves_the_digits_of_its_forces(
    made: Made, monkeypatch: pytest.MonkeyPatch, size: float, turned: bool
) -> None:
    """As above, with a trained stray at right angles to both teachers, and with a student turned away: the step is the
    array code's, which the plain form's is not, and the stray's force across itself that of 40 digits."""
    network = network_of(5)
    teacher = Teacher(np.eye(2, 5), np.ones(2), "linear" if turned else "none")
    hidden = np.zeros((5, 5))
    hidden[[0, 1, 2, 3], [0, 0, 1, 1]] = np.sqrt([0.375, 0.625, 0.25, 0.75])
    hidden[:4, 2:] = 1e-7 * np.random.default_rng(0).standard_normal((4, 3))
    hidden[4, 3] = size
    output = np.linalg.norm(hidden, axis=-1)
    if turned:
        hidden[0] *= -1.0
    start = Weights(hidden[None], output[None])
    reference = PopulationProblem(teacher, network)
    problem = made(teacher, network)
    end, slow = problem.descend(start, 0.5, 0.0, 1), reference.descend(start, 0.5, 0.0, 1)
    np.testing.assert_allclose(end.output, slow.output, rtol=4e-16)

    def error(path: Weights) -> float:  # where weights were 0, so that the step shows the force
        return float(
            np.abs(path.hidden - slow.hidden)[0][hidden == 0].max()
            / np.abs(slow.hidden)[0][hidden == 0].max()
        )

    assert error(end) < 1e-9
    monkeypatch.setattr(FusedPopulationProblem, "keeps_digits", lambda *_: False)
    assert error(problem.descend(start, 0.5, 0.0, 1)) > 1e-9
    if not turned:
        force = (hidden[4, [0, 1, 2, 4]] - end.hidden[0, 4, [0, 1, 2, 4]]) / 0.5  # where its weights are 0
        exact = exact_force(teacher, hidden, output)[4, [0, 1, 2, 4]]
        np.testing.assert_allclose(force, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


def test_weight_decay_near_orthogonal_teachers_is_walked_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forces are of the order of the decay there, and rounding is nothing to them: the array code is not asked, and
    the paths agree to rounding."""
    network = network_of(4)
    teacher = Teacher(np.eye(2, 5), np.array([1.0, -0.8]), "constant")
    hidden = np.zeros((1, 4, 5))
    hidden[0, [0, 1, 2, 3], [0, 0, 1, 1]] = 0.7, 0.7, 0.6, 0.6
    hidden[..., 2:] = 1e-7 * np.random.default_rng(0).standard_normal((4, 3))
    start = Weights(hidden, np.array([[0.7, 0.7, -0.6, -0.6]]))
    slow = PopulationProblem(teacher, network).descend(start, 0.05, 0.01, 200)

    def refused(*_: object) -> Weights:
        raise AssertionError("left to the array code")

    monkeypatch.setattr(twolayer.population.fused_descent.Problem, "descend", refused)
    fast = CompiledPopulationProblem(teacher, network).descend(start, 0.05, 0.01, 200)
    np.testing.assert_allclose(fast.hidden, slow.hidden, atol=1e-13)
    np.testing.assert_allclose(fast.output, slow.output, atol=1e-13)


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("neurons", [4, 18], ids=["lanes are seeds", "lanes are neurons"])
@pytest.mark.parametrize("small", [False, True], ids=["all near", "some small"])
def test_steps_near_the_teachers_are_those_of_the_array_code(
    made: Made, output: Any, activation: Any, neurons: int, small: bool
) -> None:
    """Nine seeds at 1e-7 to 1e-9 from three teachers along no axes, turned ones among them, each with other groups:
    each of a few steps changes weights as the array code does, to 1e-12 of the change and a weight's last place."""
    network = network_of(neurons, activation, output, output_scale="1/m")
    random = np.random.default_rng(neurons)
    axes = np.linalg.qr(random.standard_normal((7, 7)))[0][:3]
    teacher = Teacher(axes * np.array([[1.0], [2.0], [0.5]]), np.array([1.0, 1.0, 0.5]), "none")
    closest = random.integers(0, 3, (9, neurons))
    length = random.uniform(0.5, 2.0, (9, neurons, 1))
    hidden = length * (axes[closest] + 10 ** random.uniform(-9, -7) * random.standard_normal((9, neurons, 7)))
    if output != "tied":
        hidden *= random.choice([-1.0, 1.0], (9, neurons, 1), p=[0.2, 0.8])
    given = length[..., 0].copy()
    if small:
        hidden[::2, 0] = 1e-7 * random.standard_normal((5, 7))
        given[::2, 0] = 1e-7
    if output == "fixed":
        given[...] = 1.0
    start = network.with_tied_outputs(Weights(hidden, given))
    fast = made(teacher, network)
    for _ in range(3):
        slow = PopulationProblem(teacher, network).descend(start, 0.1, 0.0, 1)
        end = fast.descend(start, 0.1, 0.0, 1)
        for part in ("hidden", "output"):
            before, one, other = (getattr(weights, part) for weights in (start, end, slow))
            moved = np.abs(other - before).max()
            np.testing.assert_allclose(one, other, rtol=4e-16, atol=1e-12 * moved + 1e-15)
        start = slow


def test_saved_times_change_no_bit_near_the_teachers(made: Made) -> None:
    """Seeds that reach their teachers, and stay in rounding's last places, in one call and in several."""
    network = network_of(3, output="fixed")
    teacher = Teacher(np.eye(3), np.ones(3))
    hidden = np.eye(3) + 0.2 * np.random.default_rng(1).standard_normal((9, 3, 3))
    start = Weights(hidden, np.ones((9, 3)))
    problem = made(teacher, network)
    once = problem.descend(start, 0.5, 0.0, 3000)
    assert (problem.loss(once) < 1e-24).all()
    pieces = start
    for count in (100, 23, 477, 1, 1400, 999):
        pieces = problem.descend(pieces, 0.5, 0.0, count)
    assert same_bits(once, pieces)


# ---- seeds --------------------------------------------------------------------------------------------------


@KERNELS
@pytest.mark.parametrize("features", [6, 50])
def test_bits_depend_neither_on_other_seeds_nor_on_threads(neurons: int, features: int) -> None:
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, features, 27)
    paths = [
        CompiledPopulationProblem(teacher, network, threads).descend(weights, 0.05, 0.0, 30)
        for threads in (1, 3)
    ]
    assert same_bits(*paths)
    for chosen in ([26], [3, 11, 20], list(range(9, 18))):
        part = CompiledPopulationProblem(teacher, network).descend(
            Weights(weights.hidden[chosen], weights.output[chosen]), 0.05, 0.0, 30
        )
        assert same_bits(part, Weights(paths[0].hidden[chosen], paths[0].output[chosen]))


@KERNELS
def test_a_diverging_seed_shows_and_touches_no_other(made: Made, neurons: int) -> None:
    network = network_of(neurons)
    teacher, weights = drawn(network, 2, 5, 4)
    hidden = weights.hidden.copy()
    hidden[1] *= 1e6
    problem = made(teacher, network)
    with np.errstate(all="ignore"):
        noted = problem.descend(Weights(hidden, weights.output), 0.01, 0.0, 60)
    others = [0, 2, 3]
    calm = problem.descend(Weights(weights.hidden[others], weights.output[others]), 0.01, 0.0, 60)
    assert not np.isfinite(noted.hidden[1]).any()
    assert same_bits(calm, Weights(noted.hidden[others], noted.output[others]))


def test_both_kernels_walk_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(12)
    teacher, weights = drawn(network, 3, 9, 3)
    ends = []
    for many in (1, 100):
        monkeypatch.setattr(numba_descent, "MANY", many)
        ends.append(CompiledPopulationProblem(teacher, network).descend(weights, 0.05, 0.01, 50))
    assert_close(*ends, 1e-13)
    assert not same_bits(*ends)


# ---- physics ------------------------------------------------------------------------------------------------


def test_small_steps_keep_the_balance_and_lower_the_loss(made: Made) -> None:
    """Gradient flow conserves a_i² − |w_i|²; a descent changes it by O(step_size) in a given time."""
    network = network_of(5)
    teacher, weights = drawn(network, 2, 7, 3)
    problem = made(teacher, network)

    def change(step_size: float) -> float:
        end = problem.descend(weights, step_size, 0.0, round(8 / step_size))
        assert (problem.loss(end) < 0.5 * problem.loss(weights)).all()
        balance = [state.output**2 - (state.hidden**2).sum(-1) for state in (weights, end)]
        return float(np.abs(balance[1] - balance[0]).max())

    changes = [change(step_size) for step_size in (0.02, 0.01, 0.005)]
    for coarse, fine in itertools.pairwise(changes):
        assert coarse / fine == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("name", KINDS)
def test_the_backend_walks_it(name: str) -> None:
    def plugin(kind: str, name: str, **fields: Any) -> Any:
        return plugins(kinds=[kind]).find(kind, name).plugin(**fields)

    network = network_of(3, output="fixed")
    teacher = drawn(network, 2, 6, 1)[0]
    device = HostCuda() if name == "cuda on the host" else backend(name)
    assert isinstance(device.accelerate(PopulationProblem(teacher, network), 1), FusedPopulationProblem)
    paths = [
        train(
            teacher, network, plugin("initializations", "gaussian", scale=0.1),
            plugin("dynamics", "gradient_descent", step_size=0.05), Times(steps=[10, 200]), [0, 7],
            ours,
        )
        for ours in (device, backend("numpy"))
    ]  # fmt: skip
    assert paths[0].weights.hidden.shape == (2, 3, 3, 6)
    np.testing.assert_allclose(paths[0].weights.hidden, paths[1].weights.hidden, rtol=0, atol=1e-13)
    assert math.isfinite(paths[0].weights.hidden.sum())
