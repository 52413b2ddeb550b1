"""What several figures of Zhou, Ge and Jin 2021 are drawn with: colours, and runs as points, lines and medians."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twolayer import Run, bands
from twolayer.analysis.labels import marker_of, style_of

from . import measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEACHER, FIRST, SECOND, REGION = "C0", "C1", "C2", "C4"
"""Colours: teachers, the first and the second of two quantities, a shaded region."""

DASHED = (0, (5, 2))

LEAST = 1e-30
"""Losses below it are not drawn: with one student for each teacher they are rounding."""


def styled(run: Run, word: str = "initialization") -> list[tuple[Run, str, dict[str, Any]]]:
    """Runs by a swept word, each with its marker, and colour and line."""
    parts = list(run.by(word))
    values = [part.swept[word] for part in parts]
    return [
        (part, marker_of(value, values), style_of(value, values))
        for part, value in zip(parts, values, strict=True)
    ]


def scatter(
    axes: Axes, x: Any, y: Any, marker: str, style: dict[str, Any], label: str, size: float = 2.5
) -> None:
    """Open points."""
    axes.plot(
        x,
        y,
        marker,
        color=style["color"],
        fillstyle="none",
        markersize=size,
        markeredgewidth=0.7,
        label=label,
    )


def lines(axes: Axes, x: Any, y: Any, style: dict[str, Any], label: str) -> None:
    """A thin line for each seed."""
    for seed in range(x.sizes["seed"]):
        axes.plot(x.isel(seed=seed), y.isel(seed=seed), linewidth=0.7, label="" if seed else label, **style)


def losses(axes: Axes, run: Run, style: dict[str, Any], label: str) -> None:
    """Median and range over seeds on logarithmic axes."""
    later = run.isel(time=slice(1, None))
    loss = measured.loss_of(later)
    bands(axes, later.time, loss.where(loss > LEAST), label, **style)
    axes.set(xscale="log", yscale="log")


def refuse_wide_teachers(run: Any) -> None:
    """Refuse teachers whose bisector the students would leave."""
    for part in run.by("run"):
        measured.bisected(part)
