"""Descents of Boursier, Pillaud-Vivien and Flammarion 2022 against those that the authors saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, at_most, close
from twolayer.analysis.rates import first_below

from .. import measured, theory
from ..comparisons import FILES, NOTEBOOKS, authors_end, authors_run, common_losses
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run

AUTHORS_RUNS = ("orthogonal", "nonorthogonal_large", "high_dimension")


@paper.claim(
    "Descent from the authors' initial weights has the authors' loss at every frame that they saved",
    NOTEBOOKS,
    "derived",
    on=AUTHORS_RUNS,
    by="dtype",
    select={"dynamics": "descent"},
    files=FILES,
    figures=[f"loss_{name}" for name in AUTHORS_RUNS],
)
def authors_losses(run: Run, *files: xr.Dataset) -> Result:
    ours, theirs = common_losses(run, authors_run(run, files))
    difference = abs(ours - theirs) / theirs.values[0]
    above = f"{int((difference > 2e-6).sum())} of {difference.size} frames are above"
    return at_most(difference, 2e-6, f"{above}, relative to the initial loss; the authors' run is in float32")


@paper.claim(
    "Descent ends with the authors' groups: the same neurons carry the network, with the same signs and masses",
    NOTEBOOKS,
    "derived",
    on=AUTHORS_RUNS,
    by="dtype",
    select={"dynamics": "descent"},
    files=FILES,
    figures=[
        "animation_orthogonal",
        "animation_nonorthogonal_large",
        "animation_high_dimension",
        "high_dimension_directions",
    ],
)
def authors_groups(run: Run, *files: xr.Dataset) -> Result:
    theirs = authors_end(run, files)
    signed, saved = (
        np.sign(output) * measured.mass(hidden, output)
        for hidden, output in (measured.final_weights(run), (theirs["final_hidden"], theirs["final_output"]))
    )
    detail = "difference of a neuron's sign(a)|a||w|, relative to the largest"
    return at_most(abs(signed - saved) / float(abs(saved).max()), 1e-3, detail)


@paper.claim(
    "Two orthogonal points: the loss waits at the plateau of the unfitted label, for as long as the authors' run",
    f"Section 4 and Figure 2; level derived, times from {NOTEBOOKS}",
    "derived",
    on="orthogonal",
    select={"dynamics": "descent", "dtype": "float64"},
    files=FILES,
    figures=["figure2", "loss_orthogonal"],
)
def two_point_plateau(run: Run, *files: xr.Dataset) -> dict[str, Result]:
    ours, theirs = common_losses(run, authors_run(run, files))
    level = measured.loss_unit(run) * theory.plateau(run.targets.values)
    waiting = measured.waiting_level(run.time.values, run.loss.isel(seed=0).values, 1.25 * level)
    results = {"level (twice the paper's L)": close(waiting, level, relative=1e-3)}
    for below in (1.25 * level, 0.25 * level):
        ours_below, exact = (
            first_below(loss["iteration"].values, loss.values, below) for loss in (ours, theirs)
        )
        detail = "between the frames that the authors saved"
        results[f"iteration with L < {below:g}"] = close(ours_below, exact, relative=1e-3, detail=detail)
    return results


@paper.claim(
    "High dimension: two principal components hold as much of the hidden weights as in the authors' run, 75.6 %",
    NOTEBOOKS,
    "derived",
    on="high_dimension",
    select={"dynamics": "descent", "dtype": "float64"},
    files=FILES,
    figures=["explained_variance", "high_dimension_directions"],
)
def explained_variance(run: Run, *files: xr.Dataset) -> Result:
    squares = np.linalg.svd(authors_end(run, files)["final_hidden"].values, compute_uv=False) ** 2
    share = run.explained_variance_ratio.isel(seed=0)[:2].sum()
    return close(float(share), float(squares[:2].sum() / squares.sum()), absolute=1e-3)
