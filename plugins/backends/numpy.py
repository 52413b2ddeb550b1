"""numpy: the reference. Array code on the host, every seed in one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, FiniteData, Network, backend


@backend("numpy")
class NumPy:
    """Arrays are NumPy's, and a problem is the array code itself."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the host."""
        return np.asarray(array, dtype=dtype)

    def problem(self, data: FiniteData, network: Network, threads: int) -> EmpiricalProblem:
        """The reference; NumPy has no use for further threads."""
        return EmpiricalProblem(data, network)
