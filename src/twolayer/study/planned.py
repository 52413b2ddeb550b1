"""What one paper asks for, checked: its experiments, the figures that are drawn and the claims that are evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twolayer.analysis.figures import Planned
from twolayer.errors import ConfigError, DataError, unknown_name
from twolayer.study.command import refuse_braces, relative
from twolayer.study.job import Job, selected_metrics
from twolayer.study.registry import Registry, inherited
from twolayer.study.runs import Experiment, identifier
from twolayer.study.schema import convert
from twolayer.study.variant import Composed

__all__ = ["Figure", "PlannedPaper", "make_paper"]


@dataclass(frozen=True)
class Figure:
    """A figure of a paper, the experiments it is drawn from, and whether it moves.

    registered: the full name of the plugin that draws it, which may be another paper's.
    """

    paper: str
    name: str
    registered: str
    experiments: tuple[str, ...]
    animated: bool

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The files it is written to: the picture, of a film its last frame too, and what its face says."""
        return ("mp4", "mp4.png", "mp4.json") if self.animated else ("pdf", "png", "json")


@dataclass(frozen=True)
class PlannedPaper:
    """What one paper asks for.

    claims: by the full name of the plugin, the experiments that it is about. changes: for each experiment with a
    setting that is not the paper's, which (`Composed.changes`), of other papers' that
    its figures show by their full names.
    lineage: see `Composed`. shown_claims_only: whether `claims` are those that its figures show.
    """

    name: str
    experiments: dict[str, Experiment]
    figures: dict[str, Figure]
    claims: dict[str, tuple[str, ...]]
    changes: dict[str, str]
    lineage: tuple[str, ...]
    shown_claims_only: bool = False

    def changed_option(self, experiments: Iterable[str]) -> list[str]:
        """The `--changed` of a command on some experiments; nothing where they are the paper's."""
        found = {name: self.changes[name] for name in experiments if name in self.changes}
        return ["--changed", json.dumps(found, ensure_ascii=False)] if found else []


def make_paper(
    name: str,
    composed: Composed,
    planned: Mapping[str, Experiment],
    changes: Mapping[str, str],
    registry: Registry,
    warnings: list[str],
) -> PlannedPaper:
    """A paper's experiments and figures, checked. planned, changes: the experiments of all papers by their full names,
    and what is changed in them."""
    place = f"papers.{name}"
    for source, reason in registry.failures.items():
        *_, above, folder, file = ("", "", *Path(source).parts)
        for kind in ("claims", "figures"):
            paper = folder if file == f"{kind}.py" else above if folder == kind else ""
            if paper in composed.lineage:
                raise ConfigError(f"{place}: its {kind} cannot be loaded: {source}: {reason}")
    warnings += metrics_left_out(name, composed)
    experiments = {key: planned[f"{name}.{key}"] for key in composed.experiments}
    for key, experiment in experiments.items():
        problems = (Job(run.as_dict(), registry).problem for run in experiment.runs.values())
        remarks = dict.fromkeys(remark for problem in problems for remark in problem.remarks())
        warnings += [f"{place}.experiments.{key}.problem.{remark}" for remark in remarks]
    figures = make_figures(name, composed, {**planned, **experiments}, registry, warnings)
    claims = evaluated_claims(composed, figures, registry)
    drawn = {registry.find("figures", figure.registered).file for figure in figures.values()}
    for plugin in drawn | {registry.find("claims", full).file for full in claims}:
        if plugin is not None:  # files next to it are inputs of jobs
            refuse_braces(relative(plugin.parent), place)
    for full, names in claims.items():
        if missing := [experiment for experiment in names if experiment not in experiments]:
            key = full.partition(".")[2]
            warnings.append(
                f"{place}: the claim '{key}' is inconclusive; the config has no experiment {', '.join(missing)}"
            )
    warnings += misnamed(name, composed, claims, figures, registry)
    used = {experiment for figure in figures.values() for experiment in figure.experiments}
    used |= {experiment for names in claims.values() for experiment in names}
    for key in experiments:
        if key not in used and composed.claims == "all":
            warnings.append(
                f"{place}.experiments.{key}: no figure or claim uses it; `snakemake {name}` makes it"
            )
    here = {key: changes[f"{name}.{key}"] for key in experiments if f"{name}.{key}" in changes}
    others = {key: changes[key] for key in sorted(used) if "." in key and key in changes}
    shown = composed.claims == "shown"
    return PlannedPaper(name, experiments, figures, claims, here | others, composed.lineage, shown)


