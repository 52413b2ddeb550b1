"""What the paper and its derivations predict, as functions of the data.

Equations: Boursier, Pillaud-Vivien, Flammarion 2022 in the paper's loss, L = (1/2n) Σ (h(x_k) − y_k)².
The authors' notebooks minimise 2L: their time is half the paper's.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from twolayer import Paper
from twolayer.errors import DataError

paper = Paper(
    "boursier2022",
    "Boursier, Pillaud-Vivien, Flammarion 2022",
    {"samples": "n", "scale": "λ"},
    setting={
        "problem.loss": ("half_mean_square", "mean_square"),
        "network.activation": "relu",
        "network.output": "trained",
        "network.output_scale": 1.0,
        "dynamics.name": ("gradient_descent", "gradient_flow"),
        "dynamics.weight_decay": (0.0, None),
    },
)

FIGURE_2 = (0, 1881, 9004, 15407)
"""The iterations of the snapshots in Figure 2, of those that the notebook saves."""

ROUNDING = 1e-13
"""A projection below this share of |w||x| is zero, but for the rounding of the weights."""


def refuse_others(inputs: Any) -> None:
    """A DataError where inputs (…, sample, feature) are not orthogonal, of which the formulas here are not."""
    products = np.abs(np.asarray(inputs) @ np.swapaxes(inputs, -1, -2))
    lengths = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    across = products - lengths[..., None] * lengths[..., None, :] * np.eye(products.shape[-1])
    if (np.abs(across) > 1e-9 * lengths[..., None] * lengths[..., None, :]).any():
        raise DataError("the prediction is one for orthogonal inputs, and these are not")


def drives(inputs: Any, targets: Any) -> tuple[float, float]:
    """|D_+| and |D_−|, D_± = (1/n) Σ_{±y_k>0} y_k x_k: the rates at which aligned neurons grow from zero."""
    directions = [np.where(sign * targets > 0, targets, 0.0) @ inputs / len(targets) for sign in (1, -1)]
    return float(np.linalg.norm(directions[0])), float(np.linalg.norm(directions[1]))


def minimum_norm(inputs: Any, targets: Any) -> Any:
    """|v_+| + |v_−|, v_± = Σ_{±y_k>0} (y_k/|x_k|²) x_k: min ½|θ|² for orthogonal inputs (…, sample, feature)."""
    return sum(np.linalg.norm(v, axis=-1) for v in interpolators(inputs, targets))


def interpolators(inputs: Any, targets: Any) -> tuple[Any, Any]:
    """v_+ and v_−, the shortest vectors that fit the labels of one sign, inputs (…, sample, feature)."""
    refuse_others(inputs)
    scaled = targets / (inputs**2).sum(-1)
    plus, minus = (
        (np.where(sign * targets > 0, scaled, 0.0)[..., None] * inputs).sum(-2) for sign in (1, -1)
    )
    return plus, minus


def excess_exponent(inputs: Any, targets: Any) -> float:
    """The exponent p of the excess norm, ∝ λ^p as λ → 0 for orthogonal inputs: p = min 2(1 − |D_A|/|D_±|).

    A neuron that sees only the samples A of its sign has grown by e^{|D_A| T} when those of D_± fit their labels at
    T = −ln λ/|D_±|, and keeps a share λ^{2(1 − |D_A|/|D_±|)} of the mass. The slowest A leaves out one sample;
    ∞ where each sign has one sample only.
    """
    refuse_others(inputs)
    exponents = []
    for sign in (1, -1):
        parts = (targets * np.linalg.norm(inputs, axis=-1))[sign * targets > 0] ** 2
        if len(parts) > 1:
            exponents.append(2 * (1 - np.sqrt(1 - parts.min() / parts.sum())))
    return float(min(exponents, default=np.inf))


def plateau(targets: Any, fitted_sign: float = 1.0) -> float:
    """The loss (1/2n) Σ y_k² over the labels that are not fitted yet, those of sign −fitted_sign."""
    left = targets[fitted_sign * targets < 0]
    return float((left**2).sum() / (2 * len(targets)))


def plateau_of_one_sign(inputs: Any, targets: Any) -> float:
    """The least loss (1/2n) Σ (h(x_k) − y_k)² of a network whose output weights are all positive, inputs (sample, 2).

    On points of a line (the last feature is the bias) its outputs are Σ c_i relu(u_i·x_k), c_i ≥ 0, with kinks
    u_i·x = 0 at the points: kinks between them give nothing more. (Derived; on orthogonal inputs this is `plateau`.)
    """
    from scipy.optimize import nnls

    refuse_off_line(inputs)
    borders = inputs[:, ::-1] * [1.0, -1.0]
    features = np.maximum(inputs @ np.concatenate([borders, -borders]).T, 0)
    _, distance = nnls(features, np.asarray(targets, dtype=float))
    return float(distance**2 / (2 * len(targets)))


def refuse_off_line(inputs: Any) -> None:
    """Refuse inputs that are not points of a line, with the bias as their last feature."""
    if inputs.shape[-1] != 2:
        raise DataError(f"the plateau is known for points with 2 features, not with {inputs.shape[-1]}")


def fit_stages(inputs: Any, targets: Any) -> list[tuple[str, float, float]]:
    """Orthogonal inputs, small scales: the signs of labels in the order in which they are fitted, for each its sign,
    |D_±|, and the loss half way down that stage."""
    refuse_others(inputs)
    stages = [
        (name, drive, float((targets[sign * targets > 0] ** 2).sum() / (2 * len(targets))))
        for name, sign, drive in zip("+−", (1, -1), drives(inputs, targets), strict=True)
        if drive > 0
    ]
    stages.sort(key=lambda stage: -stage[1])
    left = [sum(stage[2] for stage in stages[index + 1 :]) for index in range(len(stages))]
    return [(name, drive, 0.5 * loss + rest) for (name, drive, loss), rest in zip(stages, left, strict=True)]


def end_of_group(inputs: Any, targets: Any, sign: float) -> tuple[float, float]:
    """As λ → 0 the neurons of a sign end along v_sign: its cosine to D_sign, and |v_sign| = Σ|a_j||w_j|."""
    v = interpolators(inputs, targets)[0 if sign > 0 else 1]
    drive = np.where(sign * targets > 0, targets, 0.0) @ inputs
    norm = float(np.linalg.norm(v))
    return float(v @ drive / norm / np.linalg.norm(drive)), norm


def residuals_once_separate(inputs: Any, targets: Any, hidden: Any, output: Any, time: Any) -> Any:
    """|y_k − h(x_k)| at times `time` after a state in which each neuron sees one sample, (time, sample).

    Orthogonal inputs, paper's loss. With s = sign y_k, p_j = ⟨w_j, x_k⟩/|x_k|, A = Σ(a_j + s p_j)²,
    B = Σ(a_j − s p_j)², c = |x_k|, κ = c/n: z(0) = 1, ż = 2κ(|y|z − (c/4)(Az² − B)) has roots
    z_± = [4|y|/c ± √(16y²/c² + 4AB)]/(2A), (z − z_+)/(z − z_−) = C e^{−γt} with
    γ = (κc/2)√(16y²/c² + 4AB), and |residual| = |y| − (c/4)(Az − B/z). (Derived.)
    """
    residuals = []
    for x, y in zip(inputs, targets, strict=True):
        length, size, sign = np.linalg.norm(x), abs(y), np.sign(y)
        along = hidden @ x / length
        sees = along > ROUNDING * np.linalg.norm(hidden, axis=-1)
        plus = ((output[sees] + sign * along[sees]) ** 2).sum()
        minus = ((output[sees] - sign * along[sees]) ** 2).sum()
        root = np.sqrt(16 * size**2 / length**2 + 4 * plus * minus)
        upper = (4 * size / length + root) / (2 * plus)
        lower = -minus / (plus * upper)
        decay = np.exp(-0.5 * length**2 / len(targets) * root * time)
        ratio = (1 - upper) / (1 - lower) * decay
        # |residual| = (cA/4)(z_+ − z)(z − z_−)/z, which keeps its digits when z is close to z_+
        gap = -ratio * (upper - lower) / (1 - ratio)
        z = upper - gap
        residuals.append(length * plus / 4 * gap * (z - lower) / z)
    return np.abs(np.stack(residuals, axis=-1))


def least_interpolation(inputs: Any, targets: Any, directions: int = 20000) -> float:
    """The least Σ_j |a_j||w_j| of a network with h(x_k) = y_k, inputs (sample, 2), by a linear program.

    Minimise Σ|c_i| subject to Σ c_i relu(u_i·x_k) = y_k over unit vectors u_i on a grid of angles that holds the
    boundaries u·x_k = 0; the grid makes it an upper bound, high by O(1/directions²).
    """
    if inputs.shape[-1] != 2:
        raise DataError(f"the least norm is known for points with 2 features, not with {inputs.shape[-1]}")
    return least_of_program(tuple(map(tuple, inputs.tolist())), tuple(targets.tolist()), directions)


@functools.cache
def least_of_program(points: tuple[Any, ...], values: tuple[float, ...], directions: int) -> float:
    """The program of `least_interpolation`, once for the same data: it takes seconds, and runs share data."""
    from scipy.optimize import linprog

    inputs, targets = np.asarray(points), np.asarray(values)
    angles = np.linspace(0, 2 * np.pi, directions, endpoint=False)
    borders = np.arctan2(inputs[:, 1], inputs[:, 0])[:, None] + np.array([0.5, -0.5]) * np.pi
    angles = np.concatenate([angles, borders.ravel()])
    features = np.maximum(inputs @ np.stack([np.cos(angles), np.sin(angles)]), 0)
    few = np.zeros(len(angles), dtype=bool)
    few[::50] = few[directions:] = True
    while True:  # a few of the directions, and those that their prices find too cheap, until there are none
        some = features[:, few]
        found = linprog(
            np.ones(2 * some.shape[1]), A_eq=np.hstack([some, -some]), b_eq=targets, method="highs"
        )
        cheap = np.abs(found.eqlin.marginals @ features) > 1.0 + 1e-9
        if not (cheap & ~few).any():
            break
        few |= cheap
    return float(found.fun)
