# What the config asks for, checked before anything runs, and the paths it becomes.
import functools
import gc
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from twolayer.launch.bytecode import keep_bytecode

# The jobs load the same sources hundreds of times: without bytecode each would compile them, whatever the shell says.
keep_bytecode()

from twolayer.analysis.claims import summary
from twolayer.launch.start import start_server
from twolayer.storage.layout import dataset_file
from twolayer.storage.verify import digest_of, runs_digest, why_stale, why_stale_claims, why_stale_figure
from twolayer.study.command import quoted, relative
from twolayer.study.study import load_study

sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))
import snakemake_internals as internals

# A graph of a thousand jobs is many objects that all stay: to search them for garbage took a tenth of the planning.
gc.set_threshold(100_000)

os.environ.setdefault("PYTHONUNBUFFERED", "1")
started = time.time()

try:
    study = load_study(internals.config_files(workflow), internals.config_arguments(workflow))
except Exception as error:
    if type(error).__module__ != "twolayer.errors":
        raise
    raise WorkflowError(str(error))

if internals.is_first_process(workflow):
    for warning in study.warnings:
        print(f"warning: {warning}", file=sys.stderr)

FAILED_OUTPUTS = internals.keep_old_outputs()
internals.share_card(workflow)
internals.keep_to_allocation(workflow)
internals.keep_commas(workflow)
alive, had_locks = internals.release_dead_locks(workflow)
if had_locks:
    print(
        "a run of this folder was killed; its locks are taken away, and this run goes on from it",
        file=sys.stderr,
    )

if internals.is_first_process(workflow) and (others := internals.others_alive()):
    print(
        f"another run is at work in this folder (process {', '.join(map(str, others))}); if both make the same files, "
        "this one is refused by a LockException: wait until that one has ended",
        file=sys.stderr,
    )

RUN = "results/{paper}/{experiment}/{run}"
STYLE = relative(Path(workflow.basedir) / "workflow" / "figures.mplstyle")
PLUGIN_PATHS = quoted(*(f"--plugin-path={path}" for path in study.plugin_paths))


wildcard_constraints:
    paper=r"\w+",
    experiment=r"(?!figures/)\w+",
    figure=r"\w+",
    run=r"[^/]+",


WORTH_A_SERVER = 10  # jobs: to load all libraries once takes as long as some jobs take to start


def start_server_for(jobs):
    """Have many jobs on this machine start as copies of a process that has loaded the libraries."""
    if internals.runs_here(workflow) and jobs >= WORTH_A_SERVER:
        start_server(study.plugin_paths)


def run_of(wildcards):
    return study.run(wildcards.paper, wildcards.experiment, wildcards.run)


@functools.cache
def code_of(stage, paper, experiment, run):
    return study.code(stage, study.run(paper, experiment, run))


@functools.cache
def placed(paper, experiment, run):
    return study.placement(study.run(paper, experiment, run))


def on_device(wildcards):
    """Whether a run holds a card while it is trained: small ones and flows do not, under any backend."""
    return placed(wildcards.paper, wildcards.experiment, wildcards.run).on_device


MANY_NETWORKS = 100_000
"""Networks that one core measures in about a second."""


