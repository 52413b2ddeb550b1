"""What Safran and Shamir 2018 state, and the symmetric family of minima in closed form.

k orthonormal teachers, n students with outputs 1, L = ½ E (f − f*)² on x ~ N(0, I_k).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Paper

paper = Paper(
    "safran2018",
    "Safran, Shamir, ICML 2018",
    {"neurons": "n", "teachers": "k", "dimension": "d", "step_size": "η"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.coefficients": 1.0,
        "problem.norms": None,
        "problem.vectors": None,
        "problem.angles": None,
        "problem.profile": "none",
        "problem.samples": None,
        "network.activation": "relu",
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "minimize"),
    },
)

SPURIOUS = 1e-3
"""The loss from which the authors count an end as spurious."""

SETTLED = 1e-9
"""The gradient's norm below which the loss of an end is that of its class to 1e-12."""

SAME = 1e-8
"""Ends of one pair (k, n) whose losses differ by no more are of one class; classes are 5e-5 apart at
least."""

LARGEST_Z = 3.5
"""A count agrees with the authors' where the two differ by no more than this many standard errors."""

FLIPPED = 0.5 - 2.0 / math.pi**2
"""The limit of kL/q for q flipped students of k."""

NEXT = -0.1095
"""The next term of kL/q, times k^(−1/2): found by extrapolation."""


FEW = (1, 2, 3, 4)
"""Numbers of flipped students of the family that are followed."""


def family_law(teachers: Any) -> Any:
    """kL/q for large k, to its second term."""
    return FLIPPED + NEXT * np.asarray(teachers, dtype=np.float64) ** -0.5


# ---- the symmetric family: q students alike, and the k − q others alike ----


def excess(cosine: Any) -> Any:
    """g(c) = (√(1 − c²) + c arcsin c − 1)/2π: what E σ(u·x)σ(v·x)/|u||v| = 1/2π + c/4 + g(c) has beyond its linear
    part, with all digits near c = 0."""
    cosine = np.clip(cosine, -1.0, 1.0)
    square = cosine**2
    series = square * (1 / 2 + square * (1 / 24 + square * (1 / 80 + square * (5 / 896 + square * 7 / 2304))))
    exact = np.sqrt(1.0 - square) + cosine * np.arcsin(cosine) - 1.0
    return np.where(np.abs(cosine) < 0.03, series, exact) / (2.0 * math.pi)


def below_one(sine: Any) -> Any:
    """g(1) − g(c) by s = √(1 − c²), with all digits near s = 0; g(−c) = g(c)."""
    cosine = np.sqrt(1.0 - sine**2)
    return (0.5 * math.pi * sine**2 / (1.0 + cosine) - sine + cosine * np.arcsin(sine)) / (2.0 * math.pi)


def slope(cosine: Any) -> Any:
    """g'(c) = arcsin(c)/2π."""
    return np.arcsin(np.clip(cosine, -1.0, 1.0)) / (2.0 * math.pi)


def coordinate_counts(teachers: int, flipped: int) -> tuple[Any, Any]:
    """Of each block (block,) its students, q and k − q, and how many coordinates of each kind one of them has, (block,
    kind): the diagonal one, those of the others of its block, those of the other block."""
    sizes = np.array([flipped, teachers - flipped], dtype=np.float64)
    return sizes, np.stack([np.ones(2), sizes - 1.0, sizes[::-1]], axis=1)


def inner_products(students: Any, sizes: Any, counts: Any) -> tuple[Any, Any, float]:
    """Lengths (block,), products of two students of one block (block,), and that of students of
    different blocks."""
    diagonal, within, across = students.T
    lengths = np.sqrt((counts * students**2).sum(1))
    same = 2.0 * diagonal * within + (sizes - 2.0) * within**2 + sizes[::-1] * across**2
    mixed = across[1] * (diagonal[0] + (sizes[0] - 1.0) * within[0]) + across[0] * (
        diagonal[1] + (sizes[1] - 1.0) * within[1]
    )
    return lengths, same, float(mixed)


def coordinate_sums(students: Any, sizes: Any) -> Any:
    """A coordinate of Σw, in each block, (block,)."""
    diagonal, within, across = students.T
    return diagonal + (sizes - 1.0) * within + sizes[::-1] * across[::-1]


