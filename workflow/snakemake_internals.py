"""All that the workflow takes from Snakemake beyond its documented interface, in one place.

`CHECKED` is the version that this was read and tried with; tests/workflow/test_workflow.py says so when another is
locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]
from snakemake.dag import DAG
from snakemake.io import IOFile
from snakemake.persistence import PersistenceBase
from snakemake_interface_executor_plugins.executors import real
from snakemake_interface_executor_plugins.utils import TargetSpec

CHECKED = "9.27.1"


def config_files(workflow: Any) -> list[Path]:
    """The config files in the order in which later ones override earlier ones.

    Snakemake lists the files of --configfile first, though they override the Snakefile's.
    """
    given = [Path(file) for file in workflow.config_settings.configfiles]
    return [Path(file) for file in workflow.configfiles if Path(file) not in given] + given


def config_arguments(workflow: Any) -> dict[str, Any]:
    """What --config sets, as Snakemake reads it."""
    return dict(workflow.config_settings.config)


def is_first_process(workflow: Any) -> bool:
    """Whether this is the process that the user started, and not one that runs a single job of it."""
    return bool(workflow.is_main_process)


def runs_here(workflow: Any) -> bool:
    """Whether jobs run on this machine, and not on a cluster, where --jobs says how many at once.

    Snakemake itself does not know it yet when it reads the Snakefile.
    """
    return bool(workflow.local_exec) and workflow.global_resources["_nodes"].value is None


def share_card(workflow: Any) -> None:
    """Let jobs on this machine use its card one at a time; `--resources gpu=N` lets N of them."""
    if runs_here(workflow):
        workflow.global_resources.setdefault("gpu", 1)


def number_of_jobs(workflow: Any) -> int:
    """Jobs that are to run."""
    return len(workflow.dag)


def jobs_of_group() -> int:
    """Jobs that this process was started for by another: those of a group, on a node of a cluster.

    From the command line, as Snakemake has not looked at it yet when it reads the Snakefile.
    """
    after = itertools.dropwhile(lambda argument: argument != "--target-jobs", sys.argv)
    return sum(1 for _ in itertools.takewhile(lambda argument: not argument.startswith("--"), [*after][1:]))


def join(workflow: Any, group: str, kind: str) -> str:
    """A group of which `--group-components KIND=N` says how many unconnected parts it has at most."""
    workflow.parent_groupids[group] = kind
    return group


ALL = "run"
"""The group of all jobs that a process on a node was started for."""


def one_group(workflow: Any) -> str:
    """Have all jobs that this process was started for be one: Slurm's executor does not pass groups on, and would
    start them one after another, each in a new Snakemake (Snakemake's issue 4223)."""
    workflow.group_settings.group_components = {ALL: sys.maxsize}
    return ALL


def cores(workflow: Any) -> int | None:
    """What --cores says: of this machine, or of each job of a cluster."""
    found = workflow.global_resources["_cores"].value
    return None if found is None else int(found)


def keep_to_allocation(workflow: Any) -> None:
    """Have a process in a job of Slurm take the cores that the job has: Snakemake takes all that it may run on, which
    are the node's where Slurm does not bind processes to cores."""
    allocated = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if not is_first_process(workflow) and allocated.isdigit():
        workflow.global_resources["_cores"] = min(cores(workflow) or int(allocated), int(allocated))


COMMA = "%2C"
"""No name of a run has this."""


def keep_commas(workflow: Any) -> None:
    """Let names of runs with commas reach the processes that a cluster starts for them: on their command lines a comma
    ends a wildcard, and the quotes that Snakemake puts around it are not read back (its issue 2366)."""
    encode = real.encode_target_jobs_cli_args
    make = DAG.new_job

    def encoded(target_jobs: list[TargetSpec]) -> list[str]:
        return encode(
            [TargetSpec(job.rulename, replaced(job.wildcards_dict, ",", COMMA)) for job in target_jobs]
        )

    async def new_job(self: Any, *arguments: Any, wildcards_dict: Any = None, **further: Any) -> Any:
        wildcards = wildcards_dict and replaced(wildcards_dict, COMMA, ",")
        return await make(self, *arguments, wildcards_dict=wildcards, **further)

    real.encode_target_jobs_cli_args = encoded
    if not is_first_process(workflow):
        DAG.new_job = new_job


def replaced(wildcards: dict[str, str], old: str, new: str) -> dict[str, str]:
    """Wildcards with other letters in their values."""
    return {name: value.replace(old, new) for name, value in wildcards.items()}


def rule_names(workflow: Any) -> set[str]:
    """The rules that exist so far."""
    return {rule.name for rule in workflow.rules}


def lift_rate_limit(workflow: Any) -> None:
    """Take the limit on jobs a second away from jobs on this machine.

    It makes Snakemake look at all waiting jobs again once a second for each job that has finished, for good: a fifth
    of a core by the end of a few hundred jobs. It serves cluster submissions only.
    """
    if runs_here(workflow) and hasattr(workflow.scheduler, "job_rate_limiter"):
        workflow.scheduler.job_rate_limiter = None


def force(workflow: Any, path: str) -> None:
    """Have the job run that makes a file, whatever Snakemake knows of it: to be called by an input function, when the
    graph of jobs is being built."""
    workflow._dag.forcefiles.add(path)


def reruns_for_params(workflow: Any) -> bool:
    """Whether a change of a job's params is a reason to run it."""
    return any(str(trigger) == "params" for trigger in workflow.dag_settings.rerun_triggers)


def is_recorded(workflow: Any, path: str) -> bool:
    """Whether Snakemake knows how a file was made."""
    return workflow.persistence.metadata(IOFile(path)) is not None


LOCKS = Path(".snakemake", "locks")
"""Where Snakemake keeps the locks of a working folder, which outlive a run that is killed."""

RUNNING = Path(".snakemake", "twolayer", "running")
"""A file that each run holds open and locked as long as its process lives, however that ends."""


def release_dead_locks(workflow: Any) -> tuple[IO[str] | None, bool]:
    """Take away the locks of runs that were killed, where no run of this folder is alive.

    Returns the file by which this run is known to be alive, to be kept open, None in a process of a single job; and
    whether there were such locks.
    """
    if not is_first_process(workflow):
        return None, False
    released = False
    RUNNING.parent.mkdir(parents=True, exist_ok=True)
    running = RUNNING.open("a")
    with contextlib.suppress(OSError):  # another run is alive, or the file system has no such locks
        fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        running.truncate(0)
        for lock in LOCKS.glob("*.lock"):
            lock.unlink(missing_ok=True)
            released = True
    with contextlib.suppress(OSError):
        fcntl.flock(running, fcntl.LOCK_SH | fcntl.LOCK_NB)
        running.write(f"{os.getpid()}\n")
        running.flush()
    return running, released


def others_alive() -> list[int]:
    """The processes of other runs of this folder that are at work."""
    noted = RUNNING.read_text().split() if RUNNING.is_file() else []
    found = {int(process) for process in noted if process.isdigit()} - {os.getpid()}
    return sorted(process for process in found if psutil.pid_exists(process))


def end_jobs_on_sigterm(workflow: Any) -> None:
    """Have SIGTERM end the jobs on this machine, and not wait for them: each writes its result at once when it is
    whole, so that nothing half done stays. Jobs of a cluster go on."""

    def end(number: int, frame: Any) -> None:
        workflow.scheduler.exit_gracefully()
        if runs_here(workflow):
            for job in psutil.Process(os.getpid()).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    job.terminate()

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, end)


