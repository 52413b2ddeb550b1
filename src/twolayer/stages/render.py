"""render: a figure, drawn from datasets and written with its caption on its face, and a file that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twolayer.analysis import figures
from twolayer.analysis.description import describe
from twolayer.storage import checksum

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["render"]


def render(
    drawing: figures.Drawing,
    name: str,
    data: Mapping[str, xr.Dataset],
    sources: Mapping[str, str] | None = None,
    code: str = "",
    **options: Any,
) -> tuple[str, ...]:
    """As `analysis.figures.render`; a .json among the outputs also says how the figure was made.

    sources: the checksums of what it is drawn from. code: the fingerprint of the code that draws it.
    """
    made = {**describe(drawing, data), "code": code, checksum.SOURCES: dict(sources or {})}
    return figures.render(drawing, name, data, **options, made=made)
