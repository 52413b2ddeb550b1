"""What is measured near a solution, against its definition; background neurons of either sign."""

from __future__ import annotations

import numpy as np
import pytest

import twolayer
from twolayer.errors import ConfigError

THREE = {
    "name": "gaussian_teacher", "dimension": 5, "teachers": 3, "coefficients": [1, -0.8, 1.2], "norms": [1, 2, 1],
    "profile": "constant",
}  # fmt: skip

START = {
    "name": "around_teachers",
    "shares": [0.5, 0.5],
    "angle": 0.2,
    "background_neurons": 0.1,
    "background_signs": "random",
}


def run(**sections: object) -> object:
    experiment = {
        "problem": THREE,
        "network": {"neurons": 10, "activation": "abs"},
        "initialization": START,
        "dynamics": {"name": "gradient_flow", "weight_decay": 0.05},
        "times": {"values": [0.999, 1.0, 1.001]},
        "seeds": 3,
        **sections,
    }
    return twolayer.run(experiment)


def test_background_neurons_of_either_sign_or_positive() -> None:
    """The coins are drawn last: nothing else changes with them."""
    names = ["mass", "hidden", "imbalance"]
    drawn = run(metrics=names).isel(time=0)
    mass = drawn["mass"].values[:, 6:]
    assert {-1.0, 1.0} == set(np.sign(mass).ravel())
    np.testing.assert_allclose(drawn["imbalance"].values, 0.0, atol=1e-15)
    positive = run(metrics=names, initialization={**START, "background_signs": "positive"}).isel(time=0)
    np.testing.assert_array_equal(positive["mass"].values[:, 6:], np.abs(mass))
    np.testing.assert_array_equal(positive["hidden"].values, drawn["hidden"].values)


def test_outputs_that_are_not_trained_have_no_signs_to_draw() -> None:
    problem = {"name": "gaussian_teacher", "dimension": 5, "teachers": 3}
    with pytest.raises(ConfigError, match="background_signs: a tied output weight has no sign to draw"):
        run(problem=problem, network={"neurons": 10, "activation": "abs", "output": "tied"})


def test_masses_move_as_the_certificate_says() -> None:
    """d log p/dt = −2λ(1 − sη(ŵ)) along the flow, for balanced neurons."""
    dataset = run(metrics=["mass", "neuron_certificate"], seeds=1).isel(seed=0, time=slice(1, None))
    mass = dataset["mass"].values
    rate = np.log(mass[2] / mass[0]) / 0.002
    exact = -0.1 * (1 - np.sign(mass[1]) * dataset["neuron_certificate"].values[1])
    np.testing.assert_allclose(rate, exact, rtol=1e-4, atol=1e-5)


def test_the_certificate_around_the_circle() -> None:
    problem = {
        "name": "gaussian_teacher", "dimension": 2, "angles": [30, 90], "coefficients": [1, -1], "profile": "constant"
    }  # fmt: skip
    names = ["certificate", "certificate_slope", "certificate_angle", "certificate_maximum"]
    dataset = run(problem=problem, seeds=2, metrics=names)
    angle = dataset["certificate_angle"].values
    height = dataset["certificate"].transpose("seed", "time", "direction").values
    slope = dataset["certificate_slope"].transpose("seed", "time", "direction").values
    numeric = (height[..., 2:] - height[..., :-2]) / (angle[2:] - angle[:-2])
    np.testing.assert_allclose(slope[..., 1:-1], numeric, atol=2e-3)
    np.testing.assert_allclose(height[..., 0], height[..., -1], rtol=1e-10)
    np.testing.assert_allclose(dataset["certificate_maximum"].values, np.abs(height).max(-1), rtol=1e-4)


def test_descent_direction_shares_each_teacher() -> None:
    """Σ a_j q_ij = b_i|v_i| over the neurons of the right sign: the directions' first-order condition."""
    names = [
        "descent_direction",
        "hidden",
        "output",
        "mass",
        "closest_teacher",
        "hidden_gradient",
        "descent_inner_product",
    ]
    dataset = run(metrics=names).isel(time=0)
    towards = dataset["hidden"].values - dataset["descent_direction"].values  # q v̂
    output, mass, closest = (dataset[name].values for name in ("output", "mass", "closest_teacher"))
    b = np.array([1.0, -1.6, 1.2])
    share = np.linalg.norm(towards, axis=-1)
    assert (share[np.sign(mass) != np.sign(b)[closest]] < 1e-12).all()
    for seed, teacher in np.ndindex(3, 3):
        near = closest[seed] == teacher
        total = (np.abs(output[seed]) * share[seed])[near].sum()
        assert total == pytest.approx(abs(b[teacher]))
    along = (dataset["hidden_gradient"] * dataset["descent_direction"]).sum(("neuron", "feature"))
    np.testing.assert_allclose(dataset["descent_inner_product"].values, along.values, rtol=1e-12)


def test_energy_outside_the_teachers_span() -> None:
    dataset = run(metrics=["off_span_energy", "hidden"]).isel(time=0)
    hidden = dataset["hidden"].values
    exact = (hidden[..., 3:] ** 2).sum(-1) / (hidden**2).sum(-1)
    np.testing.assert_allclose(dataset["off_span_energy"].values, exact, rtol=1e-12)


def test_the_weight_decay_of_each_moment() -> None:
    schedule = {"values": [0.1, 0.01], "until": [1.0]}
    dataset = run(dynamics={"name": "gradient_flow", "weight_decay": schedule}, metrics=["regularization"])
    np.testing.assert_array_equal(dataset["regularization"].values, [0.1, 0.1, 0.1, 0.01])
