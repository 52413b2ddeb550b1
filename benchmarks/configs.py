"""Generated configs: each is refused with its place, or runs to its end; none ends in a traceback of ours.

    python benchmarks/configs.py [--configs 1000] [--snakemake 100] [--seed 0] [--seconds 20]

Each config is an experiment of a paper, with two seeds and few times, changed in one to three places: a value by one
of another kind, out of range, not finite or of another size, a key left out or misspelt, a section by that of another
experiment. In process each is run by `twolayer.run`; through Snakemake by a project made for it, where what is made
must be whole (`twolayer verify`). A run that takes longer than `--seconds` is counted apart.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import twolayer
from twolayer.errors import TwolayerError
from twolayer.study.study import load_study

KEYS = ("problem", "network", "initialization", "dynamics", "times", "seeds", "metrics", "dtype", "stop")

VALUES: list[Any] = [
    0, 1, -1, 2, 3, 1e-300, 1e300, -1e300, 1e-12, 0.5, 10**18, 10**30, float("nan"), float("inf"), True, False, None,
    "", "x", "1e-3", "relu", "1/m", [], [0], [1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], {}, {"name": "x"}, {"a": 1},
]  # fmt: skip


class TooLong(BaseException):
    """A run takes longer than it may here."""


def originals() -> list[dict[str, Any]]:
    """The first run of each experiment of the papers, with two seeds and few times."""
    found = []
    for paper in load_study([Path(__file__).parents[1] / "config.yaml"]).papers.values():
        for experiment in paper.experiments.values():
            run = next(iter(experiment.runs.values())).as_dict()
            section = {key: copy.deepcopy(run[key]) for key in KEYS if key in run}
            section["seeds"] = section["seeds"][:2]
            if experiment.metrics:
                section["metrics"] = list(experiment.metrics)
            if section["dynamics"]["name"] != "sequence":
                step = section["dynamics"].get("step_size")
                section["times"] = {"steps": [1, 5, 20]} if step else {"values": [0.5, 1.0]}
            found.append(section)
    return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values within sections and lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and len(value) < 6:
        for index, inner in enumerate(value):
            yield (*path, index)
            yield from leaves(inner, (*path, index))


def changed(section: dict[str, Any], others: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """A config made from another by one change."""
    made = copy.deepcopy(section)
    path = chance.choice(list(leaves(made)))
    parent: Any = made
    for part in path[:-1]:
        parent = parent[part]
    way = chance.random()
    if way < 0.6:
        parent[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    elif way < 0.7:
        del parent[path[-1]]
    elif way < 0.75 and isinstance(parent, dict):
        parent[f"{path[-1]}s"] = parent.pop(path[-1])
    elif way < 0.85 and isinstance(parent[path[-1]], int | float) and not isinstance(parent[path[-1]], bool):
        parent[path[-1]] *= chance.choice([-1, 1e-6, 1e-3, 1e3, 1e6])
    else:
        key = chance.choice(KEYS[:5])
        made[key] = copy.deepcopy(chance.choice(others).get(key))
    return made


def generated(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """So many configs, the same for the same seed."""
    chance, known = random.Random(seed), originals()
    for _ in range(count):
        section = copy.deepcopy(chance.choice(known))
        for _ in range(chance.choice([1, 1, 2, 3])):
            section = changed(section, known, chance)
        yield section


def refuse_long(*_: Any) -> None:
    """The handler of the alarm."""
    raise TooLong


def in_process(configs: Iterator[dict[str, Any]], seconds: int) -> int:
    """Run configs by `twolayer.run`; returns how many ended otherwise than they may."""
    ends: Counter[str] = Counter()
    wrong = 0
    signal.signal(signal.SIGALRM, refuse_long)
    for number, section in enumerate(configs):
        signal.alarm(seconds)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                twolayer.run(section)
            ends["ran to the end"] += 1
        except TwolayerError as error:
            placed = re.match(r"[\w.\[\]' /-]+:", str(error)) is not None
            ends["refused" if placed else "refused without a place"] += 1
            if not placed:
                wrong += 1
                print(f"{number}: no place: {error}\n    {json.dumps(section)}", flush=True)
        except TooLong:
            ends["still running"] += 1
        except Warning as warning:
            ends["warned"] += 1
            print(f"{number}: warning: {warning!r}\n    {json.dumps(section)}", flush=True)
        except Exception as error:
            wrong += 1
            ends["raw error"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            print(
                f"{number}: {error!r} in {last.filename}:{last.lineno}\n    {json.dumps(section)}", flush=True
            )
        finally:
            signal.alarm(0)
        if number % 100 == 99:
            print(f"{number + 1} in process: {dict(ends)}", flush=True)
    print(f"{ends.total()} in process: {dict(ends)}")
    return wrong


def through_snakemake(configs: Iterator[dict[str, Any]], seconds: int) -> int:
    """Run configs by Snakemake; returns how many ended otherwise than they may."""
    from snakemake_project import Project

    ends: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name).resolve() / "project")
        project.environment.pop("NUMBA_DISABLE_JIT")
        for number, section in enumerate(configs):
            for folder in ("results", ".snakemake"):
                shutil.rmtree(project.folder / folder, ignore_errors=True)
            text = yaml.safe_dump({"papers": {"tiny": {"experiments": {"it": section}}}}, allow_unicode=True)
            project.write("config.yaml", text)
            process = project.start("tiny")
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
                ends["still running"] += 1
                continue
            end = "ran to the end" if process.returncode == 0 else "refused"
            command = [sys.executable, "-m", "twolayer.cli", "verify", "tiny"]
            if (
                end == "ran to the end"
                and subprocess.run(
                    command, cwd=project.folder, env=project.environment, capture_output=True, check=False
                ).returncode
            ):
                end = "not whole"
            if "Traceback" in output:
                end = "traceback"
            ends[end] += 1
            if end in ("traceback", "not whole"):
                wrong += 1
                print(f"{number}: {end}\n    {json.dumps(section)}\n{output[-2000:]}", flush=True)
    print(f"{ends.total()} through Snakemake: {dict(ends)}")
    return wrong


def main() -> int:
    """Generate, run, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, default=1000)
    parser.add_argument("--snakemake", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    wrong = in_process(generated(options.configs, options.seed), options.seconds)
    wrong += through_snakemake(generated(options.snakemake, options.seed + 1), 3 * options.seconds)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
