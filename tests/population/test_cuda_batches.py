"""The CUDA kernel of stochastic descent, on the host: its numbers, layout, barriers and limits."""

from __future__ import annotations

import ctypes
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels import HOPPER, HostCudaProblem, device_with_kernel, host_batches, nvcc_report
from namespaces import backend
from networks import network_of, of_two_slopes

import twolayer.population.cuda_batches
from twolayer import PopulationProblem, Problem, Teacher, Weights
from twolayer.core.arrays import to_host
from twolayer.core.counter import TAIL, normals
from twolayer.core.seeds import random_of
from twolayer.population.cuda_batches import BatchPlan, batch_plan, batch_source
from twolayer.population.numba_descent import CompiledPopulationProblem


def drawn(
    neurons: int, teachers: int, features: int, seeds: int, output: Any = "trained", activation: Any = "relu",
    profile: Any = "none",
) -> tuple[HostCudaProblem, Weights]:  # fmt: skip
    """A problem with normal teachers, and normal students."""
    host_batches()
    random = np.random.default_rng([neurons, teachers, features])
    network = network_of(neurons, activation, output, output_scale="1/sqrt(m)")
    vectors = random.standard_normal((teachers, features)) / np.sqrt(features)
    teacher = Teacher(vectors, random.standard_normal(teachers), profile)
    hidden = random.standard_normal((seeds, neurons, features)) / np.sqrt(features)
    output_weights = random.standard_normal((seeds, neurons))
    return HostCudaProblem(teacher, network), network.with_tied_outputs(Weights(hidden, output_weights))


def generators(seeds: Any) -> list[np.random.Generator]:
    return [random_of(seed, "dynamics") for seed in seeds]


def descend(
    problem: Any, weights: Weights, batch_size: int, counts: Any = (7,), seeds: Any = None
) -> Weights:
    """Steps in calls of so many."""
    random = generators(range(len(weights.hidden)) if seeds is None else seeds)
    for count in counts:
        weights = problem.descend_on_batches(weights, 0.1, batch_size, count, random)
    return weights


def assert_close(one: Weights, other: Weights, tolerance: float) -> None:
    for part in ("hidden", "output"):
        expected = getattr(other, part)
        np.testing.assert_allclose(
            getattr(one, part), expected, rtol=0, atol=tolerance * np.abs(expected).max()
        )


def same_bits(left: Weights, right: Weights) -> bool:
    return np.array_equal(left.hidden, right.hidden) and np.array_equal(left.output, right.output)


def test_numbers_are_those_of_the_counter() -> None:
    """To the last bit but one, where the device's exp and log differ."""
    found = np.empty(60_000)
    key = 0x123456789ABCDEF
    pointer = found.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    host_batches().normals(ctypes.c_ulonglong(key), pointer, found.size)
    assert (np.abs(found) > TAIL).any()
    np.testing.assert_allclose(found, normals(key, found.size), rtol=2e-16)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize(
    ("neurons", "teachers", "features", "seeds", "batch_size"),
    [(1, 1, 1, 5, 1), (4, 1, 5, 3, 64), (3, 2, 2, 2, 65), (20, 2, 10, 2, 200), (40, 4, 30, 2, 150)],
)
def test_every_layout_takes_the_steps_of_the_array_code(
    neurons: int, teachers: int, features: int, seeds: int, batch_size: int, output: Any, backwards: bool
) -> None:
    """Batches that fill blocks and do not, few entries of the gradient for each thread and many, in either order of
    the threads; and those of numba. To the rounding of sums of 200 terms, in 7 steps."""
    problem, weights = drawn(neurons, teachers, features, seeds, output)
    end = descend(replace(problem, backwards=backwards), weights, batch_size)
    assert_close(end, descend(PopulationProblem(problem.data, problem.network), weights, batch_size), 1e-12)
    numba = CompiledPopulationProblem(problem.data, problem.network)
    assert_close(end, descend(numba, weights, batch_size), 1e-12)


@of_two_slopes
@pytest.mark.parametrize("profile", ["none", "constant", "linear"])
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
def test_every_activation_and_profile(output: Any, profile: Any, activation: Any) -> None:
    problem, weights = drawn(5, 3, 7, 2, output, activation, profile)
    end = descend(problem, weights, 30)
    assert_close(end, descend(PopulationProblem(problem.data, problem.network), weights, 30), 1e-12)


def test_float32_weights_are_rounded_at_each_step() -> None:
    problem, weights = drawn(5, 3, 7, 3)
    single = Weights(weights.hidden.astype(np.float32), weights.output.astype(np.float32))
    end = descend(problem, single, 30, (7,))
    assert end.hidden.dtype == end.output.dtype == np.float32
    assert same_bits(end, descend(problem, single, 30, (2, 4, 1)))
    assert not np.array_equal(end.hidden, descend(problem, weights, 30).hidden.astype(np.float32))
    assert_close(end, descend(CompiledPopulationProblem(problem.data, problem.network), single, 30), 1e-6)


