"""What the claims on Zhou, Ge and Jin 2021 predict, against quadrature, Monte Carlo, the closed forms and Figure 1."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from networks import network_of
from project import PROJECT

from twolayer import EmpiricalProblem, FiniteData, Run, Teacher, Weights
from twolayer.analysis.teachers import in_plane
from twolayer.population.stability import step_limit
from twolayer.study.registry import load_file

theory = load_file(PROJECT / "plugins" / "papers" / "zhou2021" / "theory.py", "zhou2021_tested.theory")
measured = load_file(PROJECT / "plugins" / "papers" / "zhou2021" / "measured.py", "zhou2021_tested.measured")
RANDOM = np.random.default_rng(2021)
AXES = in_plane(np.radians([22.28, 58.27, 149.29]))
"""Teachers of Figure 1, read off the print."""


def loss(hidden: Any, teachers: Any) -> float:
    """L of students with a_j = |w_j|."""
    problem = Teacher(teachers, np.ones(len(teachers))).problem(network_of(len(hidden), "abs", "tied"))
    return float(problem.loss(Weights(hidden, np.linalg.norm(hidden, axis=-1))))


def test_separation_by_monte_carlo() -> None:
    axes = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [-0.5, 0.5, math.sqrt(0.5)]])
    x = RANDOM.standard_normal((200_000, 3))
    rows = (np.sign(x @ axes.T)[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    products = rows[:, :, None] * rows[:, None, :]
    error = products.std(axis=0) / math.sqrt(len(x)) + 1e-12
    assert (np.abs(theory.separation(axes) - products.mean(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("delta", [0.02, 0.3, 1.0, math.pi / 2])
def test_smallest_eigenvalue_of_two_teachers(delta: float) -> None:
    axes = in_plane(np.array([0.4, 0.4 + delta]))
    assert theory.smallest(axes) == pytest.approx(float(theory.smallest_of_two(delta)), abs=1e-14)


@pytest.mark.parametrize(
    "axes", [np.eye(5)[:3], AXES, in_plane(np.array([0.0, 0.5]))], ids=["space", "plane", "two"]
)
def test_curvatures_are_the_hessians(axes: Any) -> None:
    problem = Teacher(axes, np.ones(len(axes))).problem(network_of(len(axes), "abs", "tied"))
    exact = problem.hessian(Weights(axes.copy(), np.ones(len(axes))))
    assert theory.curvatures(axes) == pytest.approx(np.linalg.eigvalsh(exact), abs=1e-12)


def test_step_limit_is_that_of_the_problem() -> None:
    network = network_of(6, "abs", "tied")
    for teachers in (1, 2, 3, 4):
        ours = theory.step_limit(theory.orthonormal_gram(teachers))
        assert ours == pytest.approx(
            step_limit(Teacher(np.eye(5)[:teachers], np.ones(teachers)), network), rel=1e-12
        )
        assert ours == pytest.approx(2 / theory.curvatures(np.eye(5)[:teachers])[-1], rel=1e-12)
    assert theory.step_limit(theory.orthonormal_gram(3)) == pytest.approx(0.21995, abs=5e-6)


@pytest.mark.parametrize("delta", [0.1, 0.7, 1.4])
def test_bisector(delta: float) -> None:
    teachers = in_plane(np.array([-delta / 2, delta / 2]))
    masses = np.linspace(1.5, 2.1, 601)
    losses = [loss(np.array([[math.sqrt(mass), 0.0]]), teachers) for mass in masses]
    assert theory.bisector_loss(delta) == pytest.approx(min(losses), abs=1e-6)
    best = math.sqrt(2 * theory.kernel(delta / 2))
    assert theory.bisector_loss(delta) == pytest.approx(
        loss(np.array([[best, 0.0]]), teachers), rel=1e-11, abs=1e-14
    )
    assert theory.bisector_loss(delta) == pytest.approx(delta**3 / (3 * np.pi), rel=0.1 * delta**2)


def test_a_student_at_right_angles_costs_what_is_said() -> None:
    """κ: the least loss over the masses of teachers' students, by least squares, with one more of mass μ."""
    for teachers in (1, 2, 3):
        mass = 0.01
        gram = theory.orthonormal_gram(teachers)
        masses = np.ones(teachers) - mass * np.linalg.solve(gram, np.full(teachers, 2 / np.pi))
        hidden = np.eye(4)[[*range(teachers), 3]] * np.sqrt([*masses, mass])[:, None]
        kappa = 2 * loss(hidden, np.eye(4)[:teachers]) / mass**2
        assert theory.orthogonal_curvature(np.eye(4)[:teachers]) == pytest.approx(kappa, rel=1e-9)


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.3, 0.7)])
def test_the_constant_of_a_pair_follows_from_the_loss(p: float, q: float) -> None:
    """L = cθ³ and pq dθ/dt = −3cθ² give θ = pq/3ct and L t³ = (pq)³/27c²; c is read off the exact loss."""
    turn = 1e-4
    hidden = np.array([[p, p * q * turn], [q, -p * q * turn]])
    hidden /= np.sqrt(np.linalg.norm(hidden, axis=-1, keepdims=True))
    c = loss(hidden, np.eye(2)[:1]) / turn**3
    assert (p * q) ** 3 / (27 * c**2) == pytest.approx(np.pi**2 / (48 * p * q), rel=1e-3)


