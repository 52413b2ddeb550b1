"""The CUDA kernel: layout, barriers and limits, on the host; its numbers are tested in test_compiled_population."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels import HOPPER, HostCudaProblem, OnDevice, fused, host_library, nvcc_report
from networks import network_of, of_two_slopes
from project import PROJECT

import twolayer.population.cuda_descent
from twolayer import PopulationProblem, Problem, Teacher, Weights
from twolayer.population.cuda_descent import plan, source
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.study.registry import load


def drawn(
    neurons: int, teachers: int, features: int, seeds: int, output: Any = "trained", activation: Any = "relu"
) -> tuple[HostCudaProblem, Weights]:
    """A problem with normal teachers, and normal students."""
    host_library()
    random = np.random.default_rng([neurons, teachers, features])
    network = network_of(neurons, activation, output, output_scale="1/sqrt(m)")
    teacher = Teacher(random.standard_normal((teachers, features)), np.ones(teachers))
    hidden = random.standard_normal((seeds, neurons, features))
    weights = Weights(hidden, random.standard_normal((seeds, neurons)))
    return HostCudaProblem(teacher, network), network.with_tied_outputs(weights)


def same_bits(left: Weights, right: Weights) -> bool:
    return np.array_equal(left.hidden, right.hidden) and np.array_equal(left.output, right.output)


# ---- layout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("students", "teachers", "dimension", "seeds", "threads"),
    [(10, 3, 20, 3, 32), (4, 1, 5, 8, 32), (20, 2, 30, 3, 64), (50, 5, 60, 1, 64), (1, 1, 1, 29, 32)],
)
def test_seeds_fill_the_lanes(students: int, teachers: int, dimension: int, seeds: int, threads: int) -> None:
    units = students + teachers
    layout = plan(students, units, min(dimension, units), "fixed", HOPPER)
    assert layout is not None
    assert (layout.seeds, layout.threads) == (seeds, threads)
    assert layout.shared <= HOPPER


def test_what_does_not_fit_into_a_block_has_no_plan() -> None:
    assert plan(110, 113, 113, "fixed", HOPPER) is not None
    assert plan(130, 133, 133, "fixed", HOPPER) is None
    assert plan(60, 65, 65, "fixed", 48 * 1024) is None
    assert plan(1024, 1025, 2, "fixed", HOPPER) is not None
    assert plan(1025, 1026, 2, "fixed", HOPPER) is None


def test_networks_that_do_not_fit_take_the_array_code() -> None:
    problem, weights = drawn(9, 2, 30, 3)
    end = replace(problem, memory=2048).descend(weights, 0.05, 0.1, 20)
    expected = PopulationProblem(problem.data, problem.network).descend(weights, 0.05, 0.1, 20)
    assert same_bits(end, expected)
    assert not same_bits(problem.descend(weights, 0.05, 0.1, 20), expected)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize(
    ("neurons", "teachers", "features", "seeds"),
    [
        (1, 1, 1, 31),
        (1, 3, 2, 30),
        (3, 1, 2, 11),
        (5, 8, 40, 7),
        (17, 2, 12, 8),
        (33, 3, 5, 4),
        (40, 3, 60, 2),
    ],
)
def test_every_layout_walks_the_obvious_loop(
    neurons: int, teachers: int, features: int, seeds: int, output: Any, backwards: bool
) -> None:
    """Blocks that are full and not, lanes over one and several warps, in either order of the threads."""
    problem, weights = drawn(neurons, teachers, features, seeds, output)
    end = replace(problem, backwards=backwards).descend(weights, 0.02, 0.03, 15)
    expected = Problem.descend(PopulationProblem(problem.data, problem.network), weights, 0.02, 0.03, 15)
    for part in ("hidden", "output"):
        one, other = getattr(end, part), getattr(expected, part)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-13 * np.abs(other).max())


@of_two_slopes
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_every_activation_walks_the_obvious_loop(output: Any, activation: Any) -> None:
    problem, weights = drawn(5, 3, 7, 4, output, activation)
    end = problem.descend(weights, 0.02, 0.03, 15)
    expected = Problem.descend(PopulationProblem(problem.data, problem.network), weights, 0.02, 0.03, 15)
    for part in ("hidden", "output"):
        one, other = getattr(end, part), getattr(expected, part)
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-13 * np.abs(other).max())


@pytest.mark.parametrize(("neurons", "features"), [(4, 5), (17, 40)])
def test_bits_depend_neither_on_the_threads_order_nor_on_other_seeds_nor_on_launches(
    neurons: int, features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, weights = drawn(neurons, 2, features, 21)
    end = problem.descend(weights, 0.02, 0.0, 23)
    assert same_bits(end, replace(problem, backwards=True).descend(weights, 0.02, 0.0, 23))
    for chosen in ([20], [0, 7, 9, 13], list(range(3, 18))):
        part = Weights(weights.hidden[chosen], weights.output[chosen])
        part_alone = problem.descend(part, 0.02, 0.0, 23)
        assert same_bits(part_alone, Weights(end.hidden[chosen], end.output[chosen]))
    launches = []

    def launch(self: Any, name: str, layout: Any, blocks: int, arguments: Any) -> None:
        launches.append(arguments[-2])
        HostCudaProblem.launch(self, name, layout, blocks, arguments)

    counting = type("Counting", (HostCudaProblem,), {"launch": launch})(problem.data, problem.network)
    units = neurons + 2
    monkeypatch.setattr(
        twolayer.population.cuda_descent, "WORK", 10 * 21 * neurons * units * min(features, units)
    )
    assert same_bits(end, counting.descend(weights, 0.02, 0.0, 23))
    assert launches == [10, 10, 3]


# ---- near the teachers --------------------------------------------------------------------------------------


def near_teachers(output: Any, activation: Any) -> tuple[HostCudaProblem, Weights]:
    """Eleven seeds of six students: some near three orthogonal teachers, some on their way there, one with a small
    stray, one far off."""
    host_library()
    network = network_of(6, activation, output, output_scale="1/m")
    random = np.random.default_rng(5)
    axes = np.linalg.qr(random.standard_normal((8, 8)))[0][:3]
    teacher = Teacher(axes, np.array([1.0, 0.8, 1.2]), "none")
    hidden = np.sqrt(6.0 / 2.0) * np.tile(np.repeat(axes, 2, axis=0), (11, 1, 1))
    off = 10.0 ** np.array([-9, -8, -7, -6, -6, -5, -4, -3, -2, -7, -1])
    hidden = hidden + off[:, None, None] * random.standard_normal(hidden.shape)
    hidden[9, 5] = 1e-8 * random.standard_normal(8)
    given = np.repeat(np.array([[1.0, 0.8, 1.2]]) ** 0.5, 2, axis=1) * np.ones((11, 6))
    return HostCudaProblem(teacher, network), network.with_tied_outputs(Weights(hidden, given))


@of_two_slopes
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_seeds_near_their_teachers_walk_as_numba_has_them(
    output: Any, activation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 steps of seeds that are near the teachers, come there and leave: by numba to 1e-12, to the same bits in
    whatever order threads come, in several launches and with other seeds; the array code takes none."""
    problem, weights = near_teachers(output, activation)
    ways = []
    launch = HostCudaProblem.launch

    def noted(self: Any, name: str, layout: Any, blocks: int, arguments: Any) -> None:
        ways.append(name)
        launch(self, name, layout, blocks, arguments)

    monkeypatch.setattr(HostCudaProblem, "launch", noted)
    end = problem.descend(weights, 0.05, 0.0, 300)
    assert {"descend", "descend_near"} == set(ways)
    expected = CompiledPopulationProblem(problem.data, problem.network).descend(weights, 0.05, 0.0, 300)
    for part in ("hidden", "output"):
        one, other = getattr(end, part), getattr(expected, part)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())

    assert same_bits(end, replace(problem, backwards=True).descend(weights, 0.05, 0.0, 300))
    chosen = [1, 5, 9]
    alone = problem.descend(Weights(weights.hidden[chosen], weights.output[chosen]), 0.05, 0.0, 300)
    assert same_bits(alone, Weights(end.hidden[chosen], end.output[chosen]))
    monkeypatch.setattr(twolayer.population.cuda_descent, "WORK", 40 * 11 * 6 * 9 * 8)
    assert same_bits(end, problem.descend(weights, 0.05, 0.0, 300))


