"""Whether a file between stages is whole, and of the run that it is taken for.

A file carries its run as JSON and the fingerprint of the code that made it. Results that were copied from elsewhere,
written by a job that outlived its workflow, or cut short are found by these, and by the sizes of their arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from twolayer.core.data import Data
from twolayer.core.trajectory import Clock
from twolayer.errors import DataError
from twolayer.storage import checksum
from twolayer.storage.contents import read_run, unpack_problem
from twolayer.storage.netcdf import Variables, located, parts

__all__ = [
    "difference",
    "digest_of",
    "refuse_altered",
    "refuse_metrics",
    "refuse_other_run",
    "refuse_problem",
    "refuse_trajectory",
    "refuse_ungatherable",
    "runs_digest",
    "why_altered",
    "why_stale",
    "why_stale_claims",
    "why_stale_figure",
]

HEAD = 1 << 16
"""Bytes at the beginning of a file in which its attributes lie, but for files that somebody edited."""

SHOWN = 60
"""Letters of a value that a message shows."""


def why_stale(path: Path, stage: str, runs: Sequence[str], code: str | None = None) -> str:
    """Why an existing file is not what a stage makes of the runs, as JSON, with the code; empty where it is.

    stage: `problem`, `trajectory` or `metrics` of one run, or `dataset` of several. code: None is not compared.
    """
    if stage != "dataset":
        texts = [f"twolayer {stage} of ", runs[0], *([] if code is None else [code])]
        if holds(path, texts):
            return ""
    try:
        with netCDF4.Dataset(located(path)) as file:
            attributes = {key: file.getncattr(key) for key in file.ncattrs()}
            stored = [attributes.get("run", "")]
            if stage == "dataset":
                stored = np.asarray(file["run"][...], dtype=object).ravel().tolist()
        if stage != "dataset":
            read_run(attributes, path, stage)
        found = {text: json.loads(text) for text in stored if text}
    except (OSError, RuntimeError, AttributeError, IndexError, ValueError, TypeError, DataError):
        return f"is no {stage} file that can be read"
    wanted = {text: json.loads(text) for text in runs}
    lost = [run for text, run in wanted.items() if text not in found and run not in found.values()]
    extra = [run for text, run in found.items() if text not in wanted and run not in wanted.values()]
    if lost and extra:
        like = next((run for run in extra if run.get("name") == lost[0]["name"]), extra[0])
        return f"is of another run: {difference(like, lost[0]) or unknown_setting(like, lost[0])}"
    if lost or extra:
        return f"{'lacks' if lost else 'has'} the run '{(lost or extra)[0].get('name')}'"
    if code is not None and attributes.get("code") != code:
        return "was made by other code"
    return ""


def why_stale_figure(path: Path, digests: Mapping[str, str]) -> str:
    """Why a figure's .json is not of a figure of these runs; empty where it is. digests: `runs_digest` by experiment.

    Figures are files of their kind: what they were drawn from stands in the .json of the same name.
    """
    try:
        made = json.loads(path.read_text())["experiments"]
        found = {name: made[name].get("digest") for name in made}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "does not say what the figure was drawn from"
    return next((f"is of other runs of '{name}'" for name in digests if found.get(name) != digests[name]), "")


def why_stale_claims(path: Path, digests: Mapping[str, str]) -> str:
    """Why a claims.json is not of these runs; empty where it is. digests: `runs_digest` by experiment."""
    try:
        for row in json.loads(path.read_text()):
            for name, digest in row["runs"].items():
                if digests.get(name) != digest:
                    return f"is of other runs of '{name}'"
            if any(name in digests and name not in row["runs"] for name in row["experiments"]):
                return f"has no row of '{row['claim']}' on the runs of the config"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "does not say which runs it is about"
    return ""


def holds(path: Path, texts: Sequence[str]) -> bool:
    """Whether a netCDF-4 file is as long as it says, and has all texts among its attributes: as its bytes show, some
    hundred times faster than the library does. False where that cannot be seen."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
    except OSError:
        return False
    # the superblock of HDF5, version 2: signature, version, size of offsets, …, end-of-file address at byte 28
    if head[:8] != b"\x89HDF\r\n\x1a\n" or head[8:10] != b"\x02\x08":
        return False
    return int.from_bytes(head[28:36], "little") == size and all(text.encode() in head for text in texts)


