"""The figures of Xu and Du 2023, and a check of its toy cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import band, figure, fit_rate, hookimpl
from twolayer.analysis.figures import Drawing
from twolayer.analysis.intervals import mean_interval
from twolayer.population.asymptotics import (
    gradient_limit,
    group_spread,
    loss_by_spread,
    pair_constant,
    simplex_constant,
)

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {"mirror_images": "even h", "uneven": "uneven h"}
"""The two students of `mirrored`."""

Data = Mapping[str, "xr.Dataset"]


def panels(canvas: Figure, dimensions: Any) -> list[Axes]:
    """One panel a dimension, with one scale of y."""
    row = list(np.atleast_1d(canvas.subplots(1, len(dimensions), sharey=True)))
    for axes, dimension in zip(row, dimensions, strict=True):
        axes.set_title(f"d = {dimension}")
        axes.set_xlabel("iteration")
    return row


@figure(
    status="inferred",
    caption=(
        "Xu and Du 2023, Figure 1 left: population loss of gradient descent, median and range over 16 seeds. "
        "Stars: ends of the curves as read off the print. The paper states neither d nor the seed."
    ),
    size=(7.5, 3.2),
)
def figure1_left(canvas: Figure, data: Data) -> None:
    dataset = data["figure1"]
    dataset = dataset.isel(time=dataset["step"].values <= theory.LEFT)
    step = dataset["step"].values
    row = panels(canvas, dataset["dimension"].values)
    for axes, dimension in zip(row, dataset["dimension"].values, strict=True):
        axes.set_yscale("log")
        for neurons, end in theory.ENDS_LEFT.items():
            loss = dataset["loss"].sel(dimension=dimension, neurons=neurons).transpose("seed", "time").values
            colour = band(axes, step, loss, f"n = {neurons}")
            axes.plot(step[-1], end, "*", color=colour, markersize=9, markeredgecolor="black", clip_on=False)
    row[0].set_ylabel("loss L")
    row[0].legend(loc="lower left")


@figure(
    status="inferred",
    caption=(
        "Xu and Du 2023, Figure 1 right: the exponent log L(T) / log(ηT), median and range over 16 seeds. Stars: ends "
        "of the curves as read off the print. The paper states neither d nor the seed."
    ),
    size=(7.5, 3.2),
)
def figure1_right(canvas: Figure, data: Data) -> None:
    dataset = data["figure1"]
    dataset = dataset.isel(time=dataset["step"].values >= theory.RIGHT)
    row = panels(canvas, dataset["dimension"].values)
    step, time = dataset["step"].values, dataset["time"].values
    for axes, dimension in zip(row, dataset["dimension"].values, strict=True):
        axes.axhline(-3, color="0.4", linestyle="--", linewidth=0.8)
        for neurons, end in theory.ENDS_RIGHT.items():
            loss = dataset["loss"].sel(dimension=dimension, neurons=neurons).transpose("seed", "time").values
            exponent = np.log(loss) / np.log(time)
            colour = band(axes, step, exponent, f"n = {neurons}")
            axes.plot(step[-1], end, "*", color=colour, markersize=9, markeredgecolor="black", clip_on=False)
        axes.set_xticks([0, 20000, 40000])
    row[0].set_ylabel(r"exponent $\log_{\eta T} L(T)$")
    row[0].legend(loc="lower left")


@figure(
    status="theorem",
    caption=(
        "The three phases of Xu and Du 2023, Theorem 1, by gradient descent from small weights; ranges over all "
        "students and 8 seeds. Dashed: the theorem's bounds, with T₁ = 3/4n and the smallest ε₂ that fits all seeds "
        "(n = 2: that rounding allows). Time is ηt. The theorem's own σ and η cannot be run."
    ),
    size=(7.5, 7.0),
)
def phases(canvas: Figure, data: Data) -> None:
    dataset = data["phases"]
    dataset = dataset.isel(time=slice(1, None))
    grid = canvas.subplots(3, dataset.sizes["neurons"], sharex=True, sharey="row")
    time = dataset["time"].values
    start = data["phases"]["teacher_angle"].isel(time=0)
    for column, neurons in zip(grid.T, dataset["neurons"].values, strict=True):
        run = dataset.sel(neurons=neurons).isel(neuron=slice(int(neurons)), teacher=0)
        begin = theory.aligned_by(neurons)
        growth = theory.carried(run["teacher_deficit"].values, neurons)
        found = [theory.smallest_growth_error(time, row, neurons, begin) for row in growth]
        error = max(smallest for smallest, _ in found)
        end = begin + np.log(1 / (36 * error)) / neurons
        first, second, third = time <= begin, (time >= begin) & (time <= end), time >= end
        for axes in column:
            for moment in (begin, end):
                axes.axvline(moment, color="0.6", linewidth=0.8, linestyle=":")
            axes.set(xscale="log", yscale="log")
        lengths, angles, left = column
        every = ["seed", "neuron"]
        between(lengths, time, run["hidden_norm"].min(every), run["hidden_norm"].max(every))
        low, high = theory.lengths(time[first])
        dashed(lengths, time[first], np.full(first.sum(), low), high)
        dashed(lengths, time[third], *(np.full(third.sum(), factor / neurons) for factor in (0.25, 4.0)))
        sine = np.sin(0.5 * run["teacher_angle"].transpose("time", *every).values) ** 2
        between(angles, time, sine.min((1, 2)), sine.max((1, 2)))
        largest = float(np.sin(0.5 * start.sel(neurons=neurons).max()) ** 2)
        dashed(angles, time[first], largest * theory.shrinking(time[first]))
        between(left, time, growth.min(0), growth.max(0))
        envelope = theory.grown(time[second], neurons, begin)
        lower = 2 / 3 * envelope - 6 * error
        dashed(left, time[second], envelope + 6 * error, np.where(lower > 0, lower, np.nan))
        lengths.set_title(f"n = {neurons}, ε₂ = {error:.0e}")
        for name, moment in (("$T_1$", begin), ("$T_2$", end)):
            left.annotate(name, (moment, 0.02), xycoords=("data", "axes fraction"), ha="right")
        left.set_xlabel("time ηt")
    grid[0, 0].set_ylabel("length |w|")
    grid[1, 0].set_ylabel(r"$\sin^2(\theta/2)$ to the teacher")
    grid[2, 0].set_ylabel("growth to come H")


def between(axes: Axes, x: Any, low: Any, high: Any) -> None:
    """The range of a measurement."""
    axes.fill_between(x, low, high, color="C0", alpha=0.5, lw=0.8, edgecolor="C0")


def dashed(axes: Axes, x: Any, *bounds: Any) -> None:
    """Bounds of theory."""
    for bound in bounds:
        axes.plot(x, bound, "--", color="black", linewidth=0.9)


@figure(
    status="theorem",
    caption=(
        "The rate from random starts, in the setting of Figure 1. Left, d = 50: the loss times T³, median and range "
        "over 16 seeds, and C T³/(T + T₀)³ with the median fit of the last decade. Right: C, mean and 95 % interval "
        "over seeds, and that of students with equal h at the corners of a simplex. The theorem's bound allows n⁴."
    ),
    size=(7.0, 3.2),
)
def rate(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    dataset = data["figure1"].sel(neurons=list(theory.ENDS_RIGHT)).isel(time=slice(1, None))
    fit = fit_rate(dataset)
    time = dataset["time"].values
    for neurons in dataset["neurons"].values:
        chosen = {"neurons": neurons, "dimension": 50}
        loss = dataset["loss"].sel(chosen).transpose("seed", "time").values
        band(left, time, loss * time**3, f"n = {neurons}")
        law = fit.sel(chosen).median("seed")
        line = float(law["constant"]) * (time / (time + float(law["offset"]))) ** 3
        late = time > 100
        left.plot(time[late], line[late], "--", color="black", linewidth=0.9, zorder=3)
    left.plot([], [], "--", color="black", linewidth=0.9, label="fit")
    left.set(xscale="log", yscale="log", xlabel="time T = ηt", ylabel=r"$L\,T^3$", xlim=(0.5, None))
    left.set_ylim(bottom=1e-2)
    left.legend(loc="lower right")
    neurons = dataset["neurons"].values
    for number, dimension in enumerate(dataset["dimension"].values):
        constants = fit["constant"].sel(dimension=dimension).transpose("neurons", "seed").values
        mean, low, high = np.array([mean_interval(row) for row in constants]).T
        aside = neurons * 1.05 ** (number - 1)
        right.errorbar(
            aside, mean, (mean - low, high - mean), fmt="o", markersize=3, capsize=2, label=f"d = {dimension}"
        )
    fine = np.linspace(2, 10, 50)
    right.plot(fine, simplex_constant(fine), color="black", linewidth=0.9, label="regular simplex, exact")
    guide = np.array([2.0, 3.0])
    right.plot(
        guide,
        simplex_constant(2) * (guide / 2) ** 4,
        "--",
        color="black",
        linewidth=0.9,
        label="slope n⁴ (bound)",
    )
    right.set(xscale="log", yscale="log", xlabel="students n", ylabel=r"constant C of $L = C/(T+T_0)^3$")
    right.set_xticks([2, 5, 10], ["2", "5", "10"])
    right.minorticks_off()
    right.legend(loc="lower left")


@figure(
    status="theorem",
    caption=(
        "Toys of Xu and Du 2023, one teacher of norm 1. Left, two students by flow, z₁ = −z₂: loss and its limit "
        "(8π²/3)(h₁h₂)²/T³. Right, by descent with η = 0.05: students along the teacher, and equal students (range "
        "over 8 seeds); the loss falls by (1 − nη/2)² a step."
    ),
    size=(7.0, 3.2),
)
def toys(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    for name, run in data["mirrored"].groupby("projections"):
        run = run.squeeze("projections").isel(seed=0)
        time, loss = run["time"].values[1:], run["loss"].values[1:]
        h = run["projection"].isel(time=-1).values
        (line,) = left.loglog(time, loss, label=f"{LABELS[str(name)]}: {h[0]:.2f}, {h[1]:.2f} at the end")
        late = time > 10
        left.loglog(time[late], pair_constant(h) / time[late] ** 3, "--", color="black", linewidth=0.8)
        left.plot(time[-1], loss[-1], "o", color=line.get_color())
    left.plot([], [], "--", color="black", linewidth=0.8, label="limit")
    left.set(xlabel="time t", ylabel="loss L")
    left.legend()
    step = data["exact_rank"]["step"].values
    for neurons in data["exact_rank"]["neurons"].values:
        for start, told in (("parallel", "toy 2, along v"), ("equal", "toy 3, all equal")):
            losses = data["exact_rank"]["loss"].sel(neurons=neurons, initialization=start)
            kept = losses.where(losses > 1e-28).transpose("seed", "time").values
            band(right, step, kept, f"{told}, n = {neurons}")
            exact = np.median(kept[:, 0]) * (1 - 0.5 * neurons * theory.STEP) ** (2 * step)
            if start == "parallel":
                exact = np.where(exact > 1e-28, exact, np.nan)
                right.plot(step, exact, "--", color="black", linewidth=0.8, zorder=3)
    right.plot([], [], "--", color="black", linewidth=0.8, label=r"$L(0)(1 - n\eta/2)^{2T}$")
    right.set(xlabel="iteration T", ylabel="loss L", yscale="log")
    right.legend(loc="upper right")


@figure(
    status="theorem",
    caption=(
        "The lower bound of Xu and Du 2023. Two students by flow, h even or uneven, and dashed their exact limits: "
        "4πh₁h₂/T, n⁵/(24πh₁h₂), and that of L = C/T³. Bands: descent from random starts in d = 50 (Figure 1's "
        "setting), range over 16 seeds. The bounds say that the last two panels stay above a constant for every n."
    ),
    size=(7.5, 3.2),
)
def lower_bound(canvas: Figure, data: Data) -> None:
    spread, cubed, gradient = canvas.subplots(1, 3)
    runs = [(f"n = {n}", n, data["figure1"].sel(neurons=n, dimension=50)) for n in theory.ENDS_RIGHT]
    runs += [
        (f"n = 2, {LABELS[str(name)]}", 2, data["mirrored"].sel(projections=name))
        for name in data["mirrored"]["projections"].values
    ]
    for name, neurons, run in runs:
        run = run.isel(teacher=0, time=slice(1, None)).transpose("seed", "time", ...)
        time, loss, apart = run["time"].values, run["loss"].values, run["spread"].values
        band(spread, time, apart, name)
        band(cubed, time, neurons**5 * loss / apart**3, name)
        carried = time <= 1e5  # later float64 weights do not carry the gradient's part along the teacher
        scaled = neurons ** (2 / 3) * run["gradient_norm"].values / loss ** (2 / 3)
        band(gradient, time[carried], scaled[:, carried], name)
    late = np.geomspace(10, 1e8, 2)
    for name in data["mirrored"]["projections"].values:
        h = data["mirrored"]["projection"].sel(projections=name).isel(seed=0, time=-1).values
        dashed(spread, late, group_spread(h) / late)
        dashed(cubed, late, np.full(2, 2**5 * loss_by_spread(h)))
        dashed(gradient, late[:1] * [1, 1e4], np.full(2, 2 ** (2 / 3) * gradient_limit(pair_constant(h))))
    for axes in (spread, cubed, gradient):
        axes.set(xscale="log", yscale="log", xlabel="time T = ηt")
    spread.set_ylabel(r"spread $Z = \sum_{i<j}|z_i - z_j|$")
    cubed.set_ylabel(r"$n^5 L / Z^3$")
    gradient.set_ylabel(r"$n^{2/3} |\nabla L| / L^{2/3}$")
    for axes, ticks in ((cubed, [2, 5, 10, 20]), (gradient, [2, 5, 10])):
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.tick_params(axis="y", which="minor", left=False, labelleft=False)
    spread.legend(loc="lower left")


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"xu2023.{name}", thing)
