"""What Arnaboldi et al. 2023 state, and what follows for the square, in the paper's time t = time/p."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Paper

paper = Paper(
    "arnaboldi2023",
    "Arnaboldi, Stephan, Krzakala, Loureiro, COLT 2023",
    {"neurons": "p", "dimension": "d", "noise": "Δ", "variance": "variance"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.profile": "none",
        "problem.samples": None,
        "network.activation": ("erf", "quadratic"),
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": "1/m",
    },
)


STORED_DIMENSION = 3
"""d of the authors' stored descent."""


def error_scale(rate: float, neurons: int, dimension: int) -> float:
    """√δt = √(γ/(pd)), the scale of the error in Theorem 1."""
    return math.sqrt(rate / (neurons * dimension))


def plateau(rate: float, noise: float, neurons: int) -> float:
    """R − Δ/2 at late times, γΔ/(2√3 πp), for erf and p ≥ k. (Derived.)"""
    return rate * noise / (2.0 * math.sqrt(3.0) * math.pi * neurons)


def late_square(teachers: int, dimension: int) -> float:
    """R t² at late times of the flow of z², (d − k)(k + 2)/(64(d + 2)), for p ≥ d. (Derived.)"""
    return (dimension - teachers) * (teachers + 2) / (64.0 * (dimension + 2))


def square_flow(students: Any, teachers: Any, times: Any) -> Any:
    """The excess risk (time,) of the flow of z² from students (neuron, feature) and teachers (teacher, feature).

    With G = (1/p) Σ w wᵀ and G* of the teachers, Ġ = −(AG + GA), A = 2 tr(G − G*) I + 4(G − G*), and
    R = ½[(tr D)² + 2 tr D²], D = G − G*. (Derived.)
    """
    from scipy.integrate import solve_ivp  # loads scipy

    wanted = teachers.T @ teachers / len(teachers)
    size = wanted.shape

    def velocity(time: float, state: Any) -> Any:
        matrix = state.reshape(size)
        error = matrix - wanted
        force = 2.0 * np.trace(error) * np.eye(len(matrix)) + 4.0 * error
        return -(force @ matrix + matrix @ force).ravel()

    start = (students.T @ students / len(students)).ravel()
    path = solve_ivp(velocity, (0.0, float(times[-1])), start, "DOP853", t_eval=times, rtol=1e-11, atol=1e-14)
    errors = path.y.T.reshape(-1, *size) - wanted
    traces = np.trace(errors, axis1=-2, axis2=-1)
    return 0.5 * (traces**2 + 2.0 * (errors**2).sum((-2, -1)))
