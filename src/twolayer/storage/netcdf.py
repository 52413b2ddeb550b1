"""The files between stages: named arrays with dimensions, `long_name` and `units`, in netCDF.

In memory a file is `Variables`, name -> (dimensions, array, attributes), the very form that
`xarray.Dataset` takes. Stages read and write it with netCDF4 alone, which starts in a fifth of the time
of xarray; figures, claims and notebooks open the same files with xarray.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from twolayer.errors import DataError, unknown_name
from twolayer.storage import atomic, checksum
from twolayer.storage.scratch import PartedArray, parts_of
from twolayer.storage.tables import is_table, lacking, read_table

__all__ = [
    "StoredArray",
    "Variables",
    "read",
    "read_arrays",
    "read_seed",
    "shapes_of",
    "store_of",
    "write",
]

Variables = dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]

MISSING = ("_FillValue", "missing_value", "valid_range", "valid_min", "valid_max")
"""Attributes by which a netCDF variable says which entries are no data."""

PACKED = (
    "_FillValue",
    "missing_value",
    "valid_range",
    "valid_min",
    "valid_max",
    "scale_factor",
    "add_offset",
)
"""Attributes of the stored numbers, which do not hold for the numbers read."""


def storable(values: Any) -> Any:
    """The array as netCDF holds it: it knows no truth values, which become the integers 0 and 1."""
    if isinstance(values, PartedArray):
        return values
    array = np.asarray(values)
    return array.astype(np.int8) if array.dtype.kind == "b" else array


def parts(array: Any) -> Iterator[Any]:
    """The parts in which an array is written and checked; one, of an array of a single axis or of words."""
    kind = np.dtype(array.dtype)
    if len(array.shape) < 2 or kind.kind not in "fiu":
        return iter([...])
    return parts_of(array.shape, kind.itemsize)


def write(path: Path, variables: Variables, attributes: Mapping[str, Any]) -> None:
    """Write a netCDF file that is whole or absent, with a checksum of what it holds; the same content gives the same
    bytes. An array may be a `PartedArray`: one part of it is in memory at a time."""
    stored = {
        name: (dimensions, storable(values), described_as)
        for name, (dimensions, values, described_as) in variables.items()
    }
    total = checksum.of_arrays(stored, attributes)
    attributes = {**attributes, checksum.KEY: total}

    def produce(aside: Path) -> None:
        with netCDF4.Dataset(aside, "w", format="NETCDF4") as file:
            file.setncatts(dict(attributes))
            for name, (dimensions, array, described_as) in stored.items():
                for dimension, size in zip(dimensions, array.shape, strict=True):
                    if dimension not in file.dimensions:
                        file.createDimension(dimension, size)
                kind: Any = str if array.dtype.kind in "UO" else array.dtype
                # no fill value: NaN marks what is missing, and an unwritten byte must not look like it
                variable = file.createVariable(
                    name, kind, dimensions, fill_value=None if kind is str else False
                )
                variable.setncatts(described_as)
                for part in parts(array):
                    variable[part] = array[part].astype(object) if kind is str else array[part]

    def verify(aside: Path) -> None:
        back, carried = read(aside, by_parts=stored)
        if checksum.of_arrays(back, carried) == total:
            return
        for name, one in stored.items():
            if checksum.of_arrays({name: one}, {}) != checksum.of_arrays({name: back[name]}, {}):
                raise ValueError(f"'{name}' reads back otherwise than it was written")
        raise ValueError("its attributes read back otherwise than they were written")

    atomic.write(path, produce, verify)


class StoredArray(PartedArray):
    """A variable of a netCDF file: a part of it is read when it is asked for, and refused where an entry is missing or
    the file is no longer the one it was. Threads take turns, as the library asks for."""

    lock = threading.Lock()

    def __init__(self, path: Path | str, variable: Any) -> None:
        self.path, self.name, self.file = path, variable.name, identity(path)
        self.shape, self.dtype = tuple(variable.shape), np.dtype(variable.dtype)

    def __getitem__(self, part: tuple[slice, slice]) -> Any:
        """A part, in memory."""
        try:
            with self.lock, opened(self.path) as file:
                if identity(self.path) != self.file:
                    raise DataError(f"{self.path}: was replaced by another file while it was read")
                return present(file[self.name], f"{self.path}: {self.name}", part)
        except (OSError, RuntimeError) as error:
            raise unreadable(self.path, error) from error


def identity(path: Path | str) -> tuple[int, int, int]:
    """Which file it is."""
    found = Path(path).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def unreadable(path: Path | str, error: Exception) -> DataError:
    """The message on a file that the library does not read."""
    return DataError(f"{path}: is not a netCDF file that can be read: {error}")


def located(path: Path | str) -> str:
    """A path as the netCDF library takes it: of a relative one it leaves out spaces at the beginning."""
    return str(path) if Path(path).is_absolute() else f"./{path}"


def opened(path: Path | str) -> Any:
    """A netCDF file, which says what is missing by the attributes of its variables alone."""
    file = netCDF4.Dataset(located(path))
    file.set_always_mask(False)
    return file


def read(
    path: Path | str, names: Iterable[str] | None = None, by_parts: Iterable[str] = ()
) -> tuple[Variables, dict[str, Any]]:
    """A netCDF file as variables and attributes: all variables, or those of the names that it has. Of a `.npz` or
    `.csv` (`storage.tables`) those of the names alone.

    by_parts: variables of at least two axes that are given as `StoredArray`s.
    Packed integers (`scale_factor`, `add_offset`) are unpacked. An entry that the attributes of the file call missing,
    or that was never written, is refused by its index; NaN is let through, as it marks a diverged run.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file")
    if is_table(path):
        return read_table(path, names or ()), {}
    try:
        with opened(path) as file:
            variables: Variables = {
                name: (
                    tuple(variable.dimensions),
                    StoredArray(path, variable)
                    if name in by_parts and variable.ndim > 1 and variable.dtype is not str
                    else present(variable, f"{path}: {name}"),
                    {key: variable.getncattr(key) for key in variable.ncattrs() if key not in PACKED},
                )
                for name, variable in file.variables.items()
                if names is None or name in names
            }
            return variables, {key: file.getncattr(key) for key in file.ncattrs()}
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error


