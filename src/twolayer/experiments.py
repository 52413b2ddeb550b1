"""From config to runs: merging, sweeps, names, and the check of everything before anything runs."""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from twolayer.errors import ConfigError, unknown_name
from twolayer.fingerprint import code_of
from twolayer.model import Network
from twolayer.pipeline import code_of_run, placed_backend, selected_metrics
from twolayer.placement import Placement
from twolayer.registry import Registry, load, plugin_folder
from twolayer.schema import build, canonical, convert, number
from twolayer.times import Times

__all__ = ["Experiment", "Figure", "Paper", "Run", "Study", "load_study", "make_run", "sweep_points"]

PLUGIN_SECTIONS = {"problem": "problems", "initialization": "initializations", "dynamics": "dynamics"}
RUN_KEYS = (*PLUGIN_SECTIONS, "network", "times", "seeds", "dtype")
EXPERIMENT_KEYS = (*RUN_KEYS, "metrics", "sweep")
RESERVED = {
    "seed",
    "time",
    "neuron",
    "feature",
    "sample",
    "teacher",
    "step",
    "diverged_step",
    "trusted_until",
    "flow_forks",
    "path_trusted_until",
    "run",
}
MOST_SEEDS = 100_000
RULES = ("all", "generate", "train", "measure", "gather", "render", "animate", "claims")
LONGEST_RUN = 100_000  # bytes of JSON; an argument of a command ends at 128 KiB
LONGEST_NAME = 200  # bytes; file systems end at 255
DTYPES = ("float64", "float32")
SAFE = r"[A-Za-z0-9_.+-]+"


@dataclass(frozen=True)
class Run:
    """One point of a sweep: its folder's name, the swept words, and all that decides its result."""

    paper: str
    experiment: str
    name: str
    words: dict[str, Any]
    sections: dict[str, Any]

    def json(self) -> str:
        """The run as one line of text, equal for equal runs."""
        return json.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The run as files carry it."""
        head = {"paper": self.paper, "experiment": self.experiment, "name": self.name, "words": self.words}
        return {**head, **self.sections}

    def data_files(self, section: str) -> list[str]:
        """The files that a section of this run reads."""
        path = self.sections[section].get("path")
        return [path] if path else []


@dataclass(frozen=True)
class Experiment:
    """The runs of a sweep, in config order, and the metrics measured on each (None: all that apply)."""

    paper: str
    name: str
    runs: dict[str, Run]
    metrics: tuple[str, ...] | None

    def layout(self) -> list[str]:
        """The arguments that stand for the runs: {word: [values]} as JSON for a full product, else the names.

        A command line cannot hold the names of ten thousands of runs; the values of their words fit.
        """
        axes: dict[str, list[str]] = {}
        for run in self.runs.values():
            for word, value in run.words.items():
                axes.setdefault(word, []).append(str(value))
        axes = {word: list(dict.fromkeys(values)) for word, values in axes.items()}
        names = list(self.runs)
        product = json.dumps(axes)
        return [product] if run_names([product]) == names else names


@dataclass(frozen=True)
class Figure:
    """A figure of a paper, the experiments it is drawn from, and whether it moves."""

    paper: str
    name: str
    experiments: tuple[str, ...]
    animated: bool

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The files it is written to."""
        return ("mp4",) if self.animated else ("pdf", "png")


