"""Experiments and their runs, every section built and checked before anything runs."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twolayer.core.network import Network
from twolayer.core.times import Times
from twolayer.core.trajectory import Clock
from twolayer.errors import ConfigError, unknown_name
from twolayer.study.command import refuse_braces
from twolayer.study.elementwise import refuse_loss
from twolayer.study.job import PLUGIN_SECTIONS, refuse_inapplicable, selected_metrics
from twolayer.study.network import build_network, described
from twolayer.study.plugin_checks import RESERVED
from twolayer.study.registry import Registry
from twolayer.study.schema import build, canonical, convert, number
from twolayer.study.sizes import refuse_frames
from twolayer.study.sweep import get_path, refuse_taken, set_path, sweep_points
from twolayer.training.stop import StopRule

__all__ = ["Experiment", "PlannedRun", "make_run"]

RUN_KEYS = (*PLUGIN_SECTIONS, "network", "times", "seeds", "dtype", "stop")


EXPERIMENT_KEYS = (*RUN_KEYS, "metrics", "sweep")


MOST_SEEDS = 100_000


LONGEST_RUN = 10_000_000  # bytes of JSON, which every file of the run carries


LONGEST_NAME = 200  # bytes; file systems end at 255


DTYPES = ("float64", "float32")


@dataclass(frozen=True)
class PlannedRun:
    """One point of a sweep: its folder's name, the swept words, and all that decides its result."""

    paper: str
    experiment: str
    name: str
    swept: dict[str, Any]
    sections: dict[str, Any]

    def json(self) -> str:
        """The run as one line of text, equal for equal runs."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The run as files carry it."""
        head = {"paper": self.paper, "experiment": self.experiment, "name": self.name, "swept": self.swept}
        return {**head, **self.sections}

    def data_files(self, section: str) -> list[str]:
        """The files that a section of this run reads."""
        return [path for _, path in paths_in(self.sections[section])]


def paths_in(section: Any, place: str = "path") -> Iterator[tuple[str, str]]:
    """The files that a section and the sections within it read: the place of each, and its path."""
    for key, value in section.items() if isinstance(section, Mapping) else ():
        if key == "path" and isinstance(value, str) and value:
            yield place, value
        else:
            yield from paths_in(value, f"{place.removesuffix('path')}{key}.path")


@dataclass(frozen=True)
class Experiment:
    """The runs of a sweep, in config order, and the metrics measured on each (None: all that apply)."""

    paper: str
    name: str
    runs: dict[str, PlannedRun]
    metrics: tuple[str, ...] | None

    def layout(self) -> list[str]:
        """The arguments that stand for the runs: {word: [values]} as JSON for a full product, else the names.

        A command line cannot hold the names of ten thousands of runs; their swept values fit.
        """
        axes: dict[str, list[str]] = {}
        for run in self.runs.values():
            for word, value in run.swept.items():
                axes.setdefault(word, []).append(str(value))
        axes = {word: list(dict.fromkeys(values)) for word, values in axes.items()}
        names = list(self.runs)
        if math.prod(map(len, axes.values())) != len(
            names
        ):  # the product may be large where words go together
            return names
        product = json.dumps(axes)
        return [product] if run_names([product]) == names else names


