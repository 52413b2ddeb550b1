"""What Xu and Du 2023 say, held against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import (
    Claim,
    Result,
    as_read,
    at_least,
    at_most,
    claim,
    close,
    farthest,
    fit_rate,
    hookimpl,
    local_slope,
    within_trust,
)
from twolayer.analysis.intervals import mean_interval
from twolayer.population.asymptotics import gradient_limit, group_spread, loss_by_spread, pair_constant

from . import theory

if TYPE_CHECKING:
    import xarray as xr

Data = Mapping[str, "xr.Dataset"]

PAPER = "Xu, Du, COLT 2023"
LATE = "C = 3/4 in ηT₁ = C/n was chosen, of all C up to 0.81, after runs had been seen"
READING = (
    "The theorem's own σ = O(n^−4226 …) and η cannot be run; here σ = 1e-3, η = 1e-4, d = 10 and T₁ = 3/4nη"
)


def by_neurons(dataset: xr.Dataset) -> Iterator[tuple[int, xr.Dataset]]:
    """The runs by n, without the padding of `neuron`."""
    for neurons in dataset["neurons"].values:
        run = dataset.sel(neurons=neurons)
        yield int(neurons), run.isel(neuron=slice(int(neurons)))


def random_starts(dataset: xr.Dataset) -> Iterator[tuple[int, int, xr.Dataset]]:
    """The runs of Figure 1 with more than one student, with n and d."""
    for dimension in dataset["dimension"].values:
        for neurons, run in by_neurons(dataset.sel(dimension=dimension, neurons=list(theory.ENDS_RIGHT))):
            yield neurons, int(dimension), run


def pairs(dataset: xr.Dataset) -> Iterator[tuple[str, xr.Dataset, Any]]:
    """The runs of two students, with their h at the end."""
    for name in dataset["projections"].values:
        run = dataset.sel(projections=name).isel(seed=0, teacher=0)
        yield str(name), run, run["projection"].isel(time=-1).values


def reached(time: Any, moment: float) -> int:
    """The place of the first saved time that is not before a moment, but for rounding."""
    return int(np.searchsorted(time, moment * (1 - 1e-9)))


def second_phase(run: xr.Dataset, neurons: int) -> list[tuple[float, int]]:
    """For each seed the smallest ε₂, and the place of T₂ among the times."""
    growth, time = theory.carried(run["teacher_deficit"].isel(teacher=0).values, neurons), run["time"].values
    begin = theory.aligned_by(neurons)
    return [theory.smallest_growth_error(time, of_seed, neurons, begin) for of_seed in growth]


def told(values: Any) -> str:
    """Mean over seeds, its 95 % interval, and the range."""
    mean, low, high = mean_interval(values)
    return (
        f"{mean:.4g} (95 % interval {low:.4g} to {high:.4g}; "
        f"{len(values)} seeds from {np.min(values):.4g} to {np.max(values):.4g})"
    )


def even(heights: Any) -> Result:
    """The least h_j/h_i against ½, −1 where no h is positive: heights (…, neuron)."""
    least, most = heights.min(-1), heights.max(-1)
    ratios = np.where(most > 0, least / np.where(most > 0, most, 1.0), -1.0)
    return at_least(float(ratios.min()), 0.5, f"least of {ratios.size}, median {np.median(ratios):.3g}")


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
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Figure 1 right: log_{ηT} L at iteration 50000, by n",
    f"{PAPER}, Figure 1 (read off the print; d and seed are not stated)",
    "published",
    ["figure1"],
    late="0.1 is what earlier runs of other dimensions were within",
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
    return {name: as_read(result) for name, result in results.items()}


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
        detail = f"log of the loss a step, iterations 300 to 500: {told(rates)}"
        results[f"d = {dimension}"] = close(farthest(rates, exact), exact, relative=0.01, detail=detail)
    return results


@claim(
    "Theorem 4: s1 ≤ |w_i| ≤ s2 + 2η|v|t up to T₁; sharper, no length grows faster than ½η|v| a step",
    f"{PAPER}, phase 1, s1 = ½σ√d and s2 = 2σ√d. {READING}. ½ is derived: the teacher lengthens a student by ½η|v| a "
    "step at most, and other students only shorten it",
    "published",
    ["phases"],
)
def phase1_lengths(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        run = run.isel(time=run["time"].values <= theory.aligned_by(neurons) * (1 + 1e-9))
        length, time = run["hidden_norm"].values, run["time"].values  # (seed, time, neuron)
        low, high = theory.lengths(time[:, None])
        results[f"n = {neurons}, |w|/s1"] = at_least(float((length / low).min()), 1.0, "least of all")
        begun = time > 0
        faster = (length[:, begun] - length[:, :1]) / (0.5 * time[begun, None])
        detail = f"largest of all; |w|/(s2 + 2η|v|t) is {(length / high).max():.3g} at most"
        # a step's own second order: |w + ηg| ≤ |w| + ηg·ŵ + η²|g|²/2|w|, a part η/4s1 of ½η
        room = 1.0 + 0.25 * theory.PHASED["step_size"] / low
        results[f"n = {neurons}, (|w| − |w(0)|)/½η|v|t"] = at_most(float(faster.max()), room, detail)
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Phase 1: sin²(θ_i/2) − ε₁² falls at least as (1 + ηt|v|/s2)^(−1/24), and at T₁ h_i ≤ 2h_j",
    f"{PAPER}, phase 1. {READING}",
    "published",
    ["phases"],
    late=LATE,
)
def phase1_alignment(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        time = run["time"].values
        end = reached(time, theory.aligned_by(neurons))
        angle = run["teacher_angle"].values  # (seed, time, neuron)
        sine = np.sin(0.5 * angle[:, : end + 1]) ** 2
        ratio = sine[:, 1:] / (theory.shrinking(time[1 : end + 1, None]) * sine[:, :1])
        detail = "largest sin²(θ/2) over its bound with ε₁ = 0, which is the strictest"
        results[f"n = {neurons}, envelope"] = at_most(float(ratio.max()), 1.0, detail)
        results[f"n = {neurons}, h_j/h_i at T₁"] = even(run["projection"].values[:, end])
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Theorem 4 with C = ε₁²/n for its C = O(ε₁²/n): at ηT₁ = C θ_i ≤ 4ε₁",
    f"{PAPER}, Theorem 4, which asks for σ = O(C ε₁⁴⁸ d^(−1/2)|v|); σ = 1e-3, η = 1e-4, d = 10",
    "published",
    ["phases"],
)
def theorem_4(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        time, angle = run["time"].values, run["teacher_angle"].values
        for epsilon in theory.ALIGNING:
            constant = epsilon**2 / neurons
            end = reached(time, constant)
            shares = angle[:, end].max(-1) / (4 * epsilon)
            detail = (
                f"largest θ over 4ε₁ at ηt = {time[end]:.3g}: {told(shares)}; "
                f"{theory.outside_theorem_4(angle[:, 0], epsilon, constant)}"
            )
            name = f"n = {neurons}, ε₁ = {epsilon:g}"
            results[name] = as_read(at_most(float(shares.max()), 1.0, detail))
    return results


@claim(
    "Theorem 5: for some T₂ = T₁ + (1/nη) ln(1/36ε₂) phase 2 keeps (1 − nη/2)^(t−T₁)|v| + 6ε₂|v| ≥ H ≥ "
    "⅔(1 − nη/2)^(t−T₁)|v| − 6ε₂|v|, s1/2 ≤ h_i ≤ 2|v|/n and h_i ≤ 2h_j, and ends with θ_i ≤ ε₂",
    f"{PAPER}, Theorem 5 (H's lower bound is 18ε₂|v| at T₂ wherever ε₂ ≤ 1/36). {READING}",
    "published",
    ["phases"],
    late=LATE,
)
def phase2(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        begin, time = theory.aligned_by(neurons), run["time"].values
        found = second_phase(run, neurons)
        early = reached(time, begin)
        growth, angle = run["teacher_deficit"].isel(teacher=0).values, run["teacher_angle"].values
        carried = theory.carried(growth, neurons)
        shares = np.array(
            [
                theory.least_angle_share(time, of_seed, angle[seed].max(-1), neurons, begin)[0]
                for seed, of_seed in enumerate(carried)
            ]
        )
        smallest = np.array([error for error, _ in found])
        epsilon = float(angle[:, early].max()) / 4
        detail = (
            f"least of all T₂, of the farthest seed: {told(shares)}; by H alone ε₂ may be {smallest.max():.1e}; "
            f"{theory.outside_theorem_4(angle[:, 0], epsilon, begin)} with ε₁ = θ(T₁)/4 = {epsilon:.2g}"
        )
        results[f"n = {neurons}, θ/ε₂ at T₂"] = at_most(float(shares.max()), 1.0, detail)
        height = run["projection"].values
        phase = np.concatenate([height[seed, early : place + 1] for seed, (_, place) in enumerate(found)])
        ends = np.array([time[place] for _, place in found])
        detail = f"of all students from T₁ to the T₂ that H alone allows, {told(ends)}"
        low = 0.5 * theory.lengths(0.0)[0]
        results[f"n = {neurons}, 2h/s1"] = at_least(float(phase.min()) / low, 1.0, f"least {detail}")
        results[f"n = {neurons}, nh/2|v|"] = at_most(
            float(0.5 * neurons * phase.max()), 1.0, f"largest {detail}"
        )
        results[f"n = {neurons}, h_j/h_i"] = even(phase)
        decay = np.array(
            [
                np.log(growth[seed, middle] / growth[seed, early]) / (time[middle] - time[early])
                for seed, middle in enumerate((early + place) // 2 for _, place in found)
            ]
        )
        exact = float(np.log(1 - 0.5 * neurons * theory.PHASED["step_size"]) / theory.PHASED["step_size"])
        detail = f"decay of log H, first half of the saved times: {told(decay)}"
        results[f"n = {neurons}, rate of H"] = close(
            farthest(decay, exact), exact, relative=0.01, detail=detail
        )
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Theorem 6: |v|/4n ≤ |w_i| ≤ 4|v|/n from T₂ on",
    f"{PAPER}, phase 3, T₂ by H alone. {READING}",
    "published",
    ["phases"],
    late=LATE,
)
def phase3_lengths(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        found = second_phase(run, neurons)
        length = run["hidden_norm"].values
        late = np.concatenate([length[seed, place:] for seed, (_, place) in enumerate(found)])
        detail = theory.outside_theorem_6(max(error for error, _ in found), neurons)
        results[f"n = {neurons}, least n|w|/|v|"] = at_least(float(neurons * late.min()), 0.25, detail)
        results[f"n = {neurons}, largest n|w|/|v|"] = at_most(float(neurons * late.max()), 4.0, detail)
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Theorem 14: L^(−1/3) ≤ K n^(17/3)/(κ_max²|v|^(2/3)) (t − T₂) + γ: its slope stays below a bound, as no "
    "exponential rate does",
    f"{PAPER}, Theorem 14 (of the flow; here descent with η = 1e-4). K is derived: what h = 1/3 and 2/3 need for "
    "n = 2; κ_max ≤ π, whatever angle it is. Equal students, which have none, must exceed the bound",
    "published",
    ["phases", "exact_rank"],
)
def theorem_14(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["phases"]):
        time, losses = run["time"].values, run["loss"].values
        found = second_phase(run, neurons)
        shares = np.array(
            [
                steepest_rise(time[place:], losses[seed, place:]) / theory.steepest(neurons)
                for seed, (_, place) in enumerate(found)
            ]
        )
        detail = f"largest slope of L^(−1/3) from T₂ on, over the bound: {told(shares)}"
        results[f"n = {neurons}"] = as_read(at_most(float(shares.max()), 1.0, detail))
    for neurons, run in by_neurons(data["exact_rank"].sel(initialization="equal")):
        time = run["time"].values
        shares = np.array(
            [steepest_rise(time, loss) / theory.steepest(neurons) for loss in within_trust(run).values]
        )
        detail = f"largest slope of L^(−1/3) while L > 1e-20, over the bound: {told(shares)}"
        results[f"n = {neurons}, equal students"] = at_least(float(shares.min()), 1.0, detail)
    return results


def steepest_rise(time: Any, loss: Any) -> float:
    """The largest slope of L^(−1/3) between saved times while L > 1e-20: time and loss (time,)."""
    clear = loss > 1e-20
    return float((np.diff(loss[clear] ** (-1 / 3)) / np.diff(time[clear])).max())


@claim(
    "In the setting of Figure 1 students are even too: h_i ≤ 2h_j at T₁ and |v|/4n ≤ |w_i| ≤ 4|v|/n at the end",
    f"{PAPER}, phases 1 and 3, with Figure 1's σ = 0.1 and η = 0.05, which the theorem does not cover; T₁ = 3/4nη",
    "derived",
    ["figure1"],
    late=LATE,
)
def figure1_phases(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["figure1"].sel(neurons=list(theory.ENDS_RIGHT))):
        end = reached(run["time"].values, theory.aligned_by(neurons))
        heights = run["projection"].isel(time=end).transpose(..., "neuron").values
        results[f"n = {neurons}, h_j/h_i at T₁"] = even(heights)
        length = neurons * run["hidden_norm"].isel(time=-1)
        short = (length < 0.25).sum(("seed", "neuron"))
        counts = ", ".join(f"{int(short.sel(dimension=d))} at d = {d}" for d in short["dimension"].values)
        detail = (
            f"students shorter than |v|/4n: {counts}, of {run.sizes['seed'] * neurons} each; "
            f"the longest n|w|/|v| is {float(length.max()):.3g}"
        )
        results[f"n = {neurons}, least n|w|/|v|"] = at_least(float(length.min()), 0.25, detail)
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Theorem 6: L(T + T₂) ≤ K n⁴|v|²/(ηT)³; sharper, L (ηt)³ ≤ π²/6 |v|², what two even students need, for every n",
    f"{PAPER}, phase 3; π²/6 is derived for n = 2, where K = π²/96, and conjectured for n > 2",
    "derived",
    ["figure1"],
    late="that n⁴ is not needed for n > 2, where it leaves room for 40 and 600 times π²/6, was seen in runs first",
)
def third_phase_constant(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["figure1"].sel(neurons=list(theory.ENDS_RIGHT))):
        scaled = float((run["loss"] * run["time"] ** 3).max(...))
        detail = (
            f"largest L (ηt)³ of all runs and times; from T₂ on it is smaller; K is {scaled / neurons**4:.3g}"
        )
        results[f"n = {neurons}"] = at_most(scaled, pair_constant([0.5, 0.5]), detail)
    return results


@claim(
    "From random starts L = C/(T + T₀)³: L^(−1/3) is a straight line over the last decade",
    f"{PAPER}, phase 3 and lower bound, whose rates agree",
    "published",
    ["figure1"],
)
def third_power_of_random_starts(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, dimension, run in random_starts(data["figure1"]):
        fit, slope = fit_rate(run), local_slope(run).isel(time=-1).values
        detail = (
            f"largest relative distance from the line; C {told(fit['constant'].values)}; "
            f"T₀ {told(fit['offset'].values)}; last local slope {told(slope)}"
        )
        worst = float(fit["misfit"].max())
        results[f"n = {neurons}, d = {dimension}"] = at_most(worst, 0.01, detail)
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "L T³ does not grow with n (L(T) ≤ O(n⁴|v|²/(ηT)³) lets it, as n⁴), |∇L|/L^{2/3} does not fall (≥ Ω(n^{−2/3})), "
    "and L/Z³ ≥ Ω(n^{−5})",
    f"{PAPER}, phase 3, gradient bound and lower bound; exponents of n over n = 2, 5, 10 at iteration 50000",
    "published",
    ["figure1"],
    late="exponents 0 for the bounds' 4 and −2/3, which no run near these could reach, were taken after the runs",
)
def powers_of_n(data: Data) -> Mapping[str, Result]:
    dataset, results = data["figure1"].sel(neurons=list(theory.ENDS_RIGHT)), {}
    for dimension in dataset["dimension"].values:
        runs = dataset.sel(dimension=dimension)
        last = runs.isel(time=-1, teacher=0).transpose("neurons", "seed", ...)
        observed = {
            "L T³": (fit_rate(runs)["constant"].transpose("neurons", "seed").values, 0.0, at_most),
            "|∇L|/L^{2/3}": ((last["gradient_norm"] / last["loss"] ** (2 / 3)).values, 0.0, at_least),
            "L/Z³": ((last["loss"] / last["spread"] ** 3).values, -5.0, at_least),
        }
        for name, (values, bound, compared) in observed.items():
            powers = theory.exponents(runs["neurons"].values, values)
            _, low, high = mean_interval(powers)
            by_n = "; ".join(
                f"n = {n}: {told(row)}" for n, row in zip(runs["neurons"].values, values, strict=True)
            )
            results[f"{name}, d = {dimension}"] = compared(
                high if compared is at_most else low,
                bound,
                f"the end of the interval that is nearer to the bound; exponent {told(powers)}. {by_n}",
            )
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Toy 1: two students that mirror each other learn as L ~ t⁻³",
    f"{PAPER}, toy 1; the constant (8π²/3)(h₁h₂/|v|²)²|v|² is derived",
    "published",
    ["mirrored"],
)
def third_power(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, run, h in pairs(data["mirrored"]):
        slopes = local_slope(run).values[run["time"].values > 1.001e7]
        detail = "local slope of log L against log t farthest from −3, t from 1e7 to 1e8"
        results[f"{name}, slope"] = close(farthest(slopes, -3.0), -3.0, absolute=0.002, detail=detail)
        fit = fit_rate(run)
        detail = (
            f"C of L = C/(t + t₀)³, t from 1e7 to 1e8, t₀ = {float(fit['offset']):.3g}; "
            f"h at the end {h[0]:.6f}, {h[1]:.6f}"
        )
        results[f"{name}, L t³"] = close(
            float(fit["constant"]), pair_constant(h), relative=1e-3, detail=detail
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
    for name, run, h in pairs(data["mirrored"]):
        spot = int(np.argmin(np.abs(np.log(run["time"].values[1:] / 1e5)))) + 1
        ratio = float(run["gradient_norm"][spot] / run["loss"][spot] ** (2 / 3))
        detail = "at t = 1e5; later, float64 weights do not carry the gradient's part along the teacher"
        results[name] = close(ratio, gradient_limit(pair_constant(h)), relative=1e-3, detail=detail)
    return results


@claim(
    "Z = Σ_{i<j}|z_i − z_j| = Ω(1/t) and L ≥ Ω(Z³/(n⁵|v|)); for two students Z t → 4π h₁h₂ and L/Z³ → 1/(24π h₁h₂)",
    f"{PAPER}, lower bound; the limits are derived",
    "published",
    ["mirrored"],
)
def lower_bound(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, run, h in pairs(data["mirrored"]):
        last = run.isel(time=-1)
        scaled, by_cube = float(last["spread"] * last["time"]), float(last["loss"] / last["spread"] ** 3)
        results[f"{name}, Z t"] = close(scaled, group_spread(h), relative=1e-3, detail="at t = 1e8")
        results[f"{name}, L/Z³"] = close(by_cube, loss_by_spread(h), relative=1e-3, detail="at t = 1e8")
    return results


@claim(
    "From random starts Z = Ω(1/t): the slope of log Z against log t tends to −1",
    f"{PAPER}, lower bound (of the flow; here descent with η = 0.05, iteration 50000)",
    "published",
    ["figure1"],
)
def lower_bound_of_random_starts(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, dimension, run in random_starts(data["figure1"]):
        run = run.isel(teacher=0)
        slope = local_slope(run, "spread").isel(time=-1).values
        last = run.isel(time=-1)
        scaled = (last["spread"] * last["time"]).values
        cubed = (neurons**5 * last["loss"] / last["spread"] ** 3).values
        detail = f"slope {told(slope)}; Z ηT {told(scaled)}; n⁵L/Z³ {told(cubed)}"
        results[f"n = {neurons}, d = {dimension}"] = close(
            farthest(slope, -1.0), -1.0, absolute=0.02, detail=detail
        )
    return {name: as_read(result) for name, result in results.items()}


@claim(
    "Toy 2: students all along the teacher learn at a linear rate, L = L(0)(1 − nη/2)^{2T}",
    f"{PAPER}, toy 2; the rate is derived: H falls by 1 − nη/2 a step and L = H²/4",
    "published",
    ["exact_rank"],
)
def parallel_students(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["exact_rank"].sel(initialization="parallel").isel(seed=0)):
        loss, step = within_trust(run).values, run["step"].values
        exact = loss[0] * (1 - 0.5 * neurons * theory.STEP) ** (2 * step)
        own = (exact > 1e-20) & np.isfinite(loss)
        worst = float(np.abs(np.log(loss[own] / exact[own])).max())
        results[f"n = {neurons}"] = at_most(worst, 1e-5, "largest |log L − log exact| while L > 1e-20")
    return results


@claim(
    "Toy 3: students that are all equal learn at a linear rate: the loss tends to fall by (1 − nη/2)² a step",
    f"{PAPER}, toy 3; the rate is derived: n equal students are one, with n times the step",
    "published",
    ["exact_rank"],
)
def equal_students(data: Data) -> Mapping[str, Result]:
    results = {}
    for neurons, run in by_neurons(data["exact_rank"].sel(initialization="equal")):
        exact = float(2 * np.log(1 - 0.5 * neurons * theory.STEP))
        rates = []
        for loss in within_trust(run).values:
            first, last = (int(np.argmax(loss < level)) for level in (1e-8, 1e-18))
            steps = run["step"].values[[first, last]]
            rates.append(np.log(loss[last] / loss[first]) / (steps[1] - steps[0]))
        start = np.rad2deg(run["teacher_angle"].isel(time=0, neuron=0).values)
        detail = (
            f"log of the loss a step, L from 1e-8 to 1e-18: {told(rates)}; "
            f"students start at {start.min():.0f}° to {start.max():.0f}° to the teacher"
        )
        results[f"n = {neurons}"] = close(farthest(rates, exact), exact, relative=1e-3, detail=detail)
    return results


@hookimpl
def register_claims(register: Callable[[str, Claim], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Claim):
            register(f"xu2023.{name}", thing)
