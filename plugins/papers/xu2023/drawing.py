"""What several figures of Xu and Du 2023 are drawn with: runs by n, and what a figure cannot show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run
from twolayer.analysis.labels import marker_of, style_of, symbol_of
from twolayer.errors import DataError

from . import measured
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def students(run: Run) -> int:
    """n."""
    return int(run.config.network.neurons)


def named(runs: Run) -> str:
    """`$d$ = 5`: runs by the swept values that they share."""
    return ", ".join(
        value.replace("_", " ") if isinstance(value, str) else f"{symbol_of(word, paper.symbols)} = {value:g}"
        for word, value in runs.swept.items()
    )


def label_of(run: Run) -> str:
    """A run of two students by its label: `even h` of mirror images."""
    return named(run).replace("mirror images", "even $h$")


def by_students(runs: Run) -> list[Run]:
    """The single runs in units of |v|, by n."""
    return sorted((measured.in_units(run) for run in runs.by("run")), key=students)


def of_several(runs: Run) -> list[Run]:
    """The single runs of more than one student in units of |v|, by n."""
    return [run for run in by_students(runs) if students(run) > 1]


def styles_of(runs: Run) -> dict[int, dict[str, Any]]:
    """The style of each number of students in an experiment."""
    sizes = [students(run) for run in by_students(runs)]
    return {size: style_of(size, sizes) for size in sizes}


def largest_group(runs: Run) -> Run:
    """Of the groups that differ in n alone, that of the largest d."""
    return max(runs.varying("neurons"), key=lambda group: int(group.config.problem.dimension))


def error_bars(axes: Axes, runs: Run, read: Callable[[Run], tuple[float, float, float]]) -> None:
    """A reading of each run of several students, its middle, low and high end, by n: a colour for each d, side by
    side."""
    groups = list(runs.varying("neurons"))
    names = [named(group) for group in groups]
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        each = of_several(group)
        if not each:
            continue
        aside = 1.05 ** (number - (len(groups) - 1) / 2)
        middle, low, high = np.array([read(run) for run in each]).T
        axes.errorbar(
            [aside * students(run) for run in each], middle, (middle - low, high - middle),
            fmt=marker_of(name, names), color=style_of(name, names)["color"], markersize=3.5, capsize=2, linewidth=0.9,
            label=name,
        )  # fmt: skip


def logarithmic_in_students(axes: Axes, sizes: list[int]) -> None:
    """Logarithmic axes with ticks at these n."""
    axes.set(xscale="log", yscale="log", xlabel="students $n$")
    axes.set_xticks(sizes, [str(size) for size in sizes])


def descends(runs: Any) -> None:
    """Refuse runs without steps."""
    for run in runs.by("run"):
        if "step_size" not in run.config.dynamics:
            raise DataError(
                f"shows iterations; a run of '{runs.experiment}' is one of {run.config.dynamics.name}"
            )


def two_students(mirrored: Any, *others: Any) -> None:
    """Refuse a number of students for which the limits are not known."""
    for run in mirrored.by("run"):
        if students(run) != 2:
            raise DataError(
                f"the limits are those of two students; a run of '{run.experiment}' has {students(run)}"
            )
