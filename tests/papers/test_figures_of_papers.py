"""What all figures of all papers have in common: widths of a column, letters that can be read, shared labels."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from project import PROJECT

from twolayer.analysis.labels import QUANTITIES
from twolayer.study.registry import Registry, load

PAPERS = PROJECT / "plugins" / "papers"
SOURCES = sorted(
    file for pattern in ("*/figures.py", "*/figures/*.py", "*/drawing.py") for file in PAPERS.glob(pattern)
)
COLUMNS = (5.5, 7.0)
LEAST = 7.0


@cache
def registry() -> Registry:
    """The figures."""
    return load([], ("figures",))


@pytest.mark.parametrize("name", registry().names("figures"))
def test_a_figure_is_as_wide_as_a_column_and_says_what_it_is(name: str) -> None:
    drawing: Any = registry().find("figures", name).plugin
    assert drawing.size[0] in COLUMNS
    assert 1.5 <= drawing.size[1] <= 9.0
    assert drawing.citation
    assert drawing.experiments


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PAPERS)))
def test_letters_are_at_least_seven_points(file: Any) -> None:
    sizes = re.findall(
        r"(?:font|label|title_font|legend_font)size=([0-9.]+)", file.read_text(encoding="utf-8")
    )
    assert min(map(float, sizes), default=LEAST) >= LEAST


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PAPERS)))
def test_labels_of_quantities_come_from_one_place(file: Any) -> None:
    """An axis that has a quantity as it is takes its label from `name_axes`; what is written out is another."""
    written = re.findall(r"(?:[xy]label=|set_[xy]label\()[rf]*\"([^\"]*)\"", file.read_text(encoding="utf-8"))
    shared = set(QUANTITIES.values())
    assert not shared & set(written)
    assert not [label for label in written if re.fullmatch(r"(time|loss|gradient norm)( \$[^$]*\$)?", label)]
