"""The closed forms of Gaussian input, against Monte Carlo, central differences and 60-digit arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
from namespaces import NAMESPACES, namespace
from networks import TWO_SLOPES, activation_of, factors_of, network_of, of_two_slopes

from twolayer import PopulationProblem, Teacher, Weights
from twolayer.core.arrays import to_host
from twolayer.population import closed_form, orthogonal_form
from twolayer.population.closed_form import Units

PROFILES = ["none", "constant", "linear"]
KINKED = {name: activation for name, activation in TWO_SLOPES.items() if name != "linear"}
of_kinked_slopes = pytest.mark.parametrize("activation", KINKED.values(), ids=KINKED)  # L ~ angle³
FORMS = {"plain": closed_form, "grouped": orthogonal_form}


def random_units(seed: int, m: int = 4, k: int = 2, d: int = 5, lead: tuple[int, ...] = (3,)) -> Units:
    """Students in general position with coefficients of both signs, before orthogonal teachers."""
    random = np.random.default_rng(seed)
    students = random.standard_normal((*lead, m, d))
    students[..., :k] = np.abs(students[..., :k])
    teachers = np.broadcast_to(np.eye(d)[:k] * np.array([1.0, 0.7, 1.3])[:k, None], (*lead, k, d))
    coefficients = random.choice([-1.0, 1.0], (*lead, m)) * random.uniform(0.5, 2, (*lead, m))
    given = np.broadcast_to(np.array([-1.0, 0.5, -2.0])[:k], (*lead, k))
    return Units(np.concatenate([students, teachers], -2), np.concatenate([coefficients, given], -1), m)


def split(units: Units) -> tuple[Any, Any]:
    return units.vectors[..., : units.students, :], units.coefficients[..., : units.students]


def moved(units: Units, hidden: Any = 0.0, coefficients: Any = 0.0) -> Units:
    """The units with students moved."""
    vectors, factors = units.vectors.copy(), units.coefficients.copy()
    vectors[..., : units.students, :] += hidden
    factors[..., : units.students] += coefficients
    return Units(vectors, factors, units.students)


def near_teachers(k: int, angle: float, rotated: bool, scale: float = 1.0) -> Units:
    """Two or more students per teacher within about `angle`, with no residual to rounding."""
    random = np.random.default_rng(k)
    d, m = k + 4, 2 * k + 1
    axes = np.eye(d)
    norms = np.array([1.0, 0.7, 1.3])[:k]
    students = np.zeros((m, d))
    for group in range(k):
        members = np.arange(group, m, k)
        share = random.uniform(0.3, 1.0, len(members))
        share /= share.sum()
        rest = random.standard_normal((len(members), d))
        rest[:, group] = 0
        rest -= share @ rest
        students[members] = share[:, None] * norms[group] * (axes[group] + angle * rest)
    vectors = scale * np.concatenate([students, norms[:, None] * axes[:k]])
    if rotated:
        vectors = vectors @ np.linalg.qr(random.standard_normal((d, d)))[0]
    return Units(vectors, np.concatenate([np.ones(m), -np.ones(k)]), m)


def precise(units: Units, activation: Any, profile: str = "none") -> Any:
    """L of one state in 60 digits, from E σ(u·x)σ(v·x) as the integrals give it."""
    with mpmath.workdps(60):
        mp = mpmath.mp
        below, _, above = (mp.mpf(slope) for slope in activation.slopes)
        vectors = [[mp.mpf(float(x)) for x in row] for row in units.vectors]
        coefficients = [mp.mpf(float(c)) for c in units.coefficients]
        lengths = [mp.sqrt(sum(x * x for x in row)) for row in vectors]
        masses = [c * length for c, length in zip(coefficients, lengths, strict=True)]
        mean = sum(masses) * (above - below) / mp.sqrt(2 * mp.pi)
        total = mp.mpf(0)
        alive = [p for p, length in enumerate(lengths) if length > 0]
        directions = {p: [x / lengths[p] for x in vectors[p]] for p in alive}
        for p, q in itertools.combinations_with_replacement(alive, 2):
            left, right = directions[p], directions[q]
            apart = mp.sqrt(sum((x - y) ** 2 for x, y in zip(left, right, strict=True)))
            together = mp.sqrt(sum((x + y) ** 2 for x, y in zip(left, right, strict=True)))
            theta = 2 * mp.atan2(apart, together)
            # σ = above relu(z) − below relu(−z), and E relu(u·x)relu(v·x) by the arc-cosine kernel
            ahead = (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi)
            against = (mp.sin(theta) - theta * mp.cos(theta)) / (2 * mp.pi)
            kernel = (above**2 + below**2) * ahead - 2 * above * below * against
            total += (1 if p == q else 2) * masses[p] * masses[q] * kernel
        linear = mp.mpf(0)
        if profile == "linear":
            for axis in range(len(vectors[0])):
                part = sum(c * u[axis] for c, u in zip(coefficients, vectors, strict=True))
                part *= (above + below) / 2
                linear += part * part
        return (total - linear - (mean * mean if profile != "none" else 0)) / 2


@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
def test_the_loss_is_the_integral(activation: Any, profile: str) -> None:
    units = random_units(0, lead=())
    factor = factors_of(activation, profile)
    exact = float(precise(units, activation, profile))
    for form in FORMS.values():
        assert float(form.loss(units, factor)) == pytest.approx(exact, rel=1e-13)


@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
def test_loss_and_gradient_are_means_over_gaussian_inputs(activation: Any, profile: str) -> None:
    units = random_units(1, lead=())
    factor = factors_of(activation, profile)
    count = 400_000
    x = np.random.default_rng(5).standard_normal((count, units.vectors.shape[1]))
    z = x @ units.vectors.T
    value = activation.value(z) @ units.coefficients
    # what is profiled out, from its exact moments
    below, _, above = activation.slopes
    if profile != "none":
        value = value - 0.5 * (above - below) * np.sqrt(2 / np.pi) * units.masses.sum()
    if profile == "linear":
        value = value - 0.5 * (above + below) * x @ units.residual
    squares = 0.5 * value**2
    within(squares, closed_form.loss(units, factor))
    slope = np.where(z > 0, above, below)
    field = closed_form.field(units, factor)
    for i in range(units.students):
        sample = value[:, None] * slope[:, i : i + 1] * x
        within(sample, field[i])  # the removed parts are orthogonal to `value` and add nothing


def within(samples: Any, value: Any) -> None:
    """The mean within 4 standard errors."""
    error = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - value) <= 4 * error + 1e-14).all()


@pytest.mark.parametrize("form", FORMS)
@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
def test_the_field_is_the_gradient(form: str, activation: Any, profile: str) -> None:
    units, step = random_units(2), 1e-5
    factor = factors_of(activation, profile)
    students, coefficients = split(units)
    field = FORMS[form].field(units, factor)
    for i in range(units.students):
        for axis in range(units.vectors.shape[-1]):
            by = np.zeros_like(students)
            by[..., i, axis] = step
            slope = difference(units, factor, hidden=by) / (2 * step)
            np.testing.assert_allclose(coefficients[..., i] * field[..., i, axis], slope, atol=1e-8)
        by = np.zeros_like(coefficients)
        by[..., i] = step
        slope = difference(units, factor, coefficients=by) / (2 * step)
        np.testing.assert_allclose((students * field).sum(-1)[..., i], slope, atol=1e-8)


def difference(units: Units, factor: Any, **by: Any) -> Any:
    back = {key: -value for key, value in by.items()}
    return closed_form.loss(moved(units, **by), factor) - closed_form.loss(moved(units, **back), factor)


@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
def test_the_hessian_is_the_fields_derivative(activation: Any, profile: str) -> None:
    units, step = random_units(3), 1e-5
    factor = factors_of(activation, profile)
    students, coefficients = split(units)
    blocks, through, by_coefficient = closed_form.hessian_blocks(units, factor)

    def slope(**by: Any) -> Any:
        back = {key: -value for key, value in by.items()}
        change = closed_form.field(moved(units, **by), factor) - closed_form.field(
            moved(units, **back), factor
        )
        return change / (2 * step)

    for j in range(units.students):
        for axis in range(units.vectors.shape[-1]):
            by = np.zeros_like(students)
            by[..., j, axis] = step
            expected = through[..., :, j, :, axis].copy()
            expected[..., j, :] += blocks[..., j, :, axis]
            np.testing.assert_allclose(slope(hidden=by), expected, atol=1e-8)
        by = np.zeros_like(coefficients)
        by[..., j] = step
        np.testing.assert_allclose(slope(coefficients=by), by_coefficient[..., :, j, :], atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@of_two_slopes
def test_the_forms_agree_where_both_are_good(form: str, activation: Any) -> None:
    units, factor = random_units(4, m=6, k=3, d=7), factors_of(activation)
    np.testing.assert_allclose(FORMS[form].loss(units, factor), closed_form.loss(units, factor), rtol=1e-13)
    np.testing.assert_allclose(FORMS[form].field(units, factor), closed_form.field(units, factor), atol=1e-13)


@pytest.mark.parametrize("rotated", [False, True])
@of_kinked_slopes
@pytest.mark.parametrize("teachers", [1, 2, 3])
def test_digits_of_a_small_loss(teachers: int, activation: Any, rotated: bool) -> None:
    factor = factors_of(activation)
    cubic = float(precise(near_teachers(teachers, 1e-4, rotated), activation)) / 1e-12  # L ~ angle³
    for wanted, limit in ((1e-12, 1e-11), (1e-25, 1e-6)):
        units = near_teachers(teachers, (wanted / cubic) ** (1 / 3), rotated)
        exact = precise(units, activation)
        assert 0.9 * wanted < exact < 1.1 * wanted
        assert abs(orthogonal_form.loss(units, factor) / exact - 1) < limit
        if teachers == 1:
            assert abs(closed_form.loss(units, factor) / exact - 1) < limit


def network_near_teachers(
    teachers: int, activation: Any, output: str, profile: str, angle: float
) -> tuple[PopulationProblem, Weights]:
    """Three students within about `angle` of each orthogonal teacher, with outputs of both signs where they are free.

    Per teacher Σ s a_j w_j = b v to rounding, so the loss goes as angle³. Tied outputs are |w|, and b is then above 0.
    """
    random = np.random.default_rng(10 * teachers + len(output))
    m, d, scale = 3 * teachers, teachers + 3, 0.5
    given = np.array([1.0, 1.0, 1.0]) if output == "tied" else np.array([1.0, -2.0, 0.5])
    coefficients = np.array([1.0, -0.6, 2.0])[:teachers]
    if output == "tied":
        coefficients = np.abs(coefficients)
    norms = np.array([1.0, 0.7, 1.3])[:teachers]
    hidden, outputs = np.zeros((m, d)), np.zeros(m)
    for group in range(teachers):
        members = slice(3 * group, 3 * group + 3)
        share = np.array([0.5, 0.2, 0.3]) if output == "tied" else np.array([0.9, -0.4, 0.5])
        rest = random.standard_normal((3, d))
        rest[:, group] = 0
        rest -= share @ rest  # Σ share = 1, so Σ share·rest = 0
        direction = np.eye(d)[group] + angle * rest
        mass = share * coefficients[group] * norms[group] / scale  # a_j h_j
        if output == "tied":
            length = np.sqrt(mass / np.linalg.norm(direction, axis=1))  # |w| = h |direction|, so |w| h = mass
            hidden[members] = length[:, None] * direction
            outputs[members] = np.linalg.norm(hidden[members], axis=1)
        else:
            outputs[members] = given * np.sign(coefficients[group])
            hidden[members] = (mass / outputs[members])[:, None] * direction
    network = network_of(
        m, activation, output, outputs.tolist() if output == "fixed" else 1.0, output_scale=scale
    )  # type: ignore[arg-type]
    teacher = Teacher(norms[:, None] * np.eye(d)[:teachers], coefficients, profile)
    return teacher.problem(network), network.with_tied_outputs(Weights(hidden, outputs))


@pytest.mark.parametrize(("output", "teachers"), [("fixed", 2), ("trained", 1), ("trained", 2), ("tied", 2)])
@pytest.mark.parametrize("profile", PROFILES)
@of_kinked_slopes
def test_digits_of_a_networks_small_loss(activation: Any, profile: str, output: str, teachers: int) -> None:
    """1e-11 relative at L = 1e-12 and 1e-6 at 1e-25, for every kind of output, with signs and profiles."""

    problem, weights = network_near_teachers(teachers, activation, output, profile, 1e-4)
    cubic = float(problem.loss(weights)) / 1e-12
    for wanted, limit in ((1e-12, 1e-11), (1e-25, 1e-6)):
        angle = (wanted / cubic) ** (1 / 3)
        problem, weights = network_near_teachers(teachers, activation, output, profile, angle)
        truth = precise(problem.units(weights)[0], activation, profile)
        assert 0.9 * wanted < truth < 1.1 * wanted
        assert abs(problem.loss(weights) / truth - 1) < limit


@of_two_slopes
def test_digits_of_a_small_gradient(activation: Any) -> None:
    """The grouped field against a difference of 60-digit losses, along directions that leave r alone."""
    units, factor = near_teachers(2, 1e-6, False), factors_of(activation)
    direction = np.zeros_like(units.vectors)
    members = np.arange(0, units.students, 2)[:2]  # two students of the first teacher
    direction[members[0], 3], direction[members[1], 3] = 1.0, -1.0
    step = 1e-10
    ahead = Units(units.vectors + step * direction, units.coefficients, units.students)
    behind = Units(units.vectors - step * direction, units.coefficients, units.students)
    with mpmath.workdps(60):
        exact = float((precise(ahead, activation) - precise(behind, activation)) / (2 * step))
    field = orthogonal_form.field(units, factor)
    measured = (direction[: units.students] * field).sum()
    assert measured == pytest.approx(exact, rel=1e-6)
    assert abs(exact) < 1e-10


def test_other_teachers_keep_the_absolute_digits_they_are_said_to() -> None:
    units = near_teachers(2, 1e-3, False)
    units.vectors[-1] += 0.4 * units.vectors[-2]  # no longer orthogonal; its students move with it
    units.vectors[1 : units.students : 2, 0] += 0.4 * units.vectors[1 : units.students : 2, 1] / 0.7
    exact = precise(units, activation_of("relu"))
    error = abs(closed_form.loss(units, factors_of("relu")) - exact)
    assert error < 4e-15
    assert closed_form.loss(units, factors_of("relu")) >= 0


@of_two_slopes
@pytest.mark.parametrize("apart", [1e-3, 10.0, 60.0, 89.9999999, 90.0001, 150.0])
def test_oblique_teachers_lose_digits_only_below_1e_minus_15(apart: float, activation: Any) -> None:
    """Two teachers at any angle in degrees: the error is absolute, at every size of the loss, and none is negative."""
    turn = np.deg2rad(apart)
    directions = np.zeros((2, 5))
    directions[:, 0], directions[:, 1] = [1, np.cos(turn)], [0, np.sin(turn)]
    rest = np.random.default_rng(3).standard_normal((2, 5))
    rest -= rest @ np.linalg.pinv(directions) @ directions
    students = np.concatenate([0.3 * directions, 0.7 * directions])
    for angle in (1e-1, 1e-4, 0.0):
        lean = angle * np.concatenate([rest, -rest])
        units = Units(np.concatenate([students + lean, directions]), np.array([1.0] * 4 + [-1.0] * 2), 4)
        found = closed_form.loss(units, factors_of(activation))
        assert found >= 0
        assert abs(found - precise(units, activation)) < 2e-15


def test_angles_keep_their_digits() -> None:
    for angle in (0.0, 1e-200, 1e-12, 1e-8, 0.3, np.pi / 2):
        u, v = np.array([[2.0, 0.0]]), np.array([[3.0 * np.cos(angle), 3.0 * np.sin(angle)]])
        assert closed_form.angles(u, v).item() == pytest.approx(angle, rel=1e-15, abs=0)
        assert closed_form.angles(u, -v).item() == pytest.approx(np.pi - angle, rel=1e-15)


def test_g_against_many_digits() -> None:
    for theta in (1e-100, 1e-8, 1e-3, 0.1, 0.499999, 0.5, 1.0, 3.0, np.pi):
        with mpmath.workdps(400):
            exact = float(mpmath.sin(theta) - mpmath.mpf(theta) * mpmath.cos(theta))
        assert float(closed_form.g(np.asarray(theta))) == pytest.approx(exact, rel=1e-14, abs=0)


@pytest.mark.parametrize("form", FORMS)
@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_breaks_where_vectors_meet(form: str, activation: Any, profile: str) -> None:
    """Parallel, antiparallel, equal and zero students: finite, and no negative loss."""
    v = np.array([0.3, 0.4, 0.5])
    students = np.stack([v, 3 * v, -v, 0 * v, v, 1e-300 * v, np.array([1.0, 0, 0])])
    teachers = np.stack([v, np.array([0.4, -0.3, 0.0])])
    units = Units(np.concatenate([students, teachers]), np.array([1.0] * 7 + [-1.0] * 2), 7)
    factor = factors_of(activation, profile)
    with np.errstate(all="raise", under="ignore"):
        loss, field = FORMS[form].loss(units, factor), FORMS[form].field(units, factor)
    assert loss >= 0
    assert np.isfinite(loss)
    assert np.isfinite(field).all()
    np.testing.assert_array_equal(field[3], factor.resting * units.residual)
    assert all(np.isfinite(block).all() for block in closed_form.hessian_blocks(units, factor))


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@of_two_slopes
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("second", [(0.4, -0.3, 0.0), (0.4, 0.1, 0.0)])
def test_no_network_breaks_where_vectors_meet(
    second: tuple[float, ...], profile: str, activation: Any, output: str
) -> None:
    """Loss, gradient, Hessian and its top eigenvalue of students parallel, antiparallel, equal to a teacher, or zero,
    before teachers that are orthogonal and that are not."""
    v = np.array([0.3, 0.4, 0.5])
    hidden = np.stack([v, 3 * v, -v, 0 * v, v, 1e-300 * v, np.array([1.0, 0, 0])])
    problem = Teacher(np.stack([v, np.array(second)]), np.array([1.0, -0.5]), profile).problem(
        network_of(7, activation, output)  # type: ignore[arg-type]
    )
    weights = problem.network.with_tied_outputs(Weights(hidden, np.array([1.0, -1, 1, 1, 0, -2, 1])))
    with np.errstate(all="raise", under="ignore"):
        loss, gradient = problem.loss(weights), problem.gradient(weights)
        hessian, top = problem.hessian(weights), problem.sharpness(weights)
    assert loss >= 0
    for array in (loss, gradient.hidden, gradient.output, top):
        assert np.isfinite(array).all()
    assert np.isfinite(hessian).all()


@pytest.mark.parametrize("form", FORMS)
def test_no_loss_is_negative_at_the_minimum(form: str) -> None:
    random = np.random.default_rng(0)
    for seed in range(50):
        split_up = random.uniform(0.1, 1, (2, 1))
        teachers = np.linalg.qr(random.standard_normal((4, 4)))[0][:2]
        students = np.concatenate([split_up * teachers, (1 - split_up) * teachers])
        units = Units(np.concatenate([students, teachers]), np.array([1.0] * 4 + [-1.0] * 2), 4)
        for activation in TWO_SLOPES.values():
            for profile in PROFILES:
                loss = FORMS[form].loss(units, factors_of(activation, profile))
                assert 0 <= loss < 1e-15, seed


def test_turned_students_are_the_same_network() -> None:
    units = random_units(6)
    units.vectors[..., 1, :] = -np.abs(units.vectors[..., 1, :])
    turned, signs = closed_form.oriented(units)
    factor = factors_of("abs")
    assert (signs[..., 1] == -1).any()
    np.testing.assert_allclose(closed_form.loss(turned, factor), closed_form.loss(units, factor), rtol=1e-13)
    np.testing.assert_allclose(
        signs[..., None] * closed_form.field(turned, factor), closed_form.field(units, factor), atol=1e-13
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_of_every_namespace(form: str, name: str, dtype: str) -> None:
    xp = namespace(name)
    units, factor = random_units(7), factors_of("relu", "constant")
    kind = getattr(xp, dtype)
    placed = Units(
        xp.asarray(units.vectors, dtype=kind), xp.asarray(units.coefficients, dtype=kind), units.students
    )
    rtol = 1e-12 if dtype == "float64" else 1e-4
    loss, field = FORMS[form].loss(placed, factor), FORMS[form].field(placed, factor)
    blocks = closed_form.hessian_blocks(placed, factor)
    turned, _ = closed_form.oriented(placed)
    assert loss.dtype == field.dtype == turned.vectors.dtype == kind
    assert all(block.dtype == kind for block in blocks)
    expected = (
        closed_form.loss(units, factor),
        closed_form.field(units, factor),
        *closed_form.hessian_blocks(units, factor),
    )
    for found, wanted in zip((loss, field, *blocks), expected, strict=True):
        np.testing.assert_allclose(to_host(found), wanted, rtol=rtol, atol=10 * rtol)


@of_two_slopes
def test_pairs_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch, activation: Any) -> None:
    """Loss and field are the same numbers when arrays over pairs are cut into rows."""
    random = np.random.default_rng(0)
    teachers = np.broadcast_to(np.eye(3, 8), (2, 3, 8))
    near = np.repeat(teachers, 2, axis=1) + 1e-3 * random.normal(size=(2, 6, 8))
    vectors = np.concatenate([near, random.normal(size=(2, 5, 8)), teachers], axis=1)
    units = Units(vectors, random.normal(size=(2, 14)), 11)
    factor = factors_of(activation)

    def values() -> list[Any]:
        return [
            form(units, factor) for part in (closed_form, orthogonal_form) for form in (part.loss, part.field)
        ]

    whole = values()
    for block in (1, 8 * 14 * 2 * 4):
        monkeypatch.setattr(closed_form, "BLOCK", block)
        for before, after in zip(whole, values(), strict=True):
            np.testing.assert_array_equal(before, after)
