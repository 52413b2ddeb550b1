"""Figures for Zhu, Liu and Cevher 2025: its panels as far as they are known, and checks of its statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import figure, hookimpl, local_slope, runs_by, unpadded
from twolayer.analysis.figures import Drawing
from twolayer.analysis.intervals import mean_interval
from twolayer.population.asymptotics import gradient_limit, group_spread

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, "xr.Dataset"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""One a teacher."""
BLACK = {"color": "black", "linewidth": 0.9, "linestyle": "--"}
"""Theory, drawn over measurement."""


# ---- the panels ----

PANEL_CAPTION = (
    "Zhu, Liu and Cevher 2025, the panels (k, m) as public reviews tell of them; {told}. Top to bottom, of one "
    "seed: each student's angle to the teacher it ends with (in that teacher's colour) and to the others (grey), "
    "with arccos(1/√k) dashed; H_l, with students counted for the teacher closest at the time, hence its steps; "
    "|w|, with the factor 4 dashed; the loss of all seeds with a line 1/T³. Vertical lines, ours: t₁, mean angle to "
    "the closest teacher below 30°; t₂, all |H_l| below |v|/100. d, η, |v|, horizon and seeds are ours too."
)


def draw_panels(name: str) -> Callable[[Figure, Data], None]:
    """A column a (k, m), as the caption says."""

    def draw(canvas: Figure, data: Data) -> None:
        grid = canvas.subplots(4, len(theory.PANELS), sharex=True, sharey="row")
        for column, (teachers, neurons) in zip(grid.T, theory.PANELS, strict=True):
            run = unpadded(data[name].sel(teachers=teachers, neurons=neurons))
            run = run.isel(time=slice(1, None))
            column[0].set_title(f"k = {teachers}, m = {neurons}")
            draw_panel(column, run, teachers)
        for axes, label in zip(
            grid[:, 0], ("angle θ, degrees", "$H_l$", r"$|w|\,m_l\,/\,|v|$", "loss L"), strict=True
        ):
            axes.set_ylabel(label)
        for axes in grid[-1]:
            axes.set_xlabel("ηT")
        grid[-1, 0].legend(loc="lower left")

    return draw


def bundle(axes: Axes, x: Any, values: Any, **style: Any) -> None:
    """Lines over one x, values (x, line), as one artist: many are slow to lay out."""
    gaps = np.full((1, values.shape[1]), np.nan)
    y = np.concatenate([values, gaps]).T.ravel()
    axes.plot(np.tile(np.append(x, np.nan), values.shape[1]), y, **style)


