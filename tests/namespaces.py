"""Array namespaces and backends that tests run under, with honest skips."""

from __future__ import annotations

import importlib
from typing import Any

import device_arrays
import numpy as np
import pytest

from twolayer import Backend
from twolayer.study.registry import load

NAMESPACES = ["numpy", "array_api_strict", "device_arrays", pytest.param("cupy", marks=pytest.mark.gpu)]
BACKENDS = [
    "numpy",
    "numba",
    "array-api-strict",
    "device arrays",
    pytest.param("cupy", marks=pytest.mark.gpu),
]
STAND_INS = ("array-api-strict", "device arrays")
"""Backends that run the code of NumPy's arrays, and take longer: what differs in compiled kernels alone is not
repeated on them."""


def need_cupy() -> None:
    """Skip where no GPU can be used, and say how to run what was skipped."""
    remedy = "on a machine with a CUDA device: pip install -e .[gpu,dev] && pytest -m gpu"
    cupy = pytest.importorskip("cupy", reason=f"cupy is not installed; {remedy}")
    try:
        cupy.zeros(1)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"no CUDA device works ({error}); {remedy}")


def namespace(name: str) -> Any:
    """An array namespace by name."""
    if name == "cupy":
        need_cupy()
    if name == "device_arrays":
        return device_arrays.namespace
    return importlib.import_module(name)


class Strict(Backend):
    """Arrays that know the array API standard and nothing else."""

    def asarray(self, array: Any, dtype: str) -> Any:
        import array_api_strict

        return array_api_strict.asarray(np.asarray(array, dtype=dtype))


class OnDeviceArrays(Backend):
    """A stand-in for a GPU: arrays that keep apart from the host's, and the array code."""

    def asarray(self, array: Any, dtype: str) -> Any:
        return device_arrays.namespace.asarray(np.asarray(array), dtype=dtype)


def backend(name: str) -> Any:
    """A training backend by name: the plugins, `array-api-strict` and `device arrays`."""
    if name == "device arrays":
        return OnDeviceArrays()
    if name == "array-api-strict":
        return Strict()
    if name == "cupy":
        need_cupy()
    return load(kinds=["backends"]).find("backends", name).plugin
