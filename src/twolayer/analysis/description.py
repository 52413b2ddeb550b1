"""How a figure was made: its source line, and of each experiment what was run and by which code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.analysis.figures import Drawing
from twolayer.storage.verify import runs_digest

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["describe"]

RECORDED = ("code", "trained_by", "backend", "versions", "notes")
"""The attributes of a dataset that say how it was made."""


def describe(drawing: Drawing, data: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """The paper, the source line, and for each experiment its parameters and how it was made."""
    return {
        "animated": drawing.animated,
        "citation": drawing.citation,
        "source": source_of(drawing),
        "experiments": {key: experiment(dataset) for key, dataset in data.items() if "run" in dataset},
        "files": list(drawing.files),
    }


def source_of(drawing: Drawing) -> dict[str, Any]:
    """The plugin's file, the function and its line; no folder above `plugins` or `papers`, which differs between
    machines."""
    draw = inspect.unwrap(drawing.draw)
    parts = Path(inspect.getsourcefile(draw) or "").parts
    root = next((word for word in ("plugins", "papers") if word in parts), "")
    first = len(parts) - 1 - parts[::-1].index(root) if root else -2
    return {
        "file": "/".join(parts[first:]),
        "function": draw.__name__,
        "line": inspect.getsourcelines(draw)[1],
    }


def experiment(dataset: xr.Dataset) -> dict[str, Any]:
    """What was run: its hash, the first run's sections, all values of the swept words, and the record."""
    runs = [json.loads(text) for text in dataset["run"].values.ravel() if text]
    first = runs[0]
    swept = {word: list(dict.fromkeys(run["swept"][word] for run in runs)) for word in first["swept"]}
    left_out = ("paper", "experiment", "name", "swept")
    record = {key: str(dataset.attrs[key]) for key in RECORDED if dataset.attrs.get(key)}
    if "versions" in record:
        record["versions"] = json.loads(record["versions"])
    return {
        "digest": runs_digest(dataset["run"].values.ravel().tolist()),
        "runs": len(runs),
        "swept": swept,
        "sections": {key: value for key, value in first.items() if key not in left_out},
        "record": record,
    }
