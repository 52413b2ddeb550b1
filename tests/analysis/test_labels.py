"""Styles of swept values: what a figure shows together differs, and a number looks the same in every figure."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from twolayer.analysis.labels import marker_of, style_of, trained_by
from twolayer.analysis.runs import RunConfigs

SHOWN = [
    [1, 2, 5, 10],
    [6, 12, 24, 48, 96],
    [5, 10, 20, 50],
    [2, 3, 4, 6],
    [1, 2, 4, 8, 16, 32],
    [8, 1, 6, 15, 22, 29, 3],
    [2, 5, 10, "even", "uneven"],
    [0.1, 0.01, 0.001],
]
"""Values that the papers' figures show together, and some whose usual styles clash."""


@pytest.mark.parametrize("values", SHOWN, ids=str)
def test_values_shown_together_differ_in_colour_line_and_marker(values: list[Any]) -> None:
    styles = [style_of(value, values) for value in values]
    for first, second in combinations(styles, 2):
        assert first["color"] != second["color"]
        assert first["linestyle"] != second["linestyle"]
    assert len({marker_of(value, values) for value in values}) == len(values)


def test_more_values_than_colours_differ_in_colour_or_line() -> None:
    values = list(range(1, 22))
    found = [(style["color"], str(style["linestyle"])) for style in (style_of(n, values) for n in values)]
    assert len(set(found)) == len(values)
    assert len({(color, marker_of(n, values)) for n, (color, _) in zip(values, found, strict=True)}) == 21


def test_a_number_keeps_its_style_whatever_it_is_shown_with() -> None:
    for values in ([2], [2, 5, 10], [10, 5, 2, 1], [2, "uneven"], [2, 3, 4, 6]):
        assert style_of(2, values) == style_of(2, [1, 2, 5, 10])
        assert marker_of(2, values) == marker_of(2, [1, 2, 5, 10])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["gradient_flow"], "gradient flow"),
        (["gradient_descent", "gradient_descent"], "gradient descent"),
        (["gradient_descent", "gradient_flow"], "gradient descent and gradient flow"),
    ],
)
def test_how_runs_were_trained_is_that_of_their_config(names: list[str], said: str) -> None:
    runs = [{"dynamics": {"name": name}, "swept": {"neurons": number}} for number, name in enumerate(names)]
    assert trained_by(RunConfigs("rate", runs)) == said
