"""The examples of README and docs: each is cut out of its page, put where its first line says, and run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from project import PROJECT

import twolayer
from twolayer.core.network import Network
from twolayer.core.times import Times
from twolayer.study.hooks import KINDS
from twolayer.study.registry import load
from twolayer.study.study import load_study

PAGES = ("README.md", "docs/guide.md", "docs/plugins.md", "docs/config.md", "docs/mathematics.md")


def examples(page: str, language: str) -> dict[str, str]:
    """The fenced blocks of a page whose first line is a comment with a file's name, by that name."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(# (\S+)\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return {name: block for block, name in blocks}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every example plugin of docs/guide.md and docs/plugins.md in its place."""
    root = tmp_path_factory.mktemp("examples")
    for page in ("docs/guide.md", "docs/plugins.md"):
        for name, block in {**examples(page, "python"), **examples(page, "yaml")}.items():
            if name.startswith("plugins/"):
                file = root / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block, encoding="utf-8")
    return root


def experiment(**sections: object) -> dict[str, object]:
    return {
        "problem": {"name": "points", "inputs": [-1.0, 0.5, 2.0], "targets": [1.0, -0.5, 1.0], "bias": True},
        "network": {"neurons": 6},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.01},
        "times": {"start": 0.1, "stop": 5, "count": 5, "spacing": "log"},
        "seeds": 2,
        **sections,
    }


def test_every_kind_has_an_example_that_loads(folder: Path) -> None:
    registry = load([folder / "plugins"])
    assert not registry.failures
    assert not registry.duplicates
    mine = {kind for (kind, _), entry in registry.entries.items() if str(folder) in entry.source}
    assert mine == set(KINDS)


def test_swish_learns_by_its_derivative(folder: Path) -> None:
    """One small step of descent lowers the loss by step_size |∇L|², to first order, on every backend."""
    step = 1e-6
    settings = experiment(
        network={"neurons": 6, "activation": {"name": "swish", "steepness": 2}},
        dynamics={"name": "gradient_descent", "step_size": step},
        times={"steps": [1]},
    )
    for backend in ("numpy", "numba", "strict"):
        found = twolayer.run(settings, backend, plugin_paths=[str(folder / "plugins")])
        fall = -found["loss"].diff("time").values[:, 0] / step
        np.testing.assert_allclose(fall, found["gradient_norm"].isel(time=0).values ** 2, rtol=1e-4)


def test_the_kernel_of_sine_is_its_quadrature(folder: Path) -> None:
    """To 1e-12, as the rule's error; and the loss of swish on a teacher falls by its gradient."""
    from twolayer.population.gaussian_kernel import ClosedPairs, QuadraturePairs

    registry = load([folder / "plugins"], ["activations"])
    sine = registry.find("activations", "sine").plugin()
    vectors = np.random.default_rng(0).standard_normal((5, 3))
    closed, sums = ClosedPairs(sine.kernel, vectors, vectors), QuadraturePairs(sine, vectors, vectors)
    for what in ("values", "pulls", "curvatures", "mixed"):
        np.testing.assert_allclose(getattr(closed, what)(), getattr(sums, what)(), rtol=0, atol=1e-12)
    for name in ("sine", "swish"):
        settings = experiment(
            problem={"name": "gaussian_teacher", "dimension": 3, "teachers": 1},
            network={"neurons": 2, "activation": name},
            dynamics={"name": "gradient_descent", "step_size": 1e-6},
            times={"steps": [1]},
        )
        found = twolayer.run(settings, "strict", plugin_paths=[str(folder / "plugins")])
        fall = -found["loss"].diff("time").values[:, 0] / 1e-6
        np.testing.assert_allclose(fall, found["gradient_norm"].isel(time=0).values ** 2, rtol=1e-4)


def test_log_cosh_learns_by_its_derivative(folder: Path) -> None:
    """As for swish: one small step lowers the loss by step_size |∇L|²; the flow of a smooth network lowers it too."""
    step, points = 1e-6, experiment()["problem"]
    assert isinstance(points, dict)
    settings = experiment(
        problem={**points, "loss": "log_cosh"},
        dynamics={"name": "gradient_descent", "step_size": step},
        times={"steps": [1]},
    )
    for backend in ("numpy", "numba", "strict"):
        found = twolayer.run(settings, backend, plugin_paths=[str(folder / "plugins")])
        fall = -found["loss"].diff("time").values[:, 0] / step
        np.testing.assert_allclose(fall, found["gradient_norm"].isel(time=0).values ** 2, rtol=1e-4)


