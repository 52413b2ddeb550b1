"""Runs in min(d, m + k) coordinates: one reduction a run, who may have it, and starts drawn there for any d."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import network_of
from plugin_files import VELOCITY, place
from scipy import stats

import twolayer
from twolayer import InitializationSpec, PopulationProblem, Problem, Teacher, Weights
from twolayer.cli import main
from twolayer.core.seeds import random_of
from twolayer.core.times import Times
from twolayer.errors import ConfigError, DataError
from twolayer.population.closed_form import angles
from twolayer.population.problem import reduced
from twolayer.storage.netcdf import read
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.training.start import start
from twolayer.training.train import train

PLUGINS = load()

NOISY = """\
from dataclasses import dataclass
import numpy as np
from twolayer import Descent, Weights, hookimpl

@dataclass(frozen=True)
class Noisy(Descent):
    def steps(self, problem, weights, random):
        while True:
            noise = np.stack([each.standard_normal(weights.hidden.shape[1:]) for each in random])
            hidden = (weights - self.step_size * problem.gradient(weights)).hidden + 0.01 * noise
            weights = Weights(hidden, weights.output)
            yield weights

@hookimpl
def register_dynamics(register):
    register("noisy", Noisy)
"""


@pytest.fixture
def plugins(tmp_path: Path) -> list[str]:
    """A folder with further dynamics: velocity, which says that it stays in the span or does not, and noise."""
    said = VELOCITY.replace('"velocity"', '"velocity_in_span"')
    said = said.replace("    beta: float", "    stays_in_span = True\n    beta: float")
    files = {"velocity": VELOCITY, "said": said, "noisy": NOISY}
    folder = place(tmp_path / "further", **{f"dynamics__{name}": text for name, text in files.items()})
    return [str(folder)]


def experiment(**sections: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 40, "teachers": 2},
        "network": {"neurons": 3},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 10, 50]},
        "seeds": 2,
        **sections,
    }


VECTORS = np.random.default_rng(5).standard_normal((2, 40)).round(3).tolist()
PLACED: dict[str, dict[str, Any]] = {
    "by number": {"teachers": 2, "norms": [1.0, 0.5]},
    "by angles": {"angles": [0.0, 50.0, 200.0]},
    "by vectors": {"vectors": VECTORS, "coefficients": [1.0, -0.5]},
}


def of_problem(name: str, **fields: Any) -> Any:
    return PLUGINS.find("problems", "gaussian_teacher").plugin(**PLACED[name], **fields)


# ---- one reduction a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLACED)
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_run_in_the_span_is_the_run_in_all_dimensions(name: str, output: Any, backend: str) -> None:
    teacher = of_problem(name, dimension=40).generate(np.random.default_rng())
    network = network_of(3, output=output)
    gaussian = PLUGINS.find("initializations", "gaussian").plugin(0.3)
    decayed = PLUGINS.find("dynamics", "regularized_gradient_descent").plugin(0.1, 0.05)
    where = PLUGINS.find("backends", backend).plugin
    path = train(teacher, network, gaussian, decayed, Times(steps=[3, 30]), [0, 1], where).weights
    hidden, drawn = start(gaussian, teacher, network, [0, 1])
    state = network.with_tied_outputs(Weights(hidden, np.ones_like(drawn) if output == "fixed" else drawn))
    np.testing.assert_array_equal(path.hidden[:, 0], hidden)  # as it was drawn, to the bit
    for moment, count in ((1, 3), (2, 27)):
        state = Problem.descend(PopulationProblem(teacher, network), state, 0.1, 0.05, count)
        np.testing.assert_allclose(path.hidden[:, moment], state.hidden, atol=2e-14)
        np.testing.assert_allclose(path.output[:, moment], state.output, atol=2e-14)


@pytest.mark.parametrize("dynamics", ["gradient_descent", "gradient_flow"])
def test_many_dimensions_are_walked_as_five(dynamics: str) -> None:
    """The very steps: a wide run is a run in m + k coordinates between its two ends, to the bit."""
    random = np.random.default_rng(1)
    wide = random.standard_normal((1, 3, 200_000)) / 450
    teacher, network = Teacher(np.eye(2, 200_000), np.ones(2)), network_of(3, output="fixed")
    few, inside, widen = teacher.problem(network).in_span(Weights(wide, np.ones((1, 3))))
    assert widen is not None
    np.testing.assert_array_equal(few.data.hidden, np.eye(2, 5))
    np.testing.assert_array_equal(inside.hidden[..., :2], wide[..., :2])
    rule = {"gradient_descent": {"step_size": 0.1}, "gradient_flow": {"rtol": 1e-6}}[dynamics]
    made = PLUGINS.find("dynamics", dynamics).plugin(**rule)
    times = Times(values=[0.5, 3.0])
    where = PLUGINS.find("backends", "numpy").plugin

    class Given(InitializationSpec):
        def __init__(self, hidden: Any) -> None:
            self.hidden = hidden

        def draw(self, *_: Any) -> Weights:
            return Weights(self.hidden, np.ones(3))

    long = train(teacher, network, Given(wide[0]), made, times, [0], where).weights
    small = Teacher(np.eye(2, 5), np.ones(2))
    short = train(small, network, Given(inside.hidden[0]), made, times, [0], where).weights
    for moment in (1, 2):
        back = widen(Weights(short.hidden[:, moment], short.output[:, moment]))
        np.testing.assert_array_equal(long.hidden[:, moment], back.hidden)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("output", ["fixed", "trained"])
def test_saved_times_do_not_move_the_path(backend: str, output: str) -> None:
    """A path is the same whatever else is saved, to the bit: it is never rotated on the way."""
    network = {"neurons": 3, "output": output}
    often = twolayer.run(
        experiment(network=network, times={"steps": list(range(1, 51))}), backend, weights=True
    )
    once = twolayer.run(experiment(network=network, times={"steps": [50]}), backend, weights=True)
    for part in ("hidden", "output"):
        np.testing.assert_array_equal(often[part].isel(time=-1), once[part].isel(time=-1))


def test_teachers_along_axes_keep_every_digit() -> None:
    """Students 3e-9 off their teachers, in 60 dimensions as in 6: a loss below 1e-25, and the same."""
    start_ = {"name": "aligned", "projections": [[0.25, 0.75], [0.5, 0.5]], "angle": 3e-9}
    sections: dict[str, Any] = {
        "initialization": start_,
        "network": {"neurons": 4, "output": "fixed"},
        "times": {"steps": [1, 100]},
        "seeds": 1,
    }
    wide = twolayer.run(experiment(**sections, problem={**experiment()["problem"], "dimension": 60}))
    few = twolayer.run(experiment(**sections, problem={**experiment()["problem"], "dimension": 6}))
    assert 0 < float(few["loss"][0, -1]) < 1e-25
    np.testing.assert_allclose(wide["loss"], few["loss"], rtol=1e-6)


def test_dependent_teachers_share_coordinates_over_seeds() -> None:
    """Three teachers in a plane, four seeds: the basis is orthonormal, the teachers the same in each."""
    teacher = of_problem("by angles", dimension=30).generate(np.random.default_rng())
    turned = np.linalg.qr(np.random.default_rng(2).standard_normal((30, 30)))[0]
    teacher = Teacher(teacher.hidden @ turned, teacher.output)
    hidden = np.random.default_rng(3).standard_normal((4, 5, 30))
    hidden[1, 2] = 0.0
    hidden[2, :3] = teacher.hidden
    problem = teacher.problem(network_of(5))
    (few, inside), basis = reduced(problem, Weights(hidden, np.ones((4, 5))))
    assert basis is not None
    assert few.data.hidden.shape == (3, 8)
    assert few.data.dimension == 30
    identity = np.broadcast_to(np.eye(8), (4, 8, 8))
    np.testing.assert_allclose(np.swapaxes(basis, -1, -2) @ basis, identity, atol=1e-14)
    np.testing.assert_allclose(inside.hidden @ np.swapaxes(basis, -1, -2), hidden, atol=1e-13)
    back = few.data.hidden @ np.swapaxes(basis, -1, -2)
    np.testing.assert_allclose(back, np.broadcast_to(teacher.hidden, (4, 3, 30)), atol=1e-14)
    wide = Weights(hidden, np.ones((4, 5)))
    np.testing.assert_allclose(few.loss(inside), problem.loss(wide), rtol=1e-13)
    np.testing.assert_allclose(few.sharpness(inside), problem.sharpness(wide), rtol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_who_leaves_the_span_keeps_all_dimensions(backend: str, plugins: list[str]) -> None:
    """Velocity is the same in the span and out of it; noise is drawn in all 40 features, and stays there."""

    def run(name: str) -> Any:
        section = {"name": name, "step_size": 0.05}
        return twolayer.run(experiment(dynamics=section), backend, weights=True, plugin_paths=plugins)

    np.testing.assert_allclose(run("velocity")["hidden"], run("velocity_in_span")["hidden"], atol=1e-14)
    noisy = run("noisy")["hidden"].isel(time=1)
    begin = twolayer.run(experiment(), weights=True)["hidden"].isel(time=0).values
    problem = Teacher(np.eye(2, 40), np.ones(2)).problem(network_of(3))
    for seed in (0, 1):
        gaussian = PLUGINS.find("initializations", "gaussian").plugin(0.1)
        output = start(gaussian, problem.data, problem.network, [seed])[1][0]
        step = 0.05 * problem.gradient(Weights(begin[seed], output)).hidden
        noise = random_of(seed, "dynamics").standard_normal((3, 40))
        np.testing.assert_allclose(noisy[seed], begin[seed] - step + 0.01 * noise, rtol=1e-12, atol=1e-15)


def test_float32_is_rounded_in_the_span() -> None:
    double = twolayer.run(experiment(), weights=True)
    single = twolayer.run(experiment(dtype="float32"), weights=True)
    assert single["hidden"].dtype == np.float32
    np.testing.assert_allclose(single["hidden"], double["hidden"], atol=1e-6)


def test_a_diverging_run_is_reported_with_its_step_size() -> None:
    """The walk that finds where, and the stable step size, are those of the run in few dimensions."""

    def notes_of(dimension: int) -> Any:
        problem = {"name": "gaussian_teacher", "dimension": dimension, "teachers": 2}
        start_ = {"name": "aligned", "projections": [[0.5], [0.6]], "angle": 0.0}
        return twolayer.run(
            experiment(
                problem=problem,
                network={"neurons": 2},
                initialization=start_,
                dynamics={"name": "regularized_gradient_descent", "step_size": 50.0, "weight_decay": 0.0},
                seeds=1,
            ),
            weights=True,
        )

    few, wide = notes_of(5), notes_of(70)
    assert "diverged at step" in wide.attrs["notes"]
    assert wide.attrs["notes"] == few.attrs["notes"]
    assert np.isnan(wide["hidden"].isel(time=-1)).all()
    assert np.isfinite(wide["hidden"].isel(time=0)).all()


# ---- draw: reduced -----------------------------------------------------------------------------------------


def drawn(seeds: int, neurons: int = 3, scale: float = 1.0, **fields: Any) -> tuple[Teacher, Weights]:
    """Reduced starts of many seeds, and their teacher."""
    teacher = PLUGINS.find("problems", "gaussian_teacher").plugin(**fields).reduced(neurons)
    gaussian = PLUGINS.find("initializations", "gaussian").plugin(scale, draw="reduced")
    return teacher, Weights(*start(gaussian, teacher, network_of(neurons), range(seeds)))


LEVEL = 1e-3
"""Of the tests of law below, each with a fixed seed: a right draw fails one of a thousand."""


def follows(sample: Any, law: Any) -> None:
    assert stats.kstest(np.ravel(sample), law.cdf).pvalue > LEVEL


def test_the_law_of_products_lengths_and_angles() -> None:
    """Three normal students in 8 dimensions against two teachers: few, so that one degree of freedom shows."""
    d, count = 8, 4000
    teacher, weights = drawn(count, dimension=d, teachers=2, scale=0.5)
    assert weights.hidden.shape == (count, 3, 5)
    hidden = weights.hidden / 0.5
    along = hidden @ teacher.hidden.T  # (seed, student, teacher)
    gram = hidden @ np.swapaxes(hidden, -1, -2)
    length = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))
    follows(along[:, 2, 1], stats.norm())
    follows(weights.output[:, 1] / 0.5, stats.norm())
    cosine = stats.beta(0.5, (d - 1) / 2)  # of cos² between independent directions
    for i in range(3):
        follows(length[:, i] ** 2, stats.chi2(d))
        follows(np.linalg.norm(hidden[:, i, 2:], axis=-1) ** 2, stats.chi2(d - 2))
        follows((along[:, i, 0] / length[:, i]) ** 2, cosine)
        follows(hidden[:, i, 2 + i], stats.chi(d - 2 - i))  # Bartlett's diagonal
        follows(gram[:, i, (i + 1) % 3] / length[:, i], stats.norm())
    for i, j in ((0, 1), (1, 2), (0, 2)):
        follows((gram[:, i, j] / length[:, i] / length[:, j]) ** 2, cosine)
    assert (np.triu(np.ones((3, 3)), 1) * hidden[..., 2:] == 0).all()


def test_the_moments_of_the_gram_matrix() -> None:
    """Of G = WWᵀ, Wishart with d degrees: E G = d 1, E G_ii² = d² + 2d, E G_ij² = d, E det G = d(d − 1)(d − 2),
    E G₀₁G₁₂G₂₀ = d; each within 4 standard errors."""
    d, count = 7, 12_000
    _, weights = drawn(count, dimension=d, teachers=1)
    gram = weights.hidden @ np.swapaxes(weights.hidden, -1, -2)
    triple = gram[:, 0, 1] * gram[:, 1, 2] * gram[:, 2, 0]
    moments = [
        *((gram[:, i, j], d * (i == j)) for i in range(3) for j in range(3)),
        *((gram[:, i, i] ** 2, d * d + 2 * d) for i in range(3)),
        *((gram[:, i, j] ** 2, d) for i, j in ((0, 1), (0, 2), (1, 2))),
        (np.linalg.det(gram), d * (d - 1) * (d - 2)),
        (triple, d),
    ]
    for sample, exact in moments:
        assert abs(sample.mean() - exact) < 4 * sample.std() / np.sqrt(count)


@pytest.mark.parametrize("name", PLACED)
def test_reduced_and_full_draws_agree_in_law(name: str) -> None:
    """The loss at the start and after a descent, its gradient's size and all inner products, over 800 seeds each."""
    problem, network, count = of_problem(name, dimension=40), network_of(2, "abs", "fixed"), 800
    random = np.random.default_rng(4)
    wide = problem.generate(random)
    full = 0.3 * random.standard_normal((count, 2, 40))
    teacher, few = drawn(count, 2, 0.3, dimension=40, **PLACED[name])
    assert teacher.dimension == 40
    assert teacher.hidden.shape == (problem.count, 2 + problem.count)
    np.testing.assert_allclose(teacher.hidden @ teacher.hidden.T, wide.hidden @ wide.hidden.T, atol=1e-12)
    step = 0.2 / float((np.linalg.norm(wide.hidden, axis=1).max() + 1) ** 2)
    samples = []
    for data, hidden in ((wide, full), (teacher, few.hidden)):
        task = data.problem(network)
        begin = Weights(hidden, np.ones((count, 2)))
        end = task.descend(begin, step, 0.0, 40)
        samples.append(
            [
                task.loss(begin),
                task.loss(end),
                np.linalg.norm(task.gradient(begin).hidden, axis=(1, 2)),
                *np.moveaxis((hidden @ data.hidden.T).reshape(count, -1), 1, 0),
                (hidden[:, 0] * hidden[:, 1]).sum(-1),
                task.sharpness(begin),
            ]
        )
    for left, right in zip(*samples, strict=True):
        assert stats.ks_2samp(left, right).pvalue > LEVEL