def draw_panel(column: Any, run: xr.Dataset, teachers: int) -> None:
    """One column of the panels."""
    time = run["time"].values
    one = run.isel(seed=0)
    angles = np.degrees(one["teacher_angles"].transpose("time", "neuron", "teacher").values)
    last = one["closest_teacher"].isel(time=-1).values.astype(int)
    for teacher in range(teachers):
        others = np.delete(angles, teacher, axis=-1)[:, last == teacher]
        bundle(column[0], time, others.reshape(len(time), -1), color="0.75", linewidth=0.4, zorder=1)
    sizes = theory.group_sizes(last, teachers)
    for teacher, colour in enumerate(COLOURS[:teachers]):
        own = last == teacher
        bundle(column[0], time, angles[:, own, teacher], color=colour, linewidth=0.6, zorder=2)
        column[1].plot(time, one["growth"].isel(teacher=teacher), color=colour)
        size = one["hidden_norm"].transpose("time", "neuron").values[:, own] * sizes[teacher]
        bundle(column[2], time, size, color=colour, linewidth=0.6)
    column[0].axhline(math.degrees(math.acos(teachers**-0.5)), **BLACK)
    for factor in (0.25, 4):
        column[2].axhline(factor, **BLACK)
    column[2].set_yscale("log")
    column[2].set_ylim(0.03, 10)
    losses = run["loss"].transpose("seed", "time").values
    column[3].loglog(time, np.median(losses, axis=0), color="0.25", label="median and range of seeds")
    column[3].fill_between(time, losses.min(0), losses.max(0), color="0.25", alpha=0.25, linewidth=0)
    late = time >= 20
    anchor = np.median(losses[:, -1]) * time[-1] ** 3
    column[3].plot(time[late], anchor / time[late] ** 3, **BLACK, label="1/T³ through the end")
    for axes in column:
        for moment, style in zip(theory.phase_times(one.expand_dims("seed")), ("-", ":"), strict=True):
            axes.axvline(moment[0], color="0.4", linewidth=0.8, linestyle=style)
    for moment, label in zip(theory.phase_times(one.expand_dims("seed")), ("t₁", "t₂"), strict=True):
        column[1].annotate(
            label, (moment[0], 0.93), xycoords=("data", "axes fraction"), xytext=(2, 0),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip


phases = figure(
    status="inferred",
    caption=PANEL_CAPTION.format(told="here by gradient descent on the population"),
    size=(10.0, 8.4),
)(draw_panels("phases"))

phases_sgd = figure(
    status="inferred",
    caption=PANEL_CAPTION.format(told="here with fresh batches of 512, as there"),
    size=(10.0, 8.4),
)(draw_panels("phases_sgd"))


@figure(
    status="inferred",
    caption=(
        "t₁ (mean angle to the closest teacher below 30°) and t₂ (all |H_l| below |v|/100) of each seed, by (k, m), "
        "and geometric means with their 95 % intervals. The trends as quoted: a larger m shortens both, a larger k "
        "lengthens both. The paper's own definitions of t₁ and t₂ are not known to us."
    ),
    size=(7.0, 3.2),
)
def phase_times(canvas: Figure, data: Data) -> None:
    row = canvas.subplots(1, 2)
    for spot, (teachers, neurons) in enumerate(theory.PANELS):
        for shift, (name, colour) in zip((-0.2, 0.12), DESCENTS.items(), strict=True):
            run = unpadded(data[name].sel(teachers=teachers, neurons=neurons))
            for axes, times in zip(row, theory.phase_times(run), strict=True):
                axes.plot(
                    np.full(len(times), spot + shift), times, ".", color=colour, alpha=0.5, markersize=4
                )
                mean, low, high = np.exp(mean_interval(np.log(times)))
                axes.errorbar(
                    spot + shift + 0.08, mean, [[mean - low], [high - mean]], fmt="o", color=colour, capsize=3,
                    label=LABELS[name] if spot == 0 else None,
                )  # fmt: skip
    for axes, label in zip(row, ("t₁ (ηT)", "t₂ (ηT)"), strict=True):
        axes.set_yscale("log")
        axes.set_xticks(range(len(theory.PANELS)), [f"k = {k}\nm = {m}" for k, m in theory.PANELS])
        axes.set_ylabel(label)
    row[0].legend()


DESCENTS = {"phases": "#0072B2", "phases_sgd": "#D55E00"}
LABELS = {"phases": "gradient descent", "phases_sgd": "batches of 512"}


# ---- alignment ----


@figure(
    status="theorem",
    caption=(
        "Gradient flow from starts of scale σ. Solid: angle of students to their closest teacher, median and range "
        "over students and seeds. Dashed, in the same colour: the envelope quoted for phase 1 with ε₁ = 0, from the "
        "largest start, (1 + ηk|v|t/s₂)^(−1/8k), s₂ = 2σ√d. Dotted: arccos(1/√k). Grey line: ηt = 0.1, our ηT₁."
    ),
    size=(9.0, 3.4),
)
def alignment(canvas: Figure, data: Data) -> None:
    dataset = data["alignment"]
    row = canvas.subplots(1, dataset.sizes["teachers"], sharey=True)
    for axes, teachers in zip(row, dataset["teachers"].values, strict=True):
        for scale, colour in zip(dataset["scale"].values, COLOURS, strict=True):
            run = dataset.sel(teachers=teachers, scale=scale).isel(teacher=slice(int(teachers)))
            own = run["teacher_angles"].min("teacher").transpose("time", "seed", "neuron").values
            own = own.reshape(len(own), -1)
            time = np.maximum(run["time"].values, 1e-15)
            axes.plot(time, np.degrees(np.median(own, -1)), color=colour, label=f"σ = {scale:.0e}")
            axes.fill_between(
                time, np.degrees(own.min(-1)), np.degrees(own.max(-1)), color=colour, alpha=0.2, lw=0
            )
            shrink = theory.envelope(time, int(teachers), float(scale), 20)
            bound = 2 * np.arcsin(np.sqrt(shrink * np.sin(own[0].max() / 2) ** 2))
            axes.plot(time, np.degrees(bound), "--", color=colour, linewidth=0.8)
        axes.axvline(theory.ALIGNED_BY, color="0.6", linewidth=0.8)
        if teachers > 1:
            axes.axhline(math.degrees(math.acos(teachers**-0.5)), color="black", linestyle=":", linewidth=0.9)
        axes.set(title=f"k = {teachers}", xlabel="time ηt", xscale="log")
    row[0].set_ylabel("angle θ to the closest teacher, degrees")
    row[-1].legend(loc="lower left")


# ---- growth ----

SLOW_LABEL = {
    "one_teacher": r"$n/2$",
    "two_each": r"$m_l(\frac{1}{4} - \frac{1}{2\pi})$",
    "three_each": r"$m_l(\frac{1}{4} - \frac{1}{2\pi})$",
    "four_teachers": r"$m_l(\frac{1}{4} - \frac{1}{2\pi})$",
    "equal_sums": r"$m_l(\frac{1}{4} + \frac{1}{2\pi})$",
}


@figure(
    status="theorem",
    caption=(
        "What is left of teachers once students are aligned, angle 1e-6. Left: |H_1 − H_2| (one teacher, equal "
        "sums: |H_1|), and dashed the derived rates. Right: each |H_l| against mηt/k, and dotted the factor (1 − "
        "ηm/9k)^t that is quoted from phase 2, as e^(−mηt/9k)."
    ),
    size=(8.5, 3.6),
)
def growth(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    for place, (label, run) in enumerate(runs_by(data["growth"].isel(seed=0), "projections").items()):
        colour = (*COLOURS, "#56B4E9")[place]
        time = run["time"].values
        each = run["growth"].transpose("time", "teacher").values
        shown = np.abs(theory.left_over(label, run))
        shown = np.where(shown > 1e-14, shown, np.nan)
        left.semilogy(time, shown, color=colour, label=f"{label.replace('_', ' ')}, {SLOW_LABEL[label]}")
        rate = theory.RATES[label]
        spot = int(np.nanargmin(np.abs(np.log(shown / 1e-6))))
        predicted = shown[spot] * np.exp(-rate * (time - time[spot]))
        left.semilogy(time, np.where((predicted > 1e-14) & (predicted < 2e-3), predicted, np.nan), **BLACK)
        students = int(run["neurons"]) / int(run["teachers"])
        right.semilogy(students * time, np.abs(each), color=colour, linewidth=0.9)
        sizes = f"k = {int(run['teachers'])}, m = {int(run['neurons'])}"
        right.plot([], [], color=colour, label=sizes + ", equal sums" * (label == "equal_sums"))
    left.set(xlabel="time ηt", ylabel=r"$|H_1 - H_2|$ or $|H_1|$", ylim=(1e-14, 3e-3))
    scaled = np.linspace(0, 200, 2)
    right.semilogy(
        scaled, 1e-3 * np.exp(-scaled / 9), ":", color="black", label=r"$10^{-3}\,e^{-m\eta t/9k}$"
    )
    right.set(xlabel="m ηt/k", ylabel=r"$|H_l|$", ylim=(1e-14, 3e-3), xlim=(-5, 205))
    left.legend(loc="upper right")
    right.legend(loc="upper right")


# ---- rate and lower bound ----

EIGHT = (*COLOURS, "#E69F00", "#56B4E9", "#000000", "#999999")


def told(label: str, run: xr.Dataset) -> str:
    """A run of `rate` in a legend."""
    groups = ["+".join(f"{h:.2f}" for h in np.sort(group)) for group in theory.groups_of(run)]
    return f"k = {int(run['teachers'])}: {' | '.join(groups)}"


@figure(
    status="theorem",
    caption=(
        "Gradient flow from students at 0.3 rad to their teachers (legend: projections at the end, teacher by "
        "teacher). Left: L^(−1/3) against ηT, and dashed lines of the derived slope (Σ_l C_l)^(−1/3). Middle: how "
        "far L (ηT)³ is from Σ_l C_l; 0.1 % is grey. Right: the local slope, and for k = 1 dashed −3ηT/(ηT + t₀) "
        "with a fitted t₀. Three uneven students have no formula."
    ),
    size=(10.0, 4.4),
)
def rate(canvas: Figure, data: Data) -> None:
    left, middle, right = canvas.subplots(1, 3)
    for colour, (label, run) in zip(
        EIGHT, runs_by(data["rate"].isel(seed=0), "projections").items(), strict=True
    ):
        run = run.isel(time=slice(1, None))
        time, loss = run["time"].values, run["loss"].values
        left.plot(time, loss ** (-1 / 3), color=colour, label=told(label, run))
        right.semilogx(time, local_slope(run), color=colour)
        limit = theory.constant(run)
        if math.isfinite(limit):
            end = np.interp(200, time, loss ** (-1 / 3))
            left.plot([0, 200], [end - 200 / limit ** (1 / 3), end], **{**BLACK, "linewidth": 0.7})
            if int(run["teachers"]) == 1:
                offset = theory.offset(run)
                right.plot(time, -3 * time / (time + offset), **{**BLACK, "linewidth": 0.7})
            middle.loglog(time, np.abs(loss * time**3 / limit - 1), color=colour)
    middle.axhline(1e-3, color="0.5", linewidth=0.8)
    middle.set(xlabel="ηT", ylabel=r"$|L\,(\eta T)^3 / \Sigma_l C_l - 1|$", xlim=(1, None))
    left.set(xlabel="ηT", ylabel=r"$L^{-1/3}$", xlim=(0, 200), ylim=(0, 250))
    right.set(xlabel="ηT", ylabel="local slope of log L", ylim=(-3.1, 0.1), xlim=(1, None))
    canvas.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)


@figure(
    status="theorem",
    caption=(
        "Left: Z ηT, Z = Σ_{i<j}|z_i − z_j| within each group, and dashed its derived limit. Middle: |∇L|/L^{2/3} "
        "to ηT = 1e6 (later, float64 weights do not carry the gradient's part along the teacher), and dashed √3 "
        "C^(−1/6). Right: toys 2 (students along the teacher) and 3 (equal students), and as many students as "
        "teachers: the loss, and dashed its derived exponential rate."
    ),
    size=(10.0, 4.4),
)
def lower_bound(canvas: Figure, data: Data) -> None:
    left, middle, right = canvas.subplots(1, 3)
    for colour, (label, run) in zip(
        EIGHT, runs_by(data["rate"].isel(seed=0), "projections").items(), strict=True
    ):
        run = run.isel(time=slice(1, None))
        time = run["time"].values
        for teacher, group in enumerate(theory.groups_of(run)):
            if len(group) > 1:
                named = told(label, run) if teacher == 0 else None
                left.semilogx(time, run["spread"].isel(teacher=teacher) * time, color=colour, label=named)
                left.plot(time[[-60, -1]], [group_spread(group)] * 2, **BLACK)
        ratio = run["gradient_norm"] / run["loss"] ** (2 / 3)
        middle.semilogx(time, ratio.where(time < 1.01e6), color=colour)
        limit = theory.constant(run)
        if math.isfinite(limit):
            middle.plot([1e4, 1e6], [gradient_limit(limit)] * 2, **BLACK)
    left.set(xlabel="ηT", ylabel="Z ηT")
    middle.set(xlabel="ηT", ylabel=r"$|\nabla L| / L^{2/3}$")
    exponential = runs_by(data["exponential"].isel(seed=0), "initialization").items()
    for colour, (label, run) in zip(COLOURS, exponential, strict=False):
        time, loss, rate = run["time"].values, run["loss"].values, theory.EXPONENTIAL[label]
        named = f"{label.replace('_', ' ')}: rate {rate:.4g}"
        right.semilogy(rate * time, loss, color=colour, label=named)
        spot = int(np.argmin(np.abs(np.log(np.maximum(loss, 1e-30) / 1e-12))))
        exact = loss[spot] * np.exp(-rate * (time - time[spot]))
        right.semilogy(rate * time, np.where(exact > 1e-26, exact, np.nan), **BLACK)
    right.set(xlabel="rate × ηT", ylabel="loss L", ylim=(1e-26, 10))
    right.legend(loc="upper right")
    canvas.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)


