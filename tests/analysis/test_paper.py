"""Claims as functions of runs: grouping, naming, the worst point, and what the config no longer has."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twolayer import Paper, Result, Run, above, at_least, at_most, close, equivalent, fit_slope
from twolayer.analysis.claims import evaluate
from twolayer.analysis.runs import Varied, distinguishing_words, runs_of
from twolayer.errors import DataError, PluginError

PAPER = Paper("some2026", "Some, 2026", {"neurons": "n"})
TIMES = np.array([0.0, 1.0, 2.0])


def described(neurons: int, scale: float) -> dict[str, Any]:
    """A run as files carry it."""
    return {
        "paper": "some2026",
        "experiment": "rate",
        "name": f"neurons={neurons},scale={scale}",
        "swept": {"neurons": neurons, "scale": scale},
        "network": {"neurons": neurons, "activation": "relu"},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "initialization": {"name": "gaussian", "scale": scale},
        "seeds": [0, 1],
    }


@pytest.fixture
def dataset() -> xr.Dataset:
    """Two sizes by two scales, two seeds; the loss is n(1 + seed)(1 + t), and neurons are padded to 3."""
    sizes, scales, seeds = [2, 3], [0.1, 1.0], [4, 7]
    loss = np.multiply.outer([2.0, 3.0], np.ones(2))[..., None, None]
    loss = loss * np.array([1.0, 2.0])[:, None] * (1 + TIMES)
    size = np.ones((2, 2, 2, 3, 3))
    size[0, ..., 2] = np.nan
    return xr.Dataset(
        {
            "loss": (("neurons", "scale", "seed", "time"), loss),
            "length": (("neurons", "scale", "seed", "time", "neuron"), size),
            "run": (
                ("neurons", "scale"),
                np.array([[json.dumps(described(n, s)) for s in scales] for n in sizes], dtype=object),
            ),
        },
        coords={"neurons": sizes, "scale": scales, "seed": seeds, "time": TIMES},
    )


def rows(claim: Any, **data: xr.Dataset) -> dict[str, Any]:
    """The rows of one claim by their case."""
    return {row["claim"]: row for row in evaluate({"it": claim}, data)}


def test_a_single_run_is_without_padding_and_knows_what_it_was(dataset: xr.Dataset) -> None:
    found = list(runs_of("rate", dataset, ("neurons", "scale")))
    assert [(run.neurons, run.swept["scale"]) for run in found] == [(2, 0.1), (2, 1.0), (3, 0.1), (3, 1.0)]
    assert [run.length.sizes["neuron"] for run in found] == [2, 2, 3, 3]
    assert found[0].config.dynamics.step_size == 0.1
    assert found[0].seeds == 2
    loss = found[0].loss.isel(time=0)
    assert (
        found[0].range_over_seeds(loss, ".3g")
        == f"median of 2 seeds from {loss.min():.3g} to {loss.max():.3g}"
    )
    assert found[0].isel(seed=[0]).range_over_seeds(loss, ".3g") == "one seed"
    assert np.array_equal(found[2].loss.sel(seed=7), 6 * (1 + TIMES))


def test_runs_together_share_what_they_have_in_common(dataset: xr.Dataset) -> None:
    (run,) = runs_of("rate", dataset)
    assert run.loss.dims == ("neurons", "scale", "seed", "time")
    assert run.config.dynamics.step_size == 0.1
    assert isinstance(run.config.network.neurons, Varied)
    assert f"{run.config.network.neurons}" == "2, 3"
    with pytest.raises(TypeError):
        _ = 2 * run.config.network.neurons
    assert [part.swept for part in run.by("neurons", scale=0.1)] == [
        {"neurons": 2, "scale": 0.1},
        {"neurons": 3, "scale": 0.1},
    ]


def test_what_is_measured_of_each_run_is_laid_along_a_word(dataset: xr.Dataset) -> None:
    (run,) = runs_of("rate", dataset.isel(scale=[1]))
    total = run.along("neurons", lambda part: part.length.isel(time=0).sum("neuron"))
    assert total.dims == ("neurons", "seed")
    assert total.sel(neurons=2, seed=4) == 2
    assert total.sel(neurons=3, seed=7) == 3
    with pytest.raises(DataError, match="'rate' sweeps scale too"):
        next(runs_of("rate", dataset)).along("neurons", lambda part: part.loss)
    (single,) = run.by(neurons=3)
    assert single.along("neurons", lambda part: part.loss.max("time")).dims == ("neurons", "seed")


def test_each_run_alone_whatever_was_swept(dataset: xr.Dataset) -> None:
    assert [run.swept for run in runs_of("rate", dataset, ("run",), {"scale": 1.0})] == [
        {"neurons": 2, "scale": 1.0},
        {"neurons": 3, "scale": 1.0},
    ]
    (run,) = runs_of("rate", dataset)
    assert [part.length.sizes["neuron"] for part in run.by("run")] == [2, 2, 3, 3]
    zipped = dataset.isel(scale=[0])  # a zip of two words: the first tells the runs apart, and names them
    assert distinguishing_words(zipped) == ["neurons"]
    assert distinguishing_words(dataset) == ["neurons", "scale"]
    assert distinguishing_words(dataset.isel(neurons=[0], scale=[0])) == []


def test_one_run_and_runs_that_differ_in_one_word(dataset: xr.Dataset) -> None:
    (run,) = runs_of("rate", dataset)
    assert run.one(neurons=3, scale=0.1).swept == {"neurons": 3, "scale": 0.1}
    with pytest.raises(DataError, match="has 2 runs with neurons = 3, not one"):
        run.one(neurons=3)
    assert [group.swept for group in run.varying("neurons")] == [{"scale": 0.1}, {"scale": 1.0}]


def test_the_saved_time_that_is_nearest(dataset: xr.Dataset) -> None:
    (run,) = runs_of("rate", dataset)
    assert [float(run.at_time(time).time) for time in (0.01, 1.3, 1.5, 2.0)] == [1.0, 1.0, 2.0, 2.0]
    with pytest.raises(DataError, match="ends at 2, before 3"):
        run.at_time(3.0)


def test_a_case_for_each_run_and_a_statement_that_does_not_speak_of_all(dataset: xr.Dataset) -> None:
    @PAPER.claim("large ones only", "x", "derived", on="rate", by="run")
    def large(run: Run) -> Result | dict[str, Result]:
        return at_least(run.loss, 3.0) if run.neurons > 2 else {}

    assert list(rows(large, rate=dataset)) == ["it[n = 3, scale = 0.1]", "it[n = 3, scale = 1]"]
    (row,) = rows(large, rate=dataset.isel(neurons=[0])).values()
    assert (row["verdict"], row["detail"]) == ("inconclusive", "there is no run that it applies to")


def test_a_word_that_is_not_swept_is_an_error_that_names_it(dataset: xr.Dataset) -> None:
    @PAPER.claim("x", "x", "derived", on="rate", by="angle")
    def turned(run: Run) -> Result:
        return at_least(run.loss, 3.0)

    (row,) = rows(turned, rate=dataset).values()
    assert row["verdict"] == "inconclusive"
    assert row["detail"].startswith("the experiment 'rate' does not sweep 'angle'")


@pytest.mark.parametrize(
    ("reach", "message"),
    [
        (lambda run: run.spread, "the experiment 'rate' has no 'spread'; it has loss, length"),
        (lambda run: run.config.dynamics.momentum, "no setting 'dynamics.momentum'; it has name, step_size"),
        (lambda run: list(run.by("angle")), "does not sweep 'angle'"),
        (lambda run: list(run.by("neurons", scale=3.0)), "no run with scale = 3.0"),
    ],
)
def test_what_a_run_lacks_is_reported(dataset: xr.Dataset, reach: Any, message: str) -> None:
    (run,) = runs_of("rate", dataset)
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        reach(run)


def test_the_worst_point_is_found_and_named(dataset: xr.Dataset) -> None:
    @PAPER.claim("L ≤ 2n(1 + t)", "theorem 1", "published", on="rate", by="neurons", figures=["loss"])
    def bounded(run: Run) -> Result:
        return at_most(run.loss, 1.9 * run.neurons * (1 + run.time))

    found = rows(bounded, rate=dataset)
    assert list(found) == ["it[n = 2]", "it[n = 3]"]
    row = found["it[n = 3]"]
    assert (row["measured"], row["predicted"], row["verdict"]) == (18.0, pytest.approx(17.1), "fails")
    assert row["detail"] == "largest of 12, at scale = 0.1, seed = 7, time = 2; median 7.5"
    assert row["figures"] == ["loss"]
    assert row["source"] == "Some, 2026, theorem 1"


def test_cases_results_by_name_and_values_that_are_gone(dataset: xr.Dataset) -> None:
    @PAPER.claim(
        "two at once",
        "x",
        "derived",
        on=("rate", "again"),
        by="neurons",
        select={"neurons": [3, 9], "scale": 1.0},
    )
    def several(run: Run) -> dict[str, Result]:
        return {
            "start": close(run.loss.isel(time=0, seed=0), 3.0),
            "end": at_least(run.loss.isel(time=-1), 9.0),
        }

    found = rows(several, rate=dataset, again=dataset)
    assert {name: row["verdict"] for name, row in found.items()} == {
        "it[rate, n = 9]": "inconclusive",
        "it[rate, n = 3, start]": "holds",
        "it[rate, n = 3, end]": "holds",
        "it[again, n = 9]": "inconclusive",
        "it[again, n = 3, start]": "holds",
        "it[again, n = 3, end]": "holds",
    }
    assert found["it[rate, n = 9]"]["detail"] == "the experiment 'rate' has no run with neurons = 9"


def test_a_variable_that_was_not_measured_leaves_the_other_cases(dataset: xr.Dataset) -> None:
    @PAPER.claim("x", "x", "derived", on="rate", by="neurons")
    def lacking(run: Run) -> Result:
        return at_most(run.spread if run.neurons == 3 else run.loss, 100.0)

    found = rows(lacking, rate=dataset)
    assert found["it[n = 2]"]["verdict"] == "holds"
    assert found["it[n = 3]"]["verdict"] == "inconclusive"
    assert "has no 'spread'" in found["it[n = 3]"]["detail"]


def test_an_unverified_reading_and_another_experiment_beside(dataset: xr.Dataset) -> None:
    @PAPER.claim(
        "x", "x", "recalled", on="rate", by="neurons", compared_with="other", unverified_reading=True
    )
    def read(run: Run, other: Run) -> Result:
        return at_most(run.loss.max(), float(other.loss.max()) - 7.0)

    found = rows(read, rate=dataset, other=dataset)
    assert found["it[n = 2]"]["verdict"] == "not reproduced under this reading"
    assert found["it[n = 2]"]["experiments"] == ["rate", "other"]


def test_each_run_is_a_case_and_parts_of_it_too(dataset: xr.Dataset) -> None:
    def late(run: Run) -> Any:
        for time in (1.0, 2.0):
            if run.neurons == 2 and run.swept["scale"] < time:
                yield run.with_dataset(run.dataset.sel(time=[time]), time=time)

    @PAPER.claim("x", "x", "derived", on="rate", by="run", of=late)
    def parts(run: Run) -> Result:
        return close(run.loss, run.neurons * (1 + run.swept["time"]), relative=1.0)

    found = rows(parts, rate=dataset)
    assert {name: (row["measured"], row["verdict"]) for name, row in found.items()} == {
        "it[n = 2, scale = 0.1, time = 1]": (8.0, "holds"),
        "it[n = 2, scale = 0.1, time = 2]": (12.0, "holds"),
        "it[n = 2, scale = 1, time = 2]": (12.0, "holds"),
    }


def test_a_sentence_that_speaks_of_no_run_says_so(dataset: xr.Dataset) -> None:
    def refused(run: Run) -> Any:
        if run.neurons == 3:
            raise DataError("three are too many")
        return iter(())

    claims = [
        PAPER.claim("x", "x", "derived", on="rate", by="run", of=of)(lambda run: close(run.loss, 1.0))
        for of in (lambda run: iter(()), refused)
    ]
    none, some = (rows(claim, rate=dataset) for claim in claims)
    assert none["it"]["verdict"] == "inconclusive"
    assert none["it"]["detail"] == "no run of the experiment 'rate' is one that the statement applies to"
    assert {row["detail"] for row in some.values()} == {"three are too many"}


def test_runs_one_by_one(dataset: xr.Dataset) -> None:
    (run,) = runs_of("rate", dataset)
    single = list(run.by("run"))
    assert [one.swept for one in single] == [one.swept for one in run.by("neurons", "scale")]
    assert single[0].config.network == single[1].config.network != single[2].config.network
    (again,) = single[0].by("run")
    assert again.swept == single[0].swept


def test_the_largest_value_is_found_far_below_its_limit() -> None:
    tiny = np.array([1e-30, 3e-30, 2e-30])
    assert at_most(tiny, 1.0).measured == 3e-30
    assert at_least(-tiny, -1.0).measured == -3e-30


def test_a_statement_in_closed_form_needs_no_run() -> None:
    @PAPER.claim("1 + 1 = 2", "x", "derived", on=())
    def identity() -> dict[str, Result]:
        return {"sum": close(1 + 1, 2), "difference": at_most(1 - 1, 0)}

    assert identity.experiments == ()
    assert {name: row["verdict"] for name, row in rows(identity).items()} == {
        "it[sum]": "holds",
        "it[difference]": "holds",
    }


def test_a_claim_whose_cases_are_all_empty_says_so(dataset: xr.Dataset) -> None:
    @PAPER.claim("of n = 3", "x", "derived", on="rate", by="neurons")
    def some(run: Run) -> Result | dict[str, Result]:
        return at_most(run.loss, 100.0) if run.neurons == 3 else {}

    assert list(rows(some, rate=dataset)) == ["it[n = 3]"]
    (row,) = rows(some, rate=dataset.isel(neurons=[0])).values()
    assert (row["verdict"], row["detail"]) == ("inconclusive", "there is no run that it applies to")


@given(
    values=arrays.arrays(float, (3, 4), elements=st.floats(-1e6, 1e6) | st.just(math.nan)),
    limit=st.floats(-1e6, 1e6),
)
def test_a_comparison_holds_if_it_holds_at_every_number(values: Any, limit: float) -> None:
    array = xr.DataArray(values, dims=("seed", "time"))
    known = values[np.isfinite(values)]
    for compare, holds in (
        (at_most, (known <= limit).all()),
        (at_least, (known >= limit).all()),
        (lambda a, b: close(a, b, absolute=2.0), (abs(known - limit) <= 2.0).all()),
    ):
        expected = ("holds" if holds else "fails") if len(known) else "inconclusive"
        assert compare(array, limit).verdict == expected  # type: ignore[operator]
        assert compare(values, limit).verdict == expected  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_prediction_or_tolerance_that_is_not_finite_decides_nothing(wrong: float) -> None:
    found = [
        at_most(1.0, wrong),
        at_least(1.0, wrong),
        close(1.0, wrong, absolute=1.0),
        close(1.0, 1.0, absolute=wrong),
        close(1.0, 1.0, relative=wrong),
        at_most(xr.DataArray([1.0, 2.0], dims="n"), wrong),
        above(1.0, wrong, (0.5, 1.5)),
        above(1.0, 2.0, (wrong, 1.5)),
        equivalent(1.0, 1.0, (0.9, 1.1), wrong),
    ]
    assert [result.verdict for result in found] == ["inconclusive"] * len(found)


def test_a_claim_that_returns_nothing_is_inconclusive(dataset: xr.Dataset) -> None:
    @PAPER.claim("x", "x", "derived", on="rate", by="neurons")
    def nothing(run: Run) -> Any:
        return None

    @PAPER.claim("x", "x", "derived", on=())
    def empty() -> dict[str, Result]:
        return {}

    found = [*rows(nothing, rate=dataset).values(), *rows(empty).values()]
    assert [(row["verdict"], row["detail"]) for row in found] == [
        ("inconclusive", "the claim returned no result")
    ] * 3


def test_a_point_of_runs_with_different_times_is_named_by_its_time() -> None:
    loss = xr.DataArray(
        [[1.0, 2.0], [9.0, 3.0]],
        dims=("n", "time"),
        coords={"n": [2, 3], "time": (("n", "time"), [[0.0, 1.0], [0.0, 0.5]])},
    )
    assert at_most(loss, 4.0).detail == "largest of 4, at n = 3, time = 0; median 2.5"


def test_labels_not_positions_are_compared() -> None:
    measured = xr.DataArray([1.0, 5.0], dims="n", coords={"n": [2, 3]})
    bound = xr.DataArray([5.5, 1.5], dims="n", coords={"n": [3, 2]})
    assert at_most(measured, bound).verdict == "holds"
    assert at_most(measured.values, bound.values).verdict == "fails"
    nothing = at_most(measured.where(measured > 9), 1.0)
    assert (nothing.verdict, nothing.detail) == (
        "inconclusive",
        "the measured value is not a number. none of 2 is a number: n = 2 to 3",
    )


def test_slopes_by_label() -> None:
    """Of straight lines, to rounding; what is no number takes no part, and one point has no slope."""
    time = xr.DataArray([0.0, 1.0, 3.0, 4.0], dims="time", coords={"time": [0.0, 1.0, 3.0, 4.0]})
    slopes = xr.DataArray([2.0, -1.0, 5.0], dims="seed")
    values = (7.0 + slopes * time).where((slopes < 5) | (time == 3.0))
    values = values.where((slopes > 0) | (time != 1.0), math.nan)
    found = fit_slope(values, time, "time")
    np.testing.assert_allclose(found, [2.0, -1.0, math.nan], rtol=1e-14)


def test_an_infinite_point_of_many_decides_nothing() -> None:
    """Among finite points an infinite measurement, limit or prediction is the worst one; NaN takes no part."""
    for measured, limit in (([1.0, math.inf], 2.0), ([1.0, 1.0], [2.0, -math.inf])):
        assert (
            at_most(np.array(measured), np.array(limit) if np.ndim(limit) else limit).verdict
            == "inconclusive"
        )
    assert at_least(np.array([3.0, -math.inf]), 2.0).verdict == "inconclusive"
    assert close(np.array([1.0, math.inf]), 1.0, relative=0.1).verdict == "inconclusive"
    assert at_most(np.array([1.0, math.nan]), 2.0).verdict == "holds"


def test_a_figure_gets_no_metric_that_it_does_not_name(dataset: xr.Dataset) -> None:
    from matplotlib.figure import Figure

    paper = Paper("alone", "A. Author 2026")

    @paper.figure("theorem", lambda run: f"{run.seeds} seeds.", on={"rate": ["loss", "neurons"]})
    def named(canvas: Figure, run: Run) -> None:
        canvas.subplots().plot(run.by("neurons").__next__().loss.values.ravel())

    @paper.figure("theorem", "Reads more.", on={"rate": "neurons"})
    def unnamed(canvas: Figure, run: Run) -> None:
        canvas.subplots().plot(run.length.values.ravel())

    named.draw(Figure(), {"rate": dataset})
    assert callable(named.caption)
    assert named.caption({"rate": dataset}) == "2 seeds."
    with pytest.raises(DataError, match="has no 'length'"):
        unnamed.draw(Figure(), {"rate": dataset})


def test_marks_that_cannot_be_are_refused_where_they_stand() -> None:
    """A status or a tag that is none, and functions that cannot be called with what they will be."""
    paper = Paper("p", "Nobody")
    with pytest.raises(PluginError, match=r"no status of a figure .theory.\. Did you mean .theorem."):
        paper.figure("theory", "Two.", on="rate")  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=r"no tag of a claim .guessed.\. .*Known: derived, published"):
        paper.claim("So.", "1", "guessed", on="rate")  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=r"two: is called with 2 arguments, .*; it is two\(canvas\)"):

        @paper.figure("theorem", "Two.", on="rate")
        def two(canvas: Any) -> None: ...

    with pytest.raises(PluginError, match=r"falls: is called with 1 argument, .*; it is falls\(\)"):

        @paper.claim("So.", "1", "derived", on="rate")
        def falls() -> Any: ...

    @paper.claim("So.", "1", "derived", on="rate", compared_with="other", files=["a.nc"])
    def three(*given: Any) -> Any: ...
