"""What functions on labelled arrays take; of anything else they say what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twolayer.errors import DataError

__all__ = ["require_array", "require_dataset"]


def require_dataset(found: Any, where: str) -> None:
    """A DataError where it is no xarray.Dataset."""
    import xarray as xr  # plugins import this function when they are loaded

    if not isinstance(found, xr.Dataset):
        hint = "; xarray.open_dataset(path) opens one" if isinstance(found, str | Path) else ""
        raise DataError(f"{where}: takes an xarray.Dataset, not {type(found).__name__}{hint}")


def require_array(found: Any, where: str, *dimensions: str) -> None:
    """A DataError where it is no xarray.DataArray with these dimensions."""
    import xarray as xr

    if not isinstance(found, xr.DataArray):
        raise DataError(f"{where}: takes an xarray.DataArray, not {type(found).__name__}")
    if missing := [name for name in dimensions if name not in found.dims]:
        known = ", ".join(map(str, found.dims))
        raise DataError(f"{where}: takes values with a dimension {missing[0]}; these have {known}")
