"""Starts of separate layers, of PyTorch's law, symmetrized and dominated: their laws, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import twolayer
from twolayer.errors import ConfigError

MANY = 4000


def start(initialization: dict[str, Any], neurons: int = MANY, **changed: Any) -> xr.Dataset:
    """The start of a network on a teacher in 3 dimensions, and one step."""
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1, "samples": 4},
            "network": {"neurons": neurons},
            "initialization": initialization,
            "dynamics": {"name": "gradient_descent", "step_size": 1e-3},
            "times": {"steps": [1]},
            "metrics": ["loss", "initial_hidden", "initial_output", "hidden"],
            "seeds": 1,
            **changed,
        },
        "numpy",
        threads=1,
    )


def follows(values: Any, law: Any) -> None:
    """By the test of Kolmogorov and Smirnov, at a chance of one in a million; draws are seeded."""
    assert stats.kstest(np.ravel(values), law.cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    ("law", "fan_in", "hidden", "output"),
    [
        ("normal", False, stats.norm(0, 0.5), stats.norm(0, 2.0)),
        ("normal", True, stats.norm(0, 0.5 / np.sqrt(3)), stats.norm(0, 2.0 / np.sqrt(MANY))),
        ("uniform", False, stats.uniform(-0.5, 1.0), stats.uniform(-2.0, 4.0)),
    ],
)
def test_a_scale_for_each_layer(law: str, fan_in: bool, hidden: Any, output: Any) -> None:
    section = {"name": "layerwise", "hidden_scale": 0.5, "output_scale": 2.0, "law": law, "fan_in": fan_in}
    found = start(section)
    follows(found["initial_hidden"], hidden)
    follows(found["initial_output"], output)


def test_the_bounds_of_nn_linear() -> None:
    """kaiming_uniform_(a=√5): √(6/((1 + 5) fan_in)); of the bias 1/√fan_in, which the constant feature is not in."""
    found = start({"name": "torch_linear"})
    for values, fan_in in ((found["initial_hidden"], 3), (found["initial_output"], MANY)):
        bound = np.sqrt(6.0 / (6.0 * fan_in))
        follows(values, stats.uniform(-bound, 2 * bound))
        assert np.abs(values).max() <= bound
    points = {"name": "points", "inputs": [[1.0, 2.0]], "targets": [1.0], "bias": True}
    with_bias = start({"name": "torch_linear", "bias": True, "scale": 2.0}, problem=points)
    bound = 2.0 / np.sqrt(2.0)
    for feature in range(3):
        follows(with_bias["initial_hidden"].values[..., feature], stats.uniform(-bound, 2 * bound))


def test_dominated() -> None:
    """|a| − |w| is exponential, signs are fair."""
    for section, excess in (({}, 0.5), ({"excess": 3.0}, 3.0)):
        found = start({"name": "dominated", "scale": 0.5, **section})
        output = found["initial_output"].values
        more = np.abs(output) - np.linalg.norm(found["initial_hidden"], axis=-1)
        assert (more > 0).all()
        follows(more, stats.expon(scale=excess))
        assert abs(np.mean(output > 0) - 0.5) < 5 * 0.5 / np.sqrt(MANY)


@pytest.mark.parametrize("scale", ["1/sqrt(m)", 1.0])
def test_symmetrized_is_the_function_0(scale: Any) -> None:
    """The loss is that of f = 0, to rounding, and the first half is what its start draws; the second step moves."""
    network = {"neurons": 6, "output_scale": scale}
    half = {"name": "torch_linear", "scale": 30.0}
    found = start({"name": "symmetrized", "half": half}, network=network)
    alone = start(half, network={**network, "neurons": 3})
    np.testing.assert_array_equal(found["initial_hidden"][:, :3], alone["initial_hidden"])
    np.testing.assert_array_equal(found["initial_hidden"][:, 3:], alone["initial_hidden"])
    np.testing.assert_array_equal(found["initial_output"][:, 3:], -alone["initial_output"])
    zero = start({"name": "matrix", "hidden": [[0.0] * 3] * 6, "output": [0.0] * 6}, network=network)
    np.testing.assert_allclose(found["loss"][:, 0], zero["loss"][:, 0], rtol=1e-12)
    assert (found["loss"][:, 1] < found["loss"][:, 0]).all()


def test_symmetrized_with_fixed_outputs() -> None:
    network = {"neurons": 4, "output": "fixed", "output_values": [1.0, 2.0, -1.0, -2.0]}
    found = start({"name": "symmetrized", "half": {"name": "gaussian", "scale": 2.0}}, network=network)
    zero = start({"name": "matrix", "hidden": [[0.0] * 3] * 4}, network=network)
    np.testing.assert_allclose(found["loss"][:, 0], zero["loss"][:, 0], rtol=1e-12)


FIXED = {"neurons": 2, "output": "fixed"}
GAUSSIAN = {"name": "gaussian", "scale": 1.0}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no output scale": ({"name": "layerwise", "hidden_scale": 1}, {}, "initialization.output_scale: trained"),
    "an output scale of none": (
        {"name": "layerwise", "hidden_scale": 1, "output_scale": 1},
        {"network": FIXED},
        "initialization.output_scale: the network's outputs are fixed",
    ),
    "a negative scale": (
        {"name": "layerwise", "hidden_scale": -1, "output_scale": 1},
        {},
        "hidden_scale: must",
    ),
    "a scale of 0": ({"name": "torch_linear", "scale": 0}, {}, "initialization.scale: must be above 0"),
    "a negative excess": ({"name": "dominated", "scale": 1, "excess": -1}, {}, "initialization.excess: must"),
    "dominated by nothing": (
        {"name": "dominated", "scale": 1},
        {"network": FIXED},
        "draws output weights, and those of this network are fixed",
    ),
    "odd": ({"name": "symmetrized", "half": GAUSSIAN}, {"network": {"neurons": 3}}, "neurons come in pairs"),
    "tied": (
        {"name": "symmetrized", "half": GAUSSIAN},
        {"network": {"neurons": 2, "output": "tied"}},
        "tied outputs",
    ),
    "one sign": (
        {"name": "symmetrized", "half": GAUSSIAN},
        {"network": FIXED},
        "fixed outputs do not cancel",
    ),
    "an unknown half": (
        {"name": "symmetrized", "half": {"name": "gausian"}},
        {},
        "Did you mean 'gaussian'",
    ),
    "a bad half": (
        {"name": "symmetrized", "half": {"name": "layerwise", "hidden_scale": 1}},
        {},
        "initialization.half.output_scale: trained",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    section, changed, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        start(section, 2, **changed)