def family_loss(students: Any, teachers: int, flipped: int) -> float:
    """L of a network with the coordinates `students` (block, kind), see `coordinate_counts`.

    L = (1/4π)(Σ|w| − k)² + ⅛|Σw − Σv|² + ½ Σ_pq c_p c_q |u_p||u_q| g(cos ∠(u_p, u_q)) over students and teachers: what
    cancels among k² terms of order one is in the first two, so that digits are left at k = 1e5.
    """
    sizes, counts = coordinate_counts(teachers, flipped)
    lengths, same, mixed = inner_products(students, sizes, counts)
    cosines = students / lengths[:, None]
    sines = (
        np.sqrt((counts[:, 1:] * students[:, 1:] ** 2).sum(1)) / lengths
    )  # of the angle to its teacher's axis
    paired = 0.5 * excess(1.0) * (lengths - 1.0) ** 2 + lengths * below_one(
        sines
    )  # a student and its teacher
    of_block = 0.5 * (sizes - 1.0) * lengths**2 * excess(same / lengths**2)
    of_teachers = lengths * (counts[:, 1:] * excess(cosines[:, 1:])).sum(1)
    of_blocks = sizes.prod() * lengths.prod() * excess(mixed / lengths.prod())
    lost = (sizes @ lengths - teachers) ** 2 / (4.0 * math.pi)
    lost += sizes @ (coordinate_sums(students, sizes) - 1.0) ** 2 / 8.0
    return float(lost + sizes @ (paired + of_block - of_teachers) + of_blocks)


def family_gradient(students: Any, teachers: int, flipped: int) -> Any:
    """∂L/∂w of one student of each block, in its coordinates of each kind, (block, kind)."""
    sizes, counts = coordinate_counts(teachers, flipped)
    lengths, same, mixed = inner_products(students, sizes, counts)
    units = students / lengths[:, None]
    gradients = []
    for block in range(2):
        other, unit, number = 1 - block, units[block], sizes[block]
        sums = coordinate_sums(students, sizes)[[block, block, other]]
        diagonal, within, across = unit
        siblings = np.array([(number - 1) * within, diagonal + (number - 2) * within, (number - 1) * across])
        far_own, far_within, far_across = units[other]
        outside = sizes[other] * far_across
        others = np.array([outside, outside, far_own + (sizes[other] - 1) * far_within])
        near, far = same[block] / lengths[block] ** 2, mixed / lengths.prod()
        cosines = unit  # with the teachers
        gradient = (sizes @ lengths - teachers) / (2.0 * math.pi) * unit + 0.25 * (sums - 1.0)
        gradient += excess(1.0) * students[block]
        gradient += lengths[block] * (
            (number - 1) * (excess(near) - slope(near) * near) * unit + slope(near) * siblings
        )
        gradient += lengths[other] * (
            sizes[other] * (excess(far) - slope(far) * far) * unit + slope(far) * others
        )
        turning = (counts[block] * (excess(cosines) - slope(cosines) * cosines)).sum()
        gradients.append(gradient - turning * unit - slope(cosines))
    return np.where(counts > 0, np.array(gradients), students)


def family_minimum(teachers: int, flipped: int) -> tuple[Any, float]:
    """The coordinates (block, kind) of the stationary point with q = `flipped` students near −v, and its loss.

    By a root of ∂L in coordinates scaled by k, from near those of large k: diagonal coordinate −1 + 5/k and others
    1.9/k (within the block) and 1.3/k of the flipped, 1, 0 and 2/k of the other students.
    ValueError where none is found.
    """
    from scipy.optimize import root

    scale = np.array([[1.0, teachers, teachers]] * 2)
    begin = np.array([[-1.0 + 5.0 / teachers, 1.9, 1.3], [1.0, 0.0, 2.0]])

    def scaled(vector: Any) -> Any:
        return (scale * family_gradient(vector.reshape(2, 3) / scale, teachers, flipped)).ravel()

    found = root(scaled, begin.ravel(), method="hybr", options={"xtol": 1e-15, "maxfev": 10000})
    students = found.x.reshape(2, 3) / scale
    if not np.abs(scaled(found.x)).max() < 1e-9:
        raise ValueError(f"no stationary point was found for k = {teachers}, q = {flipped}")
    return students, family_loss(students, teachers, flipped)
