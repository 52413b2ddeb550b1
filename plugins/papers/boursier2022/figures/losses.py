"""Losses of Boursier, Pillaud-Vivien and Flammarion 2022: against the authors', and of descent against the flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import name_axes, reference
from twolayer.analysis.drawing import clipped
from twolayer.analysis.labels import symbol_of

from .. import measured
from ..drawing import AUTHORS_RUNS, BLUE, START, setting
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from twolayer import Run

KINDS: Mapping[str, dict[str, Any]] = {
    "descent, float64": {"color": BLUE, "linestyle": "-", "zorder": 2.5},
    "descent, float32": {"color": "#E69F00", "linestyle": (0, (4, 2)), "zorder": 2.6},
    "exact flow": {"color": "black", "linestyle": ":", "zorder": 2.7},
}
"""Line and colour of each kind of run."""

LEAST = 1e-10
"""Of the differences that a loss profile shows, as a share of L(0)."""

FEW = 12
"""Fewer common iterations than this are shown as points, as a line through them would show what was not compared."""


def loss_profile(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    """L against iterations on the notebook's axes with a logarithmic inset, and the distance from the authors' losses.

    From other weights than theirs: the distance from descent in float64.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator

    descent = measured.descent(run)
    step = descent.config.dynamics.step_size
    left, right = canvas.subplots(1, 2, width_ratios=[1.25, 1])
    inset = left.inset_axes((0.54, 0.62, 0.45, 0.38))
    alike = measured.starts_like(descent, theirs)
    base = measured.losses_by_iteration(descent, step)
    other = base
    if alike:
        other = measured.authors_losses(descent, theirs)
        for axes in (left, inset):
            reference(axes, other["iteration"], other, "authors' run (float32)")
    start = float(other[0])
    saved: list[int] = []
    for part in run.by("dynamics", "dtype"):
        kind = "exact flow" if part.dynamics == "flow" else f"descent, {part.dtype}"
        loss = measured.losses_by_iteration(part, step)
        for axes in (left, inset):
            axes.plot(loss["iteration"], loss, label=kind, **KINDS[kind])
        if not alike and kind == "descent, float64":
            continue
        common, share = measured.distance(loss, other)
        common, share = common[common > 0], share[common > 0] / start
        points = {"marker": "o", "markersize": 2.5, "fillstyle": "none", "linestyle": "none"}
        style = KINDS[kind] | (points if len(common) < FEW else {})
        right.plot(common, np.where(share > LEAST, share, np.nan), label=kind, **style)
        saved.append(len(common))
        clipped(right, common, share, LEAST, KINDS[kind]["color"])
    left.set(xlim=(0, float(base["iteration"].max())), ylim=(0, 1.05 * float(base[0])))
    inset.set(xscale="log", yscale="log", xlim=(1, None))
    inset.tick_params(labelsize=7)
    inset.yaxis.set_major_locator(LogLocator(numticks=4))
    inset.xaxis.set_major_locator(LogLocator(numticks=4))
    inset.minorticks_off()
    left.xaxis.set_major_locator(MaxNLocator(5))
    if base["iteration"].max() > 2000:
        left.xaxis.set_major_formatter(lambda iteration, _: f"{iteration / 1000:g}k" if iteration else "0")
    if saved and not any(saved):
        note = {"ha": "center", "va": "center", "fontsize": 8, "color": "0.4"}
        right.text(0.5, 0.7, "no saved iteration in common", transform=right.transAxes, **note)
    below = rf"▽: below $10^{{{np.log10(LEAST):.0f}}}$, or none"
    right.axhspan(LEAST / 10, LEAST, color="0.55", alpha=0.15, lw=0, label=below)
    right.set(
        xscale="log", yscale="log", ylim=(LEAST / 10, None if any(saved) else 1.0), xlim=(0.8, None),
        ylabel=rf"$|\Delta L|/L(0)$ from {'the authors' if alike else 'float64'}",
    )  # fmt: skip
    name_axes(left, y=run.loss)
    for axes in (left, right):
        axes.set_xlabel(rf"iteration ($\eta$ = {step:g})")
    handles, labels = left.get_legend_handles_labels()
    zones, names = right.get_legend_handles_labels()
    extra = [(zone, name) for zone, name in zip(zones, names, strict=True) if name.startswith("▽")]
    canvas.legend(
        [*handles, *(zone for zone, _ in extra)], [*labels, *(name for _, name in extra)],
        loc="outside upper center", ncols=5, handlelength=2.2, columnspacing=1.2,
    )  # fmt: skip


def loss_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of a loss profile."""
    compared = f"its distance from {against(run, theirs)}"
    return f"Loss by iteration on the notebook's axes (inset: logarithmic), and {compared}: {setting(run, theirs)}."


def against(run: Run, theirs: xr.Dataset) -> str:
    """What the losses are compared with."""
    if measured.starts_like(measured.descent(run), theirs):
        return "the losses that the authors saved"
    return "descent in float64"


def profile(experiment: str) -> Any:
    """A loss profile of one of the runs from the authors' weights."""
    return paper.figure(
        "published",
        loss_caption,
        on={experiment: START},
        check=measured.descent,
        size=(7.0, 2.9),
        files=[AUTHORS_RUNS[experiment]],
        details=lambda run, theirs: (
            f"Lines join the saved iterations; fewer than {FEW} in common are points. The flow is at iteration t/η, "
            f"η = {measured.descent(run).config.dynamics.step_size:g}. Losses are compared at the iterations that "
            "both saved."
        ),
    )


@profile("orthogonal")
def loss_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("nonorthogonal_small")
def loss_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("nonorthogonal_large")
def loss_nonorthogonal_large(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("high_dimension")
def loss_high_dimension(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@paper.figure(
    "theorem",
    "The largest difference over time between the losses of descent and of the exact flow, by the step size.",
    on={"step_error": ["dynamics", "loss"]},
    check=measured.comparable,
    size=(5.5, 3.1),
    details="The pale line has slope 1 through the smallest step.",
)
def step_error(canvas: Figure, run: Run) -> None:
    axes = canvas.subplots()
    errors = measured.step_errors(run)
    steps, smallest = errors["step_size"].values, errors[-1]
    reference(axes, steps, float(smallest) * steps / float(smallest["step_size"]), "first order")
    axes.loglog(steps, errors, "o", markersize=6, fillstyle="none", label="measured")
    axes.margins(x=0.15, y=0.12)
    for step, error in zip(steps, errors.values, strict=True):
        axes.annotate(f"{error:.2g}", (step, error), textcoords="offset points", xytext=(6, -9), fontsize=7.5)
    axes.set_xlabel(f"step size {symbol_of('step_size')}")
    axes.set_ylabel(r"$\max_t\,|L_\mathrm{descent} - L_\mathrm{flow}|$")
    axes.legend()
