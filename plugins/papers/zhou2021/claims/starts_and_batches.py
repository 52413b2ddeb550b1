"""Theorems 6 and 7 of Zhou, Ge and Jin 2021: the start of Appendix E, and fresh batches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twolayer import Result, Run, above, equivalent, inconclusive
from twolayer.analysis.intervals import mean_interval, slope_interval
from twolayer.analysis.starts import same_start
from twolayer.core.wording import counted

from .. import measured
from ..comparisons import below_envelope
from ..theory import paper

THEOREM_6 = "Theorem 6: the fit of random directions falls as m^{−2/d} at least"


def fit_falls(run: Run) -> Result:
    """p of L ~ m^(−p) over all seeds, above 2/d, d the dimension that directions are drawn in."""
    students, losses = measured.fits(run)
    if len(students) < 2:
        return inconclusive("a slope needs two values of m")
    if measured.lacks_teachers(run):
        return inconclusive(
            f"directions are drawn in {measured.drawn_dimension(run)} dimensions, and the teachers span more: no m "
            "fits them"
        )
    points = np.repeat(np.log(students), losses.shape[1])
    slope, low, high = slope_interval(points, np.log(losses).ravel())
    detail = f"{counted(run.seeds, 'seed')} at each of m = {run.config.network.neurons}"
    return above(-slope, 2 / measured.drawn_dimension(run), (-high, -low), detail)


@paper.claim(
    THEOREM_6,
    "Theorem 6: m = O((r w_max/√ε)^d)",
    "published",
    on="start",
    by="problem",
    figures=["starts"],
)
def start(run: Run) -> Result:
    return fit_falls(run)


@paper.claim(
    f"{THEOREM_6}, with d → r for directions in the subspace",
    "Theorem 6: m = O((r w_max/√ε)^d)",
    "published",
    on="subspace",
    by="initialization",
    figures=["starts"],
)
def start_in_subspace(run: Run) -> Result:
    return fit_falls(run)


@paper.claim(
    "Theorem 7: fresh batches keep the rate: ηt L/(r w_max) ≤ 1, and the slope of descent from the same starts",
    "Theorem 7; slopes of log L over the last decade",
    "published",
    on="batches",
    compared_with="width",
    figures=["batches"],
)
def batches(run: Run, width: Run) -> Mapping[str, Result]:
    descent = same_start(run, width)
    descended = run.with_dataset(measured.at_times(descent, run.time).to_dataset(name="loss"))
    apart = (measured.last_decade(run) - measured.last_decade(descended)).dropna("seed")
    if apart.size < 3:
        ends = f"descent ends at {float(descent.time[-1]):g}, the batches at {float(run.time[-1]):g}"
        slope = inconclusive(
            f"{counted(apart.size, 'pair')} of seeds have the last decade of time in both: {ends}"
        )
    else:
        mean, low, high = mean_interval(apart.values)
        detail = f"mean difference of slopes, batches less descent, over {counted(apart.size, 'pair')}"
        slope = equivalent(mean, 0.0, (low, high), 0.1, detail)
    return {"envelope": below_envelope(run), "slope": slope}
