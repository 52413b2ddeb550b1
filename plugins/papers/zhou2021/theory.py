"""What the paper states, what follows from it, and how a run is read.

Teachers have norm 1 unless said otherwise. δ_j: angle of student j to its closest teacher, up to sign; p_j = |w_j|²
its mass; Δ the smallest angle between teachers (π/2 for a single one); r the number of teachers.

Derived, near the minimum, where Σ_{j∈T_i} |w_j| w_j = w_i* (students turned towards their teacher) but for little:
- L = (1/π) Σ C C' g(θ) over students (C = p) and teachers (C = −1), g(θ) = θ³/3 for small θ. For a pair of masses
  p + q = 1 at pδ = qδ', θ = δ + δ', that is (4/3π) p²q²θ³ (Claim 2: (2/3π) δ³ for p = q).
- Turning moves w_j by |w_j| dδ_j, so pq dθ/dt = −dL/dθ, θ = π/(4pq t) and L t³ = π²/(48pq).
- A student of mass μ at right angles to all teachers stays so. Teachers' own students follow at once, L = ½κμ² with
  κ = 1 − kᵀK⁻¹k, k = 2/π, K the teachers' Gram matrix, and dμ/dt = −2⟨w, ∂L/∂w⟩ = −4μ dL/dμ: L t² = 1/(32κ).
- One student for each teacher: |w|w moves by |w|(I + ŵŵᵀ) dw, so the Hessian is A M A, A_ii = |w_i|(I + ŵŵᵀ).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import runs_by
from twolayer.rates import first_below, power_slope

if TYPE_CHECKING:
    import xarray as xr

ANGLES = np.radians([22.28, 58.27, 149.29])
"""Teachers of Figure 1, read off the print."""

TEACHERS = 3
"""r of Figure 1 and of the runs in d = 5."""

FALL = 0.1
"""A last decade of time begins at this fraction of its end."""


# ---- what is derived in closed form ----


def kernel(phi: Any) -> Any:
    """K(φ) = E|û·x||v̂·x|."""
    return (2 / np.pi) * (np.sin(phi) + (np.pi / 2 - phi) * np.cos(phi))


def plane(angles: Any) -> Any:
    """Unit vectors (teacher, 2) at angles in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def separation(axes: Any) -> Any:
    """M of Lemma C.4, M_ij = E[xxᵀ sgn(v_i·x) sgn(v_j·x)], as a matrix (teacher·feature, teacher·feature).

    M_ij = (2/π)[(π/2 − φ) I + sin φ (cos φ (uuᵀ − eeᵀ) + sin φ (ueᵀ + euᵀ))], e ⟂ u = v_i in the plane, e·v_j > 0.
    """
    count, features = axes.shape
    blocks = np.empty((count, features, count, features))
    for i, u in enumerate(axes):
        for j, v in enumerate(axes):
            beside = v - (u @ v) * u
            sine = np.linalg.norm(beside) if i != j else 0.0
            e = beside / sine if sine > 0 else np.zeros_like(u)
            phi = math.atan2(sine, u @ v)
            both = np.outer(u, e) + np.outer(e, u)
            bent = np.cos(phi) * (np.outer(u, u) - np.outer(e, e)) + sine * both
            blocks[i, :, j] = (2 / np.pi) * ((np.pi / 2 - phi) * np.eye(features) + sine * bent)
    return blocks.reshape(count * features, count * features)


def smallest(axes: Any) -> float:
    """λ_min(M)."""
    return float(np.linalg.eigvalsh(separation(axes))[0])


def smallest_of_two(separation: Any) -> Any:
    """λ_min(M) of two teachers, (2/π)(Δ − sin Δ)."""
    return (2 / np.pi) * (separation - np.sin(separation))


