"""Plugins to begin with: `twolayer new KIND NAME` writes one that works, with its test."""

from __future__ import annotations

import keyword
from pathlib import Path

from twolayer.errors import ConfigError, unknown_name

__all__ = ["TEMPLATES", "write"]

ACTIVATION = '''"""$name: say what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, activation
from twolayer.core.arrays import array_namespace


@activation("$name")
@dataclass(frozen=True)
class $Class(Activation):
    """σ(z) = arctan(z / width). Source: say where it is from."""

    width: float = 1.0

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"width: must be above 0, is {self.width!r}")

    def value(self, preactivation: Any) -> Any:
        """σ(z)."""
        return array_namespace(preactivation).atan(preactivation / self.width)

    def derivative(self, preactivation: Any) -> Any:
        """σ'(z)."""
        return self.width / (self.width**2 + preactivation**2)
'''

LOSS = '''"""$name: say what it is."""

from __future__ import annotations

from dataclasses import dataclass

from twolayer import SquareLoss, loss


@loss("$name")
@dataclass(frozen=True)
class $Class(SquareLoss):
    """ℓ(f, y) = 2(f − y)². Another than a square loss derives from `Loss`: see docs/plugins.md."""

    factor: float = 2.0
'''

PROBLEM = '''"""$name: say what is learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, ProblemSpec, problem


@problem("$name")
@dataclass(frozen=True)
class $Class(ProblemSpec):
    """Standard normal inputs of which the sign of the first feature is the target."""

    samples: int
    dimension: int
    loss: str = "half_mean_square"

    def __post_init__(self) -> None:
        if self.samples < 1 or self.dimension < 1:
            raise ValueError("samples: samples and dimension must be at least 1")

    @property
    def per_seed(self) -> bool:
        """Samples differ by seed."""
        return True

    @property
    def laws(self) -> frozenset[str]:
        """Finite data, of no teacher."""
        return frozenset({"finite"})

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of samples and of features."""
        return self.samples, self.dimension

    def generate(self, random: np.random.Generator) -> FiniteData:
        """Inputs (sample, feature) and targets (sample,)."""
        inputs = random.standard_normal((self.samples, self.dimension))
        return FiniteData(inputs, np.sign(inputs[:, 0]), self.loss)
'''

INITIALIZATION = '''"""$name: say where weights start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import InitializationSpec, Network, Weights, initialization


@initialization("$name")
@dataclass(frozen=True)
class $Class(InitializationSpec):
    """Hidden weights uniform on the sphere of radius `radius`; outputs ±radius, by turns."""

    radius: float

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError(f"radius: must be above 0, is {self.radius!r}")

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """Hidden (neuron, feature) and output (neuron,) weights."""
        hidden = random.standard_normal((network.neurons, data.features))
        hidden *= self.radius / np.linalg.norm(hidden, axis=1, keepdims=True)
        return Weights(hidden, self.radius * (-1.0) ** np.arange(network.neurons))
'''

DYNAMICS = '''"""$name: say how weights move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Descent, Problem, Weights, dynamics


@dynamics("$name")
@dataclass(frozen=True)
class $Class(Descent):
    """θ ← θ − step_size ∇L(θ) + momentum (θ − θ'), with θ' the weights one step before."""

    momentum: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: must be from 0 to below 1, is {self.momentum!r}")

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights after one step, after two, …"""
        before = weights
        while True:
            moved = weights - self.step_size * problem.gradient(weights) + self.momentum * (weights - before)
            before, weights = weights, moved
            yield weights
'''

METRIC = '''"""$name: say what is measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric


@metric("$name", ("seed", "time"), "largest length of a hidden weight, max_j |w_j|", per_frame=True)
def $name(problem: Problem, weights: Weights) -> Any:
    """max_j |w_j| at one saved time, (seed,)."""
    return np.linalg.norm(weights.hidden, axis=-1).max(axis=-1)
'''

BACKEND = '''"""$name: say where training runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Backend, Problem, backend


@backend("$name")
class $Class(Backend):
    """NumPy's arrays; `accelerate` may return another implementation of the same problem."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, as the backend has it."""
        return np.asarray(array, dtype=dtype)

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        """The problem, on `threads` cores."""
        return problem
'''

THEORY = '''"""The formulas of $name."""

from __future__ import annotations

from twolayer import Paper

paper = Paper("$name", "Author and Author, year")
'''

