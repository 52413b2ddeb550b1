"""Where the dataset of an experiment is, and the name that a figure has for it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["RESULTS", "dataset_file", "experiment_of"]

RESULTS = Path("results")


def dataset_file(paper: str, experiment: str) -> Path:
    """The dataset of a paper's experiment `rate`, or of another paper's `xu2023.rate`."""
    other, dot, name = experiment.partition(".")
    return RESULTS / (other if dot else paper) / (name if dot else experiment) / "dataset.nc"


def experiment_of(file: Path, paper: str) -> str:
    """The name of the experiment of a dataset in a figure of a paper: that of its folder, with the paper's before it
    where it is another's under results/."""
    top, other, *_ = (*file.parts, "", "")
    if Path(top) == RESULTS and len(file.parts) == 4 and other != paper:
        return f"{other}.{file.parent.name}"
    return file.parent.name