@dataclass(frozen=True)
class Paper:
    """What one paper asks for."""

    name: str
    experiments: dict[str, Experiment]
    figures: dict[str, Figure]
    claims: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Study:
    """Everything a config asks for, checked."""

    backend: str
    plugin_paths: tuple[str, ...]
    papers: dict[str, Paper]
    registry: Registry
    warnings: list[str] = field(default_factory=list)

    def run(self, paper: str, experiment: str, name: str) -> Run:
        """A run by the parts of its path."""
        runs = self.papers[paper].experiments[experiment].runs
        if name not in runs:
            raise ConfigError(f"papers.{paper}.experiments.{experiment}: {unknown_name('run', name, runs)}")
        return runs[name]

    def placement(self, run: Run) -> Placement:
        """Where a run is trained, and why."""
        return placed_backend(run.as_dict(), self.backend, self.registry)[0]

    def code(self, stage: str, run: Run | None = None, paper: str = "", figure: str = "") -> str:
        """The fingerprint of the code behind a job: of a run's stage, of a paper's figure or its claims."""
        if run is not None:
            metrics = self.papers[run.paper].experiments[run.experiment].metrics
            return code_of_run(
                stage, run.as_dict(), self.registry, list(metrics) if metrics is not None else None
            )
        names = [f"{paper}.{figure}"] if figure else [f"{paper}.{claim}" for claim in self.claims_of(paper)]
        kind = "figures" if figure else "claims"
        return code_of(stage, [self.registry.find(kind, name).file for name in names if paper])

    def claims_of(self, paper: str) -> list[str]:
        """The names of a paper's claims."""
        return list(self.papers[paper].claims) if paper else []

    def claim_experiments(self, paper: str) -> list[str]:
        """The experiments that a paper's claims are held against, of those that the config has."""
        held = self.papers[paper]
        used = {experiment for experiments in held.claims.values() for experiment in experiments}
        return [experiment for experiment in held.experiments if experiment in used]

    def files_of(self, kind: str, name: str) -> list[str]:
        """The files beside a figure's or a claim's plugin that it reads."""
        found = self.registry.find(kind, name)
        folder = found.file.parent if found.file else Path()
        return [os.path.relpath(folder / file) for file in found.thing.files]

    def claim_files(self, paper: str) -> list[str]:
        """The files that a paper's claims are held against."""
        files = [
            file for name in self.claims_of(paper) for file in self.files_of("claims", f"{paper}.{name}")
        ]
        return list(dict.fromkeys(files))

    def metrics_option(self, paper: str, experiment: str) -> str:
        """The `--metrics` of the measure command."""
        metrics = self.papers[paper].experiments[experiment].metrics
        return "" if metrics is None else f"--metrics {' '.join(metrics)}"