def run_names(layout: Sequence[str]) -> list[str]:
    """The run names that a layout stands for: see `Experiment.layout`."""
    if not layout[0].startswith("{"):
        return list(layout)
    axes: dict[str, list[str]] = json.loads(layout[0])
    return [run_name(dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def run_name(swept: Mapping[str, Any]) -> str:
    """`key=value` of each swept word, joined by commas; `default` where nothing is swept."""
    return ",".join(f"{word}={value}" for word, value in swept.items()) or "default"


def make_experiment(
    paper: str, name: str, section: Mapping[str, Any], registry: Registry, place: str | None = None
) -> Experiment:
    """An experiment's runs, checked."""
    where = place or f"papers.{paper}.experiments.{name}"
    identifier(name, where)
    if name == "figures":
        raise ConfigError(f"{where}: 'figures' is the folder of the figures; choose another name")
    for key in section:
        if key not in EXPERIMENT_KEYS:
            raise ConfigError(f"{where}.{key}: {unknown_name('key', key, EXPERIMENT_KEYS)}")
    metrics = section.get("metrics")
    if metrics is not None:
        metrics = tuple(convert(metrics, list[str], f"{where}.metrics"))
        for metric in metrics:
            registry.find("metrics", metric, f"{where}.metrics")
    known = selected_metrics(registry, list(metrics) if metrics is not None else None)
    taken = dict.fromkeys(RESERVED, "part of every dataset")
    taken |= {metric: "a metric of this experiment" for metric in known}
    for metric in known:
        dimensions = registry.find("metrics", metric).plugin.dimensions
        taken |= dict.fromkeys(dimensions, f"a dimension of the metric '{metric}'")
    runs: dict[str, PlannedRun] = {}
    for point in sweep_points(section.get("sweep"), f"{where}.sweep"):
        refuse_seed_lists(point, f"{where}.sweep")
        run = make_run(paper, name, section, point, registry, where)
        refuse_taken(point, taken, f"{where}.sweep")
        if len(run.name.encode()) > LONGEST_NAME:
            raise ConfigError(
                f"{where}.sweep: the name of the run '{run.name}' is longer than {LONGEST_NAME} bytes; "
                "sweep a whole section by labels"
            )
        if len(run.json().encode()) > LONGEST_RUN:
            raise ConfigError(
                f"{where}: the run '{run.name}' takes more than {LONGEST_RUN} bytes to describe; put its numbers "
                "into a netCDF file and name that (problem: {name: file, path: …})"
            )
        if run.name in runs:
            raise ConfigError(f"{where}.sweep: two points are both the run '{run.name}'")
        runs[run.name] = run
    described = (run.as_dict() for run in runs.values())
    refuse_inapplicable(described, registry, metrics or (), f"{where}.metrics")
    return Experiment(paper, name, runs, metrics)


def make_run(
    paper: str,
    experiment: str,
    section: Mapping[str, Any],
    point: Mapping[str, tuple[Any, Any]],
    registry: Registry,
    where: str,
) -> PlannedRun:
    """One run of an experiment, every section built and checked, defaults filled in."""
    raw = copy.deepcopy({key: section[key] for key in RUN_KEYS if key in section})
    for path, (_, value) in point.items():
        set_path(raw, path, value, f"{where}.sweep.{path}")
    missing = [key for key in (*PLUGIN_SECTIONS, "network", "times") if key not in raw]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    built: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for key, kind in PLUGIN_SECTIONS.items():
        found, built[key] = registry.build(kind, raw[key], f"{where}.{key}")
        sections[key] = {"name": found.name, **canonical(built[key])}
    network = build_network(raw["network"], registry, f"{where}.network")
    times = build(Times, raw["times"], f"{where}.times")
    seeds = make_seeds(raw.get("seeds", 1), f"{where}.seeds")
    clock = checked(lambda: refuse_one_frame(built["dynamics"].clock(times), times), f"{where}.times")
    problem, initialization, dynamics = (built[key] for key in PLUGIN_SECTIONS)
    loss = registry.find("losses", problem.loss, f"{where}.problem.loss")
    refuse_loss(loss.plugin, f"{where}.problem.loss")
    checked(lambda: problem.validate(network), f"{where}.problem")
    checked(lambda: initialization.validate(problem, network), f"{where}.initialization")
    checked(lambda: dynamics.validate(problem, network), f"{where}.dynamics")
    checked(lambda: dynamics.validate_loss(loss.plugin, loss.name, network), f"{where}.dynamics")
    checked(lambda: dynamics.validate_last_stage(problem, network), f"{where}.dynamics")
    refuse_reduced(built, sections, network, where)
    refuse_frames(len(clock.time), len(seeds), network, problem, initialization, f"{where}.times")
    for key in ("problem", "initialization"):
        for place, path in paths_in(sections[key]):
            refuse_braces(path, f"{where}.{key}.{place}")
            if not Path(path).is_file() and not Path(path).is_relative_to("results"):
                raise ConfigError(f"{where}.{key}.{place}: there is no file '{path}'")
    dtype = raw.get("dtype", "float64")
    if dtype not in DTYPES:
        raise ConfigError(f"{where}.dtype: {unknown_name('dtype', dtype, DTYPES)}")
    sections |= {
        "network": described(network, raw["network"], registry, f"{where}.network"),
        "times": {key: value for key, value in canonical(times).items() if value is not None},
        "seeds": seeds,
        "dtype": dtype,
    }
    if raw.get("stop") is not None and raw["stop"] is not False:
        rule = build(StopRule, raw["stop"], f"{where}.stop")
        sections["stop"] = {key: value for key, value in canonical(rule).items() if value is not None}
    swept = {
        path.rpartition(".")[2]: swept_value(sections, path) if label is None else label
        for path, (label, _) in point.items()
    }
    return PlannedRun(paper, experiment, run_name(swept), swept, sections)


def swept_value(sections: Mapping[str, Any], path: str) -> Any:
    """The checked value at a dotted path of a run; of `seeds` their number."""
    value = get_path(sections, path)
    return len(value) if path == "seeds" else value


def refuse_seed_lists(point: Mapping[str, tuple[Any, Any]], where: str) -> None:
    """Refuse a sweep of lists of seeds: a dataset has one axis of seeds, which runs with numbers of them share."""
    label, value = point.get("seeds", (None, 1))
    if label is not None or not isinstance(number(value), int):
        raise ConfigError(f"{where}.seeds: a sweep takes numbers of seeds, such as 500, not {value!r}")


def refuse_reduced(
    built: Mapping[str, Any], sections: Mapping[str, Any], network: Network, where: str
) -> None:
    """Refuse a draw in reduced coordinates where the problem or the dynamics leaves them."""
    if not built["initialization"].in_reduced_coordinates:
        return
    key = next((key for key, value in sections["initialization"].items() if value == "reduced"), "draw")
    place, problem, dynamics = f"{where}.initialization.{key}: 'reduced'", built["problem"], built["dynamics"]
    if problem.per_seed or problem.reduced(network.neurons) is None:
        raise ConfigError(
            f"{place} needs a teacher on the whole population ('gaussian_teacher' without samples); the inputs of "
            f"'{sections['problem']['name']}' here live in all features: use 'full'"
        )
    if not dynamics.stays_in_span:
        raise ConfigError(
            f"{place} holds nothing outside of the span of teachers and students, where "
            f"'{sections['dynamics']['name']}' may go (it does not say stays_in_span, see docs/plugins.md): use 'full'"
        )


def checked(action: Callable[[], Any], where: str) -> Any:
    """Make a check and give what it returns; an error names the place in the config."""
    try:
        return action()
    except (ValueError, MemoryError) as error:
        about_key = re.match(r"[\w.\[\]]+: ", str(error))
        raise ConfigError(f"{where}.{error}" if about_key else f"{where}: {error}") from None


def refuse_one_frame(clock: Clock, times: Times) -> Clock:
    """The clock; times that all become step 0 are refused: nothing would be trained."""
    last = times.stop if times.values is None else times.values[-1]
    if len(clock.time) == 1 and last:
        raise ValueError(
            f"all of them round to step 0, as the last, {last!r}, is less than half a step; ask for later times, or "
            "for steps: […]"
        )
    return clock


def make_seeds(seeds: Any, where: str) -> list[int]:
    """Seeds as a list: a number n means 0 … n − 1."""
    seeds = number(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ConfigError(f"{where}: from 1 to {MOST_SEEDS} seeds, not {seeds}")
        return list(range(seeds))
    if not isinstance(seeds, list):
        raise ConfigError(f"{where}: must be a number of seeds, or a list of them, is {seeds!r}")
    found: list[int] = convert(seeds, list[int], where)
    if not found or min(found) < 0 or max(found) >= 2**63 or len(set(found)) < len(found):
        raise ConfigError(f"{where}: one or more different whole numbers from 0 on, not {seeds!r}")
    return found


def identifier(name: Any, where: str) -> None:
    """Papers, experiments and figures are named by identifiers: they become folders and targets."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(
            f"{where}: a name of letters, digits and '_' that begins with a letter, not {name!r}"
        )
