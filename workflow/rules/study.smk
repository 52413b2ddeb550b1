# What the config asks for, checked before anything runs, and the paths it becomes.
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from twolayer.study.study import load_study

os.environ.setdefault("PYTHONUNBUFFERED", "1")
started = time.time()

# Snakemake lists the files of --configfile first, though they override the Snakefile's own.
given = [Path(file) for file in workflow.config_settings.configfiles]
own = [Path(file) for file in workflow.configfiles if Path(file) not in given]

try:
    study = load_study([*own, *given], workflow.config_settings.config)
except Exception as error:
    if type(error).__module__ != "twolayer.errors":
        raise
    raise WorkflowError(str(error))

if workflow.is_main_process:
    for warning in study.warnings:
        print(f"warning: {warning}", file=sys.stderr)

# Jobs on this machine share its card, one at a time; `--resources gpu=N` lets N of them.
if workflow.local_exec:
    workflow.global_resources.setdefault("gpu", 1)

RUN = "results/{paper}/{experiment}/{run}"
PLUGIN_PATHS = " ".join(f"--plugin-path {path!r}" for path in study.plugin_paths)


wildcard_constraints:
    paper=r"\w+",
    experiment=r"(?!figures/)\w+",
    figure=r"\w+",
    run=r"[^/]+",


def run_of(wildcards):
    return study.run(wildcards.paper, wildcards.experiment, wildcards.run)


@functools.cache
def placed(paper, experiment, run):
    return study.placement(study.run(paper, experiment, run))


def on_device(wildcards):
    """Whether a run holds a card while it is trained: small ones and flows do not, under any backend."""
    return placed(wildcards.paper, wildcards.experiment, wildcards.run).on_device


def threads_of(run):
    """Cores for a run, at most one a seed: all of a cluster's job; here half, as no job keeps two busy from end to end."""
    seeds = len(run.sections["seeds"])
    if not workflow.local_exec or not workflow.is_main_process:
        return seeds
    return min(
        seeds, max(1, workflow.cores // min(2, len(study.papers[run.paper].experiments[run.experiment].runs)))
    )


def datasets_of(paper, experiments):
    return [f"results/{paper}/{experiment}/dataset.nc" for experiment in experiments]


def products(paper):
    """The figures and claims of a paper."""
    files = [
        f"results/{paper.name}/figures/{figure.name}.{suffix}"
        for figure in paper.figures.values()
        for suffix in figure.suffixes
    ]
    return files + ([f"results/{paper.name}/claims.json"] if paper.claims else [])


def print_claims():
    """The claims that this run evaluated as a table, at its end."""
    files = [Path(f"results/{paper}/claims.json") for paper in study.papers]
    files = [file for file in files if file.is_file() and file.stat().st_mtime >= started]
    if files:
        subprocess.run(["twolayer", "claims", "--table", *files], check=False)