@pytest.mark.parametrize("output", ["trained", "fixed", "tied"])
def test_heavy_ball_is_its_formula(folder: Path, output: str) -> None:
    """The guide's dynamics on every backend that needs no device, against the recursion written out."""
    settings = experiment(
        network={"neurons": 6, "output": output},
        dynamics={"name": "heavy_ball", "step_size": 0.05, "momentum": 0.5},
        times={"steps": [1, 2, 30]},
    )
    runs = {
        backend: twolayer.run(settings, backend, weights=True, plugin_paths=[str(folder / "plugins")])
        for backend in ("numpy", "numba", "strict")
    }
    for backend, found in runs.items():
        np.testing.assert_allclose(
            found["hidden"], runs["numpy"]["hidden"], rtol=1e-12, atol=1e-14, err_msg=backend
        )

    inputs = np.array([[-1.0, 1.0], [0.5, 1.0], [2.0, 1.0]])
    targets = np.array([1.0, -0.5, 1.0])
    start = runs["numpy"].isel(seed=1, time=0)
    hidden, outputs = start["hidden"].values, start["output"].values
    previous = hidden, outputs
    for step in range(1, 31):
        active = inputs @ hidden.T > 0  # (sample, neuron)
        residual = (np.maximum(inputs @ hidden.T, 0) @ outputs - targets) / 3
        force = (active * residual[:, None]).T @ inputs  # (neuron, feature)
        toward_output = (force * hidden).sum(1)
        toward_hidden = outputs[:, None] * force
        if output == "tied":
            toward_hidden = (
                toward_hidden + toward_output[:, None] * hidden / np.linalg.norm(hidden, axis=1)[:, None]
            )
        new_hidden = hidden - 0.05 * toward_hidden + 0.5 * (hidden - previous[0])
        new_outputs = outputs - 0.05 * toward_output + 0.5 * (outputs - previous[1])
        previous = hidden, outputs
        hidden = new_hidden
        outputs = {"trained": new_outputs, "fixed": outputs, "tied": np.linalg.norm(hidden, axis=1)}[output]
        if step in (1, 2, 30):
            found = runs["numpy"].isel(seed=1).swap_dims(time="step").sel(step=step)
            np.testing.assert_allclose(found["hidden"], hidden, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found["output"], outputs, rtol=1e-9, atol=1e-12)


def test_examples_run_together_on_every_backend(folder: Path) -> None:
    settings = experiment(
        problem={"name": "parity", "samples": 12, "dimension": 4},
        initialization={"name": "sphere", "radius": 0.3},
        dynamics={"name": "noisy_gradient_descent", "step_size": 0.01, "temperature": 1e-3},
    )
    losses = {}
    for backend in ("numpy", "numba", "strict"):
        dataset = twolayer.run(settings, backend, weights=True, plugin_paths=[str(folder / "plugins")])
        losses[backend] = dataset["loss"].values
        assert dataset["dead_neurons"].dims == ("seed", "time")
        assert dataset["dead_neurons"].dtype.kind == "i"
        start = dataset.isel(time=0)
        np.testing.assert_allclose(np.linalg.norm(start["hidden"], axis=-1), 0.3)
        np.testing.assert_allclose(abs(start["output"]), 0.3)
    np.testing.assert_allclose(losses["numba"], losses["numpy"], rtol=1e-10)
    np.testing.assert_allclose(losses["strict"], losses["numpy"], rtol=1e-10)
    assert (losses["numpy"][:, 0] != losses["numpy"][:, -1]).all()


def test_the_example_metric_stays_out_of_the_way_of_a_teacher(folder: Path) -> None:
    """By default it is measured on samples; on a whole population it does not apply, and nothing fails."""
    problem = {"name": "gaussian_teacher", "dimension": 3, "teachers": 1}
    experiment = {
        "problem": problem,
        "network": {"neurons": 2},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 2]},
    }
    dataset = twolayer.run(experiment, "numpy", plugin_paths=[str(folder / "plugins")])
    assert "dead_neurons" not in dataset
    assert "dead_neurons" not in dataset.attrs["notes"]
    sampled = {**experiment, "problem": {**problem, "samples": 5}}
    assert "dead_neurons" in twolayer.run(sampled, "numpy", plugin_paths=[str(folder / "plugins")])


def test_example_refuses_with_the_place(folder: Path) -> None:
    settings = experiment(problem={"name": "parity", "samples": 12, "dimension": 4, "order": 5})
    with pytest.raises(Exception, match=r"problem\.order: must lie between 1 and dimension = 4, is 5"):
        twolayer.run(settings, plugin_paths=[str(folder / "plugins")])


def test_example_paper_through_snakemake(folder: Path) -> None:
    """The example paper with its figure, its animation and its claims, as a user would make it."""
    for name in ("Snakefile", "workflow", "profiles"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    config = "backend: numpy\nplugin_paths: [plugins]\npapers: {parities: {}}\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "parities"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = folder / "results" / "parities"
    for figure in ("loss.pdf", "loss.png", "descent.mp4"):
        assert (results / "figures" / figure).stat().st_size > 1000
    claims = json.loads((results / "claims.json").read_text(encoding="utf-8"))
    assert [row["claim"] for row in claims] == ["one_before_two", "start[k = 1]", "start[k = 2]"]
    assert {row["verdict"] for row in claims} == {"holds"}
    assert "3 claims: 3 hold, 0 fail, 0 inconclusive" in done.stdout + done.stderr


def test_notebook_example_of_the_guide(tmp_path: Path) -> None:
    (block,) = examples("docs/guide.md", "python").keys() & {"notebook.py"}
    names: dict[str, object] = {}
    exec(compile(examples("docs/guide.md", "python")[block], "docs/guide.md", "exec"), names)
    assert set(names["dataset"]["loss"].dims) == {"neurons", "seed", "time"}  # type: ignore[index]


@pytest.mark.parametrize("page", PAGES)
def test_configs_are_accepted(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every YAML example that is a config.yaml."""
    monkeypatch.chdir(folder)
    text = (PROJECT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```yaml\n(# config\.yaml\n.*?)^```$", text, re.MULTILINE | re.DOTALL):
        file = folder / "example.yaml"
        file.write_text(block, encoding="utf-8")
        study = load_study([file])
        assert study.papers


def test_config_page_names_every_key() -> None:
    page = (PROJECT / "docs/config.md").read_text(encoding="utf-8")
    for section in (Network, Times):
        for field in fields(section):
            assert f"`{field.name}`" in page, (
                f"docs/config.md does not tell of {section.__name__}.{field.name}"
            )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (PROJECT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (python3 -m venv .*pytest.*)$", readme, re.MULTILINE)
    assert command in (PROJECT / ".ci/run").read_text(encoding="utf-8").splitlines()
