"""Theorem 4 of Zhou, Ge and Jin 2021: the gradient against the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, name_axes, reference
from twolayer.analysis.drawing import clipped, show_all
from twolayer.analysis.labels import trained_by

from .. import measured, theory
from ..drawing import lines, refuse_wide_teachers, scatter, styled
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def states_and_saddles(states: Any, rates: Any, bisector: Any) -> None:
    """Refuse flows from different teachers, and teachers whose bisector the students would leave."""
    measured.lengths(rates)
    refuse_wide_teachers(bisector)


@paper.figure(
    "theorem",
    lambda states, rates, bisector: (
        r"Theorem 4: $\sqrt{r w_{\max}}\,|\nabla L|/L$ is at least a constant, here ½ (grey: below it), at random "
        rf"states and along {trained_by(rates)}."
    ),
    on={
        "states": ["initialization", "loss"],
        "rates": ["initialization", "loss"],
        "bisector": ["angles", "loss"],
    },
    check=states_and_saddles,
    size=(7.0, 3.4),
    details=r"A line for each seed. ▽: saddles on the bisector of two teachers, with $|\nabla L| = 0$ and "
    r"$L = \Delta^3/3\pi$. The bound is claimed up to half the loss of students on both bisectors, the end of the "
    r"grey zone. Pale: slopes $-1/3$ ($|\nabla L| \sim L^{2/3}$) of near students, $-1/4$ ($L^{3/4}$) of far "
    r"background neurons.",
)
def lojasiewicz(canvas: Figure, states: Run, rates: Run, bisector: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True, sharex=True)
    for run, marker, style in styled(states):
        start = run.isel(time=0)
        size, count = run.config.problem.dimension, len(measured.lengths(run))
        label = f"$d$ = {size}, $r$ = {count}, $m$ = {run.config.network.neurons}"
        scatter(left, start.loss, measured.scaled_gradient(start), marker, style, label)
    for run, _, style in styled(rates):
        loss, ratio = measured.loss_of(run), measured.scaled_gradient(run)
        lines(right, loss.where(loss > 0.1 * measured.FLOOR), ratio, style, measured.spelled(run))
    saddles = [float(run.loss.isel(time=-1, seed=0)) for run in bisector.by("angles")]
    clipped(left, saddles, np.zeros(len(saddles)), 0.25, "black", "bisector saddles, 0")
    grid = np.geomspace(measured.FLOOR, 1e-2, 2)
    for axes in (left, right):
        axes.fill_between(
            [measured.FLOOR, measured.ceiling(rates)], 0.1, theory.KAPPA, color="0.55", alpha=0.25, lw=0
        )
        reference(axes, grid, 2.0 * grid ** (-1 / 3))
        reference(axes, grid, 1.0 * grid ** (-1 / 4))
        axes.set(xscale="log", yscale="log", xlim=(measured.FLOOR, 3), ylim=(0.1, 1e11))
        show_all(axes)
        name_axes(axes, rates.loss)
        axes.legend(loc="upper right")
    for text, at in (
        ("slope −1/3", (1e-19, 1.2e7)),
        ("slope −1/4", (1e-19, 1.2e3)),
        ("below ½", (1e-19, 0.16)),
    ):
        left.annotate(text, at, fontsize=8)
    left.set_ylabel(r"$\sqrt{r w_{\max}}\,|\nabla L|/L$")
