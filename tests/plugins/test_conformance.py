"""`twolayer.testing`: every built-in plugin conforms, and faults of each kind are found by the check they offend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twolayer.errors import ConfigError
from twolayer.testing import checks, conformance

BUILT_IN: list[tuple[str, Any, dict[str, Any]]] = [
    ("activations", "relu", {}),
    ("activations", {"name": "leaky_relu", "slope": 0.2}, {}),
    ("activations", "erf", {}),
    ("activations", "tanh", {}),
    ("losses", "logistic", {}),
    ("problems", {"name": "gaussian_teacher", "dimension": 3, "teachers": 2, "samples": 9}, {}),
    ("problems", {"name": "points", "inputs": [[1.0, 0.5], [0.2, 1.0]], "targets": [1.0, -1.0]}, {}),
    ("initializations", {"name": "gaussian", "scale": 0.3}, {}),
    (
        "initializations",
        {"name": "matrix", "hidden": [[1.0, 0.5, -1.0, 2.0]] * 3, "output": [1.0, -1.0, 0.5]},
        {},
    ),
    ("dynamics", {"name": "gradient_descent", "step_size": 0.05}, {"order": 1}),
    (
        "dynamics",
        {"name": "regularized_gradient_descent", "step_size": 0.05, "weight_decay": 0.1},
        {"order": 1},
    ),
    ("dynamics", {"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 2}, {}),
    ("dynamics", {"name": "momentum", "step_size": 0.02, "momentum": 0.5}, {"order": 1}),
    ("dynamics", {"name": "adam", "step_size": 0.02, "batch_size": 2}, {}),
    ("dynamics", {"name": "gradient_flow", "rtol": 1e-8}, {"conserved": {"imbalance": 1e-6}}),
    ("metrics", "loss", {}),
    ("metrics", "final_hessian_eigenvalues", {}),
    ("metrics", "final_neuron_curvature", {}),
    ("backends", "numba", {}),
]
CASES = [
    pytest.param(
        check, id=f"{kind}-{section if isinstance(section, str) else section['name']}-{index}-{name}"
    )
    for index, (kind, section, options) in enumerate(BUILT_IN)
    for name, check in checks(kind, section, **options).items()
]


@pytest.mark.parametrize("check", CASES)
def test_what_is_built_in_conforms(check: Any) -> None:
    check()


HEAD = "from dataclasses import dataclass\nimport numpy as np\nimport twolayer\nfrom twolayer import *\n"
FAULTY = {
    "a second state": (
        "dynamics",
        {"name": "faulty", "step_size": 0.05},
        "calls = []\n@dynamics('faulty')\n@dataclass(frozen=True)\nclass Faulty(Descent):\n"
        "    def steps(self, problem, weights, random):\n        calls.append(1)\n        while True:\n"
        "            weights = weights - (self.step_size * len(calls)) * problem.gradient(weights)\n"
        "            yield weights\n",
        "two_runs_are_the_same",
        "differs between two identical runs",
    ),
    "a seed that looks at others": (
        "dynamics",
        {"name": "faulty", "step_size": 0.05},
        "@dynamics('faulty')\n@dataclass(frozen=True)\nclass Faulty(Descent):\n"
        "    def steps(self, problem, weights, random):\n        while True:\n"
        "            g = problem.gradient(weights)\n"
        "            g = Weights(g.hidden + g.hidden.mean(), g.output)\n"
        "            weights = weights - self.step_size * g\n"
        "            yield weights\n",
        "seeds_are_independent",
        "alone: hidden differs by",
    ),
    "another order than declared": (
        "dynamics",
        {"name": "faulty", "step_size": 0.05},
        "@dynamics('faulty')\n@dataclass(frozen=True)\nclass Faulty(Descent):\n"
        "    def steps(self, problem, weights, random):\n        while True:\n"
        "            half = weights - (0.5 * self.step_size) * problem.gradient(weights)\n"
        "            weights = weights - self.step_size * problem.gradient(half)\n            yield weights\n",
        "converges_with_its_order",
        r"order 2\.0\d, declared 1",
    ),
    "a derivative off by a factor": (
        "activations",
        "faulty",
        "@activation('faulty')\n@dataclass(frozen=True)\nclass Faulty(Activation):\n"
        "    def value(self, z):\n        return np.tanh(z)\n"
        "    def derivative(self, z):\n        return 2 * (1 - np.tanh(z) ** 2)\n",
        "derivatives_are_those_of_the_function",
        "derivative: at z",
    ),
    "an even function that says it is none": (
        "activations",
        "faulty",
        "@activation('faulty')\n@dataclass(frozen=True)\nclass Faulty(Activation):\n"
        "    def value(self, z):\n        return np.cos(z)\n"
        "    def derivative(self, z):\n        return -np.sin(z)\n",
        "is_what_it_says",
        "even: it says False",
    ),
    "a kernel off by a factor of two": (
        "activations",
        "faulty",
        "from twolayer import GaussianKernel\n"
        "class Twice(GaussianKernel):\n"
        "    def value(self, a, b, c):\n        return 2 * c\n"
        "    def first(self, a, b, c):\n        return 0 * c, 2 + 0 * c\n"
        "    def second(self, a, b, c):\n        return 0 * c, 0 * c, 0 * c\n"
        "@activation('faulty')\n@dataclass(frozen=True)\nclass Faulty(Activation):\n    kernel = Twice()\n"
        "    def value(self, z):\n        return 1.0 * z\n"
        "    def derivative(self, z):\n        return 1.0 + 0 * z\n",
        "a_teacher_has_the_loss_of_its_samples",
        "the loss on a teacher is",
    ),
    "a loss whose derivative lacks a factor": (
        "losses",
        "faulty",
        "@loss('faulty')\nclass Faulty(Loss):\n    def value(self, f, y):\n        return (f - y) ** 2\n"
        "    def derivative(self, f, y):\n        return f - y\n"
        "    def second_derivative(self, f, y):\n        return 1.0 + 0 * f\n",
        "loss_derivatives_are_those_of_the_function",
        "derivative: differs",
    ),
    "data from another generator": (
        "problems",
        "faulty",
        "random_numbers = np.random.default_rng(0)\n@problem('faulty')\n@dataclass(frozen=True)\n"
        "class Faulty(ProblemSpec):\n    def generate(self, random):\n"
        "        return FiniteData(random_numbers.normal(size=(3, 2)), np.ones(3))\n",
        "a_seed_has_its_data",
        "one seed has two sets of data",
    ),
    "data that differ without saying so": (
        "problems",
        "faulty",
        "@problem('faulty')\n@dataclass(frozen=True)\nclass Faulty(ProblemSpec):\n    def generate(self, random):\n"
        "        return FiniteData(random.normal(size=(3, 2)), np.ones(3))\n",
        "a_seed_has_its_data",
        "`per_seed` is False",
    ),
    "starts from another generator": (
        "initializations",
        "faulty",
        "random_numbers = np.random.default_rng(0)\n@initialization('faulty')\n@dataclass(frozen=True)\n"
        "class Faulty(InitializationSpec):\n    def draw(self, data, network, random):\n"
        "        m = network.neurons\n"
        "        return Weights(random_numbers.normal(size=(m, data.features)), np.ones(m))\n",
        "a_seed_has_its_start",
        "depends on the other seeds",
    ),
    "a metric that compares seeds": (
        "metrics",
        "faulty",
        "@metric('faulty', ('seed', 'time'), 'size over the mean')\ndef faulty(problem, trajectory):\n"
        "    size = np.abs(trajectory.weights.hidden).sum((-2, -1))\n    return size / size.mean(0)\n",
        "seeds_are_measured_alone",
        "across_seeds=True",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    kind, section, text, check, message = FAULTY[fault]
    folder = tmp_path / kind
    folder.mkdir()
    (folder / "faulty.py").write_text(HEAD + text)
    options = {"order": 1} if "order" in fault else {}
    found = checks(kind, section, plugin_paths=[str(tmp_path)], **options)
    with pytest.raises(AssertionError, match=message):
        found[check]()


def test_the_test_has_a_case_for_each_check() -> None:
    test = conformance("dynamics", {"name": "gradient_descent", "step_size": 0.1})
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    assert list(mark.args[1]) == list(checks("dynamics", "gradient_descent"))


def test_a_kind_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dynamics'"):
        checks("dynamic", "gradient_descent")


def test_a_plugin_that_nothing_takes_says_why() -> None:
    with pytest.raises(AssertionError, match="no experiment takes it"):
        checks("initializations", {"name": "aligned", "projections": [[1.0], [1.0]]})[
            "a_seed_has_its_start"
        ]()
