"""The neurons of a paper's runs over time as a page with a slider: what it shows, computed from trajectories.

A neuron is drawn as the vector |a_j| w_j, its share of the network, which is w_j where outputs are fixed to 1. With
more than two features it is drawn in the plane that holds most of the neurons' squared lengths, each saved time
counted alike: lengths are in units of the longest neuron of that time, so that early directions count as late ones.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["TEMPLATE", "explorer", "frames_of", "plane_of", "progress_of", "scene"]

TEMPLATE = Path(__file__).parent / "gallery" / "templates" / "explorer.html"

FRAMES = 60
"""Saved times shown of a run, at most: two in three even in progress, the others even in their order."""

FEWEST_FRAMES = 6
"""A run with fewer saved times is no film."""

FULL_SCALE = 32767
"""The largest coordinate of a frame as it is stored, in 16 bits."""

Array = npt.NDArray[np.float64]


def scene(
    hidden: Array, output: Array, time: Array, loss: Array, teachers: Array | None = None
) -> dict[str, Any]:
    """One seed of a run, as the page reads it.

    hidden: (time, neuron, feature). output: (time, neuron). time, loss: (time,). teachers: (teacher, feature), their
    directions. Positions are 16-bit whole numbers in base64, (frame, neuron, 2), in units of `scale` of their frame.
    """
    vectors = np.abs(output)[..., np.newaxis] * hidden
    known = np.isfinite(vectors).all(axis=(1, 2)) & np.isfinite(loss)
    vectors, output, time, loss = vectors[known], output[known], time[known], loss[known]
    plane, share = plane_of(vectors)
    progress = progress_of(vectors)
    frames = frames_of(progress)
    points = vectors[frames] @ plane.T
    scale = np.abs(points).max(axis=(1, 2))
    stored = np.rint(points / np.where(scale > 0, scale, 1)[:, np.newaxis, np.newaxis] * FULL_SCALE)
    return {
        "time": [brief(value) for value in time[frames]],
        "loss": [brief(value) for value in loss[frames]],
        "progress": [round(float(value), 4) for value in progress[frames]],
        "scale": [brief(value) for value in scale],
        "sign": np.where(output[-1] < 0, -1, 1).tolist(),
        "share": round(share, 4),
        "teachers": [] if teachers is None else np.round(teachers @ plane.T, 4).tolist(),
        "points": base64.b64encode(stored.astype("<i2").tobytes()).decode("ascii"),
    }


def plane_of(vectors: Array) -> tuple[Array, float]:
    """The two orthonormal directions (2, feature) that hold most of Σ|v|², and the share of it that they hold.

    vectors: (time, neuron, feature), each time in units of its longest vector. Two features are shown as they are.
    """
    features = vectors.shape[-1]
    if features == 1:
        return np.array([[1.0], [0.0]]), 1.0
    if features == 2:
        return np.eye(2), 1.0
    flat = rescaled(vectors).reshape(-1, features)
    energies, directions = np.linalg.eigh(flat.T @ flat)
    plane = directions[:, :-3:-1].T
    largest = np.abs(plane).argmax(axis=1)
    signs = np.where(plane[np.arange(2), largest] < 0, -1.0, 1.0)  # an eigenvector's sign is arbitrary
    total = float(energies.sum())
    return plane * signs[:, np.newaxis], float(energies[-2:].sum()) / total if total > 0 else 1.0


def rescaled(vectors: Array) -> Array:
    """The vectors of each time in units of the longest one."""
    longest = np.linalg.norm(vectors, axis=-1).max(axis=1)
    return vectors / np.where(longest > 0, longest, 1)[:, np.newaxis, np.newaxis]


def progress_of(vectors: Array) -> Array:
    """(time,) How far the network has come at each time, from 0 to 1: the length of the path of all neurons, each time
    in units of its longest one. It grows while directions turn, however small the neurons are, and while some grow
    faster than others; on a plateau it stands still."""
    moved = np.linalg.norm(np.diff(rescaled(vectors), axis=0), axis=(1, 2))
    path = np.concatenate([[0.0], np.cumsum(moved)])
    return path / path[-1] if path[-1] > 0 else np.linspace(0, 1, len(path))


def frames_of(progress: Array) -> npt.NDArray[np.int64]:
    """The indices of the saved times that are shown, with the first and the last."""
    saved = len(progress)
    if saved <= FRAMES:
        return np.arange(saved)
    even = np.searchsorted(progress, np.linspace(0, 1, FRAMES * 2 // 3)).clip(0, saved - 1)
    ordered = np.linspace(0, saved - 1, FRAMES // 3).round().astype(np.int64)
    return np.unique(np.concatenate([[0, saved - 1], even, ordered]))


def brief(value: Any) -> float | None:
    """A number to five digits."""
    return float(f"{float(value):.5g}") if np.isfinite(value) else None


def explorer(title: str, experiments: Mapping[str, Sequence[Mapping[str, Any]]], link: str) -> str:
    """The page: the same scenes give the same bytes.

    experiments: by name, the runs that it shows, each {"swept": {word: value}, "seeds": {seed: scene}}. link: back to
    the gallery.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    data = json.dumps(experiments, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template(TEMPLATE.name).render(
        title=title,
        link=link,
        names=list(experiments),
        data=Markup(data),
        style=Markup(environment.get_template("style.css").render()),
    )


def seeds_shown(sizes: Iterable[tuple[int, int, int]], most: int, budget: int) -> int:
    """How many seeds of each run are shown so that the page stays below a size.

    sizes: of each run its seeds, saved times and neurons. most: seeds at most. budget: bytes.
    """
    runs = list(sizes)
    for count in range(most, 1, -1):
        size = sum(min(seeds, count) * min(times, FRAMES) * neurons * 6 for seeds, times, neurons in runs)
        if size <= budget:
            return count
    return 1
