"""The figures and animations of Boursier, Pillaud-Vivien and Flammarion 2022, and checks of its statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Paper, bands, floored, name_axes, reference
from twolayer.analysis.drawing import clipped
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import marker_of, style_of, symbol_of, trained_by
from twolayer.analysis.runs import Varied
from twolayer.core.wording import counted
from twolayer.errors import DataError

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
    data = f"{counted(samples, 'point')} in {counted(features, 'dimension')}"
    seed = "" if run.seeds == 1 else f"; the first of {run.seeds} seeds"
    if not measured.starts_like(measured.descent(run), theirs):
        return f"{data}, other weights than the authors'{seed}"
    return f"{data}, the authors' initial weights, $s$ = {theirs.attrs['init_scale']:g}{seed}"


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


def symmetric(axes: Axes, *values: Any) -> None:
    """Limits with 0 in the middle: the zeros of both axes of a panel are at one height."""
    bound = 1.15 * max(float(np.abs(value).max()) for value in values) or 1.0
    axes.set_ylim(-bound, bound)


def label_network_axes(axes: Axes, right: Axes, size: str = "|w|") -> None:
    """The labels of Figure 2: the axis below is x in green and the kink of a neuron in blue."""
    axes.set_ylabel("network output $h(x)$", color=GREEN)
    right.set_ylabel(rf"neuron $\mathrm{{sign}}(a)\,{size}$", color=BLUE)
    label_inputs(axes)


def label_inputs(axes: Axes) -> None:
    """The axis below in two colours."""
    axes.set_xlabel(" ")  # the room for the two colours
    below: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "xytext": (0, -26),
        "fontsize": 9,
    }
    axes.annotate("input $x$", (0.36, 0), color=GREEN, ha="right", **below)
    axes.annotate(r"kink $-w_{j,2}/w_{j,1}$", (0.46, 0), color=BLUE, ha="left", **below)


def stars(hidden: Any, output: Any) -> tuple[Any, Any]:
    """(…, neuron): the kinks −w_2/w_1, and sign(a)|w|."""
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = -hidden[..., 1] / hidden[..., 0]
    return kinks, np.sign(output) * np.linalg.norm(hidden, axis=-1)


def frame_title(run: Run, frame: int) -> str:
    """The title of a saved frame of a descent."""
    return f"iteration {int(run.step[frame])}, $L$ = {float(run.loss[frame]):.3g}"


@paper.figure(
    "published",
    lambda run, theirs: (
        f"Figure 2, training by descent: {setting(run, theirs)}. Data and network (green dots, line) on the left "
        "axis, neurons (blue stars) on the right one."
    ),
    on={"orthogonal": (*START, "hidden")},
    check=measured.descent,
    size=(7.0, 4.9),
    files=[AUTHORS_RUNS["orthogonal"]],
    details="Descent in float64. A neuron is a star where its kink lies in the window.",
)
def figure2(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    descent = measured.descent(run).isel(seed=0)
    kinks, sizes = stars(descent.hidden.values, descent.output.values)
    grid = canvas.subplots(2, 2, sharex=True)
    clock = 2 * theirs.attrs["learning_rate"] / measured.loss_unit(descent)  # theirs is the mean square
    times = np.array(theory.FIGURE_2) * clock
    frames = list(dict.fromkeys(np.abs(descent.time.values - times[:, None]).argmin(-1).tolist()))
    for axes in grid.ravel()[len(frames) :]:
        axes.set_visible(False)
    for panel, (axes, frame) in enumerate(zip(grid.ravel(), frames, strict=False)):
        right, x = network_axes(axes, descent)
        values = curve(descent.hidden.values[frame], descent.output.values[frame], x)
        axes.plot(x, values, color=GREEN)
        right.plot(kinks[frame], sizes[frame], "*", color=BLUE, markersize=6, alpha=0.7)
        symmetric(axes, values, descent.targets.values)
        symmetric(right, sizes[frame])
        axes.set_title(frame_title(descent, frame))
        label_network_axes(axes, right)
        if panel % 2:
            axes.set_ylabel("")
        else:
            right.set_ylabel("")
        if panel + 2 < len(frames):
            axes.set_xlabel("")
            for text in axes.texts:
                text.set_visible(False)


def network_frames(canvas: Figure, run: Run) -> Iterator[list[Artist]]:
    """The animation of a one-dimensional run, a frame for each saved time."""
    run = measured.descent(run).isel(seed=0)
    titles = [frame_title(run, frame) for frame in range(run.dataset.sizes["time"])]
    yield from moving_network(canvas, run, run.hidden.values, run.output.values, titles)


def moving_network(
    canvas: Figure, run: Run, hidden: Any, output: Any, titles: Sequence[str], rescaled: bool = False
) -> Iterator[list[Artist]]:
    """Frames of a one-dimensional network by its weights; rescaled: neurons over the largest one of the frame."""
    kinks, sizes = stars(hidden, output)
    if rescaled:
        sizes = sizes / np.abs(sizes).max(axis=-1, keepdims=True)
    axes = canvas.subplots()
    right, grid = network_axes(axes, run)
    still = [*axes.lines, *right.lines]  # the data and the line at zero, which lie above the curve
    curves = np.stack([curve(*state, grid) for state in zip(hidden, output, strict=True)])
    (line,) = axes.plot(grid, curves[0], color=GREEN)
    (points,) = right.plot(kinks[0], sizes[0], "*", color=BLUE, markersize=6, alpha=0.7)
    symmetric(axes, run.targets.values, curves)
    symmetric(right, sizes)
    label_network_axes(axes, right, r"|w|/\mathrm{max}" if rescaled else "|w|")
    title = axes.set_title(" ")
    for frame, text in enumerate(titles):
        line.set_ydata(curves[frame])
        points.set_data(kinks[frame], sizes[frame])
        title.set_text(text)
        yield [line, *still, points, title]


def film_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of an animation."""
    return f"Training by descent, a frame for each saved iteration: {setting(run, theirs)}."


