"""All claims of a paper in one chart: measured over predicted, with what each allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twolayer.analysis.claims import VERDICTS, read
from twolayer.analysis.face import FACE_SIZE, Face
from twolayer.analysis.figures import Drawing, styled, write_still

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Mark", "chart", "draw", "marks"]

EDGES = (1e-3, 1e3)
"""Ratios beyond are drawn at the edge, as triangles that point outwards."""

MARKERS: Mapping[str, Mapping[str, Any]] = {
    "holds": {"marker": "o", "color": "C0", "markersize": 3.2},
    "fails": {"marker": "X", "color": "C1", "markersize": 6},
    "not reproduced under this reading": {"marker": "D", "color": "C4", "markersize": 4, "fillstyle": "none"},
    "inconclusive": {"marker": "s", "color": "0.4", "markersize": 4, "fillstyle": "none"},
}
"""Told apart without colour."""

LINE = 0.155
"""Inches for one claim."""


@dataclass(frozen=True)
class Mark:
    """One case of a claim: measured over predicted, and the ratios that its comparison allows.

    ratio: None where there is none: predicted 0, another sign, or nothing measured.
    """

    claim: str
    verdict: str
    ratio: float | None
    allowed: tuple[float, float]


def marks(rows: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """The cases of claims.json; of a comparison within a tolerance the allowed ratios are 1 ± tolerance/|predicted|,
    of a bound those up to 1, or from 1 on."""
    found = []
    for row in rows:
        predicted, measured, compared = row["predicted"], row["measured"], row["tolerance"]
        numbers = isinstance(predicted, int | float) and isinstance(measured, int | float)
        ratio = measured / predicted if numbers and predicted else None
        if ratio is not None and not (math.isfinite(ratio) and ratio > 0):
            ratio = None
        low, high = (0.0, math.inf)
        if numbers and compared.startswith("within"):
            room = (row.get("allowed") or 0.0) / abs(predicted) if predicted else math.inf
            low, high = 1 - room, 1 + room
        elif compared.startswith("at most"):
            high = 1.0
        elif compared.startswith(("at least", "above")):
            low = 1.0
        if numbers and predicted and predicted < 0 and not compared.startswith("within"):
            low, high = (1.0, math.inf) if high == 1.0 else (0.0, 1.0)  # a bound below 0 turns over
        found.append(Mark(row["claim"], row["verdict"], ratio, (low, high)))
    return found


def chart(file: Path, outputs: Sequence[Path], style: Path | None) -> None:
    """Draw the claims of a claims.json to .pdf and .png."""
    rows = read(file)
    cases = marks(rows)
    names = in_order(cases)
    drawing = Drawing(lambda canvas, data: draw(canvas, cases), "theorem", "", (5.5, LINE * len(names) + 0.9))
    without = sum(case.ratio is None for case in cases)
    caption = (
        "Measured over predicted for each case of each claim; pale: what the comparison allows. "
        + f"{without} of {len(cases)} have no ratio (predicted 0, another sign, or nothing measured)."
        * bool(without)
    )
    face = Face(f"{file.parent.name}: all claims", "theorem", caption, claims=rows)
    with styled(style):
        canvas = drawing.canvas(face)
        drawing.draw(canvas, {})
        for output in outputs:
            write_still(canvas, output, face)


def in_order(cases: Iterable[Mark]) -> list[str]:
    """The names of claims without their cases, those first of which one does not hold."""
    worst: dict[str, int] = {}
    order = ["fails", "not reproduced under this reading", "inconclusive", "holds"]
    for case in cases:
        name = case.claim.partition("[")[0]
        worst[name] = min(worst.get(name, len(order)), order.index(case.verdict))
    return sorted(worst, key=lambda name: (worst[name], name))


def draw(canvas: Figure, cases: Sequence[Mark]) -> None:
    """A line for each claim, a mark for each of its cases."""
    names, axes = in_order(cases), canvas.subplots()
    shown = {case.verdict for case in cases if case.ratio is not None}
    for verdict in [verdict for verdict in VERDICTS if verdict in shown]:
        axes.plot([], [], linestyle="none", label=VERDICTS[verdict], **MARKERS[verdict])
    for line, name in enumerate(names):
        of_claim = [case for case in cases if case.claim.partition("[")[0] == name]
        for low, high in {case.allowed for case in of_claim if case.ratio is not None}:
            ends = [min(max(low, EDGES[0]), EDGES[1]), min(high, EDGES[1])]
            axes.plot(ends, [line, line], color="black", alpha=0.15, linewidth=6, solid_capstyle="butt")
        for case in of_claim:
            if case.ratio is not None:
                mark(axes, case.ratio, line, MARKERS[case.verdict])
        if all(case.ratio is None for case in of_claim):
            verdicts = ", ".join(
                f"{sum(case.verdict == verdict for case in of_claim)} {text}" for verdict, text in VERDICTS.items()
                if any(case.verdict == verdict for case in of_claim)
            )  # fmt: skip
            axes.text(1.2, line, f"no ratio: {verdicts}", va="center", fontsize=FACE_SIZE, color="0.35")
    axes.axvline(1.0, color="0.3", linewidth=0.6, zorder=1)
    axes.set(xscale="log", xlim=(EDGES[0] / 1.6, EDGES[1] * 1.6), xlabel="measured / predicted")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=FACE_SIZE)
    axes.grid(axis="y", visible=False)
    if shown:
        canvas.legend(loc="outside upper center", ncols=2)


def mark(axes: Axes, ratio: float, line: int, style: Mapping[str, Any]) -> None:
    """One case; beyond the edges a triangle that points outwards."""
    outside = {"marker": "<" if ratio < EDGES[0] else ">"} if not EDGES[0] <= ratio <= EDGES[1] else {}
    at = min(max(ratio, EDGES[0]), EDGES[1])
    axes.plot(at, line, alpha=0.8, clip_on=False, linestyle="none", **{**style, **outside})
