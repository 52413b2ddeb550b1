"""cupy: on a GPU (`pip install -e .[gpu]`): one kernel for descents on Gaussian input, the array code elsewhere."""

from __future__ import annotations

from functools import cache
from typing import Any

from twolayer import Backend, Problem, backend
from twolayer.errors import ConfigError


@cache
def library() -> Any:
    """CuPy, once it has compiled something for the current device and run it there."""
    try:
        import cupy

        (cupy.zeros(1) + 1.0).item()
    except ImportError as error:
        raise ConfigError(
            "backend: 'cupy' needs the package cupy: pip install -e .[gpu], or choose 'numba' or 'numpy'"
        ) from error
    except RuntimeError as error:  # of CUDA, or a library of the CUDA toolkit that is missing
        raise ConfigError(
            f"backend: 'cupy' found no CUDA device that works: {error}. It needs a driver and the toolkit for "
            "CUDA 13 (`pip install 'cupy-cuda13x[ctk]'` brings the toolkit); or choose 'numba' or 'numpy'"
        ) from error
    return cupy


@backend("cupy")
class CuPy(Backend):
    """Arrays live on the current CUDA device. Flows and small runs are trained on the host (`placement`)."""

    on_device = True

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the device."""
        return library().asarray(array, dtype=dtype)

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        """A teacher's descents are one kernel, thousands of seeds at once; elsewhere the array code."""
        if problem.data.law == "population" and problem.network.activation.slopes is not None:
            from twolayer.population.cuda_descent import CudaPopulationProblem

            return CudaPopulationProblem(problem.data, problem.network)
        return problem