def curvatures(axes: Any) -> Any:
    """The eigenvalues of A M A: of the Hessian at the minimum with a student for each teacher, ascending."""
    features = axes.shape[1]
    grown = [np.eye(features) + np.outer(v, v) for v in axes]
    both = np.zeros((len(axes) * features,) * 2)
    for place, block in enumerate(grown):
        both[place * features : (place + 1) * features, place * features : (place + 1) * features] = block
    return np.linalg.eigvalsh(both @ separation(axes) @ both)


def step_limit(gram: Any) -> float:
    """1/(2 λ_max(K)), K_ij = E|v_i·x||v_j·x|: a larger step makes every minimum unstable."""
    return float(1 / (2 * np.linalg.eigvalsh(gram)[-1]))


def orthonormal_gram(teachers: int) -> Any:
    """K of orthonormal teachers: 1 on the diagonal, 2/π beside it."""
    return np.full((teachers, teachers), 2 / np.pi) + (1 - 2 / np.pi) * np.eye(teachers)


def bisector_loss(delta: Any) -> Any:
    """L with all students on the bisector of two unit teachers at the best mass, 1 + K(Δ) − 2 K(Δ/2)² = Δ³/3π + …"""
    return 1 + kernel(delta) - 2 * kernel(delta / 2) ** 2


def ceiling(separation: float) -> float:
    """Half the leading order of that, Δ³/6π: what we take for a small loss."""
    return separation**3 / (6 * math.pi)


def beside_constant(teachers: int) -> float:
    """lim L t² of a student at right angles to all orthonormal teachers, 1/(32κ)."""
    k = np.full(teachers, 2 / np.pi)
    return float(1 / (32 * (1 - k @ np.linalg.solve(orthonormal_gram(teachers), k))))


def pair_constant(run: xr.Dataset) -> Any:
    """lim L t³ = Σ_i π²/(48 p q) over teachers with two students, p + q = 1 at the end of the run, (seed,)."""
    last = run.isel(time=-1)
    mass = last["mass"].transpose("seed", "neuron").values
    closest = last["closest_teacher"].transpose("seed", "neuron").values
    total = np.zeros(len(mass))
    for teacher in range(run.sizes["teacher"]):
        own = closest == teacher
        product = np.where(own, mass, 1.0).prod(-1)
        total += np.where(own.sum(-1) == 2, np.pi**2 / 48 / product, np.nan)
    return total


# ---- functions of one state in the plane, on the circle x = (cos φ, sin φ) ----


def on_circle(vectors: Any, phi: Any) -> Any:
    """w·x of each vector (…, 2), (…, φ)."""
    return vectors @ plane(phi).T


def residual(hidden: Any, axes: Any, phi: Any) -> Any:
    """R = f − f*, (φ,), of students (neuron, 2)."""
    length = np.linalg.norm(hidden, axis=-1)
    return length @ np.abs(on_circle(hidden, phi)) - np.abs(on_circle(axes, phi)).sum(0)


def split(hidden: Any, axes: Any, phi: Any) -> tuple[Any, Any]:
    """R₁ and R₂ of Lemma 12, (φ,): students as their teachers' average neurons, and what that leaves out."""
    closest = separation_angles(hidden, axes).argmin(-1)
    own = axes[closest]
    turned = np.where((hidden * own).sum(-1) < 0, -1.0, 1.0)[:, None] * hidden
    heavy = np.linalg.norm(hidden, axis=-1)[:, None] * turned
    first = (on_circle(heavy, phi) * np.sign(on_circle(own, phi))).sum(0) - np.abs(on_circle(axes, phi)).sum(
        0
    )
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


def kink_bound(delta: float) -> float:
    """½ E[R g]²/E[g²] ≤ L where R has no kink within δ of v's but v's own: ½ E g² = δ³/6π (1 + …). (Derived.)

    R is then a linear function less |v·x| there, so E[R g] = −E[|v·x| g] = −E g². E|x|² = 2, two ends of the line:
    E g² = (2/π) ∫_{−δ}^{δ} (|sin ψ| − c cos ψ)² dψ.
    """
    sine = math.sin(delta) * math.cos(delta)
    return ((delta - sine) - math.sin(delta) ** 4 / (delta + sine)) / math.pi


