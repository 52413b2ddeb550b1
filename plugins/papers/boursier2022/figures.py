"""The figures and animations of Boursier, Pillaud-Vivien and Flammarion 2022, and checks of its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import figure, hookimpl
from twolayer.analysis.figures import Drawing
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.rates import first_below

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, "xr.Dataset"]

STEP = 1e-3
GREEN, BLUE, RED, VIOLET, GREY = "#1B7837", "#0072B2", "firebrick", "darkviolet", "0.35"


def run_of(dataset: xr.Dataset, dynamics: str = "descent", dtype: str = "float64") -> xr.Dataset:
    """One of the three runs from the authors' weights."""
    return dataset.sel(dynamics=dynamics, dtype=dtype).isel(seed=0)


# ---- Figure 2 and the animations of one-dimensional networks ----


def curve(hidden: Any, output: Any, x: Any) -> Any:
    """h(x) = Σ a_j relu(w_j1 x + w_j2) on a grid of x."""
    return np.maximum(np.outer(x, hidden[:, 0]) + hidden[:, 1], 0) @ output


def network_axes(axes: Axes, run: xr.Dataset) -> tuple[Axes, Any]:
    """The two axes of Figure 2 with the data on the left one, and the grid of x."""
    x, y = run["inputs"].values[:, 0], run["targets"].values
    grid = np.linspace(x.min() - 1, x.max() + 1, 601)
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    right.grid(False)
    axes.grid(False)
    axes.plot(x, y, "o", color=GREEN, markersize=6, zorder=4)
    axes.set_xlim(grid[0], grid[-1])
    axes.tick_params(axis="y", colors=GREEN)
    right.tick_params(axis="y", colors=BLUE)
    right.axhline(0, color=BLUE, linestyle="--", linewidth=0.8)
    return right, grid


def label_network_axes(axes: Axes, right: Axes) -> None:
    """The labels of Figure 2: the axis below is x in green and the kink of a neuron in blue."""
    axes.set_ylabel("network output h(x)", color=GREEN)
    right.set_ylabel("neuron sign(a)|w|", color=BLUE)
    axes.set_xlabel(" ")  # the room for the two colours
    below: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "xytext": (0, -26),
        "fontsize": 9,
    }
    axes.annotate("input x", (0.36, 0), color=GREEN, ha="right", **below)
    axes.annotate(r"kink $-w_{j,2}/w_{j,1}$", (0.46, 0), color=BLUE, ha="left", **below)


def limits(values: Any, margin: float = 0.1) -> tuple[float, float]:
    """Limits with a margin around the values and zero."""
    low, high = min(float(np.min(values)), 0.0), max(float(np.max(values)), 0.0)
    room = margin * (high - low or 1.0)
    return low - room, high + room


def stars(run: xr.Dataset) -> tuple[Any, Any]:
    """(time, neuron): the kinks −w_2/w_1, and sign(a)|w|."""
    hidden, output = run["hidden"].values, run["output"].values
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = -hidden[..., 1] / hidden[..., 0]
    return kinks, np.sign(output) * np.linalg.norm(hidden, axis=-1)


@figure(
    "published",
    "Snapshots of training on two orthogonal points from the authors' initial weights: data (dots) and network "
    "(curve) on the left axis, neurons (stars; those with kinks in the window) on the right one. Descent in float64.",
    size=(9.0, 6.4),
)
def figure2(canvas: Figure, data: Data) -> None:
    run = run_of(data["orthogonal"])
    kinks, sizes = stars(run)
    step = np.rint(run["time"].values / STEP).astype(int)
    for axes, iteration in zip(canvas.subplots(2, 2).ravel(), (0, 1881, 9004, 15407), strict=True):
        frame = int(np.flatnonzero(step == iteration)[0])
        right, grid = network_axes(axes, run)
        values = curve(run["hidden"].values[frame], run["output"].values[frame], grid)
        axes.plot(grid, values, color=GREEN)
        right.plot(kinks[frame], sizes[frame], "*", color=BLUE, markersize=6, alpha=0.7)
        height = 1.15 * max(np.abs(values).max(), np.abs(run["targets"].values).max())
        axes.set_ylim(-height, height)
        bound = 1.15 * np.abs(sizes[frame]).max()
        right.set_ylim(-bound, bound)
        axes.set_title(f"iteration {iteration}, L = {float(run['loss'][frame]):.3g}")
        label_network_axes(axes, right)


