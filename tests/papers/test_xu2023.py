"""What the claims on Xu and Du 2023 predict, against the exact loss, and that they fail where the law is another."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from paper_settings import in_setting
from project import PROJECT

import twolayer
from twolayer import fit_rate
from twolayer.population import asymptotics
from twolayer.study.registry import load, load_file

theory = load_file(PROJECT / "plugins" / "papers" / "xu2023" / "theory.py", "xu2023_tested.theory")
CLAIMS = load()
measured = load_file(PROJECT / "plugins" / "papers" / "xu2023" / "measured.py", "xu2023_tested.measured")


LOST = "not reproduced under this reading"
DESCENT = {"phases": (1e-3, 1e-4), "figure1": (0.1, 0.05)}
"""σ and η."""


def run_as(dataset: xr.Dataset, dims: tuple[str, ...], scale: float = 0.1, step: float = 0.05) -> xr.Dataset:
    """A made-up dataset over swept words with the config of each run and the steps of its times."""
    runs = np.full([dataset.sizes[word] for word in dims], "", dtype=object)
    for place in np.ndindex(runs.shape):
        words = {word: dataset[word].values[index].item() for word, index in zip(dims, place, strict=True)}
        start = {"parallel": {"name": "aligned", "angle": 0.0}, "equal": {"name": "identical"}}
        description = {
            "swept": words,
            "problem": {
                "name": "gaussian_teacher", "teachers": 1, "dimension": words.get("dimension", 10),
                "norms": None, "vectors": None, "coefficients": 1.0,
            },
            "network": {"neurons": words.get("neurons", 2)},
            "initialization": start.get(
                words.get("initialization", ""), {"name": "gaussian", "scale": scale}
            ),
            "dynamics": {"name": "gradient_descent", "step_size": step},
        }  # fmt: skip
        runs[place] = json.dumps(in_setting(theory.paper, description))
    steps = np.round(dataset["time"].values / step)
    return dataset.assign(run=(dims, runs)).assign_coords(step=("time", steps))


def claimed(name: str, **data: Any) -> dict[str, Any]:
    """The results of a claim on given datasets."""
    return dict(CLAIMS.find("claims", f"xu2023.{name}").plugin.evaluate(data))


@pytest.mark.parametrize("heights", [[0.5, 0.5], [0.3, 0.7], [0.25] * 4])
def test_limits_are_those_of_the_flow(heights: list[float]) -> None:
    dataset = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 5, "teachers": 1},
            "network": {"neurons": len(heights), "output": "fixed"},
            "initialization": {"name": "aligned", "projections": [heights], "angle": 0.1},
            "dynamics": {"name": "gradient_flow", "rtol": 1e-7},
            "times": {"start": 1.0, "stop": 1e6, "count": 61, "spacing": "log"},
            "metrics": ["loss", "projection", "spread"],
        }
    ).isel(seed=0, teacher=0)
    constant = float(fit_rate(dataset)["constant"])
    last = dataset.isel(time=-1)
    h = last["projection"].values
    if len(heights) > 2:
        assert constant == pytest.approx(asymptotics.simplex_constant(len(heights)), rel=1e-4)
        return
    assert constant == pytest.approx(asymptotics.pair_constant(h), rel=1e-4)
    assert float(last["spread"] * last["time"]) == pytest.approx(asymptotics.group_spread(h), rel=1e-3)
    assert float(last["loss"] / last["spread"] ** 3) == pytest.approx(asymptotics.loss_by_spread(h), rel=1e-6)
    ratio = dataset["gradient_norm"] / dataset["loss"] ** (2 / 3)
    limit = asymptotics.gradient_limit(asymptotics.pair_constant(h))
    assert float(ratio.sel(time=1e4, method="nearest")) == pytest.approx(limit, rel=1e-3)


def test_a_simplex_of_two_is_a_mirrored_pair() -> None:
    assert asymptotics.simplex_constant(2) == pytest.approx(asymptotics.pair_constant([0.5, 0.5]), rel=1e-14)


@pytest.mark.parametrize("floor", [1e-3, 1e-6, -1e-4])
def test_the_smallest_growth_error_is_the_smallest(floor: float) -> None:
    """By trying: H keeps within its bounds up to T₂(ε₂) for every larger ε₂ and for no smaller one."""
    neurons, begin = 3, 0.1
    time = np.linspace(0, 12, 4000)
    envelope = theory.grown(time, neurons, begin, 1e-4)
    growth = 0.8 * envelope + floor
    late = time >= begin
    smallest, place = theory.smallest_growth_error(growth[late], envelope[late])

    def fits(error: float) -> bool:
        end = begin + math.log(1 / (36 * error)) / neurons
        during = (time >= begin) & (time <= end)
        below = growth <= envelope + 6 * error
        return bool((below & (growth >= 2 / 3 * envelope - 6 * error))[during].all())

    for factor in (1.02, 2.0, 10.0):
        assert fits(factor * smallest)
    for factor in (0.98, 0.5, 0.1):
        assert not fits(factor * smallest)
    assert math.exp(-neurons * (time[late][place] - begin)) == pytest.approx(36 * smallest, rel=0.02)


def falling(power: float) -> xr.Dataset:
    """Two students as in `mirrored`, with L = T^−power and Z = T^(−power/3)."""
    time = np.concatenate([[0.0], np.geomspace(0.1, 1e8, 181)])
    loss = (1.0 + time) ** -power
    dataset = xr.Dataset(
        {
            "loss": (("projections", "seed", "time"), loss[None, None]),
            "gradient_norm": (("projections", "seed", "time"), loss[None, None] ** 0.5),
            "projection": (("projections", "seed", "time", "neuron"), np.full((1, 1, len(time), 2), 0.5)),
            "spread": (("projections", "seed", "time", "teacher"), loss[None, None, :, None] ** (1 / 3)),
        },
        coords={"projections": ["even"], "time": time},
    )
    return run_as(dataset, ("projections",))


def test_claims_of_two_students_fail_on_another_law() -> None:
    for name in ("third_power", "gradient_bound", "lower_bound"):
        verdicts = {result.verdict for result in claimed(name, mirrored=falling(2.0)).values()}
        assert verdicts == {"fails"}, name
    results = claimed("third_power", mirrored=falling(3.0))  # the slope is right, the constant is not
    assert results["slope"].verdict == "holds"
    assert results["L t³"].verdict == "fails"


def test_uneven_students_are_found() -> None:
    """h_j ≥ h_i/2 does not hold where some h is below 0, nor where all are; padding takes no part."""
    heights = [[1.0, 0.6], [1.0, 0.4], [1.0, -3.0], [-1.0, -1.1], [np.nan, np.nan]]
    found = measured.least_to_largest(xr.DataArray(heights, dims=("seed", "neuron")))
    np.testing.assert_allclose(found, [0.6, 0.4, -3.0, -1.0, np.nan])


TIME = np.concatenate([[0.0], np.geomspace(1e-4, 40, 200)])


def phases(
    angle: float = 1e-20, speed: float = 1.0, loss: Any = lambda t: (1.0 + t) ** -3.0, unevenness: float = 0.0
) -> xr.Dataset:
    """Students as in `phases`: along the teacher from length 1e-3 on, at once by `angle`, `speed` times too fast."""
    sizes = (2, 5, 10)
    shape = (3, 2, len(TIME), 10)
    height, angles = np.full(shape, np.nan), np.full(shape, np.nan)
    growth = np.full((3, 2, len(TIME), 1), np.nan)
    for place, neurons in enumerate(sizes):
        left = theory.grown(speed * TIME, neurons, 0.0, DESCENT["phases"][1])
        share = 1 + unevenness * np.linspace(-1, 1, neurons)
        start = np.sqrt(10) * DESCENT["phases"][0]
        height[place, ..., :neurons] = start + (1 - left)[:, None] * share / neurons
        angles[place, ..., :neurons] = angle
        angles[place, :, 0, :neurons] = 1.5
        growth[place, ..., 0] = left
    dataset = xr.Dataset(
        {
            "projection": (("neurons", "seed", "time", "neuron"), height),
            "hidden_norm": (("neurons", "seed", "time", "neuron"), height),
            "teacher_angle": (("neurons", "seed", "time", "neuron"), angles),
            "teacher_deficit": (("neurons", "seed", "time", "teacher"), growth),
            "loss": (("neurons", "seed", "time"), np.broadcast_to(loss(TIME), shape[:3])),
        },
        coords={"neurons": list(sizes), "time": TIME},
    )
    return run_as(dataset, ("neurons",), *DESCENT["phases"])


def verdicts(results: dict[str, Any], word: str) -> set[str]:
    """The verdicts of cases whose name has a word."""
    found = {result.verdict for name, result in results.items() if word in name}
    assert found, word
    return found


def test_claims_of_the_phases_are_failed_by_other_laws() -> None:
    for name, word, broken in (
        ("theorem_4", "ε₁", {"angle": 1.2}),
        ("phase2_angles", "θ/ε₂", {"angle": 1e-1}),
        ("phase2", "h_j/h_i", {"unevenness": 0.5}),
        ("phase2", "rate of H", {"speed": 1.05}),
        ("phase1_lengths", "|w(0)|", {"speed": 1.3}),
        ("phase1_alignment", "h_j/h_i", {"unevenness": 0.5}),
        ("phase1_alignment", "envelope", {"angle": 1.6}),
        ("phase3_lengths", "least", {"unevenness": 0.8}),
    ):
        assert verdicts(claimed(name, phases=phases()), word) == {"holds"}, name
        assert verdicts(claimed(name, phases=phases(**broken)), word) == {LOST}, (name, word)


def toys(loss: Any, initialization: str = "equal") -> xr.Dataset:
    """Students of `exact_rank` with a law written here: loss(t, n)."""
    time = np.linspace(0, 30, 121)
    values = np.stack([np.broadcast_to(loss(time, neurons), (3, len(time))) for neurons in (2, 5)])
    shape = (1, 2, 3, len(time))
    dims = ("initialization", "neurons", "seed", "time")
    dataset = xr.Dataset(
        {"loss": (dims, values[None]), "teacher_angle": ((*dims, "neuron"), np.ones((*shape, 5)))},
        coords={"initialization": [initialization], "neurons": [2, 5], "time": time},
    )
    return run_as(dataset, dims[:2])


def linear(time: Any, neurons: int) -> Any:
    """A loss that falls by (1 − nη/2)² a step."""
    return 0.1 * (1 - 0.5 * neurons * 0.05) ** (2 * time / 0.05)


def test_theorem_14_separates_an_exponential_rate_from_a_power() -> None:
    def power(constant: float) -> Any:
        return lambda time: constant * (1.0 + time) ** -3.0

    assert verdicts(claimed("theorem_14", phases=phases(loss=power(1.6))), "n = ") == {"holds"}
    # C = 1 is below that of h = 1/3 and 2/3, 1.2997: steeper than n = 2 may be
    for loss in (power(1.0), lambda time: np.exp(-1.5 * time)):
        assert claimed("theorem_14", phases=phases(loss=loss))["n = 2"].verdict == LOST
    name = "theorem_14_of_equal_students"
    assert verdicts(claimed(name, exact_rank=toys(linear)), "equal") == {"holds"}
    slow = toys(lambda time, neurons: power(1.6)(time))
    assert verdicts(claimed(name, exact_rank=slow), "equal") == {"fails"}
    assert verdicts(claimed(name, exact_rank=slow.isel(time=slice(0, 12))), "equal") == {"inconclusive"}


@pytest.mark.parametrize(("name", "start"), [("parallel_students", "parallel"), ("equal_students", "equal")])
def test_linear_rates_fail_on_another_rate(name: str, start: str) -> None:
    assert verdicts(claimed(name, exact_rank=toys(linear, start)), "n = ") == {"holds"}
    faster = toys(lambda time, neurons: linear(1.01 * time, neurons), start)
    assert verdicts(claimed(name, exact_rank=faster), "n = ") == {"fails"}
    other = {"parallel": "equal", "equal": "parallel"}[start]
    none = claimed(name, exact_rank=toys(linear, other))
    assert {result.verdict for result in none.values()} == {"inconclusive"}


def test_a_rate_of_equal_students_needs_a_loss_that_falls_far() -> None:
    short = toys(lambda time, neurons: linear(0.3 * time, neurons), "equal").isel(time=slice(0, 20))
    for result in claimed("equal_students", exact_rank=short).values():
        assert result.verdict == "inconclusive"
        assert "nan" not in result.detail


def test_a_deficit_that_leaves_its_bounds_at_once_has_no_second_phase() -> None:
    data = phases()
    data["teacher_deficit"] = 2 * data["teacher_deficit"]
    (result, *_) = claimed("phase2_angles", phases=data).values()
    assert (result.measured, result.verdict) == ("no T₂", LOST)
    assert "inf" not in measured.described(np.array([1.0, 2.0, 3.0]))
    assert measured.described(np.array([1.0, np.inf])) == "2 seeds from 1 to inf"


def figure1(
    power: float,
    constant: float = 1.0,
    law: Any = lambda t: (1.0 + t) ** -3.0,
    turn: float = 0.0,
    share: float = 1.0,
) -> xr.Dataset:
    """Losses C n^power law(t) as in `figure1`, with the gradient and spread that belong to them.

    turn: a power of t by which Z falls faster. share: n|w| and h/h_largest of the first student.
    """
    sizes = np.array([1, 2, 5, 10])
    steps = np.unique([0, 2, 3, 8, 300, 500, *np.geomspace(1, 50000, 80).round().astype(int)])
    time = 0.05 * steps
    scale = constant * sizes[:, None, None, None] ** power
    loss = np.broadcast_to(scale * law(time), (4, 1, 3, len(time)))
    apart = (loss * sizes[:, None, None, None] ** 4.0) ** (1 / 3) * (1 + time) ** -turn
    heights = np.full((4, 1, 3, len(time), 10), np.nan)
    for place, neurons in enumerate(sizes):
        heights[place, ..., :neurons] = 1 / neurons
        heights[place, ..., 0] *= share
    dims = ("neurons", "dimension", "seed", "time")
    dataset = xr.Dataset(
        {
            "loss": (dims, loss),
            "gradient_norm": (dims, np.sqrt(3) * scale ** (-1 / 6) * loss ** (2 / 3)),
            "spread": ((*dims, "teacher"), apart[..., None]),
            "projection": ((*dims, "neuron"), heights),
            "hidden_norm": ((*dims, "neuron"), heights),
        },
        coords={"neurons": sizes, "dimension": [10], "time": time},
    )
    return run_as(dataset, dims[:2], *DESCENT["figure1"])


def test_powers_and_constants_of_the_number_of_students() -> None:
    falling_with_n = claimed("powers_of_n", figure1=figure1(-1.2))
    assert {result.verdict for result in falling_with_n.values()} == {"holds"}
    growing = claimed("powers_of_n", figure1=figure1(0.5))
    assert growing["d = 10, L T³"].verdict == LOST
    assert growing["d = 10, |∇L|/L^{2/3}"].verdict == LOST
    assert verdicts(claimed("third_phase_constant", figure1=figure1(0.0, 1.6)), "n = ") == {"holds"}
    assert verdicts(claimed("third_phase_constant", figure1=figure1(0.0, 1.7)), "n = ") == {"fails"}


def curve(neurons: int) -> Any:
    """A loss through the two readings of Figure 1 for n students, as a power of t between and after them."""
    first, last = theory.ENDS_LEFT[neurons], 2500 ** theory.ENDS_RIGHT[neurons]
    return lambda time: first * (np.maximum(time, 0.05) / 25) ** (np.log(last / first) / np.log(100))


def one_rate(time: Any) -> Any:
    """A loss that falls by (1 − η/2)² a step from the start, down to 1e-20."""
    return np.maximum(0.975 ** (2 * time / 0.05), 1e-20)


@pytest.mark.parametrize(
    ("name", "case", "right", "wrong", "verdict"),
    [
        ("ends_left", "n = 5", {"law": curve(5)}, {"law": curve(5), "constant": 2.1}, LOST),
        ("ends_right", "n = 5", {"law": curve(5)}, {"law": curve(5), "constant": 2.5}, LOST),
        ("one_student", "n = 1", {"law": one_rate}, {"law": lambda t: one_rate(1.02 * t)}, "fails"),
        ("third_power_of_random_starts", "n = ", {}, {"law": lambda t: (1.0 + t) ** -2.0}, LOST),
        ("lower_bound_of_random_starts", "n = ", {}, {"turn": 0.03}, LOST),
        ("figure1_phases", "h_j/h_i", {}, {"share": 0.4}, LOST),
        ("figure1_phases", "least", {"share": 0.3}, {"share": 0.2}, LOST),
    ],
)
def test_claims_of_figure_1_are_failed_by_other_laws(
    name: str, case: str, right: dict[str, Any], wrong: dict[str, Any], verdict: str
) -> None:
    assert verdicts(claimed(name, figure1=figure1(0.0, **right)), case) == {"holds"}
    assert verdicts(claimed(name, figure1=figure1(0.0, **wrong)), case) == {verdict}


@pytest.mark.parametrize(
    ("name", "case", "reason"),
    [
        ("one_student", "n = 1", "at iteration 300 a loss of 'figure1' is above 0.0001"),
        ("third_power_of_random_starts", "n = 5", "the experiment 'figure1' ends at 500, before 2e+03"),
        ("lower_bound_of_random_starts", "n = 5", "the experiment 'figure1' ends at 500, before 2e+03"),
        ("powers_of_n", "", "the experiment 'figure1' ends at 500, before 2e+03"),
    ],
)
def test_what_a_smaller_step_does_not_reach_is_not_judged(name: str, case: str, reason: str) -> None:
    """A fifth of the step size: iteration 500 is at t = 5, the last one at t = 500."""
    data = figure1(0.0, law=lambda t: (1.0 + t) ** -3.0)
    data = data.assign_coords(time=data["time"] / 5)
    data = run_as(data.drop_vars(["run", "step"]), ("neurons", "dimension"), 0.1, 0.01)
    found = {key: result for key, result in claimed(name, figure1=data).items() if case in key}
    assert {result.verdict for result in found.values()} == {"inconclusive"}
    assert all(reason in result.detail for result in found.values())


def test_limits_of_two_students_are_not_judged_early() -> None:
    short = falling(3.0).isel(time=slice(0, 91))
    for name in ("third_power", "lower_bound", "gradient_bound"):
        (result,) = claimed(name, mirrored=short).values()
        assert result.verdict == "inconclusive"
        assert "ends at 2.82e+03, before 1e+0" in result.detail


def test_claims_are_in_units_of_the_teacher() -> None:
    """|v| = 2: lengths twice, losses four times as large, in the same time, are the same measurements."""
    once = figure1(0.0, 1.6)
    twice = once.assign(
        {name: once[name] * 2**power for name, power in measured.POWERS.items() if name in once}
    )
    texts = [text.replace('"norms": null', '"norms": [2.0]') for text in once["run"].values.ravel()]
    twice["run"] = once["run"].copy(data=np.reshape(texts, once["run"].shape))
    for name in ("third_phase_constant", "figure1_phases", "lower_bound_of_random_starts", "powers_of_n"):
        same, found = claimed(name, figure1=once), claimed(name, figure1=twice)
        for case, result in same.items():
            assert found[case].verdict == result.verdict, (name, case)
            assert found[case].measured == pytest.approx(result.measured, rel=1e-9), (name, case)
