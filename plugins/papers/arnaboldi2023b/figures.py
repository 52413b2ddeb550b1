"""Figures of Arnaboldi et al. 2023 (escaping mediocrity): curves, exit times, dimension and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.labels import marker_of, style_of
from twolayer.core.wording import counted

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

RISK = r"excess risk $R - \Delta/2$"
TIME = "$t = $ time$/p$"


@paper.figure(
    "published",
    "After Arnaboldi et al. 2023 (escaping mediocrity): descent from one start leaves the plateau at random times "
    "about those of the equations.",
    details=lambda exact1, descent1, exact2, descent2, stored: (
        f"d = {descent1.config.problem.dimension:g}, γ = {measured.rate(descent1):g}, "
        f"Δ = {descent1.config.problem.noise:g}, the authors' start. Blue: seeds of descent; black: equations; "
        "grey: the "
        "authors' stored runs and, wide, their stored solution; dotted: the equations' closed form, logistic in m² "
        "(p = 1)."
    ),
    on={"equations_1": (), "descent_1": (), "equations_2": (), "descent_2": ()},
    files=["data/risk.nc"],
    size=(5.5, 2.9),
)
def curves(
    canvas: Figure, exact1: Run, descent1: Run, exact2: Run, descent2: Run, stored: xr.Dataset
) -> None:
    row = canvas.subplots(1, 2, sharey=True)
    for axes, exact, descent in zip(row, (exact1, exact2), (descent1, descent2), strict=True):
        time = measured.paper_time(descent).values[1:]
        paths = descent.loss.transpose("seed", "time").values[:, 1:]
        axes.plot(time, paths.T, color="C0", lw=0.4, alpha=0.5)
        axes.plot([], [], color="C0", lw=0.8, label="descent")
        if measured.neurons(exact) == 1:
            reference(axes, stored.stored_time[1:], stored.excess_risk_ode[1:], "stored solution")
            axes.plot(stored.sample_time, stored.excess_risk_sgd.T, color="0.4", lw=0.4, ls="--")
            axes.plot([], [], color="0.4", lw=0.8, ls="--", label="stored runs")
        ours = measured.paper_time(exact).values[1:]
        axes.plot(ours, exact.loss.isel(seed=0)[1:], color="black", lw=1, label="equations")
        if measured.neurons(exact) == 1:
            start, noise = float(exact.loss.isel(seed=0, time=0)), exact.config.problem.noise
            risk = theory.logistic_risk(ours, start, measured.rate(exact), noise)
            axes.plot(ours, risk, color="C1", ls=":", lw=1.6, label="closed form", zorder=4)
        axes.set(xscale="log", yscale="log", xlabel=TIME, title=f"$p$ = {measured.neurons(exact)}")
        axes.set_xlim(0.1, 10)
    row[0].set_ylabel(RISK)
    row[0].legend(loc="lower left")


@paper.figure(
    "theorem",
    "Exit times of descent from the authors' start: the equations give the scale, the noise of samples the spread.",
    details=(
        "Seeds by exit time at R = (1 − T)R(0). Black: the equations; dashed: the mean of the seeds; dotted: "
        "that of the diffusion near m = 0, in closed form (p = 1, small T); ticks: the authors' stored runs (p = 1)."
    ),
    on={"exit_1_early": (), "exit_1_late": (), "exit_2_early": (), "exit_2_late": ()},
    files=["data/exit_times.nc"],
    size=(5.5, 3.6),
)
def exits(canvas: Figure, early1: Run, late1: Run, early2: Run, late2: Run, stored: xr.Dataset) -> None:
    for axes, run in zip(canvas.subplots(2, 2).flat, (early1, late1, early2, late2), strict=True):
        found, share = measured.exits_so_far(run), measured.threshold(run)
        key = measured.neurons(run), share
        title = f"$p$ = {key[0]}, $T$ = {share:g}"
        axes.hist(found, bins=40, color="C0", alpha=0.6, label="seeds")
        if found.size < run.seeds:
            title += f", {found.size} of {counted(run.seeds, 'seed')}"
        else:
            axes.axvline(found.mean(), color="C0", ls="--", lw=1, label="their mean")
        if key in theory.EQUATION_EXITS and measured.in_stored_setting(run):
            axes.axvline(theory.EQUATION_EXITS[key], color="black", lw=1, label="equations")
        if key == (1, theory.EARLY) and measured.leaves(run):
            axes.axvline(measured.diffusion_exit(run), color="C1", ls=":", lw=1.6, label="diffusion")
        if key[0] == 1 and share in stored.threshold and measured.in_stored_setting(run):
            values = stored.descent.sel(threshold=share).values
            axes.plot(values, np.zeros(len(values)), "|", color="black", markersize=10, label="stored")
        axes.set(title=title, xlabel="exit time $t$", ylabel="seeds")
    canvas.axes[0].legend(loc="upper right")


@paper.figure(
    "theorem",
    lambda runs: (
        "From random starts the mean exit time grows as $\\ln d/2\\mu$."
        f"{measured.left_out(measured.by_dimension(runs))}"
    ),
    details=lambda runs: (
        f"p = {runs.config.network.neurons:g}, γ = {measured.rate(measured.by_dimension(runs)[0]):g}, "
        f"Δ = {runs.config.problem.noise:g}, T = {measured.threshold(measured.by_dimension(runs)[0]):g}: means of "
        f"{counted(runs.seeds, 'seed')} with two standard errors, and the derived law."
    ),
    on={"dimension": "dimension"},
    check=measured.one_student,
    size=(5.5, 2.9),
)
def dimension(canvas: Figure, runs: Run) -> None:
    axes = canvas.subplots()
    each = measured.by_dimension(runs)
    sizes = np.array([run.config.problem.dimension for run in each], dtype=float)
    reference(axes, sizes, [measured.mean_exit(run) for run in each], "derived law")
    for size, run in zip(sizes, each, strict=True):
        if not measured.left_out([run]):
            found = measured.exits(run)
            error = 2 * measured.standard_error(found) if run.seeds > 1 else None
            label = "" if "descent" in axes.get_legend_handles_labels()[1] else "descent"
            axes.errorbar(size, found.mean(), error, fmt="o", color="C0", markersize=4, label=label)
    axes.set(xscale="log", xlabel="dimension $d$", ylabel="mean exit time $t$")
    axes.legend()


@paper.figure(
    "theorem",
    "Samples to leave at the best step: $n/d$ grows as $(B/8)\\ln d$, from 3 at $p = 1$ to a half in wide networks.",
    details=lambda runs, growths: (
        f"Lines: the equations at T = {theory.EARLY:g}, Δ = {runs.config.problem.noise:g}; pale: the slope p/(2γμ), "
        "B/8 at the best step γ/p = 2/B. Right: the growth μ near m = 0 against p and γ, "
        f"Δ = {growths.config.problem.noise:g}, pale: 4 − (γ/p)B."
    ),
    on={
        "width_equations": ["neurons", "dimension", "rate"],
        "rate": ["student_overlaps", "teacher_overlaps", "neurons", "rate"],
    },
    size=(5.5, 2.9),
)
def width(canvas: Figure, runs: Run, growths: Run) -> None:
    left, right = canvas.subplots(1, 2)
    groups = list(runs.by("neurons"))
    widths = [measured.neurons(group) for group in groups]
    for group, p in zip(groups, widths, strict=True):
        each = measured.by_dimension(group)
        sizes = np.array([run.config.problem.dimension for run in each], dtype=float)
        samples = np.array(
            [measured.crossings(run, theory.EARLY).mean() * p / measured.rate(run) for run in each]
        )
        style = style_of(p, widths)
        left.plot(sizes, samples, label=f"$p$ = {p}", marker=marker_of(p, widths), markersize=4, **style)
        law = samples[0] + measured.steepness(group) * np.log(sizes / sizes[0])
        reference(left, sizes, law, color=style["color"])
    left.set(xscale="log", xlabel="dimension $d$", ylabel="samples $n/d$")
    left.legend()
    groups = list(growths.by("rate"))
    rates = [measured.rate(next(iter(group.by("run")))) for group in groups]
    for group, rate in zip(groups, rates, strict=True):
        each = sorted(group.by("run"), key=measured.neurons)
        found, law = [], []
        for run in each:
            found.append(float(measured.growth(run)[0].mean()))
            law.append(theory.growth(measured.neurons(run), measured.rate(run), run.config.problem.noise))
        students = [measured.neurons(run) for run in each]
        color = style_of(rate, rates)["color"]
        reference(right, students, law, color=color)
        right.plot(
            students, found, marker_of(rate, rates), color=color, markersize=4, label=f"$\\gamma$ = {rate:g}"
        )
    right.set(xscale="log", xlabel="students $p$", ylabel="growth $\\mu$")
    right.legend()