FIGURES = '''"""The figures of $name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twolayer import Run, bands, name_axes

from .theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@paper.figure("theorem", "The loss falls.", on={"rate": ["loss"]})
def loss(canvas: Figure, run: Run) -> None:
    """Median and range of seeds of the loss over time, for each run."""
    axes = canvas.subplots()
    for one in run.by("run"):
        bands(axes, one.time, one.loss)
    axes.set_xscale("symlog")
    axes.set_yscale("log")
    name_axes(axes, run.time, run.loss)
'''

CLAIMS = '''"""The claims of $name."""

from __future__ import annotations

from twolayer import Result, Run, at_most

from .theory import paper


@paper.claim("The loss does not grow", "theorem 1", "derived", on="rate", by="run", figures=["loss"])
def falls(run: Run) -> Result:
    """The largest step of the loss upwards is 0."""
    return at_most(run.loss.diff("time"), 0.0)
'''

EXPERIMENTS = """# The experiments of $name, as in config.yaml.
experiments:
  rate:
    problem: {name: gaussian_teacher, dimension: 5, teachers: 1}
    network: {neurons: 2, activation: relu, output: fixed}
    initialization: {name: gaussian, scale: 1.0e-2}
    dynamics: {name: gradient_descent, step_size: 0.05}
    times: {start: 0.1, stop: 100.0, count: 40, spacing: log}
    seeds: 3
"""

TEST = '''"""What every plugin of its kind must do holds for $name."""

from pathlib import Path

from twolayer.testing import conformance

FOLDER = str(Path(__file__).parents[1] / "$folder")

test_$name = conformance("$kind", $section, plugin_paths=[FOLDER])
'''

PAPER_TEST = '''"""The experiments, figures and claims of $name are what a config may ask for."""

from pathlib import Path

from twolayer.study.study import load_study


def test_$name() -> None:
    folder = str(Path(__file__).parents[1] / "$folder")
    study = load_study([], {"papers": {"$name": {}}, "plugin_paths": [folder]})
    paper = study.paper("$name")
    assert list(paper.experiments) == ["rate"]
    assert list(paper.figures) == ["loss"]
    assert list(paper.claims) == ["$name.falls"]
'''

PLUGINS = {
    "activation": ("activations", ACTIVATION, '"$name"'),
    "loss": ("losses", LOSS, '"$name"'),
    "problem": ("problems", PROBLEM, '{"name": "$name", "samples": 4, "dimension": 3}'),
    "initialization": ("initializations", INITIALIZATION, '{"name": "$name", "radius": 0.5}'),
    "dynamics": ("dynamics", DYNAMICS, '{"name": "$name", "step_size": 0.02}'),
    "metric": ("metrics", METRIC, '"$name"'),
    "backend": ("backends", BACKEND, '"$name"'),
}
"""By the word of the command: the kind, its template, and the section by which the test names it."""

TEMPLATES = (*PLUGINS, "paper")


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a plugin below a folder of plugins, and its test next to that folder; the files, which must not exist."""
    kind = {plural: word for word, (plural, _, _) in PLUGINS.items()}.get(kind, kind)
    if kind not in TEMPLATES:
        raise ConfigError(f"new: {unknown_name('kind', kind, TEMPLATES)}")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(f"new: a name of letters, digits and '_' that begins with a letter, not {name!r}")
    texts: dict[Path, str]
    if kind == "paper":
        place = folder / "papers" / name
        texts = {
            place / "experiments.yaml": EXPERIMENTS,
            place / "theory.py": THEORY,
            place / "figures.py": FIGURES,
            place / "claims.py": CLAIMS,
            tests_of(folder) / f"test_{name}.py": PAPER_TEST,
        }
        plural, section = "papers", ""
    else:
        plural, template, section = PLUGINS[kind]
        texts = {
            folder / plural / f"{name}.py": template,
            tests_of(folder) / f"test_{name}.py": TEST.replace("$section", section),
        }
    for file in texts:
        if file.exists():
            raise ConfigError(f"new: {file}: is there already; choose another name")
    words = {"$name": name, "$Class": class_name(name), "$kind": plural, "$folder": folder.resolve().name}
    for file, text in texts.items():
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(texts)


def tests_of(folder: Path) -> Path:
    """Where the test of a plugin goes: `tests` next to its folder."""
    return folder.parent / "tests"


def class_name(name: str) -> str:
    """`HeavyBall` of `heavy_ball`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
