"""Figure 1 of Zhou, Ge and Jin 2021, and a film of it: three starts in the plane, by two losses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run

from .. import measured
from ..drawing import TEACHER
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REGIMES = {"ntk": "NTK", "mean_field": "mean-field", "local": "local convergence"}
"""The paper's names for the starts of its Figure 1."""

PLANES = ("initialization", "problem", "loss", "hidden")
"""What the panels of Figure 1 show."""


def in_the_plane(run: Any) -> None:
    """Refuse runs that are not in the plane."""
    for part in run.by("run"):
        measured.plane_teachers(part)


def planes(canvas: Figure, run: Run) -> Iterator[tuple[Axes, Any, Any, Any]]:
    """A panel for each problem (rows) and start (columns): axes, p_j = |w_j| w_j (time, neuron, feature), times and
    losses of the first seed."""
    rows = {row.problem: list(row.by("initialization")) for row in run.by("problem")}
    grid = canvas.subplots(len(rows), max(map(len, rows.values())), squeeze=False)
    for panels, (problem, parts) in zip(grid, rows.items(), strict=True):
        for axes, part in zip(panels, parts, strict=False):
            one = part.isel(seed=0)
            hidden = one.hidden.transpose("time", "neuron", "feature").values
            points = np.linalg.norm(hidden, axis=-1, keepdims=True) * hidden
            for line in measured.plane_teachers(part):
                axes.axline((0, 0), tuple(line), color=TEACHER, linewidth=0.9, zorder=1)
            reach = 1.08 * np.abs(points).max()
            title = REGIMES.get(part.initialization, part.initialization)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=title)
            axes.grid(False)
            yield axes, points, one.time.values, one.loss.values
        panels[0].set_ylabel(f"{problem}\n" + r"$|w_j|\,w_{j,2}$")
    for axes in grid[-1]:
        axes.set_xlabel(r"$|w_j|\,w_{j,1}$")


ROWS = {"sample": "on a sample", "population": "on the population"}
"""The problems of Figure 1, in words."""


def figure1_caption(end: str) -> Any:
    """The caption of Figure 1 by what was run, with the words for the red circles."""

    def caption(run: Run) -> str:
        rows = [row.problem for row in run.by("problem")]
        problems = " and ".join(ROWS.get(row, row) for row in rows) + " (rows)" * (len(rows) > 1)
        return (
            f"Figure 1: students in the plane by their starts (columns), {problems}: directions of teachers (blue "
            f"lines), paths of $|w_j|w_j$ (black), {end} (red circles)."
        )

    return caption


READ_OFF = (
    "The first seed. The paper states $m$ and $r$; angles and scales of starts are read off the print; $\\eta$, "
    "$\\eta T$ and $N$ are ours. Axes differ in scale."
)

NOTE: dict[str, Any] = {
    "xy": (0.03, 0.03),
    "xycoords": "axes fraction",
    "fontsize": 7,
    "bbox": {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
}


@paper.figure(
    "inferred",
    figure1_caption("end points"),
    on={"figure1": PLANES},
    check=in_the_plane,
    size=(7.0, 4.9),
    details=READ_OFF,
)
def figure1(canvas: Figure, run: Run) -> None:
    for axes, points, time, loss in planes(canvas, run):
        axes.plot(points[..., 0], points[..., 1], color="black", linewidth=0.6, zorder=2)
        axes.plot(*points[-1].T, "o", color="red", fillstyle="none", markersize=3.5, zorder=3)
        axes.annotate(rf"$\eta T$ = {time[-1]:.3g}, $L$ = {loss[0]:.2g} → {loss[-1]:.0e}", **NOTE)


@paper.figure(
    "inferred",
    figure1_caption("where students are"),
    on={"figure1": PLANES},
    check=in_the_plane,
    size=(7.0, 4.9),
    frames_per_second=10,
    details=READ_OFF,
)
def figure1_film(canvas: Figure, run: Run) -> Iterator[list[Any]]:
    panels = []
    for axes, points, time, loss in planes(canvas, run):
        paths = axes.plot(points[:1, :, 0], points[:1, :, 1], color="black", linewidth=0.6)
        (ends,) = axes.plot(*points[0].T, "o", color="red", fillstyle="none", markersize=3.5)
        panels.append((paths, ends, axes.annotate("", **NOTE), points, time, loss))
    for step in range(max(len(panel[4]) for panel in panels)):
        moved: list[Any] = []
        for paths, ends, note, points, time, loss in panels:
            frame = min(step, len(time) - 1)
            for neuron, path in enumerate(paths):
                path.set_data(*points[: frame + 1, neuron].T)
            ends.set_data(*points[frame].T)
            note.set_text(rf"$\eta t$ = {time[frame]:.3g}, $L$ = {loss[frame]:.1e}")
            moved += [*paths, ends, note]
        yield moved
