"""What the paper and its derivations predict, as functions of the data; and how a run is read for it.

Equations: Boursier, Pillaud-Vivien, Flammarion 2022 in the paper's own loss, L = (1/2n) Σ (h(x_k) − y_k)².
The authors' notebooks minimise 2L: their time is half the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.rates import first_below
from twolayer.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run

FIGURE_2 = (0, 1881, 9004, 15407)
"""The iterations of the snapshots in Figure 2, of those that the notebook saves."""

ROUNDING = 1e-13
"""A projection below this share of |w||x| is one that stopped at zero, written down in weights."""


def drives(inputs: Any, targets: Any) -> tuple[float, float]:
    """|D_+| and |D_−|, D_± = (1/n) Σ_{±y_k>0} y_k x_k: the rates at which aligned neurons grow from zero."""
    directions = [np.where(sign * targets > 0, targets, 0.0) @ inputs / len(targets) for sign in (1, -1)]
    return float(np.linalg.norm(directions[0])), float(np.linalg.norm(directions[1]))


def minimum_norm(inputs: Any, targets: Any) -> Any:
    """|v_+| + |v_−|, v_± = Σ_{±y_k>0} (y_k/|x_k|²) x_k: min ½|θ|² for orthogonal inputs (…, sample, feature)."""
    return sum(np.linalg.norm(v, axis=-1) for v in interpolators(inputs, targets))


def interpolators(inputs: Any, targets: Any) -> tuple[Any, Any]:
    """v_+ and v_−, the shortest vectors that fit the labels of one sign, inputs (…, sample, feature)."""
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

    if inputs.shape[-1] != 2:
        raise DataError(f"the plateau is known for points with 2 features, not with {inputs.shape[-1]}")
    borders = inputs[:, ::-1] * [1.0, -1.0]
    features = np.maximum(inputs @ np.concatenate([borders, -borders]).T, 0)
    _, distance = nnls(features, np.asarray(targets, dtype=float))
    return float(distance**2 / (2 * len(targets)))


def fit_stages(inputs: Any, targets: Any) -> list[tuple[str, float, float]]:
    """Orthogonal inputs, small scales: the signs of labels in the order in which they are fitted, for each its sign,
    |D_±|, and the loss half way down that stage."""
    stages = [
        (name, drive, float((targets[sign * targets > 0] ** 2).sum() / (2 * len(targets))))
        for name, sign, drive in zip("+−", (1, -1), drives(inputs, targets), strict=True)
        if drive > 0
    ]
    stages.sort(key=lambda stage: -stage[1])
    left = [sum(stage[2] for stage in stages[place + 1 :]) for place in range(len(stages))]
    return [(name, drive, 0.5 * own + rest) for (name, drive, own), rest in zip(stages, left, strict=True)]


def waiting_level(time: Any, loss: Any, below: float) -> float:
    """The loss where it moves least, |d log L/dt| smallest, among the moments with 0.1·below < L < below; NaN if there
    are none."""
    inside = (loss < below) & (loss > 0.1 * below)
    if not inside.any():
        return float("nan")
    rate = np.where(inside, np.abs(np.gradient(np.log(loss), time)), np.inf)
    return float(loss[np.argmin(rate)])


def single_sample_from(inputs: Any, hidden: Any) -> int:
    """The first frame of hidden (time, neuron, feature) from which every neuron sees at most one sample.

    The same one at all later frames; −1 if there is none.
    """
    lengths = np.linalg.norm(hidden, axis=-1)[..., None] * np.linalg.norm(inputs, axis=-1)
    active = hidden @ inputs.T > ROUNDING * lengths
    same = (active == active[-1]).all((1, 2)) & (active.sum(-1) <= 1).all(-1)
    settled = np.logical_and.accumulate(same[::-1])[::-1]
    return int(np.argmax(settled)) if settled.any() else -1


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
    from scipy.optimize import linprog

    if inputs.shape[-1] != 2:
        raise DataError(f"the least norm is known for points with 2 features, not with {inputs.shape[-1]}")
    angles = np.linspace(0, 2 * np.pi, directions, endpoint=False)
    borders = np.arctan2(inputs[:, 1], inputs[:, 0])[:, None] + np.array([0.5, -0.5]) * np.pi
    angles = np.concatenate([angles, borders.ravel()])
    features = np.maximum(inputs @ np.stack([np.cos(angles), np.sin(angles)]), 0)
    found = linprog(
        np.ones(2 * len(angles)), A_eq=np.hstack([features, -features]), b_eq=targets, method="highs"
    )
    return float(found.fun)


# ---- how a run is read ----


def loss_unit(run: Run) -> float:
    """The run's loss, and the speed of its clock, over the paper's (1/2n) Σ r²."""
    units = {"half_mean_square": 1.0, "mean_square": 2.0}
    if run.config.problem.loss not in units:
        raise DataError(f"the paper's loss is the square one, this run's is {run.config.problem.loss}")
    return units[run.config.problem.loss]


def flow(run: Run) -> Run:
    """The exact flow, where the runs are descents and a flow."""
    return next(run.by(dynamics="flow")) if "dynamics" in run.config.swept else run


def descent(run: Run) -> Run:
    """The descent in float64, where the runs are descents in two precisions and a flow."""
    return next(run.by(dynamics="descent", dtype="float64"))


def starts_like(run: Run, theirs: xr.Dataset) -> bool:
    """Whether a run has the data and the initial weights of a saved run, to float32."""
    output = run.output.isel(time=0, seed=0).values
    pairs = ((output, theirs["initial_output"]), (run.targets.values, theirs["targets"]))
    return all(len(own) == len(saved) and np.allclose(own, saved, rtol=1e-5, atol=0) for own, saved in pairs)


def final_weights(run: Run) -> tuple[xr.DataArray, xr.DataArray]:
    """Hidden (neuron, feature) and output weights (neuron,) at the last time."""
    if "final_hidden" in run.dataset:
        return run.final_hidden.isel(seed=0), run.final_output.isel(seed=0)
    last = run.isel(time=-1, seed=0)
    return last.hidden, last.output


def mass(hidden: xr.DataArray, output: xr.DataArray) -> xr.DataArray:
    """|a_j||w_j| of each neuron: hidden (neuron, feature), output (neuron,)."""
    return abs(output) * np.sqrt((hidden**2).sum("feature"))


def time_below(run: Run, level: float) -> xr.DataArray:
    """When the loss first falls below a level, (seed,)."""
    import xarray as xr

    found: xr.DataArray = xr.apply_ufunc(
        first_below,
        run.time,
        run.loss,
        kwargs={"level": level},
        input_core_dims=[["time"], ["time"]],
        vectorize=True,
    )
    return found


def fit_times(run: Run) -> list[xr.DataArray]:
    """When the labels of either sign are fitted half, in the order of `fit_stages`."""
    stages = fit_stages(run.inputs.values, run.targets.values)
    return [time_below(run, loss_unit(run) * level) for _, _, level in stages]


def plateau_between(run: Run) -> xr.DataArray:
    """The plateau between the fits of the labels of either sign, without dimensions."""
    import xarray as xr

    stages = fit_stages(run.inputs.values, run.targets.values)
    if len(stages) < 2:
        raise DataError("there is no plateau: all labels have the same sign")
    fitted = 1.0 if stages[0][0] == "+" else -1.0
    return xr.DataArray(loss_unit(run) * plateau(run.targets.values, fitted))


def loss_between(run: Run) -> xr.DataArray:
    """The loss half way in time between the fits of the labels of either sign, (seed,)."""
    import xarray as xr

    found: xr.DataArray = xr.apply_ufunc(
        np.interp,
        sum(fit_times(run)) / 2,
        run.time,
        run.loss,
        input_core_dims=[[], ["time"], ["time"]],
        vectorize=True,
    )
    return found


def norm_excess(run: Run) -> xr.DataArray:
    """½|θ|²/(|v_+| + |v_−|) − 1 at the last time, (seed,)."""
    names = ("seed_inputs", "seed_targets") if "seed_inputs" in run.dataset else ("inputs", "targets")
    return run.path_norm.isel(time=-1) / minimum_norm(*(getattr(run, name).values for name in names)) - 1


def escape_level(run: Run) -> float:
    """90 % of the plateau of points on a line: below it a run has left."""
    problem = run.config.problem
    inputs = np.reshape(problem.inputs, (len(problem.targets), -1))
    if problem.bias:
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
    return 0.9 * loss_unit(run) * plateau_of_one_sign(inputs, np.array(problem.targets))


def step_errors(run: Run) -> xr.DataArray:
    """Largest difference over time between the losses of each descent and of the flow, along the step size, the
    largest first."""
    import xarray as xr

    kinds = {str(part.swept["dynamics"]): part.config.dynamics for part in run.by("dynamics")}
    flows = [name for name, kind in kinds.items() if kind.name == "gradient_flow"]
    steps = {name: kind.step_size for name, kind in kinds.items() if "step_size" in kind}
    if not (flows and steps):
        raise DataError(f"descents are held against a flow, and the runs are {', '.join(kinds)}")
    exact = run.loss.sel(dynamics=flows[0])
    errors = [float(abs(run.loss.sel(dynamics=name) - exact).max()) for name in steps]
    found = xr.DataArray(errors, {"step_size": list(steps.values())}, name="error")
    return found.sortby("step_size", ascending=False)
