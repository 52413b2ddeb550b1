"""The probability of reaching a loss and its threshold: against scipy, closed forms and the likelihood itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats

import twolayer
from twolayer import chance_of_reaching, logistic_threshold
from twolayer.errors import DataError


def test_counts_and_intervals() -> None:
    """Of two runs, the second with fewer seeds; a seed that diverged counts by what it was before."""
    loss = np.array(
        [
            [[1.0, 0.1, 0.01], [1.0, 0.9, 0.8], [1.0, 0.04, np.nan], [1.0, 0.5, 0.4]],
            [[1.0, 0.2, 0.06], [1.0, 0.05, 0.2], [np.nan] * 3, [np.nan] * 3],
        ]
    )
    dataset = xr.Dataset(
        {"loss": (("neurons", "seed", "time"), loss)}, {"neurons": [2, 4], "time": [0.0, 1.0, 2.0]}
    )
    found = chance_of_reaching(dataset, 0.05)
    assert found["reached"].values.tolist() == [2, 1]
    assert found["trials"].values.tolist() == [4, 2]
    for run, (hits, count) in enumerate([(2, 4), (1, 2)]):
        exact = stats.binomtest(hits, count).proportion_ci(method="exact")
        assert found["chance"].values[run] == hits / count
        np.testing.assert_allclose([found["low"][run], found["high"][run]], [exact.low, exact.high])


def test_of_a_sweep() -> None:
    """Teachers of one neuron are reached by descent from some starts: a chance for each number of neurons."""
    dataset = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 1},
            "network": {"neurons": 1, "output": "fixed"},
            "initialization": {"name": "gaussian", "scale": 0.5},
            "dynamics": {"name": "gradient_descent", "step_size": 0.5},
            "times": {"steps": [1, 60]},
            "metrics": ["loss"],
            "sweep": {"network.neurons": [1, 2]},
            "seeds": 4,
        },
        "numpy",
        threads=1,
    )
    found = chance_of_reaching(dataset, 1e-2)
    assert found["chance"].dims == ("neurons",)
    assert found["trials"].values.tolist() == [4, 4]
    np.testing.assert_array_equal(found["reached"], (dataset["loss"].min("time") <= 1e-2).sum("seed"))


def likelihood(theta: Any, x: Any, reached: Any, trials: Any) -> float:
    logits = (x - theta[0]) / theta[1]
    return float((reached * logits - trials * np.logaddexp(0, logits)).sum())


X, REACHED, TRIALS = np.array([1.0, 2, 3, 4, 6]), np.array([1, 3, 9, 14, 20]), np.full(5, 20)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_threshold_has_the_largest_likelihood(sign: float) -> None:
    """Against scipy's minimiser in both parameters; and at the ends of the interval the likelihood, maximised over the
    width, is χ²/2 lower."""
    x = sign * X
    middle, low, high = logistic_threshold(x, REACHED, TRIALS)
    best = optimize.minimize(
        lambda theta: -likelihood(theta, x, REACHED, TRIALS),
        [sign * 3.0, sign],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12},
    )
    assert middle == pytest.approx(best.x[0], abs=1e-6)
    assert low < middle < high
    for end in (low, high):
        over_width = optimize.minimize_scalar(
            lambda width, end=end: -likelihood((end, sign * width), x, REACHED, TRIALS),
            bounds=(0.05, 20),
            method="bounded",
        )
        assert -over_width.fun == pytest.approx(-best.fun - 0.5 * stats.chi2.ppf(0.95, 1), abs=1e-6)


def test_two_points_are_fitted_exactly() -> None:
    """P(1) = 1/4 and P(3) = 9/10: logits −ln 3 and ln 9 meet 0 at 1 + 2 ln 3/(ln 3 + ln 9) = 5/3."""
    assert logistic_threshold([1.0, 3.0], [5, 18], [20, 20])[0] == pytest.approx(5 / 3, abs=1e-7)


def test_a_gap_and_a_side_without_an_end() -> None:
    """Where all that reached are above all that did not, x₀ is the middle of the gap. x₀ = 2 would give each of the
    trials at 2 a chance of ½: with ten, twice the log-likelihood falls by 20 ln 2, and the interval is the gap; with
    one by 2 ln 2, less than χ², and it reaches beyond."""
    middle, low, high = logistic_threshold([1, 2, 4, 5], [0, 0, 10, 10], [10, 10, 10, 10])
    assert middle == 3.0
    assert (low, high) == (pytest.approx(2.0, abs=5e-3), pytest.approx(4.0, abs=5e-3))
    middle, low, high = logistic_threshold([1, 2, 4, 5], [0, 0, 1, 1], [1, 1, 1, 1])
    assert middle == 3.0
    assert low < 2 < 4 < high
    assert logistic_threshold([1.0, 2.0, 3.0], [5, 6, 5], [10, 10, 10])[1:] == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("x", "reached", "message"),
    [
        ([1.0, 1.0], [1, 0], "two values of x"),
        ([1.0, 2.0], [0, 0], "none of the trials"),
        ([1.0, 2.0], [2, 2], "all of"),
    ],
)
def test_what_has_no_threshold(x: Any, reached: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        logistic_threshold(x, reached, [2, 2])


def test_what_is_no_quantity() -> None:
    dataset = xr.Dataset({"loss": (("seed", "time"), np.ones((2, 2)))})
    with pytest.raises(DataError, match="'los' must be a variable over seed and time; such are loss"):
        chance_of_reaching(dataset, 0.1, "los")
