"""Verdicts, and the table that tells of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from twolayer.analysis.claims import Claim, evaluate, summary, table
from twolayer.analysis.comparison import (
    Result,
    above,
    as_read,
    at_least,
    at_most,
    by_case,
    close,
    equivalent,
    inconclusive,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (close(1.05, 1.0, relative=0.06), "holds"),
        (close(1.05, 1.0, relative=0.02, absolute=0.02), "fails"),
        (at_most(2.0, 2.0), "holds"),
        (at_least(1.9, 2.0), "fails"),
        (at_least(NAN, 2.0), "inconclusive"),
        (above(0.3, 0.0, (0.1, 0.5)), "holds"),
        (above(0.3, 0.0, (-0.1, 0.7)), "inconclusive"),
        (above(-0.3, 0.0, (-0.5, -0.1)), "fails"),
        (above(0.3, 0.0, (NAN, NAN)), "inconclusive"),
        (above(0.3, 0.0, (-np.inf, np.inf)), "inconclusive"),
        (above(NAN, 0.0, (0.1, 0.5)), "inconclusive"),
        (equivalent(0.01, 0.0, (-0.05, 0.07), 0.1), "holds"),
        (equivalent(0.01, 0.0, (-0.5, 0.7), 0.1), "inconclusive"),
        (equivalent(0.3, 0.0, (0.2, 0.4), 0.1), "fails"),
        (equivalent(0.3, 0.0, (0.05, 0.55), 0.1), "inconclusive"),
        (equivalent(0.0, 0.0, (NAN, NAN), 0.1), "inconclusive"),
        (equivalent(NAN, 0.0, (-0.1, 0.1), 0.1), "inconclusive"),
        (as_read(at_least(1.9, 2.0)), "not reproduced under this reading"),
        (as_read(at_least(2.1, 2.0)), "holds"),
        (as_read(inconclusive("no data")), "inconclusive"),
    ],
)
def test_verdicts(result: Result, verdict: str) -> None:
    assert result.verdict == verdict


@pytest.mark.parametrize(
    ("found", "verdicts", "said"),
    [
        (None, {"": "inconclusive"}, "returned no result"),
        (3.0, {"": "inconclusive"}, "returned 3.0; it must return a Result, or several by name"),
        (True, {"": "inconclusive"}, "returned True"),
        ("holds", {"": "inconclusive"}, "returned 'holds'"),
        ([close(1.0, 1.0)], {"": "inconclusive"}, "returned [Result("),
        ({"a": None, "b": close(1.0, 1.0)}, {"a": "inconclusive", "b": "holds"}, "returned None"),
        (close(1.0, 1.0, relative=NAN), {"": "inconclusive"}, "the tolerance is not a finite number"),
    ],
)
def test_what_is_no_result_is_said(found: Any, verdicts: dict[str, str], said: str) -> None:
    cases = by_case(found)
    assert {name: case.verdict for name, case in cases.items()} == verdicts
    assert said in next(iter(cases.values())).detail
    assert "nan relative" in close(1.0, 1.0, relative=NAN).tolerance


def test_a_case_of_one_experiment_says_its_changes_alone() -> None:
    cases = {"one": close(1.0, 1.0), "two, n = 3": close(1.0, 1.0)}
    claim = Claim(lambda data: cases, "", "", "derived", ("one", "two", "third"), apart=("one", "two"))
    data = {name: xr.Dataset() for name in ("one", "two", "third")}
    rows = evaluate({"is_one": claim}, data, {"one": "seeds: 2", "third": "seeds: 3"})
    assert [row["claim"] for row in rows] == ["is_one[one]", "is_one[two, n = 3]"]
    assert [row["changed"] for row in rows] == ["one: seeds: 2; third: seeds: 3", "third: seeds: 3"]
    assert rows[0]["tolerance"] == "within 0 absolute"


def test_the_table_counts_every_verdict(tmp_path: Path) -> None:
    results = {"trend": above(0.3, 0.0, (0.1, 0.5)), "read": as_read(close(2.0, 1.0, relative=0.1))}
    rows = [
        {"claim": name, "statement": "so it is", "tag": "second-hand", **asdict(result)}
        for name, result in results.items()
    ]
    file = tmp_path / "paper" / "claims.json"
    file.parent.mkdir()
    file.write_text(json.dumps(rows))
    printed = table([file])
    assert "> 0 " in printed
    assert printed.endswith("2 claims: 1 hold, 0 fail, 1 not reproduced under this reading, 0 inconclusive")
    assert "not reproduced under this reading: paper.read: so it is" in printed
    unknown = {**rows[0], **asdict(inconclusive("the run is too short")), "claim": "short"}
    unknown |= {"predicted": None, "measured": None}  # NaN, in a file
    file.write_text(json.dumps([*rows[1:], unknown]))
    assert "  not reproduced under this reading: paper.read: predicted 1, measured 2\n" in summary([file])
    assert "  inconclusive: paper.short: the run is too short\n" in summary([file])
    file.write_text(json.dumps(rows[:1]))
    assert table([file]).endswith("1 claim: 1 hold, 0 fail, 0 inconclusive")
    assert np.isfinite(rows[0]["measured"])


@pytest.mark.parametrize(
    ("apart", "these", "kept"),
    [
        (("a", "b"), ["a"], ("a",)),
        (("a", "b"), ["b", "x"], ("b",)),
        (("a", "b"), ["a", "b"], ("a", "b")),
        (("a", "b"), ["x"], None),
        ((), ["a"], None),
        ((), ["a", "b", "x"], ("a", "b")),
        (("a",), ["a"], None),
        (("a",), ["b"], None),
    ],
)
def test_a_figure_bears_the_cases_on_its_experiments(apart: Any, these: list[str], kept: Any) -> None:
    """All of `experiments` = a, b that are not taken apart are needed."""
    whole = Claim(lambda data: {}, "", "", "derived", ("a", "b"), apart=apart)
    found = whole.on_these(these)
    assert (found and found.experiments) == kept
