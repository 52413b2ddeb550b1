"""Figure 2 of Boursier, Pillaud-Vivien and Flammarion 2022, and films of networks of one input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import measured, theory
from ..drawing import AUTHORS_RUNS, BLUE, GREEN, START, film, frame_title, setting
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from twolayer import Run


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


@film("orthogonal", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_orthogonal(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_small", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_nonorthogonal_small(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


@film("nonorthogonal_large", "hidden", size=(5.5, 3.7), frames_per_second=15)
def animation_nonorthogonal_large(canvas: Figure, run: Run, theirs: xr.Dataset) -> Iterator[list[Artist]]:
    yield from network_frames(canvas, run)


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