def film(experiment: str, *shown: str, caption: Any = film_caption, **drawing: Any) -> Any:
    """An animation of one of the runs from the authors' weights."""
    return paper.figure(
        "published", caption, on={experiment: (*START, *shown)}, check=measured.descent,
        files=[AUTHORS_RUNS[experiment]], details="Descent in float64.", **drawing,
    )  # fmt: skip


@film("orthogonal", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_small", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_large", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_nonorthogonal_large(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


# ---- the same, even in progress ----

EVEN_FRAMES = 240


def even_frames(canvas: Figure, run: Run) -> Iterator[list[Artist]]:
    """Frames even in progress, neurons over the largest one: early alignment, then each fit, at one pace."""
    run = measured.descent(run).isel(seed=0)
    hidden, output, loss, step, largest = (
        measured.evenly(run, values, EVEN_FRAMES)
        for values in (
            run.hidden.values,
            run.output.values,
            run.loss.values,
            run.step.values,
            np.linalg.norm(run.hidden.values, axis=-1).max(-1),
        )
    )
    titles = [
        rf"iteration {step[frame]:.0f}, $L$ = {loss[frame]:.3g}, largest $|w|$ = {largest[frame]:.1e}"
        for frame in range(EVEN_FRAMES)
    ]
    yield from moving_network(canvas, run, hidden, output, titles, rescaled=True)


def even_film(experiment: str) -> Any:
    """An animation even in progress."""
    return paper.figure(
        "inferred",
        lambda run, theirs: (
            f"Training by descent, frames even in progress, neurons over the largest one: {setting(run, theirs)}."
        ),
        on={experiment: (*START, "hidden")},
        check=measured.descent,
        files=[AUTHORS_RUNS[experiment]],
        size=(5.5, 3.7),
        details="Progress is half the mean angle that neurons have turned by, half the fall of the loss, each as a "
        "share of the whole run's. Weights between saved iterations are interpolated linearly.",
    )


@even_film("orthogonal")
def progress_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from even_frames(canvas, run)


@even_film("nonorthogonal_small")
def progress_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from even_frames(canvas, run)


# ---- loss profiles ----

KINDS: Mapping[str, dict[str, Any]] = {
    "descent, float64": {"color": BLUE, "linestyle": "-", "zorder": 2.5},
    "descent, float32": {"color": "#E69F00", "linestyle": (0, (4, 2)), "zorder": 2.6},
    "exact flow": {"color": "black", "linestyle": ":", "zorder": 2.7},
}
"""Line and colour of each kind of run."""

LEAST = 1e-10
"""Of the differences that a loss profile shows, as a share of L(0)."""

FEW = 12
"""Fewer common iterations than this are shown as points, as a line through them would show what was not compared."""


def loss_profile(canvas: Figure, run: Run, theirs: xr.Dataset) -> None:
    """L against iterations on the notebook's axes with a logarithmic inset, and the distance from the authors' losses.

    From other weights than theirs: the distance from descent in float64.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator

    descent = measured.descent(run)
    step = descent.config.dynamics.step_size
    left, right = canvas.subplots(1, 2, width_ratios=[1.25, 1])
    inset = left.inset_axes((0.54, 0.62, 0.45, 0.38))
    alike = measured.starts_like(descent, theirs)
    base = measured.losses_by_iteration(descent, step)
    other = base
    if alike:
        iteration = theirs["iteration"] * (theirs.attrs["learning_rate"] / step)
        other = theirs["loss"].drop_vars("iteration").assign_coords(iteration=iteration.values)
        for axes in (left, inset):
            reference(axes, other["iteration"], other, "authors' run (float32)")
    start = float(other[0])
    saved: list[int] = []
    for part in run.by("dynamics", "dtype"):
        kind = "exact flow" if part.dynamics == "flow" else f"descent, {part.dtype}"
        loss = measured.losses_by_iteration(part, step)
        for axes in (left, inset):
            axes.plot(loss["iteration"], loss, label=kind, **KINDS[kind])
        if not alike and kind == "descent, float64":
            continue
        common, share = measured.distance(loss, other)
        common, share = common[common > 0], share[common > 0] / start
        points = {"marker": "o", "markersize": 2.5, "fillstyle": "none", "linestyle": "none"}
        style = KINDS[kind] | (points if len(common) < FEW else {})
        right.plot(common, np.where(share > LEAST, share, np.nan), label=kind, **style)
        saved.append(len(common))
        clipped(right, common, share, LEAST, KINDS[kind]["color"])
    left.set(xlim=(0, float(base["iteration"].max())), ylim=(0, 1.05 * float(base[0])))
    inset.set(xscale="log", yscale="log", xlim=(1, None))
    inset.tick_params(labelsize=7)
    inset.yaxis.set_major_locator(LogLocator(numticks=4))
    inset.xaxis.set_major_locator(LogLocator(numticks=4))
    inset.minorticks_off()
    left.xaxis.set_major_locator(MaxNLocator(5))
    if base["iteration"].max() > 2000:
        left.xaxis.set_major_formatter(lambda iteration, _: f"{iteration / 1000:g}k" if iteration else "0")
    if saved and not any(saved):
        note = {"ha": "center", "va": "center", "fontsize": 8, "color": "0.4"}
        right.text(0.5, 0.7, "no saved iteration in common", transform=right.transAxes, **note)
    right.axhspan(LEAST / 10, LEAST, color="0.55", alpha=0.15, lw=0, label="▽: below $10^{-10}$, or none")
    right.set(
        xscale="log", yscale="log", ylim=(LEAST / 10, None if any(saved) else 1.0), xlim=(0.8, None),
        ylabel=rf"$|\Delta L|/L(0)$ from {'the authors' if alike else 'float64'}",
    )  # fmt: skip
    name_axes(left, y=run.loss)
    for axes in (left, right):
        axes.set_xlabel(rf"iteration ($\eta$ = {step:g})")
    handles, labels = left.get_legend_handles_labels()
    zones, names = right.get_legend_handles_labels()
    extra = [(zone, name) for zone, name in zip(zones, names, strict=True) if name.startswith("▽")]
    canvas.legend(
        [*handles, *(zone for zone, _ in extra)], [*labels, *(name for _, name in extra)],
        loc="outside upper center", ncols=5, handlelength=2.2, columnspacing=1.2,
    )  # fmt: skip


def loss_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of a loss profile."""
    compared = f"its distance from {against(run, theirs)}"
    return f"Loss by iteration on the notebook's axes (inset: logarithmic), and {compared}: {setting(run, theirs)}."


def against(run: Run, theirs: xr.Dataset) -> str:
    """What the losses are compared with."""
    if measured.starts_like(measured.descent(run), theirs):
        return "the losses that the authors saved"
    return "descent in float64"


def profile(experiment: str) -> Any:
    """A loss profile of one of the runs from the authors' weights."""
    return paper.figure(
        "published",
        loss_caption,
        on={experiment: START},
        check=measured.descent,
        size=(7.0, 2.9),
        files=[AUTHORS_RUNS[experiment]],
        details=lambda run, theirs: (
            f"Lines join the saved iterations; fewer than {FEW} in common are points. The flow is at iteration t/η, "
            f"η = {measured.descent(run).config.dynamics.step_size:g}. Losses are compared at the iterations that "
            "both saved."
        ),
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
    for sign, color, marker, label in ((1, VIOLET, "*", "$a > 0$"), (-1, RED, "v", "$a < 0$")):
        chosen = np.sign(run.output.values[-1]) == sign
        angle, radius = polar(run, frame, chosen)
        (drawn,) = axes.plot(angle, radius, marker, color=color, markersize=5.5, alpha=0.6, label=label)
        points.append((drawn, chosen))
    largest = np.linalg.norm(run.principal_coordinates.values, axis=-1).max()
    axes.set_rlim(0, 1.08 * largest)
    axes.set_rorigin(-0.05 * 1.08 * largest)
    axes.set_rlabel_position(112)
    axes.set_xlabel("angle: direction of $w$ in the plane (PC1, PC2); radius: its length there")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return axes, points


def polar(run: Run, frame: int, chosen: Any) -> tuple[Any, Any]:
    """Angle and radius of the chosen neurons at a frame."""
    first, second = np.moveaxis(run.principal_coordinates.values[frame][chosen], -1, 0)
    return np.arctan2(second, first), np.hypot(first, second)


@paper.figure(
    "published",
    "Neurons at the end of training in high dimension, in the two leading principal directions of the last hidden "
    "weights, by descent.",
    on={
        "high_dimension": ["dynamics", "dtype", "output", "principal_coordinates", "explained_variance_ratio"]
    },
    check=measured.descent,
    size=(5.5, 4.2),
    details="Descent in float64; principal directions without centering. The inner circle is radius 0, as in the "
    "notebook.",
)
def high_dimension_directions(canvas: Figure, run: Run) -> None:
    descent = measured.descent(run).isel(seed=0)
    axes, _ = polar_axes(canvas, descent, -1)
    share = float(descent.explained_variance_ratio[:2].sum())
    axes.set_title(f"two principal components hold {100 * share:.1f} % of $|W|^2$", pad=16)


@film("high_dimension", "principal_coordinates", size=(5.5, 4.2), frames_per_second=12)
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
    "Share of $|W|^2$ along each principal direction of the last hidden weights, by descent and by the exact flow.",
    on={"high_dimension": ["dynamics", "dtype", "explained_variance_ratio"]},
    check=descent_and_flow,
    size=(5.5, 2.9),
    details="Principal directions without centering; descent in float64.",
)
def explained_variance(canvas: Figure, run: Run) -> None:
    axes = canvas.subplots()
    for name, part, marker, color in (
        ("descent", measured.descent(run), "o", BLUE),
        ("exact flow", measured.flow(run), "x", "black"),
    ):
        ratio = part.explained_variance_ratio.isel(seed=0).values[:12]
        label = f"{name}: first two {100 * ratio[:2].sum():.1f} %"
        axes.plot(np.arange(1, len(ratio) + 1), ratio, marker, color=color, label=label, fillstyle="none")
    axes.set_yscale("log")
    axes.set_xlabel("principal direction")
    axes.set_ylabel("share of $|W|^2$")
    axes.legend()


# ---- checks of the statements ----


@paper.figure(
    "theorem",
    "The largest difference over time between the losses of descent and of the exact flow, by the step size.",
    on={"step_error": ["dynamics", "loss"]},
    check=measured.comparable,
    size=(5.5, 3.1),
    details="The pale line has slope 1 through the smallest step.",
)
def step_error(canvas: Figure, run: Run) -> None:
    axes = canvas.subplots()
    errors = measured.step_errors(run)
    steps, smallest = errors["step_size"].values, errors[-1]
    reference(axes, steps, float(smallest) * steps / float(smallest["step_size"]), "first order")
    axes.loglog(steps, errors, "o", markersize=6, fillstyle="none", label="measured")
    axes.margins(x=0.15, y=0.12)
    for step, error in zip(steps, errors.values, strict=True):
        axes.annotate(f"{error:.2g}", (step, error), textcoords="offset points", xytext=(6, -9), fontsize=7.5)
    axes.set_xlabel(f"step size {symbol_of('step_size')}")
    axes.set_ylabel(r"$\max_t\,|L_\mathrm{descent} - L_\mathrm{flow}|$")
    axes.legend()


def scale_axis(axes: Axes) -> None:
    """The initial scale, which falls to the right."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel(f"initial scale {symbol_of('scale', paper.symbols)}")


def orthogonal_inputs(run: Any) -> None:
    """Refuse inputs that are not orthogonal, of which the predictions are not."""
    names = run.config.problem.name
    for name in names.values if isinstance(names, Varied) else [names]:
        if name != "orthogonal":
            raise DataError(
                f"its predictions are for the problem 'orthogonal', '{run.experiment}' has '{name}'"
            )


SIGNS = {"+": ("C0", "o", "-"), "−": ("C1", "s", (0, (5, 2)))}
"""Colour, marker and line of what belongs to the labels of either sign."""


def how(run: Run) -> str:
    """`exact flow` or `descent`, or both."""
    return trained_by(run).replace("gradient flow", "exact flow").replace("gradient descent", "descent")


EXCESS = r"excess $|\theta|^2/|\theta|^2_{\mathrm{min}} - 1$"


@paper.figure(
    "theorem",
    lambda run: (
        f"{how(run).capitalize()} from small scales "
        r"$\lambda$: when the labels of either sign are fitted, the loss half way between against the plateau, and "
        "the norm above the least."
    ),
    on={"scale_sweep": ["scale", "loss", "path_norm", "inputs", "targets"]},
    check=orthogonal_inputs,
    size=(7.0, 2.9),
    details=r"Pale lines: slopes $\ln 10/|D_\pm|$ per decade through the smallest scale, "
    r"$D_\pm = \frac{1}{n}\sum_{\pm y_k>0} y_k x_k$; and the power of $\lambda$ with which neurons that miss one "
    "sample die out, through the middle scale.",
)
def scale_sweep(canvas: Figure, run: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    first = next(run.by("scale"))
    inputs, targets = first.inputs.values, first.targets.values
    unit = measured.loss_unit(run)
    for sign, drive, level in theory.fit_stages(inputs, targets):
        when = run.along("scale", partial(measured.time_below, level=unit * level))
        mean = when.mean("seed").sortby("scale")
        scale, (color, marker, _) = mean["scale"].values, SIGNS[sign]
        reached = np.flatnonzero(np.isfinite(mean.values))
        if reached.size:
            line = mean.values[reached[0]] + np.log(scale[reached[0]] / scale) / drive / unit
            reference(left, scale, line, f"{np.log(10) / drive / unit:.3f} a decade", color=color)
        left.plot(scale, mean, marker, color=color, label=f"labels {sign}", fillstyle="none")
    left.set_ylim(0, 1.5 * left.get_ylim()[1])
    left.set_ylabel("time $t$ of the fit")
    if targets.min() < 0 < targets.max():
        between, plateau = (
            run.along("scale", read) for read in (measured.loss_between, measured.plateau_between)
        )
        distance = abs(between / plateau - 1).transpose("scale", "seed")
        middle.axhspan(1e-3, 10.0, color="0.55", alpha=0.15, lw=0, label="above 0.1 %")
        middle.plot(between["scale"], distance, "o", color="C0", markersize=3, fillstyle="none")
        middle.set(yscale="log", ylim=(0.1 * max(float(distance.min()), 1e-14), 1.0))
        middle.set_ylabel(f"$|L/{float(plateau[0]):.4g} - 1|$ half way")
    else:
        middle.set_ylabel("all labels have one sign: no plateau")
    excess = run.along("scale", measured.norm_excess).transpose("scale", "seed")
    excess = excess.where(excess > -ROUNDING)  # less than the least: not all labels are fitted yet
    power, centre = theory.excess_exponent(inputs, targets), excess[excess.sizes["scale"] // 2]
    scale = np.sort(excess["scale"].values)
    through = (
        float(np.exp(np.log(centre.where(centre > 0)).mean())) * (scale / float(centre["scale"])) ** power
    )
    if np.isfinite(power) and np.isfinite(through).all():
        reference(right, scale, through, rf"$\propto\lambda^{{{power:.3f}}}$")
    right.plot(
        excess["scale"], excess.where(excess > ROUNDING), "o", color="C0", markersize=3, fillstyle="none"
    )
    clipped(right, excess["scale"].values[:, None], excess.values, ROUNDING, "C0")
    floored(right, excess, ROUNDING)
    right.set_ylabel(EXCESS)
    for axes in (middle, right):
        axes.set_yscale("log")
    right.set_ylim(ROUNDING / 30, None)
    for axes in (left, middle, right):
        scale_axis(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left" if axes is left else "best")


ROUNDING = 1e-15
"""What rounding leaves of the norm above the least."""


def left_out(run: Run) -> str:
    """What a caption says of runs that end before all labels are fitted."""
    waiting = ~measured.fitted(run)
    if not waiting.any():
        return ""
    return f" Left out: {int(waiting.sum())} of {counted(waiting.size, 'run')} that end before all labels are fitted."


@paper.figure(
    "theorem",
    lambda run: (
        rf"Random orthogonal sets, {how(run)} to $t$ = "
        f"{float(run.time.max()):g}: the norm above the least, and the directions that carry it, by the share "
        r"$\lambda^p$ of the mass that neurons blind to a sample keep." + left_out(run)
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
    check=orthogonal_inputs,
    size=(7.0, 3.1),
    details=r"One point for each seed and $\lambda$; one neuron of each sign sees all samples of its sign. "
    r"$p = \min 2(1 - |D_A|/|D_\pm|)$ over each seed's neurons that miss a sample, $A$ the samples they see. "
    r"$\frac{1}{2}|\theta|^2_{\mathrm{min}} = |v_+| + |v_-|$. "
    r"Directions are counted from 1 % of $\sum|a||w|$. A share below 1e-17 is at 1e-17.",
)
def implicit_bias(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    groups = list(run.by("samples"))
    counts = [group.samples for group in groups]
    reference(left, [1e-17, 1], [1e-17, 1], r"$\propto\lambda^p$")
    reference(right, [1e-17, 1], [2, 2], "2, the theorem")
    for number, group in enumerate(groups):
        color, marker = style_of(group.samples, counts)["color"], marker_of(group.samples, counts)
        for index, part in enumerate(group.along("scale")):
            label = "" if index else f"{symbol_of('samples')} = {group.samples}"
            share = np.maximum(part.scale**part.blind_exponent.values, 1e-17)
            excess = measured.norm_excess(part).values
            many = part.carrying_directions.isel(time=-1).where(measured.fitted(part)).values
            style = {
                "color": color,
                "marker": marker,
                "linestyle": "none",
                "fillstyle": "none",
                "markersize": 3.5,
            }
            left.plot(share, np.where(excess > ROUNDING, excess, np.nan), label=label, **style)
            clipped(left, share, excess, ROUNDING, color)
            right.plot(share, many * 1.03 ** (number - 0.5 * (len(groups) - 1)), label=label, **style)
    floored(left, run.loss, ROUNDING, "▽: rounding")
    left.set(xscale="log", yscale="log", ylim=(ROUNDING / 30, 3), ylabel=EXCESS)
    right.axvspan(1e-2, 10.0, color="0.55", alpha=0.15, lw=0, label="blind neurons count")
    right.set(xscale="log", yscale="log", ylabel="directions that carry it")
    ticks = [2, 5, 10, 20, 40]
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    for axes in (left, right):
        axes.set_xlim(3e-18, 1.5)
        axes.set_xlabel(r"share $\lambda^p$ that blind neurons keep")
        axes.legend(loc="upper left")


@paper.figure(
    "theorem",
    r"Saddle to saddle on the clock $t/\ln(1/\lambda)$: the loss, how far each group is aligned with $\pm D_\pm$, and "
    r"its mass.",
    on={"staircase": ["scale", "loss", "hidden", "output", "inputs", "targets"]},
    check=orthogonal_inputs,
    size=(5.5, 5.6),
    details=r"Median and range of all seeds. Groups are $S_{\pm,1}$: neurons that see all samples of their sign at "
    r"the start; cosines are weighted by mass. Pale: the limit $\lambda \to 0$, steps at $1/|D_\pm|$, from cosine "
    r"1 to that of $v_\pm$ with $D_\pm$, and from no mass to $|v_\pm|$.",
)
def staircase(canvas: Figure, run: Run) -> None:
    top, middle, bottom = canvas.subplots(3, 1, sharex=True)
    parts = run.along("scale")
    scales = [part.scale for part in parts]
    first, unit = parts[0], measured.loss_unit(run)
    inputs, targets = first.inputs.values, first.targets.values
    stages = theory.fit_stages(inputs, targets)
    steps = [1 / drive / unit for _, drive, _ in stages]
    last = max(float(part.time[-1]) / -np.log(part.scale) for part in parts)
    start = unit * float((targets**2).mean()) / 2
    levels = (
        [start]
        + [unit * theory.plateau(targets, 1.0 if stages[0][0] == "+" else -1.0)] * (len(stages) - 1)
        + [0.0]
    )
    reference(top, *stairs([0, *steps, last], levels), r"limit $\lambda \to 0$")
    for (sign, _, _), step in zip(stages, steps, strict=True):
        cosine, norm = theory.end_of_group(inputs, targets, 1.0 if sign == "+" else -1.0)
        color = SIGNS[sign][0]
        reference(middle, *stairs([0, step, last], [1.0, cosine]), color=color)
        reference(bottom, *stairs([0, step, last], [0.0, norm]), color=color)
        first_step = step == steps[0]
        bottom.annotate(
            f"group of labels {sign}", (step, 0.93 * norm if first_step else 0.5 * norm), color=color, va="center",
            xytext=(-6 if first_step else 6, 0), textcoords="offset points", ha="right" if first_step else "left",
            fontsize=8,
        )  # fmt: skip
    for part in parts:
        style = style_of(part.scale, scales)
        clock = part.time / -np.log(part.scale)
        label = f"{symbol_of('scale', paper.symbols)} = {part.scale:.0e}"
        bands(top, clock, part.loss, label, color="black", linestyle=style["linestyle"])
        for sign, _, _ in stages:
            color = SIGNS[sign][0]
            for axes, values in zip(
                (middle, bottom), measured.group(part, 1.0 if sign == "+" else -1.0), strict=True
            ):
                bands(axes, clock, values, color=color, linestyle=style["linestyle"])
    middle.set_ylabel(r"cosine of $w_j$ to $\pm D_\pm$")
    bottom.set_ylabel(r"group's $\sum|a_j||w_j|$")
    bottom.set_xlabel(r"$t/\ln(1/\lambda)$")
    bottom.set_xlim(0, last)
    name_axes(top, y=run.loss)
    top.legend()


def stairs(edges: Any, levels: Any) -> tuple[Any, Any]:
    """The corners of a staircase: a level between each two edges."""
    return np.repeat(edges, 2)[1:-1], np.repeat(levels, 2)


def points_on_a_line(*experiments: Any) -> None:
    """Refuse data whose plateau is not known."""
    for runs in experiments:
        for run in runs.by("run"):
            measured.points_of(run)


@paper.figure(
    "theorem",
    lambda flow, descent: (
        f"Points on a line: when the {how(flow)} leaves the plateau "
        f"({counted(flow.seeds, 'start')}, mean and range), and the share of "
        f"{counted(descent.seeds, 'descent')} that leave it by $t$ = {float(descent.time.max()):g}."
    ),
    on={"escape_of_flow": ["scale", "loss"], "escape_of_descent": ["scale", "step_size", "loss"]},
    check=points_on_a_line,
    size=(7.0, 3.0),
    details=r"A run has left the plateau at $L$ below 90 % of it. Pale: a straight line through the means of "
    r"$\lambda < 10^{-3}$; the share of these. Bars on shares: exact 95 % intervals. $\lambda$ is the weights' "
    "standard deviation.",
)
def escape(canvas: Figure, flow: Run, descent: Run) -> None:
    left, right = canvas.subplots(1, 2)
    when = flow.along("scale", lambda part: measured.time_below(part, measured.escape_level(part)))
    mean, scale = when.mean("seed"), when["scale"].values
    small = (scale < 1e-3) & np.isfinite(mean.values)
    if small.sum() > 1:
        fit = np.polyfit(-np.log10(scale[small]), mean.values[small], 1)
        reference(left, scale, np.polyval(fit, -np.log10(scale)), f"{fit[0]:.1f} a decade")
    spread = [mean - when.min("seed"), when.max("seed") - mean]
    left.errorbar(scale, mean, yerr=spread, fmt="o", color="C0", capsize=2, label=how(flow))
    stuck, end = ~np.isfinite(mean.values), float(flow.time.max())
    if stuck.any():
        left.plot(scale[stuck], np.full(stuck.sum(), end), "^", color="C0", fillstyle="none",
                  label=f"not by $t$ = {end:g}")  # fmt: skip
    scale_axis(left)
    left.set_ylim(0, None)
    left.set_ylabel("escape time $t$")
    left.legend()
    parts = list(descent.by("scale"))
    letter = symbol_of("scale", paper.symbols)
    scales = [part.scale for part in parts]
    reference(right, [0, 1], 2 * [float(when.notnull().mean())], f"{how(flow)}, all {letter}, by $t$ = {end:g}",
              transform=right.get_yaxis_transform())  # fmt: skip
    for number, part in enumerate(parts):
        style, marker = style_of(part.scale, scales), marker_of(part.scale, scales)
        aside = 1.04 ** (2 * number - len(parts) + 1)
        for index, run in enumerate(part.along("step_size")):
            escaped = run.loss.isel(time=-1) < measured.escape_level(run)
            share, low, high = chance_interval(int(escaped.sum()), run.seeds)
            right.errorbar(
                run.step_size * aside, share, yerr=[[share - low], [high - share]], fmt=marker,
                color=style["color"], capsize=2, label="" if index else f"descent, {letter} = {part.scale:.2g}",
            )  # fmt: skip
    steps = [run.step_size for part in parts for run in part.along("step_size")]
    right.set_xscale("log")
    right.set(xlim=(min(steps) / 4, 4 * max(steps)), ylim=(-0.04, 1.7), yticks=np.linspace(0, 1, 6))
    right.set_xlabel(f"step size {symbol_of('step_size')} (in the paper's time)")
    right.set_ylabel("share that leaves the plateau")
    right.legend(loc="upper right")  # above the points, which end at 1
