"""The law T⁻³ of three papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twolayer import Run, name_axes, reference
from twolayer.analysis.labels import style_of
from twolayer.analysis.rates import local_slope, within_trust
from twolayer.core.wording import counted

from .. import measured
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCES = {"xu2023": "Xu and Du 2023", "zhu2025": "Zhu et al. 2025", "zhou2021": "Zhou et al. 2021"}
"""The papers whose losses fall as t⁻³, by the first part of an experiment's full name."""

NEAR_CUBIC = 0.3
"""How far the slope of the last decade may lie from −3 for a run to be shown."""


def cubic_runs(runs: Run) -> list[Run]:
    """The runs of an experiment whose loss ends as t⁻³."""
    return [run for run in runs.by("run") if abs(measured.late_slope(run) + 3) < NEAR_CUBIC]


def drawn_of(name: str, runs: Run) -> str:
    """`Xu and Du 2023 (9 of 12 runs)`."""
    every = list(runs.by("run"))
    return f"{SOURCES.get(name, name)} ({len(cubic_runs(runs))} of {counted(len(every), 'run')})"


@paper.figure(
    "theorem",
    "One law of three papers: where several students share a teacher, the loss falls as $t^{-3}$, for relu and "
    "$|\\cdot|$, one teacher and several, small starts and starts near the teachers.",
    details=lambda *runs: (
        "a: the loss times t³, the median over the seeds of each run; b: the local slope, pale: −3. Of each paper the "
        f"runs whose loss falls over its last decade with an exponent within {NEAR_CUBIC} of −3: "
        + ", ".join(drawn_of(key, each) for key, each in zip(SOURCES, runs, strict=True))
        + ". Each in the units of its paper, so that levels of different papers are not compared."
    ),
    on={"figure1": "loss", "zhu2025.rate": "loss", "zhou2021.rates": "loss"},
    size=(7.0, 3.2),
)
def one_law(canvas: Figure, *experiments: Run) -> None:
    left, right = canvas.subplots(1, 2)
    for key, runs in zip(SOURCES, experiments, strict=True):
        style, label = style_of(SOURCES[key], list(SOURCES.values())), SOURCES[key]
        for run in cubic_runs(runs):
            later = run.isel(time=slice(1, None))
            loss = within_trust(later.dataset).median("seed")
            left.plot(later.time, loss * later.time**3, label=label, linewidth=0.9, **style)
            slope = local_slope(later.dataset).median("seed")
            right.plot(later.time, slope, label=label, linewidth=0.9, **style)
            label = ""
    reference(right, [1e-1, 1e8], [-3, -3])
    left.set(xscale="log", yscale="log", ylabel="$L\\,t^3$", ylim=(1e-2, None), xlim=(0.5, None))
    right.set(xscale="log", ylabel=r"local slope of $\log L$", ylim=(-4.2, 0.2), xlim=(0.5, None))
    for axes in (left, right):
        name_axes(axes, x=experiments[0].time)
    left.legend(loc="lower right")
