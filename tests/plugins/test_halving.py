"""halving_gradient_descent: against the closed form of a quadratic, descent itself, and backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from namespaces import backend
from networks import network_of

import twolayer
from twolayer import FiniteData
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.training.train import train

POINTS = {
    "name": "points",
    "inputs": [[1.0, 0.5], [0.2, 1.0], [-0.7, 0.4], [0.3, -0.8], [1.0, 1.0]],
    "targets": [1.0, -1.0, 1.0, 0.5, 0.2],
}


def run(dynamics: dict[str, Any], **changed: Any) -> xr.Dataset:
    return twolayer.run(
        {
            "problem": POINTS,
            "network": {"neurons": 3, "activation": "relu"},
            "initialization": {"name": "gaussian", "scale": 0.7},
            "dynamics": {"name": "halving_gradient_descent", **dynamics},
            "times": {"steps": [1, 4, 5, 6, 25]},
            "metrics": ["loss"],
            "seeds": 2,
            **changed,
        },
        "numpy",
        weights=True,
        threads=1,
    )


@pytest.mark.parametrize(("eta", "halved"), [(1.5, 0), (3.0, 1), (5.0, 2), (1000.0, 9)])
def test_on_a_quadratic(eta: float, halved: int) -> None:
    """L = ½(w − 1)²: steps of η are stable below 2, and x_k = x_0 (1 − η/2^h)^{2^h k} with the first h that does not
    double the loss in five steps, |1 − η/2^h|^{2·5·2^h} ≤ 2. No η here lies near 2·2^h."""
    found = run(
        {"step_size": eta, "every": 5},
        problem={"name": "points", "inputs": [[1.0]], "targets": [1.0]},
        network={"neurons": 1, "activation": "linear", "output": "fixed"},
    )
    x = found["hidden"].values[:, :, 0, 0] - 1.0
    steps = np.array([0, 1, 4, 5, 6, 25])
    wanted = x[:, :1] * (1 - eta / 2**halved) ** (2**halved * steps)
    np.testing.assert_allclose(x, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["time"], eta * steps)


def test_with_a_stable_step_it_is_descent() -> None:
    plain = run({"name": "gradient_descent", "step_size": 0.05})
    found = run({"step_size": 0.05, "every": 5})
    np.testing.assert_allclose(found["hidden"], plain["hidden"], rtol=0, atol=1e-13)


def test_seeds_have_their_steps_and_what_is_saved_changes_nothing() -> None:
    """A seed alone is as among others; a run that saves one time has its frame."""
    together = run({"step_size": 8.0, "every": 10}, seeds=4)
    assert np.isfinite(together["loss"]).all()
    for seed in range(4):
        alone = run({"step_size": 8.0, "every": 10}, seeds=[seed], times={"steps": [6]})
        np.testing.assert_allclose(
            alone["hidden"].values[0, -1], together["hidden"].values[seed, 4], rtol=0, atol=1e-12
        )


def test_no_more_than_so_many_halvings() -> None:
    """With none it diverges as descent does, and says where."""
    found = run(
        {"step_size": 1e3, "halvings": 0, "every": 5},
        problem={"name": "points", "inputs": [[1.0]], "targets": [1.0]},
        network={"neurons": 1, "activation": "linear", "output": "fixed"},
        times={"steps": [500]},
    )
    assert "diverged at step" in str(found.attrs["notes"])
    assert np.isnan(found["loss"].isel(time=-1)).all()


def test_every_backend() -> None:
    registry = load(kinds=["dynamics", "initializations"])
    data = FiniteData(np.asarray(POINTS["inputs"]), np.asarray(POINTS["targets"]))
    start = registry.build("initializations", {"name": "gaussian", "scale": 0.7}, "initialization")[1]
    section = {"name": "halving_gradient_descent", "step_size": 4.0, "every": 5}
    dynamics = registry.build("dynamics", section, "dynamics")[1]
    network = network_of(3, "relu")

    def ends(device: str) -> Any:
        path = train(data, network, start, dynamics, Times(steps=[3, 10]), [0, 1], backend(device))
        return np.asarray(path.weights.hidden)

    wanted = ends("numpy")
    assert np.isfinite(wanted).all()
    for device in ("numba", "array-api-strict", "device arrays"):
        np.testing.assert_allclose(ends(device), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("key", "value"), [("every", 0), ("rise", 0.5), ("halvings", 41)])
def test_what_is_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"dynamics.{key}: "):
        run({"step_size": 0.1, key: value})
