"""Mistakes whose messages name what was meant: each says where it is, what is wrong and what would be right."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest

import twolayer
from twolayer import Weights
from twolayer.cli import main
from twolayer.errors import ConfigError
from twolayer.study.registry import load
from twolayer.study.study import load_study

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 10]},
}

BALANCED = {"name": "gaussian", "scale": 0.1, "balanced": True}

PLUGIN = '''
from dataclasses import dataclass
from twolayer import Descent, dynamics

@dynamics("mine")
@dataclass(frozen=True)
class Mine(Descent):
    """Mine."""

    momentum: float = 0.5

    def steps(self, problem, weights, random):
        for number in range(5):
            weights = weights - self.step_size * problem.gradient(weights)
            yield weights
'''


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "eight"}, "experiment.seeds: must be a number of seeds, or a list of them, is 'eight'"),
        ({"seeds": {"count": 8}}, "experiment.seeds: must be a number of seeds, or a list of them, is {'count': 8}"),
        (
            {"sweep": {"network": {"neurons": [2, 3]}}},
            "experiment.sweep.network: has neurons: [2, 3], which is no whole section; to sweep a setting of it write "
            "its path, network.neurons: [...]",
        ),
        (
            {"sweep": {"dynamics": [0.1, 0.2]}},
            "experiment.sweep.dynamics: [0.1, 0.2] are no whole sections; to sweep a setting of it write its path, "
            "such as dynamics.step_size: [...]",
        ),
        (
            {"sweep": {"neurons": [2, 3]}},
            "experiment.sweep.neurons: there is no section to sweep 'neurons'. Known: dtype, dynamics, "
            "initialization, network, problem, seeds, stop, times. A path begins with its section: network.neurons",
        ),
        (
            {"initialization": BALANCED, "network": {"neurons": 2, "output": "fixed"}},
            "experiment.initialization.balanced: draws outputs a_j = ±|w_j|, but the network's outputs are fixed",
        ),
    ],
)  # fmt: skip
def test_a_section_that_says_something_else(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        twolayer.run({**EXPERIMENT, **changes}, "numpy")


@pytest.mark.parametrize("given", ["config.yaml", PurePath("config.yaml"), "xu2023"])
def test_a_path_is_no_experiment(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^experiment: '\S+' is a path or a name; must be a mapping"):
        twolayer.run(given)


def test_weights_take_numbers_and_say_so() -> None:
    weights = Weights(np.ones((1, 2, 3)), np.ones((1, 2)))
    for scaled in (weights * 0.5, 0.5 * weights, weights / 2, -(weights * -0.5)):
        assert (scaled.hidden == 0.5).all()
        assert (scaled.output == 0.5).all()
    must = "weights add, subtract, and take a number as a factor or divisor"
    for mistake in (
        lambda: weights + 1.0,
        lambda: weights - np.ones(3),
        lambda: weights * weights,
        lambda: weights / weights,
        lambda: weights**2,
    ):
        with pytest.raises(TypeError, match=must):
            mistake()


def mine(folder: Path, text: str) -> list[str]:
    """A folder with a dynamics."""
    (folder / "dynamics").mkdir(parents=True, exist_ok=True)
    (folder / "dynamics" / "mine.py").write_text(text)
    return [str(folder)]


def with_mine(folder: Path, text: str) -> Any:
    """An experiment with this dynamics."""
    experiment = {**EXPERIMENT, "dynamics": {"name": "mine", "step_size": 0.1}}
    return twolayer.run(experiment, "numpy", plugin_paths=mine(folder, text))


def test_steps_that_end_early(tmp_path: Path) -> None:
    with pytest.raises(
        twolayer.errors.TrainingError, match=r"Mine\.steps: ended before step 6 of 10; it must yield"
    ):
        with_mine(tmp_path, PLUGIN)


def test_of_plugins_that_failed_those_are_named_that_have_the_name(tmp_path: Path) -> None:
    folder = mine(tmp_path, PLUGIN.replace("@dataclass(frozen=True)\n", ""))
    (Path(folder[0]) / "dynamics" / "other.py").write_text("import nothing_of_that_name\n")
    registry = load(folder, ("dynamics",))
    assert len(registry.failures) == 2
    with pytest.raises(ConfigError, match="may have had it") as raised:
        registry.find("dynamics", "mine")
    assert "mine.py" in str(raised.value)
    assert "other.py" not in str(raised.value)
    with pytest.raises(ConfigError, match=r"other\.py"):
        registry.find("dynamics", "unheard")


def test_a_field_without_a_dataclass(tmp_path: Path) -> None:
    folder = mine(tmp_path, PLUGIN.replace("@dataclass(frozen=True)\n", ""))
    (reason,) = load(folder, ("dynamics",)).failures.values()
    assert reason == (
        "register_dynamics: 'mine' has the field 'momentum', but Mine is no dataclass; write @dataclass(frozen=True) "
        "above the class"
    )


def test_a_plugin_that_raises_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mine(tmp_path, PLUGIN.replace("range(5)", "range(5 // 0)"))
    run = {"paper": "p", "experiment": "e", "name": "default", "swept": {}, "seeds": [0], "dtype": "float64"}
    run |= EXPERIMENT | {"dynamics": {"name": "mine", "step_size": 0.1}}
    run["network"] = {"neurons": 2, "activation": "relu", "output": "trained"}
    problem, output = str(tmp_path / "problem.nc"), str(tmp_path / "trajectory.nc")
    assert main(["generate", "--run", json.dumps(run), "--output", problem]) == 0
    command = ["train", "--plugin-path", *folder, "--problem", problem, "--backend", "numpy"]
    assert main([*command, "--output", output]) == 2
    assert capsys.readouterr().err == (
        f"twolayer train: error: {output}: the plugin {tmp_path}/dynamics/mine.py failed in line 13, in steps: "
        "ZeroDivisionError: integer division or modulo by zero\n"
    )


def test_a_figure_is_written_as_pdf_or_png(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from twolayer.analysis.figures import Face, write_still
    from twolayer.errors import DataError

    face = Face("p.f", "theorem", "", "", {}, {}, ())
    with pytest.raises(
        DataError, match=r"x\.svg: a figure is written as \.pdf, \.png; an animation as \.mp4"
    ):
        write_still(Figure(), tmp_path / "x.svg", face)


def test_angles_in_radians_are_doubted() -> None:
    teacher = {"name": "gaussian_teacher", "dimension": 3}
    with pytest.warns(UserWarning, match=r"experiment\.problem\.angles: \[0\.0, 1\.57\] look like radians"):
        twolayer.run({**EXPERIMENT, "problem": {**teacher, "angles": [0.0, 1.57]}}, "numpy")
    section = {**EXPERIMENT, "problem": {**teacher, "angles": [0.0, 1.0472, 2.0944]}}
    (warning,) = load_study([], {"papers": {"mine": {"experiments": {"e": section}}}}).warnings[:1]
    assert warning.startswith(
        "papers.mine.experiments.e.problem.angles: [0.0, 1.0472, 2.0944] look like radians"
    )
    for angles in ([0.0, 1.0], [0.0, 0.5, 90.0], [0.0, 60.0], [3.0, -3.0]):
        section = {**EXPERIMENT, "problem": {**teacher, "angles": angles}}
        printed = load_study([], {"papers": {"mine": {"experiments": {"e": section}}}}).warnings
        assert not any("radians" in line for line in printed), angles
