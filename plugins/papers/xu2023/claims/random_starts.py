"""The third phase of Xu and Du 2023 from random starts: the constant of the rate, its powers of n, the lower bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, fit_rate, fit_slope, local_slope
from twolayer.analysis.intervals import mean_interval
from twolayer.errors import DataError
from twolayer.population.asymptotics import pair_constant

from .. import measured
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr

LATE_TIME = 2e3
"""Time from which exponents of random starts are read: before it the offset T₀ shows in them."""


@paper.claim(
    "Theorem 6: L(T + T₂) ≤ K n⁴|v|²/(ηT)³; sharper, L (ηt)³ ≤ π²/6 |v|², what two even students need, for every n",
    "phase 3; π²/6 is derived for n = 2, where K = π²/96, and conjectured for n > 2",
    "derived",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["rate", "one_law"],
    late="that n⁴ is not needed for n > 2, where it leaves room for 40 and 600 times π²/6, was seen in runs first",
)
def third_phase_constant(run: Run) -> Result:
    scaled = run.loss * run.time**3
    constant = float(scaled.max()) / run.config.network.neurons**4
    detail = f"L (ηt)³ of all times; from T₂ on it is smaller; K is {constant:.3g}"
    return at_most(scaled, pair_constant([0.5, 0.5]), detail)


@paper.claim(
    "From random starts L = C/(T + T₀)³: L^(−1/3) is a straight line over the last decade",
    "phase 3 and lower bound, whose rates agree",
    "published",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["rate", "one_law"],
    unverified_reading=True,
)
def third_power_of_random_starts(run: Run) -> Result:
    run.at_time(LATE_TIME)  # a DataError where it ends earlier
    fit, slope = fit_rate(run.dataset), local_slope(run.dataset).isel(time=-1)
    detail = (
        f"relative distance from the line; C {measured.described(fit['constant'])}; "
        f"T₀ {measured.described(fit['offset'])}; last local slope {measured.described(slope)}"
    )
    return at_most(fit["misfit"], measured.MISFIT, detail)


@paper.claim(
    "L T³ does not grow with n (L(T) ≤ O(n⁴|v|²/(ηT)³) lets it, as n⁴), |∇L|/L^{2/3} does not fall (≥ Ω(n^{−2/3})), "
    "and L/Z³ ≥ Ω(n^{−5})",
    "phase 3, gradient bound and lower bound; exponents of n over n ≥ 2 at the end of training",
    "published",
    on="figure1",
    figures=["rate", "lower_bound"],
    unverified_reading=True,
    late="exponents 0 for the bounds' 4 and −2/3, which no run near these could reach, were taken after the runs",
)
def powers_of_n(runs: Run) -> Mapping[str, Result]:
    groups = {paper.named(group): powers(group) for group in runs.varying("neurons")}
    return {
        ", ".join(filter(None, (case, name))): result
        for case, results in groups.items()
        for name, result in results.items()
    }


def powers(runs: Run) -> Mapping[str, Result]:
    """The exponents of n of the three quantities, of runs that differ in n alone."""
    sizes = [run.neurons for run in runs.along("neurons") if run.neurons > 1]
    if len(sizes) < 2:
        raise DataError("an exponent of n needs two values of n above 1")
    several = next(runs.by(neurons=sizes))
    for run in several.along("neurons"):
        run.at_time(LATE_TIME)  # a DataError where it ends earlier

    def exponent(measure: Callable[[Run], xr.DataArray], bound: float, upper: bool) -> Result:
        values = several.along("neurons", lambda run: measure(measured.in_units(run).isel(teacher=0)))
        found = fit_slope(np.log(values), np.log(values["neurons"]), "neurons")
        _, low, high = mean_interval(found)
        by_n = "; ".join(f"n = {n}: {measured.described(values.sel(neurons=n))}" for n in sizes)
        detail = f"the end of the interval nearer to the bound; exponent {measured.described(found)}. {by_n}"
        return at_most(high, bound, detail) if upper else at_least(low, bound, detail)

    def at_end(formula: Callable[[Run], xr.DataArray]) -> Callable[[Run], xr.DataArray]:
        return lambda run: formula(run.isel(time=-1))

    return {
        "L T³": exponent(lambda run: fit_rate(run.dataset)["constant"], 0.0, upper=True),
        "|∇L|/L^{2/3}": exponent(at_end(measured.scaled_gradient), 0.0, upper=False),
        "L/Z³": exponent(at_end(measured.loss_by_cubed_spread), -5.0, upper=False),
    }


@paper.claim(
    "From random starts Z = Ω(1/t): the slope of log Z against log t tends to −1",
    "lower bound (of the flow; here of descent, at its end)",
    "published",
    on="figure1",
    by="run",
    of=measured.several,
    figures=["lower_bound"],
    unverified_reading=True,
)
def lower_bound_of_random_starts(run: Run) -> Result:
    run.at_time(LATE_TIME)  # a DataError where it ends earlier
    run = run.isel(teacher=0)
    end, slope = run.isel(time=-1), local_slope(run.dataset, "spread").isel(time=-1)
    cubed = run.config.network.neurons**5 * measured.loss_by_cubed_spread(end)
    detail = (
        f"slope {measured.described(slope)}; Z ηT {measured.described(end.spread * end.time)}; "
        f"n⁵L/Z³ {measured.described(cubed)}"
    )
    return close(slope, -1.0, absolute=0.02, detail=detail)
