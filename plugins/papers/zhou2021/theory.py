"""What the paper states, what follows from it, and how a run is read.

Teachers have norm 1 unless said otherwise. δ_j: angle of student j to its closest teacher, up to sign; p_j = |w_j|²
its mass; Δ the smallest angle between teachers (π/2 for a single one); r the number of teachers.

Derived, near the minimum, where Σ_{j∈T_i} |w_j| w_j = w_i* (students turned towards their teacher) but for little:
- L = (1/π) Σ C C' g(θ) over students (C = p) and teachers (C = −1), g(θ) = θ³/3 for small θ. For a pair of masses
  p + q = 1 at pδ = qδ', θ = δ + δ', that is (4/3π) p²q²θ³ (Claim 2: (2/3π) δ³ for p = q).
- Turning moves w_j by |w_j| dδ_j, so pq dθ/dt = −dL/dθ, θ = π/(4pq t) and L t³ = π²/(48pq).
- Then p δ + q δ' = 2pqθ and p δ² + q δ'² = pqθ², so Σ|w|²δ t → π/2 for each pair, and Σ|w|²δ² ~ L^{2/3}. E R₂ ~ θ²
  pulls the average neuron, so |v_i| ~ L^{2/3}, |R₁|² ~ θ⁴ ≪ L and |R₂|²/2L → 1. |∇L|² = −dL/dt ~ L^{4/3}.
- A student of mass μ at right angles to all teachers stays so. Teachers' own students follow at once, L = ½κμ² with
  κ = 1 − kᵀK⁻¹k, k = 2/π, K the teachers' Gram matrix, and dμ/dt = −2⟨w, ∂L/∂w⟩ = −4μ dL/dμ: L t² = 1/(32κ).
  |∇L|² = 4κ²μ³, so |∇L| = 2^{7/4} κ^{1/4} L^{3/4}, and Σ|w|²δ² = μ(π/2)² = (π²/4)√(2L/κ).
- One student for each teacher: |w|w moves by |w|(I + ŵŵᵀ) dw, so the Hessian is A M A, A_ii = |w_i|(I + ŵŵᵀ).
- ∇_j L = |w_j|(I + ŵŵᵀ)E[R x sgn(w_j·x)], R = f − f*, and E⟨(I + ŵŵᵀ)u, x⟩² ≤ 4: |∇L|² ≤ 8 M L, M = Σ|w_j|², with
  equality for one teacher and one student on it. √(2/π)(M − Σ|w_i*|) = E R ≤ √(2L); where W is no worse than 0,
  L ≤ L(0) ≤ ½(r w_max)²: Lemma 14 with the constant 4(1 + √(π/2)), 9.01. Parallel teachers reach 8.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import runs_by
from twolayer.analysis.rates import first_below, power_slope, within_trust

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


def ceiling(separation: float) -> float:
    """Half the loss of that cross, the least stationary one we know: what we take for a small loss."""
    return 0.5 * cross_loss(separation)


def beside_curvature(teachers: int) -> float:
    """κ of L = ½κμ², μ the mass of a student at right angles to all orthonormal teachers."""
    k = np.full(teachers, 2 / np.pi)
    return float(1 - k @ np.linalg.solve(orthonormal_gram(teachers), k))


def beside_constant(teachers: int) -> float:
    """lim L t² of a student at right angles to all orthonormal teachers, 1/(32κ)."""
    return 1 / (32 * beside_curvature(teachers))


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


STEEPEST = 4 * (1 + math.sqrt(math.pi / 2))
"""Of |∇L|² ≤ STEEPEST r³w_max³ where L ≤ L(0)."""


def loss_at_zero(lengths: Any) -> float:
    """L(0) = ½E f*² of orthogonal teachers of these lengths."""
    return float(0.5 * lengths @ orthonormal_gram(len(lengths)) @ lengths)


def largest_stable_step(students: int, teachers: int = 3, count: int = 400) -> float:
    """The largest step with which descent goes back to the minimum it starts 1e-6 away from, by bisection to 1e-3.

    Students stand on orthonormal teachers in turn and share them equally. At a relative distance ε above the largest
    step the top mode grows by 1 + 2ε a step, by e^0.4 in the last 200 of `count` = 400 steps at ε = 1e-3.
    """
    from twolayer import Network, Teacher, Weights

    network = Network(students, "abs", "tied")
    problem = Teacher(np.eye(teachers + 2)[:teachers], np.ones(teachers)).problem(network)
    hidden = np.sqrt(teachers / students) * np.eye(teachers + 2)[np.arange(students) % teachers]
    hidden += 1e-6 * np.random.default_rng(0).standard_normal(hidden.shape)

    def returns(step: float) -> bool:
        weights = network.closed(Weights(hidden, np.zeros(students)))
        with np.errstate(all="ignore"):
            half = problem.descend(weights, step, 0.0, count // 2)
            whole = problem.descend(half, step, 0.0, count - count // 2)
            before, after = float(problem.loss(half)), float(problem.loss(whole))
            # what has gone down to rounding has come back, whatever rounding does with it then
            return after < 1e-9 and (after < before or after < 1e-28)

    low, high = 0.15, 0.35
    while high - low > 1e-3 * low:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if returns(middle) else (low, middle)
    return 0.5 * (low + high)


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
    """A variable as an array (seed, time, …); the loss is NaN where it is not to be trusted."""
    known = within_trust(run, name) if name == "loss" else run[name]
    rest = [dimension for dimension in known.dims if dimension not in ("seed", "time")]
    return known.transpose("seed", "time", *rest).values


def lengths(run: xr.Dataset) -> Any:
    """|w_i*|, (teacher,), of a run's problem section."""
    problem = json.loads(str(run["run"].values))["problem"]
    count = problem.get("teachers") or len(problem["angles"])
    return np.ones(count) * np.asarray(problem.get("coefficients", 1.0), dtype=np.float64)


