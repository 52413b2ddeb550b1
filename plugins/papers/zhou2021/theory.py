"""What the paper states, and what follows from it, as functions of their arguments.

Teachers have norm 1 unless said otherwise. δ_j: angle of student j to its closest teacher, up to sign; p_j = |w_j|²
its mass; Δ the smallest angle between teachers (π/2 for a single one); r the number of teachers.

Derived, near the minimum, where Σ_{j∈T_i} |w_j| w_j = w_i* (students turned towards their teacher) but for little:
- L = (1/π) Σ C C' g(θ) over students (C = p) and teachers (C = −1), g(θ) = θ³/3 for small θ. For a pair of masses
  p + q = 1 at pδ = qδ', θ = δ + δ', that is (4/3π) p²q²θ³ (Claim 2: (2/3π) δ³ for p = q).
- Turning moves w_j by |w_j| dδ_j, so pq dθ/dt = −dL/dθ, θ = π/(4pq t) and L t³ = π²/(48pq).
- Then p δ + q δ' = 2pqθ and p δ² + q δ'² = pqθ², so Σ|w|²δ t → π/2 for each pair, and Σ|w|²δ² ~ L^{2/3}. E R₂ ~ θ²
  pulls the average neuron, so |v_i| ~ L^{2/3}, |R₁|² ~ θ⁴ ≪ L and |R₂|²/2L → 1. |∇L|² = −dL/dt ~ L^{4/3}.
- A student of mass μ at right angles to all teachers stays so. The teachers' students follow at once, L = ½κμ² with
  κ = 1 − kᵀK⁻¹k, k = 2/π, K the teachers' Gram matrix, and dμ/dt = −2⟨w, ∂L/∂w⟩ = −4μ dL/dμ: L t² = 1/(32κ).
  |∇L|² = 4κ²μ³, so |∇L| = 2^{7/4} κ^{1/4} L^{3/4}, and Σ|w|²δ² = μ(π/2)² = (π²/4)√(2L/κ).
- One student for each teacher: |w|w moves by |w|(I + ŵŵᵀ) dw, so the Hessian is A M A, A_ii = |w_i|(I + ŵŵᵀ).
- ∇_j L = |w_j|(I + ŵŵᵀ)E[R x sgn(w_j·x)], R = f − f*, and E⟨(I + ŵŵᵀ)u, x⟩² ≤ 4: |∇L|² ≤ 8 M L, M = Σ|w_j|², with
  equality for one teacher and one student on it. √(2/π)(M − Σ|w_i*|) = E R ≤ √(2L); where W is no worse than 0,
  L ≤ L(0) ≤ ½(r w_max)²: Lemma 14 with the constant 4(1 + √(π/2)), 9.01. Parallel teachers reach 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer import Paper, TwoSlope
from twolayer.analysis.rates import log_slope
from twolayer.analysis.teachers import in_plane
from twolayer.errors import DataError

paper = Paper(
    "zhou2021",
    "Zhou, Ge, Jin, COLT 2021",
    {"neurons": "m", "angles": "Δ"},
    setting={
        "problem.name": "gaussian_teacher",
        "problem.profile": "none",
        "problem.loss": "half_mean_square",
        "network.activation": "abs",
        "network.output": "tied",
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "stochastic_gradient_descent", "gradient_flow"),
        "dynamics.weight_decay": (0.0, None),
    },
)


# ---- what is derived in closed form ----


class AbsoluteValue(TwoSlope):
    """σ(z) = |z|, that of the paper."""

    below, above = -1.0, 1.0


KAPPA = 0.5
"""Of Theorem 4, |∇L| ≥ κL/√(r w_max). The paper says that there is one; this one is ours."""

PAIR_LOSS, PAIR_GRADIENT = 2 / (3 * math.pi), 2 / math.pi
"""Claim 2: lim L/δ³ and lim |∇L|/δ² as δ → 0, of two students at ±δ of a unit teacher."""


def kernel(phi: Any) -> Any:
    """K(φ) = E|û·x||v̂·x|."""
    return (2 / np.pi) * (np.sin(phi) + (np.pi / 2 - phi) * np.cos(phi))


def separation(axes: Any) -> Any:
    """M of Lemma C.4, M_ij = E[xxᵀ sgn(v_i·x) sgn(v_j·x)], as a matrix (teacher·feature, teacher·feature).

    M_ij = (2/π)[(π/2 − φ) I + sin φ (cos φ (uuᵀ − eeᵀ) + sin φ (ueᵀ + euᵀ))], e ⟂ u = v_i in the plane, e·v_j > 0.
    """
    count, features = axes.shape
    blocks = np.empty((count, features, count, features))
    for i, u in enumerate(axes):
        for j, v in enumerate(axes):
            orthogonal = v - (u @ v) * u
            sine = np.linalg.norm(orthogonal) if i != j else 0.0
            e = orthogonal / sine if sine > 0 else np.zeros_like(u)
            phi = math.atan2(sine, u @ v)
            both = np.outer(u, e) + np.outer(e, u)
            bent = np.cos(phi) * (np.outer(u, u) - np.outer(e, e)) + sine * both
            blocks[i, :, j] = (2 / np.pi) * ((np.pi / 2 - phi) * np.eye(features) + sine * bent)
    return blocks.reshape(count * features, count * features)


def smallest(axes: Any) -> float:
    """λ_min(M)."""
    return float(np.linalg.eigvalsh(separation(axes))[0])


def separation_ratio(teachers: int, step: float) -> float:
    """λ_min(M) r³/Δ³ of r teachers at steps of Δ in the plane: Lemma C.4 bounds it below."""
    return smallest(in_plane(step * np.arange(teachers))) * (teachers / step) ** 3


def smallest_of_two(separation: Any) -> Any:
    """λ_min(M) of two teachers, (2/π)(Δ − sin Δ)."""
    return (2 / np.pi) * (separation - np.sin(separation))


def curvatures(teachers: Any) -> Any:
    """The eigenvalues of A M A, ascending, for teachers (teacher, feature).

    That is the Hessian at the minimum with a student for each teacher, A_ii = |w_i|(I + ŵŵᵀ), |w_i|² = |w_i*|.
    """
    count, features = teachers.shape
    both = np.zeros((count, features, count, features))
    length = np.linalg.norm(teachers, axis=-1)
    axes = teachers / length[:, None]
    for index, v in enumerate(axes):
        both[index, :, index] = math.sqrt(length[index]) * (np.eye(features) + np.outer(v, v))
    blocks = both.reshape((count * features,) * 2)
    return np.linalg.eigvalsh(blocks @ separation(axes) @ blocks)


def exponential_rate(teachers: Any) -> float:
    """2λ of L ~ e^(−2λt) with a student for each teacher (teacher, feature), λ the least of `curvatures`."""
    return 2 * float(curvatures(teachers)[0])


def step_limit(gram: Any) -> float:
    """1/(2 λ_max(K)), K_ij = E|w_i*·x||w_j*·x|/√(|w_i*||w_j*|): a larger step makes every minimum unstable."""
    return float(1 / (2 * np.linalg.eigvalsh(gram)[-1]))


def largest_step(teachers: Any) -> float:
    """The same for teachers (teacher, feature) that are orthogonal; DataError for others, whose Hessian at the minimum
    has a larger eigenvalue than 4 λ_max(K)."""
    if smallest_angle(teachers) < math.pi / 2 - 1e-9:
        raise DataError("the largest step in closed form is one of orthogonal teachers")
    return step_limit(gram(teachers))


def orthonormal_gram(teachers: int) -> Any:
    """K of orthonormal teachers: 1 on the diagonal, 2/π elsewhere."""
    return np.full((teachers, teachers), 2 / np.pi) + (1 - 2 / np.pi) * np.eye(teachers)


def bisector_loss(delta: Any) -> Any:
    """L with all students on the bisector of two unit teachers at the best mass, 1 + K(Δ) − 2 K(Δ/2)² = Δ³/3π + …"""
    return 1 + kernel(delta) - 2 * kernel(delta / 2) ** 2


def bisector_order(delta: Any) -> Any:
    """Δ³/3π, to which that tends as Δ → 0."""
    return delta**3 / (3 * np.pi)


WIDEST_BISECTOR = 1.4209254755510334
"""Δ, 81.4°, up to which the bisector of two unit teachers is the best single line: K(φ − Δ/2) + K(φ + Δ/2) has its
maximum at φ = 0 while tan(Δ/2) < (π − Δ)/2. Of students that start as one, those at a larger Δ leave it. (Derived.)"""


def cross_loss(delta: Any) -> float:
    """L of students on both bisectors of two unit teachers at the best masses, a stationary state by symmetry.

    ½(2 + 2K(Δ) − hᵀG⁻¹h), G the bisectors' Gram matrix under |·|, h = 2 (K(Δ/2), K(π/2 − Δ/2)); one bisector alone
    where that would take a mass below 0. Orthogonal teachers: 0.0579, a sixth of the one bisector's. (Derived.)
    """
    gram = orthonormal_gram(2)
    height = 2 * kernel(np.array([delta / 2, np.pi / 2 - delta / 2]))
    mass = np.linalg.solve(gram, height)
    if mass.min() < 0:
        return float(bisector_loss(delta))
    return float(1 + kernel(delta) - 0.5 * height @ mass)


def cross_state(delta: float) -> tuple[float, float]:
    """L and |∇L| of students on both bisectors of two unit teachers, at the best masses, by the exact gradient."""
    from twolayer import Network, Teacher, Weights

    height = 2 * kernel(np.array([delta / 2, np.pi / 2 - delta / 2]))
    mass = np.linalg.solve(orthonormal_gram(2), height)
    hidden = np.sqrt(mass)[:, None] * in_plane(np.array([delta / 2, delta / 2 + math.pi / 2]))
    network = Network(2, AbsoluteValue(), "tied")
    problem = Teacher(in_plane(np.array([0.0, delta])), np.ones(2)).problem(network)
    weights = network.with_tied_outputs(Weights(hidden, np.zeros(2)))
    return float(problem.loss(weights)), float(np.linalg.norm(problem.gradient(weights).hidden))


def ceiling(separation: float) -> float:
    """Half the loss of that cross, the lowest stationary state known: a loss below it counts as small."""
    return 0.5 * cross_loss(separation)


def orthogonal_curvature(teachers: Any) -> float:
    """κ of L = ½κμ², μ the mass of a student at right angles to all teachers (teacher, feature)."""
    k = (2 / np.pi) * np.sqrt(np.linalg.norm(teachers, axis=-1))
    return float(1 - k @ np.linalg.solve(gram(teachers), k))


def orthogonal_decay(teachers: Any) -> float:
    """lim L t² = 1/(32κ) of a student at right angles to all teachers (teacher, feature)."""
    return 1 / (32 * orthogonal_curvature(teachers))


def half_mass_constant(dimension: int) -> float:
    """C of δ ≤ C (L/|w*|²)^{1/3} (1 + o(1)), δ the angle within which students carry half of a teacher's |w*|.

    Near the teacher L = (|w*|²/3π) ΣCC'|x − x'|³ over points x = tan δ in the tangent space, of masses C with Σ C = 0,
    Σ C x = 0, −1 at 0 for the teacher. With at most ½ within δ the least L has that ½ on the teacher and the rest
    spread evenly over the sphere of radius δ: L = (|w*|²δ³/3π)(¼E|u − u'|³ − ½), u and u' uniform on S^{d−2}, so
    C³ = 3π/(¼E|u − u'|³ − ½). In the plane E|u − u'|³ = 4 and C = (6π)^{1/3}. (Derived, as δ → 0.)
    """
    n = dimension - 1
    gamma = math.gamma
    cube = 2 ** (n + 1) * gamma(n / 2) * gamma((n + 2) / 2) / (math.sqrt(math.pi) * gamma(n + 0.5))
    return float(np.cbrt(3 * math.pi / (0.25 * cube - 0.5)))


def half_mass_ratio(dimension: int, delta: float) -> float:
    """δ/L^{1/3} with half of the mass on a unit teacher and the rest at δ from it, along all axes across it."""
    from twolayer import Network, Teacher, Weights

    axes = np.eye(dimension)[1:]
    turned = np.concatenate([axes, -axes])
    points = np.concatenate([np.zeros((1, dimension)), math.tan(delta) * turned]) + np.eye(dimension)[0]
    heavy = np.array([0.5, *np.full(len(turned), 0.5 / len(turned))])[:, None] * points
    hidden = heavy / np.sqrt(np.linalg.norm(heavy, axis=-1))[:, None]
    network = Network(len(hidden), AbsoluteValue(), "tied")
    problem = Teacher(np.eye(dimension)[:1], np.ones(1)).problem(network)
    loss = float(problem.loss(network.with_tied_outputs(Weights(hidden, np.zeros(len(hidden))))))
    return delta / float(np.cbrt(loss))


STEEPEST = 4 * (1 + math.sqrt(math.pi / 2))
"""Of |∇L|² ≤ STEEPEST r³w_max³ where L ≤ L(0)."""


def loss_at_zero(lengths: Any) -> float:
    """L(0) = ½E f*² of orthogonal teachers of these lengths."""
    return float(0.5 * lengths @ orthonormal_gram(len(lengths)) @ lengths)


def largest_stable_step(students: int, teachers: Any, count: int = 400) -> float:
    """The largest step with which descent goes back to the minimum it starts 1e-6 away from, by bisection to 1e-3.

    Students stand on the teachers (teacher, feature), of norm |w_i*|, in turn and share them equally. At a relative
    distance ε above the largest step the top mode grows by 1 + 2ε per step, by e^0.4 in the last 200 of `count` = 400
    steps at ε = 1e-3.
    """
    from twolayer import Network, Teacher, Weights
    from twolayer.population.numba_descent import (
        CompiledPopulationProblem,
    )  # ten thousand steps of two networks

    network = Network(students, AbsoluteValue(), "tied")
    length = np.linalg.norm(teachers, axis=-1)
    problem = CompiledPopulationProblem(Teacher(teachers / length[:, None], length), network)
    order = np.arange(students) % len(teachers)
    hidden = (teachers / np.sqrt(length * np.bincount(order))[:, None])[order]
    hidden += 1e-6 * np.random.default_rng(0).standard_normal(hidden.shape)

    def returns(step: float) -> bool:
        weights = network.with_tied_outputs(Weights(hidden, np.zeros(students)))
        with np.errstate(all="ignore"):
            half = problem.descend(weights, step, 0.0, count // 2)
            whole = problem.descend(half, step, 0.0, count - count // 2)
            before, after = float(problem.loss(half)), float(problem.loss(whole))
            # a loss at the level of rounding counts as returned, whatever rounding does with it
            return after < 1e-9 and (after < before or after < 1e-28)

    low, high = 0.15, 0.35
    while not returns(low):
        low, high = 0.5 * low, low
    while returns(high):
        low, high = high, 2 * high
    while high - low > 1e-3 * low:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if returns(middle) else (low, middle)
    return 0.5 * (low + high)


def growth(lengths: Sequence[Any], values: Sequence[float]) -> dict[str, float]:
    """Exponents of values in r, of teachers of one length, and in w_max, where one of as many teachers is longer.

    lengths: |w_i*| of the teachers that belong to each value. NaN where only one size is there.
    """
    rows = [
        (len(length), length.max(), length.min() == length.max(), value)
        for length, value in zip(lengths, values, strict=True)
    ]
    numbers = {number for number, _, even, _ in rows if not even}
    more = [(number, value) for number, _, even, value in rows if even]
    longer = [(length, value) for number, length, _, value in rows if {number} == numbers]
    return {
        word: float(log_slope(*np.transpose(pairs))) if pairs else math.nan
        for word, pairs in (("r", more), ("w_max", longer))
    }


# ---- functions of one state in the plane, on the circle x = (cos φ, sin φ) ----


def on_circle(vectors: Any, phi: Any) -> Any:
    """w·x of each vector (…, 2), (…, φ)."""
    return vectors @ in_plane(phi).T


def residual(hidden: Any, axes: Any, phi: Any) -> Any:
    """R = f − f*, (φ,), of students (neuron, 2)."""
    length = np.linalg.norm(hidden, axis=-1)
    return length @ np.abs(on_circle(hidden, phi)) - np.abs(on_circle(axes, phi)).sum(0)


def split(hidden: Any, axes: Any, phi: Any) -> tuple[Any, Any]:
    """R₁ and R₂ of Lemma 12, (φ,): students as their teachers' average neurons, and what that leaves out."""
    closest = separation_angles(hidden, axes).argmin(-1)
    nearest = axes[closest]
    turned = np.where((hidden * nearest).sum(-1) < 0, -1.0, 1.0)[:, None] * hidden
    heavy = np.linalg.norm(hidden, axis=-1)[:, None] * turned
    first = (on_circle(heavy, phi) * np.sign(on_circle(nearest, phi))).sum(0) - np.abs(
        on_circle(axes, phi)
    ).sum(0)
    return first, residual(hidden, axes, phi) - first


def separation_angles(hidden: Any, axes: Any) -> Any:
    """Angles up to sign, (…, neuron, teacher)."""
    along = np.abs(hidden @ axes.T)
    across = np.abs(hidden[..., 0, None] * axes[:, 1] - hidden[..., 1, None] * axes[:, 0])
    return np.arctan2(across, along)


def test_function(axis: Any, delta: float, phi: Any) -> Any:
    """g of Lemma 9 in the plane: |v·x| less its best linear fit where |v·x| ≤ sin(δ)|x|, 0 elsewhere, (φ,).

    Derived: with ψ the angle to the line v·x = 0 the region is |ψ| ≤ δ; |sin ψ| is even, so the fit is c cos ψ with
    c = ∫|sin| cos / ∫cos² = sin²δ/(δ + sin δ cos δ).
    """
    psi = np.arcsin(np.clip(on_circle(axis, phi), -1, 1))  # |ψ|: towards the nearer of the line's two ends
    fit = math.sin(delta) ** 2 / (delta + math.sin(delta) * math.cos(delta))
    return np.where(np.abs(psi) <= delta, np.abs(np.sin(psi)) - fit * np.cos(psi), 0.0)


def kink_bound(delta: float, length: float = 1.0) -> float:
    """½ E[R g]²/E[g²] ≤ L where R has no kink within δ of a teacher's but its own: ½ |w*|² E g², E g² = δ³/3π (1 + …).

    R is then a linear function less |w*·x| there, w* = |w*|v, so E[R g] = −|w*| E[|v·x| g] = −|w*| E g². (Derived.)
    E|x|² = 2, two ends of the line:
    E g² = (2/π) ∫_{−δ}^{δ} (|sin ψ| − c cos ψ)² dψ.
    """
    sine = math.sin(delta) * math.cos(delta)
    return length**2 * ((delta - sine) - math.sin(delta) ** 4 / (delta + sine)) / math.pi


def gram(teachers: Any) -> Any:
    """K_ij = E|w_i*·x||w_j*·x|/√(|w_i*||w_j*|), (teacher, teacher)."""
    length = np.linalg.norm(teachers, axis=-1)
    angle = np.arccos(np.clip(np.abs(teachers @ teachers.T) / np.outer(length, length), 0, 1))
    np.fill_diagonal(angle, 0.0)
    return np.sqrt(np.outer(length, length)) * kernel(angle)


def smallest_angle(teachers: Any) -> float:
    """Δ, the smallest angle between teachers up to sign; π/2 for a single one."""
    directions = teachers / np.linalg.norm(teachers, axis=-1, keepdims=True)
    angles = [
        2 * math.atan2(float(np.linalg.norm(u - sign * v)), float(np.linalg.norm(u + sign * v)))
        for index, u in enumerate(directions)
        for v in directions[:index]
        for sign in (1.0, -1.0)
    ]
    return min(angles, default=math.pi / 2)