def run_names(layout: Sequence[str]) -> list[str]:
    """The run names that a layout stands for: see `Experiment.layout`."""
    if not layout[0].startswith("{"):
        return list(layout)
    axes: dict[str, list[str]] = json.loads(layout[0])
    return [run_name(dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def run_name(words: Mapping[str, Any]) -> str:
    """`key=value` of each swept word, joined by commas; `default` where nothing is swept."""
    return ",".join(f"{word}={value}" for word, value in words.items()) or "default"


def load_study(files: Sequence[Path | str], overrides: Mapping[str, Any] | None = None) -> Study:
    """Read, merge and check configs; later files override earlier ones, `overrides` all of them."""
    layers = [(str(file), read_config(Path(file))) for file in files]
    if overrides:
        layers.append(("--config", anchored(dict(overrides), Path.cwd())))
    top: dict[str, Any] = {"backend": "numba", "plugin_paths": [], "papers": {}}
    for source, layer in layers:
        for key, value in layer.items():
            if key not in top:
                raise ConfigError(f"{source}: {key}: {unknown_name('key', key, top)}")
            if key != "papers":
                top[key] = value
    paths = convert(top["plugin_paths"], list[str], "plugin_paths")
    registry = load(paths)
    registry.find("backends", top["backend"], "backend")
    for folder in (plugin_folder(), *map(Path, paths)):
        for file in sorted(folder.glob("papers/*/experiments.yaml")):
            merge_papers(top["papers"], {file.parent.name: read_config(file)}, str(file))
    for source, layer in layers:
        merge_papers(top["papers"], layer.get("papers") or {}, source)
    warnings = registry.warnings()
    papers = {name: make_paper(name, body, registry, warnings) for name, body in top["papers"].items()}
    return Study(top["backend"], tuple(paths), papers, registry, warnings)


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key given twice is an error; plain YAML lets the last one win silently."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """A mapping as it is written (merged keys are not yet in it), after a look at its keys."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    place = f"{key.start_mark.name}, line {key.start_mark.line + 1}"
                    raise ConfigError(f"{place}: '{key.value}' is given twice")
                seen.add(key.value)
        return node


def read_config(file: Path) -> dict[str, Any]:
    """A config file, its relative paths anchored at its folder."""
    try:
        with file.open(encoding="utf-8") as stream:
            content = yaml.load(stream, UniqueKeys)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: must hold keys, not {type(content).__name__}")
    return anchored(content, file.parent)


def anchored(content: Any, folder: Path) -> Any:
    """The content with each relative `path` (and `plugin_paths`) read from the folder of its config."""

    def anchor(value: Any) -> Any:
        if isinstance(value, str):
            absolute = (folder / value).resolve()
            return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(absolute)
        if isinstance(value, list):
            return [anchor(item) for item in value]
        if isinstance(value, dict):
            return {key: anchor(item) for key, item in value.items()}
        return value

    if isinstance(content, dict):
        return {
            key: anchor(value)
            if key == "plugin_paths" or str(key).rpartition(".")[2] == "path"
            else anchored(value, folder)
            for key, value in content.items()
        }
    return [anchored(item, folder) for item in content] if isinstance(content, list) else content


def merge_papers(base: dict[str, Any], over: Any, source: str) -> None:
    """Merge papers, and in them experiments and figures, by name; `base` is changed."""
    for paper, body in mapping(over, f"{source}: papers").items():
        place = f"{source}: papers.{paper}"
        into = base.setdefault(paper, {"experiments": {}, "figures": {}})
        for key, value in mapping(body, place).items():
            if key not in into:
                raise ConfigError(f"{place}.{key}: {unknown_name('key', key, into)}")
            for name, section in mapping(value, f"{place}.{key}").items():
                section = mapping(section, f"{place}.{key}.{name}")
                old = into[key].get(name, {})
                into[key][name] = merge_experiment(old, section) if key == "experiments" else section


def merge_experiment(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Section by section: one with the same name (or none) is merged, all else replaces."""
    merged = dict(base)
    for key, value in over.items():
        old = base.get(key)
        named_alike = (
            isinstance(value, Mapping)
            and isinstance(old, Mapping)
            and key in (*PLUGIN_SECTIONS, "network")
            and value.get("name", old.get("name")) == old.get("name")
        )
        merged[key] = {**old, **value} if named_alike else value  # type: ignore[dict-item]
    return merged


def make_paper(name: str, body: Mapping[str, Any], registry: Registry, warnings: list[str]) -> Paper:
    """A paper's experiments and figures, checked."""
    place = f"papers.{name}"
    identifier(name, place)
    if name in RULES:
        raise ConfigError(f"{place}: '{name}' is a rule of the workflow; choose another name")
    broken = [source for source in registry.failures if Path(source).parts[-2:] == (name, "claims.py")]
    for source in broken:
        raise ConfigError(f"{place}: its claims cannot be loaded: {source}: {registry.failures[source]}")
    experiments = {
        key: make_experiment(name, key, section, registry) for key, section in body["experiments"].items()
    }
    figures = {}
    for key, section in body["figures"].items():
        where = f"{place}.figures.{key}"
        identifier(key, where)
        drawn = registry.find("figures", f"{name}.{key}", where)
        extra = [part for part in section if part != "experiments"]
        if extra or not section.get("experiments"):
            raise ConfigError(
                f"{where}: needs one key, experiments: [<name>, …], has {sorted(map(str, section))}"
            )
        used = convert(section["experiments"], list[str], f"{where}.experiments")
        for experiment in used:
            if experiment not in experiments:
                raise ConfigError(
                    f"{where}.experiments: {unknown_name('experiment', experiment, experiments)}"
                )
        figures[key] = Figure(name, key, tuple(used), drawn.thing.animated)
    used_by_figures = {experiment for figure in figures.values() for experiment in figure.experiments}
    for key in experiments:
        if key not in used_by_figures:
            warnings.append(f"{place}.experiments.{key}: no figure uses it; `snakemake {name}` makes it")
    claims = {
        key.partition(".")[2]: tuple(registry.find("claims", key).thing.experiments)
        for key in registry.names("claims")
        if key.partition(".")[0] == name
    }
    return Paper(name, experiments, figures, claims)


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
        dimensions = registry.find("metrics", metric).thing.dimensions
        taken |= dict.fromkeys(dimensions, f"a dimension of the metric '{metric}'")
    runs: dict[str, Run] = {}
    for point in sweep_points(section.get("sweep"), f"{where}.sweep"):
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
    return Experiment(paper, name, runs, metrics)


def refuse_taken(paths: Iterable[str], taken: Mapping[str, str], where: str) -> None:
    """Refuse swept words that name something else in the dataset."""
    for path in paths:
        section, word = str(path).partition(".")[0], str(path).rpartition(".")[2]
        if word in taken:
            raise ConfigError(
                f"{where}.{path}: '{word}' is {taken[word]} and cannot name a swept dimension too; "
                f"sweep the section '{section}' by labels instead"
            )


def sweep_points(sweep: Any, where: str) -> list[dict[str, tuple[Any, Any]]]:
    """The points of a sweep: for each, path -> (label or None, value). A mapping is a product, a list a zip."""
    if isinstance(sweep, list):
        if not sweep:
            raise ConfigError(f"{where}: an empty list; leave sweep out instead")
        points = [
            {path: labelled(value, f"{where}[{index}].{path}") for path, value in mapping(row, where).items()}
            for index, row in enumerate(sweep)
        ]
        if any(list(point) != list(points[0]) for point in points):
            raise ConfigError(f"{where}: every row of a zip must name the same paths: {list(points[0])}")
        paths = list(points[0])
    else:
        axes = {path: axis(values, f"{where}.{path}") for path, values in mapping(sweep, where).items()}
        paths = list(axes)
        points = [dict(zip(paths, values, strict=True)) for values in itertools.product(*axes.values())]
    words: dict[str, str] = {}
    for path in paths:
        word = str(path).rpartition(".")[2]
        if str(path).partition(".")[0] not in (*PLUGIN_SECTIONS, "network", "times", "dtype"):
            choices = (*PLUGIN_SECTIONS, "network", "times", "dtype")
            raise ConfigError(f"{where}.{path}: {unknown_name('section to sweep', path, choices)}")
        if word in words:
            raise ConfigError(
                f"{where}: '{words[word]}' and '{path}' end in the same word '{word}', which names runs and "
                "dimensions; sweep one of them, or both as one labelled section"
            )
        words[word] = str(path)
    return points


def axis(values: Any, where: str) -> list[tuple[Any, Any]]:
    """The (label, value) pairs along one swept path."""
    if isinstance(values, Mapping):
        pairs = [labelled({label: value}, where) for label, value in values.items()]
    elif isinstance(values, list):
        pairs = [labelled(value, where) for value in values]
    else:
        raise ConfigError(f"{where}: must be a list of values (or label: value), is {values!r}")
    if not pairs:
        raise ConfigError(f"{where}: no values")
    return pairs


def labelled(value: Any, where: str) -> tuple[Any, Any]:
    """(label, value) of one value of a sweep: a scalar is its own label (None)."""
    if isinstance(value, Mapping) and len(value) == 1:
        label, labelled_value = next(iter(value.items()))
        if label is None or isinstance(label, bool) or not re.fullmatch(SAFE, str(label)):
            raise ConfigError(f"{where}: label {label!r} must be of letters, digits, '_', '.', '+', '-'")
        return label, labelled_value
    if isinstance(value, list | Mapping) or value is None:
        raise ConfigError(
            f"{where}: {value!r} is no single number or word; give it a label, {{label: value}}"
        )
    if isinstance(number(value), str) and not re.fullmatch(SAFE, value):
        raise ConfigError(
            f"{where}: {value!r} cannot be part of a file name; give it a label, {{label: value}}"
        )
    return None, value


def make_run(
    paper: str,
    experiment: str,
    section: Mapping[str, Any],
    point: Mapping[str, tuple[Any, Any]],
    registry: Registry,
    where: str,
) -> Run:
    """One run of an experiment, every section built and checked, defaults filled in."""
    raw = copy.deepcopy({key: section[key] for key in RUN_KEYS if key in section})
    for path, (_, value) in point.items():
        set_path(raw, path, value, where)
    missing = [key for key in (*PLUGIN_SECTIONS, "network", "times") if key not in raw]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    built: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for key, kind in PLUGIN_SECTIONS.items():
        found, built[key] = registry.build(kind, raw[key], f"{where}.{key}")
        sections[key] = {"name": found.name, **canonical(built[key])}
    network = build(Network, raw["network"], f"{where}.network")
    times = build(Times, raw["times"], f"{where}.times")
    checked(lambda: built["dynamics"].clock(times), f"{where}.times")
    for key, plugin in built.items():
        for hook in ("check", "check_end"):
            if hasattr(plugin, hook):
                checked(partial(getattr(plugin, hook), built["problem"], network), f"{where}.{key}")
    refuse_reduced(built, sections, where)
    for key in ("problem", "initialization"):
        path = sections[key].get("path")
        if path and not Path(path).is_file() and not Path(path).is_relative_to("results"):
            raise ConfigError(f"{where}.{key}.path: there is no file '{path}'")
    dtype = raw.get("dtype", "float64")
    if dtype not in DTYPES:
        raise ConfigError(f"{where}.dtype: {unknown_name('dtype', dtype, DTYPES)}")
    sections |= {
        "network": canonical(network),
        "times": {key: value for key, value in canonical(times).items() if value is not None},
        "seeds": make_seeds(raw.get("seeds", 1), f"{where}.seeds"),
        "dtype": dtype,
    }
    words = {
        path.rpartition(".")[2]: get_path(sections, path) if label is None else label
        for path, (label, _) in point.items()
    }
    return Run(paper, experiment, run_name(words), words, sections)


def refuse_reduced(built: Mapping[str, Any], sections: Mapping[str, Any], where: str) -> None:
    """Refuse a draw in reduced coordinates where the problem or the dynamics leaves them."""
    if sections["initialization"].get("draw") != "reduced":
        return
    place, problem, dynamics = f"{where}.initialization.draw: 'reduced'", built["problem"], built["dynamics"]
    drawn = getattr(problem, "samples", None) is not None or getattr(problem, "per_seed", False)
    if not hasattr(problem, "reduced") or drawn:
        raise ConfigError(
            f"{place} needs a teacher on the whole population ('gaussian_teacher' without samples); the inputs of "
            f"'{sections['problem']['name']}' here live in all features: use 'full'"
        )
    if not getattr(dynamics, "stays_in_span", False):
        raise ConfigError(
            f"{place} holds nothing outside of the span of teachers and students, where "
            f"'{sections['dynamics']['name']}' may go (it does not say stays_in_span, see docs/plugins.md): use 'full'"
        )


def checked(action: Callable[[], Any], where: str) -> None:
    """Run a check; what it refuses is told with its place."""
    try:
        action()
    except (ValueError, MemoryError) as error:
        about_key = re.match(r"[\w.\[\]]+: ", str(error))
        raise ConfigError(f"{where}.{error}" if about_key else f"{where}: {error}") from None


def make_seeds(seeds: Any, where: str) -> list[int]:
    """Seeds as a list: a number n means 0 … n − 1."""
    seeds = number(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ConfigError(f"{where}: from 1 to {MOST_SEEDS} seeds, not {seeds}")
        seeds = list(range(seeds))
    found: list[int] = convert(seeds, list[int], where)
    if not found or min(found) < 0 or max(found) >= 2**63 or len(set(found)) < len(found):
        raise ConfigError(f"{where}: one or more different whole numbers from 0 on, not {seeds!r}")
    return found


def set_path(raw: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set a dotted path in nested sections; `stages[1]` is the second section of a list."""
    *parents, last = words_of(path)
    section: Any = raw
    for parent in parents:
        if isinstance(section, list) and isinstance(parent, int) and parent < len(section):
            section = section[parent]
        elif isinstance(section, dict) and isinstance(parent, str):
            section = section.setdefault(parent, {})
        else:
            raise ConfigError(f"{where}.sweep.{path}: there is no [{parent}]")
        if not isinstance(section, dict | list):
            raise ConfigError(f"{where}.sweep.{path}: '{parent}' is not a section")
    if not isinstance(section, dict) or isinstance(last, int):
        raise ConfigError(f"{where}.sweep.{path}: must end in a key of a section")
    section[last] = copy.deepcopy(value)


def words_of(path: str) -> list[str | int]:
    """`dynamics.stages[1].until` as dynamics, stages, 1, until."""
    words: list[str | int] = []
    for part in str(path).split("."):
        word, _, indices = part.partition("[")
        numbers = re.findall(r"(\d+)\]", indices)
        if indices and "".join(f"[{number}]" for number in numbers) == f"[{indices}":
            words += [word, *map(int, numbers)]
        else:
            words.append(part)
    return words


def get_path(sections: Mapping[str, Any], path: str) -> Any:
    """The checked value at a dotted path: spelt one way, whatever the config's spelling."""
    value: Any = sections
    for part in words_of(path):
        value = value[part]
    return value


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A section that may be left empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: must be a section with keys, is {value!r}")
    return value


def identifier(name: Any, where: str) -> None:
    """Papers, experiments and figures are named by identifiers: they become folders and targets."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(
            f"{where}: a name of letters, digits and '_' that begins with a letter, not {name!r}"
        )