def half_mass_angle(run: xr.Dataset) -> Any:
    """δ_i of Lemma 9: within it the students closest to a teacher carry Σ|w_j|² ≥ ½|w_i*|, (seed, time, teacher).

    Infinite where all of them carry less.
    """
    angle, mass = values(run, "teacher_angles"), values(run, "mass")[..., None]
    own = angle == np.nanmin(angle, axis=-1, keepdims=True)
    angle = np.where(own, angle, np.inf)
    order = np.argsort(angle, axis=2)
    carried = np.cumsum(np.take_along_axis(np.where(own, mass, 0.0), order, 2), axis=2)
    # half of a mass that is shared evenly by two is half but for rounding
    enough = carried >= 0.5 * (1 - 1e-12) * lengths(run)
    first = np.take_along_axis(np.take_along_axis(angle, order, 2), enough.argmax(2)[:, :, None], 2)[:, :, 0]
    return np.where(enough.any(2), first, np.inf)


def exponents(run: xr.Dataset, measure: Any, high: float = 1e-6, low: float = 1e-20) -> Any:
    """p of measure ~ L^p while low < L < high, by least squares of the logarithms, (seed,); measure (seed, time)."""
    found = []
    for loss, value in zip(values(run, "loss"), measure, strict=True):
        own = (loss > low) & (loss < high) & (value > 0)
        found.append(np.polyfit(np.log(loss[own]), np.log(value[own]), 1)[0] if own.sum() > 2 else np.nan)
    return np.array(found)


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


def told_scaling(label: str) -> str:
    """A run of `scaling` in words."""
    kind, _, number = label.partition("_")
    return f"r = {number}" if kind == "r" else f"w_max = {number}, r = 2"


def along(values: dict[str, float], kind: str) -> tuple[Any, Any]:
    """Sizes and values of the runs of `scaling` in which r ("r") or w_max ("w") grows; r_2 begins the latter."""
    found = {int(label[2:]): value for label, value in values.items() if label.startswith(kind)}
    if kind == "w":
        found[1] = values["r_2"]
    sizes = sorted(found)
    return np.array(sizes), np.array([found[size] for size in sizes])


def loneliest(hidden: Any, axes: Any) -> tuple[int, float]:
    """The teacher that is farthest from all students and other teachers, and that angle."""
    others = separation_angles(axes, axes) + np.pi * np.eye(len(axes))
    free = np.minimum(separation_angles(hidden, axes).min(0), others.min(0))
    return int(free.argmax()), float(free.max())