def network_animation(experiment: str) -> Callable[[Figure, Data], Iterator[list[Artist]]]:
    """The animation of a one-dimensional run, a frame for each saved time."""

    def draw(canvas: Figure, data: Data) -> Iterator[list[Artist]]:
        run = run_of(data[experiment])
        kinks, sizes = stars(run)
        axes = canvas.subplots()
        right, grid = network_axes(axes, run)
        still = [*axes.lines, *right.lines]  # the data and the line at zero, which lie above the curve
        hidden, output = run["hidden"].values, run["output"].values
        curves = np.stack([curve(*state, grid) for state in zip(hidden, output, strict=True)])
        (line,) = axes.plot(grid, curves[0], color=GREEN)
        (points,) = right.plot(kinks[0], sizes[0], "*", color=BLUE, markersize=6, alpha=0.7)
        axes.set_ylim(limits([*run["targets"].values, *curves.ravel()]))
        bound = 1.1 * np.abs(sizes).max()
        right.set_ylim(-bound, bound)
        label_network_axes(axes, right)
        title = axes.set_title(" ")
        for frame, time in enumerate(run["time"].values):
            line.set_ydata(curves[frame])
            points.set_data(kinks[frame], sizes[frame])
            title.set_text(f"iteration {round(time / STEP)}, L = {float(run['loss'][frame]):.3g}")
            yield [line, *still, points, title]

    return draw


# ---- loss profiles ----

REFERENCES = {
    "orthogonal": "boursier2022_orthogonal_seed0",
    "nonorthogonal_small": "boursier2022_nonorthogonal_small_seed0",
    "nonorthogonal_large": "boursier2022_nonorthogonal_large_seed0",
    "high_dimension": "boursier2022_high_dimension_seed4",
}


def loss_profile(experiment: str) -> Callable[[Figure, Data], None]:
    """L against iterations: descent in both precisions, the authors' own losses, the flow."""

    def draw(canvas: Figure, data: Data) -> None:
        theirs = data[REFERENCES[experiment]]
        linear, logarithmic = canvas.subplots(1, 2)
        for axes in (linear, logarithmic):
            for dtype, style, color in (("float64", "-", BLUE), ("float32", "--", "#E69F00")):
                run = run_of(data[experiment], dtype=dtype)
                axes.plot(run["time"] / STEP, run["loss"], style, color=color, label=f"descent, {dtype}")
            run = run_of(data[experiment], "flow")
            axes.plot(
                run["time"] / STEP, run["loss"], ":", color="black", label="exact flow, iteration = t/1e-3"
            )
            axes.plot(
                theirs["iteration"], theirs["loss"], "o", color="#D55E00", markersize=3, fillstyle="none", markevery=4,
                label="authors' run (float32), every 4th frame",
            )  # fmt: skip
            axes.set_xlabel("iteration (step size 1e-3)")
            axes.set_ylabel("loss L(θ) = (1/n) Σ (h(x) − y)²")
        linear.set_xlim(0, float(run["time"][-1]) / STEP)
        linear.set_ylim(0, 1.05 * float(theirs["loss"][0]))
        logarithmic.set_xscale("log")
        logarithmic.set_yscale("log")
        logarithmic.legend(loc="lower left")

    return draw


# ---- high dimension ----


def polar_axes(canvas: Figure, run: xr.Dataset, frame: int) -> tuple[Any, list[Any]]:
    """The polar plot of the neurons in the two leading principal directions, with its artists."""
    axes: Any = canvas.add_subplot(projection="polar")
    points = []
    for sign, color, label in ((1, VIOLET, "a > 0"), (-1, RED, "a < 0")):
        chosen = np.sign(run["output"].values[-1]) == sign
        angle, radius = polar(run, frame, chosen)
        (drawn,) = axes.plot(angle, radius, "*", color=color, markersize=6, alpha=0.6, label=label)
        points.append((drawn, chosen))
    largest = np.linalg.norm(run["principal_coordinates"].values, axis=-1).max()
    axes.set_rlim(0, 1.08 * largest)
    axes.set_rorigin(-0.05 * 1.08 * largest)
    axes.set_rlabel_position(112)
    axes.set_xlabel("angle: direction of w in the plane (PC1, PC2); radius: norm of w in that plane")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return axes, points


def polar(run: xr.Dataset, frame: int, chosen: Any) -> tuple[Any, Any]:
    """Angle and radius of the chosen neurons at a frame."""
    first, second = np.moveaxis(run["principal_coordinates"].values[frame][chosen], -1, 0)
    return np.arctan2(second, first), np.hypot(first, second)


