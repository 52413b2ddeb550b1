"""cupy: the reference's array code on a GPU (`pip install -e .[gpu]`)."""

from __future__ import annotations

from typing import Any

from twolayer import EmpiricalProblem, FiniteData, Network, hookimpl
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


@hookimpl
def register_backends(register: Any) -> None:
    register("cupy", CuPy())
