"""A new law of data is one plugin file: it is stored, trained and measured without a change elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_files import place

from twolayer.cli import main
from twolayer.storage import netcdf

QUADRATURE = '''\
"""quadrature: L = ½ Σ p_k (f(x_k) − y_k)² over nodes with weights p."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import Data, Problem, ProblemSpec, Weights, problem


@dataclass(frozen=True)
class Nodes(Data, law="nodes"):
    """Nodes x (node, feature), their targets y (node,) and weights p (node,)."""

    nodes: Any
    targets: Any
    shares: Any

    @property
    def features(self):
        return self.nodes.shape[-1]

    def arrays(self):
        return {
            "nodes": (("node", "feature"), self.nodes, "node x"),
            "targets": (("node",), self.targets, "target y"),
            "shares": (("node",), self.shares, "weight p of a node"),
        }

    @classmethod
    def read(cls, arrays, attributes):
        return cls(arrays["nodes"], arrays["targets"], arrays["shares"])

    def mapped(self, function):
        return Nodes(function(self.nodes), function(self.targets), function(self.shares))

    def of_seed(self, index):
        return self

    def stacked(self, others):
        return self

    def problem(self, network):
        return OnNodes(self, network)


class OnNodes(Problem):
    """A network on nodes."""

    def residuals(self, weights):
        before = weights.hidden @ self.data.nodes.T
        after = self.network.activation.value(before)
        found = self.network.scale * (weights.output[..., None] * after).sum(-2)
        return before, after, found - self.data.targets

    def loss(self, weights):
        return 0.5 * (self.data.shares * self.residuals(weights)[2] ** 2).sum(-1)

    def gradient(self, weights, weight_decay=0.0):
        before, after, off = self.residuals(weights)
        force = self.network.scale * (self.data.shares * off)[..., None, :]
        slope = self.network.activation.derivative(before) * force
        hidden = (weights.output[..., None] * slope) @ self.data.nodes
        return self.to_trained_gradient(weights, hidden, (force * after).sum(-1), weight_decay)


@problem("quadrature")
@dataclass(frozen=True)
class Quadrature(ProblemSpec):
    """Gauss-Hermite nodes for x ~ N(0, 1), with the targets of relu."""

    nodes: int

    def generate(self, random):
        places, shares = np.polynomial.hermite_e.hermegauss(self.nodes)
        return Nodes(places[:, None], np.maximum(places, 0.0), shares / shares.sum())
'''

RUN = {
    "paper": "mine",
    "experiment": "nodes",
    "name": "default",
    "swept": {},
    "problem": {"name": "quadrature", "nodes": 40},
    "network": {"neurons": 3, "activation": "relu", "output": "trained"},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [10, 200]},
    "seeds": [0, 1],
    "dtype": "float64",
}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_law_of_data_is_one_plugin_file(tmp_path: Path, backend: str) -> None:
    folder = ["--plugin-path", str(place(tmp_path / "plugins", problems__quadrature=QUADRATURE))]
    problem, trajectory, metrics = (
        str(tmp_path / f"{name}.nc") for name in ("problem", "trajectory", "metrics")
    )
    assert main(["generate", *folder, "--run", json.dumps(RUN), "--output", problem]) == 0
    assert main(["train", *folder, "--problem", problem, "--backend", backend, "--output", trajectory]) == 0
    measure = ["measure", *folder, "--problem", problem, "--trajectory", trajectory]
    assert main([*measure, "--metrics", "loss", "gradient_norm", "--output", metrics]) == 0
    stored, attributes = netcdf.read(problem)
    assert attributes["law"] == "nodes"
    assert stored["shares"][0] == ("node",)
    weights, nodes = netcdf.read(trajectory)[0], stored["nodes"][1]
    after = np.maximum(weights["hidden"][1] @ nodes.T, 0.0)
    off = (weights["output"][1][..., None] * after).sum(-2) - stored["targets"][1]
    loss = netcdf.read(metrics)[0]["loss"]
    assert loss[0] == ("seed", "time")
    np.testing.assert_allclose(loss[1], 0.5 * (stored["shares"][1] * off**2).sum(-1), rtol=1e-12)
    assert (loss[1][:, -1] < loss[1][:, 0]).all()


def test_batches_of_a_law_that_has_no_samples_are_refused(tmp_path: Path, capsys: Any) -> None:
    folder = ["--plugin-path", str(place(tmp_path / "plugins", problems__quadrature=QUADRATURE))]
    batches = {"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 4}
    problem, trajectory = str(tmp_path / "problem.nc"), str(tmp_path / "trajectory.nc")
    run = json.dumps({**RUN, "dynamics": batches})
    assert main(["generate", *folder, "--run", run, "--output", problem]) == 0
    capsys.readouterr()
    assert main(["train", *folder, "--problem", problem, "--backend", "numpy", "--output", trajectory]) == 2
    said = capsys.readouterr().err
    assert "OnNodes has no samples to draw; take a dynamics without batches" in said
    assert "Traceback" not in said
    assert not Path(trajectory).exists()