def threads_of(run):
    """Cores for a run, at most one per seed: all of a cluster's job; here half, as no job keeps two busy from end to end."""
    seeds = len(run.sections["seeds"])
    if not internals.runs_here(workflow) or not internals.is_first_process(workflow):
        return min(seeds, internals.cores(workflow) or seeds)
    return min(
        seeds, max(1, workflow.cores // min(2, len(study.papers[run.paper].experiments[run.experiment].runs)))
    )


def measuring_threads_of(run):
    """Cores to measure a run: as to train it where its networks are many, else one, as starting takes longer."""
    times = run.sections["times"]
    saved = times.get("count") or len(times.get("values") or times["steps"])
    return threads_of(run) if len(run.sections["seeds"]) * saved > MANY_NETWORKS else 1


# Snakemake knows how a file was made from what it noted of the last job, and else from its age alone. Results that were
# copied, cut short, or written by a job that outlived its workflow are found by what they carry themselves.
@functools.cache
def remade_if_stale(stage, paper, experiment, run=None):
    """An input function's share: no file, but the job of this file runs if it is there and not what the config asks for."""
    folder = Path("results", paper, experiment)
    path = folder / ("dataset.nc" if run is None else f"{run}/{stage}.nc")
    if not internals.is_first_process(workflow) or not path.is_file():
        return []
    try:
        if reason := reason_to_remake(path, stage, paper, experiment, run):
            internals.force(workflow, str(path))
            say_once(
                folder,
                f"{path} {reason}; it is made again, and so is all in {folder} that is not of this config",
            )
    except Exception as error:  # Snakemake passes over what an input function raises, where the output exists
        print(f"warning: {path} could not be compared with the config: {error!r}", file=sys.stderr)
    return []


def reason_to_remake(path, stage, paper, experiment, run):
    """Why a file is not what the config asks for; its code counts where Snakemake has noted none."""
    planned = study.experiment(paper, experiment).runs
    code = None
    if internals.reruns_for_params(workflow) and not internals.is_recorded(workflow, str(path)):
        code = study.code("gather") if run is None else study.code(STAGES[stage], planned[run])
    runs = [each.json() for each in planned.values()] if run is None else [planned[run].json()]
    return why_stale(path, stage, runs, code)


@functools.cache
def runs_of(paper, experiment):
    """The hash of an experiment's runs, which figures and claims of them carry."""
    return runs_digest(run.json() for run in study.experiment(paper, experiment).runs.values())


@functools.cache
def remade_if_foreign(path, why, paper, experiments):
    """As `remade_if_stale`, for a figure's .json or a claims.json: it may have been copied without its datasets."""
    if internals.is_first_process(workflow) and Path(path).is_file():
        if reason := why(Path(path), {name: runs_of(paper, name) for name in experiments}):
            internals.force(workflow, path)
            say_once(path, f"{path} {reason}; it is made again")
    return []


STAGES = {"problem": "generate", "trajectory": "train", "metrics": "measure"}


SAID = 5
"""Folders whose results are named as those of another run; the table of jobs counts them all."""

said = set()
"""Folders of which something was said."""


def say_once(folder, message):
    """Print the first message on a folder, of the first few folders."""
    if folder not in said and len(said) <= SAID:
        more = "and so are results in further folders; `twolayer verify` names them all"
        print(message if len(said) < SAID else more, file=sys.stderr)
    said.add(folder)


def digest_of_runs(wildcards):
    """A hash of an experiment's runs."""
    return digest_of(
        run.json() for run in study.experiment(wildcards.paper, wildcards.experiment).runs.values()
    )


@functools.cache
def contents(files):
    """A hash of files: where Snakemake has noted nothing, a fresh checkout must not look like a change."""
    return hashlib.sha256(
        b"".join(hashlib.sha256(Path(file).read_bytes()).digest() for file in files)
    ).hexdigest()[:16]


def datasets_of(paper, experiments):
    return [str(dataset_file(paper, experiment)) for experiment in experiments]


def products(paper):
    """The figures and claims of a paper."""
    files = [
        f"results/{paper.name}/figures/{figure.name}.{suffix}"
        for figure in paper.figures.values()
        for suffix in figure.suffixes
    ]
    claims = [f"results/{paper.name}/claims.{suffix}" for suffix in ("json", "pdf", "png")]
    return files + (claims if paper.claims else [])


def print_claims():
    """How many of the claims that this run evaluated hold, and which do not, at its end."""
    files = [Path(f"results/{paper}/claims.json") for paper in study.papers]
    files = [file for file in files if file.is_file() and file.stat().st_mtime >= started]
    try:
        text = summary(files) if files else ""
    except Exception as error:  # it must not cost what comes after it
        text = f"warning: {error}"
    logger.info(text, extra={"ending": True})
