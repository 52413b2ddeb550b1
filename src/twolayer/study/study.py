"""From config to study: papers with their experiments, figures and claims."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.command import quoted, relative
from twolayer.study.fingerprint import code_of
from twolayer.study.job import Job
from twolayer.study.merge import anchored, mapping, read_config
from twolayer.study.planned import Figure, PlannedPaper, make_paper
from twolayer.study.registry import Registry, load, plugin_folder
from twolayer.study.runs import Experiment, PlannedRun, identifier, make_experiment
from twolayer.study.schema import build, convert
from twolayer.study.variant import Composed, compose, paper_files
from twolayer.training.checkpoint import Checkpoint
from twolayer.training.placement import Placement

__all__ = ["Study", "composed_paper", "load_study"]


@dataclass(frozen=True)
class Study:
    """Everything a config asks for, checked."""

    backend: str
    plugin_paths: tuple[str, ...]
    papers: dict[str, PlannedPaper]
    registry: Registry
    warnings: list[str] = field(default_factory=list)
    jobs: dict[tuple[str, str, str], Job] = field(default_factory=dict)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    def job(self, run: PlannedRun) -> Job:
        """A run with its plugins, which are built once for all that is asked about it."""
        key = (run.paper, run.experiment, run.name)
        if key not in self.jobs:
            self.jobs[key] = Job(run.as_dict(), self.registry)
        return self.jobs[key]

    def paper(self, name: str) -> PlannedPaper:
        """A paper by its name; a ConfigError where the config has none of it."""
        if name not in self.papers:
            raise ConfigError(f"papers: {unknown_name('paper', name, self.papers)}")
        return self.papers[name]

    def experiment(self, paper: str, name: str) -> Experiment:
        """An experiment by the parts of its path; `name` may say another paper: `xu2023.rate`."""
        if "." in name:
            paper, _, name = name.partition(".")
        experiments = self.paper(paper).experiments
        if name not in experiments:
            raise ConfigError(f"papers.{paper}.experiments: {unknown_name('experiment', name, experiments)}")
        return experiments[name]

    def figure(self, paper: str, name: str) -> Figure:
        """A figure by the parts of its path."""
        figures = self.paper(paper).figures
        if name not in figures:
            raise ConfigError(f"papers.{paper}.figures: {unknown_name('figure', name, figures)}")
        return figures[name]

    def run(self, paper: str, experiment: str, name: str) -> PlannedRun:
        """A run by the parts of its path."""
        runs = self.experiment(paper, experiment).runs
        if name not in runs:
            raise ConfigError(f"papers.{paper}.experiments.{experiment}: {unknown_name('run', name, runs)}")
        return runs[name]

    def placement(self, run: PlannedRun) -> Placement:
        """Where a run is trained, and why."""
        return self.job(run).placed(self.backend)[0]

    def memory(self, run: PlannedRun) -> int:
        """MB of memory for the jobs of a run, as Snakemake counts them."""
        return math.ceil(self.job(run).memory() / 1e6)

    def longest(self, run: PlannedRun, threads: int) -> dict[str, float]:
        """Seconds that the stages of a run take on so many cores, at most, about."""
        return self.job(run).longest(threads)

    def code(self, stage: str, run: PlannedRun | None = None, paper: str = "", figure: str = "") -> str:
        """The fingerprint of the code behind a job: of a run's stage, of a paper's figure or its claims."""
        if run is not None:
            metrics = self.papers[run.paper].experiments[run.experiment].metrics
            return self.job(run).code(stage, metrics)
        if not paper:
            return code_of(stage)
        used = [("claims", name) for name in self.claims_of(paper)]
        if figure:
            drawn = self.papers[paper].figures[figure]
            used = [("figures", drawn.registered), *(("claims", name) for name in self.face_claims(drawn))]
        return code_of(stage, dict.fromkeys(self.registry.find(kind, name).file for kind, name in used))

    def claims_of(self, paper: str) -> list[str]:
        """The full names of a paper's claims."""
        return list(self.paper(paper).claims) if paper else []

    def claim_experiments(self, paper: str) -> list[str]:
        """The experiments that a paper's claims are evaluated on, of those that the config has."""
        planned = self.paper(paper)
        used = {experiment for experiments in planned.claims.values() for experiment in experiments}
        return [experiment for experiment in planned.experiments if experiment in used]

    def files_of(self, kind: str, name: str) -> list[str]:
        """The files in the folder of a figure's or a claim's plugin that it reads."""
        found = self.registry.find(kind, name)
        folder = found.file.parent if found.file else Path()
        return [relative(folder / file) for file in found.plugin.files]

    def claim_files(self, paper: str) -> list[str]:
        """The files that a paper's claims are evaluated on."""
        files = [file for name in self.claims_of(paper) for file in self.files_of("claims", name)]
        return list(dict.fromkeys(files))

    def face_claims(self, figure: Figure) -> list[str]:
        """The full names of the claims whose verdicts stand on a figure's face: those that name it, on its
        experiments alone, so that a figure waits for no other."""
        found = {name: self.registry.find("claims", name).plugin for name in self.claims_of(figure.paper)}
        return [
            name
            for name, claim in found.items()
            if figure.name in claim.figures and claim.on_these(figure.experiments) is not None
        ]

    def face_files(self, figure: Figure) -> list[str]:
        """The files that the claims on a figure's face are evaluated on."""
        return list(
            dict.fromkeys(file for name in self.face_claims(figure) for file in self.files_of("claims", name))
        )

    def figure_options(self, figure: Figure) -> str:
        """The arguments of `twolayer render` for a figure: the plugin that draws it, its name, its claims, and
        what was changed."""
        name, claims = f"{figure.paper}.{figure.name}", self.face_claims(figure)
        options = [figure.registered, *(["--name", name] if name != figure.registered else [])]
        options += ["--claims", *claims] if claims else []
        return quoted(*options, *self.papers[figure.paper].changed_option(figure.experiments))

    def claims_options(self, paper: str) -> str:
        """The arguments of `twolayer claims` for a paper: whose claims it has, and what was changed."""
        _, *bases = self.paper(paper).lineage
        options = [paper, *(["--base", *bases] if bases else [])]
        if self.paper(paper).shown_claims_only:
            used = {full.partition(".")[2]: names for full, names in self.paper(paper).claims.items()}
            options += ["--only", json.dumps(used)]
        return quoted(*options, *self.papers[paper].changed_option(self.claim_experiments(paper)))

    def metrics_option(self, paper: str, experiment: str) -> str:
        """The `--metrics` of the measure command."""
        metrics = self.papers[paper].experiments[experiment].metrics
        return "" if metrics is None else quoted("--metrics", *metrics)


