"""Plugins with a wrong or missing method, or that give what they must not: said where, before anything is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_files import place

import twolayer
from twolayer.errors import ConfigError, DataError, PluginError
from twolayer.study.registry import load

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.5], [0.2, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 2]},
    "seeds": 2,
    "metrics": ["loss"],
}
HEAD = """\
from dataclasses import dataclass
import numpy as np
from twolayer import Descent, FiniteData, InitializationSpec, InstantUpdate, ProblemSpec, Weights
from twolayer import dynamics, initialization, metric, problem

"""


def section(kind: str, base: str, *lines: str) -> str:
    """A plugin `wrong` of a kind whose class has these lines."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD}@{kind}('wrong')\n@dataclass(frozen=True)\nclass Wrong({base}):\n{body}\n"


@pytest.mark.parametrize(
    ("kind", "base", "lines", "message"),
    [
        (
            "dynamics",
            "Descent",
            ["def step(self, problem, weights, random): yield"],
            "define steps(problem, weights,",
        ),
        ("dynamics", "InstantUpdate", ["rate: float = 1.0"], "must define update(problem, weights, random)"),
        (
            "dynamics",
            "Descent",
            ["def steps(self, problem): yield"],
            "weights, random); it is steps(problem)",
        ),
        (
            "dynamics",
            "Descent",
            ["rate: complex = 1j", "def steps(self, *all): yield"],
            "'rate' with the default 1j",
        ),
        (
            "initialization",
            "InitializationSpec",
            ["scale: float = 1.0"],
            "must define draw(data, network, random)",
        ),
        (
            "initialization",
            "InitializationSpec",
            ["def draw(self, data): ..."],
            "network, random); it is draw(data)",
        ),
        (
            "problem",
            "ProblemSpec",
            ["def generate(self): ..."],
            "must define generate(random); it is generate()",
        ),
    ],
)
def test_a_class_that_cannot_be_called_as_it_will_be_is_refused(
    tmp_path: Path, kind: str, base: str, lines: list[str], message: str
) -> None:
    kinds = {"problem": "problems", "initialization": "initializations"}.get(kind, kind)
    folder = place(tmp_path, **{f"{kinds}__wrong": section(kind, base, *lines)})
    (failure,) = load([str(folder)]).failures.values()
    assert message in failure


def test_other_arguments_that_take_as_many_are_fine(tmp_path: Path) -> None:
    lines = ["def steps(self, *all):", "    while True: yield all[1]"]
    folder = place(tmp_path, dynamics__wrong=section("dynamics", "Descent", *lines))
    changed = {"dynamics": {"name": "wrong", "step_size": 0.1}}
    data = twolayer.run({**EXPERIMENT, **changed}, plugin_paths=[str(folder)])
    assert (data.loss == data.loss[:, 0]).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("return weights", "Wrong.steps: returns Weights; it must yield weights without end"),
        ("yield weights.hidden", "Wrong.steps: yields ndarray; must yield Weights(hidden, output)"),
    ],
)
def test_steps_must_yield_weights(tmp_path: Path, line: str, message: str) -> None:
    lines = ["def steps(self, problem, weights, random):", f"    {line}"]
    folder = place(tmp_path, dynamics__wrong=section("dynamics", "Descent", *lines))
    with pytest.raises(PluginError) as caught:
        twolayer.run(
            {**EXPERIMENT, "dynamics": {"name": "wrong", "step_size": 0.1}},
            "numpy",
            plugin_paths=[str(folder)],
        )
    assert message in str(caught.value)


def test_a_problem_must_return_data(tmp_path: Path) -> None:
    folder = place(
        tmp_path, problems__wrong=section("problem", "ProblemSpec", "def generate(self, random): ...")
    )
    with pytest.raises(PluginError, match="problem 'wrong': returns NoneType; must return FiniteData"):
        twolayer.run({**EXPERIMENT, "problem": {"name": "wrong"}}, plugin_paths=[str(folder)])