def keep_old_outputs() -> set[str]:
    """Keep the old file of an output flagged `update`, never taken for a new one, until its job has replaced it.

    Snakemake copies such a file before the job and back after a failure, then notes the job as if it had made it; on a
    cluster, where the failed job has put it back already, it removes it. Our commands replace a file as a whole, so
    that a link is enough, the old file keeps its age, and an output whose job failed stays marked as incomplete: the
    next run makes it again.

    What it gives are the outputs whose last job in this process failed, at any time.
    """
    note, failed = PersistenceBase.finished, set[str]()

    def backup_output(self: Any, path: Path) -> None:
        kept = self._get_backup_path(path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        with contextlib.suppress(
            OSError
        ):  # a file system without links: each file is still old or new as a whole
            os.link(path, kept)

    def restore_output(self: Any, path: Path) -> bool:
        failed.add(str(path))
        kept = self._get_backup_path(path)
        with contextlib.suppress(OSError):
            os.replace(kept, path)
            kept.unlink()  # a link to the same file is not renamed
        return path.is_file()

    def cleanup_backup(self: Any, path: Path) -> None:
        failed.discard(str(path))
        self._get_backup_path(path).unlink(missing_ok=True)

    async def finished(self: Any, job: Any) -> None:
        if failed.isdisjoint(job.output):
            await note(self, job)

    PersistenceBase.backup_output = backup_output
    PersistenceBase.restore_output = restore_output
    PersistenceBase.cleanup_backup = cleanup_backup
    PersistenceBase.finished = finished
    return failed