def test_a_thousand_million_dimensions() -> None:
    """|w| = √d (1 ± 1/√2d), and every angle is π/2 ± 1/√d."""
    d, count = 10**9, 2000
    teacher, weights = drawn(count, dimension=d, teachers=2)
    assert teacher.hidden.nbytes + weights.hidden.nbytes < 1e6
    hidden = weights.hidden
    length = np.linalg.norm(hidden, axis=-1)
    follows((length[:, 0] - np.sqrt(d - 0.5)) * np.sqrt(2), stats.norm())
    follows((np.pi / 2 - angles(hidden, teacher.hidden)[:, 0, 1]) * np.sqrt(d), stats.norm())
    follows((np.pi / 2 - angles(hidden, hidden)[:, 0, 2]) * np.sqrt(d), stats.norm())


def test_a_draw_of_few_features_is_the_full_one() -> None:
    """d ≤ m + k: nothing is reduced, the files are in all features."""
    for problem in ({"dimension": 5, "teachers": 2}, {"dimension": 2, "angles": [0.0, 100.0, 200.0]}):
        sections = experiment(problem={"name": "gaussian_teacher", **problem})
        full = twolayer.run(sections, weights=True)
        few = twolayer.run(
            {**sections, "initialization": {"name": "gaussian", "scale": 0.1, "draw": "reduced"}},
            weights=True,
        )
        np.testing.assert_array_equal(full["hidden"], few["hidden"])
        assert "input_dimension" not in few["hidden"].attrs


