"""Small scales of the start in Boursier, Pillaud-Vivien and Flammarion 2022, on orthogonal inputs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import bands, floored, name_axes, reference
from twolayer.analysis.drawing import clipped
from twolayer.analysis.labels import marker_of, style_of, symbol_of
from twolayer.core.wording import counted

from .. import measured, theory
from ..drawing import SCALE, SIGNS, how, orthogonal_inputs, scale_axis
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from twolayer import Run

EXCESS = r"excess $|\theta|^2/|\theta|^2_{\mathrm{min}} - 1$"

ROUNDING = 1e-15
"""What rounding leaves of the norm above the least."""

LEAST_SHARE = 1e-17
"""Shares of blind neurons below it are drawn at it."""


@paper.figure(
    "theorem",
    lambda run: (
        f"{how(run).capitalize()} from small scales "
        r"$\lambda$: when the labels of either sign are fitted, the loss half way between against the plateau, and "
        "the norm above the least."
    ),
    on={"scale_sweep": ["scale", "loss", "path_norm", "inputs", "targets"]},
    check=orthogonal_inputs,
    size=(7.0, 2.9),
    details=r"Pale lines: slopes $\ln 10/|D_\pm|$ per decade through the smallest scale, "
    r"$D_\pm = \frac{1}{n}\sum_{\pm y_k>0} y_k x_k$; and the power of $\lambda$ with which neurons that miss one "
    "sample die out, through the middle scale.",
)
def scale_sweep(canvas: Figure, run: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    first = next(run.by("scale"))
    inputs, targets = first.inputs.values, first.targets.values
    unit = measured.loss_unit(run)
    for sign, drive, level in theory.fit_stages(inputs, targets):
        when = run.along("scale", partial(measured.time_below, level=unit * level))
        mean = when.mean("seed").sortby("scale")
        scale, (color, marker, _) = mean["scale"].values, SIGNS[sign]
        reached = np.flatnonzero(np.isfinite(mean.values))
        if reached.size:
            line = mean.values[reached[0]] + np.log(scale[reached[0]] / scale) / drive / unit
            reference(left, scale, line, f"{np.log(10) / drive / unit:.3f} a decade", color=color)
        left.plot(scale, mean, marker, color=color, label=f"labels {sign}", fillstyle="none")
    left.set_ylim(0, 1.5 * left.get_ylim()[1])
    left.set_ylabel("time $t$ of the fit")
    if targets.min() < 0 < targets.max():
        between, plateau = (
            run.along("scale", read) for read in (measured.loss_between, measured.plateau_between)
        )
        distance = abs(between / plateau - 1).transpose("scale", "seed")
        middle.axhspan(1e-3, 10.0, color="0.55", alpha=0.15, lw=0, label="above 0.1 %")
        middle.plot(between["scale"], distance, "o", color="C0", markersize=3, fillstyle="none")
        middle.set(yscale="log", ylim=(0.1 * max(float(distance.min()), 1e-14), 1.0))
        middle.set_ylabel(f"$|L/{float(plateau[0]):.4g} - 1|$ half way")
    else:
        middle.set_ylabel("all labels have one sign: no plateau")
    excess = run.along("scale", measured.norm_excess).transpose("scale", "seed")
    excess = excess.where(excess > -ROUNDING)  # less than the least: not all labels are fitted yet
    power, centre = theory.excess_exponent(inputs, targets), excess[excess.sizes["scale"] // 2]
    scale = np.sort(excess["scale"].values)
    through = (
        float(np.exp(np.log(centre.where(centre > 0)).mean())) * (scale / float(centre["scale"])) ** power
    )
    if np.isfinite(power) and np.isfinite(through).all():
        reference(right, scale, through, rf"$\propto\lambda^{{{power:.3f}}}$")
    right.plot(
        excess["scale"], excess.where(excess > ROUNDING), "o", color="C0", markersize=3, fillstyle="none"
    )
    clipped(right, excess["scale"].values[:, None], excess.values, ROUNDING, "C0")
    floored(right, excess, ROUNDING)
    right.set_ylabel(EXCESS)
    for axes in (middle, right):
        axes.set_yscale("log")
    right.set_ylim(ROUNDING / 30, None)
    for axes in (left, middle, right):
        scale_axis(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left" if axes is left else "best")


def left_out(run: Run) -> str:
    """What a caption says of runs that end before all labels are fitted."""
    waiting = ~measured.fitted(run)
    if not waiting.any():
        return ""
    return f" Left out: {int(waiting.sum())} of {counted(waiting.size, 'run')} that end before all labels are fitted."


@paper.figure(
    "theorem",
    lambda run: (
        rf"Random orthogonal sets, {how(run)} to $t$ = "
        f"{float(run.time.max()):g}: the norm above the least, and the directions that carry it, by the share "
        r"$\lambda^p$ of the mass that neurons blind to a sample keep." + left_out(run)
    ),
    on={
        "implicit_bias": [
            "samples",
            "scale",
            "path_norm",
            "carrying_directions",
            "blind_exponent",
            "seed_inputs",
            "seed_targets",
        ]
    },
    check=orthogonal_inputs,
    size=(7.0, 3.1),
    details=r"One point for each seed and $\lambda$; one neuron of each sign sees all samples of its sign. "
    r"$p = \min 2(1 - |D_A|/|D_\pm|)$ over each seed's neurons that miss a sample, $A$ the samples they see. "
    r"$\frac{1}{2}|\theta|^2_{\mathrm{min}} = |v_+| + |v_-|$. "
    rf"Directions are counted from 1 % of $\sum|a||w|$. A share below {LEAST_SHARE:.0e} is at it.",
)
def implicit_bias(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    groups = list(run.by("samples"))
    counts = [group.samples for group in groups]
    reference(left, [LEAST_SHARE, 1], [LEAST_SHARE, 1], r"$\propto\lambda^p$")
    reference(right, [LEAST_SHARE, 1], [2, 2], "2, the theorem")
    for number, group in enumerate(groups):
        color, marker = style_of(group.samples, counts)["color"], marker_of(group.samples, counts)
        for index, part in enumerate(group.along("scale")):
            label = "" if index else f"{symbol_of('samples')} = {group.samples}"
            share = np.maximum(part.scale**part.blind_exponent.values, LEAST_SHARE)
            excess = measured.norm_excess(part).values
            many = part.carrying_directions.isel(time=-1).where(measured.fitted(part)).values
            style = {
                "color": color,
                "marker": marker,
                "linestyle": "none",
                "fillstyle": "none",
                "markersize": 3.5,
            }
            left.plot(share, np.where(excess > ROUNDING, excess, np.nan), label=label, **style)
            clipped(left, share, excess, ROUNDING, color)
            right.plot(share, many * 1.03 ** (number - 0.5 * (len(groups) - 1)), label=label, **style)
    floored(left, run.loss, ROUNDING, "▽: rounding")
    left.set(xscale="log", yscale="log", ylim=(ROUNDING / 30, 3), ylabel=EXCESS)
    right.axvspan(measured.BLIND, 10.0, color="0.55", alpha=0.15, lw=0, label="blind neurons count")
    right.set(xscale="log", yscale="log", ylabel="directions that carry it")
    ticks = [2, 5, 10, 20, 40]
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    for axes in (left, right):
        axes.set_xlim(0.3 * LEAST_SHARE, 1.5)
        axes.set_xlabel(r"share $\lambda^p$ that blind neurons keep")
        axes.legend(loc="upper left")


@paper.figure(
    "theorem",
    r"Saddle to saddle on the clock $t/\ln(1/\lambda)$: the loss, how far each group is aligned with $\pm D_\pm$, and "
    r"its mass.",
    on={"staircase": ["scale", "loss", "hidden", "output", "inputs", "targets"]},
    check=orthogonal_inputs,
    size=(5.5, 5.6),
    details=r"Median and range of all seeds. Groups are $S_{\pm,1}$: neurons that see all samples of their sign at "
    r"the start; cosines are weighted by mass. Pale: the limit $\lambda \to 0$, steps at $1/|D_\pm|$, from cosine "
    r"1 to that of $v_\pm$ with $D_\pm$, and from no mass to $|v_\pm|$.",
)
def staircase(canvas: Figure, run: Run) -> None:
    top, middle, bottom = canvas.subplots(3, 1, sharex=True)
    parts = run.along("scale")
    scales = [part.scale for part in parts]
    first, unit = parts[0], measured.loss_unit(run)
    inputs, targets = first.inputs.values, first.targets.values
    stages = theory.fit_stages(inputs, targets)
    steps = [1 / drive / unit for _, drive, _ in stages]
    last = max(float(part.time[-1]) / -np.log(part.scale) for part in parts)
    start = unit * float((targets**2).mean()) / 2
    levels = (
        [start]
        + [unit * theory.plateau(targets, 1.0 if stages[0][0] == "+" else -1.0)] * (len(stages) - 1)
        + [0.0]
    )
    reference(top, *stairs([0, *steps, last], levels), r"limit $\lambda \to 0$")
    for (sign, _, _), step in zip(stages, steps, strict=True):
        cosine, norm = theory.end_of_group(inputs, targets, 1.0 if sign == "+" else -1.0)
        color = SIGNS[sign][0]
        reference(middle, *stairs([0, step, last], [1.0, cosine]), color=color)
        reference(bottom, *stairs([0, step, last], [0.0, norm]), color=color)
        first_step = step == steps[0]
        bottom.annotate(
            f"group of labels {sign}", (step, 0.93 * norm if first_step else 0.5 * norm), color=color, va="center",
            xytext=(-6 if first_step else 6, 0), textcoords="offset points", ha="right" if first_step else "left",
            fontsize=8,
        )  # fmt: skip
    for part in parts:
        style = style_of(part.scale, scales)
        clock = part.time / -np.log(part.scale)
        label = f"{SCALE} = {part.scale:.0e}"
        bands(top, clock, part.loss, label, color="black", linestyle=style["linestyle"])
        for sign, _, _ in stages:
            color = SIGNS[sign][0]
            for axes, values in zip(
                (middle, bottom), measured.group(part, 1.0 if sign == "+" else -1.0), strict=True
            ):
                bands(axes, clock, values, color=color, linestyle=style["linestyle"])
    middle.set_ylabel(r"cosine of $w_j$ to $\pm D_\pm$")
    bottom.set_ylabel(r"group's $\sum|a_j||w_j|$")
    bottom.set_xlabel(r"$t/\ln(1/\lambda)$")
    bottom.set_xlim(0, last)
    name_axes(top, y=run.loss)
    top.legend()


def stairs(edges: Any, levels: Any) -> tuple[Any, Any]:
    """The corners of a staircase: a level between each two edges."""
    return np.repeat(edges, 2)[1:-1], np.repeat(levels, 2)
