"""The form of a problem that measures its networks soonest."""

from __future__ import annotations

from twolayer.core.problem import Problem

__all__ = ["for_measuring"]


LOADED = 8
"""How much less the start of the compiled form takes where its kernels, but for those of the loss, are loaded."""


def for_measuring(problem: Problem, networks: int, threads: int = 1, loaded: bool = False) -> Problem:
    """A problem on the host as it measures so many networks soonest, `threads` batches at a time: itself, unless
    a compiled form is worth its start. loaded: whether the run's flows have loaded most of that form's kernels."""
    if not problem.measures_compiled(LOADED * networks if loaded else networks):
        return problem
    from twolayer.kernels.jit import compiles

    if not compiles():
        return problem
    from twolayer.population.numba_measures import MeasuredPopulationProblem

    return MeasuredPopulationProblem(problem.data, problem.network, threads)
