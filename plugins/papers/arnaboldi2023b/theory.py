"""What Arnaboldi et al. 2023 (escaping mediocrity) state and store, and what follows, in the time t = time/p."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Paper

paper = Paper(
    "arnaboldi2023b",
    "Arnaboldi, Krzakala, Loureiro, Stephan 2023, arXiv 2305.18502",
    {"neurons": "p", "dimension": "d", "rate": "γ"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.teachers": 1,
        "problem.angles": None,
        "problem.vectors": None,
        "problem.norms": (1.0, None),
        "problem.coefficients": 1.0,
        "problem.profile": "none",
        "problem.samples": None,
        "network.activation": "quadratic",
        "network.output": "fixed",
        "network.output_values": 1.0,
        "network.output_scale": ("1/m", 1.0),
        "dynamics.spherical": True,
    },
)

EARLY, LATE = 0.01, 0.5
"""T: a run leaves where its risk is (1 − T)R(0)."""

START, STORED_RATE, STORED_NOISE = "escape_start", 0.1, 1e-4
"""The file of the start, γ and Δ of the authors' runs, in d = 3000."""

EXITS = {
    (1, 0.5): (2.579, 0.015),
    (2, 0.01): (0.3906, 0.0027),
    (2, 0.5): (1.086, 0.003),
}
"""Mean exit times and their standard errors by (p, T), from the authors' start, of 1,000 to 2,000 other seeds.
(Derived.)"""

EQUATION_EXITS = {(1, 0.01): 1.0689, (1, 0.5): 2.4946, (2, 0.01): 0.3850, (2, 0.5): 1.0653}
"""Exit times of the equations by (p, T). (Derived, by another program.)"""

STORED_EQUATION_EXITS = {(1, 0.01): 1.091, (1, 0.5): 2.531, (2, 0.01): 0.389, (2, 0.5): 1.091}
"""Those that the authors stored, late by up to .09, the time between two records after t = 1."""


def noise_cost(neurons: int, noise: float) -> float:
    """B = 4 + 4/p + 16/p² + 2Δ."""
    return 4.0 + 4.0 / neurons + 16.0 / neurons**2 + 2.0 * noise


def growth(neurons: int, rate: float, noise: float) -> float:
    """μ = 4 − (γ/p)B of every m_j near m = 0, Q = I. (Derived.)"""
    return 4.0 - rate / neurons * noise_cost(neurons, noise)


def sample_slope(neurons: int, rate: float, noise: float) -> float:
    """p/(2γμ), by which n/d grows with ln d from random starts: B/8 at the best step γ/p = 2/B. (Derived.)"""
    return neurons / (2.0 * rate * growth(neurons, rate, noise))


def logistic_risk(time: Any, risk: float, rate: float, noise: float) -> Any:
    """R(t) of the equations of one student from R(0) = `risk`: R = 2(1 − u), u = m², and du/dt = 2u(a(1 − u) − b),
    a = 4(1 − 6γ), b = 2γΔ, which is logistic. (Derived.)"""
    start, a, b = 1.0 - risk / 2.0, 4.0 * (1.0 - 6.0 * rate), 2.0 * rate * noise
    end = (a - b) / a
    return 2.0 - 2.0 * end / (1.0 + (end / start - 1.0) * np.exp(-2.0 * (a - b) * np.asarray(time)))


def diffusion_exit(risk: float, share: float, dimension: float, rate: float, noise: float) -> float:
    """E t of one student from R(0) = `risk` to (1 − T)R(0) by the diffusion dm = μm dt + s dB near m = 0, of which
    s² = γ(48 + 4Δ)/d: (2/μ) ∫ D(x) dx between the m over s/√μ, D Dawson's function. For T ≪ 1. (Derived.)"""
    from scipy.integrate import quad  # loads scipy
    from scipy.special import dawsn

    speed = growth(1, rate, noise)
    scale = math.sqrt(speed * dimension / (rate * (48.0 + 4.0 * noise)))
    ends = [scale * math.sqrt(1.0 - part * risk / 2.0) for part in (1.0, 1.0 - share)]
    return 2.0 / speed * float(quad(dawsn, *ends)[0])


def mean_exit(dimension: float, rate: float, noise: float, share: float) -> float:
    """E t of one student from a random start, Td ≫ 1: (1/μ){½ ln[Td/(1 − T)] + ½(ln 2 + γ_E) − ½ ln(1 + 24γ/μ)}.

    (Derived.)
    """
    speed = growth(1, rate, noise)
    start = 0.5 * math.log(share * dimension / (1.0 - share)) + 0.5 * (math.log(2.0) + 0.5772156649015329)
    return (start - 0.5 * math.log(1.0 + 24.0 * rate / speed)) / speed
