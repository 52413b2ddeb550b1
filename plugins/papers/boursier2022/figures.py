"""The figures and animations of Boursier, Pillaud-Vivien and Flammarion 2022, and checks of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Paper, name_axes, reference
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import marker_of, style_of, symbol_of

from . import measured, theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from twolayer import Run

paper = Paper(
    "boursier2022", "Boursier, Pillaud-Vivien, Flammarion 2022", {"scale": r"\lambda"}, setting=theory.SETTING
)

AUTHORS_RUNS = {
    "orthogonal": "data/boursier2022_orthogonal_seed0.nc",
    "nonorthogonal_small": "data/boursier2022_nonorthogonal_small_seed0.nc",
    "nonorthogonal_large": "data/boursier2022_nonorthogonal_large_seed0.nc",
    "high_dimension": "data/boursier2022_high_dimension_seed4.nc",
}

GREEN, BLUE, RED, VIOLET = "#1B7837", "#0072B2", "firebrick", "darkviolet"


def setting(run: Run, theirs: xr.Dataset) -> str:
    """What was run from whose weights, in words."""
    samples, features = measured.descent(run).inputs.shape
    data = f"{samples} points in {features} dimensions"
    if not measured.starts_like(measured.descent(run), theirs):
        return f"{data}, other weights than the authors'"
    return f"{data}, the authors' initial weights, s = {theirs.attrs['init_scale']:g}"


START = ("dynamics", "dtype", "loss", "output", "inputs", "targets")
"""What tells whether a run starts from the authors' weights."""


# ---- Figure 2 and the animations of one-dimensional networks ----


def curve(hidden: Any, output: Any, x: Any) -> Any:
    """h(x) = Σ a_j relu(w_j1 x + w_j2) on a grid of x."""
    return np.maximum(np.outer(x, hidden[:, 0]) + hidden[:, 1], 0) @ output


def network_axes(axes: Axes, run: Run) -> tuple[Axes, Any]:
    """The two axes of Figure 2 with the data on the left one, and the grid of x."""
    x, y = run.inputs.values[:, 0], run.targets.values
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


def stars(run: Run) -> tuple[Any, Any]:
    """(time, neuron): the kinks −w_2/w_1, and sign(a)|w|."""
    hidden, output = run.hidden.values, run.output.values
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = -hidden[..., 1] / hidden[..., 0]
    return kinks, np.sign(output) * np.linalg.norm(hidden, axis=-1)


def frame_title(run: Run, frame: int) -> str:
    """The title of a saved frame of a descent."""
    return f"iteration {int(run.step[frame])}, L = {float(run.loss[frame]):.3g}"


