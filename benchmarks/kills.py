"""Random kills of a sweep of mixed dynamics: no result corrupt, none lost that was finished, final bytes equal.

    python benchmarks/kills.py [--kills 100] [--seed 0]

Snakemake is started on the same folder again and again, and ended after a random time: by SIGKILL to it alone, whose
jobs go on, or to all its processes, as a machine that crashes, or by SIGTERM or SIGHUP, as a closed terminal. After
each end every file is looked at by `twolayer verify`, and those of jobs that Snakemake had noted as finished before
must be there with the same bytes. A sweep that comes to its end is compared with one that was not disturbed, and
begun anew.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from snakemake_project import Project

CONFIG = """\
backend: numpy
checkpoint: {seconds: 0.2}
papers:
  tiny:
    experiments:
      descent: &common
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], targets: [1.0, -1.0, 0.5]}
        network: {neurons: 4, output: trained}
        initialization: {name: gaussian, scale: 0.5}
        dynamics: {name: gradient_descent, step_size: 1.0e-2}
        times: {start: 0.1, stop: 200.0, count: 60, spacing: log}
        seeds: 3
        sweep: {network.neurons: [3, 4, 5]}
      regularised:
        <<: *common
        dynamics:
          name: regularized_gradient_descent
          step_size: 1.0e-2
          weight_decay: {values: [0.1, 0.001], until: [50]}
      stochastic:
        <<: *common
        dynamics: {name: stochastic_gradient_descent, step_size: 1.0e-2, batch_size: 2}
      flow:
        <<: *common
        dynamics: {name: gradient_flow, rtol: 1.0e-8}
      teacher:
        <<: *common
        problem: {name: gaussian_teacher, dimension: 3, teachers: 2}
        network: {neurons: 3, output: fixed}
        dynamics: {name: gradient_flow, rtol: 1.0e-6}
        times: {start: 0.1, stop: 20.0, count: 20, spacing: log}
      teacher_descent:
        <<: *common
        problem: {name: gaussian_teacher, dimension: 3, teachers: 2}
        dynamics: {name: gradient_descent, step_size: 5.0e-2}
        stop: {loss: 1.0e-4}
      smooth_flow:
        <<: *common
        network: {neurons: 4, output: trained, activation: tanh}
        dynamics: {name: gradient_flow}
      minimum:
        <<: *common
        network: {neurons: 4, output: trained, activation: tanh}
        dynamics: {name: minimize, weight_decay: 1.0e-3}
      sequence:
        <<: *common
        dynamics:
          name: sequence
          stages:
            - {name: gradient_descent, step_size: 1.0e-2, layers: hidden, until: 50}
            - {name: gradient_flow, rtol: 1.0e-8, until: 100}
            - {name: minimize, weight_decay: 1.0e-3}
            - {name: gradient_descent, step_size: 1.0e-2, layers: output}
"""

LONGEST = 15.0
"""Seconds from the start of Snakemake to the kill, at most."""


def ours(folder: Path) -> list[psutil.Process]:
    """The processes that work in a folder."""
    found = []
    for process in psutil.process_iter(["pid", "cwd"]):
        if process.info["cwd"] and Path(process.info["cwd"]) == folder and process.pid != os.getpid():
            found.append(process)
    return found


def end(process: subprocess.Popen[str], way: str, folder: Path) -> None:
    """End Snakemake in one of the ways, and wait until nothing works in the folder any more, unless jobs go on."""
    if way == "crash":
        for each in ours(folder):
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
    else:
        process.send_signal({"kill": signal.SIGKILL, "term": signal.SIGTERM, "hup": signal.SIGHUP}[way])
    process.wait(timeout=600)


def contents(folder: Path) -> dict[Path, bytes]:
    """The results by their path."""
    kept = (".nc", ".json", ".html", ".png", ".pdf")
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in kept and not path.name.startswith(".")
    }


def unnoted(project: Project) -> set[Path]:
    """The outputs of jobs that Snakemake has not noted as finished."""
    found = set()
    for marker in (project.folder / ".snakemake" / "incomplete").rglob("*"):
        if marker.is_file():
            found.add(Path(base64.urlsafe_b64decode(marker.name).decode()).relative_to("results"))
    return found


def verified(project: Project) -> list[str]:
    """The results that `twolayer verify` finds wrong."""
    command = [sys.executable, "-m", "twolayer.cli", "verify"]
    ended = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False
    )
    if ended.returncode not in (0, 1):
        return [ended.stderr]
    return [line for line in ended.stdout.splitlines() if line.startswith("results/") and ": is " in line]


def main() -> int:
    """Kill, look, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        reference = Project(folder / "reference")
        reference.write("config.yaml", CONFIG)
        begun = time.monotonic()
        reference.snakemake("--cores", "2", "tiny")
        print(
            f"undisturbed: {time.monotonic() - begun:.0f} s, {len(contents(reference.folder / 'results'))} files"
        )
        whole = contents(reference.folder / "results")
        project = Project(folder / "killed", reference.folder)
        shutil.rmtree(project.folder / "results")
        shutil.rmtree(project.folder / ".snakemake")
        ways: Counter[str] = Counter()
        sweeps = corrupt = lost = 0
        finished: dict[Path, bytes] = {}
        while ways.total() < options.kills:
            process = project.start("--cores", "2", "tiny")
            try:
                output, _ = process.communicate(timeout=chance.uniform(1.0, LONGEST))
            except subprocess.TimeoutExpired:
                way = chance.choice(("kill", "crash", "term", "hup"))
                end(process, way, project.folder)
                ways[way] += 1
            else:
                if process.returncode:
                    print(output)
                    print("Snakemake did not go on by itself")
                    return 1
                if contents(project.folder / "results") != whole:
                    print("other bytes at the end")
                    return 1
                sweeps += 1
                shutil.rmtree(project.folder / "results")
                shutil.rmtree(project.folder / ".snakemake")
                finished = {}
                continue
            now = contents(project.folder / "results")
            wrong = verified(project)
            corrupt += len(wrong)
            gone = [path for path, content in finished.items() if now.get(path) != content]
            lost += len(gone)
            if ways.total() % 10 == 0:
                print(
                    f"{ways.total()} kills: {corrupt} corrupt, {lost} lost, {sweeps} sweeps ended", flush=True
                )
            for line in (*wrong, *(f"lost: {path}" for path in gone)):
                print(f"after {ways.total()} kills ({way}): {line}")
            waiting = unnoted(project)
            finished = {
                path: content for path, content in now.items() if path.suffix == ".nc" and path not in waiting
            }
        end_of_all = project.snakemake("--cores", "2", "tiny")
        same = contents(project.folder / "results") == whole
        if not same:
            print(end_of_all)
        print(f"kills: {ways.total()} ({', '.join(f'{way} {count}' for way, count in sorted(ways.items()))})")
        print(f"sweeps that came to their end on the way: {sweeps}")
        print(f"corrupt: {corrupt}; lost: {lost}; bytes at the end: {'equal' if same else 'NOT equal'}")
        for each in ours(project.folder):
            each.kill()
    return int(bool(corrupt or lost or not same))


if __name__ == "__main__":
    sys.exit(main())