def test_full_draws_are_what_they_were() -> None:
    gaussian = PLUGINS.find("initializations", "gaussian").plugin(0.25)
    teacher = Teacher(np.eye(2, 40), np.ones(2))
    hidden, output = start(gaussian, teacher, network_of(3), [7])
    random = random_of(7, "initialization")
    np.testing.assert_array_equal(hidden[0], 0.25 * random.standard_normal((3, 40)))
    np.testing.assert_array_equal(output[0], 0.25 * random.standard_normal(3))


def far(**sections: Any) -> dict[str, Any]:
    """An experiment in 10⁹ dimensions."""
    return experiment(
        **{
            "problem": {"name": "gaussian_teacher", "dimension": 10**9, "teachers": 2},
            "initialization": {"name": "gaussian", "scale": 1e-6, "draw": "reduced"},
            **sections,
        }
    )


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_runs_in_a_thousand_million_dimensions(backend: str, activation: str) -> None:
    start_ = {"name": "gaussian", "scale": 1e-6, "draw": "reduced", "balanced": True}
    network = {"neurons": 3, "activation": activation}
    metrics = ["hidden", "final_hidden", "imbalance", "teacher_angle", "sharpness", "teacher_deficit"]
    sections = far(initialization=start_, network=network, metrics=metrics)
    measured = twolayer.run(sections, backend, weights=True)
    assert measured["hidden"].shape == (2, 4, 3, 5)
    for name in ("hidden", "final_hidden"):
        assert "reduced coordinates" in measured[name].attrs["long_name"]
        assert measured[name].attrs["input_dimension"] == 10**9
    assert "input_dimension" not in measured["output"].attrs
    np.testing.assert_allclose(measured["imbalance"].isel(time=0), 0, atol=1e-17)
    np.testing.assert_allclose(measured["teacher_angle"].isel(time=0), np.pi / 2, atol=3e-4)
    length = np.linalg.norm(measured["hidden"].isel(time=0), axis=-1)
    np.testing.assert_allclose(length, 1e-6 * np.sqrt(1e9), rtol=2e-4)
    assert (measured["loss"].isel(time=-1) < measured["loss"].isel(time=0)).all()
    again = twolayer.run(sections, backend, weights=True)
    np.testing.assert_array_equal(again["hidden"], measured["hidden"])


