"""Masses, weighted angles, average neurons and the two parts of f − f*, against samples and closed forms."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from networks import network_of, of_two_slopes

from twolayer import Network, Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.study.registry import load

METRICS = load(kinds=["metrics"])
TEACHERS = Teacher(np.array([[1.0, 0.0, 0.0], [0.3, 1.2, 0.0], [-0.2, 0.1, 0.8]]), np.array([1.0, 0.7, -1.1]))


def measured(
    name: str, hidden: Any, output: Any, activation: Any = "abs", teacher: Teacher = TEACHERS
) -> Any:
    """A metric of one moment of one seed."""
    problem = teacher.problem(network_of(len(hidden), activation))  # type: ignore[arg-type]
    weights = Weights(
        np.asarray(hidden, dtype=float)[None, None], np.asarray(output, dtype=float)[None, None]
    )
    path = Trajectory(Clock(np.zeros(1)), weights, np.zeros(1), np.full(1, -1))
    metric = METRICS.find("metrics", name).plugin
    assert metric.applies(problem, path)
    return metric.measure(problem, path)[0, 0]


def students(scale: float, count: int = 7) -> tuple[Any, Any]:
    """Students within about `scale` of the teachers, either way round, and their output weights."""
    random = np.random.default_rng(3)
    teacher_of = random.integers(0, 3, count)
    hidden = TEACHERS.hidden[teacher_of] * random.uniform(0.3, 1, count)[:, None]
    hidden = (hidden + scale * random.standard_normal((count, 3))) * random.choice([-1.0, 1.0], count)[
        :, None
    ]
    return hidden, random.uniform(0.2, 1.0, count)


def parts(hidden: Any, output: Any, activation: Any, x: Any) -> tuple[Any, Any]:
    """R₁ and R₂ at inputs (sample, feature), by their definition."""
    cosine = (hidden @ TEACHERS.hidden.T) / np.linalg.norm(TEACHERS.hidden, axis=1)
    teacher_of = (np.abs(cosine) if activation.even else cosine).argmax(1)
    if activation.even:
        hidden = hidden * np.sign(np.take_along_axis(cosine, teacher_of[:, None], axis=1))
    below, _, above = activation.slopes

    def slope(z: Any) -> Any:
        return np.where(z > 0, above, below)

    first, second = np.zeros(len(x)), np.zeros(len(x))
    for index, (v, b) in enumerate(zip(TEACHERS.hidden, TEACHERS.output, strict=True)):
        group = teacher_of == index
        rest = output[group] @ hidden[group] - b * v
        first += (x @ rest) * slope(x @ v)
        for w, a in zip(hidden[group], output[group], strict=True):
            second += a * (x @ w) * (slope(x @ w) - slope(x @ v))
    return first, second


@of_two_slopes
@pytest.mark.parametrize("scale", [0.05, 0.5])
def test_the_parts_against_samples(activation: Any, scale: float) -> None:
    """Mean squares over 400,000 inputs, within six standard errors."""
    hidden, output = students(scale)
    if not activation.even:
        hidden = (
            hidden
            * np.sign((hidden * TEACHERS.hidden[np.abs(hidden @ TEACHERS.hidden.T).argmax(1)]).sum(1))[
                :, None
            ]
        )
    x = np.random.default_rng(0).standard_normal((400_000, 3))
    for name, part in zip(("r1_norm", "r2_norm"), parts(hidden, output, activation, x), strict=True):
        square = part**2
        error = square.std() / np.sqrt(len(x))
        assert abs(measured(name, hidden, output, activation) ** 2 - square.mean()) <= 6 * error


def test_one_wedge_keeps_its_digits() -> None:
    """One student at angle δ: |R₂|² = (2/π)(c|w|)²(4δ sin² δ − g(2δ)) ≈ (8/3π) δ³, to δ = 1e-12."""
    teacher = Teacher(np.array([[2.0, 0.0]]), np.ones(1))
    for delta in (1.0, 1e-2, 1e-6, 1e-12):
        hidden = 1.5 * np.array([[np.cos(delta), np.sin(delta)]])
        with mpmath.workdps(60):
            d = mpmath.mpf(delta)
            g = mpmath.sin(2 * d) - 2 * d * mpmath.cos(2 * d)
            exact = float(mpmath.sqrt(2 / mpmath.pi * (4 * d * mpmath.sin(d) ** 2 - g)) * mpmath.mpf("0.75"))
        assert measured("r2_norm", hidden, [0.5], teacher=teacher) == pytest.approx(exact, rel=1e-9)


def test_wedges_of_two_teachers_by_both_forms() -> None:
    """Where both apply, the integral of the remainder is the sum of the four moments."""
    form = METRICS.find("metrics", "r2_norm").plugin.measure.__closure__[0].cell_contents.__globals__
    axes = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    hidden = axes + np.array([[0.0, 0.02, 0.05], [0.04, -0.03, 0.05]])
    one, other = np.array([0]), np.array([1])
    near = form["across"](hidden, np.ones(2), axes, one, other)
    w, q, v, p = hidden[:1], hidden[1:], axes[:1], axes[1:]
    moment = form["moment"]
    far = moment(w, q, w, q) - moment(w, p, w, q) - moment(v, q, w, q) + moment(v, p, w, q)
    assert near[0] == pytest.approx(far[0], abs=1e-15)
    assert near[0] > 1e-7


def test_masses_and_weighted_angles() -> None:
    teacher = Teacher(np.eye(3)[:2], np.array([1.0, -1.0]))
    tilt = 1e-3
    hidden = [
        [2.0 * np.cos(tilt), 0, 2.0 * np.sin(tilt)],
        [0, -3.0 * np.cos(0.2), 3.0 * np.sin(0.2)],
        [0, 0, 0],
    ]
    output = [0.5, -1.0, 4.0]

    def get(name: str) -> Any:
        return measured(name, hidden, output, teacher=teacher)

    np.testing.assert_allclose(get("mass"), [1.0, -3.0, 0.0], rtol=1e-15)
    np.testing.assert_allclose(get("teacher_mass"), [1.0, 3.0])
    np.testing.assert_allclose(get("teacher_mass_weighted_angle"), [tilt, 0.6], rtol=1e-12)
    assert get("mass_weighted_angle") == pytest.approx(tilt + 0.6, rel=1e-12)
    np.testing.assert_allclose(get("teacher_mass_weighted_square_angle"), [tilt**2, 3 * 0.04], rtol=1e-12)
    assert get("mass_weighted_square_angle") == pytest.approx(tilt**2 + 0.12, rel=1e-12)
    # turned towards its teacher, the second adds −(0, 3cos, −3sin) to −b v = (0, 1, 0)
    wanted = [np.hypot(np.cos(tilt) - 1, np.sin(tilt)), np.hypot(1 - 3 * np.cos(0.2), 3 * np.sin(0.2))]
    np.testing.assert_allclose(get("average_neuron_residual"), wanted, rtol=1e-9)


def test_the_parts_apply_to_f_itself() -> None:
    profiled = Teacher(TEACHERS.hidden, TEACHERS.output, "constant")
    with pytest.raises(AssertionError):
        measured("r1_norm", *students(0.1), teacher=profiled)


def of_function(name: str, hidden: Any, output: Any, network: Network, decay: float) -> Any:
    """A metric of one moment of one seed, with a λ."""
    problem = TEACHERS.problem(network)
    path = Trajectory(
        Clock(np.zeros(1)), Weights(hidden[None, None], output[None, None]), np.full(1, decay), np.full(1, -1)
    )
    metric = METRICS.find("metrics", name).plugin
    assert metric.applies(problem, path)
    return metric.measure(problem, path)


@of_two_slopes
def test_what_is_said_of_the_function_counts_the_output_scale(activation: Any) -> None:
    """s and a, or 1 and s a: one function, and the same of all that is said of it; λ/s is its penalty over measures.
    What is said of weights is theirs."""
    hidden, output = students(0.3)
    scaled, plain = network_of(7, activation, output_scale=0.4), network_of(7, activation)
    names = [
        "loss", "mass", "path_norm", "teacher_deficit", "teacher_mass",
        "mass_weighted_angle", "mass_weighted_square_angle",
        "teacher_mass_weighted_angle", "teacher_mass_weighted_square_angle", "average_neuron_residual", "r1_norm",
        "r2_norm", "carrying_directions", "certificate_maximum", "neuron_certificate",
    ]  # fmt: skip
    for name in [*names, *([] if activation.even else ["residual_norm"])]:
        one = of_function(name, hidden, output, scaled, 0.1)
        other = of_function(name, hidden, 0.4 * output, plain, 0.1 / 0.4)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14, err_msg=name)
    for name in ("hidden_norm", "imbalance", "projection", "spread"):
        one = of_function(name, hidden, output, scaled, 0.1)
        np.testing.assert_array_equal(one, of_function(name, hidden, output, plain, 0.1), err_msg=name)


@pytest.mark.parametrize("layer", ["trained", "fixed", "tied"])
def test_the_objective_is_of_the_trained_weights(layer: Any) -> None:
    """L + (λ/2)|θ|²: |a|² counts unless it is fixed; the label says so."""
    hidden, output = students(0.3)
    output = np.linalg.norm(hidden, axis=-1) if layer == "tied" else output
    network = network_of(7, "abs", layer, output_values=output.tolist() if layer == "fixed" else 1.0)
    squares = (hidden**2).sum() + (0.0 if layer == "fixed" else (output**2).sum())
    loss = of_function("loss", hidden, output, network, 0.1)
    objective = of_function("objective", hidden, output, network, 0.1)
    np.testing.assert_allclose(objective, loss + 0.05 * squares, rtol=1e-13)
    assert "without a where it is fixed" in METRICS.find("metrics", "objective").plugin.long_name
