"""Random near-solutions against 60-digit arithmetic: strays of any size, both orientations, every kind of output."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
import xarray as xr
from networks import network_of

import twolayer
from twolayer import FiniteData, PopulationProblem, Teacher, Weights
from twolayer.population import flow
from twolayer.population.numba_flow import CompiledOdeSystem
from twolayer.population.ode_system import OdeSystem
from twolayer.training import precision


def near_solution(seed: int, wanted: float) -> tuple[PopulationProblem, Weights]:
    """A random network whose loss is some decades at most from `wanted`, before one to three orthogonal teachers.

    Two to four students a teacher at angles around `wanted`^⅓ with a residual up to √`wanted`; one of them now and
    then far from it, and strays in any direction, of masses up to √`wanted`; turned ones where those are minima too.
    """
    random = np.random.default_rng([seed, round(-np.log10(wanted))])
    count = int(random.integers(1, 4))
    d = count + int(random.integers(1, 4))
    activation, profile = random.choice(["relu", "abs"]), random.choice(["none", "constant", "linear"])
    output = random.choice(["fixed", "trained", "tied"])
    scale = float(random.choice([1.0, 0.5, 1 / np.sqrt(7)]))
    norms = random.uniform(0.5, 2.0, count)
    given = (
        np.ones(count)
        if output == "tied"
        else random.choice([-1.0, 1.0], count) * random.uniform(0.5, 2, count)
    )
    axes = np.eye(count, d)
    if random.random() < 0.5:
        axes = np.linalg.qr(random.standard_normal((d, d)))[0][:count]
    small = np.sqrt(wanted)
    directions, masses = [], []
    for axis, mass in zip(axes, norms * given, strict=True):
        n = int(random.integers(2, 5))
        share = random.uniform(0.3, 1.0, n)
        share /= share.sum()
        rest = random.standard_normal((n, d))
        rest -= (rest @ axis)[:, None] * axis
        rest -= share @ rest
        rest *= wanted ** (1 / 3) * 10 ** random.uniform(-0.3, 0.3)
        directions += [*(axis + rest), axis + 10 ** random.uniform(-3, 0) * random.standard_normal(d)]
        masses += [*(share * mass + small * random.uniform(-1, 1, n)), small * 10 ** random.uniform(-3, 0)]
    strays = int(random.integers(0, 4))
    directions += list(random.standard_normal((strays, d)))
    masses += list(small * 10 ** random.uniform(-4, 0, strays) * random.choice([-1.0, 1.0], strays))
    directions, masses = np.array(directions), np.array(masses)
    if output == "tied":
        masses = np.abs(masses)
    heavy = masses[:, None] * directions / scale  # a w
    size = np.linalg.norm(heavy, axis=-1)
    if output == "fixed":
        values = np.sign(masses) * random.uniform(0.5, 2.0, len(masses))
        hidden = heavy / values[:, None]
    else:
        values = np.sign(masses) * np.sqrt(size)
        hidden = heavy / values[:, None]
    if activation == "abs" or profile == "linear":
        hidden *= random.choice([-1.0, 1.0], (len(hidden), 1))
    network = network_of(
        len(masses),
        str(activation),
        str(output),
        values.tolist() if output == "fixed" else 1.0,
        output_scale=scale,
    )  # type: ignore[arg-type]
    problem = Teacher(norms[:, None] * axes, given, str(profile)).problem(network)
    return problem, network.with_tied_outputs(Weights(hidden, values))


def exact(problem: PopulationProblem, weights: Weights) -> tuple[Any, Any]:
    """L and |∇L|² in the trained parameters, in 60 digits, by E σ(u·x)σ(v·x) as the integrals give it."""
    network, profile = problem.network, problem.data.profile
    relu, m = not network.activation.even, network.neurons
    with mpmath.workdps(60):
        mp = mpmath.mp
        scale, half, zero = mp.mpf(network.scale), mp.pi / 2, mp.mpf(0)
        vectors = [[mp.mpf(float(x)) for x in row] for row in (*weights.hidden, *problem.data.hidden)]
        coefficients = [scale * mp.mpf(float(a)) for a in weights.output]
        coefficients += [-mp.mpf(float(b)) for b in problem.data.output]
        lengths = [mp.sqrt(inner(u, u)) for u in vectors]
        directions = [[x / n for x in u] if n else u for u, n in zip(vectors, lengths, strict=True)]
        masses = [c * n for c, n in zip(coefficients, lengths, strict=True)]
        mean = 0 if profile == "none" else mp.sqrt(2 / mp.pi) / (2 if relu else 1)
        share = (
            mp.mpf(1) / 2 if relu else mp.mpf(2)
        )  # E σσ = share/π (sin θ + (π/2 − θ) cos θ) and a linear part
        linear = mp.mpf(1) / 4 if relu and profile != "linear" else zero
        value, fields = zero, [[zero] * len(vectors[0]) for _ in range(m)]
        for i, j in itertools.combinations_with_replacement(range(len(vectors)), 2):
            if not (lengths[i] and lengths[j]):
                continue
            cosine = inner(directions[i], directions[j]) if i != j else mp.mpf(1)
            theta = mp.acos(min(max(cosine, -1), 1))
            sine = mp.sin(theta)
            kernel = share / mp.pi * (sine + (half - theta) * cosine) + linear * cosine - mean**2
            value += masses[i] * masses[j] * kernel * (1 if i == j else 2) / 2
            along, other = share / mp.pi * sine - mean**2, share / mp.pi * (half - theta) + linear
            for one, two in {(i, j), (j, i)}:
                if one < m:
                    for a, (x, y) in enumerate(zip(directions[one], directions[two], strict=True)):
                        fields[one][a] += masses[two] * (along * x + other * y)
        square = zero
        for i in range(m):
            by_output = scale * inner(vectors[i], fields[i])
            slope = [coefficients[i] * x for x in fields[i]]
            if network.output == "trained":
                square += by_output**2
            if network.output == "tied":
                slope = [x + by_output * y for x, y in zip(slope, directions[i], strict=True)]
            square += inner(slope, slope)
        return value, square


def inner(u: Any, v: Any) -> Any:
    """u·v."""
    return mpmath.fdot(u, v)


CASES = [pytest.param(seed, marks=() if seed < 20 else pytest.mark.slow) for seed in range(500)]


@pytest.mark.parametrize("seed", CASES)
def test_digits_of_a_near_solution(seed: int) -> None:
    """Relative error 1e-9 where L is above 1e-20, and from there to 1e-6 at 1e-25 by a power; the gradient's norm
    likewise; and the estimate of rounding is no smaller than the error, nor so large that it takes L's trust."""
    for wanted in (1e-20, 1e-25):
        problem, weights = near_solution(seed, wanted)
        loss, square = exact(problem, weights)
        limit = 1e-9 * max(1.0, (1e-20 / float(loss)) ** 0.6)
        error = abs(float(problem.loss(weights) / loss - 1))
        assert error < limit
        assert error * loss <= problem.rounding(weights) < 100 * limit * loss
        gradient = problem.gradient(weights)
        norm = np.sqrt((gradient.hidden**2).sum() + (gradient.output**2).sum())
        assert abs(float(norm / mpmath.sqrt(square) - 1)) < limit


