"""numba: compiled loops, seeds side by side on the cores of the job. The default."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Backend, Problem, backend


@backend("numba")
class Numba(Backend):
    """Arrays are NumPy's; a problem brings compiled descents. The compiler is imported when one is made."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the host."""
        return np.asarray(array, dtype=dtype)

    def accelerate(self, problem: Problem, threads: int) -> Problem:
        """The compiled problem of finite data or of a teacher, `threads` seeds or chunks of them at once."""
        if problem.network.activation.slopes is None:
            return with_one_pass(problem, threads)  # other kernels know activations of two slopes
        if problem.data.law == "finite" and not problem.quadratic:
            return problem  # and square losses
        from twolayer.kernels.jit import compiles

        if not compiles():
            return problem
        if problem.data.law == "finite":
            from twolayer.finite.numba_descent import CompiledProblem

            return CompiledProblem(problem.data, problem.network, threads)
        if problem.data.law == "population":
            from twolayer.population.numba_descent import CompiledPopulationProblem

            return CompiledPopulationProblem(problem.data, problem.network, threads)
        return problem


def with_one_pass(problem: Problem, threads: int) -> Problem:
    """The problem, with compiled descents of one sample per step where the kernel knows the activation."""
    if problem.data.law != "population" or not problem.network.activation.compiled:
        return problem
    from twolayer.kernels.jit import compiles

    if not compiles():
        return problem
    from twolayer.population.numba_one_pass import CompiledKernelProblem

    return CompiledKernelProblem(problem.data, problem.network, threads)
