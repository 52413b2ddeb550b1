"""Figures 2, 3 and 4 of Arnaboldi et al. 2023, and the error of the equations against the dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, reference
from twolayer.analysis.labels import style_of, trained_by

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RISK = r"excess risk $R - \Delta/2$"
TIME = "$t = $ time$/p$"


def setting(run: Run) -> str:
    """p, k and Δ of a run, as details name them."""
    problem = run.config.problem
    return f"p = {run.config.network.neurons:g}, k = {problem.teachers:g}, Δ = {problem.noise:g}"


def cosines(run: Run) -> Any:
    """M_jr/√(Q_jj P_rr), (seed, time, neuron, teacher), for teachers of length 1."""
    lengths = np.sqrt(np.diagonal(run.student_overlaps.values, axis1=2, axis2=3))
    return run.teacher_overlaps.values / lengths[..., None]


@paper.figure(
    "published",
    "After Arnaboldi et al. 2023, Figure 2 left: students of descent (blue to green in time) turn as the equations "
    "say (orange), each to a teacher or between both.",
    details=lambda equations, descent, stored, theirs: (
        "Cosines of the students to the two teachers, one seed of descent; squares: teachers, dot: the direction "
        "between. Right: excess risk of the equations, of all seeds (median and range), and of the authors' "
        "stored solution and descent, from the same start. Variance of the stored solution: noise (of the labels "
        f"alone); of ours: {equations.config.dynamics.variance}. In print d is not given and Δ = 0; the stored run "
        f"has d = {theory.STORED_DIMENSION} and Δ = 1e-3."
    ),
    on={"classic_equations": measured.OVERLAPS, "classic_descent": measured.OVERLAPS},
    files=["data/classic_ode.nc", "data/classic_sgd.nc"],
    size=(5.5, 2.9),
)
def classic(canvas: Figure, equations: Run, descent: Run, stored: xr.Dataset, theirs: xr.Dataset) -> None:
    left, right = canvas.subplots(1, 2)
    exact, found = cosines(equations)[0], cosines(descent)[0]
    order = np.linspace(0, 1, found.shape[0])
    for student in range(found.shape[1]):
        points = left.scatter(
            found[:, student, 0], found[:, student, 1], c=order, cmap="winter", s=5, zorder=2, linewidths=0
        )
        left.plot(exact[:, student, 0], exact[:, student, 1], color="C1", lw=0.9, zorder=3)
    points.set_rasterized(False)
    left.plot([1, 0], [0, 1], "s", color="black", markersize=5, zorder=4)
    left.plot([np.sqrt(0.5)], [np.sqrt(0.5)], "o", color="black", markersize=4, zorder=4)
    left.set(xlabel="cosine to teacher 1", ylabel="cosine to teacher 2", aspect="equal")
    time = measured.paper_time(equations).values
    shown = stored.time.values <= time[-1]
    reference(right, stored.time.values[shown], stored.excess_risk.values[shown], "stored solution")
    right.plot(theirs.time, theirs.excess_risk, ".", markersize=2, color="0.45", label="stored descent")
    bands(right, measured.paper_time(descent), descent.loss, "descent", color="C0")
    right.plot(time, equations.loss.isel(seed=0), "--", color="C1", label="equations")
    right.set(xscale="log", yscale="log", xlabel=TIME, ylabel=RISK)
    right.set_xlim(left=1e-2)
    right.legend()


@paper.figure(
    "theorem",
    "Descent leaves the equations as $d^{-1/2}$ (Arnaboldi et al. 2023, Theorem 1), and with a large step the "
    "gradient flow is not its limit.",
    details=lambda descent, equations, stored: (
        f"The largest entry of |(Q, M) − (Q, M) of the equations| to t = {measured.paper_time(equations)[-1]:g}, "
        f"{setting(equations)}, γ = {equations.config.dynamics.rate:g}: medians and all seeds, against the equations "
        "with their whole variance and against the flow, whose distance is the dashed line."
    ),
    on={"scaling_descent": [*measured.OVERLAPS, "dimension"], "scaling_equations": measured.OVERLAPS},
    files=["data/scaling.nc"],
    size=(5.5, 2.9),
)
def scaling(canvas: Figure, descent: Run, equations: Run, stored: xr.Dataset) -> None:
    left, right = canvas.subplots(1, 2)
    full, flow = (measured.with_variance(equations, variance) for variance in ("full", "none"))
    for exact, label, color in ((full, "equations", "C0"), (flow, "gradient flow", "C1")):
        sizes, errors = measured.largest_deviations(descent, exact)
        left.plot(
            sizes, np.median(errors, axis=1), "o-", color=color, markersize=4, label=f"from the {label}"
        )
        if exact is full:
            left.plot(np.repeat(sizes, errors.shape[1]), errors.ravel(), "_", color=color, alpha=0.4)
            right.plot(sizes, np.median(errors, axis=1) * np.sqrt(sizes), "o-", color=color, markersize=4)
            scaled = errors * np.sqrt(sizes)[:, None]
            right.plot(np.repeat(sizes, errors.shape[1]), scaled.ravel(), "_", color=color, alpha=0.4)
    between = max(
        float(abs(full.dataset[name].values - flow.dataset[name].values).max()) for name in measured.OVERLAPS
    )
    left.axhline(between, color="C1", ls="--", lw=0.8, label="between the two")
    others = stored.dimension.values.astype(float)
    reference(left, others, stored.deviation.values, "32 other seeds")
    reference(right, others, stored.deviation.values * np.sqrt(others), "32 other seeds")
    left.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel="largest deviation of $(Q, M)$")
    left.set_ylim(bottom=4e-3)
    right.set(xscale="log", xlabel="dimension $d$", ylabel=r"deviation $\times \sqrt{d}$", ylim=(0, None))
    left.legend(loc="lower left")
    right.legend()


@paper.figure(
    "inferred",
    lambda equations, *descents: (
        "After Arnaboldi et al. 2023, Figure 2 right: from one start in the teachers' span, descent in $d$ = "
        f"{', '.join(f'{run.config.problem.dimension:g}' for run in descents)} follows one solution of the equations."
    ),
    details=lambda equations, *descents: (
        f"Median and range of seeds; {setting(equations)}, γ = {equations.config.dynamics.rate:g}. The start is drawn "
        "anew: unit vectors in the span of the teachers."
    ),
    on={
        "dimension_equations": (),
        "dimension_5": (),
        "dimension_10": (),
        "dimension_50": (),
    },
    size=(5.5, 2.9),
)
def dimension(canvas: Figure, equations: Run, *descents: Run) -> None:
    axes = canvas.subplots()
    sizes = [int(run.config.problem.dimension) for run in descents]
    for run, size in zip(descents, sizes, strict=True):
        bands(
            axes, measured.paper_time(run)[1:], run.loss.isel(time=slice(1, None)), f"$d$ = {size}",
            **style_of(size, sizes),
        )  # fmt: skip
    time = measured.paper_time(equations).values
    axes.plot(
        time[1:], equations.loss.isel(seed=0)[1:], "--", color="black", lw=1, label="equations", zorder=4
    )
    named(axes)


@paper.figure(
    "inferred",
    "After Arnaboldi et al. 2023, Figure 4: label noise leaves an excess risk of $\\gamma\\Delta/(2\\sqrt{3}\\pi p)$.",
    details=lambda equations, descent: (
        f"{setting(equations)}, γ = {equations.config.dynamics.rate:g}. Dashed: equations; bands: median and range of "
        f"{trained_by(descent)} in d = {descent.config.problem.dimension:g}; pale: the derived plateau of erf from "
        "the teachers, a start that is not that of the print."
    ),
    on={"plateau_equations": "noise", "plateau_descent": "noise"},
    size=(5.5, 2.9),
)
def plateau(canvas: Figure, equations: Run, descent: Run) -> None:
    axes = canvas.subplots()
    levels = [run.config.problem.noise for run in equations.along("noise")]
    later = slice(1, None)
    for run in descent.along("noise"):
        bands(
            axes, measured.paper_time(run)[later], run.loss.isel(time=later), f"$\\Delta$ = {run.noise:g}",
            **style_of(run.noise, levels),
        )  # fmt: skip
    for run in equations.along("noise"):
        time = measured.paper_time(run).values[later]
        axes.plot(time, run.loss.isel(seed=0, time=later), "--", color="black", lw=0.9, zorder=4)
        if measured.has_plateau(run):
            reference(axes, time[[len(time) // 3, -1]], [measured.plateau(run)] * 2)
    named(axes)


@paper.figure(
    "inferred",
    "After Arnaboldi et al. 2023, Figure 3 left: on $z^2$ the risk falls as $t^{-2}$, with the constant "
    "$(d-k)(k+2)/64(d+2)$.",
    details=lambda flow, descent, stored: (
        f"{setting(descent)}, d = {descent.config.problem.dimension:g}, γ = {measured.rate(descent):g}: the gradient "
        f"flow of the weights (pale, median) and {trained_by(descent)} from the same starts (median and range of "
        "seeds). "
        f"Right: R t². Grey: the authors' stored descent with p = {stored.sizes['neuron']}, "
        f"k = {stored.sizes['teacher']}, d = {stored.sizes['feature']}, and the flow from its start. "
        "Which σ the print has is not stated; its R(0) = 1/k says z²."
    ),
    on={"square_flow": (), "square_descent": ()},
    check=lambda flow, descent: measured.late_square(flow),
    files=["data/meanfield_sgd.nc"],
    size=(5.5, 2.9),
)
def square(canvas: Figure, flow: Run, descent: Run, stored: xr.Dataset) -> None:
    left, right = canvas.subplots(1, 2)
    other = stored.time.values[1:]
    exact = theory.square_flow(
        stored.initial_hidden.values, stored.teacher_hidden.values, stored.time.values
    )[1:]
    for axes, power in ((left, 0), (right, 2)):
        later = descent.isel(time=slice(1, None))
        time = measured.paper_time(later)
        bands(axes, time, later.loss * time**power, "descent", color="C0", linewidth=0.9)
        later = flow.isel(time=slice(1, None))
        time = measured.paper_time(later)
        reference(axes, time, (later.loss * time**power).median("seed"), "gradient flow", color="C1")
        reference(axes, other, exact * other**power, f"flow, $p$ = {stored.sizes['neuron']}")
        risk = stored.excess_risk.values[1:] * other**power
        axes.plot(other, risk, ".", markersize=3, color="0.3", label="stored descent")
        axes.set(xscale="log", yscale="log", xlabel=TIME)
    level = measured.late_square(flow)
    right.axhline(level, color="black", ls=":", lw=0.8, label="late constant")
    left.set_ylabel(RISK)
    right.set_ylabel("$R\\,t^2$")
    right.set_ylim(level * 1e-3, level * 3)
    right.legend(loc="lower right")


def named(axes: Axes) -> None:
    """Risk against the paper's time."""
    axes.set(xscale="log", yscale="log", xlabel=TIME, ylabel=RISK)
    axes.legend()
