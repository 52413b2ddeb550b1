"""The exact flow of Boursier, Pillaud-Vivien and Flammarion 2022: what it conserves, and where training ends."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, at_most, close, inconclusive

from .. import measured, theory
from ..comparisons import NOTEBOOKS, TOO_SHORT, starts_large
from ..theory import paper

if TYPE_CHECKING:
    from twolayer import Run


@paper.claim(
    "Two orthogonal points: two groups remain, Σ a|w| = |v_+| and −|v_−| over the positive and the negative outputs",
    "Theorem 1 (wording not checked)",
    "derived",
    on="orthogonal",
    by="dynamics",
    select={"dtype": "float64"},
    figures=["figure2", "animation_orthogonal", "progress_orthogonal"],
)
def two_point_groups(run: Run) -> dict[str, Result]:
    hidden, output = measured.final_weights(run)
    masses = measured.mass(hidden, output)
    if large := starts_large(run):
        return {"": inconclusive(large)}
    plus, minus = map(np.linalg.norm, theory.interpolators(run.inputs.values, run.targets.values))
    return {
        "+": close(float(masses.where(output > 0).sum()), plus, relative=1e-4),
        "−": close(-float(masses.where(~(output > 0)).sum()), -minus, relative=1e-4),
    }


@paper.claim(
    "Once each neuron sees one sample, the flow's loss follows its closed form",
    "closed form of the last stage on orthogonal inputs",
    "derived",
    on="orthogonal",
    select={"dynamics": "flow"},
    figures=["loss_orthogonal"],
)
def closed_form(run: Run) -> Result:
    run = run.isel(seed=0)
    start = measured.single_sample_from(run.inputs.values, run.hidden.values)
    if start < 0:
        return inconclusive("no saved frame from which every neuron sees at most one sample")
    rest, unit = run.isel(time=slice(start, None)), measured.loss_unit(run)
    residuals = theory.residuals_once_separate(
        run.inputs.values,
        run.targets.values,
        rest.hidden.values[0],
        rest.output.values[0],
        unit * (rest.time.values - rest.time.values[0]),
    )
    return at_most(abs(rest.loss - unit * (residuals**2).mean(-1) / 2), 1e-10)


@paper.claim(
    "Gradient flow conserves a_j² − |w_j|²",
    "Section 2",
    "published",
    on=("orthogonal", "nonorthogonal_small", "nonorthogonal_large", "scale_sweep"),
)
def balance(run: Run) -> Result:
    run = measured.flow(run)
    change = abs(run.imbalance - run.imbalance.isel(time=0, drop=True))
    return at_most(change, 1e-12, f"change from the start; Σ|a||w| reaches {float(run.path_norm.max()):.3g}")


@paper.claim(
    "Output weights keep their sign, since balance is conserved",
    "Section 2",
    "published",
    on=("orthogonal", "nonorthogonal_small", "nonorthogonal_large", "high_dimension"),
    figures=[
        "animation_orthogonal",
        "animation_nonorthogonal_small",
        "animation_nonorthogonal_large",
        "progress_orthogonal",
        "progress_nonorthogonal_small",
    ],
)
def signs(run: Run) -> Result:
    if not measured.starts_balanced(measured.flow(run)):
        return inconclusive(
            "is about starts with |a_j| ≥ |w_j|; the flow does not start from balanced weights"
        )
    flow, descent = (
        int((np.sign(part.output) != np.sign(part.output.isel(time=0))).any("time").sum())
        for part in (measured.flow(run), measured.descent(run))
    )
    return at_most(flow, 0, f"neurons that change sign under the flow (under descent: {descent})")


@paper.claim(
    "Descent converges to the flow at first order in its step size",
    "two orthogonal points, largest difference of the loss over time",
    "derived",
    on="step_error",
    figures=["step_error"],
)
def first_order(run: Run) -> dict[str, Result]:
    errors = measured.step_errors(run)
    results = {}
    for large, small in itertools.pairwise(errors):
        steps = [np.format_float_scientific(e["step_size"], trim="-", exp_digits=1) for e in (large, small)]
        ratio = float(large["step_size"] / small["step_size"])
        detail = f"max|ΔL| of {large:.3g} and {small:.3g}; a method of second order has {ratio**2:.3g}"
        name = f"ratio from {steps[0]} to {steps[1]}"
        results[name] = close(float(large) / float(small), ratio, relative=0.05, detail=detail)
    return results or {"": inconclusive("two step sizes are needed")}


@paper.claim(
    "High dimension: the run ends at another saddle, one sample unfitted: L = y²/n (twice the paper's L)",
    NOTEBOOKS,
    "derived",
    on="high_dimension",
    by="dynamics",
    select={"dtype": "float64"},
    figures=["loss_high_dimension"],
)
def another_saddle(run: Run) -> Result:
    loss = run.loss.isel(seed=0)
    if not loss[-1] < 0.5 * loss[0]:
        return inconclusive(TOO_SHORT)
    before = float(np.interp(0.9 * float(run.time[-1]), run.time, loss))
    if before > 1.01 * float(loss[-1]):
        return inconclusive(
            "the run is too short: in the last tenth of its time the loss still falls by over 1 %"
        )
    hidden, output = measured.final_weights(run)
    prediction = np.maximum(hidden.values @ run.inputs.values.T, 0).T @ output.values
    missed = (prediction - run.targets.values) ** 2
    worst = int(missed.argmax())
    level = measured.loss_unit(run) * float(run.targets[worst]) ** 2 / (2 * len(missed))
    share = f"with {100 * missed[worst] / missed.sum():.2f} % of the squared residuals"
    detail = f"the unfitted sample is number {worst}, {share}"
    return close(float(loss[-1]), level, relative=2e-3, detail=detail)
