"""render: a figure, drawn from datasets and written with its caption on its face, and a file that describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.analysis.description import describe
from twolayer.analysis.figures import Drawing, not_empty
from twolayer.analysis.figures import render as draw
from twolayer.storage import atomic

if TYPE_CHECKING:
    import xarray as xr

    from twolayer.analysis.claims import Claim

__all__ = ["render"]


def render(
    drawing: Drawing,
    name: str,
    data: Mapping[str, xr.Dataset],
    outputs: Sequence[Path],
    style: Path | None,
    changed: Mapping[str, str] | None = None,
    claims: Mapping[str, Claim] | None = None,
    claim_data: Mapping[str, xr.Dataset] | None = None,
) -> None:
    """Draw a figure, see `analysis.figures.render`; a .json among the outputs also says how the figure was made."""
    draw(drawing, name, data, outputs, style, changed, claims, claim_data)
    for output in outputs:
        if output.suffix == ".json":
            add(output, describe(drawing, data))


def add(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to a mapping in a file."""
    text = json.dumps(
        {**json.loads(path.read_text(encoding="utf-8")), **entries}, indent=1, ensure_ascii=False
    )

    def produce(aside: Path) -> None:
        aside.write_text(f"{text}\n", encoding="utf-8")

    atomic.write(path, produce, not_empty)
