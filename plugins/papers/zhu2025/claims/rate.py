"""The third phase of Zhu, Liu and Cevher 2025: the rate of the loss and its constants, and where it is exponential."""

from __future__ import annotations

import math

import numpy as np

from twolayer import Result, Run, close, local_slope, within_trust
from twolayer.population.asymptotics import gradient_limit

from .. import measured, theory
from ..comparisons import QUOTED, Results
from ..theory import paper


@paper.claim(
    "L (ηT)³ → Σ_l C_l with C = 0, (8π²/3)(h₁h₂)², 4π²/3n³β² for one, two, n equal students of a teacher",
    "leading order near alignment, groups decoupled; h at the end of the run",
    "derived",
    on="rate",
    by="run",
    figures=["rate"],
)
def constants(run: Run) -> Result | Results:
    constant, end = measured.constant(run), run.isel(time=-1)
    if constant.isnull().all():
        return {}
    run.at_time(theory.FAR)  # a DataError where it ends earlier
    return close(end.loss * end.time**3, constant, relative=1e-3, detail=f"ηT = {end.time:.0e}")


@paper.claim(
    "The late loss falls as T⁻³ for every size and split of groups of two or more",
    f"{QUOTED}, statement on phase 3 (an upper bound there)",
    "second-hand",
    on="rate",
    by="run",
    figures=["rate"],
)
def slopes(run: Run) -> Result:
    run.at_time(theory.FAR)
    slope = local_slope(run.dataset)  # NaN where the loss is not trusted
    last = run.time.where(slope.notnull()).max("time")
    late = slope.where(run.time > 0.0999 * last)
    detail = f"the local slope in the last decade within trust, to ηT = {last.max():.0e}"
    return close(late, -3.0, absolute=0.02, detail=detail)


@paper.claim(
    "The local slope is −3ηT/(ηT + t₀), within 0.1 of −3 from ηT = 29 t₀ on",
    "L = C/(ηT + t₀)³; tested for one teacher whose C is known",
    "derived",
    on="rate",
    by="run",
    figures=["rate"],
)
def offsets(run: Run) -> Result | Results:
    if run.config.problem.teachers > 1 or measured.constant(run).isnull().all():
        return {}
    offset, later = measured.offset(run), run.time[1:]
    index = 1 + abs(np.log(later / (29 * offset))).fillna(math.inf).argmin("time")
    middle = np.sqrt(run.time[index] * run.time[index - 1])
    predicted = -3 * middle / (middle + offset)
    detail = (
        f"t₀ = {offset.mean():.3f}, fitted from ηT = 1e3 to 1e5; the slope around ηT = {middle.mean():.0f}"
    )
    return close(local_slope(run.dataset).isel(time=index), predicted, absolute=0.005, detail=detail)


@paper.claim(
    "|∇L|/L^{2/3} → √3 C^(−1/6)",
    "L = C/T³ and dL/dT = −|∇L|²",
    "derived",
    on="rate",
    by="run",
    figures=["lower_bound"],
)
def gradient_bound(run: Run) -> Result | Results:
    constant, late = measured.constant(run), run.at_time(theory.FAR)
    if constant.isnull().all():
        return {}
    ratio = late.gradient_norm / late.loss ** (2 / 3)
    return close(ratio, gradient_limit(constant), relative=1e-3, detail=f"at ηT = {late.time:.0e}")


@paper.claim(
    "The spread Z = Σ_{i<j}|z_i − z_j| of a group falls as 1/T: Z T → 4πh₁h₂ for two students",
    "leading order near alignment, h at the end of the run; for a simplex π(n − 1)√(2n/(n − 1))/nβ",
    "derived",
    on="rate",
    by="run",
    figures=["lower_bound"],
)
def spreads(run: Run) -> Result | Results:
    limits, end = measured.spread_limits(run), run.isel(time=-1)
    if limits.isnull().all():
        return {}
    run.at_time(theory.FAR)
    return close(end.spread * end.time, limits, relative=1e-3, detail=f"ηT = {end.time:.0e}")


@paper.claim(
    "Toys 2 and 3 and m = k learn at an exponential rate: L falls by e^{−nt}, e^{−nt} and e^{−2(¼ − 1/2π)t}",
    "and Xu, Du 2023 for the toys; the rates are derived from the Hessian at the minimum",
    "derived",
    on="exponential",
    by="run",
    figures=["lower_bound"],
)
def exponential(run: Run) -> Result:
    teachers = run.config.problem.teachers
    rate = 2 * theory.slowest_rate(teachers, run.config.network.neurons / teachers)
    found = measured.decay(within_trust(run.dataset), 1e-19, 1e-9)
    return close(found, rate, relative=0.01, detail="from L = 1e-9 to 1e-19, as far as the loss is trusted")
