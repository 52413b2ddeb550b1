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

STORED_RATE, STORED_NOISE = 0.05, 1e-3
"""γ and Δ of the authors' stored runs with erf."""

NOISE_WIDTH = {(10, 5, 0.05, 1e-3): 1.39, (10, 2, 0.05, 1e-3): 1.03}
"""By (p, k, γ, Δ), from the starts of Figure 2 right and left: the largest standard deviation of an entry of (Q, M) up
to t = `NOISE_TO`, over √δt. It solves Σ' = JΣ + ΣJᵀ + B along the solution, J the Jacobian of its velocity and B the
covariance of a step (20,000 samples or more at each of 80 times or more). Of Figure 2 right it is 0.38 at t = 2, 0.28
at 10, 0.31 at 90, 0.47 at 228, 1.03 at 580; descents had 1.30, 1.67 and 1.39 along its widest direction at t = 1e3
(d = 5, 10, 50; 32, 32 and 16 seeds). (Derived.)"""

NOISE_TO = 1e3
"""The t up to which `NOISE_WIDTH` was computed."""

WIDTH_RIGHT, WIDTH_LEFT = NOISE_WIDTH.values()
"""Those of Figure 2 right and left."""

SETTLED = 10.0
"""The t from which on the risk on z² is compared: its transient is a share 1/t."""

LARGEST_Z = 4.5
"""How many standard deviations some 1e5 normal numbers stay within."""


def error_scale(rate: float, neurons: int, dimension: int) -> float:
    """√δt = √(γ/(pd)), the scale of the error in Theorem 1."""
    return math.sqrt(rate / (neurons * dimension))


def plateau(rate: float, noise: float, neurons: int) -> float:
    """R − Δ/2 at late times, γΔ/(2√3 πp), for erf and p ≥ k. (Derived.)"""
    return rate * noise / (2.0 * math.sqrt(3.0) * math.pi * neurons)


def late_square(teachers: int, dimension: int) -> float:
    """R t² at late times of the flow of z², (d − k)(k + 2)/(64(d + 2)), for p ≥ d. (Derived.)"""
    return (dimension - teachers) * (teachers + 2) / (64.0 * (dimension + 2))


def square_excess(teachers: int, dimension: int) -> float:
    """c of E R/R_flow − 1 → c δt, one-pass SGD on z² at late times, to first order in δt.

    D = G − G* is then s·diag(−u I, I) in the span of the teachers and outside, u = (d − k)/(k + 2), and s falls
    slowly. The noise of samples drives what of D has a gradient: the teachers' block (rates 4(k + 2)/k of its trace
    and 8/k) and the block between (4/k). Their variances, by Lyapunov's equation, add (δt/k) E e²|x_∥|²|x|² to
    R = ½E e², with e = xᵀDx; the rate of s does not change to this order. |x_∥|² ~ χ²_k, |x_⊥|² ~ χ²_{d−k}. (Derived.)
    """
    ratio, outside = (dimension - teachers) / (teachers + 2), dimension - teachers

    def moment(inside_power: int, outside_power: int) -> float:
        """E |x_∥|^2a |x_⊥|^2b."""
        inside = math.prod(teachers + 2 * place for place in range(inside_power))
        return float(inside * math.prod(outside + 2 * place for place in range(outside_power)))

    def squared_error(inside_power: int, outside_power: int) -> float:
        """E e² |x_∥|^2a |x_⊥|^2b."""
        a, b = inside_power, outside_power
        return ratio**2 * moment(a + 2, b) - 2.0 * ratio * moment(a + 1, b + 1) + moment(a, b + 2)

    return 2.0 * (squared_error(2, 0) + squared_error(1, 1)) / (teachers * squared_error(0, 0))


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