def difference(found: Any, wanted: Any) -> str:
    """The first place in which two runs differ, as `dynamics.step_size is 0.1, not 0.05`; empty where they agree."""
    for place, mine, other in differences(found, wanted, ""):
        return f"{place or 'the run'} is {shown(mine)}, not {shown(other)}"
    return ""


def differences(found: Any, wanted: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, found, wanted) where two runs differ."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys((*wanted, *found)):
            inner = f"{place}.{key}" if place else str(key)
            yield from differences(found.get(key), wanted.get(key), inner)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for index, (mine, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differences(mine, other, f"{place}[{index}]")
    elif found != wanted:
        yield place, found, wanted


def unknown_setting(found: Any, wanted: Any, place: str = "") -> str:
    """The first setting, left to its default, that only one of two runs has: they are of two versions; or nothing."""
    if not (isinstance(found, Mapping) and isinstance(wanted, Mapping)):
        return ""
    for key in dict.fromkeys((*wanted, *found)):
        inner = f"{place}.{key}" if place else str(key)
        if key not in found:
            return f"it was made by a version that had no setting {inner}"
        if key not in wanted:
            return f"it was made by a version that had a setting {inner}"
        if deeper := unknown_setting(found[key], wanted[key], inner):
            return deeper
    return ""


def shown(value: Any) -> str:
    """A value as JSON, cut to what a line holds."""
    text = json.dumps(value) if value is not None else "missing"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def refuse_other_run(found: Mapping[str, Any], path: Path, wanted: Mapping[str, Any], source: Path) -> None:
    """Refuse a file whose run is not that of the file it was made from."""
    if other := difference(found, wanted):
        raise DataError(
            f"{path}: is of another run than {source}: {other}; both must be of one run: make it again from that file"
        )


def why_altered(variables: Variables, attributes: Mapping[str, Any]) -> str:
    """Why the contents of a netCDF file are not what was written, by the checksum that it carries; empty where they
    are."""
    if checksum.KEY not in attributes:
        return "carries no checksum: it was made by another program, or an earlier version"
    if checksum.of_arrays(variables, attributes) != str(attributes[checksum.KEY]):
        return "is altered: what it holds is not what was written"
    return ""


def refuse_altered(variables: Variables, attributes: Mapping[str, Any], path: Path) -> None:
    """Refuse a file between stages whose contents are not what was written."""
    if reason := why_altered(variables, attributes):
        raise DataError(f"{path}: {reason}; make it again")


def refuse_problem(
    variables: Variables, attributes: Mapping[str, Any], path: Path, run: Mapping[str, Any]
) -> Data:
    """The data of a problem file; DataError where an array is missing, of other dimensions or seeds than those of its
    run, or holds a number that is not finite."""
    try:
        data = unpack_problem(variables, {**attributes, "title": path})
    except KeyError as error:
        raise DataError(
            f"{path}: has no {error}, which data of the law '{attributes.get('law')}' need"
        ) from error
    for name, (dimensions, _, _) in data.arrays().items():
        if variables[name][0] != dimensions:
            found = ", ".join(variables[name][0])
            raise DataError(f"{path}: {name} has the dimensions ({found}); must be ({', '.join(dimensions)})")
    if data.per_seed:
        refuse_shape("seed", variables, (len(run["seeds"]),), path)
        refuse_unlike("seed", variables, np.asarray(run["seeds"]), path)
    return data


def refuse_trajectory(
    variables: Variables, path: Path, run: Mapping[str, Any], clock: Clock, features: int
) -> None:
    """Refuse a trajectory that is not of the sizes, seeds and times of its run, or that holds an infinite number.

    NaN is let through: it marks the frames of a seed that diverged. clock: the run's. features: of its data.
    """
    seeds, neurons, times = len(run["seeds"]), run["network"]["neurons"], len(clock.time)
    shapes: dict[str, tuple[int, ...]] = {
        "hidden": (seeds, times, neurons, features),
        "output": (seeds, times, neurons),
        "seed": (seeds,),
        "time": (times,),
        "weight_decay": (times,),
    }
    if clock.step is not None:
        shapes["step"] = (times,)
    for name, shape in shapes.items():
        refuse_shape(name, variables, shape, path)
        values = variables[name][1]
        for part in parts(values):
            infinite = np.isinf(values[part])
            if infinite.any():
                spot = np.argwhere(infinite)[0]
                found = values[part][tuple(spot)]
                if part is not ...:
                    spot[:2] += [one.start for one in part]
                raise DataError(
                    f"{path}: {name}{spot.tolist()} is {found}; must be finite, or NaN where a seed diverged"
                )
    refuse_unlike("seed", variables, np.asarray(run["seeds"]), path)
    refuse_unlike("time", variables, clock.time, path)
    if clock.step is not None:
        refuse_unlike("step", variables, clock.step, path)


def refuse_metrics(variables: Variables, path: Path, run: Mapping[str, Any]) -> None:
    """Refuse metrics whose seeds are not those of their run, or whose times do not increase from 0."""
    refuse_shape("seed", variables, (len(run["seeds"]),), path)
    refuse_unlike("seed", variables, np.asarray(run["seeds"]), path)
    refuse_shape("time", variables, (len(variables["time"][1]) if "time" in variables else 0,), path)
    time = variables["time"][1]
    if not (len(time) and time[0] == 0 and np.isfinite(time).all() and (np.diff(time) > 0).all()):
        raise DataError(
            f"{path}: time must increase strictly from 0, unlike {shown(np.asarray(time).tolist())}"
        )


def refuse_shape(name: str, variables: Variables, shape: tuple[int, ...], path: Path) -> None:
    """Refuse a variable that is missing, holds no numbers or is not of the shape that its run asks for."""
    if name not in variables:
        raise DataError(f"{path}: has no variable '{name}'; its variables are {', '.join(variables)}")
    dimensions, values, _ = variables[name]
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} does not hold numbers")
    if values.shape != shape:
        raise DataError(
            f"{path}: {name} ({', '.join(dimensions)}) has shape {values.shape}; its run asks for {shape}"
        )


