"""The lemmas of Zhou, Ge and Jin 2021: what is measured over what each allows, and separated teachers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, name_axes, reference
from twolayer.analysis.drawing import clipped
from twolayer.analysis.labels import marker_of, style_of, trained_by

from .. import measured, theory
from ..drawing import lines, refuse_wide_teachers, scatter, styled
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEMMAS = (
    "initialization", "loss", "descent_progress", "teacher_angles", "average_neuron_residual", "r2_norm",
    "mass_weighted_square_angle", "mass",
)  # fmt: skip
"""What the lemmas are about."""

LEAST_SHARE = 1e-8
"""Of what a lemma allows: shares below it, and none, are drawn at it."""


@paper.figure(
    "theorem",
    lambda states, rates: (
        "The lemmas: what is measured over what is allowed (grey: more), at random states and along "
        f"{trained_by(rates)}."
    ),
    on={"states": LEMMAS, "rates": LEMMAS},
    size=(7.0, 4.4),
    details=r"Lemma 8: $L$ over the progress along the descent direction, with $\delta_{\max} = (6\pi L)^{1/3}$. "
    r"Lemma 9: the angle within which half of a teacher's mass lies over $c\,r w_{\max} w_{\min}^{-5/3} L^{1/3}$, $c$ "
    r"that of one teacher as $L \to 0$. The others are allowed as many times the power of $L$ as random states with "
    r"$L \geq 10^{-5}$ reach. To half the loss of students on both bisectors of two teachers. ▽: below 1e-8, or none "
    r"(mirrored states).",
)
def lemmas(canvas: Figure, states: Run, rates: Run) -> None:
    grid = canvas.subplots(2, 3, sharex=True, sharey=True).ravel()
    flows = [(run, style) for run, _, style in styled(rates) if measured.overparameterized(run)]
    starts = [run.isel(time=[0]) for run in states.by("initialization")]
    for axes, (title, share) in zip(grid, measured.shares_allowed(starts), strict=False):
        axes.axhspan(1, 1e3, color="0.55", alpha=0.25, lw=0)
        for number, run in enumerate(starts):
            loss, found = measured.small_loss(run).values, share(run).values
            label = "" if number else "random states"
            axes.plot(
                loss,
                np.where(found > LEAST_SHARE, found, np.nan),
                ".",
                color="0.65",
                markersize=2.5,
                label=label,
            )
            clipped(axes, loss[np.isfinite(loss)], found[np.isfinite(loss)], LEAST_SHARE, "0.5")
        for run, style in flows:
            lines(axes, measured.small_loss(run), share(run), style, measured.spelled(run))
        axes.set(
            xscale="log", yscale="log", title=title, ylim=(LEAST_SHARE / 3, 30), xlim=(measured.FLOOR, 0.3)
        )
    for axes in (grid[2], grid[3], grid[4]):
        name_axes(axes, rates.loss)
        axes.tick_params(labelbottom=True)
    for axes in (grid[0], grid[3]):
        axes.set_ylabel("measured over allowed")
    handles, labels = grid[0].get_legend_handles_labels()
    grid[5].axis("off")
    grid[5].legend(handles, labels, loc="center", markerscale=3)


@paper.figure(
    "theorem",
    lambda bisector: (
        r"Teachers at angle $\Delta$: $\lambda_{\min}(M)$ over $\Delta^3/r^3$, which Lemma C.4 bounds below, and the "
        rf"loss of {trained_by(bisector)} on the bisector of two over $\Delta^3/3\pi$."
    ),
    on={"bisector": ["angles", "loss"]},
    check=refuse_wide_teachers,
    size=(7.0, 2.8),
    details=r"$M_{ij} = E[xx^T s_i s_j]$, computed for $r$ teachers at steps of $\Delta$ in the plane; pale: "
    r"$(2/\pi)(\Delta - \sin\Delta)$ for $r = 2$. The bisector is stationary, so its loss (points: of the first seed) "
    r"is a ceiling on $\varepsilon_0$ of Theorem 4; pale: its closed form, $1 + K(\Delta) - 2K(\Delta/2)^2$.",
)
def teachers(canvas: Figure, bisector: Run) -> None:
    left, right = canvas.subplots(1, 2)
    counts = (2, 3, 4, 6)
    steps = np.geomspace(0.02, np.pi / 2, 60)
    reference(left, steps, theory.smallest_of_two(steps) * (2 / steps) ** 3, "closed form, $r$ = 2")
    for count in counts:
        steps = np.geomspace(0.02, np.pi / count, 12)
        found = [theory.separation_ratio(count, step) for step in steps]
        scatter(left, steps, found, marker_of(count, counts), style_of(count, counts), f"$r$ = {count}", 4)
    left.set(xscale="log", ylim=(0, None), ylabel=r"$\lambda_{\min}(M)\, r^3/\Delta^3$")
    left.legend(ncols=2)
    steps = np.geomspace(0.02, np.pi / 2, 60)
    reference(right, steps, theory.bisector_loss(steps) / theory.bisector_order(steps), "closed form")
    for number, run in enumerate(bisector.by("angles")):
        delta, label = measured.bisected(run), "" if number else "end of training"
        ratio = float(run.loss.isel(time=-1, seed=0)) / theory.bisector_order(delta)
        scatter(right, delta, ratio, "o", {"color": "C0"}, label, 5)
    right.set(xscale="log", ylabel=r"loss on the bisector over $\Delta^3/3\pi$")
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.set_xlabel(r"separation $\Delta$ of teachers [rad]")
