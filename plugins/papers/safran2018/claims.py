"""What Safran and Shamir 2018 say, and their numbers, compared with what was measured."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, inconclusive
from twolayer.analysis.intervals import chance_interval, standard_score
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr

Results = Mapping[str, Result]

STORED = (
    "ends that the authors' code stored (ItaySafran/OneLayerGDconvergence at 0719662); the paper's tables "
    "were not at "
    "hand. Tolerance: 3.5 standard errors of the difference of two binomial shares"
)


def compared(run: Run, hits: xr.DataArray, counts: xr.Dataset) -> Result:
    """The share of hits against the authors', within 3.5 standard errors of their difference."""
    number, trials = int(hits.sum()), hits.size
    other, others = measured.theirs(run, counts)
    together = (number + other) / (trials + others)
    room = theory.LARGEST_Z * np.sqrt(together * (1 - together) * (1 / trials + 1 / others))
    _, low, high = chance_interval(number, trials)
    _, least, most = chance_interval(other, others)
    detail = (
        f"{number} of {trials} (95 % interval {low:.4f} to {high:.4f}) against {other} of {others} "
        f"({least:.4f} to "
        f"{most:.4f}): z = {measured.score(run, hits, counts):.2f}"
    )
    return close(number / trials, other / others, absolute=float(room), detail=detail)


@paper.claim(
    "The share of starts that end in a spurious minimum, n = k, is the authors'",
    STORED,
    "published",
    on=["counts", "thirteen"],
    by="dimension",
    figures=["counts"],
    files=[measured.COUNTS],
    unverified_reading=True,
)
def shares(run: Run, counts: xr.Dataset) -> Result:
    return compared(run, measured.spurious(run), counts)


@paper.claim(
    "All shares together, n = k but k = 13: Σz² is what chance allows",
    f"{STORED}; Σz² below the 99.9 % quantile of χ² (24.3 for seven pairs)",
    "published",
    on="counts",
    figures=["counts"],
    files=[measured.COUNTS],
    unverified_reading=True,
)
def together(runs: Run, counts: xr.Dataset) -> Result:
    from scipy.stats import chi2

    scores = [measured.score(run, measured.spurious(run), counts) for run in runs.by("run")]
    limit = float(chi2.ppf(0.999, len(scores)))
    return at_most(float(np.square(scores).sum()), limit, "z: " + ", ".join(f"{z:.2f}" for z in scores))


@paper.claim(
    "The share of spurious ends grows with k",
    "neighbouring shares may fall by two standard errors of their difference",
    "published",
    on="counts",
    figures=["counts"],
    unverified_reading=True,
)
def growth(runs: Run) -> Result:
    each = sorted(runs.by("run"), key=measured.pair)
    hits = [measured.spurious(run) for run in each]
    if len(hits) < 2:
        raise DataError("a rise needs two numbers of teachers")
    rises = [
        float(standard_score(int(later.sum()), later.size, int(earlier.sum()), earlier.size))
        for earlier, later in itertools.pairwise(hits)
    ]
    detail = "rise from each k to the next, in standard errors: " + ", ".join(f"{rise:.1f}" for rise in rises)
    whole = float(standard_score(int(hits[-1].sum()), hits[-1].size, int(hits[0].sum()), hits[0].size))
    if min(rises) >= -2.0 and whole < 2.0:
        return inconclusive(
            f"from the least k to the largest it rises by {whole:.1f} standard errors; {detail}"
        )
    return at_least(min(rises), -2.0, detail)


@paper.claim(
    "The step does not matter for the share: the authors' 0.1 and 5/k from the same starts, k = 8",
    "the step of 5/k is that of Safran, Yehudai and Shamir 2021. 10 of 1000 was stated before the run",
    "derived",
    on="step",
    compared_with="counts",
    figures=["counts"],
)
def step(run: Run, counts: Run) -> Result:
    same = next(counts.by("run", dimension=run.config.problem.dimension))
    if run.seeds != same.seeds:
        raise DataError(f"the starts are not the same: {counted(run.seeds, 'seed')} and {same.seeds}")
    first, second = (measured.spurious(each) for each in (run, same))
    differing = int((first.values != second.values).sum())
    detail = (
        f"{int(first.sum())} and {int(second.sum())} of {run.seeds}; {counted(differing, 'start')} on "
        "another side"
    )
    return at_most(abs(int(first.sum()) - int(second.sum())) / run.seeds, 0.01, detail)


# ---- one student more ----


@paper.claim(
    "The share of starts that end in a spurious minimum, n = k + 1, is the authors'",
    f"{STORED}. An end at which the Hessian has a negative eigenvalue is passing a saddle and is left out "
    f"of ours",
    "published",
    on="overparametrised",
    by="dimension",
    figures=["overparametrised"],
    files=[measured.COUNTS],
    unverified_reading=True,
)
def one_more(run: Run, counts: xr.Dataset) -> Result:
    return compared(run, measured.at_minimum(run), counts)


@paper.claim(
    "At n = k + 1 spurious minima are far rarer than at n = k: of (8, 9) at most 5 of 1000",
    "the authors have 1 of 1000 for (8, 9)",
    "published",
    on="overparametrised",
    select={"dimension": 8},
    figures=["overparametrised"],
    unverified_reading=True,
)
def rare(run: Run) -> Result:
    hits = measured.at_minimum(run)
    return at_most(float(hits.mean()), 0.005, f"{int(hits.sum())} of {hits.size}")


# ---- classes ----