@figure(
    "published",
    "Neurons at the end of training in high dimension, in the two leading principal directions of the last hidden "
    "weights (uncentred), by descent in float64. The inner circle is radius 0, as in the notebook.",
    size=(6.4, 4.6),
)
def high_dimension_directions(canvas: Figure, data: Data) -> None:
    run = run_of(data["high_dimension"])
    axes, _ = polar_axes(canvas, run, -1)
    share = run["explained_variance_ratio"].values[:2].sum()
    axes.set_title(f"two principal components hold {100 * share:.1f} % of |W|²")


def high_dimension_animation(canvas: Figure, data: Data) -> Iterator[list[Artist]]:
    run = run_of(data["high_dimension"])
    axes, points = polar_axes(canvas, run, 0)
    title = axes.set_title(" ")
    for frame, time in enumerate(run["time"].values):
        for drawn, chosen in points:
            drawn.set_data(*polar(run, frame, chosen))
        title.set_text(f"iteration {round(time / STEP)}, L = {float(run['loss'][frame]):.3g}")
        yield [*(drawn for drawn, _ in points), title]


@figure(
    "published",
    "Share of |W|² along each principal direction of the last hidden weights, uncentred.",
    (6.0, 3.2),
)
def explained_variance(canvas: Figure, data: Data) -> None:
    axes = canvas.subplots()
    for dynamics, marker, color in (("descent", "o", BLUE), ("flow", "x", "black")):
        ratio = run_of(data["high_dimension"], dynamics)["explained_variance_ratio"].values[:12]
        label = f"{dynamics}: first two {100 * ratio[:2].sum():.1f} %"
        axes.plot(np.arange(1, len(ratio) + 1), ratio, marker, color=color, label=label, fillstyle="none")
    axes.set_yscale("log")
    axes.set_xlabel("principal direction")
    axes.set_ylabel("share of |W|²")
    axes.legend()


# ---- checks of the statements ----


@figure(
    "theorem",
    "Largest difference over time between the losses of descent and exact flow on two orthogonal points. The line "
    "has slope 1.",
    (5.0, 3.4),
)
def step_error(canvas: Figure, data: Data) -> None:
    axes = canvas.subplots()
    loss = data["step_error"]["loss"].isel(seed=0)
    steps = np.array([1e-4, 1e-3, 1e-2])
    names = ["step_1e-4", "step_1e-3", "step_1e-2"]
    errors = np.array([float(np.abs(loss.sel(dynamics=n) - loss.sel(dynamics="flow")).max()) for n in names])
    axes.loglog(steps, errors, "o", markersize=6, fillstyle="none", label="measured")
    axes.loglog(steps, errors[0] * steps / steps[0], color="black", linewidth=0.9, label="first order")
    axes.margins(x=0.15, y=0.12)
    for step, error in zip(steps, errors, strict=True):
        axes.annotate(f"{error:.2g}", (step, error), textcoords="offset points", xytext=(6, -9), fontsize=7.5)
    axes.set_xlabel("step size η")
    axes.set_ylabel(r"max over $t$ of $|L_{descent} - L_{flow}|$")
    axes.legend()


def shared(dataset: xr.Dataset, name: str) -> Any:
    """Inputs or targets that all runs share."""
    array = dataset[name]
    return array.isel({d: 0 for d in array.dims if d not in ("sample", "feature")}).values


