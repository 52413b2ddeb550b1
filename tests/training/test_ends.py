"""hessian_eigenvalues and permutation_class: what is said of the ends of runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of

from twolayer import FiniteData, Teacher, Weights
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.study.registry import load

REGISTRY = load()
RANDOM = np.random.default_rng(2)


def measured(name: str, data: Any, network: Any, hidden: Any, output: Any, decay: float = 0.0) -> Any:
    """A metric of weights (seed, time, …)."""
    times = np.arange(hidden.shape[1], dtype=float)
    path = Trajectory(
        Clock(times), Weights(hidden, output), np.full(len(times), decay), np.full(len(hidden), -1)
    )
    return REGISTRY.find("metrics", name).plugin.measure(data.problem(network), path)


@pytest.mark.parametrize("output", ["fixed", "tied", "trained"])
@pytest.mark.parametrize("law", ["population", "finite"])
def test_extreme_curvatures_are_those_of_differences_of_gradients(law: str, output: str) -> None:
    """In 9 dimensions, of which students and teachers span 5; the truth is a matrix of central differences of the
    objective's gradient in all parameters, to 1e-6."""
    inputs = RANDOM.standard_normal((40, 9))
    data: Any = Teacher(np.eye(9)[:2], np.array([1.0, 0.8]))
    if law == "finite":
        data = FiniteData(inputs, RANDOM.standard_normal(40))
    network, decay, step = network_of(3, "relu", output=output), 0.3, 1e-6
    hidden = RANDOM.standard_normal((2, 2, 3, 9))
    length = np.linalg.norm(hidden, axis=-1)
    outputs = {
        "fixed": np.ones(length.shape),
        "tied": length,
        "trained": RANDOM.standard_normal(length.shape),
    }[output]
    hidden[1, 1, 0, 0] = np.nan
    found = measured("hessian_eigenvalues", data, network, hidden, outputs, decay)
    assert found.shape == (2, 2, 2)
    assert np.isnan(found[1, 1]).all()
    problem = data.problem(network)

    def slope(vector: Any) -> Any:
        trained = vector[27:] if output == "trained" else outputs[0, 1]
        gradient = problem.gradient(Weights(vector[:27].reshape(3, 9), trained), decay)
        return np.concatenate([gradient.hidden.ravel(), *([gradient.output] if output == "trained" else [])])

    vector = np.concatenate([hidden[0, 1].ravel(), *([outputs[0, 1]] if output == "trained" else [])])
    matrix = np.stack(
        [
            (slope(vector + step * axis) - slope(vector - step * axis)) / (2 * step)
            for axis in np.eye(len(vector))
        ]
    )
    values = np.linalg.eigvalsh(0.5 * (matrix + matrix.T))
    np.testing.assert_allclose(found[0, 1], values[[0, -1]], atol=1e-6)


def classes(hidden: Any, output: Any, activation: str = "relu") -> list[int]:
    data = Teacher(np.eye(hidden.shape[-1])[:1], np.ones(1))
    network = network_of(hidden.shape[1], activation)
    found = measured("permutation_class", data, network, hidden[:, None], output[:, None])
    assert found.shape == (len(hidden), 1)
    return [int(value) for value in found[:, 0]]


def family(members: int, noise: float, even: bool = False) -> tuple[Any, Any, list[int]]:
    """Three networks of seven neurons, many times, permuted at random with noise of a share of the longest neuron."""
    hidden, output = RANDOM.standard_normal((3, 7, 4)), RANDOM.standard_normal((3, 7))
    hidden[:, 3], output[:, 3] = hidden[:, 2], output[:, 2]  # two neurons are one
    longest = np.sqrt((hidden**2).sum(-1) + output**2).max()
    kinds, ends, outputs = [], [], []
    for member in range(members):
        kind, order = member % 3, RANDOM.permutation(7)
        signs = RANDOM.choice([-1.0, 1.0], 7)[:, None] if even else 1.0
        off = RANDOM.standard_normal((7, 4))
        off *= noise * longest / np.linalg.norm(off, axis=-1, keepdims=True)
        kinds.append(kind)
        ends.append(signs * (hidden[kind][order] + off))
        outputs.append(output[kind][order])
    return np.stack(ends), np.stack(outputs), kinds


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_permuted_networks_are_one_class(activation: str) -> None:
    hidden, output, kinds = family(60, 1e-8, activation == "abs")
    assert classes(hidden, output, activation) == kinds


def test_the_sign_of_w_counts_unless_the_activation_is_even() -> None:
    hidden, output = RANDOM.standard_normal((1, 3, 4)), np.ones((1, 3))
    turned = hidden * np.array([1.0, -1.0, 1.0])[:, None]
    both = np.concatenate([hidden, turned]), np.concatenate([output, output])
    assert classes(*both) == [0, 1]
    assert classes(*both, "abs") == [0, 0]


def test_noise_above_the_tolerance_makes_classes_of_their_own() -> None:
    hidden, output, _ = family(12, 1e-4)
    assert classes(hidden, output) == list(range(12))


def test_the_tolerance_is_relative_to_the_longest_neuron() -> None:
    hidden, output = np.zeros((3, 2, 2)), np.zeros((3, 2))
    hidden[:, 0, 0], hidden[:, 1, 1] = 1e3, 1.0
    hidden[1, 1, 1] += 0.9e-3
    hidden[2, 1, 1] -= 1.1e-3
    assert classes(hidden, output) == [0, 0, 2]


def test_close_neurons_are_matched_one_to_one() -> None:
    """Each neuron of the second has a partner in the first, but two have the same: no pairing."""
    hidden = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    assert classes(hidden, np.ones((2, 3))) == [0, 1]


def test_a_chain_of_close_neurons_is_paired_where_nearest_first_would_fail() -> None:
    """At 0, 1, 2 and .6, 1.6, 2.6 units of two thirds of the tolerance: greedy pairs 1 with .6 and strands 0."""
    unit = np.array([1.0, 0.0])
    base, size = 1.0, 0.9e-6
    one = np.stack([(base + size * offset) * unit for offset in (0.0, 1.0, 2.0)])
    other = np.stack([(base + size * offset) * unit for offset in (2.6, 0.6, 1.6)])
    assert classes(np.stack([one, other]), np.zeros((2, 3))) == [0, 0]


def test_lost_seeds_have_no_class_and_a_thousand_are_done() -> None:
    hidden, output, kinds = family(1000, 1e-9)
    hidden[4, 0, 0] = np.nan
    kinds[4] = -1
    assert classes(hidden, output) == kinds