def misnamed(
    paper: str, composed: Composed, claims: Iterable[str], figures: Iterable[str], registry: Registry
) -> Iterator[str]:
    """A warning for each figure that a claim names and nobody draws, and for what a paper's folder registers for
    another paper."""
    place = f"papers.{paper}"
    known = {*inherited("figures", composed.lineage, registry), *figures}
    for full in claims if known else ():
        for shown in registry.find("claims", full).plugin.figures:
            if shown not in known:
                message = unknown_name("figure", shown, known)
                yield f"{place}: the claim '{full.partition('.')[2]}' is on no figure's face: {message}"
    for kind in ("figures", "claims"):
        for full in registry.names(kind):
            file, owner = registry.find(kind, full).file, full.partition(".")[0]
            if owner != paper and file is not None and f"/papers/{paper}/" in file.as_posix():
                yield f"{place}: {file} is of the paper '{owner}', by its Paper; the folder is '{paper}'"


def metrics_left_out(paper: str, composed: Composed) -> Iterator[str]:
    """A warning for each experiment of a paper that the config takes metrics from."""
    for name, section in composed.original.items():
        kept = composed.experiments[name].get("metrics")
        lost = [metric for metric in section.get("metrics") or () if metric not in (kept or (metric,))]
        if lost:
            yield (
                f"papers.{paper}.experiments.{name}.metrics: leaves out {', '.join(lost)}, which the paper's "
                "list has; claims that need them are inconclusive"
            )


def evaluated_claims(
    composed: Composed, figures: Mapping[str, Figure], registry: Registry
) -> dict[str, tuple[str, ...]]:
    """The claims of a paper that are evaluated, by full name, with the experiments of each: all of them, or with
    `claims: shown` those on the faces of the paper's figures, on the experiments of these alone."""
    found: dict[str, tuple[str, ...]] = {}
    for full in inherited("claims", composed.lineage, registry).values():
        claim = registry.find("claims", full).plugin
        if composed.claims == "all":
            found[full] = tuple(claim.experiments)
            continue
        bearing = [figure for name, figure in figures.items() if name in claim.figures]
        faces = [on_it for figure in bearing if (on_it := claim.on_these(figure.experiments)) is not None]
        used = {experiment for on_it in faces for experiment in on_it.experiments}
        if faces:
            found[full] = tuple(name for name in claim.experiments if name in used)
    return found


def make_figures(
    paper: str,
    composed: Composed,
    experiments: Mapping[str, Experiment],
    registry: Registry,
    warnings: list[str],
) -> dict[str, Figure]:
    """The figures of a paper: all that are registered for it but those that the config leaves out (`false`), each from
    its experiments or from those that the config names in their place, and those of other papers that the config
    lets it draw (`drawn_by`). experiments: those of the paper, and of all papers by their full names."""
    place = f"papers.{paper}.figures"
    registered = inherited("figures", composed.lineage, registry)
    sections: dict[str, Mapping[str, Any]] = {key: {} for key in registered}
    for key, section in composed.figures.items():
        where = f"{place}.{key}"
        identifier(key, where)
        section = {} if section is None else section
        if section is not False and "drawn_by" in section:
            drawn_by = str(section["drawn_by"])
            registry.find("figures", drawn_by, f"{where}.drawn_by")
            registered[key] = drawn_by
        elif key not in registered:
            message = unknown_name("figure", key, registered)
            raise ConfigError(
                f"{where}: {message} One that another paper's plugin draws has `drawn_by: <paper>.<figure>`."
            )
        if section is False:
            del sections[key]
            continue
        empty = not section.get("experiments", "drawn_by" in section)
        if set(section) - {"experiments", "drawn_by"} or empty:
            raise ConfigError(
                f"{where}: takes experiments: [<name>, …] and drawn_by: <paper>.<figure>, or has to be false, which "
                f"leaves the figure out; has {sorted(map(str, section))}"
            )
        sections[key] = section
    drawings = {key: registry.find("figures", registered[key]).plugin for key in sections}
    used = {}
    for key, section in sections.items():
        used[key] = list(drawings[key].experiments)
        if "experiments" in section:
            where = f"{place}.{key}.experiments"
            used[key] = convert(section["experiments"], list[str], where)
            for experiment in used[key]:
                if experiment not in experiments:
                    near = [name for name in experiments if ("." in name) == ("." in experiment)]
                    raise ConfigError(f"{where}: {unknown_name('experiment', experiment, near)}")
    figures = {}
    refused = {}
    for key, names in used.items():
        missing = [name for name in names if name not in experiments]
        if missing:
            if not all(
                "." in name for name in missing
            ):  # those of a paper that was not asked for are no mistake
                warnings.append(
                    f"{place}.{key}: is not drawn; the config has no experiment {', '.join(missing)}"
                )
        elif names:
            figures[key] = Figure(paper, key, registered[key], tuple(names), drawings[key].animated)
            try:
                drawings[key].validate({name: planned_runs(experiments[name], registry) for name in names})
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