def test_teachers_by_angles_and_vectors_take_few_coordinates() -> None:
    for name in ("by angles", "by vectors"):
        measured = twolayer.run(
            far(problem={"name": "gaussian_teacher", "dimension": 40, **PLACED[name]}), weights=True
        )
        assert measured["hidden"].shape[-1] == 3 + of_problem(name, dimension=40).count
    far_angles = {"name": "gaussian_teacher", "dimension": 10**9, "angles": [0.0, 50.0, 200.0]}
    assert twolayer.run(far(problem=far_angles), weights=True)["hidden"].shape[-1] == 6


def test_files_are_in_reduced_coordinates_and_say_so(tmp_path: Path) -> None:
    """Through the command line, as the rules call it; then on from the trajectory, where that can be."""
    run = next(iter(make_experiment("p", "e", far(), PLUGINS).runs.values()))
    problem, path, metrics = (str(tmp_path / f"{name}.nc") for name in ("problem", "trajectory", "metrics"))
    assert main(["generate", "--run", run.json(), "--output", problem]) == 0
    assert main(["train", "--problem", problem, "--backend", "numpy", "--output", path]) == 0
    assert main(["measure", "--problem", problem, "--trajectory", path, "--output", metrics]) == 0
    for file, name in ((problem, "teacher_hidden"), (path, "hidden")):
        variables, _ = read(file)
        dimensions, values, described = variables[name]
        assert values.shape[dimensions.index("feature")] == 5
        assert "in reduced coordinates: teachers first" in described["long_name"]
        assert described["input_dimension"] == 10**9
    memory = twolayer.run(far(), "numpy", weights=True)
    np.testing.assert_array_equal(read(metrics)[0]["loss"][1], memory["loss"])
    np.testing.assert_array_equal(read(path)[0]["hidden"][1], memory["hidden"])

    start_ = {"name": "trajectory", "path": path, "time": 1.0}
    with pytest.raises(
        DataError, match=r"in 5 reduced coordinates of 1000000000 .* dimension 5 goes on from it"
    ):
        twolayer.run(experiment(initialization=start_))
    few = {"name": "gaussian_teacher", "dimension": 5, "teachers": 2}
    rest = twolayer.run(experiment(problem=few, initialization=start_, times={"steps": [40]}), "numpy")
    np.testing.assert_allclose(rest["loss"].isel(time=-1), memory["loss"].isel(time=-1), rtol=1e-12)


