"""`twolayer clean`: the folders that no config asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twolayer.reports.states import STAGES
from twolayer.storage.layout import RESULTS
from twolayer.study.study import Study

__all__ = ["abandoned"]


def abandoned(study: Study) -> list[Path]:
    """The folders of runs and experiments under results/, of papers of the config, that it does not ask for."""
    found: list[Path] = []
    for paper in study.papers.values():
        for folder in sorted(folders(RESULTS / paper.name)):
            if folder.name == "figures":
                continue
            if folder.name not in paper.experiments:
                found += [folder] if is_experiment(folder) else []
                continue
            planned: Mapping[str, Any] = paper.experiments[folder.name].runs
            found += [run for run in sorted(folders(folder)) if run.name not in planned and is_run(run)]
    return found


def folders(parent: Path) -> Iterator[Path]:
    """The folders in a folder."""
    return (path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else iter(())


def is_run(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run's stages and their logs leave there."""
    names = {path.name for path in folder.iterdir()}
    known = {f"{name}.nc" for name, _ in STAGES} | {f"{stage}.log" for _, stage in STAGES}
    known |= {".trajectory.checkpoint", ".trajectory.checkpoint.new"}
    return bool(names) and names <= known


def is_experiment(folder: Path) -> bool:
    """The same of an experiment."""
    inside = list(folder.iterdir())
    return bool(inside) and all(
        is_run(path) if path.is_dir() else path.name in ("dataset.nc", "gather.log") for path in inside
    )
