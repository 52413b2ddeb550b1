"""What plugins hand to training: copies are kept of frames that change in place, and what is no start is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from twolayer import Descent, Dynamics, Flow, InitializationSpec, Weights
from twolayer.core.network import Network
from twolayer.core.times import Times
from twolayer.errors import PluginError, TrainingError
from twolayer.finite.problem import FiniteData
from twolayer.population.problem import Teacher
from twolayer.study.registry import load
from twolayer.training.train import train

REGISTRY = load()
RELU = REGISTRY.find("activations", "relu").plugin()
NUMPY = REGISTRY.find("backends", "numpy").plugin
INPUTS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
DATA = FiniteData(INPUTS, np.array([1.0, -1.0, 0.5]))
TIMES = Times(steps=[1, 3, 10])


def network(**more: Any) -> Network:
    """Three relu neurons."""
    return Network(3, RELU, **more)


@dataclass(frozen=True)
class Given(InitializationSpec):
    """What a function draws."""

    function: Callable[[np.random.Generator], Any]

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Any:
        return self.function(random)


def ordinary(random: np.random.Generator) -> Weights:
    """Three neurons in two features."""
    return Weights(random.normal(size=(3, 2)), random.normal(size=3))


@dataclass(frozen=True)
class Plain(Descent):
    """Gradient descent that makes new arrays."""

    stays_in_span = True

    def steps(self, problem: Any, weights: Weights, random: Any) -> Iterator[Weights]:
        while True:
            weights = weights - self.step_size * problem.gradient(weights)
            yield weights


@dataclass(frozen=True)
class InPlace(Descent):
    """The same descent, which changes the arrays that it was given and yields the same ones each time."""

    stays_in_span = True

    def steps(self, problem: Any, weights: Weights, random: Any) -> Iterator[Weights]:
        while True:
            gradient = problem.gradient(weights)
            weights.hidden[...] -= self.step_size * gradient.hidden
            weights.output[...] -= self.step_size * gradient.output
            yield weights


TEACHER = Teacher(np.eye(2)[:1], np.ones(1))


@pytest.mark.parametrize("step_size", [0.05, 60.0], ids=["stable", "diverging"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["finite", "population"])
@pytest.mark.parametrize("output", ["trained", "fixed", "tied"])
def test_a_dynamics_may_change_weights_in_place(output: str, kind: str, dtype: str, step_size: float) -> None:
    """Every frame, mark and note is that of the descent that makes new arrays, bit by bit."""
    data = DATA if kind == "finite" else TEACHER
    times = Times(steps=[1, 3, 10, 100])
    one, other = (
        train(data, network(output=output), Given(ordinary), cls(step_size), times, [0, 1], NUMPY, dtype)
        for cls in (Plain, InPlace)
    )
    np.testing.assert_array_equal(one.weights.hidden, other.weights.hidden)
    np.testing.assert_array_equal(one.weights.output, other.weights.output)
    for mark in ("diverged_step", "trusted_until", "path_trusted_until"):
        np.testing.assert_array_equal(getattr(one, mark), getattr(other, mark))
    assert one.notes == other.notes
    assert not np.array_equal(one.weights.hidden[:, 0], one.weights.hidden[:, 1])


def drawing(hidden: Any = None, output: Any = None) -> Given:
    """An ordinary draw with one part exchanged."""

    def function(random: np.random.Generator) -> Weights:
        drawn = ordinary(random)
        return Weights(drawn.hidden if hidden is None else hidden, drawn.output if output is None else output)

    return Given(function)


BAD_STARTS = {
    "one neuron more": (
        Given(lambda random: Weights(np.ones((4, 2)), np.ones(4))),
        "hidden has shape (4, 2); must be an array of numbers of shape (3, 2), ('neuron', 'feature')",
    ),
    "one feature more": (drawing(hidden=np.ones((3, 3))), "hidden has shape (3, 3); must be"),
    "one output more": (drawing(output=np.ones(4)), "output has shape (4,); must be"),
    "not a number": (drawing(hidden=np.full((3, 2), np.nan)), "hidden[0, 0] is nan; every number must be finite"),
    "too large": (
        drawing(hidden=np.full((3, 2), 1e120)),
        "hidden[0, 0] is 1e+120; every number must be finite, and at",
    ),
    "infinite": (drawing(output=np.array([0.0, -np.inf, 1.0])), "output[1] is -inf; every number must be finite"),
    "text": (drawing(hidden=np.full((3, 2), "1.0")), "hidden is ndarray of dtype <U3; must be an array of numbers"),
    "complex": (drawing(hidden=np.full((3, 2), 1j)), "hidden is ndarray of dtype complex128; must be"),
    "no array": (drawing(hidden="ones"), "hidden is str of dtype <U4; must be an array of numbers of shape (3, 2)"),
    "masked": (
        drawing(output=np.ma.masked_array(np.ones(3), [False, True, False])),
        "output has masked entries; must be an array of numbers of shape (3,)",
    ),
    "a ragged list": (drawing(hidden=[[1.0], [1.0, 2.0]]), "hidden is no array"),
    "None": (Given(lambda random: None), "returns NoneType; must return Weights(hidden, output)"),
    "a tuple": (
        Given(lambda random: (np.ones((3, 2)), np.ones(3))),
        "returns tuple; must return Weights(hidden, output)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_STARTS)
def test_what_is_no_start_is_refused(what: str) -> None:
    """The error names the plugin's class, the seed, what is wrong and what would be right."""
    initialization, message = BAD_STARTS[what]
    with pytest.raises(PluginError) as raised:
        train(DATA, network(), initialization, Plain(0.1), TIMES, [7], NUMPY)
    assert str(raised.value).startswith("initialization Given: seed 7: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("output", ["fixed", "tied"])
def test_outputs_that_follow_from_the_network_need_not_be_drawn(output: str) -> None:
    """The drawn output is looked at where outputs are trained only."""
    alone = Given(lambda random: Weights(ordinary(random).hidden, None))
    paths = [
        train(DATA, network(output=output), draw, Plain(0.1), TIMES, [0], NUMPY).weights.hidden
        for draw in (alone, Given(ordinary))
    ]
    np.testing.assert_array_equal(*paths)


def test_a_start_of_whole_numbers_trains() -> None:
    """Integers are numbers: they become floats."""
    path = train(DATA, network(), drawing(hidden=np.ones((3, 2), dtype=int)), Plain(0.1), TIMES, [0], NUMPY)
    assert path.weights.hidden.dtype == np.float64


OUT_OF_RANGE = {
    "rounded to 0": (drawing(hidden=np.full((3, 2), 1e-46)), DATA, r"hidden\[0, 0\] has size 1e-46"),
    "with few digits": (drawing(hidden=np.full((3, 2), 1e-44)), DATA, r"hidden\[0, 0\] has size 1e-44"),
    "an output": (drawing(output=np.array([1.0, 1e-46, 1.0])), DATA, r"output\[0, 1\] has size 1e-46"),
    "too large": (drawing(hidden=np.full((3, 2), 1e39)), DATA, r"hidden\[0, 0\] has size 1e\+39"),
    "a target": (Given(ordinary), FiniteData(INPUTS, np.array([1.0, 1e39, 1.0])), r"targets\[1\] has size 1e\+39"),
    "an input": (Given(ordinary), FiniteData(1e-50 * INPUTS, np.ones(3)), r"inputs\[0\] has size 1e-50"),
}  # fmt: skip


@pytest.mark.parametrize("what", OUT_OF_RANGE)
def test_what_float32_cannot_hold_is_refused(what: str) -> None:
    """float32 has 0 and sizes from 1.2e-38 to 3.4e38: outside of it a run would train zeros or infinities."""
    initialization, data, message = OUT_OF_RANGE[what]
    with pytest.raises(TrainingError, match=f"dtype: {message}; float32 has 0 and sizes from"):
        train(data, network(), initialization, Plain(0.1), TIMES, [0], NUMPY, "float32")
    train(data, network(), initialization, Plain(0.1), TIMES, [0], NUMPY)  # float64 holds all of them


def test_float32_takes_zeros_and_small_coordinates() -> None:
    """A neuron at 0 stays one, and a coordinate that is small compared with its neuron is rounding."""
    hidden = np.array([[0.0, 0.0], [1.0, 1e-50], [1e-30, 0.0]])
    path = train(DATA, network(), drawing(hidden=hidden), Plain(0.1), TIMES, [0], NUMPY, "float32")
    np.testing.assert_array_equal(path.weights.hidden[0, 0], hidden.astype(np.float32))


@dataclass(frozen=True)
class Yields(Dynamics):
    """A plugin's trajectory, as a function of the start and the number of saved times."""

    function: Callable[[Weights, int], Any]

    def trajectory(self, problem: Any, weights: Weights, clock: Any, random: Any) -> Any:
        return self.function(weights, len(clock.time))


BAD_FRAMES = {
    "too few": (lambda start, count: [start] * (count - 1), "yields 2 frames; must yield 3, one for each saved time"),
    "too many": (lambda start, count: [start] * (count + 1), "yields more than 3 frames"),
    "without end": (lambda start, count: iter(lambda: start, None), "yields more than 3 frames"),
    "another shape": (
        lambda start, count: [start, Weights(start.hidden[:, :2], start.output)],
        "frame 1 has hidden of shape (1, 2, 2); must be Weights with hidden of shape (1, 3, 2)",
    ),
    "no weights": (lambda start, count: [start, start.hidden], "frame 1 has hidden of shape None; must be Weights"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_frames_that_are_not_one_for_each_time_are_refused(what: str) -> None:
    """A dynamics yields weights of the start's shape at each saved time, no more and no fewer."""
    function, message = BAD_FRAMES[what]
    with pytest.raises(PluginError) as raised:
        train(DATA, network(), Given(ordinary), Yields(function), Times(values=[1.0, 2.0]), [0], NUMPY)
    assert f"dynamics Yields: {message}" in str(raised.value)


@dataclass(frozen=True)
class Rising(Flow):
    """Frames of given sizes of one start, as a flow whose objective should fall."""

    sizes: tuple[float, ...]
    largest_rise = 1e-9

    def trajectory(self, problem: Any, weights: Weights, clock: Any, random: Any) -> Iterator[Weights]:
        yield from (size * weights for size in self.sizes)


@pytest.mark.parametrize(
    ("sizes", "rises"),
    [
        (
            (1.0, 0.9, 0.95, 0.5),
            "seed 3: the objective rises from .* at 1 to .* at 2, which no flow does",
        ),
        ((1.0, 0.9, 0.9 * (1 + 1e-11), 0.5), None),
        ((1.0, 1e-9, 2e-9, 0.0), None),  # of 1e-18 of the start: rounding
    ],
)
def test_a_flow_whose_objective_rises_is_named(sizes: tuple[float, ...], rises: str | None) -> None:
    """By more than its tolerance explains, and by more than rounding."""
    data = FiniteData(INPUTS, np.zeros(3))
    times = Times(values=[1.0, 2.0, 3.0])
    notes = train(data, network(), Given(ordinary), Rising(sizes), times, [3], NUMPY).notes
    found = [note for note in notes if "rises" in note]
    assert len(found) == (rises is not None)
    if rises is not None:
        assert re.match(rises, found[0])
