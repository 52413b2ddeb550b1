"""The statements of Boursier, Pillaud-Vivien and Flammarion 2022 against the datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Claim, Result, at_least, at_most, claim, close, hookimpl, inconclusive
from twolayer.analysis.comparison import equivalent
from twolayer.analysis.intervals import chance_interval, mean_interval, slope_interval
from twolayer.analysis.rates import first_below

from . import theory

if TYPE_CHECKING:
    import xarray as xr

Data = Mapping[str, "xr.Dataset"]

PAPER = "Boursier, Pillaud-Vivien, Flammarion 2022"
NOTEBOOKS = "the authors' notebooks (eboursier/GFdynamics at dc5fce5), re-run with their seeds"
RUNS = {
    "orthogonal": "boursier2022_orthogonal_seed0",
    "nonorthogonal_large": "boursier2022_nonorthogonal_large_seed0",
    "high_dimension": "boursier2022_high_dimension_seed4",
}
FILES = tuple(f"data/{stem}.nc" for stem in RUNS.values())
STEP = 1e-3


def descent(dataset: xr.Dataset, dtype: str = "float64") -> xr.Dataset:
    """The descent from the authors' weights."""
    return dataset.sel(dynamics="descent", dtype=dtype).isel(seed=0)


def flow(dataset: xr.Dataset) -> xr.Dataset:
    """The exact flow from the authors' weights."""
    return dataset.sel(dynamics="flow", dtype="float64").isel(seed=0)


def recorded(dataset: xr.Dataset, reference: xr.Dataset) -> tuple[Any, Any]:
    """Positions in our times of the authors' saved frames, and their losses."""
    time = reference["iteration"].values * STEP
    return np.searchsorted(dataset["time"].values, time - STEP / 2), reference["loss"].values


@claim(
    "Descent from the authors' initial weights has the authors' loss at every frame that they saved",
    NOTEBOOKS,
    "derived",
    RUNS,
    FILES,
)
def authors_losses(data: Data) -> Mapping[str, Result]:
    results = {}
    for experiment, stem in RUNS.items():
        for dtype in ("float32", "float64"):
            ours = descent(data[experiment], dtype)
            frames, loss = recorded(ours, data[stem])
            difference = np.abs(ours["loss"].values[frames] - loss) / loss[0]
            over = int((difference > 2e-6).sum())
            where = round(float(ours["time"].values[frames[difference.argmax()]]) / STEP)
            detail = (
                f"largest difference relative to the initial loss, at iteration {where}; {over} of {len(loss)} frames "
                "are above. The authors' own run is in float32"
            )
            results[f"{experiment}, {dtype}"] = at_most(float(difference.max()), 2e-6, detail)
    return results


@claim(
    "It ends with the authors' groups: the same neurons carry the network, with the same signs and masses",
    NOTEBOOKS,
    "derived",
    RUNS,
    FILES,
)
def authors_groups(data: Data) -> Mapping[str, Result]:
    results = {}
    for experiment, stem in RUNS.items():
        theirs = data[stem]
        signed = np.sign(theirs["final_output"].values) * mass(theirs["final_hidden"], theirs["final_output"])
        for dtype in ("float32", "float64"):
            ours = descent(data[experiment], dtype)
            last = ours.isel(time=-1)
            kind = "final_" if "final_hidden" in last else ""
            own = np.sign(last[f"{kind}output"].values) * mass(last[f"{kind}hidden"], last[f"{kind}output"])
            # the files end one frame after the last saved loss; both are at the last iteration
            worst = np.abs(own - signed).max() / np.abs(signed).max()
            detail = "largest difference of a neuron's sign(a)|a||w|, relative to the largest"
            results[f"{experiment}, {dtype}"] = at_most(float(worst), 1e-3, detail)
    return results


def mass(hidden: xr.DataArray, output: xr.DataArray) -> Any:
    """|a_j||w_j| of each neuron: hidden (neuron, feature), output (neuron,)."""
    return np.abs(output.values) * np.linalg.norm(hidden.values, axis=-1)