def store_of(path: Path) -> Any:
    """A file as xarray opens it by the path that is given: by itself it makes the path absolute, and the netCDF
    library finds no file in a folder with a backslash in its name."""
    from xarray.backends import NetCDF4DataStore

    return NetCDF4DataStore(netCDF4.Dataset(located(path)))  # type: ignore[no-untyped-call]


def present(variable: Any, what: str, part: Any = ...) -> Any:
    """The numbers of a netCDF variable, or of a part of it, unpacked, with none missing: netCDF4 masks an entry that
    is `_FillValue`, a `missing_value`, outside `valid_min`, `valid_max` or `valid_range`, or the fill of what was
    never written."""
    for key in MISSING:
        if key in variable.ncattrs() and variable.dtype is not str:
            mark = np.asarray(variable.getncattr(key))
            if mark.dtype.kind not in "fiu":
                raise DataError(f"{what}: its {key} is {mark.tolist()!r}; must be a number")
    values = variable[part]
    stored = np.ma.getdata(values)
    missing = (
        np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else np.zeros(stored.shape, dtype=bool)
    )
    if stored.dtype.kind == "f":
        missing &= ~np.isnan(stored)
    if missing.any():
        spot = np.argwhere(missing)[0]
        lost = stored[tuple(spot)].item()
        if part is not ...:
            spot[: len(part)] += [one.start or 0 for one in part]
        marks = [key for key in MISSING if key in variable.ncattrs()] or [
            "the fill of what was never written"
        ]
        raise DataError(
            f"{what}{spot.tolist()} is missing: the file holds {lost!r} there (see {', '.join(marks)}); "
            "every number must be finite"
        )
    return np.asarray(stored)


def read_arrays(path: Path | str, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Named arrays of a file in float64, checked: there, of the wanted dimensions, finite, consistent."""
    variables, _ = read(path, wanted)
    sizes: dict[str, int] = {}
    for name, dimensions in wanted.items():
        if name not in variables:
            if is_table(path):
                raise DataError(f"{path}: {lacking(path, name)}")
            with netCDF4.Dataset(located(path)) as file:
                raise DataError(f"{path}: {unknown_name('variable', name, list(file.variables))}")
        found, values, _ = variables[name]
        if found != dimensions:
            raise DataError(
                f"{path}: {name} has the dimensions ({', '.join(found)}); must be ({', '.join(dimensions)})"
            )
        if np.asarray(values).dtype.kind not in "fiu":
            raise DataError(f"{path}: {name} does not hold numbers")
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            spot = bad[0].tolist()
            raise DataError(f"{path}: {name}{spot} is {values[tuple(spot)]}; every number must be finite")
        for dimension, size in zip(dimensions, np.shape(values), strict=True):
            if size == 0:
                raise DataError(f"{path}: {name} is empty along {dimension}")
            if sizes.setdefault(dimension, size) != size:
                raise DataError(f"{path}: {name} has {size} along {dimension}; must be {sizes[dimension]}")
    return {name: np.asarray(variables[name][1], dtype=np.float64) for name in wanted}


def shapes_of(path: Path | str, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """The dimensions, with their sizes, of those of the names that a file has as variables."""
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file")
    return read_shapes(Path(path), tuple(names), identity(path))


@functools.lru_cache(maxsize=64)
def read_shapes(
    path: Path, names: tuple[str, ...], version: tuple[int, int, int]
) -> dict[str, dict[str, int]]:
    """`shapes_of` a version (`identity`) of a file, which a study asks for again and again. Of a netCDF file no
    numbers are read."""
    try:
        if is_table(path):
            found = {
                name: (dims, np.shape(array)) for name, (dims, array, _) in read_table(path, names).items()
            }
        else:
            with opened(path) as file:
                kept = {name: file[name] for name in names if name in file.variables}
                found = {name: (variable.dimensions, variable.shape) for name, variable in kept.items()}
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    return {name: dict(zip(dimensions, sizes, strict=True)) for name, (dimensions, sizes) in found.items()}


def read_seed(path: Path | str, wanted: Mapping[str, tuple[str, ...]], seed: int) -> dict[str, Any]:
    """As `read_arrays`, of one seed where an array of the file has a first dimension `seed`.

    Which row is a seed's says the file's variable `seed(seed)`; without it, seed s is row s, from 0 on.
    """
    variables, _ = read(path, (*wanted, "seed"))
    stored = {
        name: ("seed", *dimensions)
        for name, dimensions in wanted.items()
        if name in variables and variables[name][0] == ("seed", *dimensions)
    }
    arrays = read_arrays(path, {**wanted, **stored})
    if not stored:
        return arrays
    rows = len(arrays[next(iter(stored))])
    known = variables["seed"][1].tolist() if "seed" in variables else list(range(rows))
    if seed not in known:
        found = f"the seeds {known}" if len(known) < 10 else f"{len(known)} seeds, {known[0]} to {known[-1]}"
        raise DataError(f"{path}: has {found}; this run has a seed {seed}")
    return {name: values[known.index(seed)] if name in stored else values for name, values in arrays.items()}
