"""The parts that figures are made of: panels by swept value, medians with their range, references, floors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.labelled import require_array
from twolayer.analysis.labels import axis_label, symbol_of
from twolayer.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from twolayer.analysis.runs import Run

__all__ = ["bands", "clipped", "facets", "floored", "name_axes", "reference", "show_all", "space_labels"]

PALE = "0.55"
"""Grey, for values below a floor."""


def facets(
    canvas: Figure, runs: Iterable[Run], symbols: Mapping[str, str] | None = None, **subplots: Any
) -> list[tuple[Axes, Run]]:
    """A row of panels, one per run (as `run.by(word)` gives them), titled by the swept values in which they differ.

    symbols: {swept word: letter}, where a paper's differs from the field's. subplots: as for `Figure.subplots`.
    """
    runs = list(runs)
    if not runs:
        raise DataError("facets: there is no run to show")
    shared = {
        word for word in runs[0].swept if all(run.swept.get(word) == runs[0].swept[word] for run in runs)
    }
    row = np.atleast_1d(canvas.subplots(1, len(runs), **{"sharey": True, **subplots}))
    for axes, run in zip(row, runs, strict=True):
        differing = {word: value for word, value in run.swept.items() if word not in shared or len(runs) == 1}
        axes.set_title(
            ", ".join(f"{symbol_of(word, symbols)} = {spelled(value)}" for word, value in differing.items())
        )
    return list(zip(row, runs, strict=True))


def bands(axes: Axes, x: Any, values: Any, label: str = "", **style: Any) -> Any:
    """The median over seeds as a line and the range of all seeds as a band; returns the colour.

    values: a DataArray with a `seed` dimension and one more, along which x (a DataArray or an array) goes.
    """
    require_array(values, "bands", "seed")
    values = values.transpose("seed", ...).values
    (line,) = axes.plot(x, np.median(values, axis=0), label=label, **style)
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.25, lw=0)
    return line.get_color()


def reference(axes: Axes, x: Any, y: Any, label: str = "", **style: Any) -> None:
    """A prediction, or values of another source: a wide pale line below the thin measured ones, grey or in the colour
    of what it predicts."""
    wide = {"color": "black", "linewidth": 3.2, "alpha": 0.3, "zorder": 1.5, "solid_capstyle": "butt"}
    axes.plot(x, y, label=label, **{**wide, **style})


def floored(axes: Axes, values: Any, floor: float, label: str = "") -> Any:
    """The values of a DataArray above a floor, NaN elsewhere, which the axes show as a grey zone with its label."""
    require_array(values, "floored")
    axes.axhspan(0.0, floor, color=PALE, alpha=0.15, lw=0, label=label)
    return values.where(values > floor)


def clipped(axes: Axes, x: Any, values: Any, floor: float, color: Any = PALE, label: str = "") -> None:
    """Values at or below a floor, 0 too, as ▽ on it, every other one where they are many."""
    x, values = np.broadcast_arrays(x, values)
    below = np.flatnonzero(values <= floor)
    if below.size:
        axes.plot(
            x.flat[below], np.full(below.size, floor), "v", color=color, fillstyle="none", markersize=4,
            markevery=max(1, below.size // 12), clip_on=False, in_layout=False, label=label,
        )  # fmt: skip


def name_axes(axes: Axes, x: Any = None, y: Any = None) -> None:
    """Label axes by the quantities on them, DataArrays of a dataset."""
    for values in (x, y):
        if values is not None:
            require_array(values, "name_axes")
    if x is not None:
        axes.set_xlabel(axis_label(x))
    if y is not None:
        axes.set_ylabel(axis_label(y))


WIDE = 3.0
"""Lines from this width on, in points, are references, which limits may cut."""


def show_all(axes: Axes, which: str = "xy") -> None:
    """Raise the upper limits of logarithmic axes that cut measured lines or points: set for one range of losses or
    masses, they must not hide others. To be called after the limits are set; which: x, y or xy."""
    for name, place in (("x", 0), ("y", 1)):
        if name not in which or getattr(axes, f"get_{name}scale")() != "log":
            continue
        low, high = getattr(axes, f"get_{name}lim")()
        largest = max(
            (
                np.max(values, initial=0.0, where=np.isfinite(values))
                for line in axes.lines
                if line.get_transform() == axes.transData and line.get_linewidth() < WIDE
                for values in [np.asarray(line.get_data()[place], dtype=float)]
            ),
            default=0.0,
        )
        if low < high < largest:
            getattr(axes, f"set_{name}lim")(low, 2.0 * largest)


LABEL = 36.0
"""Points from the middle of a label such as 2 × 10⁻³ to that of its neighbour, at least."""


def space_labels(canvas: Figure) -> None:
    """Leave out labels that would lie on each other: those between powers of ten, which a logarithmic axis with fewer
    than two powers in view has."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    laid_out = False
    for axes in canvas.axes:
        if axes.get_xscale() != "log":
            continue
        low, high = sorted(axes.get_xlim())
        powers, between = (
            [value for value in locations if low <= value <= high]
            for locations in (axes.xaxis.get_majorticklocs(), axes.xaxis.get_minorticklocs())
        )
        if len(powers) > 1 or not between or isinstance(axes.xaxis.get_minor_formatter(), NullFormatter):
            continue
        if not laid_out:  # a legend beside the panels takes of their width
            canvas.draw_without_rendering()
            laid_out = True
        width = 72 * canvas.get_size_inches()[0] * axes.get_position().width / np.log(high / low)
        kept = list(powers)
        for value in sorted(between, key=mantissa):
            if all(width * abs(np.log(value / other)) > LABEL for other in kept):
                kept.append(value)
        chosen = {float(value) for value in kept}
        axes.xaxis.set_minor_formatter(
            FuncFormatter(lambda value, _, chosen=chosen: scientific(value) if value in chosen else "")
        )


def mantissa(value: float) -> float:
    """2 of 2 × 10⁻³."""
    return round(float(value / 10.0 ** np.floor(np.log10(value))), 9)


def scientific(value: float) -> str:
    """2 × 10⁻³ as mathematics."""
    return rf"$\mathdefault{{{mantissa(value):g}\times10^{{{int(np.floor(np.log10(value)))}}}}}$"


def spelled(value: Any) -> str:
    """A swept value in a title."""
    return f"{value:g}" if isinstance(value, int | float) else str(value).replace("_", " ")
