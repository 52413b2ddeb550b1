"""What follows from the paper's setting: the minimum-norm certificate and the constants it gives. All derived.

σ = |·| on x ~ N(0, I), the constant removed: E σ_u σ_v = (2/π)(sin φ + (π/2 − φ) cos φ) − 2/π for unit u, v at the
angle φ up to sign. Balanced weights turn the objective into ½|f_μ − f*|² + λ|μ|₁ over measures.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from twolayer import Paper
from twolayer.analysis.teachers import in_plane
from twolayer.population.closed_form import angles, unit

paper = Paper(
    "zhou2024",
    "Zhou, Ge, NeurIPS 2024",
    {"regularization": "λ", "neurons": "m", "dimension": "d", "angles": "Δ", "coefficients": "a*"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.profile": "constant",
        "problem.samples": None,
        "problem.loss": "half_mean_square",
        "network.activation": "abs",
    },
)

ORTHONORMAL = 1 - 2 / np.pi
"""|σ_u|², the constant removed: of orthonormal teachers L = λ²r/2 over this, and the mass deficit is λr over it."""


def products(left: Any, right: Any) -> Any:
    """E σ_u σ_v, the constant removed, for unit vectors (left, feature) and (right, feature)."""
    theta = angles(left, right)
    phi = np.minimum(theta, np.pi - theta)
    return (2 / np.pi) * (np.sin(phi) + (np.pi / 2 - phi) * np.cos(phi) - 1)


def slopes(left: Any, right: Any) -> Any:
    """∇_u E σ_u σ_v off the sphere, less its part along u, (left, right, feature): (1 − 2φ/π) s v across u."""
    theta = angles(left, right)
    share = 1 - 2 * theta / np.pi  # (1 − 2φ/π) s, as s turns θ into π − θ
    across = right[None] - (left @ right.T)[..., None] * left[:, None]
    return share[..., None] * across


def moments(left: Any, right: Any, first: Any, second: Any) -> Any:
    """E ⟨t, x⟩⟨t', x⟩ sgn(u·x) sgn(v·x), (left, right), with t ⟂ u of `first` and t' ⟂ v of `second`."""
    theta = angles(left, right)
    e = unit(right[None] - (left @ right.T)[..., None] * left[:, None])
    along = (first[:, None] * e).sum(-1)
    second_u = left @ second.T
    second_e = (e * second[None]).sum(-1)
    bent = -np.cos(theta) * along * second_e + np.sin(theta) * along * second_u
    return (2 / np.pi) * ((np.pi / 2 - theta) * (first @ second.T) + np.sin(theta) * bent)


class Certificate:
    """η₀: of all functions with η₀(v_i) = s_i and no slope there along the sphere, the one of least norm.

    η₀ = Σ_i α_i σ_{v_i} + Σ β_n ∂σ with coefficients (α, β) = G⁻¹[s; 0], G the Gram matrix of {σ_{v_i}, ∂σ_{v_i}};
    |η₀|² = [s; 0]ᵀ G⁻¹ [s; 0]. Only slopes within the teachers' span count: across it nothing has any.
    vectors: unit teachers (teacher, feature). signs: s (teacher,).
    """

    def __init__(self, vectors: Any, signs: Any) -> None:
        _, sizes, rows = np.linalg.svd(vectors, full_matrices=False)
        span = rows[sizes > 1e-9 * sizes[0]]
        tangents, owners = [], []
        for teacher, vector in enumerate(vectors):
            inside = np.linalg.svd((span @ vector)[None])[2][1:] @ span  # orthonormal, across the teacher
            tangents += list(inside)
            owners += [teacher] * len(inside)
        self.vectors = vectors
        self.tangents, self.feet = np.reshape(tangents, (-1, vectors.shape[1])), vectors[owners]
        cross = (slopes(self.feet, vectors) * self.tangents[:, None]).sum(-1)
        second = moments(self.feet, self.feet, self.tangents, self.tangents)
        gram = np.block([[products(vectors, vectors), cross.T], [cross, second]])
        given = np.concatenate([signs, np.zeros(len(self.tangents))])
        self.coefficients = np.linalg.solve(gram, given)
        self.square_norm = float(given @ self.coefficients)

    def __call__(self, directions: Any) -> Any:
        """η₀ at unit vectors (direction, feature)."""
        cross = (slopes(self.feet, directions) * self.tangents[:, None]).sum(-1)
        return self.coefficients @ np.concatenate([products(self.vectors, directions), cross])

    def curvatures(self, teacher: int, tangent: Any, step: float = 1e-4) -> tuple[float, float]:
        """The second derivatives of η₀ along a great circle at a teacher, on its either side: it has a kink there.

        From one side: 2(η₀(h) − η₀(0))/h², with the term of order h taken out by the half step.
        """
        vector = self.vectors[teacher]

        def one(side: float) -> float:
            steps = step * np.array([0.0, 0.5, 1.0])
            line = np.cos(steps)[:, None] * vector + side * np.sin(steps)[:, None] * tangent
            values = self(line)
            half, whole = 2 * (values[1:] - values[0]) / steps[1:] ** 2
            return float(2 * half - whole)

        return one(-1.0), one(1.0)


def plane(degrees: Any) -> Any:
    """Unit vectors at angles in degrees, (vector, 2)."""
    return in_plane(np.radians(degrees))


@cache
def certificate(vectors: tuple[tuple[float, ...], ...], signs: tuple[float, ...]) -> Certificate:
    """η₀, worked out once for the same teachers."""
    return Certificate(np.array(vectors), np.array(signs))


@cache
def least_curvature(certificate: Certificate, count: int = 200) -> float:
    """κ, the least of −sη₀'' at a teacher along a great circle to either side, as far as a search finds it.

    Near the optimum Σ|a||w|θ² falls as e^(−2κλt). Tried: towards each other teacher, off the teachers' span, and
    random tangents.
    """
    wide = np.pad(certificate.vectors, ((0, 0), (0, 1)))
    signs = np.sign(certificate(certificate.vectors))
    known = Certificate(wide, signs)
    drawn = np.random.default_rng(0).standard_normal((count, wide.shape[1]))
    found = []
    for teacher, vector in enumerate(wide):
        tried = np.concatenate([np.delete(wide, teacher, axis=0), np.eye(wide.shape[1])[-1:], drawn])
        tangents = unit(tried - (tried @ vector)[:, None] * vector)
        found += [-max(signs[teacher] * np.array(known.curvatures(teacher, tangent))) for tangent in tangents]
    return float(min(found))


@cache
def quadratic_growth(certificate: Certificate, count: int = 20000) -> float:
    """c = min over u of (1 − |η₀(u)|)/θ(u)², θ the angle to the closest teacher, as far as a search finds it.

    By 1 − sη₀ ≥ cθ², Σ|a||w|θ² ≤ ζ/(λc). The least of random directions in the teachers' span and one more, and near
    each teacher along and across its tangents, is slid down by a local search.
    """
    from scipy.optimize import minimize

    vectors = certificate.vectors
    wide = np.pad(vectors, ((0, 0), (0, 1)))
    known = Certificate(wide, np.sign(certificate(vectors)))

    def ratio(directions: Any) -> Any:
        theta = angles(directions, wide)
        theta = np.minimum(theta, np.pi - theta).min(-1)
        return (1 - np.abs(known(directions))) / theta**2

    drawn = unit(np.random.default_rng(0).standard_normal((count, wide.shape[1])))
    near = unit(np.repeat(wide, count // 10, axis=0) + 0.05 * drawn[: len(wide) * (count // 10)])
    tried = np.concatenate([drawn, near])
    best = np.argsort(ratio(tried))[:5]
    slid = [
        minimize(lambda u: float(ratio(unit(u)[None])[0]), tried[one], method="Nelder-Mead").fun
        for one in best
    ]
    return float(min(slid))


@cache
def gradient_constant(certificate: Certificate, count: int = 4000, step: float = 1e-5) -> float:
    """c of |∇L_λ|² ≥ cλζ near the optimum, min over u of 2(1 − |η₀|) + |∇η₀|²/(1 − |η₀|), as far as a search finds it.

    As `quadratic_growth`, in the teachers' span and one direction more; gradients by central differences.
    """
    from scipy.optimize import minimize

    wide = np.pad(certificate.vectors, ((0, 0), (0, 1)))
    known = Certificate(wide, np.sign(certificate(certificate.vectors)))

    def ratio(directions: Any) -> Any:
        square = np.zeros(len(directions))
        for axis in np.eye(wide.shape[1]):
            tangent = axis - directions * (directions @ axis)[:, None]
            ahead, behind = (known(unit(directions + side * step * tangent)) for side in (1, -1))
            square += ((ahead - behind) / (2 * step)) ** 2
        gap = np.maximum(1 - np.abs(known(directions)), 1e-12)
        return 2 * gap + square / gap

    drawn = unit(np.random.default_rng(0).standard_normal((count, wide.shape[1])))
    # at a teacher itself the ratio is 0/0
    drawn = drawn[np.abs(drawn @ wide.T).max(-1) < math.cos(0.05)]
    best = np.argsort(ratio(drawn))[:2]
    slid = [
        minimize(lambda u: float(ratio(unit(u)[None])[0]), drawn[one], method="Nelder-Mead").fun
        for one in best
    ]
    return float(min(slid))


def limit_of_two(degrees: float, sign: float) -> float:
    """½|η₀|² of two teachers at an angle, of the same sign (1) or opposite ones (−1): lim L/λ² as λ → 0."""
    return 0.5 * Certificate(plane([0, degrees]), np.array([1.0, sign])).square_norm


def off_span_energies(dimension: int, coefficients: Any, count: int) -> Any:
    """The share of the first big step's energy outside the span of orthonormal teachers, over random ŵ, (draw,).

    The step is Σ a_k[(1 − 2φ_k/π) s_k + B c_k] v_k + B ŵ_⟂ with c_k = ŵ·v_k, s_k = sgn c_k, φ_k = arccos|c_k| and
    B = (2/π)Σ a_k(sin φ_k − 1).
    """
    random = np.random.default_rng(0)
    inside = random.standard_normal((count, len(coefficients)))
    free = dimension - len(coefficients)
    outside = random.chisquare(free, count) if free else np.zeros(count)
    length = np.sqrt((inside**2).sum(-1) + outside)
    cosine = inside / length[:, None]
    phi = np.arccos(np.abs(cosine))
    along = (2 / math.pi) * (coefficients * (np.sin(phi) - 1)).sum(-1)
    span = coefficients * (1 - 2 * phi / math.pi) * np.sign(cosine) + along[:, None] * cosine
    across = along**2 * outside / length**2
    return across / ((span**2).sum(-1) + across)


def first_step(directions: Any, vectors: Any, coefficients: Any) -> Any:
    """Σ_k a_k[(1 − 2φ_k/π) s_k v_k + (2/π)(sin φ_k − 1) ŵ]: the first big step from unit ŵ (…, feature), over η."""
    flat = np.reshape(directions, (-1, vectors.shape[-1]))
    theta = angles(flat, vectors)
    span = (coefficients * (1 - 2 * theta / math.pi)) @ vectors
    back = (coefficients * (np.sin(theta) - 1)).sum(-1, keepdims=True) * (2 / math.pi)
    return np.reshape(span + back * flat, np.shape(directions))


def linear_first_step(directions: Any, vectors: Any, coefficients: Any) -> Any:
    """(2/π)Hŵ, H = Σ_k a_k v_k v_kᵀ: that to the first order in ŵ·v_k, but for the part along ŵ."""
    return (2 / math.pi) * (directions @ vectors.T * coefficients) @ vectors


def fall(height: Any, slope: Any, sign: float, radius: Any) -> tuple[Any, Any]:
    """−∂L_λ/∂w over λ of a balanced neuron at w = radius·u, a = sign·|w|, along u and around the circle.

    ∂L/∂w = −λa∇η with η homogeneous: radius·(sη − 1) outward, radius·s dη/dθ around.
    """
    return radius * (sign * height - 1), radius * sign * slope
