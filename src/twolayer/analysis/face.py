"""What a figure says on its face: its name, its status, one sentence, what was changed, and its claims' verdicts."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.core.wording import counted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["FACE_SIZE", "Face", "run_summary", "verdict_line"]

FACE_SIZE = 7.0
"""Points: the smallest letters of a figure."""

MARGIN = 4.0
"""Points to the left, to the right and below."""

LEADING = 1.32
"""From line to line, in units of the letters' size."""

ASCENT = 0.76
"""From the baseline of a line to its top, in units of the letters' size."""

BADGES = {
    "published": {"facecolor": "0.15", "edgecolor": "0.15", "linestyle": "-"},
    "inferred": {"facecolor": "white", "edgecolor": "0.15", "linestyle": "--"},
    "theorem": {"facecolor": "0.88", "edgecolor": "0.15", "linestyle": "-"},
}
"""Told apart without colour."""


@dataclass(frozen=True)
class Face:
    """The text of a figure, on its face and in the files' metadata.

    caption: the sentence on the face. details: what a reader of the gallery gets further.
    changed: by experiment, the settings that are not the paper's. runs: by experiment, what was run (`run_summary`).
    claims: rows of claims (`claims.evaluate`) that name the figure and are about its experiments alone.
    """

    name: str
    status: str
    caption: str
    details: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    claims: Sequence[Mapping[str, Any]] = ()

    def paragraphs(self) -> list[str]:
        """What stands on the face below the name and the status."""
        changed = [f"Changed setting of {experiment}: {text}." for experiment, text in self.changed.items()]
        return [self.caption, *changed, *([verdict_line(self.claims)] if self.claims else [])]

    def lines(self, width: float) -> list[str]:
        """The paragraphs, broken to a width in points."""
        return [line for text in self.paragraphs() for line in broken(text, width)]

    def text(self) -> str:
        """All of it, for the metadata of the files."""
        runs = [f"{experiment}: {summary}" for experiment, summary in self.runs.items()]
        return " ".join([f"{self.name} [{self.status}].", *self.paragraphs(), self.details, *runs]).replace(
            "  ", " "
        )

    def record(self) -> dict[str, Any]:
        """All of it, as the figure's .json has it."""
        return {
            "figure": self.name,
            "status": self.status,
            "caption": self.caption,
            "details": self.details,
            "changed": dict(self.changed),
            "runs": dict(self.runs),
            "claims": {row["claim"]: row["verdict"] for row in self.claims},
        }

    def height(self, width: float) -> float:
        """In inches, for a figure that is `width` inches wide."""
        return self._rows(width) * FACE_SIZE * LEADING / 72 + 2 * MARGIN / 72

    def _rows(self, width: float) -> int:
        return 1 + len(self._fitted(width))

    def _fitted(self, width: float) -> list[str]:
        """Its lines in a figure of a width in inches: letters on a grid of pixels are up to 3 % wider."""
        return self.lines(0.97 * (72 * width - 2 * MARGIN))

    def write(self, canvas: Figure) -> None:
        """Set it at the foot of a figure whose layout leaves `height` inches free."""
        width, height = canvas.get_size_inches()
        left, step = MARGIN / 72 / width, FACE_SIZE * LEADING / 72 / height
        top = self.height(width) / height - 0.5 * MARGIN / 72 / height
        common = {"fontsize": FACE_SIZE, "va": "top", "in_layout": False}
        canvas.text(left, top, self.name, fontweight="bold", **common)  # type: ignore[arg-type]
        canvas.text(
            1 - left - 2 / 72 / width,
            top,
            self.status,
            color="white" if self.status == "published" else "0.1",
            ha="right",
            bbox={"boxstyle": "round,pad=0.12", "linewidth": 0.7, **BADGES.get(self.status, {})},
            **common,  # type: ignore[arg-type]
        )
        common["va"] = "baseline"  # so that a line with a root does not sink onto the next one
        for row, line in enumerate(self._fitted(width)):
            at = top - (row + 1) * step - ASCENT * FACE_SIZE / 72 / height
            canvas.text(left, at, line, color="0.15", **common)  # type: ignore[arg-type]


def verdict_line(rows: Iterable[Mapping[str, Any]]) -> str:
    """`claims: 32 hold; 7 do not: rate (3 cases), toy; 2 inconclusive`."""
    rows = list(rows)
    by = {
        verdict: [row["claim"] for row in rows if row["verdict"] == verdict]
        for verdict in ("holds", "inconclusive")
    }
    failing = [row["claim"] for row in rows if row["verdict"] not in by]
    parts = [f"{len(by['holds'])} hold{'s' if len(by['holds']) == 1 else ''}"]
    if failing:
        parts.append(f"{len(failing)} {'does' if len(failing) == 1 else 'do'} not: {families(failing)}")
    if by["inconclusive"]:
        parts.append(f"{len(by['inconclusive'])} inconclusive: {families(by['inconclusive'])}")
    return "Claims: " + "; ".join(parts) + "."


def families(names: Iterable[str]) -> str:
    """Claims by name, the cases of one counted: `rate (3 cases), toy[n = 5]`."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("[")[0], []).append(name)
    return ", ".join(
        full[0] if len(full) == 1 else f"{family} ({len(full)} cases)" for family, full in found.items()
    )


def broken(text: str, width: float) -> list[str]:
    """A text in lines of at most `width` points; what stands between dollars is mathematics and stays whole."""
    lines: list[str] = []
    for word in re.findall(r"(?:\$[^$]*\$|[^\s$])+", text):
        if lines and length_of(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@functools.lru_cache(4096)
def length_of(text: str) -> float:
    """Points that a text takes, set in the face's letters; a text is broken into lines more than once."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=FACE_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath="$" in text)
    return float(width)


def run_summary(dataset: xr.Dataset) -> str:
    """What was run, in one line: the sections of the run, and the range of the swept values."""
    runs = [json.loads(text) for text in dataset["run"].values.ravel() if text]
    first = runs[0]
    swept = {word: [run["swept"][word] for run in runs] for word in first["swept"]}
    network = first["network"]
    sections = {
        "problem": section_summary(first["problem"], swept),
        "network": "" if "neurons" in swept else f"m = {network['neurons']}",
        "activation": f"{network['activation']}, {network['output']} outputs",
        "initialization": section_summary(first["initialization"], swept),
        "dynamics": section_summary(first["dynamics"], swept),
        "dtype": first["dtype"],
    }
    parts = [text for key, text in sections.items() if text and key not in swept]
    parts.append(counted(len(first["seeds"]), "seed"))
    for word, values in swept.items():
        distinct = list(dict.fromkeys(values))
        ends = distinct if len(distinct) < 4 else [distinct[0], "…", distinct[-1]]
        parts.append(f"runs with {word} = {', '.join(brief(value) for value in ends)}")
    return "; ".join(parts) + "."


def section_summary(section: Mapping[str, Any], swept: Mapping[str, Any]) -> str:
    """A section's name with its parameters that are one number or word and were not swept."""
    parameters = [
        f"{key} {brief(value)}"
        for key, value in section.items()
        if key not in ("name", "path", *swept)
        and isinstance(value, int | float | str)
        and not isinstance(value, bool)
    ]
    if section.get("path"):
        parameters.append(Path(section["path"]).name)
    return section["name"].replace("_", " ") + (f" ({', '.join(parameters)})" if parameters else "")


def brief(value: Any) -> str:
    """A number to three digits, or a word."""
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("_", " ")
