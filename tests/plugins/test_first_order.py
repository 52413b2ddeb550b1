"""momentum, adam, step sizes of layers and epochs: against closed forms, as limits of descent, on every backend."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import xarray as xr
from namespaces import backend
from networks import network_of
from project import PROJECT

import twolayer
from twolayer import FiniteData, Weights
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.training.train import train

REGISTRY = load(kinds=["dynamics", "initializations"])
POINTS = {
    "name": "points",
    "inputs": [[1.0, 0.5], [0.2, 1.0], [-0.7, 0.4], [0.3, -0.8], [1.0, 1.0]],
    "targets": [1.0, -1.0, 1.0, 0.5, 0.2],
}
ROUNDING = 1e-12


def run(dynamics: dict[str, Any], **changed: Any) -> xr.Dataset:
    """A short run on five points, with its weights."""
    return twolayer.run(
        {
            "problem": POINTS,
            "network": {"neurons": 3, "activation": "relu"},
            "initialization": {"name": "gaussian", "scale": 0.7},
            "dynamics": dynamics,
            "times": {"steps": list(range(1, 13))},
            "metrics": ["loss"],
            "seeds": 2,
            **changed,
        },
        "numpy",
        weights=True,
        threads=1,
    )


CURVATURES = np.array([2.0, 0.5])
"""Of L = ½ Σ h_i (w_i − 1)² / 2, two samples along the axes: inputs 2 and 1 with targets 2 and 1, n = 2."""


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_on_a_quadratic(nesterov: bool) -> None:
    """x_k = w_k − 1 along an axis of curvature h is a sum of powers of the two roots of the recursion's polynomial:
    r² − (1 + β − ηh) r + β of the heavy ball, r² − (1 + β)(1 − ηh) r + β(1 − ηh) of Nesterov's. To rounding."""
    eta, beta = 0.1, 0.8
    found = run(
        {"name": "momentum", "step_size": eta, "momentum": beta, "nesterov": nesterov},
        problem={"name": "points", "inputs": [[2.0, 0.0], [0.0, 1.0]], "targets": [2.0, 1.0]},
        network={"neurons": 1, "activation": "linear", "output": "fixed"},
    )
    x = found["hidden"].values[:, :, 0] - 1.0  # (seed, step, axis)
    for axis, h in enumerate(CURVATURES):
        start = x[:, 0, axis]
        if nesterov:
            sums, product = (1 + beta) * (1 - eta * h), beta * (1 - eta * h)
            first = (1 - eta * h * (1 + beta)) * start
        else:
            sums, product = 1 + beta - eta * h, beta
            first = (1 - eta * h) * start
        roots = np.roots([1.0, -sums, product])
        weights = np.linalg.solve(np.array([[1.0, 1.0], roots]), np.array([start, first]))
        steps = np.arange(x.shape[1])
        wanted = np.real(np.einsum("rs,rk->sk", weights, roots[:, None] ** steps))
        np.testing.assert_allclose(x[..., axis], wanted, rtol=0, atol=1e-13)


def test_adam_is_its_sums() -> None:
    """The recursions solved: m = (1 − β₁) Σ β₁^(k−i) g_i, v = (1 − β₂) Σ β₂^(k−i) g_i², of the gradients at the saved
    weights. To rounding."""
    eta, beta1, beta2, epsilon = 0.03, 0.7, 0.95, 1e-3
    found = run({"name": "adam", "step_size": eta, "beta1": beta1, "beta2": beta2, "epsilon": epsilon})
    problem = FiniteData(np.asarray(POINTS["inputs"]), np.asarray(POINTS["targets"])).problem(network_of(3))
    states = [Weights(found["hidden"].values[:, step], found["output"].values[:, step]) for step in range(13)]
    slopes = [problem.gradient(state) for state in states[:-1]]
    for layer in ("hidden", "output"):
        g = np.stack([getattr(slope, layer) for slope in slopes])
        for k in range(1, 13):
            powers = k - 1 - np.arange(k)
            mean = (1 - beta1) * np.tensordot(beta1**powers, g[:k], 1) / (1 - beta1**k)
            square = (1 - beta2) * np.tensordot(beta2**powers, g[:k] ** 2, 1) / (1 - beta2**k)
            moved = getattr(states[k], layer) - getattr(states[k - 1], layer)
            np.testing.assert_allclose(
                moved, -eta * mean / (np.sqrt(square) + epsilon), rtol=0, atol=ROUNDING
            )