@pytest.mark.parametrize("seed", range(40))
def test_the_compiled_field_of_a_near_solution(seed: int) -> None:
    """The velocity of the array code to 1e-15 of the forces of single units."""
    problem, weights = near_solution(seed, [1e-25, 1e-12, 1e-4][seed % 3])
    reference, compiled = OdeSystem(problem, weights, 0.0), CompiledOdeSystem(problem, weights, 0.0)
    state = reference.packed(weights)
    size = np.abs(state).max() ** 2 * np.abs(problem.data.output).max() * 4
    np.testing.assert_allclose(
        compiled.velocity(state), reference.velocity(state), rtol=1e-9, atol=1e-15 * size
    )


def test_strays_of_any_direction_and_size() -> None:
    """A stray along, against, at right angles to a teacher, at a group's edge, and at 0, with turned students."""
    teacher = Teacher(2.0 * np.eye(2, 4), np.array([1.0, -0.5]), "linear")
    for direction in (
        [1.0, 0, 0, 0],
        [-1.0, 1e-3, 0, 0],
        [0, 0, 1, 0],
        [1, 0.0200001, 0, 0],
        [1, 0, -0.0199, 0],
    ):
        for size in (0.0, 1e-200, 1e-13, 1e-9, 1e-5, 1e-2):
            hidden = np.array([[1.0, 1e-8, 2e-8, 0], [-1.0, 1e-8, 2e-8, 0], [1e-8, -2, 0, 0]])
            hidden = np.concatenate([hidden, size * np.array([direction])])
            problem = teacher.problem(network_of(4))
            weights = Weights(hidden, np.array([1.0, 1.0, -0.5, 1.0]))
            loss, _ = exact(problem, weights)
            assert abs(float(problem.loss(weights) / loss - 1)) < 1e-7