# ---- the test function, and the two parts ----


def on_average(values: Any) -> float:
    """E over x ~ N(0, I₂) of a function of degree two that is even, from its values on half a circle: E|x|² = 2."""
    return 2 * float(np.mean(values))


@pytest.mark.parametrize("length", [1.0, 1.7])
def test_the_test_function_bounds_the_loss(length: float) -> None:
    phi = np.linspace(0, np.pi, 400_000, endpoint=False)
    hidden = RANDOM.standard_normal((6, 2)) * 0.4
    teacher, delta = measured.most_isolated(hidden, AXES)
    r, g = theory.residual(hidden, length * AXES, phi), theory.test_function(AXES[teacher], delta, phi)
    assert on_average(g**2) / 2 == pytest.approx(theory.kink_bound(delta), rel=1e-3)
    projected = on_average(r * g) ** 2 / on_average(g**2) / 2
    assert projected == pytest.approx(theory.kink_bound(delta, length), rel=1e-3)
    exact = on_average(r**2) / 2
    assert exact == pytest.approx(loss(hidden, length * AXES), rel=1e-6)
    assert exact >= projected
    assert theory.kink_bound(0.01) == pytest.approx(0.01**3 / (6 * np.pi), rel=1e-4)


def test_the_two_parts_by_their_definition() -> None:
    phi = np.linspace(0, np.pi, 1001)
    x = in_plane(phi)
    hidden = RANDOM.standard_normal((7, 2))
    first, second = theory.split(hidden, AXES, phi)
    expected = np.zeros(len(phi))
    for w in hidden:
        v = AXES[np.abs(AXES @ w).argmax()]
        sign = np.sign(w @ v)
        expected += np.linalg.norm(w) * (sign * (x @ w)) * (np.sign(sign * (x @ w)) - np.sign(x @ v))
    assert second == pytest.approx(expected, abs=1e-12)
    assert first + second == pytest.approx(theory.residual(hidden, AXES, phi), abs=1e-12)


def test_time_to_a_loss_of_a_power_law() -> None:
    time = np.array([0.0, *np.geomspace(1, 1e4, 30)])
    losses = np.stack([np.full(31, 5.0), 7.0 * np.maximum(time, 0.1) ** -3.0])
    run = Run("width", xr.Dataset({"loss": (("seed", "time"), losses)}, {"time": time}), [{"swept": {}}])
    found = measured.time_to(run, 1e-5)
    assert math.isnan(found[0])
    assert float(found[1]) == pytest.approx((7e5) ** (1 / 3), rel=1e-9)


# ---- the digitised figure ----

REFERENCE = (
    Path(os.environ.get("TWOLAYER_REFERENCE", PROJECT.parent / "shared" / "reference"))
    / "zhou2021_figure1.nc"
)
DRAWS = 64
"""Sets of 20 samples."""


def statistics(hidden: Any) -> Any:
    """Of end points (…, neuron, 2): students at shared angles, whole mass, mean angle to teachers by mass in degrees,
    mass of the largest three; (…, statistic)."""
    mass = (hidden**2).sum(-1)
    angle = theory.separation_angles(hidden, AXES).min(-1)
    shared, _ = measured.shared_angles(hidden, AXES)
    mean = np.degrees((mass * angle).sum(-1) / mass.sum(-1))
    return np.stack([shared, mass.sum(-1), mean, np.sort(mass, axis=-1)[..., -3:].sum(-1)], axis=-1)


@pytest.mark.skipif(
    not REFERENCE.is_file(),
    reason=f"no digitised figure at {REFERENCE}; the environment variable TWOLAYER_REFERENCE names its folder",
)
@pytest.mark.parametrize(("panel", "stop"), [("ntk", 50), ("mean_field", 50), ("local_convergence", 100)])
def test_from_the_digitised_starts_the_sample_ends_like_the_figure(panel: str, stop: int) -> None:
    """From the printed starts, η = 0.05, on 64 sets of 20 samples: each statistic of the printed end points is within
    three standard deviations of theirs. On the population no angles are shared."""
    with xr.open_dataset(REFERENCE) as reference:
        points = {name: reference[name].sel(panel=panel).values for name in ("start", "end")}
        assert in_plane(np.sort(reference["teacher_angle"].values)) == pytest.approx(AXES, abs=1e-3)
    start, end = (p / np.sqrt(np.linalg.norm(p, axis=-1, keepdims=True)) for p in points.values())
    network, teacher = network_of(20, "abs", "tied"), Teacher(AXES, np.ones(3))
    inputs = np.random.default_rng(20).standard_normal((DRAWS, 20, 2))
    sample = EmpiricalProblem(FiniteData(inputs, teacher.labels(inputs, network)), network)
    steps = round(stop / 0.05)

    def ended(problem: Any, count: int) -> Any:
        weights = network.with_tied_outputs(Weights(np.repeat(start[None], count, 0), np.zeros((count, 20))))
        return statistics(problem.descend(weights, 0.05, 0.0, steps).hidden)

    found, printed = ended(sample, DRAWS), statistics(end)
    distance = np.abs(printed - found.mean(0)) / found.std(0)
    assert (distance < 3).all(), f"{printed} against {found.mean(0)} ± {found.std(0)}"
    assert printed[0] >= 2
    assert ended(teacher.problem(network), 1)[0, 0] == 0