@paper.figure(
    "published",
    lambda run, theirs: (
        f"Snapshots of training by descent in float64: {setting(run, theirs)}. Data (dots) and network (curve) on the "
        "left axis, neurons (stars; those with kinks in the window) on the right one."
    ),
    on={"orthogonal": (*START, "hidden")},
    check=measured.descent,
    size=(9.0, 6.4),
    files=[AUTHORS_RUNS["orthogonal"]],
)
def figure2(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    descent = measured.descent(run).isel(seed=0)
    kinks, sizes = stars(descent)
    for axes, iteration in zip(canvas.subplots(2, 2).ravel(), theory.FIGURE_2, strict=True):
        frame = int(np.argmin(np.abs(descent.step.values - iteration)))
        right, grid = network_axes(axes, descent)
        values = curve(descent.hidden.values[frame], descent.output.values[frame], grid)
        axes.plot(grid, values, color=GREEN)
        right.plot(kinks[frame], sizes[frame], "*", color=BLUE, markersize=6, alpha=0.7)
        height = 1.15 * max(np.abs(values).max(), np.abs(descent.targets.values).max())
        axes.set_ylim(-height, height)
        bound = 1.15 * np.abs(sizes[frame]).max()
        right.set_ylim(-bound, bound)
        axes.set_title(frame_title(descent, frame))
        label_network_axes(axes, right)


def network_frames(canvas: Figure, run: Run) -> Iterator[list[Artist]]:
    """The animation of a one-dimensional run, a frame for each saved time."""
    run = measured.descent(run).isel(seed=0)
    kinks, sizes = stars(run)
    axes = canvas.subplots()
    right, grid = network_axes(axes, run)
    still = [*axes.lines, *right.lines]  # the data and the line at zero, which lie above the curve
    curves = np.stack(
        [curve(*state, grid) for state in zip(run.hidden.values, run.output.values, strict=True)]
    )
    (line,) = axes.plot(grid, curves[0], color=GREEN)
    (points,) = right.plot(kinks[0], sizes[0], "*", color=BLUE, markersize=6, alpha=0.7)
    axes.set_ylim(limits([*run.targets.values, *curves.ravel()]))
    bound = 1.1 * np.abs(sizes).max()
    right.set_ylim(-bound, bound)
    label_network_axes(axes, right)
    title = axes.set_title(" ")
    for frame in range(len(curves)):
        line.set_ydata(curves[frame])
        points.set_data(kinks[frame], sizes[frame])
        title.set_text(frame_title(run, frame))
        yield [line, *still, points, title]


def film_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of an animation."""
    return f"Training by descent in float64, a frame for each saved iteration: {setting(run, theirs)}."


def film(experiment: str, *shown: str, **drawing: Any) -> Any:
    """An animation of one of the runs from the authors' weights."""
    return paper.figure(
        "published", film_caption, on={experiment: (*START, *shown)}, check=measured.descent,
        files=[AUTHORS_RUNS[experiment]], **drawing,
    )  # fmt: skip


@film("orthogonal", "hidden", size=(6.0, 4.0), frames_per_second=15)
def animation_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_small", "hidden", size=(6.0, 4.0), frames_per_second=15)
def animation_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_large", "hidden", size=(6.0, 4.0), frames_per_second=15)
def animation_nonorthogonal_large(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


# ---- loss profiles ----


def loss_profile(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    """L against iterations: descent in both precisions, the losses that the authors saved, the flow."""
    step = measured.descent(run).config.dynamics.step_size
    linear, logarithmic = canvas.subplots(1, 2)
    for axes in (linear, logarithmic):
        for part in run.by("dynamics", "dtype"):
            loss = part.loss.isel(seed=0)
            if part.dynamics == "flow":
                axes.plot(part.time / step, loss, ":k", label=f"exact flow, iteration = t/{step:g}")
            else:
                color, style = (BLUE, "-") if part.dtype == "float64" else ("#E69F00", "--")
                axes.plot(part.step, loss, style, color=color, label=f"descent, {part.dtype}")
        if measured.starts_like(measured.descent(run), theirs):
            axes.plot(
                theirs["iteration"] * (theirs.attrs["learning_rate"] / step), theirs["loss"], "o", color="#D55E00",
                markersize=3, fillstyle="none", markevery=4, label="authors' run (float32), every 4th frame",
            )  # fmt: skip
        axes.set_xlabel(f"iteration (step size {step:g})")
        name_axes(axes, y=run.loss)
    linear.set_xlim(0, float(np.nanmax(run.time)) / step)
    linear.set_ylim(0, 1.05 * float(run.loss.isel(time=0).max()))
    logarithmic.set_xscale("log")
    logarithmic.set_yscale("log")
    logarithmic.legend(loc="lower left")


def loss_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of a loss profile."""
    return (
        f"Loss against iterations: {setting(run, theirs)}. Left: the notebook's axes; right: the same, logarithmic. "
        "Lines join the saved iterations."
    )


def profile(experiment: str) -> Any:
    """A loss profile of one of the runs from the authors' weights."""
    return paper.figure(
        "published",
        loss_caption,
        on={experiment: START},
        check=measured.descent,
        size=(9.0, 3.6),
        files=[AUTHORS_RUNS[experiment]],
    )


@profile("orthogonal")
def loss_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("nonorthogonal_small")
def loss_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("nonorthogonal_large")
def loss_nonorthogonal_large(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


@profile("high_dimension")
def loss_high_dimension(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    loss_profile(canvas, run, theirs)


# ---- high dimension ----


def polar_axes(canvas: Figure, run: Run, frame: int) -> tuple[Any, list[Any]]:
    """The polar plot of the neurons in the two leading principal directions, with its artists."""
    axes: Any = canvas.add_subplot(projection="polar")
    points = []
    for sign, color, label in ((1, VIOLET, "a > 0"), (-1, RED, "a < 0")):
        chosen = np.sign(run.output.values[-1]) == sign
        angle, radius = polar(run, frame, chosen)
        (drawn,) = axes.plot(angle, radius, "*", color=color, markersize=6, alpha=0.6, label=label)
        points.append((drawn, chosen))
    largest = np.linalg.norm(run.principal_coordinates.values, axis=-1).max()
    axes.set_rlim(0, 1.08 * largest)
    axes.set_rorigin(-0.05 * 1.08 * largest)
    axes.set_rlabel_position(112)
    axes.set_xlabel("angle: direction of w in the plane (PC1, PC2); radius: norm of w in that plane")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return axes, points


def polar(run: Run, frame: int, chosen: Any) -> tuple[Any, Any]:
    """Angle and radius of the chosen neurons at a frame."""
    first, second = np.moveaxis(run.principal_coordinates.values[frame][chosen], -1, 0)
    return np.arctan2(second, first), np.hypot(first, second)


@paper.figure(
    "published",
    "Neurons at the end of training in high dimension, in the two leading principal directions of the last hidden "
    "weights (uncentred), by descent in float64. The inner circle is radius 0, as in the notebook.",
    on={
        "high_dimension": ["dynamics", "dtype", "output", "principal_coordinates", "explained_variance_ratio"]
    },
    check=measured.descent,
    size=(6.4, 4.6),
)
def high_dimension_directions(canvas: Figure, run: Run) -> None:
    descent = measured.descent(run).isel(seed=0)
    axes, _ = polar_axes(canvas, descent, -1)
    share = float(descent.explained_variance_ratio[:2].sum())
    axes.set_title(f"two principal components hold {100 * share:.1f} % of |W|²")


@film("high_dimension", "principal_coordinates", size=(6.4, 4.6), frames_per_second=12)
def animation_high_dimension(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    descent = measured.descent(run).isel(seed=0)
    axes, points = polar_axes(canvas, descent, 0)
    title = axes.set_title(" ")
    for frame in range(descent.dataset.sizes["time"]):
        for drawn, chosen in points:
            drawn.set_data(*polar(descent, frame, chosen))
        title.set_text(frame_title(descent, frame))
        yield [*(drawn for drawn, _ in points), title]


def descent_and_flow(run: Any) -> None:
    """Refuse runs without a descent or a flow."""
    measured.descent(run), measured.flow(run)


@paper.figure(
    "published",
    "Share of |W|² along each principal direction of the last hidden weights, uncentred.",
    on={"high_dimension": ["dynamics", "dtype", "explained_variance_ratio"]},
    check=descent_and_flow,
    size=(6.0, 3.2),
)
def explained_variance(canvas: Figure, run: Run) -> None:
    axes = canvas.subplots()
    for name, part, marker, color in (
        ("descent", measured.descent(run), "o", BLUE),
        ("flow", measured.flow(run), "x", "black"),
    ):
        ratio = part.explained_variance_ratio.isel(seed=0).values[:12]
        label = f"{name}: first two {100 * ratio[:2].sum():.1f} %"
        axes.plot(np.arange(1, len(ratio) + 1), ratio, marker, color=color, label=label, fillstyle="none")
    axes.set_yscale("log")
    axes.set_xlabel("principal direction")
    axes.set_ylabel("share of |W|²")
    axes.legend()


# ---- checks of the statements ----


@paper.figure(
    "theorem",
    "Largest difference over time between the losses of descent and exact flow. The line has slope 1.",
    on={"step_error": ["dynamics", "loss"]},
    check=lambda run: measured.kinds(run),
    size=(5.0, 3.4),
)
def step_error(canvas: Figure, run: Run) -> None:
    axes = canvas.subplots()
    errors = measured.step_errors(run)
    steps, smallest = errors["step_size"].values, errors[-1]
    axes.loglog(steps, errors, "o", markersize=6, fillstyle="none", label="measured")
    reference(axes, steps, float(smallest) * steps / float(smallest["step_size"]), "first order")
    axes.margins(x=0.15, y=0.12)
    for step, error in zip(steps, errors.values, strict=True):
        axes.annotate(f"{error:.2g}", (step, error), textcoords="offset points", xytext=(6, -9), fontsize=7.5)
    axes.set_xlabel(f"step size {symbol_of('step_size')}")
    axes.set_ylabel(r"max over $t$ of $|L_{descent} - L_{flow}|$")
    axes.legend()


def scale_axis(axes: Axes) -> None:
    """The initial scale, which falls to the right."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel(f"initial scale {symbol_of('scale', paper.symbols)}")


@paper.figure(
    "theorem",
    "Orthogonal points, exact flow from small scales λ. Left: when the labels of either sign are fitted, with lines "
    "of slope ln 10/|D±| per decade through the smallest λ, D± = (1/n) Σ y x over ±y > 0. Middle: distance of the "
    "loss from the plateau half way between. Right: excess of ½|θ|² over the minimum norm, with the slope at which "
    "neurons blind to one sample die out.",
    on={"scale_sweep": ["scale", "loss", "path_norm", "inputs", "targets"]},
    size=(9.6, 3.4),
)
def scale_sweep(canvas: Figure, run: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    first = next(run.by("scale"))
    inputs, targets = first.inputs.values, first.targets.values
    unit = measured.loss_unit(run)
    for number, (sign, drive, level) in enumerate(theory.fit_stages(inputs, targets)):
        when = run.along("scale", partial(measured.time_below, level=unit * level))
        mean = when.mean("seed").sortby("scale")
        scale, color = mean["scale"].values, f"C{number}"
        left.plot(scale, mean, "os"[number], color=color, label=f"labels {sign}, measured", fillstyle="none")
        line = mean.values[0] + np.log(scale[0] / scale) / drive / unit
        reference(left, scale, line, f"slope {np.log(10) / drive / unit:.3f} per decade", color=color)
    left.set_ylim(0, None)
    left.set_ylabel("time $t$")
    if targets.min() < 0 < targets.max():
        between, plateau = (
            run.along("scale", read) for read in (measured.loss_between, measured.plateau_between)
        )
        distance = abs(between / plateau - 1).transpose("scale", "seed")
        middle.plot(between["scale"], distance, "o", color="C0", markersize=3, fillstyle="none")
        reference(
            middle, [0, 1], [1e-3, 1e-3], "0.1 %, the tolerance", transform=middle.get_yaxis_transform()
        )
        middle.set_ylabel(f"|L/plateau − 1|, plateau {float(plateau[0]):.4g}")
    else:
        middle.set_title("all labels have one sign: no plateau")
    excess = run.along("scale", measured.norm_excess).transpose("scale", "seed")
    right.plot(excess["scale"], excess, "o", color="C0", markersize=3, fillstyle="none")
    power, centre = theory.excess_exponent(inputs, targets), excess[excess.sizes["scale"] // 2]
    scale = np.sort(excess["scale"].values)
    through = float(np.exp(np.log(centre).mean())) * (scale / float(centre["scale"])) ** power
    if np.isfinite(power):
        reference(right, scale, through, f"slope 2(1 − |D_A|/|D|) = {power:.3f}")
    right.set_ylabel("½|θ|²/(|v₊| + |v₋|) − 1")
    for axes in (middle, right):
        axes.set_yscale("log")
    right.set_ylim(1e-13, None)
    for axes in (left, middle, right):
        scale_axis(axes)
        axes.legend()


@paper.figure(
    "theorem",
    lambda run: (
        "Random orthogonal sets in which one neuron of each sign sees all samples of its sign, exact flow to "
        f"t = {float(run.time.max()):g}. Lines, one per seed: from its value at the largest λ ≤ 1e-16 with the slope "
        "2(1 − |D_A|/|D|) of the heaviest neuron that misses a sample."
    ),
    on={
        "implicit_bias": [
            "samples",
            "scale",
            "path_norm",
            "carrying_directions",
            "blind_exponent",
            "seed_inputs",
            "seed_targets",
        ]
    },
    size=(9.0, 3.6),
)
def implicit_bias(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    groups = list(run.by("samples"))
    counts = [group.samples for group in groups]
    for number, group in enumerate(groups):
        line, marker = style_of(group.samples, counts), marker_of(group.samples, counts)
        style = {**line, "linestyle": "none", "marker": marker, "fillstyle": "none", "markersize": 3.5}
        label = f"{symbol_of('samples')} = {group.samples}"
        for index, part in enumerate(group.along("scale")):
            excess = np.maximum(measured.norm_excess(part).values, 1e-16)
            scale, style["label"] = np.full(excess.shape, part.scale), "" if index else label
            left.plot(scale, excess, **style)
            directions = part.carrying_directions.isel(time=-1)
            shifted = scale * 10 ** (number - 0.5 * (len(groups) - 1))
            right.plot(shifted, directions, **style)
        small = measured.up_to(group, 1e-16)
        if small:
            scales = np.array([part.scale for part in small])
            exponents = small[0].blind_exponent.values
            predicted = measured.norm_excess(small[0]).values * (scales / scales[0])[:, None] ** exponents
            left.plot(scales, predicted, linewidth=0.6, alpha=0.7, **line)
    left.set_yscale("log")
    left.set_ylim(1e-16, None)
    left.set_ylabel("½|θ|²/(|v₊| + |v₋|) − 1")
    reference(right, [0, 1], [2, 2], "2, the theorem", transform=right.get_yaxis_transform())
    right.set_ylabel("directions with ≥ 1 % of Σ|a||w|")
    right.set_ylim(0, None)
    for axes in (left, right):
        scale_axis(axes)
        axes.legend()
    right.set_xlabel(f"{right.get_xlabel()} (shifted by n, for clarity)")


def points_on_a_line(*experiments: Any) -> None:
    """Refuse data whose plateau is not known."""
    for runs in experiments:
        for run in runs.by("run"):
            measured.escape_level(run)


@paper.figure(
    "theorem",
    lambda flow, descent: (
        f"Points on a line. Left: when the exact flow leaves the plateau (L below 90 % of it), {flow.seeds} starts "
        "each, mean and range, with a straight line through the means of λ < 1e-3. Right: the share of "
        f"{descent.seeds} descents that leave it by t = {float(descent.time.max()):g}, with exact 95 % intervals; the "
        "line is the flow's share. λ is the standard deviation of the weights."
    ),
    on={"escape_of_flow": ["scale", "loss"], "escape_of_descent": ["scale", "step_size", "loss"]},
    check=points_on_a_line,
    size=(9.0, 3.6),
)
def escape(canvas: Figure, flow: Run, descent: Run) -> None:
    left, right = canvas.subplots(1, 2)
    when = flow.along("scale", lambda part: measured.time_below(part, measured.escape_level(part)))
    mean, scale = when.mean("seed"), when["scale"].values
    spread = [mean - when.min("seed"), when.max("seed") - mean]
    left.errorbar(
        scale, mean, yerr=spread, fmt="o", color="C0", capsize=2, label="exact flow, mean and range"
    )
    small = (scale < 1e-3) & np.isfinite(mean.values)
    if small.sum() > 1:
        fit = np.polyfit(-np.log10(scale[small]), mean.values[small], 1)
        reference(left, scale, np.polyval(fit, -np.log10(scale)), f"{fit[0]:.1f} per decade")
    scale_axis(left)
    left.set_ylim(0, None)
    left.set_ylabel("escape time $t$")
    left.legend()
    parts = list(descent.by("scale"))
    letter = symbol_of("scale", paper.symbols)
    scales = [part.scale for part in parts]
    for part in parts:
        style, marker = style_of(part.scale, scales), marker_of(part.scale, scales)
        for index, run in enumerate(part.along("step_size")):
            escaped = run.loss.isel(time=-1) < measured.escape_level(run)
            share, low, high = chance_interval(int(escaped.sum()), run.seeds)
            right.errorbar(
                run.step_size, share, yerr=[[share - low], [high - share]], fmt=marker, color=style["color"],
                capsize=2, label="" if index else f"descent, {letter} = {part.scale:.2g}",
            )  # fmt: skip
    reference(right, [0, 1], 2 * [float(when.notnull().mean())], "exact flow, all scales",
              transform=right.get_yaxis_transform())  # fmt: skip
    right.set_xscale("log")
    right.set_ylim(-0.03, 1.05)
    right.set_xlabel(f"step size {symbol_of('step_size')} (in the paper's time)")
    right.set_ylabel("share of starts that leave the plateau")
    right.legend()
