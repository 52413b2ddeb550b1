"""numba: compiled loops, seeds side by side on the cores of the job. The default."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, FiniteData, Network, PopulationProblem, Teacher, backend


@backend("numba")
class Numba:
    """Arrays are NumPy's; a problem brings compiled descents. The compiler is imported when one is made."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the host."""
        return np.asarray(array, dtype=dtype)

    def problem(self, data: FiniteData, network: Network, threads: int) -> EmpiricalProblem:
        """The compiled problem, working on `threads` seeds at once."""
        from twolayer.finite.numba_descent import CompiledProblem

        return CompiledProblem(data, network, threads)

    def population(self, data: Teacher, network: Network, threads: int) -> PopulationProblem:
        """The compiled problem of a teacher, working on `threads` chunks of seeds at once."""
        from twolayer.population.numba_descent import CompiledPopulationProblem

        return CompiledPopulationProblem(data, network, threads)