# ---- how a run is read ----


def values(run: xr.Dataset, name: str) -> Any:
    """A variable as an array (seed, time, …)."""
    rest = [dimension for dimension in run[name].dims if dimension not in ("seed", "time")]
    return run[name].transpose("seed", "time", *rest).values


def nearest(run: xr.Dataset) -> Any:
    """The angle from the teacher that is farthest from all students to its nearest one, (seed, time)."""
    return values(run, "teacher_angles").min(2).max(-1)


def late_slopes(time: Any, losses: Any) -> Any:
    """The slope of log L against log t over the last decade, (seed,)."""
    return np.array([power_slope(time, loss, FALL * time[-1], time[-1]) for loss in losses])


def time_to(time: Any, losses: Any, level: float) -> Any:
    """The first time at which L is level, between saved ones by power laws, (seed,); NaN where it is not reached."""
    return np.array([first_below(time, np.log(loss), math.log(level), "log") for loss in losses])


def shared_angles(hidden: Any, axes: Any) -> tuple[Any, Any]:
    """How many students are within 0.02° of another one's line, but more than 1° from every teacher's, and the share
    of the mass that is more than 1° from every teacher, (…,). Students of less than 1e-3 of mass do not count.

    At random 20 lines have 0.08 students within 0.02° of another.
    """
    mass = (hidden**2).sum(-1)
    far = (mass > 1e-3) & (separation_angles(hidden, axes).min(-1) > math.radians(1.0))
    left, right = hidden[..., :, None, :], hidden[..., None, :, :]
    across = np.abs(left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0])
    close = np.arctan2(across, np.abs((left * right).sum(-1))) < math.radians(0.02)
    close &= ~np.eye(hidden.shape[-2], dtype=bool) & far[..., None, :]
    return (far & close.any(-1)).sum(-1), np.where(far, mass, 0.0).sum(-1) / mass.sum(-1)


LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)
"""ε of the times to a loss."""

LAWS = {
    "with dust": ("dust_6", "dust_12", "dust_24", "dust_48", "dust_96"),
    "all near": ("near_6", "near_96"),
}
"""The runs of `width` by the law of their starts."""

EARLIER = {1e-2: (3.5, 5.7), 1e-3: (15.0, 21.0), 1e-4: (57.0, 63.0), 1e-5: (168.0, 183.0)}
"""ηt to ε over m = 6 … 96, of earlier runs."""


def spelled(label: str) -> str:
    """A run of `width` in words."""
    kind, _, neurons = label.partition("_")
    return {
        "dust": f"m = {neurons} with dust",
        "near": f"m = {neurons}, all near",
        "beside": "m = 4, one at right angles",
    }[kind]


def times_of(dataset: xr.Dataset, labels: Any, level: float) -> dict[int, Any]:
    """The times to a loss by m, each (seed,)."""
    runs = runs_by(dataset, "initialization")
    return {
        int(runs[label]["neurons"]): time_to(runs[label]["time"].values, values(runs[label], "loss"), level)
        for label in labels
    }


FLOWS = {
    "one": "m = 3, one a teacher",
    "two": "m = 6, two a teacher",
    "four": "m = 12, four a teacher",
    "dust": "m = 12, one a teacher and dust",
}
"""The runs of `rates` in words."""


def told_state(label: str) -> str:
    """A run of `states` in words."""
    kind, _, teachers = label.partition("_")
    return f"d = {2 if kind == 'plane' else 5}, r = {teachers}"


def loneliest(hidden: Any, axes: Any) -> tuple[int, float]:
    """The teacher that is farthest from all students and other teachers, and that angle."""
    others = separation_angles(axes, axes) + np.pi * np.eye(len(axes))
    free = np.minimum(separation_angles(hidden, axes).min(0), others.min(0))
    return int(free.argmax()), float(free.max())