def test_limits() -> None:
    """Without memory momentum is gradient descent bit for bit, and adam is descent by signs to epsilon."""
    plain = run({"name": "gradient_descent", "step_size": 0.05})
    still = run({"name": "momentum", "step_size": 0.05, "momentum": 0.0})
    assert (plain["hidden"].values == still["hidden"].values).all()
    signs = run({"name": "adam", "step_size": 0.01, "beta1": 0.0, "beta2": 0.0, "epsilon": 1e-14})
    steps = np.abs(np.diff(signs["hidden"].values, axis=1))
    moved = steps > 0  # a neuron that no sample reaches stays
    np.testing.assert_allclose(steps[moved], 0.01, rtol=1e-9)


@pytest.mark.parametrize("name", ["gradient_descent", "stochastic_gradient_descent", "momentum"])
def test_step_sizes_of_layers_are_a_change_of_units(name: str) -> None:
    """Steps (η, 4η) on s Σ a σ are steps η on 2s Σ (a/2) σ, bit for bit but for the order of products."""
    hidden, output = [[0.3, -0.2], [0.5, 0.4], [-0.6, 0.1]], np.array([0.8, -0.6, 1.0])
    more = {"batch_size": 2} if name == "stochastic_gradient_descent" else {}
    layered = run(
        {"name": name, "step_size": 0.02, "output_step_size": 0.08, **more},
        initialization={"name": "matrix", "hidden": hidden, "output": output.tolist()},
    )
    scaled = run(
        {"name": name, "step_size": 0.02, **more},
        network={"neurons": 3, "activation": "relu", "output_scale": 2.0},
        initialization={"name": "matrix", "hidden": hidden, "output": (output / 2).tolist()},
    )
    np.testing.assert_allclose(layered["hidden"], scaled["hidden"], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(layered["output"], 2 * scaled["output"], rtol=0, atol=ROUNDING)


def test_an_epoch_has_each_sample_once() -> None:
    """On orthogonal inputs, with a linear neuron, each sample moves w along its axis: after an epoch of batches of
    2, 2 and 1 of five samples every axis has moved once, by the closed form 1 − η|x|²/B of its batch."""
    found = run(
        {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 2, "epochs": True},
        problem={"name": "orthogonal", "samples": 5, "dimension": 5, "targets": 1.0},
        network={"neurons": 1, "activation": "linear", "output": "fixed"},
    )
    x = found["hidden"].values[:, :, 0] - 1.0  # (seed, step, axis)
    moved = np.diff(x, axis=1) != 0
    for epoch in range(4):
        steps = moved[:, 3 * epoch : 3 * epoch + 3]
        assert (steps.sum(1) == 1).all()
        np.testing.assert_array_equal(steps.sum(2), [[2, 2, 1]] * 2)
    factor = x[:, 1:] / x[:, :-1]
    sizes = np.tile([2, 2, 1], 4)[None, :, None]
    np.testing.assert_allclose(factor, np.where(moved, 1 - 0.1 / sizes, 1.0), rtol=1e-12)
    assert (moved[0] != moved[1]).any()  # orders differ by seed
    assert (moved[:, :3] != moved[:, 3:6]).any()  # as epochs do


def test_a_batch_of_all_samples_is_descent() -> None:
    plain = run({"name": "gradient_descent", "step_size": 0.05})
    for epochs in (False, True):
        found = run(
            {"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 5, "epochs": epochs}
        )
        np.testing.assert_allclose(found["hidden"], plain["hidden"], rtol=0, atol=ROUNDING)


RULES: dict[str, dict[str, Any]] = {
    "momentum": {"nesterov": True, "output_step_size": 0.01},
    "adam": {"batch_size": 2, "epochs": True},
    "stochastic_gradient_descent": {"batch_size": 2, "epochs": True, "output_step_size": 0.01},
    "gradient_descent": {"output_step_size": 0.01},
}


@pytest.mark.parametrize("output", ["trained", "fixed", "tied"])
@pytest.mark.parametrize("name", RULES)
def test_every_backend_and_precision(name: str, output: str) -> None:
    """As the reference, to 1e-9 in float64 and 1e-4 in float32."""
    keys = {key: value for key, value in RULES[name].items() if output == "trained" or "output" not in key}
    data = FiniteData(np.asarray(POINTS["inputs"]), np.asarray(POINTS["targets"]))
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.7}, "initialization")[1]
    dynamics = REGISTRY.build("dynamics", {"name": name, "step_size": 0.02, **keys}, "dynamics")[1]
    network, times = network_of(3, "relu", output), Times(steps=[3, 10])

    def ends(device: str, dtype: str = "float64") -> Any:
        path = train(data, network, start, dynamics, times, [0, 1], backend(device), dtype)
        assert path.weights.hidden.dtype == dtype
        return np.asarray(path.weights.hidden)

    wanted = ends("numpy")
    for device in ("numba", "array-api-strict", "device arrays"):
        np.testing.assert_allclose(ends(device), wanted, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ends("numpy", "float32"), wanted, rtol=0, atol=1e-4)


