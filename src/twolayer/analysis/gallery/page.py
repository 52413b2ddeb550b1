"""The gallery as HTML: one page without script that reads on a phone, on paper and by voice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twolayer.analysis.claims import distinct_digits
from twolayer.analysis.gallery.content import VERDICTS, Case, ShownPaper, count
from twolayer.analysis.gallery.mathematics import typeset

__all__ = ["TEMPLATES", "page"]

TEMPLATES = Path(__file__).parent / "templates"

VERDICT_SIGNS = {"holds": "✓", "fails": "✗", "not reproduced under this reading": "≠", "inconclusive": "?"}
"""So that a verdict can be seen without colour."""

VERDICT_MEANINGS = {
    "holds": "the measured value is within the tolerance of the predicted one",
    "fails": "it is not",
    "not reproduced under this reading": (
        "it is not, but the wording could not be checked against the paper: a failure of our reading alone"
    ),
    "inconclusive": "the runs of this config cannot decide it; the detail says why",
}
STATUS_MEANINGS = {
    "published": "setting and axes are the paper's",
    "inferred": "the paper's figure with a setting that had to be reconstructed",
    "theorem": "no such figure in the paper: a check of a statement",
}
TAG_MEANINGS = {
    "published": "read in the paper",
    "second-hand": "quoted by others",
    "recalled": "from memory, not checked against the paper",
    "derived": "worked out here and checked numerically",
}


def page(papers: Sequence[ShownPaper]) -> str:
    """The page; the same content gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "typeset": typeset,
        "number": number,
        "digits": digits,
        "slug": slug,
        "setting": setting,
    }
    environment.globals |= {
        "verdicts": VERDICTS,
        "verdict_signs": VERDICT_SIGNS,
        "verdict_meanings": VERDICT_MEANINGS,
        "status_meanings": STATUS_MEANINGS,
        "tag_meanings": TAG_MEANINGS,
        "style": environment.get_template("style.css").render(),
    }
    total = count(case for paper in papers for family in paper.families for case in family.cases)
    rendered = environment.get_template("index.html").render(papers=papers, total=total)
    return re.sub(r"\n\s*\n+", "\n", rendered)


def number(value: Any, digits: int = 4) -> str:
    """A number to four digits or more, with a power of ten where it is far from 1; `–` for none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    text = f"{float(value):.{digits}g}".replace("-", "−")
    mantissa, _, power = text.partition("e")
    if not power:
        return mantissa
    exponent = str(int(power.replace("−", "-"))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{exponent}" if mantissa == "1" else f"{mantissa} × 10{exponent}"


def digits(case: Case) -> int:
    """Four, or as many more as tell what was measured from what was predicted where the claim does not hold."""
    return 4 if case.verdict == "holds" else distinct_digits(case.predicted, case.measured, 4)


def slug(text: str) -> str:
    """A word of a class name."""
    return re.sub(r"\W+", "-", text).strip("-").lower()


def setting(value: Any) -> str:
    """A parameter of a run as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) else number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {setting(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        whole = list(value)
        if (
            len(whole) > 3
            and all(isinstance(v, int) for v in whole)
            and whole == [*range(whole[0], whole[-1] + 1)]
        ):
            return f"{whole[0]} to {whole[-1]}"
        return ", ".join(
            f"({setting(part)})" if isinstance(part, list | Mapping) else setting(part) for part in whole
        )
    return Path(value).name if "/" in str(value) else str(value)