# ---- compilers ----------------------------------------------------------------------------------------------


def test_the_source_is_what_the_run_time_compiler_takes() -> None:
    for name in ("descend", "descend_near"):
        assert source(name).isascii()
        assert "#include" not in source(name)


@pytest.mark.parametrize("name", ["descend", "descend_near"])
@pytest.mark.parametrize(("students", "teachers", "dimension"), [(4, 1, 5), (10, 3, 20), (50, 5, 60)])
def test_nvcc_compiles_it(students: int, teachers: int, dimension: int, name: str, tmp_path: Path) -> None:
    units = students + teachers
    layout = plan(students, units, min(dimension, units), "trained", HOPPER)
    assert layout is not None
    printed = nvcc_report(name, source(name), layout.macros, tmp_path)
    registers = int(re.findall(r"Used (\d+) registers", printed)[0])
    spilled = int(re.findall(r"(\d+) bytes spill stores", printed)[0])
    if students <= 10 and name == "descend":  # three warps on each scheduler, and nothing spilled
        assert spilled == 0
        assert registers <= 168


# ---- a GPU --------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_thousands_of_seeds_on_a_gpu() -> None:
    made = fused("cupy")
    random = np.random.default_rng(0)
    network = network_of(10, output="fixed")
    teacher = Teacher(np.linalg.qr(random.standard_normal((20, 3)))[0].T, np.ones(3))
    weights = Weights(random.standard_normal((4096, 10, 20)) / np.sqrt(200), np.ones((4096, 10)))
    end = made(teacher, network).descend(weights, 0.01, 0.0, 200)
    expected = CompiledPopulationProblem(teacher, network, 2).descend(weights, 0.01, 0.0, 200)
    difference = np.abs(end.hidden - expected.hidden).max(axis=(1, 2))
    assert np.median(difference) < 1e-14
    assert difference.max() < 1e-10  # a student that passes close by 0 feels the last bit