@figure(
    "theorem",
    "Five orthogonal points, exact flow from scales λ = 1e-2 … 1e-30. Left: when the labels of either sign are "
    "fitted, with lines of slope ln 10/|D±| a decade through the smallest λ, D± = (1/n) Σ y x over ±y > 0. "
    "Middle: distance of the loss from the plateau half way between. Right: excess of ½|θ|² over the minimum norm, "
    "with the slope at which neurons blind to one sample die out.",
    size=(9.6, 3.4),
)
def scale_sweep(canvas: Figure, data: Data) -> None:
    dataset = data["scale_sweep"]
    inputs, targets = shared(dataset, "inputs"), shared(dataset, "targets")
    level = theory.plateau(targets)
    start = float((targets**2).sum() / (2 * len(targets)))
    scale, time = dataset["scale"].values, dataset["time"].values
    losses = dataset["loss"].transpose("scale", "seed", "time").values
    left, middle, right = canvas.subplots(1, 3)
    when = {}
    for sign, drive, height, color, marker in zip(
        "+−",
        theory.drives(inputs, targets),
        ((start + level) / 2, level / 2),
        (BLUE, "#D55E00"),
        "os",
        strict=True,
    ):
        when[sign] = np.array([[first_below(time, one, height) for one in seeds] for seeds in losses])
        mean = when[sign].mean(-1)
        left.plot(scale, mean, marker, color=color, label=f"labels {sign}, measured", fillstyle="none")
        line = mean[-1] + np.log(scale[-1] / scale) / drive
        left.plot(scale, line, color=color, linewidth=0.9, label=f"slope {np.log(10) / drive:.3f} a decade")
    left.set_xscale("log")
    left.invert_xaxis()
    left.set_ylim(0, None)
    left.set_ylabel("time t")
    left.legend()
    middle_time = 0.5 * (when["+"] + when["−"])
    between = np.array(
        [
            [np.interp(middle_time[i, j], time, losses[i, j]) for j in range(losses.shape[1])]
            for i in range(len(scale))
        ]
    )
    middle.loglog(scale, np.abs(between / level - 1), "o", color=BLUE, markersize=3, fillstyle="none")
    middle.axhline(1e-3, color="black", linestyle="--", linewidth=0.9, label="0.1 %, the tolerance")
    middle.invert_xaxis()
    middle.set_ylabel(f"|L/plateau − 1|, plateau {level:.4g}")
    middle.legend()
    excess = (
        dataset["path_norm"].isel(time=-1).transpose("scale", "seed").values
        / sum(theory.minimum_norm(inputs, targets))
        - 1
    )
    right.loglog(scale, excess, "o", color=BLUE, markersize=3, fillstyle="none")
    power = theory.excess_exponent(inputs, targets)
    middle_of = len(scale) // 2
    through = np.exp(np.log(excess[middle_of]).mean()) * (scale / scale[middle_of]) ** power
    right.loglog(scale, through, color="black", linewidth=0.9, label=f"slope 2(1 − |D_A|/|D|) = {power:.3f}")
    right.set_ylim(1e-13, None)
    right.set_ylabel("½|θ|²/(|v₊| + |v₋|) − 1")
    right.invert_xaxis()
    right.legend()
    for axes in (left, middle, right):
        axes.set_xlabel("initial scale λ")


@figure(
    "theorem",
    "Random orthogonal sets in which one neuron of each sign sees all samples of its sign, exact flow to t = 4000, "
    "6 seeds each. Lines, one a seed: from its value at λ = 1e-16 with the slope 2(1 − |D_A|/|D|) of the heaviest "
    "neuron that misses a sample.",
    size=(9.0, 3.6),
)
def implicit_bias(canvas: Figure, data: Data) -> None:
    dataset = data["implicit_bias"]
    left, right = canvas.subplots(1, 2)
    colors = (BLUE, "#D55E00", "#009E73", "#CC79A7")
    for index, (samples, color, marker) in enumerate(
        zip(dataset["samples"].values, colors, "os^D", strict=True)
    ):
        runs = dataset.sel(samples=samples).transpose("scale", "seed", ...)
        first = runs.isel(scale=0)
        sets = [
            theory.without_padding(*one)
            for one in zip(first["seed_inputs"].values, first["seed_targets"].values, strict=True)
        ]
        least = np.array([sum(theory.minimum_norm(*one)) for one in sets])
        excess = runs["path_norm"].isel(time=-1).values / least - 1
        scale = runs["scale"].values
        power = first["blind_exponent"].values
        label = f"n = {samples}"
        left.loglog(
            np.repeat(scale, excess.shape[1]), np.maximum(excess, 1e-16).ravel(), marker, color=color,
            fillstyle="none", markersize=3.5, label=label,
        )  # fmt: skip
        start = int(np.flatnonzero(scale == 1e-16)[0])
        for seed, exponent in enumerate(power):
            left.loglog(
                scale[start:], excess[start, seed] * (scale[start:] / scale[start]) ** exponent, color=color,
                linewidth=0.6, alpha=0.7,
            )  # fmt: skip
        place = scale * 10 ** (1.0 * (index - 1.5))
        count = runs["carrying_directions"].isel(time=-1).values
        right.semilogx(
            np.repeat(place, count.shape[1]), count.ravel(), marker, color=color, fillstyle="none", markersize=3.5,
            label=label,
        )  # fmt: skip
    right.axhline(2, color="black", linewidth=0.9, label="2, the theorem")
    left.set_ylim(1e-16, None)
    left.set_ylabel("½|θ|²/(|v₊| + |v₋|) − 1")
    left.set_xlabel("initial scale λ")
    right.set_ylabel("directions with ≥ 1 % of Σ|a||w|")
    right.set_ylim(0, None)
    right.set_xlabel("initial scale λ (shifted by n to be told apart)")
    for axes in (left, right):
        axes.invert_xaxis()
        axes.legend()