POINTS = {"name": "points", "inputs": [[1.0, 2.0]], "targets": [1.0]}
REFUSED = {
    "points": ({"problem": POINTS}, r"initialization\.draw: 'reduced' needs a teacher .* inputs of 'points'"),
    "velocity": ({"dynamics": {"name": "velocity", "step_size": 0.1}}, "where 'velocity' may go"),
    "noise": ({"dynamics": {"name": "noisy", "step_size": 0.1}}, "where 'noisy' may go"),
    "samples": (
        {"problem": {"name": "gaussian_teacher", "dimension": 40, "teachers": 2, "samples": 10}},
        "without samples",
    ),
    "batches": (
        {
            "problem": {"name": "gaussian_teacher", "dimension": 40, "teachers": 2},
            "dynamics": {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 4},
        },
        "where 'stochastic_gradient_descent' may go",
    ),
    "full": (
        {"initialization": {"name": "gaussian", "scale": 1.0}},
        r"initialization\.draw: 'full' draws 3 × 1000000000",
    ),
    "a word": (
        {"initialization": {"name": "gaussian", "scale": 1.0, "draw": "reduce"}},
        r"initialization\.draw: .*reduced",
    ),
    "teachers": (
        {"problem": {"name": "gaussian_teacher", "dimension": 2, "teachers": 3}},
        "3 orthonormal teachers need as many dimensions",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_leaves_the_span_is_refused_before_anything_runs(case: str, plugins: list[str]) -> None:
    sections, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        twolayer.run(far(**sections), plugin_paths=plugins)
    if case == "velocity":
        section = {"name": "velocity_in_span", "step_size": 0.1}
        assert twolayer.run(far(dynamics=section), plugin_paths=plugins)["loss"].shape == (2, 4)