@claim(
    "Two orthogonal points: the loss waits at the plateau of the unfitted label, for as long as the authors' run",
    f"{PAPER}, Section 4 and Figure 2; level derived, times from {NOTEBOOKS}",
    "derived",
    ["orthogonal"],
    [FILES[0]],
)
def two_point_plateau(data: Data) -> Mapping[str, Result]:
    run, theirs = descent(data["orthogonal"]), data[RUNS["orthogonal"]]
    between = theory.waiting_level(run["time"].values, run["loss"].values, 0.625)
    level = 2 * theory.plateau(run["targets"].values)
    results = {"level (twice the paper's L)": close(float(between), level, relative=1e-3)}
    frames, loss = recorded(run, theirs)
    for below in (0.625, 0.125):
        time = run["time"].values[frames]
        ours = first_below(time, run["loss"].values[frames], below) / STEP
        exact = first_below(time, loss, below) / STEP
        told = "between the frames that the authors saved"
        results[f"iteration with L < {below}"] = close(ours, exact, relative=1e-3, detail=told)
    return results


@claim(
    "Two orthogonal points: two groups remain, Σ a|w| = |v_+| = 1/√5 and −|v_−| = −1/√1.25",
    f"{PAPER}, Theorem 1 (wording recalled)",
    "derived",
    ["orthogonal"],
)
def two_point_groups(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, run in (("descent", descent(data["orthogonal"])), ("flow", flow(data["orthogonal"]))):
        last = run.isel(time=-1)
        masses = mass(last["hidden"], last["output"])
        plus, minus = theory.minimum_norm(run["inputs"].values, run["targets"].values)
        positive = last["output"].values > 0
        results[f"{name}, +"] = close(float(masses[positive].sum()), plus, relative=1e-4)
        results[f"{name}, −"] = close(-float(masses[~positive].sum()), -minus, relative=1e-4)
    return results


@claim(
    "Once each neuron sees one sample, the flow's loss follows its closed form",
    "closed form of the last stage on orthogonal inputs",
    "derived",
    ["orthogonal"],
)
def closed_form(data: Data) -> Result:
    run = flow(data["orthogonal"])
    start = theory.single_sample_from(run["inputs"].values, run["hidden"].values)
    if start < 0:
        return inconclusive("no saved frame from which every neuron sees at most one sample")
    time = 2 * (run["time"].values[start:] - run["time"].values[start])
    state = run.isel(time=start)
    inputs, targets, hidden, output = (
        state[name].values for name in ("inputs", "targets", "hidden", "output")
    )
    residuals = theory.residuals_once_separate(inputs, targets, hidden, output, time)
    worst = np.abs((residuals**2).mean(-1) - run["loss"].values[start:]).max()
    detail = f"largest difference over the {len(time)} frames from t = {float(state['time']):.4g} on"
    return at_most(float(worst), 1e-10, detail)


@claim(
    "Gradient flow conserves a_j² − |w_j|²",
    f"{PAPER}, Section 2",
    "published",
    ["orthogonal", "nonorthogonal_small", "nonorthogonal_large", "scale_sweep"],
)
def balance(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, dataset in data.items():
        run = flow(dataset) if "dynamics" in dataset.dims else dataset
        worst = float(np.abs(run["imbalance"]).max())
        size = float(run["path_norm"].max())
        results[name] = at_most(
            worst, 1e-12, f"largest |a² − |w|²| of a balanced start; Σ|a||w| reaches {size:.3g}"
        )
    return results


@claim(
    "Output weights keep their sign, since balance is conserved",
    f"{PAPER}, Section 2",
    "published",
    ["orthogonal", "nonorthogonal_small", "nonorthogonal_large", "high_dimension"],
)
def signs(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, dataset in data.items():
        output = flow(dataset)["output"].values
        flips = int((np.sign(output) != np.sign(output[0])).any(0).sum())
        by_descent = descent(dataset)["output"].values
        flipped = int((np.sign(by_descent) != np.sign(by_descent[0])).any(0).sum())
        results[name] = at_most(
            flips, 0, f"neurons that change sign under the flow (under descent: {flipped})"
        )
    return results


@claim(
    "Descent converges to the flow at first order in its step size",
    "two orthogonal points, largest difference of the loss over time",
    "derived",
    ["step_error"],
)
def first_order(data: Data) -> Mapping[str, Result]:
    loss = data["step_error"]["loss"].isel(seed=0)
    errors = {
        step: float(np.abs(loss.sel(dynamics=f"step_{step}") - loss.sel(dynamics="flow")).max())
        for step in ("1e-2", "1e-3", "1e-4")
    }
    results = {}
    for large, small in (("1e-2", "1e-3"), ("1e-3", "1e-4")):
        told = f"max|ΔL| of {errors[large]:.3g} and {errors[small]:.3g}; a method of second order has 100"
        results[f"ratio from {large} to {small}"] = close(
            errors[large] / errors[small], 10.0, relative=0.05, detail=told
        )
    return results


@claim(
    "Time to fit the labels of either sign grows by ln 10/|D_±| per decade of λ",
    f"{PAPER}, Section 4 (times to leading order)",
    "derived",
    ["scale_sweep"],
)
def times(data: Data) -> Mapping[str, Result]:
    dataset = data["scale_sweep"]
    small = dataset.sel(scale=dataset["scale"] <= 1e-10)
    decades = np.log10(1 / small["scale"].values)
    results = {}
    for name, drive, levels in zip(
        ("+", "−"), theory.drives(*data_of(dataset)), fit_levels(dataset), strict=True
    ):
        when = fit_times(small, levels)
        slope, low, high = slope_interval(decades, when.mean(-1))
        exact = float(np.log(10) / drive)
        detail = f"λ from 1e-10 to 1e-30, mean over {when.shape[-1]} seeds; the margin is 1 %"
        results[name] = equivalent(slope, exact, (low, high), 0.01 * exact, detail)
    return results


def data_of(dataset: xr.Dataset) -> tuple[Any, Any]:
    """Inputs and targets of an experiment whose runs share them."""

    def first(name: str) -> Any:
        array = dataset[name]
        return array.isel({d: 0 for d in array.dims if d not in ("sample", "feature")}).values

    return first("inputs"), first("targets")


def fit_levels(dataset: xr.Dataset) -> tuple[float, float]:
    """Losses half way down from the start to the plateau, and from the plateau to zero."""
    _, targets = data_of(dataset)
    start, level = float((targets**2).sum() / (2 * len(targets))), theory.plateau(targets)
    return 0.5 * (start + level), 0.5 * level


def fit_times(dataset: xr.Dataset, level: float) -> Any:
    """When the loss first falls below a level, (scale, seed)."""
    time = dataset["time"].values
    losses = dataset["loss"].transpose("scale", "seed", "time").values
    return np.array([[first_below(time, loss, level) for loss in seeds] for seeds in losses])


@claim(
    "Between the two fits the loss waits at (1/2n) Σ_{y_k<0} y_k²",
    f"{PAPER}, Section 4 (saddle to saddle)",
    "derived",
    ["scale_sweep"],
)
def plateau(data: Data) -> Result:
    dataset = data["scale_sweep"]
    small = dataset.sel(scale=dataset["scale"] <= 1e-10)
    early, late = (fit_times(small, level) for level in fit_levels(dataset))
    level = theory.plateau(data_of(dataset)[1])
    values = small["loss"].transpose("scale", "seed", "time").values
    between = [
        np.interp(0.5 * (early[spot] + late[spot]), small["time"].values, values[spot])
        for spot in np.ndindex(early.shape)
    ]
    worst = max(between, key=lambda value: abs(value - level))
    return close(
        float(worst), level, relative=1e-3, detail="the worst of all λ ≤ 1e-10 and seeds, half way in time"
    )


@claim("For small λ the flow reaches zero loss", f"{PAPER}, abstract", "published", ["scale_sweep"])
def zero_loss(data: Data) -> Result:
    last = data["scale_sweep"]["loss"].isel(time=-1)
    return at_most(float(last.max()), 1e-25, "largest final loss over 16 scales and 4 seeds, t = 500")


@claim(
    "As λ → 0 the limit has minimum |θ|²: ½|θ|² → |v_+| + |v_−|",
    f"{PAPER}, abstract and Theorem 1 (wording recalled)",
    "published",
    ["scale_sweep"],
)
def minimum_norm(data: Data) -> Mapping[str, Result]:
    dataset = data["scale_sweep"]
    least = sum(theory.minimum_norm(*data_of(dataset)))
    last = dataset["path_norm"].isel(time=-1).mean("seed")
    excess = last / least - 1
    return {
        "½|θ|² at λ = 1e-30": close(float(last.sel(scale=1e-30)), least, relative=1e-6),
        "excess falls with λ": at_most(
            float((excess.values[1:] / excess.values[:-1])[excess.values[:-1] > 1e-12].max()),
            1.0,
            "largest ratio of the mean excess to that of the next larger λ",
        ),
    }


@claim(
    "On random orthogonal sets ½|θ|² → min and two directions remain as λ → 0",
    f"{PAPER}, Theorem 1 and its assumption on S_(±,1) (wording recalled), made true by the initialisation",
    "published",
    ["implicit_bias"],
)
def implicit_bias(data: Data) -> Mapping[str, Result]:
    dataset = data["implicit_bias"]
    results = {}
    for samples in dataset["samples"].values:
        runs = dataset.sel(samples=samples)
        excess = np.stack([norm_ratio(runs.sel(scale=scale)) - 1 for scale in runs["scale"].values]).max(-1)
        told = ", ".join(f"{e:.2g} at {s:.0e}" for e, s in zip(excess, runs["scale"].values, strict=True))
        results[f"n = {samples}, excess"] = at_most(
            float(excess[-1]),
            1e-3,
            f"½|θ|²/min − 1, largest over seeds: {told}; it falls like λ^p, p small for large n",
        )
        last = runs.isel(scale=-1)
        count = last["carrying_directions"].isel(time=-1).values
        left = float(last["scale"]) ** last["blind_exponent"].values[count > 2]
        name = f"n = {samples}, directions"
        if len(left) and left.min() > 1e-2:
            results[name] = inconclusive(
                f"{len(left)} of {len(count)} seeds keep {int(count.max())} directions at the smallest λ, where "
                f"neurons that miss a sample have died only to λ^p = {left.min():.2g} of the mass; λ is too large"
            )
        else:
            told = "largest over seeds, at the smallest λ"
            results[name] = close(float(count.max()), 2.0, absolute=0.5, detail=told)
    return results


@claim(
    "On orthogonal inputs the excess norm falls like λ^p, p = min 2(1 − |D_A|/|D_±|) over neurons that miss a sample",
    "growth of a neuron that sees only the samples A",
    "derived",
    ["implicit_bias", "scale_sweep"],
)
def excess_exponent(data: Data) -> Mapping[str, Result]:
    dataset, results = data["implicit_bias"], {}
    for samples in dataset["samples"].values:
        runs = dataset.sel(samples=samples)
        early, late = (norm_ratio(runs.sel(scale=scale)) - 1 for scale in (1e-16, 1e-64))
        resolved = late > 1e-13
        predicted = runs.sel(scale=1e-16)["blind_exponent"].values
        ratio = np.log10(early[resolved] / late[resolved]) / 48 / predicted[resolved]
        detail = f"mean of measured/predicted p over the {len(ratio)} seeds whose excess is above 1e-13"
        if len(ratio) < 3:
            results[f"n = {samples}"] = inconclusive(f"{detail}: too few for an interval")
            continue
        mean, low, high = mean_interval(ratio)
        results[f"n = {samples}"] = equivalent(mean, 1.0, (low, high), 0.05, detail)
    fixed = data["scale_sweep"]
    inputs, targets = data_of(fixed)
    last = fixed["path_norm"].isel(time=-1).sel(scale=[1e-18, 1e-30]).transpose("scale", "seed").values
    excess = last / sum(theory.minimum_norm(inputs, targets)) - 1
    measured = np.log10(excess[0] / excess[1]).mean() / 12
    results["five points"] = close(float(measured), theory.excess_exponent(inputs, targets), relative=0.05)
    return results


def norm_ratio(run: xr.Dataset) -> Any:
    """½|θ|²/min at the last time, (seed,)."""
    least = [
        sum(
            theory.minimum_norm(
                inputs[~np.isnan(targets)][:, : (~np.isnan(targets)).sum()], targets[~np.isnan(targets)]
            )
        )
        for inputs, targets in zip(run["seed_inputs"].values, run["seed_targets"].values, strict=True)
    ]
    return run["path_norm"].isel(time=-1).values / np.array(least)


@claim(
    "Five points, small scale: descent waits at the plateau 1209/19000 (twice the paper's L)",
    NOTEBOOKS,
    "derived",
    ["nonorthogonal_small"],
)
def five_point_plateau(data: Data) -> Mapping[str, Result]:
    level = 1209 / 19000
    runs = {
        "descent, float64": descent(data["nonorthogonal_small"]),
        "descent, float32": descent(data["nonorthogonal_small"], "float32"),
        "flow": flow(data["nonorthogonal_small"]),
    }
    results = {}
    for name, run in runs.items():
        measured = theory.waiting_level(run["time"].values, run["loss"].values, 0.5 * float(run["loss"][0]))
        results[name] = close(
            measured, level, relative=2e-3, detail="loss where it moves least, below half of L(0)"
        )
    return results


@claim(
    "Five points: the exact flow leaves the plateau from every start",
    "exact flow; descent's failures are its step's",
    "derived",
    ["escape_of_flow"],
)
def flow_escapes(data: Data) -> Mapping[str, Result]:
    dataset = data["escape_of_flow"]
    results = {}
    for scale in dataset["scale"].values:
        escaped = escaped_seeds(dataset.sel(scale=scale)["loss"])
        _, low, high = chance_interval(int(escaped.sum()), len(escaped))
        detail = f"of {len(escaped)} seeds; 95 % interval of the fraction {low:.3f} to {high:.3f}"
        results[f"s = {scale * np.sqrt(60):.0e}"] = close(float(escaped.mean()), 1.0, detail=detail)
    return results


LEVEL = 1209 / 38000


def escaped_seeds(loss: xr.DataArray) -> Any:
    """Which seeds end below 90 % of the plateau, (…, seed)."""
    return (loss.isel(time=-1) < 0.9 * LEVEL).values


@claim(
    "Five points: the flow's escape time grows by a constant per decade of the initial scale",
    "exact flow",
    "derived",
    ["escape_of_flow"],
)
def escape_time(data: Data) -> Result:
    dataset = data["escape_of_flow"]
    small = dataset.sel(scale=dataset["scale"] < 1e-3)
    decades = np.log10(1 / small["scale"].values)
    time = small["time"].values
    losses = small["loss"].transpose("scale", "seed", "time").values
    when = np.array([[first_below(time, one, 0.9 * LEVEL) for one in seeds] for seeds in losses])
    everywhere = np.isfinite(when).all(0)
    if everywhere.sum() < 2:
        return inconclusive("fewer than two seeds escape at every scale")
    slope, low, _ = slope_interval(decades, when[:, everywhere].mean(-1))
    line = np.polyval(np.polyfit(decades, when[:, everywhere].mean(-1), 1), decades)
    worst = np.abs(when[:, everywhere].mean(-1) - line).max() / when[:, everywhere].mean()
    detail = (
        f"largest relative distance of the mean time from a line over λ; slope {slope:.2f} ± {slope - low:.2f} (95 %) "
        f"a decade, {int(everywhere.sum())} seeds"
    )
    return at_most(float(worst), 0.02, detail)


@claim(
    "Five points: the fraction of descents that leave the plateau grows towards 1 as the step shrinks",
    "gradient descent at several step sizes",
    "derived",
    ["escape_of_descent"],
)
def descent_escapes(data: Data) -> Mapping[str, Result]:
    dataset = data["escape_of_descent"]
    results = {}
    for scale in dataset["scale"].values:
        escaped = escaped_seeds(dataset.sel(scale=scale)["loss"].sortby("step_size", ascending=False))
        counts, trials = escaped.sum(-1), escaped.shape[-1]
        steps = sorted(dataset["step_size"].values, reverse=True)
        told = ", ".join(f"{int(c)} at {s:.0e}" for c, s in zip(counts, steps, strict=True))
        gain = float(counts[-1] - counts[0]) / trials
        largest, smallest = (chance_interval(int(count), trials) for count in (counts[0], counts[-1]))
        detail = f"gain in the share from the largest step to the smallest; of {trials} seeds: {told}"
        name = f"s = {scale * np.sqrt(60):.0e}"
        if smallest[1] <= largest[2] and largest[1] <= smallest[2]:
            results[name] = inconclusive(f"{detail}; the exact 95 % intervals of the two ends overlap")
        else:
            results[name] = at_least(gain, 0.0, detail)
    return results


@claim(
    "Five points: the flow interpolates, but not with minimum norm",
    "least Σ|a||w| of all interpolations, by a linear program over directions",
    "derived",
    ["escape_of_flow"],
)
def five_point_norm(data: Data) -> Mapping[str, Result]:
    dataset = data["escape_of_flow"]
    inputs, targets = data_of(dataset)
    least = theory.least_interpolation(inputs, targets)
    results = {}
    for scale in dataset["scale"].values[dataset["scale"].values < 1e-3]:
        last = dataset.sel(scale=scale).isel(time=-1)
        interpolates = last["loss"].values < 1e-8
        name = f"s = {scale * np.sqrt(60):.0e}"
        if not interpolates.any():
            results[name] = inconclusive(
                f"no seed reaches L < 1e-8; the lowest is {float(last['loss'].min()):.2g}"
            )
            continue
        ratio = last["path_norm"].values[interpolates] / least
        detail = (
            f"smallest Σ|a||w|/{least:.4f} over the {int(interpolates.sum())} seeds with L < 1e-8; "
            f"the largest is {ratio.max():.4f}"
        )
        results[name] = at_least(float(ratio.min()), 1.005, detail)
    return results


@claim(
    "High dimension: the run ends at another saddle, one sample unfitted: L = y²/n (twice the paper's L)",
    NOTEBOOKS,
    "derived",
    ["high_dimension"],
)
def another_saddle(data: Data) -> Mapping[str, Result]:
    results = {}
    for name, run in (("descent", descent(data["high_dimension"])), ("flow", flow(data["high_dimension"]))):
        hidden, output = run["final_hidden"].values, run["final_output"].values
        prediction = np.maximum(hidden @ run["inputs"].values.T, 0).T @ output
        missed = np.abs(prediction - run["targets"].values)
        worst = int(missed.argmax())
        share = float(missed[worst] ** 2 / (missed**2).sum())
        target = float(run["targets"][worst])
        detail = f"the unfitted sample is number {worst}, with {100 * share:.2f} % of the squared residuals"
        results[name] = close(float(run["loss"][-1]), target**2 / len(missed), relative=2e-3, detail=detail)
    return results


@claim(
    "High dimension: two principal components hold as much of the hidden weights as in the authors' run, 75.6 %",
    NOTEBOOKS,
    "derived",
    ["high_dimension"],
    [FILES[2]],
)
def explained_variance(data: Data) -> Result:
    ratio = descent(data["high_dimension"])["explained_variance_ratio"].values
    squares = np.linalg.svd(data[RUNS["high_dimension"]]["final_hidden"].values, compute_uv=False) ** 2
    exact = float(squares[:2].sum() / squares.sum())
    return close(float(ratio[:2].sum()), exact, absolute=1e-3)


@hookimpl
def register_claims(register: Callable[[str, Claim], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Claim):
            register(f"boursier2022.{name}", thing)