def test_a_field_without_a_type_is_said_to_have_none(tmp_path: Path) -> None:
    lines = ["rate = 1.0", "def steps(self, problem, weights, random): yield weights"]
    folder = place(tmp_path, dynamics__wrong=section("dynamics", "Descent", *lines))
    wrong = {"name": "wrong", "step_size": 0.1, "rate": 2.0}
    with pytest.raises(
        ConfigError, match=r"dynamics\.rate: there is no key 'rate'.* it has no type: write rate: "
    ):
        twolayer.run({**EXPERIMENT, "dynamics": wrong}, plugin_paths=[str(folder)])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("return np.zeros(7)", "it is an array of shape (7,) for 6 networks; must lead with that number"),
        ("weights", "it is an array of shape () for 6 networks"),
        ("return ['a'] * 6", "it is an array of str32; must be of real numbers"),
        ("weights.hidden[...] = 0.0; return np.zeros(6)", "destination is read-only"),
    ],
)
def test_a_metric_gives_a_number_for_each_network_and_changes_none(
    tmp_path: Path, line: str, message: str
) -> None:
    text = f"{HEAD}@metric('wrong', ('seed', 'time'), 'x', per_frame=True)\ndef wrong(problem, weights):\n    {line}\n"
    folder = place(tmp_path, metrics__wrong=text)
    with pytest.raises(PluginError) as caught:
        twolayer.run({**EXPERIMENT, "metrics": ["loss", "wrong"]}, plugin_paths=[str(folder)])
    assert message in str(caught.value)
    assert "metrics/wrong.py" in str(caught.value)


def test_a_metric_measured_by_default_cannot_change_what_others_measure(tmp_path: Path) -> None:
    text = (
        f"{HEAD}@metric('a_first', ('seed', 'time'), 'x')\ndef a_first(problem, path):\n"
        "    path.weights.output[...] = 0.0\n    return np.zeros(path.weights.output.shape[:2])\n"
    )
    folder = place(tmp_path, metrics__a_first=text)
    plain = {key: value for key, value in EXPERIMENT.items() if key != "metrics"}
    found, usual = twolayer.run(plain, plugin_paths=[str(folder)]), twolayer.run(plain)
    np.testing.assert_array_equal(found.path_norm, usual.path_norm)
    assert "a_first" in found.notes


SIGMA = """\
from dataclasses import dataclass
import numpy as np
from twolayer import Activation, activation

@activation("wrong")
@dataclass(frozen=True)
class Wrong(Activation):
    def value(self, z):
        return {value}
    def derivative(self, z):
        return {derivative}
"""
ELL = """\
import numpy as np
from twolayer import Loss, loss

@loss("wrong")
class Wrong(Loss):
    def value(self, f, y):
        return {value}
    def derivative(self, f, y):
        return {derivative}
    def second_derivative(self, f, y):
        return 1.0 + 0.0 * f
"""


@pytest.mark.parametrize(
    ("value", "derivative", "message"),
    [
        ("0.0 * z.sum()", "z", "Wrong.value gives an array of shape () for numbers of shape (3, 1)"),
        ("z", "1.0", "Wrong.derivative gives an array of shape ()"),
        ("z", "z[:, 0]", "Wrong.derivative gives an array of shape (3,)"),
        ("1 / 0", "z", "wrong.py failed in line 9, in value: ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("kind", ["activation", "loss"])
def test_functions_of_numbers_are_elementwise(
    tmp_path: Path, kind: str, value: str, derivative: str, message: str
) -> None:
    text = {"activation": SIGMA, "loss": ELL}[kind].format(value=value, derivative=derivative)
    text = text.replace("z", "f").replace("(self, f):", "(self, z):") if kind == "loss" else text
    folder = place(tmp_path, **{"activations__wrong" if kind == "activation" else "losses__wrong": text})
    changed = (
        {"network": {"neurons": 3, "activation": "wrong"}}
        if kind == "activation"
        else {"problem": {**EXPERIMENT["problem"], "loss": "wrong"}}
    )
    with pytest.raises(ConfigError) as caught:
        twolayer.run({**EXPERIMENT, **changed}, plugin_paths=[str(folder)])
    assert message.replace("line 9", "line 7" if kind == "loss" else "line 9") in str(caught.value)


def test_arrays_of_a_problem_have_one_size_along_each_dimension(tmp_path: Path) -> None:
    line = "def generate(self, random): return FiniteData(np.ones((4, 2)), np.ones(3), 'mean_square')"
    folder = place(tmp_path, problems__wrong=section("problem", "ProblemSpec", line))
    with pytest.raises(DataError, match="targets has samples: 3, and inputs: 4; must be as many"):
        twolayer.run({**EXPERIMENT, "problem": {"name": "wrong"}}, plugin_paths=[str(folder)])
