"""The toys of Xu and Du 2023: students at an angle to the teacher, along it, and all equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twolayer import Run, bands, floored, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.labels import style_of, trained_by
from twolayer.population.asymptotics import pair_constant

from .. import measured
from ..drawing import by_students, descends, label_of, students, two_students
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR = 1e-28
"""Of the loss in float64."""


def toys_of_two(mirrored: Any, exact_rank: Any) -> None:
    """Refuse what the two panels of toys cannot show."""
    two_students(mirrored)
    descends(exact_rank)


@paper.figure(
    "theorem",
    "The toys of Xu and Du 2023: two students at an angle to the teacher learn as $t^{-3}$; students along it, or "
    "all equal, learn exponentially.",
    details=lambda mirrored, exact_rank: (
        f"a: all toys, on a logarithmic time axis. Toy 1 by {trained_by(mirrored)}, two students with z₁ = −z₂; pale: "
        f"its limit (8π²/3)(h₁h₂)²/t³. b: the exponential ones by {trained_by(exact_rank)}, against n t, by which "
        "they coincide; pale: L(0)(1 − nη/2)^(2T) after T iterations, of students along the teacher. Median and range "
        "over seeds."
    ),
    on={"mirrored": ["loss", "projection"], "exact_rank": "loss"},
    check=toys_of_two,
    size=(5.5, 3.0),
)
def toys(canvas: Figure, mirrored: Run, exact_rank: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    pairs = {f"1, {label_of(run)}": run for run in by_students(mirrored)}
    exact = {toy_name(run): run for run in by_students(exact_rank)}
    names = [*pairs, *exact]
    for name, run in pairs.items():
        later, heights = run.isel(time=slice(1, None)), run.projection.isel(time=-1, seed=0).values
        bands(left, later.time, later.loss, name, **style_of(name, names))
        late = later.time[later.time.values > 10]
        reference(left, late, pair_constant(heights) / late**3, color=style_of(name, names)["color"])
    for name, run in exact.items():
        shown = (
            floored(right, run.loss, FLOOR)
            if run is next(iter(exact.values()))
            else run.loss.where(run.loss > FLOOR)
        )
        shown, style = shown.isel(time=slice(1, None)), style_of(name, names)
        bands(left, shown.time, shown, **style)
        bands(right, students(run) * shown.time, shown, name, **style)
        if measured.parallel(run):
            law = run.loss.isel(time=0, drop=True).median().item() * measured.fall_along_teacher(run)
            reference(right, students(run) * run.time, law.where(law > FLOOR), color=style["color"])
    for axes in (left, right):
        floored(axes, exact_rank.loss, FLOOR)
    left.set(xscale="log", yscale="log", ylim=(FLOOR / 100, 10))
    show_all(left)
    name_axes(left, x=mirrored.time, y=mirrored.loss)
    right.set_xlabel("students × time, $n\\,t$")
    canvas.legend(
        *(part + more for part, more in zip(left.get_legend_handles_labels(), right.get_legend_handles_labels(),
                                            strict=True)),
        loc="outside upper center", ncols=3, title="toy",
    )  # fmt: skip
    right.annotate("rounding", (1, FLOOR / 10), (-3, 0), xycoords=("axes fraction", "data"),
                   textcoords="offset points", ha="right", va="center", fontsize=7)  # fmt: skip


def toy_name(run: Run) -> str:
    """`2, along the teacher, n = 4`."""
    kind = "2, along the teacher" if measured.parallel(run) else "3, all equal"
    return f"{kind}, $n$ = {students(run)}"
