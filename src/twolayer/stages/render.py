"""render: a figure, drawn from datasets and written with its caption on its face, and a file that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twolayer.analysis import figures
from twolayer.analysis.description import describe

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["render"]


def render(drawing: figures.Drawing, name: str, data: Mapping[str, xr.Dataset], **options: Any) -> None:
    """As `analysis.figures.render`; a .json among the outputs also says how the figure was made."""
    figures.render(drawing, name, data, **options, made=describe(drawing, data))
