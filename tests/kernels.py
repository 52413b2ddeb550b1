"""Fused descents on Gaussian input that tests run: numba's, and the CUDA kernel's on the host and on a GPU."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from namespaces import OnDeviceArrays, backend

from twolayer import Backend, Network, PopulationProblem, Problem, Teacher, Weights
from twolayer.core.arrays import to_host
from twolayer.population.cuda_batches import BatchPlan, batch_source
from twolayer.population.cuda_descent import CudaPopulationProblem, Plan, source
from twolayer.population.numba_descent import CompiledPopulationProblem

KINDS = ["numba", "cuda on the host", pytest.param("cupy", marks=pytest.mark.gpu)]

HOPPER = 227 * 1024
"""Shared memory of a block on an H100, in bytes."""


STATUS = ["", "threads part at a barrier", "shared memory is left", "too large"]


def compiler() -> str | None:
    """A C++ compiler."""
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def host_library() -> Any:
    """`cuda_descent.cu` as functions of the host, by a C++ compiler; skips where there is none."""
    return compiled_on_host("cuda_descent", source())


def host_near() -> Any:
    """As `host_library`, of `cuda_near_descent.cu`."""
    return compiled_on_host("cuda_near_descent", source("descend_near"))


def host_batches() -> Any:
    """As `host_library`, of `cuda_batches.cu`."""
    return compiled_on_host("cuda_batches", batch_source())


@cache
def compiled_on_host(name: str, text: str) -> Any:
    """A kernel's source as functions of the host, with what `<name>_on_host.cpp` puts around it."""
    found = compiler()
    if found is None:
        missing = "needs a C++ compiler (g++, clang++ or CXX), which runs the CUDA kernel on the host"
        if "CI" in os.environ:  # where it is installed: the kernel must not go untested
            pytest.fail(missing)
        pytest.skip(f"{missing}: install g++ and run `pytest tests/population/test_cuda_population.py`")
    folder = tempfile.mkdtemp()
    library = Path(folder) / "population.so"
    kernel = Path(folder) / f"{name}.cu"
    kernel.write_text(text, encoding="ascii")
    options = ["-std=c++17", "-O1", "-Wno-unknown-pragmas", "-fPIC", "-shared", f'-DKERNEL="{kernel}"']
    shim = str(Path(__file__).with_name(f"{name}_on_host.cpp"))
    done = subprocess.run([found, *options, shim, "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(library))
    shutil.rmtree(folder)
    return loaded


def nvcc_report(name: str, text: str, macros: list[str], folder: Path) -> str:
    """What nvcc prints of the registers and the spilled bytes of a kernel's source; skips where there is none."""
    found = shutil.which("nvcc")
    if found is None:
        pytest.skip(
            "needs nvcc, of the CUDA toolkit, which compiles the kernel without a GPU: install it and run "
            "`pytest tests/population -k nvcc`"
        )
    kernel, binary = folder / f"{name}.cu", folder / "kernel"
    kernel.write_text(text, encoding="ascii")
    options = ["-arch=sm_90", "-cubin", "--resource-usage", *macros, "-o", str(binary)]
    done = subprocess.run([found, *options, str(kernel)], capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert binary.stat().st_size > 0
    return printed


@dataclass(frozen=True)
class HostCudaProblem(CudaPopulationProblem):
    """All of the CUDA path but the device: NumPy arrays, and the kernel's source compiled for the host."""

    backwards: bool = False
    memory: int = HOPPER

    def shared_memory(self) -> int:
        return self.memory

    def launch(self, name: str, layout: Plan, blocks: int, arguments: tuple[Any, ...]) -> None:
        arrays = [part for part in arguments if isinstance(part, np.ndarray)]
        floats = [part for part in arguments if isinstance(part, float)]
        integers = [part for part in arguments if isinstance(part, int)]
        assert (*arrays, *floats, *integers) == arguments
        vectors, outputs, left, *scratch = arrays
        assert vectors.dtype == outputs.dtype == np.float64
        assert left.dtype == np.int64
        assert all(array.flags.c_contiguous for array in arrays)
        double, integer = ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_longlong)
        shape = (ctypes.c_int * 7)(*vars(layout).values())
        pointers = [vectors.ctypes.data_as(double), outputs.ctypes.data_as(double)]
        pointers.append(left.ctypes.data_as(integer))
        for (
            array
        ) in scratch:  # what is not written before it is read shows, and so does what is written beyond it
            array[...] = np.nan
            guarded = np.full((len(array), layout.scratch + 5), np.nan)
            pointers.append(guarded.ctypes.data_as(double))
            integers[-1] = layout.scratch + 5
        status = (host_near() if scratch else host_library()).run(
            shape, blocks, int(self.backwards), *pointers, (ctypes.c_double * len(floats))(*floats),
            (ctypes.c_longlong * len(integers))(*integers),
        )  # fmt: skip
        assert status == 0, STATUS[status]
        assert not scratch or np.isnan(guarded[:, -5:]).all()

    def launch_batches(self, layout: BatchPlan, blocks: int, arguments: tuple[Any, ...]) -> None:
        vectors, outputs, keys, *law, batch_size, count = arguments
        double, word = ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_ulonglong)
        shape = (ctypes.c_int * 6)(*vars(layout).values())
        numbers = (ctypes.c_double * 7)(*law)
        assert vectors.dtype == outputs.dtype == np.float64
        assert keys.dtype == np.uint64
        assert all(array.flags.c_contiguous for array in (vectors, outputs, keys))
        status = host_batches().run(
            shape, blocks, layout.shared // 8, int(self.backwards), vectors.ctypes.data_as(double),
            outputs.ctypes.data_as(double), keys.ctypes.data_as(word), numbers, ctypes.c_longlong(batch_size),
            ctypes.c_longlong(count),
        )  # fmt: skip
        assert status == 0, STATUS[status]


class HostCuda(Backend):
    """The backend `cupy`, with NumPy for CuPy and the kernel on the host."""

    def asarray(self, array: Any, dtype: str) -> Any:
        return np.asarray(array, dtype=dtype)

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        if not problem.on_population:
            return problem
        host_library()
        return HostCudaProblem(problem.data, problem.network)


@dataclass(frozen=True)
class ApartProblem(HostCudaProblem):
    """The same on arrays that keep apart from NumPy's, as CuPy's do."""

    def launch(self, name: str, layout: Plan, blocks: int, arguments: tuple[Any, ...]) -> None:
        shared = (part if isinstance(part, int | float) else part.shared() for part in arguments)
        super().launch(name, layout, blocks, tuple(shared))

    def launch_batches(self, layout: BatchPlan, blocks: int, arguments: tuple[Any, ...]) -> None:
        vectors, outputs, keys, *rest = arguments
        super().launch_batches(layout, blocks, (vectors.shared(), outputs.shared(), keys.shared(), *rest))


class Apart(OnDeviceArrays):
    """The backend `cupy`, with `device_arrays` for CuPy and the kernel on the host."""

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        return ApartProblem(problem.data, problem.network) if problem.on_population else problem


def device_with_kernel() -> OnDeviceArrays:
    """A stand-in for a GPU with the CUDA kernel; where there is no C++ compiler, with the array code alone."""
    return Apart() if compiler() else OnDeviceArrays()


@dataclass(frozen=True)
class OnDevice:
    """A problem of a GPU, for weights that come from the host and go there."""

    teacher: Teacher
    network: Network

    def descend(self, weights: Weights, *step: Any) -> Weights:
        device = backend("cupy")

        def place(array: Any) -> Any:
            return device.asarray(array, array.dtype.name)

        problem = device.problem(self.teacher, self.network, weights.hidden.dtype.name, 1)
        assert isinstance(problem, CudaPopulationProblem)
        if step[-1] == 0:
            return weights
        end = problem.descend(Weights(place(weights.hidden), place(weights.output)), *step)
        return Weights(to_host(end.hidden), to_host(end.output))

    def loss(self, weights: Weights) -> Any:
        return PopulationProblem(self.teacher, self.network).loss(weights)


def fused(kind: str) -> Callable[..., Any]:
    """What makes a problem of a teacher and a network, by its name in `KINDS`; its arrays are NumPy's."""
    if kind == "cupy":
        backend(kind)  # skips
        return OnDevice
    if kind == "numba":
        return CompiledPopulationProblem
    host_library()
    return HostCudaProblem
