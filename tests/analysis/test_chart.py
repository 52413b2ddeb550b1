"""The chart of a paper's claims: ratios, what is allowed, and which claims come first."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from twolayer.analysis.chart import chart, draw, in_order, marks
from twolayer.analysis.claims import Claim, evaluate
from twolayer.analysis.comparison import Result, at_least, at_most, close, equivalent, inconclusive
from twolayer.analysis.figures import style_file


def rows(**results: Result) -> list[dict[str, Any]]:
    """As in claims.json."""
    claims = {
        name: Claim(lambda data, result=result: result, "", "", "derived", ())  # type: ignore[misc]
        for name, result in results.items()
    }
    return evaluate(claims, {})


NUMBERS = st.floats(-1e6, 1e6).filter(lambda number: abs(number) > 1e-6)


@given(NUMBERS, NUMBERS, st.sampled_from([at_most, at_least]))
def test_a_bound_holds_where_the_ratio_is_allowed(measured: float, limit: float, bound: Any) -> None:
    (mark,) = marks(rows(a=bound(measured, limit)))
    if mark.ratio is None:
        assert measured / limit < 0
    elif measured != limit:
        assert (mark.verdict == "holds") == (mark.allowed[0] <= mark.ratio <= mark.allowed[1])


@given(NUMBERS, NUMBERS, st.floats(0.01, 2.0), st.booleans())
def test_a_tolerance_holds_where_the_ratio_is_allowed(
    measured: float, predicted: float, room: float, relative: bool
) -> None:
    result = close(measured, predicted, **{"relative" if relative else "absolute": room})
    (mark,) = marks(rows(a=result))
    if mark.ratio is not None:
        low, high = mark.allowed
        assert high - 1 == pytest.approx(room if relative else room / abs(predicted))
        if min(abs(mark.ratio - low), abs(mark.ratio - high)) > 1e-9 * abs(mark.ratio):
            assert (mark.verdict == "holds") == (low <= mark.ratio <= high)


def test_an_equivalence_allows_its_margin() -> None:
    (mark,) = marks(rows(a=equivalent(2.1, 2.0, (2.0, 2.2), 0.5)))
    assert mark.allowed == (0.75, 1.25)


@pytest.mark.parametrize(
    "result", [close(1e-3, 0.0, absolute=1), inconclusive("no data"), close(-1.0, 1.0, absolute=3)], ids=str
)
def test_without_a_ratio_there_is_none(result: Result) -> None:
    assert marks(rows(a=result))[0].ratio is None


def test_claims_that_do_not_hold_come_first_and_each_case_is_drawn() -> None:
    cases = marks(
        rows(holds=at_most(1, 2), far=at_most(1e9, 1), none=inconclusive("no data"), small=at_most(1e-9, 1))
    )
    assert in_order(cases) == ["far", "none", "holds", "small"]
    canvas = Figure()
    draw(canvas, cases)
    (axes,) = canvas.axes
    drawn = {
        (line.get_marker(), float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }
    assert drawn == {(">", 1e3, 0.0), ("o", 0.5, 2.0), ("<", 1e-3, 3.0)}
    assert [text.get_text() for text in axes.texts] == ["no ratio: 1 inconclusive"]


def test_the_chart_is_written_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "paper" / "claims.json"
    file.parent.mkdir()
    found = rows(a=at_most(1, 2), b=close(3.0, 1.0, relative=0.1))
    file.write_text(json.dumps(found))
    outputs = [tmp_path / "claims.png", tmp_path / "claims.pdf"]
    chart(file, outputs, style_file())
    first = [path.read_bytes() for path in outputs]
    chart(file, outputs, style_file())
    assert [path.read_bytes() for path in outputs] == first
    assert found[0]["allowed"] is None
    assert math.isclose(found[1]["allowed"], 0.1)