# ---- balance ----


@figure(
    status="theorem",
    caption=(
        "Ten students, d = 11, 32 seeds, at the end of training by the scale σ of the start. Left: |w_i| in units "
        "of |v|/m_l, all students and seeds; dashed the factor 4. Middle: B_l = m_l Σh²/(Σh)² − 1 of each group and "
        "seed. Right: Σ|w|² over Σ_l |v_l|²/m_l, the least that fits. Bars: medians. η = 0.002: below σ = 1e-2 the "
        "first steps set the scale."
    ),
    size=(9.0, 3.6),
)
def balance(canvas: Figure, data: Data) -> None:
    dataset = data["balance"]
    left, middle, right = canvas.subplots(1, 3)
    scales = dataset["scale"].values
    random = np.random.default_rng(0)
    for shift, colour, teachers in zip((-0.17, 0.17), COLOURS, dataset["teachers"].values, strict=False):
        for spot, scale in enumerate(scales):
            run = dataset.sel(teachers=teachers, scale=scale).isel(teacher=slice(int(teachers)))
            uneven = run["group_imbalance"].isel(time=-1).values.ravel()
            uneven = uneven[np.isfinite(uneven)]
            shown = ((left, theory.shares(run).ravel()), (middle, uneven), (right, theory.norm_excess(run)))
            for axes, values in shown:
                place = spot + shift + random.uniform(-0.1, 0.1, len(values))
                label = f"k = {teachers}" if spot == 0 else None
                axes.plot(place, values, ".", color=colour, alpha=0.35, markersize=3, markeredgewidth=0)
                axes.plot(
                    spot + shift,
                    np.median(values),
                    "_",
                    color=colour,
                    markersize=14,
                    markeredgewidth=2,
                    label=label,
                )
    left.set_yscale("log")
    middle.set_yscale("log")
    for axes in (left, middle, right):
        axes.set_xticks(range(len(scales)), [f"{scale:.0e}" for scale in scales])
        axes.set_xlabel("scale σ of the start")
    for factor in (0.25, 4):
        left.axhline(factor, **BLACK)
    right.axhline(1, **BLACK)
    left.set_ylabel(r"$|w_i|\,m_l\,/\,|v|$")
    middle.set_ylabel("$B_l$")
    right.set_ylabel(r"$\Sigma|w|^2\,/\,\Sigma_l\,|v_l|^2/m_l$")
    left.legend()


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"zhu2025.{name}", thing)
