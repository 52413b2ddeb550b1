"""A Slurm cluster of three nodes on this machine: slurmctld, three slurmd and munge, without systemd.

    python tests/slurm/local_cluster.py FOLDER      # until ctrl-C; `sbatch` and `squeue` work in any shell

As root, since Slurm's commands read /etc/slurm/slurm.conf alone where SLURM_CONF is not in their environment, and
Snakemake's executor removes it. A configuration that is there already is another cluster's, and is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

__all__ = ["Cluster", "Unavailable"]

CONFIGURATION = Path("/etc/slurm/slurm.conf")
NODES = ("n1", "n2", "n3")
PORT = 26817
"""Of the controller; the nodes listen on the next ones."""

COMMANDS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "sinfo", "scontrol")
PATIENCE = 20.0
"""Seconds for the nodes to report to the controller."""

TEMPLATE = """\
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,sched_min_interval=100000,bf_interval=2
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout={node_timeout}
KillWait=2
MinJobAge=43200
NodeName=n[1-3] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cores} RealMemory={memory}
PartitionName=main Nodes=n[1-3] Default=YES MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """Why no cluster can be started on this machine."""


class Cluster:
    """The daemons of a cluster in a folder; a context manager.

    Args:
        folder: where they keep their state and logs; outside a test's project.
        cores, memory: of each node, the latter in MB; they need not be there.
        node_timeout: seconds after which a node that does not answer is down.
    """

    def __init__(self, folder: Path, cores: int = 16, memory: int = 64_000, node_timeout: int = 6) -> None:
        self.folder = folder
        self.text = TEMPLATE.format(
            port=PORT,
            folder=folder,
            first=PORT + 1,
            last=PORT + len(NODES),
            cores=cores,
            memory=memory,
            node_timeout=node_timeout,
        )

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all daemons and wait until the nodes are idle; Unavailable says why that is not possible."""
        if missing := [name for name in COMMANDS if shutil.which(name) is None]:
            raise Unavailable(f"{missing[0]} is not installed; tests/slurm/install.sh installs Slurm")
        if os.geteuid() != 0:
            raise Unavailable("the daemons need root")
        if CONFIGURATION.exists():
            raise Unavailable(f"{CONFIGURATION} is of another cluster")
        for name in ("state", "log", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "slurm.conf").write_text(self.text)
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.unlink(missing_ok=True)  # a link to a folder that is gone
        CONFIGURATION.symlink_to(self.folder / "slurm.conf")
        try:
            start_munge()
            run("slurmctld", "-i")
            for node in NODES:
                self.start_node(node)
            self.wait_until_idle()
        except Unavailable:
            self.stop()
            raise

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        run("slurmd", "-N", node)

    def wait_until_idle(self) -> None:
        """Wait until all nodes have reported."""
        states = ""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            states = output("sinfo", "--noheader", "--Node", "--format=%N %T")
            if states.split("\n") == [f"{node} idle" for node in NODES]:
                return
            time.sleep(0.2)
        logs = "\n".join(
            "\n".join(log.read_text().splitlines()[-3:]) for log in (self.folder / "log").glob("*.log")
        )
        raise Unavailable(f"the nodes are not idle after {PATIENCE:g} s: {states or 'no answer'}\n{logs}")

    def kill_node(self, node: str) -> None:
        """Kill a node as a power failure would: its daemon and all that runs on it, at once."""
        daemon = self.process(f"slurmd-{node}")
        assert daemon is not None, f"{node} does not run"
        daemon.kill()
        for job in self.jobs_on(node):
            for step in steps_of(job):
                kill_tree(step)

    def declare_down(self, node: str) -> None:
        """Tell the controller what it would find out by itself after a while."""
        run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed")

    def jobs_on(self, node: str) -> list[str]:
        """The ids of the jobs that run on a node."""
        return output("squeue", "--noheader", f"--nodelist={node}", "--states=RUNNING", "--format=%i").split()

    def process(self, daemon: str) -> psutil.Process | None:
        """The process of a daemon, by its file."""
        try:
            return psutil.Process(int((self.folder / f"{daemon}.pid").read_text()))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def stop(self) -> None:
        """End jobs and daemons, and take the configuration away; munge stays."""
        for step in steps_of():
            kill_tree(step)
        daemons = [self.process(name) for name in ("slurmctld", *(f"slurmd-{node}" for node in NODES))]
        for daemon in filter(None, daemons):
            with contextlib.suppress(psutil.NoSuchProcess):
                daemon.kill()
        if CONFIGURATION.is_symlink() and CONFIGURATION.readlink().parent == self.folder:
            CONFIGURATION.unlink()


def start_munge() -> None:
    """Start the daemon by which Slurm's processes know each other, where it does not run."""
    if subprocess.run(["munge", "--no-input"], capture_output=True, check=False).returncode == 0:
        return
    runtime = Path("/run/munge")
    runtime.mkdir(parents=True, exist_ok=True)
    shutil.chown(runtime, "munge", "munge")
    run("runuser", "--user", "munge", "--", shutil.which("munged") or "munged")


def run(*command: str) -> None:
    """Run a command that starts a daemon; Unavailable with what it says where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode != 0:
        raise Unavailable(f"`{' '.join(command)}`: {(done.stderr or done.stdout).strip()}")


def output(*command: str) -> str:
    """What one of Slurm's commands prints; empty where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def steps_of(job: str | None = None) -> list[psutil.Process]:
    """The processes slurmstepd of a job, or of all."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        title = " ".join(process.info["cmdline"] or ())
        if title.startswith("slurmstepd: [" + ("" if job is None else f"{job}.")):
            found.append(process)
    return found


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def main(folder: str) -> None:
    """A cluster until ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with Cluster(Path(folder).resolve()):
        print(output("sinfo"), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Unavailable as error:
        sys.exit(str(error))
