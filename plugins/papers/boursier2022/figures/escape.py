"""Points on a line in Boursier, Pillaud-Vivien and Flammarion 2022: when, and how often, the plateau is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import reference
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import marker_of, style_of, symbol_of
from twolayer.core.wording import counted

from .. import measured
from ..drawing import SCALE, how, scale_axis
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from twolayer import Run


def points_on_a_line(*experiments: Any) -> None:
    """Refuse data whose plateau is not known."""
    for runs in experiments:
        for run in runs.by("run"):
            measured.points_of(run)


@paper.figure(
    "theorem",
    lambda flow, descent: (
        f"Points on a line: when the {how(flow)} leaves the plateau "
        f"({counted(flow.seeds, 'start')}, mean and range), and the share of "
        f"{counted(descent.seeds, 'descent')} that leave it by $t$ = {float(descent.time.max()):g}."
    ),
    on={"escape_of_flow": ["scale", "loss"], "escape_of_descent": ["scale", "step_size", "loss"]},
    check=points_on_a_line,
    size=(7.0, 3.0),
    details=f"A run has left the plateau at $L$ below {100 * measured.LEFT:g} % of it; means are over the seeds that "
    f"do. Pale: a straight line through the means of {SCALE} up to {measured.SMALL:g}; the share of these. Bars on "
    f"shares: exact 95 % intervals. {SCALE} is the weights' standard deviation.",
)
def escape(canvas: Figure, flow: Run, descent: Run) -> None:
    left, right = canvas.subplots(1, 2)
    when = measured.escape_times(flow)
    mean, scale = when.mean("seed"), when["scale"].values
    small = (scale <= measured.SMALL) & np.isfinite(mean.values)
    if small.sum() > 1:
        fit = np.polyfit(-np.log10(scale[small]), mean.values[small], 1)
        reference(left, scale, np.polyval(fit, -np.log10(scale)), f"{fit[0]:.1f} a decade")
    spread = [mean - when.min("seed"), when.max("seed") - mean]
    left.errorbar(scale, mean, yerr=spread, fmt="o", color="C0", capsize=2, label=how(flow))
    stuck, end = ~np.isfinite(mean.values), float(flow.time.max())
    if stuck.any():
        left.plot(scale[stuck], np.full(stuck.sum(), end), "^", color="C0", fillstyle="none",
                  label=f"not by $t$ = {end:g}")  # fmt: skip
    scale_axis(left)
    left.set_ylim(0, None)
    left.set_ylabel("escape time $t$")
    left.legend()
    parts = list(descent.by("scale"))
    scales = [part.scale for part in parts]
    reference(right, [0, 1], 2 * [float(when.notnull().mean())], f"{how(flow)}, all {SCALE}, by $t$ = {end:g}",
              transform=right.get_yaxis_transform())  # fmt: skip
    for number, part in enumerate(parts):
        style, marker = style_of(part.scale, scales), marker_of(part.scale, scales)
        aside = 1.04 ** (2 * number - len(parts) + 1)
        for index, run in enumerate(part.along("step_size")):
            share, low, high = chance_interval(int(measured.escaped(run).sum()), run.seeds)
            right.errorbar(
                run.step_size * aside, share, yerr=[[share - low], [high - share]], fmt=marker,
                color=style["color"], capsize=2, label="" if index else f"descent, {SCALE} = {part.scale:.2g}",
            )  # fmt: skip
    steps = [run.step_size for part in parts for run in part.along("step_size")]
    right.set_xscale("log")
    right.set(xlim=(min(steps) / 4, 4 * max(steps)), ylim=(-0.04, 1.7), yticks=np.linspace(0, 1, 6))
    right.set_xlabel(f"step size {symbol_of('step_size')} (in the paper's time)")
    right.set_ylabel("share that leaves the plateau")
    right.legend(loc="upper right")  # above the points, which end at 1
