"""Overlaps: the order parameters Q = W Wᵀ and M = W Vᵀ of students and teachers."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric

from ._students import further_of_students


@metric(
    "student_overlaps",
    ("seed", "time", "neuron", "other_neuron"),
    "overlap Q = w_i·w_j of students",
    by_default=False,
    per_frame=True,
)
def student_overlaps(problem: Problem, weights: Weights) -> Any:
    """Q_ij = w_i·w_j, (seed, neuron, neuron)."""
    return weights.hidden @ np.swapaxes(weights.hidden, -2, -1)


@further_of_students(
    "teacher_overlaps",
    ("seed", "time", "neuron", "teacher"),
    "overlap M = w_i·v_l of students and teachers",
)
def teacher_overlaps(problem: Problem, weights: Weights) -> Any:
    """M_il = w_i·v_l, (seed, neuron, teacher)."""
    return weights.hidden @ problem.data.teacher.hidden.T
