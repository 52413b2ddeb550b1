"""The implicit bias of Zhu, Liu and Cevher 2025: how equally students share a teacher."""

from __future__ import annotations

import math

import numpy as np

from twolayer import Result, Run, above, equivalent
from twolayer.analysis.intervals import mean_interval, median_interval

from .. import measured, theory
from ..comparisons import PANELS, QUOTED, Results, within_factor
from ..theory import paper


@paper.claim(
    "Training ends with |v|/4m_τ ≤ |w_i| ≤ 4|v|/m_τ for every student",
    f"{QUOTED}, statement on phase 3",
    "second-hand",
    on="balance",
    by="run",
    figures=["balance"],
    unverified_reading=True,
)
def balanced_norms(run: Run) -> Result:
    return within_factor(measured.shares(run.isel(time=-1)), theory.FACTOR)


@paper.claim(
    "From small starts training ends near the least Σ|w_i|² that fits, Σ_l |v_l|²/m_l: the balanced one",
    "abstract; the form Σ_l |v_l|²/m_l is derived; ours: small is σ ≤ 1e-2, near is 10 % for the median of seeds and "
    "its 95 % interval",
    "published",
    on=("balance", *PANELS),
    by="run",
    figures=["balance"],
    unverified_reading=True,
    late="10 % and σ ≤ 1e-2 were chosen after the numbers were seen",
)
def least_norm(run: Run) -> Result | Results:
    if run.config.initialization.scale > 1e-2:
        return {}
    excess = measured.norm_excess(run.isel(time=-1))
    median, low, high = median_interval(excess)
    detail = f"Σ|w|² over its least, {run.range_over_seeds(excess, '.4f')}"
    return equivalent(median, 1.0, (low, high), 0.1, detail)


EVEN = 2.0
"""h_i ≤ 2h_j, which Xu and Du 2023 prove of one teacher's students from tiny starts."""


@paper.claim(
    "For one teacher balance needs a small start: the median of h max/min is above 2 at σ ≥ 0.1, below 2 at σ ≤ 1e-3",
    "the factor 2 is Xu, Du 2023's; by the 95 % interval of the median over seeds",
    "derived",
    on="balance",
    by="run",
    figures=["balance"],
    late="the factor 2 was taken up after the ratios were seen",
)
def small_starts(run: Run) -> Result | Results:
    scale, h = run.config.initialization.scale, run.projection.isel(time=-1)
    if run.config.problem.teachers > 1 or 1e-3 < scale < 0.1:
        return {}
    ratio = (h.max("neuron") / h.min("neuron")).where(h.min("neuron") > 0, math.inf)
    median, low, high = median_interval(ratio)
    detail = f"h max/min, {run.range_over_seeds(ratio, '.3g')}"
    if scale >= 0.1:
        return above(median, EVEN, (low, high), detail)
    return equivalent(median, 1.0, (low, high), EVEN - 1.0, detail)


@paper.claim(
    "As σ → 0 groups of one teacher become even, those of two stay uneven: B at σ = 1e-6 over that at σ = 1e-2",
    "the students of a group leave the common direction of two teachers at different times; mean of log B over seeds",
    "derived",
    on="balance",
    figures=["balance"],
    late="seen in these runs: below 1/100 for k = 1, within a factor of 3 of 1 for k = 2",
)
def uneven_groups(runs: Run) -> Results:
    return {paper.named(group): evenness(group) for group in runs.varying("scale")}


def evenness(runs: Run) -> Result:
    """How B changes from σ = 1e-2 to 1e-6, the mean over teachers that have students."""
    tiny, small = (
        np.log(runs.one(**{**runs.swept, "scale": scale}).group_imbalance.isel(time=-1).mean("teacher"))
        for scale in (1e-6, 1e-2)
    )
    mean, low, high = mean_interval(tiny - small)  # a seed has the same start at both scales
    detail = "mean over seeds of the log of the ratio of mean B over groups"
    if runs.config.problem.teachers == 1:
        return above(-mean, math.log(100), (-high, -low), f"{detail}, negated")
    return equivalent(mean, 0.0, (low, high), math.log(3), detail)
