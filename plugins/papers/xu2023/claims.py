"""What Xu and Du 2023 say, held against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Claim, Result, at_most, claim, close, hookimpl

from . import theory

if TYPE_CHECKING:
    import xarray as xr

Data = Mapping[str, "xr.Dataset"]

PAPER = "Xu, Du, COLT 2023"


def losses(dataset: xr.Dataset, neurons: int, dimension: int, step: int) -> Any:
    """The losses after a step, (seed,)."""
    moment = int(np.flatnonzero(dataset["step"].values == step)[0])
    return dataset["loss"].sel(neurons=neurons, dimension=dimension).isel(time=moment).values


@claim(
    "Figure 1 left: the loss at iteration 500, by n",
    f"{PAPER}, Figure 1 (read off the print; d and seed are not stated)",
    "published",
    ["figure1"],
)
def ends_left(data: Data) -> Mapping[str, Result]:
    dataset, results = data["figure1"], {}
    for neurons, end in theory.ENDS_LEFT.items():
        for dimension in dataset["dimension"].values:
            found = np.log10(losses(dataset, neurons, dimension, theory.LEFT))
            detail = (
                f"log10 of the loss, median of {len(found)} seeds from {found.min():.2f} to {found.max():.2f}"
            )
            name = f"n = {neurons}, d = {dimension}"
            results[name] = close(float(np.median(found)), np.log10(end), absolute=0.3, detail=detail)
    return results


@claim(
    "Figure 1 right: log_{ηT} L at iteration 50000, by n",
    f"{PAPER}, Figure 1 (read off the print; d and seed are not stated)",
    "published",
    ["figure1"],
)
def ends_right(data: Data) -> Mapping[str, Result]:
    dataset, results = data["figure1"], {}
    last = int(dataset["step"][-1])
    for neurons, end in theory.ENDS_RIGHT.items():
        for dimension in dataset["dimension"].values:
            found = np.log(losses(dataset, neurons, dimension, last)) / np.log(theory.STEP * last)
            detail = f"median of {len(found)} seeds from {found.min():.3f} to {found.max():.3f}"
            name = f"n = {neurons}, d = {dimension}"
            results[name] = close(float(np.median(found)), end, absolute=0.1, detail=detail)
    return results


@claim(
    "One student learns at a linear rate: near the minimum the loss falls by (1 − η/2)² a step",
    f"{PAPER}, n = 1; the rate is derived (the Hessian there is ½I)",
    "derived",
    ["figure1"],
)
def one_student(data: Data) -> Mapping[str, Result]:
    dataset, results = data["figure1"], {}
    exact = 2 * np.log(1 - theory.STEP / 2)
    for dimension in dataset["dimension"].values:
        early, late = (np.log(losses(dataset, 1, dimension, step)) for step in (300, 500))
        rates = (late - early) / 200
        worst = rates[np.argmax(np.abs(rates - exact))]
        detail = "log of the loss a step, iterations 300 to 500, the seed farthest from the rate"
        results[f"d = {dimension}"] = close(float(worst), exact, relative=0.01, detail=detail)
    return results


@claim(
    "Toy 1: two students that mirror each other learn as L ~ t⁻³",
    f"{PAPER}, toy 1; the constant (8π²/3)(h₁h₂/|v|²)²|v|² is derived",
    "published",
    ["mirrored"],
)
def third_power(data: Data) -> Mapping[str, Result]:
    results = {}
    for name in data["mirrored"]["projections"].values:
        run = data["mirrored"].sel(projections=name).isel(seed=0)
        late = run["time"].values >= 0.999e7
        time, loss = run["time"].values[late], run["loss"].values[late]
        slopes = theory.local_slopes(time, loss)
        worst = slopes[np.argmax(np.abs(slopes + 3))]
        told = "local slope of log L against log t farthest from −3, t from 1e7 to 1e8"
        results[f"{name}, slope"] = close(float(worst), -3.0, absolute=0.002, detail=told)
        h = run["projection"].isel(time=-1).values
        told = f"h at the end {h[0]:.6f}, {h[1]:.6f}"
        results[f"{name}, L t³"] = close(
            float(loss[-1] * time[-1] ** 3), theory.constant(h), relative=1e-3, detail=told
        )
    return results


@claim(
    "|∇L| / L^{2/3} stays above 0; its limit is √3 C^{−1/6}",
    f"{PAPER}, gradient bound; the limit is derived from L = C/t³ and dL/dt = −|∇L|²",
    "derived",
    ["mirrored"],
)
def gradient_bound(data: Data) -> Mapping[str, Result]:
    results = {}
    for name in data["mirrored"]["projections"].values:
        run = data["mirrored"].sel(projections=name).isel(seed=0)
        spot = int(np.argmin(np.abs(np.log(run["time"].values[1:] / 1e5)))) + 1
        ratio = float(run["gradient_norm"][spot] / run["loss"][spot] ** (2 / 3))
        limit = np.sqrt(3) * theory.constant(run["projection"].isel(time=-1).values) ** (-1 / 6)
        told = "at t = 1e5; later, float64 weights do not carry the gradient's part along the teacher"
        results[str(name)] = close(ratio, limit, relative=1e-3, detail=told)
    return results


@claim(
    "Toy 2: students all along the teacher learn at a linear rate, L = L(0) e^{−nt}",
    f"{PAPER}, toy 2; the rate is derived: dH/dt = −(n/2) H and L = H²/4",
    "published",
    ["exact_rank"],
)
def parallel_students(data: Data) -> Mapping[str, Result]:
    results = {}
    for row in range(data["exact_rank"].sizes["neurons"]):
        run = data["exact_rank"].isel(neurons=row, seed=0)
        neurons, time, loss = int(run["neurons"]), run["time"].values, run["loss"].values
        own = loss > 1e-20
        worst = float(np.abs(np.log(loss[own] / loss[0]) + neurons * time[own]).max())
        results[f"n = {neurons}"] = at_most(worst, 1e-3, "largest |log(L/L(0)) + nt| while L > 1e-20")
    return results


@hookimpl
def register_claims(register: Callable[[str, Claim], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Claim):
            register(f"xu2023.{name}", thing)