def refuse_unlike(name: str, variables: Variables, wanted: Any, path: Path) -> None:
    """Refuse a coordinate that is not that of the run, to rounding."""
    values = variables[name][1]
    wrong = ~np.isclose(values, wanted, rtol=1e-9, atol=0.0)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(f"{path}: {name}[{index}] is {values[index]}; its run asks for {wanted[index]}")


def refuse_ungatherable(
    names: Sequence[str], paths: Sequence[Path], runs: Sequence[Mapping[str, Any]], digest: str | None
) -> None:
    """Refuse metrics files that are not the runs of one experiment, one each: `names` are those asked for.

    digest: of the runs as the config describes them (`digest_of`); None where they are not known.
    """
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"--runs: names the run '{name}' twice; each run is gathered once")
    first = {key: runs[0].get(key) for key in ("paper", "experiment")}
    for name, path, run in zip(names, paths, runs, strict=True):
        if run["name"] != name:
            raise DataError(
                f"{path}: is of the run '{run['name']}'; must be of the run '{name}', as its folder says"
            )
        if other := difference({key: run[key] for key in first}, first):
            raise DataError(f"{path}: is of another experiment than {paths[0]}: {other}")
        if list(run["swept"]) != list(runs[0]["swept"]):
            raise DataError(
                f"{path}: sweeps {', '.join(run['swept']) or 'nothing'}; must sweep "
                f"{', '.join(runs[0]['swept']) or 'nothing'}, as {paths[0]} does"
            )
    if digest is None or digest == digest_of(json.dumps(run) for run in runs):
        return
    for path, run in zip(paths, runs, strict=True):
        source = path.with_name("problem.nc")
        if source.is_file():
            with netCDF4.Dataset(located(source)) as file:
                attributes = {key: file.getncattr(key) for key in file.ncattrs()}
            refuse_other_run(run, path, read_run(attributes, source, "problem"), source)
    raise DataError(
        f"{paths[0].parents[1]}: the metrics are not of the runs that the config asks for; `snakemake` finds and "
        "makes them again"
    )


def runs_digest(runs: Iterable[str]) -> str:
    """A hash of what was run, whatever the order: of runs as JSON, "" where a sweep has none."""
    return digest_of(sorted(json.dumps(json.loads(run), sort_keys=True) for run in runs if run))


def digest_of(runs: Iterable[str]) -> str:
    """A hash of runs, as JSON, in their order: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(runs).encode()).hexdigest()[:16]