@paper.claim(
    "An end away from the global minimum is of a class that the authors stored, to 1e-12 in the loss, or "
    "a further minimum",
    "classes are distinguished by the loss, within 1e-8; only ends whose gradient is below 1e-9 are judged",
    "derived",
    on=["counts", "thirteen", "overparametrised"],
    by="dimension",
    figures=["classes"],
    files=[measured.CLASSES],
)
def classes(run: Run, classes: xr.Dataset) -> Results:
    judged = measured.spurious(run) & measured.settled(run)
    left = int((measured.spurious(run) & ~measured.settled(run)).sum())
    if not measured.spurious(run).any():
        return {}
    if not judged.any():
        return {"known": inconclusive(f"no spurious end has settled; {left} have not")}
    place, apart = measured.nearest_class(run, classes)
    known = np.abs(apart) <= theory.SAME
    new = judged.values & ~known
    losses = ", ".join(f"{loss:.7f}" for loss in np.unique(np.round(measured.end(run).values[new], 7)))
    found: dict[str, Result] = {}
    if (judged.values & known).any():
        detail = (
            f"{counted(int((judged.values & known).sum()), 'end')} in {len(np.unique(place[judged.values & known]))} "
            f"classes; "
            f"not settled: {counted(left, 'spurious end')}"
        )
        found["known"] = at_most(float(np.abs(apart[judged.values & known]).max()), 1e-12, detail)
    if new.any():
        detail = (
            f"{counted(int(new.sum()), 'end')} of no stored class, L = {losses}; smallest eigenvalue of the "
            "Hessian"
        )
        found["new"] = at_least(float(measured.curvature(run).values[new].min()), 0.0, detail)
    return found


# ---- the stored minima ----

of_minima = partial(paper.claim, on="minima", figures=["minima"])
"""A claim on the stored ends."""


@of_minima(
    "The stored ends are stationary points with the loss and the smallest eigenvalue that were derived "
    "from them",
    "weights of the authors' code (ItaySafran/OneLayerGDconvergence at 0719662), polished by Newton "
    "steps; loss by "
    "40-digit arithmetic",
    "derived",
    files=[measured.CLASSES],
    by="path",
    figures=["minima", "matrices"],
)
def stationary(run: Run, classes: xr.Dataset) -> Results:
    stored = measured.of_ends(classes, run)
    apart = measured.end(run) / stored["loss"].values - 1.0
    lowest = measured.curvature(run) - stored["lowest_eigenvalue"].values
    return {
        "|∇L|": at_most(measured.end(run, "gradient_norm"), 1e-14),
        "loss": at_most(abs(apart), 1e-10, "relative difference"),
        "eigenvalue": at_most(abs(lowest), 1e-9, "difference"),
    }


@of_minima(
    "Spurious minima exist: for each n = k one of the stored points has L above 1e-3 and a positive "
    "definite Hessian",
    "the theorem is for 6 ≤ k ≤ 20 (computer-assisted); the k whose points are at hand",
    "published",
    by="path",
    of=lambda run: [run] if len(set(measured.pair(run))) == 1 else [],
)
def existence(run: Run) -> Result:
    lowest = measured.curvature(run).where(measured.spurious(run)).max()
    return at_least(lowest, 1e-9, "largest of the smallest eigenvalues")


@of_minima(
    "All stored ends are minima but one, of (17, 18), which is a saddle",
    "the authors' code marks that end; found again by the sign of the smallest eigenvalue",
    "published",
    unverified_reading=True,
)
def one_saddle(runs: Run) -> Result:
    each = [(measured.named(run), measured.curvature(run)) for run in runs.by("run")]
    saddles = [f"{name}: {float(value):.4g}" for name, values in each for value in values if value < 0]
    number = sum(values.size for _, values in each)
    return close(float(len(saddles)), 1.0, absolute=0.5, detail=f"of {number}; {'; '.join(saddles)}")


# ---- the symmetric families ----


@paper.claim(
    "A minimum with q students near −v_i and the others near v_i: the loss of the symmetric family in 6 "
    "coordinates is "
    "that of the network, to 10 digits",
    "family q + (k − q), solved in its 6 coordinates; against the stored minima with that many flipped "
    "students",
    "derived",
    on="minima",
    by="path",
    of=lambda run: [run] if len(set(measured.pair(run))) == 1 else [],
    figures=["families"],
    files=[measured.CLASSES],
)
def family(run: Run, classes: xr.Dataset) -> Result | Results:
    teachers, _ = measured.pair(run)
    stored = measured.of_ends(classes, run)
    apart = {}
    for index, blocks in enumerate(stored["blocks"].values):
        for flipped in theory.FEW:
            if blocks == f"{flipped}+{teachers - flipped}":
                exact = theory.family_minimum(teachers, flipped)[1]
                apart[flipped] = float(measured.end(run)[index]) / exact - 1.0
    if not apart:
        return {}
    detail = "relative difference; q = " + ", ".join(map(str, apart))
    return at_most(max(map(abs, apart.values())), 1e-10, detail)


@paper.claim(
    "kL/q of q flipped students of k is ½ − 2/π² − 0.1095 k^(−1/2), within 2/k from k = 1000 on",
    "½ − 2/π² by extrapolation from k up to 3.2e5, the next term too; q = 1 to 4, k = 1e3, 1e4, 1e5",
    "derived",
    on=(),
    figures=["families"],
)
def family_limit() -> Results:
    found = {}
    for teachers in (1000, 10_000, 100_000):
        apart = [
            teachers * theory.family_minimum(teachers, flipped)[1] / flipped - theory.family_law(teachers)
            for flipped in theory.FEW
        ]
        found[f"k = {teachers}"] = at_most(float(np.abs(apart).max()), 2.0 / teachers)
    return found