@pytest.mark.gpu
def test_a_network_too_large_for_a_block_on_a_gpu() -> None:
    fused("cupy")
    random = np.random.default_rng(0)
    network = network_of(400)
    teacher = Teacher(random.standard_normal((2, 500)), np.ones(2))
    weights = Weights(random.standard_normal((1, 400, 500)), random.standard_normal((1, 400)))
    end = OnDevice(teacher, network).descend(weights, 1e-5, 0.0, 3)
    expected = PopulationProblem(teacher, network).descend(weights, 1e-5, 0.0, 3)
    np.testing.assert_allclose(end.hidden, expected.hidden, rtol=0, atol=1e-12)


def test_the_backend_hands_out_this_problem() -> None:
    """Loading the plugin needs no GPU."""
    device = load(kinds=["backends"]).find("backends", "cupy").plugin
    problem = device.accelerate(PopulationProblem(Teacher(np.eye(1, 2), np.ones(1)), network_of(2)), 1)
    assert isinstance(problem, twolayer.population.cuda_descent.CudaPopulationProblem)


def test_a_missing_gpu_is_reported_in_one_line(tmp_path: Path) -> None:
    """By the backend and by the benchmark, with a CuPy that finds no driver."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(NO_DRIVER)
    path = os.pathsep.join([str(tmp_path), str(PROJECT / "src")])
    call = (
        "from twolayer.study.registry import load; load(kinds=['backends']).find('backends', 'cupy').plugin"
    )
    for command, words in (
        (["benchmarks/gpu.py"], "found no CUDA device that works (no driver)"),
        (["-c", f"{call}.asarray([1.0], 'float64')"], "ConfigError: backend: 'cupy' found no CUDA device"),
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=PROJECT, env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert words in done.stderr.splitlines()[-1]


NO_DRIVER = """
from types import SimpleNamespace

class CUDARuntimeError(RuntimeError):
    pass

cuda = SimpleNamespace(runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError))

def zeros(count):
    raise CUDARuntimeError("no driver")
"""
