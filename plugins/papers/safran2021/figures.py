"""Figure 1 of Safran, Yehudai and Shamir 2021, and a check of its statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, floored, name_axes, reference
from twolayer.analysis.labels import marker_of, style_of
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

PRINTED = {20: (19.98, 8), 50: (49.992, 10), 100: (99.996, 10)}
"""Of each panel of Figure 1, by k: where the abscissa begins, up to k, and the number of bins."""


def printed(runs: Any) -> None:
    """A DataError where no run is of a panel."""
    sizes = [int(run.config.problem.teachers) for run in runs.by("run")]
    if not PRINTED.keys() & set(sizes):
        listed = ", ".join(map(str, sizes))
        raise DataError(f"shows k = {', '.join(map(str, PRINTED))}; '{runs.experiment}' has k = {listed}")


@paper.figure(
    "published",
    "After Safran, Yehudai and Shamir 2021, Figure 1: the sum of the lengths of the students at the ends "
    "away from the "
    "global minimum is below $k$.",
    details=lambda runs, authors_classes: (
        "Filled: ends that the authors stored, on the abscissae of the printed figure, in 8 bins (k = 20) or 10 over "
        f"their range, as there. Line: descents run again from {counted(runs.seeds, 'other start')}, "
        f"k = {runs.config.problem.teachers:g}."
    ),
    on={"figure1": ("loss", "hidden_norm")},
    check=printed,
    files=[measured.CLASSES],
    size=(5.5, 2.6),
)
def figure1(canvas: Figure, runs: Run, authors_classes: xr.Dataset) -> None:
    again = {measured.teachers(run): run for run in runs.by("run")}
    row = canvas.subplots(1, len(PRINTED), sharey=True)
    for axes, (size, (begin, bins)) in zip(row, PRINTED.items(), strict=True):
        sums, numbers = measured.ends_of(authors_classes, size)
        room = 1e-3 * (sums.max() - sums.min())  # the largest class found again may differ by rounding
        edges = np.linspace(sums.min() - room, sums.max() + room, bins + 1)
        axes.hist(sums, edges, weights=numbers, color="C0", alpha=0.45, label="authors")
        if size in again:
            run = again[size]
            found = measured.norm_sum(run).values[measured.away(run).values]
            axes.hist(found, edges, histtype="step", color="C1", linewidth=1.4, label="run again")
        axes.set(title=f"$k$ = {size}", xlabel=r"$\sum_i |w_i|$", xlim=(begin, size))
        axes.set_xticks([begin, size])
        for text, side in zip(
            axes.set_xticklabels([f"{begin:g}", f"{size:g}"]), ("left", "right"), strict=True
        ):
            text.set_horizontalalignment(side)
    handles, labels = row[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=2)
    row[0].set_ylabel("ends")


@paper.figure(
    "inferred",
    "At all stored ends the students are shorter than the teachers together, and each has a direction in "
    "which its "
    "block $H'_{ii}$ is negative.",
    details=lambda runs, authors_classes: (
        f"Classes that the authors stored, k = {int(authors_classes.teachers.min())} to "
        f"{int(authors_classes.teachers.max())}, ends away from the global minimum; dots: their numbers; crosses: "
        "measured here on the "
        f"stored points, k = {runs.config.problem.teachers:g}. H'_ii: block of student i of the Hessian, less "
        "½I; the largest over "
        "i of its smallest eigenvalue."
    ),
    on={"minima": ("loss", "hidden_norm", "final_neuron_curvature")},
    files=[measured.CLASSES],
    size=(5.5, 2.8),
)
def norms(canvas: Figure, runs: Run, authors_classes: xr.Dataset) -> None:
    left, right = canvas.subplots(1, 2)
    rows = measured.spurious(authors_classes)
    size = rows["teachers"].values
    style = {"linestyle": "none", "marker": ".", "markersize": 2.5, "color": "C0", "label": "authors"}
    left.plot(size, size - rows["norm_sum"].values, **style)
    right.plot(size, rows["least_own_block"].values, **style)
    for number, run in enumerate(runs.by("run")):
        away = measured.away(run).values
        teachers = measured.teachers(run)
        place = np.full(int(away.sum()), teachers)
        cross = {
            "linestyle": "none",
            "marker": "x",
            "markersize": 4,
            "color": "C1",
            "label": "here" * (number == 1),
        }
        left.plot(place, teachers - measured.norm_sum(run).values[away], **cross)
        right.plot(place, measured.reduced_block_curvature(run).max("neuron").values[away], **cross)
    left.set(yscale="log", ylabel=r"$k - \sum_i |w_i|$", xlabel="teachers $k$")
    right.axhline(0.0, color="0.4", linewidth=0.8)
    right.set(ylabel=r"largest $\lambda_{\min}(H'_{ii})$", xlabel="teachers $k$")
    handles, labels = right.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper center", ncols=2, markerscale=2)


@paper.figure(
    "theorem",
    "Convex at the global minima with $n = k$, nowhere so with one student more: curvature, loss and the "
    "Polyak–Łojasiewicz ratio near two halves of a teacher.",
    details=lambda theorem3, shared: (
        "a: smallest eigenvalue of the Hessian with students at their teachers; line: ¼ − 1/2π (Theorem "
        f"3). b: k = {shared.config.problem.teachers:g}, n = {shared.config.network.neurons:g}, the last teacher "
        "shared by two halves: one half moved by ε along the other teacher (−λ_min/ε³), or both by ±ε "
        "(L/ε³); line: 4/3π. c: ½|∇L|²/L of the latter; "
        "line: slope 1."
    ),
    on={"theorem3": "final_hessian_eigenvalues", "shared": ("loss", "gradient_norm", "hessian_eigenvalues")},
    check=lambda theorem3, shared: [measured.displacements(shared, name) for name in ("one", "both")],
    size=(7.0, 2.6),
)
def global_minima(canvas: Figure, theorem3: Run, shared: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    points = [
        (measured.teachers(run), float(run.final_hessian_eigenvalues.isel(extreme=0).min()))
        for run in theorem3.by("run")
    ]
    place, lowest = np.array(points).T
    reference(left, [place.min(), place.max()], [theory.CONVEXITY] * 2, r"$\frac{1}{4} - \frac{1}{2\pi}$")
    left.plot(place, lowest, "o", color="C0", markersize=3.5)
    left.set(xlabel="teachers $k = n$", ylabel=r"$\lambda_{\min}$ at the teachers", ylim=(0.0, 0.12))
    left.locator_params(axis="x", integer=True)
    left.legend(loc="lower right")
    one, both = (measured.displacements(shared, name) for name in ("one", "both"))
    curved = [
        (size, -float(run.hessian_eigenvalues.isel(time=0, extreme=0, seed=0)) / size**3) for size, run in one
    ]
    lost = [(size, float(run.loss.isel(time=0, seed=0)) / size**3) for size, run in both]
    ratio = [
        (
            size,
            0.5 * float(run.gradient_norm.isel(time=0, seed=0)) ** 2 / float(run.loss.isel(time=0, seed=0)),
        )
        for size, run in both
    ]
    sizes = np.array([size for size, _ in both])
    reference(middle, sizes, np.full(len(sizes), theory.CUBE), r"$4/3\pi$")
    middle.plot(*np.array(curved).T, "o", color="C0", label=r"$-\lambda_{\min}/\varepsilon^3$")
    middle.plot(*np.array(lost).T, "s", color="C1", fillstyle="none", label=r"$L/\varepsilon^3$")
    middle.set(xscale="log", xlabel=r"displacement $\varepsilon$", ylim=(0.0, 0.9))
    middle.legend(loc="upper left")
    reference(right, sizes, ratio[-1][1] * sizes / sizes[-1], r"$\propto \varepsilon$")
    right.plot(*np.array(ratio).T, "s", color="C1", fillstyle="none")
    right.set(xscale="log", yscale="log", xlabel=r"displacement $\varepsilon$", ylabel=r"$|\nabla L|^2/2L$")
    right.legend(loc="upper left")


@paper.figure(
    "theorem",
    "Conjecture 12: around $v/m$ the curvature along a displacement $g$ is at least that of the bound.",
    details=lambda runs: (
        f"{counted(runs.seeds, 'draw')} each of g at right angles to w̃ = v/m, m students for each of k teachers; "
        "mirrored: in "
        "pairs ±g, so that all sums are 0. "
        "Below 0 the conjecture would fail."
    ),
    on={"conjecture12": ("initialization", "deviation_curvature", "initial_hidden")},
    size=(5.5, 3.0),
)
def conjecture12(canvas: Figure, runs: Run) -> None:
    axes = canvas.subplots()
    each = list(runs.by("run"))
    names = [str(run.swept["initialization"]) for run in each]
    for run, name in zip(each, names, strict=True):
        lengths = np.sqrt((measured.deviations(run) ** 2).sum((1, 2)))
        color = style_of(name, names)["color"]
        size, students, *mirrored = name.removeprefix("k").replace("_m", " ", 1).replace("_", " ").split()
        label = f"$k$ = {size}, $m$ = {students}" + ", mirrored" * bool(mirrored)
        axes.plot(
            lengths, measured.margins(run), marker_of(name, names), color=color, markersize=3,
            fillstyle="none", linestyle="none", label=label,
        )  # fmt: skip
    axes.axhline(0.0, color="0.4", linewidth=0.8)
    axes.set(
        xscale="log", xlabel="displacement $|g|$", ylabel=r"(left $-$ right)$\,/\,|g|^2$", ylim=(-0.02, None)
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


@paper.figure(
    "theorem",
    "A minimum is a saddle once a student is split: the smallest eigenvalue of the Hessian is negative, "
    "and below "
    "the bound by the student's block.",
    details=lambda runs: (
        f"Every student of every class that the authors stored with k = {runs.config.problem.teachers:g}, away "
        "from the global minimum, "
        "split into αw and (1 − α)w. Abscissa: "
        "λ(1/α + 1/(1 − α))/2, λ the smallest eigenvalue of H'_ii. On the line both are equal."
    ),
    on={"splitting": ("loss", "final_neuron_curvature", "final_split_curvature", "split_share")},
    size=(5.5, 3.4),
)
def splitting(canvas: Figure, runs: Run) -> None:
    axes = canvas.subplots()
    ends = []
    for place, share in enumerate(next(runs.by("run")).split_share.values.tolist()):
        bounds, found = [], []
        for run in runs.by("run"):
            away = measured.away(run).values
            bounds.append(
                -theory.split_bound(measured.reduced_block_curvature(run).values[away], share).ravel()
            )
            found.append(-run.final_split_curvature.isel(share=place).values[away].ravel())
        bound = np.concatenate(bounds)
        ends += [bound.min(), bound.max()]
        axes.plot(
            bound, np.concatenate(found), "os^"[place], color=f"C{place}", markersize=3, fillstyle="none",
            linestyle="none", label=rf"$\alpha$ = {share:g}",
        )  # fmt: skip
    reference(axes, [min(ends), max(ends)], [min(ends), max(ends)], "the bound")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=r"bound $-\lambda\,(1/\alpha + 1/(1-\alpha))/2$",
        ylabel=r"$-\lambda_{\min}$ after the split",
    )
    axes.legend(loc="upper left")


@paper.figure(
    "theorem",
    "Which student is split decides: from a split near its teacher descent reaches the global minimum, "
    "from a split of "
    "the flipped one another spurious minimum.",
    details=lambda runs: (
        "Loss by time from the minimum 1 + (k − 1) with one student split in halves, noise "
        f"{runs.config.initialization.noise:g}; median and range of {counted(runs.seeds, 'draw')}. Solid: split "
        "near its "
        "teacher; dashed: the flipped student. Grey: the spurious minima of (k, k + 1) that Safran and "
        f"Shamir 2018 stored for k = {', '.join(map(str, theory.SPLIT_ENDS))}."
    ),
    on={"escape": ("initialization", "loss")},
    size=(5.5, 3.4),
)
def escape(canvas: Figure, runs: Run) -> None:
    axes = canvas.subplots()
    each = list(runs.by("run"))
    sizes = sorted({measured.teachers(run) for run in each})
    rule = "stop" in runs.config and "loss" in runs.config.stop
    stopped = float(runs.config.stop.loss) if rule else 0.0
    if stopped:
        floored(axes, runs.loss, stopped, "stopped")
    for run in each:
        size = measured.teachers(run)
        near = str(run.swept["initialization"]).startswith("near")
        color = style_of(size, sizes)["color"]
        later = run.isel(time=slice(1, None))
        style: dict[str, Any] = {
            "color": color, "linestyle": "-" if near else "--", "marker": marker_of(size, sizes),
            "markersize": 3.5, "markevery": 0.12,
        }  # fmt: skip
        bands(axes, later.time, later.loss.where(later.loss > stopped), f"$k$ = {size}" * near, **style)
    for linestyle, split in (("-", "near"), ("--", "flipped")):
        axes.plot([], [], color="black", linestyle=linestyle, label=f"split: {split}")
    for number, (_, loss) in enumerate(theory.SPLIT_ENDS.items()):
        axes.axhline(loss, color="0.6", linewidth=0.6, label="stored" * (number == 0))
    axes.set(xscale="log", yscale="log", ylim=(0.5 * stopped or 1e-12, 0.05))
    name_axes(axes, x=runs.time, y=runs.loss)
    axes.legend(loc="lower left", ncols=2)
