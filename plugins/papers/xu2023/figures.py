"""The figures of Xu and Du 2023, and a check of its toy cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import figure, hookimpl
from twolayer.figures import Drawing

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, "xr.Dataset"]


def panels(canvas: Figure, dimensions: Any) -> list[Axes]:
    """One panel a dimension, with one scale of y."""
    row = list(np.atleast_1d(canvas.subplots(1, len(dimensions), sharey=True)))
    for axes, dimension in zip(row, dimensions, strict=True):
        axes.set_title(f"d = {dimension}")
        axes.set_xlabel("iteration")
    return row


def band(axes: Axes, x: Any, values: Any, label: str) -> Any:
    """Median over seeds and the band of all seeds, values (seed, time); returns the colour."""
    (line,) = axes.plot(x, np.median(values, axis=0), label=label)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.25, lw=0)
    return line.get_color()


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
        "Gradient flow with one teacher of norm 1. Left, two students: loss and its limit (8π²/3)(h₁h₂)²/T³. "
        "Right, students along the teacher: loss and exp(−nt) from the same start."
    ),
    size=(7.0, 3.2),
)
def toys(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    for name, run in data["mirrored"].groupby("projections"):
        run = run.squeeze("projections").isel(seed=0)
        time, loss = run["time"].values[1:], run["loss"].values[1:]
        h = run["projection"].isel(time=-1).values
        (line,) = left.loglog(time, loss, label=f"{str(name).replace('_', ' ')}, h → {h[0]:.2f}, {h[1]:.2f}")
        late = time > 10
        left.loglog(time[late], theory.constant(h) / time[late] ** 3, "--", color="black", linewidth=0.8)
        left.plot(time[-1], loss[-1], "o", color=line.get_color())
    left.plot([], [], "--", color="black", linewidth=0.8, label="limit")
    left.set(xlabel="time t", ylabel="loss L")
    left.legend()
    for row in range(data["exact_rank"].sizes["neurons"]):
        run = data["exact_rank"].isel(neurons=row, seed=0)
        neurons, time, loss = int(run["neurons"]), run["time"].values, run["loss"].values
        right.semilogy(time, loss, label=f"n = {neurons}")
        exact = loss[0] * np.exp(-neurons * time)
        right.semilogy(time, np.where(exact > 1e-30, exact, np.nan), "--", color="black", linewidth=0.8)
    right.plot([], [], "--", color="black", linewidth=0.8, label=r"$L(0)\,e^{-nt}$")
    right.set(xlabel="time t", ylabel="loss L")
    right.legend()


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"xu2023.{name}", thing)
