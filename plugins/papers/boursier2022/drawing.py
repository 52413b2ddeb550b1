"""What several figures of Boursier, Pillaud-Vivien and Flammarion 2022 are drawn with: colours, words and axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twolayer.analysis.labels import symbol_of, trained_by
from twolayer.analysis.runs import Varied
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import measured
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from twolayer import Run

AUTHORS_RUNS = {
    "orthogonal": "../data/boursier2022_orthogonal_seed0.nc",
    "nonorthogonal_small": "../data/boursier2022_nonorthogonal_small_seed0.nc",
    "nonorthogonal_large": "../data/boursier2022_nonorthogonal_large_seed0.nc",
    "high_dimension": "../data/boursier2022_high_dimension_seed4.nc",
}
"""By experiment, from the files of figures."""

GREEN, BLUE, RED, VIOLET = "#1B7837", "#0072B2", "firebrick", "darkviolet"

SIGNS = {"+": ("C0", "o", "-"), "−": ("C1", "s", (0, (5, 2)))}
"""Colour, marker and line of what belongs to the labels of either sign."""

SCALE = symbol_of("scale", {"scale": r"\lambda"})
"""The initial scale in labels."""

START = ("dynamics", "dtype", "loss", "output", "inputs", "targets")
"""What tells whether a run starts from the authors' weights."""


def setting(run: Run, theirs: xr.Dataset) -> str:
    """What was run from whose weights, in words."""
    samples, features = measured.descent(run).inputs.shape
    data = f"{counted(samples, 'point')} in {counted(features, 'dimension')}"
    seed = "" if run.seeds == 1 else f"; the first of {run.seeds} seeds"
    if not measured.starts_like(measured.descent(run), theirs):
        return f"{data}, other weights than the authors'{seed}"
    return f"{data}, the authors' initial weights, $s$ = {theirs.attrs['init_scale']:g}{seed}"


def how(run: Run) -> str:
    """`exact flow` or `descent`, or both."""
    return trained_by(run).replace("gradient flow", "exact flow").replace("gradient descent", "descent")


def frame_title(run: Run, frame: int) -> str:
    """The title of a saved frame of a descent."""
    return f"iteration {int(run.step[frame])}, $L$ = {float(run.loss[frame]):.3g}"


def film_caption(run: Run, theirs: xr.Dataset) -> str:
    """The caption of an animation."""
    return f"Training by descent, a frame for each saved iteration: {setting(run, theirs)}."


def film(experiment: str, *shown: str, caption: Any = film_caption, **drawing: Any) -> Any:
    """An animation of one of the runs from the authors' weights."""
    return paper.figure(
        "published", caption, on={experiment: (*START, *shown)}, check=measured.descent,
        files=[AUTHORS_RUNS[experiment]], details="Descent in float64.", **drawing,
    )  # fmt: skip


def scale_axis(axes: Axes) -> None:
    """The initial scale, which falls to the right."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel(f"initial scale {SCALE}")


def orthogonal_inputs(run: Any) -> None:
    """Refuse inputs that are not orthogonal, of which the predictions are not."""
    names = run.config.problem.name
    for name in names.values if isinstance(names, Varied) else [names]:
        if name != "orthogonal":
            raise DataError(
                f"its predictions are for the problem 'orthogonal', '{run.experiment}' has '{name}'"
            )
