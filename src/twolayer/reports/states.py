"""Which files of a study are there and up to date, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from twolayer.analysis import claims
from twolayer.core.wording import counted
from twolayer.storage.layout import RESULTS, dataset_file
from twolayer.storage.verify import why_stale
from twolayer.study.planned import Figure, PlannedPaper
from twolayer.study.runs import Experiment, PlannedRun
from twolayer.study.study import Study

__all__ = ["STAGES", "claims_state", "datasets_of", "experiment_state", "figure_state", "files_of"]

STAGES = (("problem", "generate"), ("trajectory", "train"), ("metrics", "measure"))
"""The files of a run, and the stage that makes each."""


def experiment_state(study: Study, experiment: Experiment) -> str:
    """`up to date`, or how many runs are missing, and of what an existing file is."""
    states = Counter(run_state(study, run) for run in experiment.runs.values())
    fresh = states.pop("", 0)
    if not states:
        path = RESULTS / experiment.paper / experiment.name / "dataset.nc"
        runs = [run.json() for run in experiment.runs.values()]
        if not path.is_file():
            return "measured, not yet gathered"
        stale = why_stale(path, "dataset", runs, study.code("gather"))
        return f"dataset {stale}" if stale else "up to date"
    runs_in_all = counted(len(experiment.runs), "run")
    if set(states) == {"missing"}:
        return "missing" if not fresh else f"{states['missing']} of {runs_in_all} missing"
    reason, count = next(item for item in states.most_common() if item[0] != "missing")
    return f"{count} of {runs_in_all} to be made again: {reason}"


def run_state(study: Study, run: PlannedRun) -> str:
    """Why a run is not up to date: `missing`, or what is wrong with a file of it; empty where it is."""
    for name, stage in STAGES:
        path = RESULTS / run.paper / run.experiment / run.name / f"{name}.nc"
        if not path.is_file():
            return "missing"
        if reason := why_stale(path, name, [run.json()], study.code(stage, run)):
            return f"{name}.nc {reason}"
    return ""


def files_of(figure: Figure) -> list[Path]:
    """The files of a figure that a reader opens."""
    folder = RESULTS / figure.paper / "figures"
    return [folder / f"{figure.name}.{suffix}" for suffix in figure.suffixes]


def datasets_of(paper: str, experiments: Iterable[str]) -> list[Path]:
    """The datasets of experiments."""
    return [dataset_file(paper, experiment) for experiment in experiments]


def figure_state(figure: Figure) -> str:
    """Whether a figure is there, and younger than what it is drawn from."""
    return made_from(files_of(figure), datasets_of(figure.paper, figure.experiments))


def claims_state(paper: PlannedPaper) -> str:
    """The verdict counts of a paper, or why there are none."""
    file = RESULTS / paper.name / "claims.json"
    used = dict.fromkeys(experiment for names in paper.claims.values() for experiment in names)
    state = made_from([file], datasets_of(paper.name, (name for name in used if name in paper.experiments)))
    if not file.is_file():
        return state
    counted = claims.total(claims.read(file))
    return counted if state == "drawn" else f"{counted} ({state})"


def made_from(files: list[Path], sources: list[Path]) -> str:
    """`drawn`, `missing`, or the source that is younger."""
    if not all(file.is_file() for file in files):
        return "missing"
    made = min(file.stat().st_mtime for file in files)
    for source in sources:
        if source.is_file() and source.stat().st_mtime > made:
            return f"older than {source}"
    return "drawn"
