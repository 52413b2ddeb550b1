"""A sweep through a real Slurm, of which a job and a node are killed, gives the bytes of a local run."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from local_cluster import Cluster, Unavailable, output, steps_of
from snakemake_project import Project

pytestmark = pytest.mark.slurm

CONFIG = """\
papers:
  mystudy:
    experiments:
      rate:
        problem: {name: orthogonal, samples: 2, dimension: 2, targets: [1, -1]}
        network: {neurons: 4}
        initialization: {name: gaussian, scale: 0.1}
        dynamics: {name: gradient_descent, step_size: 0.01}
        times: {steps: [0, 10, 100]}
        seeds: 1
        sweep:
          network.neurons: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
          dynamics.step_size: [1.0e-2, 1.0e-3, 1.0e-4, 1.0e-5, 1.0e-6]
"""
RUNS, TOGETHER = 60, 20
OPTIONS = (
    *("--profile", "profiles/slurm", "--cores", "2", "--group-components", f"run={TOGETHER}"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
)
PATIENCE = 600.0
"""Seconds to wait for what must come: a busy machine is no failure."""

REMEDY = "where three nodes may be started, run `tests/slurm/install.sh && pytest -m slurm tests/slurm`"

Found = TypeVar("Found")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes on this machine; where it does not permit them the tests are skipped, with the reason."""
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip(f"snakemake-executor-plugin-slurm is not installed: {REMEDY}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"), cores=2)
    try:
        cluster.start()
    except Unavailable as reason:
        pytest.skip(f"no Slurm on this machine ({reason}): {REMEDY}")
    yield cluster
    cluster.stop()


def test_a_sweep_survives_a_killed_job_and_a_killed_node(cluster: Cluster, tmp_path: Path) -> None:
    here, there = (Project(tmp_path / name) for name in ("here", "there"))
    for project in (here, there):
        project.write("config.yaml", CONFIG)
    local = here.start("mystudy")
    workflow = there.start(*OPTIONS, "mystudy")
    try:
        killed = wait_for(workflow, lambda: kill_a_training(there))
        lost = wait_for(workflow, lambda: job_that_trains(there, killed))
        cluster.kill_node(node := value_of(lost, "NodeList"))
        # what the controller finds out by itself after SlurmdTimeout, and then waits two minutes
        cluster.declare_down(node)
        wait_for(workflow, lambda: value_of(lost, "JobState") == "PENDING")
        subprocess.run(["scontrol", "update", f"JobId={lost}", "StartTime=now"], check=True)
        wait_for(workflow, lambda: job_that_trains(there, killed))
        servers = [each for each in processes_in(there) if "twolayer.launch.server" in each.info["cmdline"]]
        outside = [each for each in servers if not job_of(each) and each.is_running()]
        assert not outside, "a job of the cluster uses a process outside of it"
        text, _ = workflow.communicate(timeout=PATIENCE)
        assert local.wait(PATIENCE) == 0
    finally:
        workflow.kill()
        local.kill()
    assert workflow.returncode == 0, text
    assert value_of(killed, "JobState") == "FAILED"
    assert (value_of(lost, "JobState"), value_of(lost, "Restarts")) == ("COMPLETED", "1")
    submitted = output("squeue", "--noheader", "--states=all", "--format=%i").split()
    assert len(submitted) == RUNS // TOGETHER + 2, "the groups, the one that failed again, and the dataset"

    names = [file.relative_to(here.folder) for file in sorted(here.folder.glob("results/**/*.nc"))]
    assert len(names) == 3 * RUNS + 1
    for name in names:
        assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes(), name


def wait_for(workflow: subprocess.Popen[str], condition: Callable[[], Found]) -> Found:
    """What a condition gives as soon as it holds, while the workflow runs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        if workflow.poll() is not None:
            raise AssertionError(f"the workflow has ended: {workflow.communicate()[0]}")
        time.sleep(0.1)
    raise AssertionError("what the test waits for does not come")


def kill_a_training(project: Project) -> str:
    """Kill a command that trains; the Slurm job that it was part of, empty where there is none."""
    for process in trainings(project):
        if job := job_of(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                return job
    return ""


def job_that_trains(project: Project, but: str) -> str:
    """A Slurm job that trains now, and is not `but`; empty where there is none."""
    return next((job for each in trainings(project) if (job := job_of(each)) not in (but, "")), "")


def trainings(project: Project) -> list[psutil.Process]:
    """The commands of a project that train now."""
    return [
        each
        for each in processes_in(project)
        if {"twolayer.launch.command", "train"} <= set(each.info["cmdline"])
    ]


def processes_in(project: Project) -> list[psutil.Process]:
    """The Python processes that work in a project's folder."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        command = process.info["cmdline"] or [""]
        if process.info["cwd"] == str(project.folder) and "python" in Path(command[0]).name:
            found.append(process)
    return found


def job_of(process: psutil.Process) -> str:
    """The id of the Slurm job that a process is part of; empty where it is of none, or has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        above = {each.pid for each in process.parents()}
        for step in steps_of():
            if step.pid in above:
                return step.info["cmdline"][0].partition("[")[2].partition(".")[0]
    return ""


def value_of(job: str, key: str) -> str:
    """A value that `scontrol show job` prints."""
    pairs = (part.partition("=") for part in output("scontrol", "show", "job", job).split())
    return next((value for name, _, value in pairs if name == key), "")
