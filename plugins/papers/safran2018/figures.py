"""The numbers of Safran and Shamir 2018, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import QUANTITIES, marker_of, style_of
from twolayer.errors import DataError

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDS = ("loss", "gradient_norm", "final_hessian_eigenvalues")


def shares(axes: Axes, points: Sequence[tuple[float, int, int]], label: str, **style: Any) -> None:
    """Shares of counts (place, hits, trials) with their exact 95 % intervals."""
    place = [point[0] for point in points]
    chance, low, high = np.array([chance_interval(hits, trials) for _, hits, trials in points]).T
    axes.errorbar(
        place,
        chance,
        [chance - low, high - chance],
        label=label,
        capsize=2,
        **{"linestyle": "none", "markersize": 4.5, **style},
    )


@paper.figure(
    "inferred",
    "With as many students as teachers, descent ends in a spurious minimum the more often, the more "
    "teachers $k$ there "
    "are; against the counts that Safran and Shamir 2018 stored.",
    details=lambda runs, thirteen, counts: (
        f"Share of starts whose loss ends at {theory.SPURIOUS:g} or above, n = k students with outputs 1, d = "
        "k. Bars: "
        "95 % intervals of a binomial share. Squares: the authors' counts of 1000 starts, by the ends that their "
        "code stored, drawn a little to the right. The authors' step is 0.1, ours "
        f"{runs.config.dynamics.step_size:.3g}."
    ),
    on={"counts": ENDS, "thirteen": ENDS},
    files=[measured.COUNTS],
    size=(5.5, 3.2),
)
def counts(canvas: Figure, runs: Run, thirteen: Run, counts: xr.Dataset) -> None:
    axes = canvas.subplots()
    each = [run for group in (runs, thirteen) for run in group.by("run")]
    ours, theirs = [], []
    for run in each:
        teachers, _ = measured.pair(run)
        hits = measured.spurious(run)
        ours.append((teachers, int(hits.sum()), hits.size))
        theirs.append((teachers + 0.15, *measured.theirs(run, counts)))
    shares(axes, ours, "here", marker="o", color="C0")
    shares(axes, theirs, "authors", marker="s", color="C1", fillstyle="none")
    axes.set(xlabel="teachers $k$ = students $n$", ylabel="share of spurious ends", ylim=(-0.03, 1.0))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper left")


@paper.figure(
    "inferred",
    "One student more than teachers, and spurious minima become rare, but not absent for large $k$.",
    details=(
        f"Share of starts that end at a loss of {theory.SPURIOUS:g} or above and, where n = k + 1, at a Hessian "
        "without "
        "negative eigenvalues. "
        "Bars: 95 % intervals. Squares: the authors' counts of 1000 starts, drawn a little to the "
        "right; they run to k = 20."
    ),
    on={"counts": ENDS, "overparametrised": ENDS},
    files=[measured.COUNTS],
    size=(5.5, 3.2),
)
def overparametrised(canvas: Figure, runs: Run, more: Run, counts: xr.Dataset) -> None:
    axes = canvas.subplots()
    for extra, group, color, markers in ((0, runs, "C0", "os"), (1, more, "C2", "^D")):
        points = []
        for run in group.by("run"):
            hits = measured.spurious(run) if extra == 0 else measured.at_minimum(run)
            points.append((measured.pair(run)[0], int(hits.sum()), hits.size))
        students = "n = k" + " + 1" * extra
        shares(axes, points, f"here, ${students}$", marker=markers[0], color=color)
        rows = counts.isel(
            pair=np.flatnonzero(counts["students"].values == counts["teachers"].values + extra)
        )
        stored = zip(
            rows["teachers"].values + 0.2,
            rows["authors_spurious"].values,
            rows["authors_runs"].values,
            strict=True,
        )
        shares(axes, list(stored), f"authors, ${students}$", marker=markers[1], color=color, fillstyle="none")
    axes.set(xlabel="teachers $k$", ylabel="share of spurious ends", ylim=(-0.03, 1.0))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper left")


@paper.figure(
    "inferred",
    "The losses of spurious ends: a few classes, each a symmetric arrangement of the students.",
    details=(
        "Number of ends by their loss, from the starts of the figure `counts`, for each k = n. Dots: "
        "found here, above their count (bars); crosses "
        "on the axis: classes of which the authors stored an end. Only ends with a gradient below "
        f"{theory.SETTLED:g}."
    ),
    on={"counts": ENDS, "thirteen": ENDS},
    files=[measured.CLASSES],
    size=(5.5, 5.6),
)
def classes(canvas: Figure, runs: Run, thirteen: Run, classes: xr.Dataset) -> None:
    each = sorted((run for group in (runs, thirteen) for run in group.by("run")), key=measured.pair)
    column = canvas.subplots(len(each), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, run in zip(column, each, strict=True):
        kept = (measured.spurious(run) & measured.settled(run)).values
        losses, numbers = np.unique(np.round(measured.end(run).values[kept], 8), return_counts=True)
        axes.vlines(losses, 0.5, numbers, color="C0", linewidth=1.6)
        axes.plot(losses, numbers, "o", color="C0", markersize=3.5, label="ends here")
        known = measured.of_pair(classes, run)["loss"].values
        axes.plot(
            known,
            np.full(len(known), 0.5),
            "x",
            color="C1",
            markersize=6,
            clip_on=False,
            label="authors' classes",
        )
        axes.set(yscale="log", ylim=(0.5, 2000.0))
        axes.text(
            0.995, 0.9, f"$k$ = {measured.pair(run)[0]}", transform=axes.transAxes, ha="right", va="top"
        )
    column[len(column) // 2].set_ylabel("number of ends")
    column[-1].set_xlabel(QUANTITIES["loss"])
    handles, labels = column[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=2)


@paper.figure(
    "inferred",
    "The stored ends: the smallest eigenvalue of the Hessian against the loss. All are minima but one.",
    details=(
        "One end of each class that the authors stored, k from 6 to 20. Colour: how many students point "
        "away from their teacher. Filled: n = k; open: n = k + 1. Below the line: the one saddle, of (17, 18)."
    ),
    on={"minima": ("loss", "final_hessian_eigenvalues")},
    files=[measured.CLASSES],
    size=(5.5, 3.4),
)
def minima(canvas: Figure, runs: Run, classes: xr.Dataset) -> None:
    axes = canvas.subplots()
    groups = {"1 flipped": (1, 1), "2 or 3": (2, 3), "4 or 5": (4, 5), "6 or more": (6, 99)}
    for number, (label, (low, high)) in enumerate(groups.items()):
        for extra in (0, 1):
            chosen = [
                (float(loss), float(value))
                for run in runs.by("run")
                if measured.pair(run)[1] - measured.pair(run)[0] == extra
                for loss, value, flipped in zip(
                    measured.end(run).values,
                    measured.curvature(run).values,
                    measured.of_ends(classes, run)["flipped"].values,
                    strict=True,
                )
                if low <= flipped <= high
            ]
            if chosen:
                axes.plot(
                    *np.array(chosen).T, "osDv"[number], color=f"C{number}", markersize=4,
                    fillstyle="none" if extra else "full", label=label if not extra else None,
                )  # fmt: skip
    axes.axhline(0.0, color="0.4", linewidth=0.8)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set(xlabel=QUANTITIES["loss"], ylabel=r"smallest eigenvalue of $\nabla^2 L$", ylim=(-0.05, 0.1))
    axes.plot([], [], "o", color="0.3", markersize=4, fillstyle="none", label="open: $n = k + 1$")
    axes.legend(title="students away\nfrom their teacher", loc="center left", bbox_to_anchor=(1.0, 0.5))


SHOWN: Sequence[tuple[int, int, str]] = ((8, 8, "1+7"), (14, 14, "2+12"), (14, 14, "7+7"), (14, 15, "4+10"))
"""The minima that are drawn as matrices, where they are run: k, n and blocks."""


def refuse_others(minima: Any) -> None:
    """A DataError where none of the minima that are drawn is run."""
    if not {measured.pair(run) for run in minima.by("run")} & {(k, n) for k, n, _ in SHOWN}:
        wanted = "; ".join(dict.fromkeys(f"k = {k}, n = {n}" for k, n, _ in SHOWN))
        raise DataError(f"shows minima of {wanted}, of which the experiment '{minima.experiment}' has no run")


@paper.figure(
    "inferred",
    "Spurious minima as matrices: students in rows, coordinates (teachers) in columns.",
    details=(
        "Stored ends of the authors', students and coordinates in the order of the diagonal coordinate. Within a "
        "block all students are alike up to the order of coordinates. The last row of n = k + 1 is the student more."
    ),
    on={"minima": ("loss", "final_hidden")},
    check=refuse_others,
    files=[measured.CLASSES],
    size=(5.5, 2.3),
)
def matrices(canvas: Figure, runs: Run, classes: xr.Dataset) -> None:
    found = []
    for run in runs.by("run"):
        names = measured.of_ends(classes, run)["blocks"].values.tolist()
        chosen = [(*measured.pair(run), blocks) for blocks in names]
        found += [(SHOWN.index(one), run, seed) for seed, one in enumerate(chosen) if one in SHOWN]
    if not found:
        raise DataError(f"shows minima of which no seed of the experiment '{runs.experiment}' is one")
    row = canvas.subplots(1, len(found), squeeze=False)[0]
    shown: Any = None
    for axes, (place, run, seed) in zip(row, sorted(found, key=lambda one: one[0]), strict=True):
        teachers, students, blocks = SHOWN[place]
        matrix = run.final_hidden.isel(seed=seed).values[:students, :teachers]
        shown = axes.imshow(matrix, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        loss = float(measured.end(run)[seed])
        axes.set_title(f"{blocks.replace('+', ' + ')}, $n$ = {students}\n$L$ = {loss:.5f}")
        axes.set(xticks=[0, teachers - 1], yticks=[0, students - 1])
        axes.set_xticklabels([1, teachers])
        axes.set_yticklabels([1, students])
        axes.set_xlabel("coordinate")
    row[0].set_ylabel("student")
    canvas.colorbar(shown, ax=row.tolist(), label="weight $w$", shrink=0.75)


@paper.figure(
    "theorem",
    r"The loss of the minima with $q$ of $k$ students flipped: $kL/q$ tends to $\frac{1}{2} - 2/\pi^2$.",
    details=(
        "Lines: the symmetric family, solved in its six coordinates; dots: the stored minima of the "
        "authors with that many flipped students, n = k up to 20. "
        "Grey: ½ − 2/π², and with the next term −0.1095 k^(−1/2) (dotted)."
    ),
    on={"minima": "loss"},
    files=[measured.CLASSES],
    size=(5.5, 3.2),
)
def families(canvas: Figure, runs: Run, classes: xr.Dataset) -> None:
    axes = canvas.subplots()
    sizes = np.unique(np.geomspace(20, 1e5, 30).astype(int))
    law = np.geomspace(100, 1e5, 200)
    reference(axes, [6, 1e5], [theory.FLIPPED] * 2, r"$\frac{1}{2} - 2/\pi^2$")
    axes.plot(law, theory.family_law(law), ":", color="0.4", label="next term")
    for flipped in theory.FEW:
        style = style_of(flipped, theory.FEW)
        values = [size * theory.family_minimum(int(size), flipped)[1] / flipped for size in sizes]
        axes.plot(sizes, values, label=f"$q$ = {flipped}", **style)
        for run in runs.by("run"):
            teachers, students = measured.pair(run)
            blocks = measured.of_ends(classes, run)["blocks"].values.tolist()
            if teachers == students and (name := f"{flipped}+{teachers - flipped}") in blocks:
                loss = float(measured.end(run)[blocks.index(name)])
                marker = marker_of(flipped, theory.FEW)
                axes.plot(teachers, teachers * loss / flipped, marker, color=style["color"], markersize=4)
    axes.set(xscale="log", xlabel="teachers $k$", ylabel="$k L / q$", ylim=(0.14, 0.31))
    axes.legend(loc="lower right")