def test_bits_depend_neither_on_the_threads_order_nor_on_other_seeds_nor_on_launches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, weights = drawn(17, 2, 12, 4)
    end = descend(problem, weights, 100)
    assert same_bits(end, descend(replace(problem, backwards=True), weights, 100))
    part = Weights(weights.hidden[[1, 3]], weights.output[[1, 3]])
    assert same_bits(
        descend(problem, part, 100, seeds=[1, 3]), Weights(end.hidden[[1, 3]], end.output[[1, 3]])
    )
    launches = []

    def launch(self: Any, layout: Any, blocks: int, arguments: Any) -> None:
        launches.append((blocks, arguments[-1]))
        HostCudaProblem.launch_batches(self, layout, blocks, arguments)

    counting = type("Counting", (HostCudaProblem,), {"launch_batches": launch})(problem.data, problem.network)
    monkeypatch.setattr(twolayer.population.cuda_batches, "WORK", 3 * 4 * 100 * 19 * 12)
    assert same_bits(end, descend(counting, weights, 100))
    assert launches == [(4, 3), (4, 3), (4, 1)]
    launches.clear()
    monkeypatch.setattr(twolayer.population.cuda_batches, "KEYS", 2 * 4 + 3)
    assert same_bits(end, descend(counting, weights, 100))
    assert launches == [(4, 2), (4, 2), (4, 2), (4, 1)]
    assert same_bits(end, descend(problem, weights, 100, (0, 3, 4)))


def test_what_does_not_fit_takes_the_array_code() -> None:
    problem, weights = drawn(9, 2, 30, 3)
    plain = PopulationProblem(problem.data, problem.network)
    assert same_bits(descend(replace(problem, memory=2048), weights, 20), descend(plain, weights, 20))
    assert not same_bits(descend(problem, weights, 20), descend(plain, weights, 20))
    noisy = replace(problem.data, noise=0.1)
    assert same_bits(
        descend(replace(problem, data=noisy), weights, 20), descend(replace(plain, data=noisy), weights, 20)
    )


def test_plans_leave_room_for_several_blocks() -> None:
    layout = batch_plan(40, 44, 20, "fixed", False, HOPPER)
    assert layout is not None
    assert layout.threads == 64
    assert 4 * layout.shared < HOPPER
    large = batch_plan(100, 105, 60, "fixed", False, HOPPER)
    assert large is not None
    assert large.shared <= HOPPER
    assert batch_plan(400, 402, 500, "fixed", False, HOPPER) is None


def test_the_keys_of_a_launch_are_megabytes() -> None:
    """Also of thousands of seeds that take single samples, each of which costs next to nothing."""
    small = batch_plan(4, 5, 3, "trained", False, HOPPER)
    assert small is not None
    for seeds in (1, 4096, 2**24):
        assert 8 * seeds * small.steps(seeds, 1) <= max(2**26, 8 * seeds)
    assert small.steps(4096, 1) > 1000


def test_arrays_of_a_device_stay_there() -> None:
    """On arrays that refuse NumPy's, the same bits as on the host."""
    problem, weights = drawn(5, 3, 7, 2)
    device = device_with_kernel()
    there = device.problem(problem.data, problem.network, "float64", 1)
    placed = Weights(*(device.asarray(part, "float64") for part in (weights.hidden, weights.output)))
    end = descend(there, placed, 30)
    assert same_bits(Weights(to_host(end.hidden), to_host(end.output)), descend(problem, weights, 30))


# ---- compilers ----------------------------------------------------------------------------------------------


def test_the_source_is_what_the_run_time_compiler_takes() -> None:
    assert batch_source().isascii()
    assert "#include" not in batch_source()


@pytest.mark.parametrize(("students", "teachers", "features"), [(4, 1, 5), (10, 3, 20), (40, 4, 20)])
def test_nvcc_compiles_it(students: int, teachers: int, features: int, tmp_path: Path) -> None:
    layout = batch_plan(students, students + teachers, features, "trained", False, HOPPER)
    assert isinstance(layout, BatchPlan)
    printed = nvcc_report("cuda_batches", batch_source(), layout.macros, tmp_path)
    spilled = int(re.findall(r"(\d+) bytes spill stores", printed)[-1])
    assert spilled <= 64, printed  # across calls of exp and log


# ---- a GPU --------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_thousands_of_seeds_on_a_gpu() -> None:
    device = backend("cupy")
    problem, weights = drawn(40, 4, 20, 512, "fixed")
    there: Problem = device.problem(problem.data, problem.network, "float64", 1)
    placed = Weights(*(device.asarray(part, "float64") for part in (weights.hidden, weights.output)))
    end = descend(there, placed, 512, (20,))
    expected = descend(CompiledPopulationProblem(problem.data, problem.network, 2), weights, 512, (20,))
    difference = np.abs(to_host(end.hidden) - expected.hidden).max(axis=(1, 2))
    assert np.median(difference) < 1e-13
