"""cupy: on a GPU (`pip install -e .[gpu]`): one kernel for descents on Gaussian input, the array code elsewhere."""

from __future__ import annotations

from typing import Any

from twolayer import EmpiricalProblem, FiniteData, Network, PopulationProblem, Teacher, hookimpl
from twolayer.errors import ConfigError


class CuPy:
    """Arrays live on the current CUDA device. Flows on finite data run on the host under every backend."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the device."""
        try:
            import cupy

            return cupy.asarray(array, dtype=dtype)
        except ImportError as error:
            raise ConfigError(
                "backend: 'cupy' needs the package cupy: pip install -e .[gpu], or choose 'numba' or 'numpy'"
            ) from error
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise ConfigError(f"backend: 'cupy' found no CUDA device that works: {error}") from error

    def problem(self, data: FiniteData, network: Network, threads: int) -> EmpiricalProblem:
        """The array code; its namespace comes from the arrays."""
        return EmpiricalProblem(data, network)

    def population(self, data: Teacher, network: Network, threads: int) -> PopulationProblem:
        """The problem of a teacher whose descents are one kernel, thousands of seeds at once."""
        from twolayer.cuda_population import CudaPopulationProblem

        return CudaPopulationProblem(data, network)


@hookimpl
def register_backends(register: Any) -> None:
    register("cupy", CuPy())