PLATEAU = 1209 / 38000


@figure(
    "theorem",
    "Five points on a line. Left: when the exact flow leaves the plateau (L below 90 % of it), 24 starts each, mean "
    "and range, with a straight line through the means. Right: the share of 24 descents that leave it by t = 600, "
    "with exact 95 % intervals; the flow leaves it from every start.",
    size=(9.0, 3.6),
)
def escape(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    flow = data["escape_of_flow"]
    time, scale = flow["time"].values, flow["scale"].values * np.sqrt(60)
    losses = flow["loss"].transpose("scale", "seed", "time").values
    when = np.array([[first_below(time, one, 0.9 * PLATEAU) for one in seeds] for seeds in losses])
    mean = np.nanmean(when, axis=-1)
    spread = [mean - np.nanmin(when, axis=-1), np.nanmax(when, axis=-1) - mean]
    left.errorbar(
        scale, mean, yerr=spread, fmt="o", color=BLUE, capsize=2, label="exact flow, mean and range"
    )
    small = flow["scale"].values < 1e-3
    fit = np.polyfit(np.log10(1 / scale[small]), mean[small], 1)
    left.plot(
        scale,
        np.polyval(fit, np.log10(1 / scale)),
        color="black",
        linewidth=0.9,
        label=f"{fit[0]:.1f} a decade",
    )
    left.set_xscale("log")
    left.invert_xaxis()
    left.set_ylim(0, None)
    left.set_xlabel("initial scale s (weights have standard deviation s/√m)")
    left.set_ylabel("escape time t")
    left.legend()
    descent = data["escape_of_descent"].sortby("step_size")
    for value, color, marker in zip(descent["scale"].values, (BLUE, "#D55E00"), "os", strict=True):
        escaped = (
            (descent["loss"].sel(scale=value).isel(time=-1) < 0.9 * PLATEAU)
            .transpose("step_size", "seed")
            .values
        )
        share = escaped.mean(-1)
        ends = np.array([chance_interval(int(e.sum()), len(e))[1:] for e in escaped])
        right.errorbar(
            descent["step_size"], share, yerr=np.abs(ends.T - share), fmt=marker, color=color, capsize=2,
            label=f"descent, s = {value * np.sqrt(60):.0e}",
        )  # fmt: skip
    right.axhline(
        float(np.mean(losses[..., -1] < 0.9 * PLATEAU)),
        color="black",
        linewidth=0.9,
        label="exact flow, all scales",
    )
    right.set_xscale("log")
    right.set_ylim(-0.03, 1.05)
    right.set_xlabel("step size η (the paper's time; the notebooks' 1e-3 is 2e-3 here)")
    right.set_ylabel("share of starts that leave the plateau")
    right.legend()


TITLES = {
    "orthogonal": "two orthogonal points, s = 1e-6",
    "nonorthogonal_small": "five points, s = 1e-4",
    "nonorthogonal_large": "five points, s = 10",
    "high_dimension": "n = 75 points in d = 150 dimensions, s = 1e-20",
}


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"boursier2022.{name}", thing)
    for experiment, told in TITLES.items():
        caption = (
            f"Loss against iterations from the authors' initial weights: {told}. Left: the notebook's axes; right: "
            "the same, logarithmic. Lines join the iterations that the authors saved."
        )
        files = (f"data/{REFERENCES[experiment]}.nc",)
        register(
            f"boursier2022.loss_{experiment}",
            Drawing(loss_profile(experiment), "published", caption, (9.0, 3.6), files=files),
        )
        film = (
            f"Training from the authors' initial weights, a frame for each iteration that they saved: {told}."
        )
        if experiment == "high_dimension":
            register(
                "boursier2022.animation_high_dimension",
                Drawing(high_dimension_animation, "published", film, (6.4, 4.6), frames_per_second=12),
            )
        else:
            drawn = Drawing(network_animation(experiment), "published", film, frames_per_second=15)
            register(f"boursier2022.animation_{experiment}", drawn)
