"""The teacher of a run, from the `problem` section of its config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.runs import Varied
from twolayer.errors import DataError

if TYPE_CHECKING:
    from twolayer.analysis.runs import Run

__all__ = ["in_plane", "teachers_of"]


def in_plane(angles: Any) -> Any:
    """Unit vectors (cos φ, sin φ), (…, 2), at angles φ (…) in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def teachers_of(run: Run) -> tuple[Any, Any]:
    """Unit teachers v̂_l (teacher, feature) and masses b_l|v_l| (teacher,) of f*(x) = Σ_l b_l σ(v_l·x).

    Raises DataError where the problem is no `gaussian_teacher`, or where runs that are taken together have different
    teachers.
    """
    problem = run.config.problem
    for key in ("dimension", "teachers", "angles", "vectors", "norms", "coefficients"):
        if isinstance(getattr(problem, key), Varied):
            raise DataError(f"the runs of '{run.experiment}' have different teachers: problem.{key} differs")
    norms: Any = 1.0 if problem.norms is None else np.asarray(problem.norms, dtype=np.float64)
    if problem.vectors is not None:
        vectors = np.asarray(problem.vectors, dtype=np.float64)
        norms = np.linalg.norm(vectors, axis=-1)
        directions = vectors / norms[:, None]
    elif problem.angles is not None:
        directions = np.zeros((len(problem.angles), problem.dimension))
        directions[:, :2] = in_plane(np.radians(problem.angles))
    else:
        directions = np.eye(problem.teachers, problem.dimension)
    masses = np.asarray(problem.coefficients, dtype=np.float64) * norms
    return directions, np.broadcast_to(masses, len(directions))