def test_a_loss_of_0_is_not_trusted() -> None:
    """The teacher itself, to the last place; and with one student more, at 0."""
    problem = Teacher(np.eye(2, 3), np.ones(2)).problem(network_of(3))
    weights = Weights(np.eye(3)[None], np.array([[1.0, 1.0, 0.0]]))
    assert problem.loss(weights)[0] == 0
    frames = Weights(weights.hidden[None], weights.output[None])
    assert not precision.trusted(problem, frames, np.arange(1)).any()
    finite = FiniteData(np.array([[1.0, 0.0]]), np.array([0.0])).problem(network_of(1))
    frames = Weights(np.array([[[[-1.0, 0.0]]]]), np.ones((1, 1, 1)))
    assert not precision.trusted(finite, frames, np.arange(1)).any()


def with_background_neurons(background_neurons: float, seed: int) -> xr.Dataset:
    """A flow to T = 1e4 from around two teachers, with background neurons of either sign."""
    start = {
        "name": "around_teachers",
        "angle": 0.1,
        "shares": [1.0],
        "background_neurons": background_neurons,
        "background_signs": "random",
    }
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 2},
            "network": {"neurons": 8},
            "initialization": start,
            "dynamics": {"name": "gradient_flow"},
            "times": {"start": 1.0, "stop": 1e4, "count": 13, "spacing": "log"},
            "seeds": [seed],
        },
        weights=True,
    ).isel(seed=0)


def weights_at(frames: xr.Dataset, index: int) -> Weights:
    """The weights of a frame."""
    return Weights(frames["hidden"].values[index], frames["output"].values[index])


FLOWS = [
    pytest.param(
        background,
        seed,
        marks=() if (background, seed) in {(1e-6, 3), (1e-7, 5)} else pytest.mark.slow,
    )
    for background in (1e-6, 1e-7)
    for seed in range(8)
]


@pytest.mark.parametrize(("background_neurons", "seed"), FLOWS)
def test_flows_with_background_print_what_their_weights_have(background_neurons: float, seed: int) -> None:
    """To T = 1e4, every frame finite: 1e-6 relative of the loss of the stored weights wherever it is trusted, in 60
    digits."""
    frames = with_background_neurons(background_neurons, seed)
    assert np.isfinite(frames["loss"].values).all()
    assert np.isfinite(frames["hidden"].values).all()
    problem = Teacher(np.eye(2, 6), np.ones(2)).problem(network_of(8))
    kept = frames.isel(time=(frames["time"] <= frames["trusted_until"]).values)
    assert kept.sizes["time"] > 6
    for index in range(kept.sizes["time"]):
        loss, _ = exact(problem, weights_at(kept, index))
        assert abs(kept["loss"].values[index] / float(loss) - 1) < 1e-6


def test_a_flow_at_rest_stands_where_no_step_is_within_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    """An integrator that gives up at once: a state at rest stays to the horizon, one that moves ends in NaN."""
    frames = with_background_neurons(1e-6, 3)
    problem = Teacher(np.eye(2, 6), np.ones(2)).problem(network_of(8))
    monkeypatch.setattr(flow, "STEPS", 0)
    times = np.array([0.0, 1e3, 1e4])
    for index, resting in ((-1, True), (4, False), (0, False)):
        start = weights_at(frames, index)
        for kind in (OdeSystem, CompiledOdeSystem):
            path = flow.population_flow(kind(problem, start, 0.0), times, 1e-9, 1e-12)
            assert np.isfinite(path.hidden[1:]).all() if resting else np.isnan(path.hidden[1:]).all()
            if resting:
                np.testing.assert_allclose(path.hidden[-1], start.hidden, rtol=0, atol=1e-13)


def test_what_is_at_rest() -> None:
    """The linear flow's fall of L: of one neuron off its minimum by x, L = ¼x² falls by 1 − e^(−t); a saddle does not
    rest, however small its forces."""
    problem = Teacher(np.eye(1, 2), np.ones(1)).problem(network_of(1, output="fixed"))
    near = OdeSystem(problem, Weights(np.array([[1.0 + 1e-5, 0.0]]), np.ones(1)), 0.0)
    state = near.packed(near.start)
    assert near.is_at_rest(state, 0.0099)
    assert not near.is_at_rest(state, 0.0102)
    saddle = OdeSystem(problem, Weights(np.array([[-0.5, 1e-9]]), np.ones(1)), 0.0)
    assert not saddle.is_at_rest(saddle.packed(saddle.start), 1e3)