Layer = tuple[str, Mapping[str, Any]]
"""A config and what it is called in errors."""


def layers_of(files: Sequence[Path | str], overrides: Mapping[str, Any] | None = None) -> list[Layer]:
    """The configs, later ones over earlier ones, `overrides` over all of them."""
    layers: list[Layer] = [(str(file), read_config(Path(file))) for file in files]
    if overrides:
        layers.append(("--config", anchored(dict(overrides), Path.cwd())))
    return layers


def asked_of(layers: Iterable[Layer]) -> list[Layer]:
    """What each config says of papers."""
    return [(source, mapping(layer.get("papers"), f"{source}: papers")) for source, layer in layers]


def composed_paper(files: Sequence[Path | str], name: str, plugin_paths: Sequence[str]) -> Composed:
    """A paper's experiments and figures as the configs have them, unchecked."""
    folders = paper_files((plugin_folder(), *map(Path, plugin_paths)))
    return compose(name, asked_of(layers_of(files)), folders)


def load_study(files: Sequence[Path | str], overrides: Mapping[str, Any] | None = None) -> Study:
    """Read, merge and check configs; later files override earlier ones, `overrides` all of them."""
    layers = layers_of(files, overrides)
    top: dict[str, Any] = {"backend": "numba", "plugin_paths": [], "papers": {}, "checkpoint": {}}
    for source, layer in layers:
        for key, value in layer.items():
            if key not in top:
                raise ConfigError(f"{source}: {key}: {unknown_name('key', key, top)}")
            if key != "papers":
                top[key] = value
    paths = convert(top["plugin_paths"], list[str], "plugin_paths")
    registry = load(paths)
    registry.find("backends", top["backend"], "backend")
    folders = paper_files((plugin_folder(), *map(Path, paths)))
    asked = asked_of(layers)
    warnings, papers = registry.warnings(), {}
    names = list(dict.fromkeys(name for _, named in asked for name in named))
    for name in names:
        identifier(name, f"papers.{name}")
    composed = {name: compose(name, asked, folders) for name in names}
    experiments = {
        f"{name}.{key}": make_experiment(name, key, section, registry)
        for name in names
        for key, section in composed[name].experiments.items()
    }

    def complete(section: Mapping[str, Any]) -> dict[str, Any]:
        """The sections of an experiment's first run."""
        with contextlib.suppress(ConfigError):  # of a paper as it ships, which the config has mended
            return dict(next(iter(make_experiment("paper", "it", section, registry).runs.values())).sections)
        return {}

    changes = {
        f"{name}.{key}": changes
        for name in names
        for key in composed[name].experiments
        if (changes := composed[name].changes(key, complete))
    }
    for name in names:
        papers[name] = make_paper(name, composed[name], experiments, changes, registry, warnings)
    checkpoint = build(Checkpoint, top["checkpoint"], "checkpoint")
    return Study(top["backend"], tuple(paths), papers, registry, warnings, checkpoint=checkpoint)
