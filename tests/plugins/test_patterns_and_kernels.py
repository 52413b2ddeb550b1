"""Activation patterns, dead neurons, groups of directions and the tangent kernel, against loops and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from networks import network_of

import twolayer
from twolayer import FiniteData, Weights
from twolayer.errors import ConfigError

INPUTS = np.random.default_rng(3).standard_normal((5, 2))
TARGETS = [1.0, -1.0, 0.5, 0.3, -0.2]
METRICS = [
    "activation_pattern", "dead_count", "pattern_distance", "pattern_count", "pattern_change", "direction_group",
    "kernel_alignment", "kernel_change",
]  # fmt: skip


def run(hidden: Any, metrics: list[str], **network: Any) -> xr.Dataset:
    """The metrics of a start, and of ten steps from there."""
    output = {"output": [0.5 * (-1.0) ** j for j in range(len(hidden))]}
    if network.get("output", "trained") != "trained":
        output = {}
    return twolayer.run(
        {
            "problem": {"name": "points", "inputs": INPUTS.tolist(), "targets": TARGETS},
            "network": {"neurons": len(hidden), "activation": "relu", **network},
            "initialization": {"name": "matrix", "hidden": hidden, **output},
            "dynamics": {"name": "gradient_descent", "step_size": 0.3},
            "times": {"steps": [1, 5, 10]},
            "metrics": metrics,
            "seeds": 1,
        },
        "numpy",
        weights=True,
        threads=1,
    )


def test_patterns_by_loops() -> None:
    hidden = np.random.default_rng(4).standard_normal((6, 2)).tolist()
    found = run(hidden, METRICS).isel(seed=0)
    for time in range(4):
        w = found["hidden"].values[time]
        pattern = [[int(sum(a * b for a, b in zip(one, x, strict=True)) > 0) for x in INPUTS] for one in w]
        assert found["activation_pattern"].values[time].tolist() == pattern
        apart = [
            [sum(p != q for p, q in zip(one, other, strict=True)) / 5 for other in pattern] for one in pattern
        ]
        np.testing.assert_allclose(found["pattern_distance"].values[time], apart, atol=1e-15)
        assert found["pattern_count"].values[time] == len({tuple(row) for row in pattern})
        assert found["dead_count"].values[time] == sum(not any(row) for row in pattern)
        first = found["activation_pattern"].values[0]
        assert found["pattern_change"].values[time] == pytest.approx(np.mean(np.array(pattern) != first))


def test_the_dead_do_not_move() -> None:
    """Three neurons, the second of which no sample reaches: −x of the mean of samples in a half plane."""
    points = np.abs(INPUTS).tolist()
    found = twolayer.run(
        {
            "problem": {"name": "points", "inputs": points, "targets": TARGETS},
            "network": {"neurons": 3},
            "initialization": {"name": "matrix", "hidden": [[1, 1], [-1, -1], [1, -1]], "output": [1, 1, 1]},
            "dynamics": {"name": "gradient_descent", "step_size": 0.01},
            "times": {"steps": [1, 5]},
            "metrics": ["dead_count"],
            "seeds": 1,
        },
        "numpy",
        weights=True,
    )
    assert found["dead_count"].values.tolist() == [[1.0, 1.0, 1.0]]
    assert (found["hidden"].values[0, :, 1] == -1.0).all()


def test_groups_of_directions() -> None:
    """Neurons at 0, 0.04 and 0.08 rad are one chain, whatever their lengths; 0 is in no group."""
    turned = [0.0, 2.0, 0.04, 0.08, 2.0 + np.pi]
    hidden = [[r * np.cos(t), r * np.sin(t)] for r, t in zip([1, 2, 1e-9, 3, 1], turned, strict=True)]
    hidden.append([0.0, 0.0])
    found = run(hidden, ["direction_group"])
    assert found["direction_group"].values[0, 0].tolist() == [0, 1, 0, 0, 4, -1]
    even = run(hidden, ["direction_group"], activation="abs")
    assert even["direction_group"].values[0, 0].tolist() == [0, 1, 0, 0, 1, -1]


@pytest.mark.parametrize("output", ["trained", "fixed", "tied"])
def test_the_kernel_is_that_of_differences(output: str) -> None:
    """K = J Jᵀ with J by central differences of step 1e-6, whose error is 1e-9 for tanh."""
    network = network_of(3, "tanh", output, output_scale=0.7)
    problem = FiniteData(INPUTS, np.asarray(TARGETS)).problem(network)
    random = np.random.default_rng(6)
    weights = network.with_tied_outputs(
        Weights(random.standard_normal((1, 3, 2)), random.standard_normal((1, 3)))
    )
    columns = []
    for index in range(9 if output == "trained" else 6):
        predictions = []
        for step in (1e-6, -1e-6):
            hidden, outputs = weights.hidden.copy(), weights.output.copy()
            (hidden.reshape(-1) if index < 6 else outputs.reshape(-1))[index % 6] += step
            predictions.append(problem.predict(Weights(hidden, outputs))[0])
        columns.append((predictions[0] - predictions[1]) / 2e-6)
    jacobian = np.stack(columns, axis=1)
    np.testing.assert_allclose(problem.tangent_kernel(weights)[0], jacobian @ jacobian.T, rtol=0, atol=1e-8)


def test_alignment_of_a_linear_neuron() -> None:
    """K = X Xᵀ a² for fixed a, so that the alignment is yᵀX Xᵀy/(|XXᵀ| |y|²), and K does not move."""
    found = run([[0.3, 0.4]], ["kernel_alignment", "kernel_change"], activation="linear", output="fixed")
    gram, y = INPUTS @ INPUTS.T, np.asarray(TARGETS)
    wanted = y @ gram @ y / (np.linalg.norm(gram) * (y @ y))
    np.testing.assert_allclose(found["kernel_alignment"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found["kernel_change"], 0.0, atol=1e-14)


def test_the_kernel_of_a_wide_network_stays() -> None:
    """With scale 1/√m and weights of order 1 the change of K falls with the width, by 3 at least from 30 to 3000."""
    changes = []
    for neurons in (30, 3000):
        hidden = np.random.default_rng(8).standard_normal((neurons, 2)).tolist()
        found = run(hidden, ["kernel_change", "pattern_change"], output_scale="1/sqrt(m)")
        assert float(found["pattern_change"][0, 0]) == float(found["kernel_change"][0, 0]) == 0
        changes.append(float(found["kernel_change"][0, -1]))
    assert 0 < 3 * changes[1] < changes[0]


def test_where_they_have_no_meaning() -> None:
    with pytest.raises(ConfigError, match=r"'pattern_count' does not apply to any run.*two slopes"):
        run([[1.0, 0.0]], ["pattern_count"], activation="tanh")
    with pytest.raises(ConfigError, match="'dead_count' does not apply to any run"):
        run([[1.0, 0.0]], ["dead_count"], activation="abs")