def test_a_stage_begins_without_the_memory_of_another() -> None:
    """Two stages of momentum are two runs, the second from where the first ended."""
    stage = {"name": "momentum", "step_size": 0.05}
    both = run(
        {"name": "sequence", "stages": [{**stage, "until": 0.5}, {"name": "adam", "step_size": 0.05}]},
        times={"values": [0.5, 1.0]},
        seeds=1,
    )
    middle = both.isel(time=1, seed=0)
    second = run(
        {"name": "adam", "step_size": 0.05},
        initialization={
            "name": "matrix",
            "hidden": middle["hidden"].values.tolist(),
            "output": middle["output"].values.tolist(),
        },
        times={"values": [0.5]},
        seeds=1,
    )
    np.testing.assert_array_equal(both["hidden"].isel(time=-1), second["hidden"].isel(time=-1))


TEACHER = {"name": "gaussian_teacher", "dimension": 4, "teachers": 2}


def test_momentum_on_a_teacher_stays_in_the_span() -> None:
    """In 50 dimensions as in all of them: v is a sum of gradients."""
    wide = {"problem": {**TEACHER, "dimension": 50}, "times": {"steps": [50]}}
    found = run({"name": "momentum", "step_size": 0.1}, **wide)
    loss = float(found["loss"].isel(time=-1, seed=0))
    assert loss < float(found["loss"].isel(time=0, seed=0))
    basis = np.concatenate([np.eye(2, 50), found["hidden"].values[0, 0]])
    last = found["hidden"].values[0, -1]
    left = last - last @ np.linalg.pinv(basis) @ basis
    assert np.abs(left).max() < 1e-13


def test_the_example_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/optimizers.md runs, in few steps here, and prints a line for each rule, with losses that fall."""
    page = (PROJECT / "docs" / "optimizers.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```python\n# optimizers.py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "[100, 300, 1000, 3000]" in text
    exec(compile(text.replace("[100, 300, 1000, 3000]", "[100]"), "optimizers.py", "exec"), {})
    for line, name in zip(
        capsys.readouterr().out.splitlines(), ("gradient_descent", "momentum", "adam"), strict=True
    ):
        found, first, last = line.split()
        assert found == name
        assert float(last) < float(first)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "momentum of 1": (
        {"name": "momentum", "momentum": 1.0},
        {},
        r"dynamics.momentum: must be at least 0 and below 1",
    ),
    "nesterov alone": (
        {"name": "momentum", "momentum": 0, "nesterov": True},
        {},
        "dynamics.nesterov: without",
    ),
    "beta of 1": ({"name": "adam", "beta2": 1}, {}, "dynamics.beta2: must be"),
    "no epsilon": ({"name": "adam", "epsilon": 0}, {}, "dynamics.epsilon: must be above 0"),
    "an output step of 0": (
        {"name": "gradient_descent", "output_step_size": 0},
        {},
        "dynamics.output_step_size: must be above 0",
    ),
    "outputs that are fixed": (
        {"name": "adam", "output_step_size": 0.1},
        {"network": {"neurons": 3, "output": "fixed"}},
        "dynamics.output_step_size: the outputs of this network are fixed",
    ),
    "too many samples": ({"name": "adam", "batch_size": 6}, {}, "dynamics.batch_size: 6 of 5 samples"),
    "epochs of nothing": ({"name": "momentum", "epochs": True}, {}, "dynamics.epochs: only with batches"),
    "epochs of a population": (
        {"name": "momentum", "epochs": True, "batch_size": 4},
        {"problem": TEACHER},
        "dynamics.epochs: a population has no samples",
    ),
    "spherical epochs": (
        {"name": "stochastic_gradient_descent", "batch_size": 1, "epochs": True, "spherical": True},
        {},
        "dynamics.epochs: not with spherical",
    ),
    "a step that leaves every minimum": (
        {"name": "momentum", "step_size": 200.0, "momentum": 0.5},
        {"problem": TEACHER},
        "dynamics.step_size: is 200.0, above the stability limit",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    dynamics, changed, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        run({"step_size": 0.1, **dynamics}, **changed)
