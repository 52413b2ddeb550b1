"""The teacher that each student is closest to."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.population.closed_form import angles, unit

__all__ = ["closest_teachers", "student_angles"]


def student_angles(hidden: Any, teachers: Any, even: bool) -> Any:
    """θ between each student and each teacher, up to sign where σ is even, (…, neuron, teacher); NaN at w = 0."""
    theta = angles(hidden, teachers)
    if even:
        theta = np.minimum(theta, angles(-hidden, teachers))
    return np.where((hidden != 0).any(-1)[..., None], theta, np.nan)


def closest_teachers(hidden: Any, teachers: Any, even: bool) -> tuple[Any, Any, Any]:
    """Of each student (…, neuron): the index of the teacher at the smallest angle, −1 where w = 0 or is not finite;
    that angle θ; and h = ⟨w, v̂⟩ along it, its size where σ is even. θ and h are NaN where there is none.

    hidden (…, neuron, feature) and teachers (teacher, feature) are NumPy arrays.
    """
    theta = student_angles(hidden, teachers, even)
    known = np.isfinite(theta).all(-1)
    index = np.where(known, np.where(known[..., None], theta, 0.0).argmin(-1), -1)
    chosen = np.maximum(index, 0)[..., None]
    height = np.take_along_axis(hidden @ unit(teachers).T, chosen, axis=-1)[..., 0]
    height = np.abs(height) if even else height
    return index, theta.min(-1), np.where(known, height, np.nan)
