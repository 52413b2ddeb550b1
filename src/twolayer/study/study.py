"""From config to study: papers with their experiments, figures and claims."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twolayer.analysis.figures import Planned
from twolayer.errors import ConfigError, DataError, unknown_name
from twolayer.study.fingerprint import code_of
from twolayer.study.job import Job, selected_metrics
from twolayer.study.merge import anchored, merge_papers, read_config
from twolayer.study.registry import Registry, load, plugin_folder
from twolayer.study.runs import Experiment, PlannedRun, identifier, make_experiment
from twolayer.study.schema import convert
from twolayer.training.placement import Placement

__all__ = ["Figure", "PlannedPaper", "Study", "load_study"]


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
class PlannedPaper:
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
    papers: dict[str, PlannedPaper]
    registry: Registry
    warnings: list[str] = field(default_factory=list)

    def run(self, paper: str, experiment: str, name: str) -> PlannedRun:
        """A run by the parts of its path."""
        runs = self.papers[paper].experiments[experiment].runs
        if name not in runs:
            raise ConfigError(f"papers.{paper}.experiments.{experiment}: {unknown_name('run', name, runs)}")
        return runs[name]

    def placement(self, run: PlannedRun) -> Placement:
        """Where a run is trained, and why."""
        return Job(run.as_dict(), self.registry).placed(self.backend)[0]

    def code(self, stage: str, run: PlannedRun | None = None, paper: str = "", figure: str = "") -> str:
        """The fingerprint of the code behind a job: of a run's stage, of a paper's figure or its claims."""
        if run is not None:
            metrics = self.papers[run.paper].experiments[run.experiment].metrics
            return Job(run.as_dict(), self.registry).code(stage, metrics)
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
        return [os.path.relpath(folder / file) for file in found.plugin.files]

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
    shipped = copy.deepcopy(top["papers"])
    for source, layer in layers:
        merge_papers(top["papers"], layer.get("papers") or {}, source)
    warnings = registry.warnings() + list(metrics_left_out(shipped, top["papers"]))
    papers = {name: make_paper(name, body, registry, warnings) for name, body in top["papers"].items()}
    return Study(top["backend"], tuple(paths), papers, registry, warnings)


def metrics_left_out(
    shipped: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """A warning for each experiment of a paper that the config takes metrics from."""
    for paper, body in shipped.items():
        for name, section in body["experiments"].items():
            kept = asked[paper]["experiments"][name].get("metrics")
            lost = [metric for metric in section.get("metrics") or () if metric not in (kept or (metric,))]
            if lost:
                yield (
                    f"papers.{paper}.experiments.{name}.metrics: leaves out {', '.join(lost)}, which the paper's own "
                    "list has; claims that need them are inconclusive"
                )


def make_paper(name: str, body: Mapping[str, Any], registry: Registry, warnings: list[str]) -> PlannedPaper:
    """A paper's experiments and figures, checked."""
    place = f"papers.{name}"
    identifier(name, place)
    broken = [source for source in registry.failures if Path(source).parts[-2:] == (name, "claims.py")]
    for source in broken:
        raise ConfigError(f"{place}: its claims cannot be loaded: {source}: {registry.failures[source]}")
    experiments = {
        key: make_experiment(name, key, section, registry) for key, section in body["experiments"].items()
    }
    figures = make_figures(name, body["figures"], experiments, registry, warnings)
    claims = {
        key.partition(".")[2]: tuple(registry.find("claims", key).plugin.experiments)
        for key in registry.names("claims")
        if key.partition(".")[0] == name
    }
    for key, names in claims.items():
        if missing := [experiment for experiment in names if experiment not in experiments]:
            warnings.append(
                f"{place}: the claim '{key}' is inconclusive; the config has no experiment {', '.join(missing)}"
            )
    used = {experiment for figure in figures.values() for experiment in figure.experiments}
    used |= {experiment for names in claims.values() for experiment in names}
    for key in experiments:
        if key not in used:
            warnings.append(
                f"{place}.experiments.{key}: no figure or claim uses it; `snakemake {name}` makes it"
            )
    return PlannedPaper(name, experiments, figures, claims)


def make_figures(
    paper: str,
    sections: Mapping[str, Any],
    experiments: Mapping[str, Experiment],
    registry: Registry,
    warnings: list[str],
) -> dict[str, Figure]:
    """The figures of a paper: all that are registered for it but those that the config leaves out (`false`), each from
    its own experiments or from those that the config names in their place."""
    place = f"papers.{paper}.figures"
    registered = {
        full.partition(".")[2]: registry.find("figures", full).plugin
        for full in registry.names("figures")
        if full.partition(".")[0] == paper
    }
    used = {key: list(drawing.experiments) for key, drawing in registered.items()}
    for key, section in sections.items():
        where = f"{place}.{key}"
        identifier(key, where)
        registry.find("figures", f"{paper}.{key}", where)
        if section is False:
            del used[key]
            continue
        extra = [part for part in section if part != "experiments"]
        if extra or not section.get("experiments"):
            raise ConfigError(
                f"{where}: needs one key, experiments: [<name>, …], or to be false, which leaves the figure out; has "
                f"{sorted(map(str, section))}"
            )
        used[key] = convert(section["experiments"], list[str], f"{where}.experiments")
        for experiment in used[key]:
            if experiment not in experiments:
                raise ConfigError(
                    f"{where}.experiments: {unknown_name('experiment', experiment, experiments)}"
                )
    figures = {}
    refused = {}
    for key, names in used.items():
        missing = [name for name in names if name not in experiments]
        if missing:
            warnings.append(f"{place}.{key}: is not drawn; the config has no experiment {', '.join(missing)}")
        elif names:
            figures[key] = Figure(paper, key, tuple(names), registered[key].animated)
            try:
                registered[key].validate({name: planned_runs(experiments[name], registry) for name in names})
            except DataError as error:
                refused[key] = f"{place}.{key}: {error}"
    if refused:
        without = ", ".join(f"{key}: false" for key in refused)
        raise ConfigError(
            "\n".join([*refused.values(), f"Or leave out what cannot be drawn: figures: {{{without}}}"])
        )
    return figures


def planned_runs(experiment: Experiment, registry: Registry) -> Planned:
    """What a figure may know of an experiment before it is run."""
    runs = [run.as_dict() for run in experiment.runs.values()]
    return runs, selected_metrics(registry, experiment.metrics)
