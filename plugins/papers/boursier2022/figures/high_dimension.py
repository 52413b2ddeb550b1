"""High dimension in Boursier, Pillaud-Vivien and Flammarion 2022: neurons along the principal directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import measured
from ..drawing import BLUE, RED, VIOLET, film, frame_title
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from twolayer import Run


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
