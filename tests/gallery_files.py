"""A small study's figures and claims as files, for the tests of the gallery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twolayer import Paper, Run
from twolayer.stages.render import render

__all__ = ["row", "write_run", "write_study"]

RUN = {
    "paper": "study", "experiment": "descent", "name": "neurons=2", "swept": {"neurons": 2},
    "problem": {"name": "points", "inputs": [[1.0, 0.0]], "targets": [1.0], "loss": "half_mean_square"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "network": {"neurons": 2, "activation": "relu", "output": "trained"},
    "seeds": [0, 1], "dtype": "float64",
}  # fmt: skip


def dataset() -> xr.Dataset:
    """The loss of one run with two seeds, as gathered."""
    loss = np.exp(-np.outer([1.0, 1.1], np.arange(1.0, 6.0)))[np.newaxis]
    return xr.Dataset(
        {
            "loss": (("neurons", "seed", "time"), loss, {"long_name": "loss", "units": "1"}),
            "run": (("neurons",), np.array([json.dumps(RUN)], dtype=object)),
        },
        {"neurons": [2], "seed": [0, 1], "time": np.arange(1.0, 6.0)},
        {"code": "0123", "trained_by": "4567", "versions": '{"numpy": "2"}', "backend": "numba"},
    )


def row(claim: str, verdict: str, figures: tuple[str, ...] = (), **others: Any) -> dict[str, Any]:
    """A row of claims.json."""
    return {
        **{
            "claim": claim,
            "statement": "|w_i| ≤ 4|v|/m for every student",
            "source": "Lemma 1",
            "tag": "published",
        },
        **{"experiments": ["descent"], "figures": list(figures), "changed": "", "late": ""},
        **{
            "predicted": 2e-6,
            "measured": 1e-6,
            "tolerance": "at most",
            "verdict": verdict,
            "detail": "at seed = 1",
        },
        **others,
    }


ROWS = (
    row("falls", "holds", ("still",)),
    row("misses[k = 1]", "holds", ("still", "moving")),
    row(
        "misses[k = 2, σ = 0.1]",
        "fails",
        ("still", "moving"),
        measured=4.407e-6,
        detail="<em>not markup</em>",
    ),
    row("misses[k = 3]", "holds", ("still", "moving")),
    row(
        "open",
        "inconclusive",
        (),
        predicted=None,
        measured=None,
        detail="no run",
        late="10 % was chosen late",
    ),
    row("reading", "not reproduced under this reading", ("moving",), tag="second-hand"),
)


def write_study(folder: Path, changed: Mapping[str, str] | None = None) -> tuple[list[Path], list[Path]]:
    """The descriptions of three figures and a claims.json below `folder`, with all files that they name."""
    paper = Paper("study", "Author & Writer 2020")
    data = {"descent": dataset()}
    (folder / "study" / "descent").mkdir(parents=True)
    data["descent"].to_netcdf(folder / "study" / "descent" / "dataset.nc")

    def draw(canvas: Any, run: Run) -> None:
        canvas.subplots().semilogy(run.loss.values.reshape(-1, 5).T)

    def film(canvas: Any, run: Run) -> Iterator[list[Any]]:
        axes = canvas.subplots()
        for values in run.loss.values.reshape(-1, 5):
            yield axes.semilogy(values)

    caption, more = "The loss L against time; dashed: the bound |w_i| ≤ 4|v|/m.", "With $\\sigma = 10^{-3}$."
    mark = paper.figure("published", caption, details=more, on="descent", size=(3.0, 2.0))
    figures = folder / "study" / "figures"
    descriptions = []
    for name, drawing, suffixes in (
        ("still", mark(draw), ("pdf", "png", "json")),
        ("moving", mark(film), ("mp4", "mp4.png", "mp4.json")),
        ("unclaimed", mark(draw), ("pdf", "png", "json")),
    ):
        outputs = [figures / f"{name}.{suffix}" for suffix in suffixes]
        render(drawing, f"study.{name}", data, outputs=outputs, style=None, changed=changed)
        descriptions.append(outputs[-1])
    claims = folder / "study" / "claims.json"
    claims.with_suffix(".png").write_bytes((figures / "still.png").read_bytes())
    said = "; ".join(f"{key}: {value}" for key, value in (changed or {}).items())
    claims.write_text(json.dumps([{**each, "changed": said} for each in ROWS], ensure_ascii=False))
    return descriptions, [claims]


def write_run(experiment: Path, times: int) -> Path:
    """An experiment of one run with two seeds of two neurons that grow and turn, as files; its dataset."""
    time = np.geomspace(0.1, 10, times)
    turning = np.linspace(0, 1, times)[:, np.newaxis] + np.arange(2)
    hidden = time[:, np.newaxis, np.newaxis] * np.stack([np.cos(turning), np.sin(turning)], axis=-1)
    both, names = np.stack([hidden, -hidden]), ("seed", "time", "neuron", "feature")
    axes = {"seed": [0, 1], "time": time}
    weights = {
        "hidden": (names, both),
        "output": (names[:-1], np.stack([hidden[..., 0] - 5, hidden[..., 0] + 11])),
    }
    loss = {"loss": (("seed", "time"), np.exp(-np.stack([time, 2 * time])))}
    folder = experiment / "neurons=2"
    folder.mkdir(parents=True)
    xr.Dataset(weights, axes).to_netcdf(folder / "trajectory.nc")
    xr.Dataset(loss, axes).to_netcdf(folder / "metrics.nc")
    xr.Dataset({"teacher_hidden": (("teacher", "feature"), [[3.0, 4.0]])}).to_netcdf(folder / "problem.nc")
    run = json.dumps({**RUN, "experiment": experiment.name})
    xr.Dataset({"run": (("neurons",), np.array([run], dtype=object))}).to_netcdf(experiment / "dataset.nc")
    return experiment / "dataset.nc"
