"""The figures of Zhou and Ge 2024 as far as they are known to us, and a check of each statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from twolayer import band, figure, hookimpl
from twolayer.analysis.figures import Drawing

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Data = Mapping[str, "xr.Dataset"]

PLUS, MINUS = "C0", "C1"
"""Colours of positive and negative masses, and of their teachers."""

SCHEDULES = {
    "none": "λ = 0",
    "0.05": "λ = 0.05",
    "0.02": "λ = 0.02",
    "0.01": "λ = 0.01",
    "halved": "λ halved",
}
"""How the runs of `descents` are named."""


@figure(
    status="inferred",
    caption=(
        "After Zhou and Ge 2024, Figure 1, which illustrates the descent direction: a state near a solution, |·| "
        "neurons in the plane, each drawn on the side of its teacher. Grey: −∇ of the objective for a balanced neuron "
        "at each place, of positive sign left and of negative sign right. Dotted rays: teachers of that sign. Blue or "
        "orange: −∂L_λ/∂w of the neurons (direction); black: the descent direction q v − w (full length). Setting and "
        "q are recalled."
    ),
    size=(7.5, 3.0),
)
def figure1(canvas: Figure, data: Data) -> None:
    run = data["near_solution"].isel(seed=0, time=2)
    sections = next(theory.runs(data["near_solution"]))
    vectors, coefficients = theory.teachers(sections)
    hidden, output = run["hidden"].values, run["output"].values
    up = np.where(hidden[:, 1] < 0, -1.0, 1.0)[:, None]  # |−w·x| = |w·x|
    hidden = up * hidden
    gradient, towards = up * run["hidden_gradient"].values, up * run["descent_direction"].values
    angle = data["near_solution"]["certificate_angle"].values
    for axes, sign, colour in zip(
        canvas.subplots(1, 2, sharey=True), (1.0, -1.0), (PLUS, MINUS), strict=True
    ):
        radius, turned = np.meshgrid(np.linspace(0.15, 0.95, 6), np.arange(20, 701, 34))
        place = angle[turned]
        x, y = radius * np.cos(place), radius * np.sin(place)
        fall = theory.fall(
            run["certificate"].values[turned], run["certificate_slope"].values[turned], sign, radius
        )
        outward, around = float(run["regularization"]) * np.stack(fall)
        axes.quiver(
            x,
            y,
            outward * np.cos(place) - around * np.sin(place),
            outward * np.sin(place) + around * np.cos(place),
            color="0.72",
            angles="xy",
            width=0.004,
        )
        for vector, coefficient in zip(vectors, coefficients, strict=True):
            if coefficient * sign > 0:
                axes.plot([0, vector[0]], [0, vector[1]], ":", color="0.2", lw=1.2)
        own = output * sign > 0
        axes.plot(hidden[own, 0], hidden[own, 1], "o", color=colour, ms=5, mec="black", mew=0.5, zorder=4)
        length = np.linalg.norm(gradient[own], axis=-1, keepdims=True)
        arrow = -0.14 * gradient[own] / length
        kind = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "zorder": 3}
        axes.quiver(*hidden[own].T, *(-towards[own].T), color="black", width=0.005, **kind)
        axes.quiver(*hidden[own].T, *arrow.T, color=colour, width=0.008, **kind)
        axes.set(xlabel="$w_1$", xlim=(-1.0, 1.0), ylim=(-0.08, 1.0), aspect="equal")
        axes.set_title("positive neurons, a > 0" if sign > 0 else "negative neurons, a < 0")
    canvas.axes[0].set_ylabel("$w_2$")


@figure(
    status="inferred",
    caption=(
        "After Zhou and Ge 2024, Figure 2: the dual certificate. Black: η₀, of least norm with η₀ = s at the teachers "
        "and no slope there. Colours: η_λ(u) = ⟨f* − f, σ(u·x)⟩/λ of the network that flow has trained. Below: about "
        "a teacher, with the two parabolas of the one-sided curvatures of η₀ (dashed, numbers). Teachers and λ are "
        "ours."
    ),
    size=(7.0, 5.2),
)
def figure2(canvas: Figure, data: Data) -> None:
    dataset = data["plane"]
    run = next(theory.runs(dataset))
    vectors, coefficients = theory.teachers(run)
    exact, degrees = theory.certificate_of(run), np.asarray(run["problem"]["angles"], dtype=np.float64)
    angle = np.rad2deg(dataset["certificate_angle"].values)
    grid = np.linspace(0, 180, 1441)
    parts = canvas.subplot_mosaic([["all", "all", "all"], ["0", "1", "2"]])
    whole = parts["all"]
    moments = [moment for moment in range(1, dataset.sizes["time"]) if moment in (1, 2, 3, 5)]
    for axes in parts.values():
        for number, moment in enumerate(moments):
            at = dataset.isel(time=moment, seed=0)
            label = f"$\\eta_\\lambda$, λ = {float(at['regularization']):g}"
            axes.plot(angle, at["certificate"], color=f"C{number}", lw=2.2, alpha=0.75, label=label)
        axes.plot(grid, exact(theory.plane(grid)), color="black", lw=0.9, label=r"$\eta_0$")
    for side in (-1, 1):
        whole.axhline(side, color="0.5", lw=0.8, ls=":")
    whole.plot(degrees, np.sign(coefficients), "o", mfc="white", color="black", zorder=5, label="teachers")
    whole.set(
        xlabel="angle of u in degrees",
        ylabel=r"certificate $\eta(u)$",
        xlim=(0, 180),
        xticks=range(0, 181, 30),
    )
    whole.legend(ncol=2, loc="upper center", bbox_to_anchor=(0.5, 1.0))
    for teacher, (vector, centre) in enumerate(zip(vectors, degrees, strict=True)):
        axes, sign = parts[str(teacher)], np.sign(coefficients[teacher])
        left, right = exact.curvatures(teacher, np.array([-vector[1], vector[0]]))
        for side, curvature in ((-1, left), (1, right)):
            away = np.linspace(0, 12, 50)
            bent = sign + 0.5 * curvature * np.deg2rad(away) ** 2
            axes.plot(centre + side * away, bent, "--", color="0.35", lw=1)
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            place = (centre + 8.5 * side, sign * 0.79)
            axes.text(*place, f"{curvature:+.2f}", ha="center", va="center", fontsize=8, bbox=box, zorder=6)
        axes.plot(centre, sign, "o", mfc="white", color="black", zorder=5)
        axes.set(xlim=(centre - 12, centre + 12), xlabel="angle of u in degrees")
        axes.set_ylim(*((0.75, 1.03) if sign > 0 else (-1.03, -0.75)))
    parts["0"].set_ylabel(r"$\eta(u)$")


@figure(
    status="theorem",
    caption=(
        "Loss at the end of each λ, 30/λ or more. Left: loss, and ½|η₀|²λ² (lines). Right: L/λ² over ½|η₀|², and the "
        "mass deficit over λ|η₀|² (open marks); plane: three teachers at 60°, otherwise orthonormal. Crosses: the "
        "measure problem min ½|f_μ − f*|² + λ|μ|₁, solved apart from training. Seeds coincide."
    ),
    size=(7.2, 3.4),
)
def loss_by_decay(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    names = {"plane": "plane, flow", "ladder": "orthonormal, flow", "ladder_descent": "orthonormal, descent"}
    for number, (name, label) in enumerate(names.items()):
        dataset = data[name].isel(time=slice(1, None))
        run = next(theory.runs(dataset))
        square = theory.certificate_of(run).square_norm
        total = np.abs(run["problem"]["coefficients"]).sum()
        decay = dataset["regularization"].values
        loss, best = dataset["loss"].transpose("time", "seed").values, dataset["optimal_loss"].values
        style = {
            "color": f"C{number}",
            "marker": ("o", "s", "^")[number],
            "ls": "none",
            "ms": 6 - 1.5 * (number == 2),
        }
        left.loglog(decay, loss[:, 0], label=label, **style)
        right.semilogx(decay, loss[:, 0] / decay**2 / (0.5 * square), **style)
        if name == "ladder_descent":
            continue
        left.loglog(
            decay, best, "x", color="black", zorder=4, label="measure problem" if number == 0 else None
        )
        right.semilogx(decay, best / decay**2 / (0.5 * square), "x", color="black", zorder=4)
        deficit = (total - dataset["path_norm"].transpose("time", "seed").values[:, 0]) / decay / square
        right.semilogx(decay, deficit, **{**style, "mfc": "none", "ms": 9})
        fine = np.geomspace(decay.min(), decay.max(), 50)
        left.loglog(fine, 0.5 * square * fine**2, color=f"C{number}", lw=0.8)
    right.axhline(1, color="0.5", lw=0.8)
    left.set(xlabel="weight decay λ", ylabel="loss L")
    right.set(xlabel="weight decay λ", ylabel="measured / limit for λ → 0")
    right.plot([], [], "o", color="0.4", label=r"$L/\lambda^2$ over $\frac{1}{2}|\eta_0|^2$")
    right.plot(
        [],
        [],
        "o",
        color="0.4",
        mfc="none",
        ms=9,
        label=r"$(|\mu^*|-\Sigma|a||w|)/\lambda$ over $|\eta_0|^2$",
    )
    left.legend(loc="upper left")
    right.legend(loc="lower left")


@figure(
    status="theorem",
    caption=(
        "What weight decay buys: nine students near their teachers and nine grains of dust of random sign, the same "
        "starts for each λ. Median and range over seeds. Dashed: slope of e^(−2λt). λ halved: 0.08 down to 0.005 at t "
        "= 100, 300, 700, 1500."
    ),
    size=(7.2, 3.4),
)
def directions(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    dataset = data["descents"].isel(time=slice(1, None))
    time = dataset["time"].values
    for name, label in SCHEDULES.items():
        run = dataset.sel(weight_decay=name)
        square = np.maximum(run["mass_weighted_square_angle"].transpose("seed", "time").values, 1e-34)
        band(left, time, square, label)
        band(right, time, run["loss"].transpose("seed", "time").values, label)
    for number, name in enumerate(("0.05", "0.02", "0.01"), start=1):
        square = np.median(
            dataset.sel(weight_decay=name)["mass_weighted_square_angle"].transpose("seed", "time"), axis=0
        )
        late = (square < 1e-4) & (square > 1e-26)
        last = np.flatnonzero(late)[-1]
        line = square[last] * np.exp(-2 * float(name) * (time - time[last]))
        left.plot(
            time[late],
            line[late],
            "--",
            color="black",
            lw=1,
            zorder=4,
            label="$e^{-2λt}$" if number == 1 else None,
        )
    left.set(xscale="log", yscale="log", ylim=(1e-30, 3), xlabel="time t", ylabel=r"$\Sigma|a||w|\theta^2$")
    right.set(xscale="log", yscale="log", xlabel="time t", ylabel="loss L")
    left.legend(loc="lower left")


@figure(
    status="theorem",
    caption=(
        "Every neuron at the end: its mass |a||w| and its angle to the closest teacher. Blue: the sign of that "
        "teacher; orange: the other. Masses below 2e-9 are drawn there. Dashed: the limits of “aligned” and "
        "“vanished”; a neuron in the upper right is neither."
    ),
    size=(7.5, 3.0),
)
def align_or_vanish(canvas: Figure, data: Data) -> None:
    dataset = data["descents"].isel(time=-1)
    signs = np.sign(next(theory.runs(dataset))["problem"]["coefficients"])
    names = ("none", "0.02", "halved")
    for axes, name in zip(canvas.subplots(1, 3, sharey=True), names, strict=True):
        run = dataset.sel(weight_decay=name)
        mass, angle = run["mass"].values.ravel(), np.maximum(run["teacher_angle"].values.ravel(), 1e-18)
        right = np.sign(mass) == signs[run["closest_teacher"].values.ravel().astype(int)]
        for own, colour, marker, label in (
            (right, PLUS, "o", "right sign"),
            (~right, MINUS, "s", "wrong sign"),
        ):
            size = np.maximum(np.abs(mass[own]), 2e-9)
            axes.loglog(size, angle[own], marker, color=colour, alpha=0.5, ms=4.5, mew=0, label=label)
        axes.axhline(1e-6, color="0.4", ls="--", lw=0.8)
        axes.axvline(1e-6, color="0.4", ls="--", lw=0.8)
        axes.set(xlim=(1e-9, 3), ylim=(1e-19, 9), xlabel="mass |a||w|")
        axes.set_title(SCHEDULES[name])
    canvas.axes[0].set_ylabel("angle θ to the closest teacher")
    canvas.axes[0].legend(loc="lower left")


@figure(
    status="theorem",
    caption=(
        "Balance: |a² − |w|²| of each neuron from unbalanced Gaussian starts. Dashed: e^(−2λt) from the largest "
        "start. Descent has step size 0.05."
    ),
    size=(7.2, 3.0),
)
def balance(canvas: Figure, data: Data) -> None:
    dataset = data["balance"]
    for axes, name in zip(canvas.subplots(1, 3, sharey=True), dataset["dynamics"].values, strict=True):
        run = dataset.sel(dynamics=name)
        time, decay = run["time"].values, float(run["regularization"].isel(time=-1))
        size = np.abs(run["imbalance"].transpose("time", "seed", "neuron").values).reshape(len(time), -1)
        axes.semilogy(time, size, color="C0", alpha=0.5, lw=0.8)
        exact = size[0].max() * np.exp(-2 * decay * time)
        axes.semilogy(time, exact, "--", color="black", lw=1.4, label=r"$e^{-2\lambda t}$")
        axes.set(xlabel="time t", title=f"{str(name).split('_')[0]}, λ = {decay:g}")
        axes.legend(loc="lower left")
    canvas.axes[0].set_ylabel(r"$|a^2-|w|^2|$")


@figure(
    status="theorem",
    caption=(
        "All saved states of all seeds. Left: |∇L_λ|² against the excess ζ; dashed: the recalled bound ζ⁴/λ² with "
        "constant 1. Right: |∇L_λ|²/(λζ); shaded: [2, 5]; vertical lines: ζ = λ², below which a state is called near "
        "the optimum."
    ),
    size=(7.2, 3.4),
)
def gradient_bound(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    for number, name in enumerate(("0.05", "0.02", "0.01")):
        run, decay = data["descents"].sel(weight_decay=name), float(name)
        excess, slope = run["excess"].values.ravel(), run["gradient_norm"].values.ravel() ** 2
        own = excess > 1e-13
        style = {
            "color": f"C{number}",
            "ls": "none",
            "marker": ("o", "s", "^")[number],
            "ms": 3,
            "mew": 0,
            "alpha": 0.6,
        }
        left.loglog(excess[own], slope[own], label=SCHEDULES[name], **style)
        right.loglog(excess[own], slope[own] / (decay * excess[own]), **style)
        fine = np.geomspace(1e-13, excess.max(), 40)
        left.loglog(fine, fine**4 / decay**2, "--", color=f"C{number}", lw=1)
        right.axvline(decay**2, color=f"C{number}", lw=0.8)
    left.plot([], [], "--", color="0.3", label=r"$\zeta^4/\lambda^2$")
    left.set(ylim=(1e-17, 100), xlabel="excess ζ of the objective", ylabel=r"$|\nabla L_\lambda|^2$")
    right.axhspan(2, 5, color="0.85", zorder=0)
    right.set(xlabel="excess ζ of the objective", ylabel=r"$|\nabla L_\lambda|^2/(\lambda\zeta)$")
    left.legend(loc="lower right")


@figure(
    status="theorem",
    caption=(
        "The first big step, from 512 directions for each d. Left: energy outside the teachers' span, times d: "
        "median, quartiles, 5th and 95th percentile; shaded: [0.1, 0.3]. Right: each entry of the step against its "
        "closed form, d = 20."
    ),
    size=(7.0, 3.2),
)
def first_step(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    dataset = data["first_step"].isel(time=-1)
    names = {"signed": "a* = (1, −0.8, 1.2)", "equal": "a* = (1, 1, 1)"}
    for number, (name, label) in enumerate(names.items()):
        run = dataset["off_span_energy"].sel(coefficients=name)
        values = run.transpose("dimension", "seed", "neuron").values.reshape(run.sizes["dimension"], -1)
        own = np.isfinite(values).all(1)
        dimension = dataset["dimension"].values[own]
        low, first, middle, third, high = np.percentile(
            values[own] * dimension[:, None], (5, 25, 50, 75, 95), axis=1
        )
        place = dimension * (1 + 0.12 * number)
        left.vlines(place, low, high, color=f"C{number}", lw=0.8)
        left.vlines(place, first, third, color=f"C{number}", lw=3.5)
        left.plot(place, middle, "os"[number], color=f"C{number}", mec="black", label=f"{label}, r = 3")
    left.axhspan(0.1, 0.3, color="0.88", zorder=0)
    left.set(
        xscale="log", yscale="log", xlabel="dimension d", ylabel="energy off the span × d", ylim=(1e-3, 8)
    )
    left.legend(loc="upper left")
    one = data["one_step"].isel(seed=0)
    coefficients = np.asarray(next(theory.runs(data["one_step"]))["problem"]["coefficients"])
    start, end = one["initial_hidden"].values, one["final_hidden"].values
    start = start / np.linalg.norm(start, axis=-1, keepdims=True)
    vectors = np.eye(len(coefficients), start.shape[1])
    exact = np.stack([theory.first_step(row, vectors, coefficients) for row in start])
    linear = (2 / np.pi) * (start @ vectors.T * coefficients) @ vectors
    right.plot(exact.ravel(), end.ravel(), "o", color="C0", ms=4, mew=0, alpha=0.6, label="closed form")
    right.plot(
        linear[:, :3].ravel(),
        end[:, :3].ravel(),
        "x",
        color="C1",
        ms=4,
        label=r"$(2/\pi)H\hat w$, in the span",
    )
    ends = [end.min(), end.max()]
    right.plot(ends, ends, color="black", lw=0.8)
    right.set(xlabel="predicted entry of w after the step", ylabel="measured entry")
    right.legend(loc="upper left")


@figure(
    status="theorem",
    caption=(
        "Two teachers at an angle Δ: L/λ² at the end of a flow at λ = 1e-6, and ½|η₀|² (lines). Crosses: the measure "
        "problem at the same λ. Below 10° the limit λ → 0 is not reached at this λ."
    ),
    size=(4.6, 3.6),
)
def close_teachers(canvas: Figure, data: Data) -> None:
    axes = canvas.subplots()
    dataset = data["close_teachers"].isel(time=-1, seed=0)
    fine = np.geomspace(4, 90, 60)
    for name, signs, colour, label in (
        ("opposite", (1.0, -1.0), MINUS, "opposite signs"),
        ("same", (1.0, 1.0), PLUS, "same sign"),
    ):
        run = dataset.sel(coefficients=name)
        degrees = run["angles"].values.astype(float)
        exact = [
            0.5 * theory.Certificate(theory.plane([0, one]), np.array(signs)).square_norm for one in fine
        ]
        axes.loglog(fine, exact, color=colour, lw=1, label=rf"$\frac{{1}}{{2}}|\eta_0|^2$, {label}")
        square = run["regularization"].values ** 2
        axes.loglog(degrees, run["loss"] / square, "o", color=colour, label=f"flow, {label}")
        axes.loglog(degrees, run["optimal_loss"] / square, "x", color="black", ms=5, zorder=4)
    axes.plot([], [], "x", color="black", label="measure problem")
    reference = np.array([4.5, 40.0])
    axes.loglog(reference, 4e5 * reference**-3.0, ":", color="0.4", label=r"slope $-3$")
    axes.set(xlabel="angle Δ between the teachers, degrees", ylabel=r"$L/\lambda^2$")
    axes.set_xticks([5, 10, 20, 40, 90], ["5", "10", "20", "40", "90"])
    axes.minorticks_off()
    axes.legend(loc="upper right")


@figure(
    status="inferred",
    caption=(
        "The whole algorithm, as recalled: one big step on W and a ridge regression of the layer a (before t = 0), "
        "balancing, then both layers at falling λ (vertical lines), by descent to λ = 0.01 and below that by flow "
        "(m = 60) or descent (m = 200). One line a seed. Time counts from the end of the regression. "
        "Dashed: ½|η₀|²λ²; crosses: the measure problem."
    ),
    size=(7.4, 4.6),
)
def pipeline(canvas: Figure, data: Data) -> None:
    exact = theory.certificate_of(next(theory.runs(data["pipeline"])))
    rows, drawn = canvas.subplots(2, 2, sharex=True).ravel(), 0
    for dataset in (data["pipeline"], data["pipeline_wide"]):
        late = dataset["time"].values > 1001
        time, decay = dataset["time"].values[late] - 1001, dataset["regularization"].values[late]
        for seed in range(dataset.sizes["seed"]):
            run = dataset.isel(seed=seed, time=late)
            style = {"color": f"C{drawn}", "marker": "os^"[drawn], "ms": 3, "lw": 1}
            rows[0].plot(
                time, run["loss"], label=f"m = {run['off_span_energy'].sizes['neuron']}, seed {seed}", **style
            )
            rows[1].plot(time, run["excess"] / decay**2, **style)
            rows[2].plot(time, run["mass_weighted_square_angle"], **style)
            rows[3].plot(time, np.maximum(run["off_span_energy"].median("neuron"), 1e-20), **style)
            drawn += 1
    ends = np.append(np.flatnonzero(np.diff(decay)), len(decay) - 1)
    limit, best = 0.5 * exact.square_norm * decay**2, dataset["optimal_loss"].values[late]
    rows[0].step(time, limit, "k--", lw=1, where="mid", label=r"$\frac{1}{2}|\eta_0|^2\lambda^2$")
    rows[0].plot(time[ends], best[ends], "x", color="black", ms=6, zorder=5, label="measure problem")
    names = ("loss L", r"excess $\zeta/\lambda^2$", r"$\Sigma|a||w|\theta^2$", "energy off the span, median")
    for axes, name in zip(rows, names, strict=True):
        for end in ends[:-1]:
            axes.axvline(time[end], color="0.7", lw=0.7, zorder=0)
        axes.set(xscale="log", yscale="log", ylabel=name)
    start, step = (float(data["pipeline"]["off_span_energy"].isel(time=moment).median()) for moment in (0, 1))
    rows[3].set_title(f"before the big step {start:.2f}, after it {step:.1e}", fontsize=8)
    rows[2].set_xlabel("time t after the regression")
    rows[3].set_xlabel("time t after the regression")
    rows[0].legend(loc="lower left")


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"zhou2024.{name}", thing)
