"""What the command line says to people: of a study, a figure, the plugins, and the folders that nothing asks for."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from twolayer.analysis import claims
from twolayer.analysis.figures import Drawing
from twolayer.analysis.metric import Metric, always
from twolayer.errors import ConfigError, unknown_name
from twolayer.storage.layout import RESULTS, dataset_file
from twolayer.storage.verify import why_stale
from twolayer.study.registry import KINDS, Registered, Registry
from twolayer.study.runs import Experiment, PlannedRun
from twolayer.study.schema import parameters
from twolayer.study.study import Figure, PlannedPaper, Study

__all__ = ["abandoned", "figure_report", "plugin_report", "study_report"]

STAGES = (("problem", "generate"), ("trajectory", "train"), ("metrics", "measure"))
"""The files of a run, and the stage that makes each."""


def study_report(study: Study) -> str:
    """Papers with their experiments, figures and claims, each up to date or why not."""
    lines = []
    states = {
        (paper.name, experiment.name): experiment_state(study, experiment)
        for paper in study.papers.values()
        for experiment in paper.experiments.values()
    }
    for paper in study.papers.values():
        lines.append(paper.name + (f" (a variant of {paper.lineage[1]})" if len(paper.lineage) > 1 else ""))
        lines.append("  experiments")
        width = max(map(len, (*paper.experiments, *paper.figures, "")))
        for experiment in paper.experiments.values():
            runs, seeds = len(experiment.runs), seeds_of(experiment)
            size = f"{runs} run{'s' * (runs > 1)} of {seeds} seed{'s' * (seeds > 1)}"
            lines.append(f"    {experiment.name:{width}}  {size}: {states[paper.name, experiment.name]}")
        lines.append("  figures")
        for figure in paper.figures.values():
            remark = sources_remark(states, paper.name, figure.experiments)
            state = figure_state(figure)
            lines.append(f"    {figure.name:{width}}  {state}{remark if state == 'drawn' else ''}")
        if paper.claims:
            used = dict.fromkeys(name for names in paper.claims.values() for name in names)
            state = claims_state(paper)
            remark = sources_remark(states, paper.name, used)
            lines.append(f"  claims: {state}{remark if ' claims: ' in state else ''}")
    return "\n".join(
        [*lines, "", "What a run would make: snakemake -n. A figure: twolayer show <paper>.<figure>."]
    )


def sources_remark(states: Mapping[tuple[str, str], str], paper: str, experiments: Iterable[str]) -> str:
    """`, of 2 experiments that are not up to date: rate, …` for what was made from such; else nothing."""
    named = [(name.split(".", 1) if "." in name else (paper, name), name) for name in experiments]
    old = [name for (owner, key), name in named if states.get((owner, key), "up to date") != "up to date"]
    if not old:
        return ""
    shown = ", ".join(old[:3]) + ", …" * (len(old) > 3)
    return f", of {len(old)} experiment{'s' * (len(old) > 1)} not up to date: {shown}"


def seeds_of(experiment: Experiment) -> int:
    """The seeds of an experiment's first run."""
    return len(next(iter(experiment.runs.values())).sections["seeds"])


def experiment_state(study: Study, experiment: Experiment) -> str:
    """`up to date`, or how many runs are missing, and of what an existing file is."""
    states = Counter(run_state(study, run) for run in experiment.runs.values())
    fresh = states.pop("", 0)
    if not states:
        path = RESULTS / experiment.paper / experiment.name / "dataset.nc"
        runs = [run.json() for run in experiment.runs.values()]
        if not path.is_file():
            return "measured, not yet gathered"
        stale = why_stale(path, "dataset", runs, study.code("gather"))
        return f"dataset {stale}" if stale else "up to date"
    if set(states) == {"missing"}:
        return "missing" if not fresh else f"{states['missing']} of {len(experiment.runs)} runs missing"
    reason, count = next(item for item in states.most_common() if item[0] != "missing")
    return f"{count} of {len(experiment.runs)} runs to be made again: {reason}"


def run_state(study: Study, run: PlannedRun) -> str:
    """Why a run is not up to date: `missing`, or what is wrong with a file of it; empty where it is."""
    for name, stage in STAGES:
        path = RESULTS / run.paper / run.experiment / run.name / f"{name}.nc"
        if not path.is_file():
            return "missing"
        if reason := why_stale(path, name, [run.json()], study.code(stage, run)):
            return f"{name}.nc {reason}"
    return ""


def files_of(figure: Figure) -> list[Path]:
    """The files of a figure that a reader opens."""
    folder = RESULTS / figure.paper / "figures"
    return [folder / f"{figure.name}.{suffix}" for suffix in figure.suffixes]


def datasets_of(paper: str, experiments: Iterable[str]) -> list[Path]:
    """The datasets of experiments."""
    return [dataset_file(paper, experiment) for experiment in experiments]


def figure_state(figure: Figure) -> str:
    """Whether a figure is there, and younger than what it is drawn from."""
    return made_from(files_of(figure), datasets_of(figure.paper, figure.experiments))


def claims_state(paper: PlannedPaper) -> str:
    """The verdict counts of a paper, or why there are none."""
    file = RESULTS / paper.name / "claims.json"
    used = dict.fromkeys(experiment for names in paper.claims.values() for experiment in names)
    state = made_from([file], datasets_of(paper.name, (name for name in used if name in paper.experiments)))
    if not file.is_file():
        return state
    counted = claims.total(claims.read(file))
    return counted if state == "drawn" else f"{counted} ({state})"


def made_from(files: list[Path], sources: list[Path]) -> str:
    """`drawn`, `missing`, or the source that is younger."""
    if not all(file.is_file() for file in files):
        return "missing"
    made = min(file.stat().st_mtime for file in files)
    for source in sources:
        if source.is_file() and source.stat().st_mtime > made:
            return f"older than {source}"
    return "drawn"


def figure_report(study: Study, name: str) -> str:
    """What made a figure, `<paper>.<figure>`: its settings, claims, files, and the command that makes it again."""
    paper_name, _, figure_name = name.partition(".")
    if not figure_name:
        known = [f"{paper.name}.{key}" for paper in study.papers.values() for key in paper.figures]
        raise ConfigError(f"show: {unknown_name('figure', name, known)}")
    paper = study.paper(paper_name)
    figure = study.figure(paper_name, figure_name)
    drawing = study.registry.find("figures", figure.registered)
    lines = [f"{name}: {figure_state(figure)}", f"  status: {drawing.plugin.status}"]
    if isinstance(drawing.plugin.caption, str):
        lines.append(f"  shows: {drawing.plugin.caption}")
    lines.append(f"  drawn by: {drawing.source}")
    lines.append("  files: " + ", ".join(map(str, files_of(figure))))
    for key in figure.experiments:
        experiment = study.experiment(paper_name, key)
        lines.append(
            f"  experiment {key} ({experiment_state(study, experiment)}), {len(experiment.runs)} runs"
        )
        if key in paper.changes:
            lines.append(f"    changed from the paper: {paper.changes[key]}")
        lines += [f"    {section}: {settings}" for section, settings in settings_of(experiment)]
        lines.append(f"    data: {datasets_of(paper_name, [key])[0]}")
    rows = shown_claims(study, figure)
    lines.append("  claims:" + (" none is shown by it" if not rows else ""))
    lines += [f"    {row}" for row in rows]
    variant = RESULTS / paper_name / "config.yaml"
    config = f"--configfile {variant} -- " if variant.is_file() else ""
    lines.append(f"  again: snakemake --cores all {config}{files_of(figure)[0]}")
    return "\n".join(lines)


def settings_of(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """The sections of an experiment's runs, what is swept by its values."""
    runs = list(experiment.runs.values())
    for word in runs[0].swept:
        values = list(dict.fromkeys(str(run.swept[word]) for run in runs))
        yield f"swept {word}", ", ".join(values)
    for section, first in runs[0].sections.items():
        alike = all(run.sections.get(section) == first for run in runs)
        text = json.dumps(first, ensure_ascii=False)
        shown = text if len(text) <= 160 else f"{text[:159]}…"
        yield section, shown if alike else f"{shown} in the first run; it differs between runs"


def shown_claims(study: Study, figure: Figure) -> list[str]:
    """The claims that a figure shows, with their verdicts where they have been evaluated."""
    file = RESULTS / figure.paper / "claims.json"
    shown = {full.partition(".")[2] for full in study.face_claims(figure)}
    if not file.is_file():
        face = files_of(figure)[-1]
        verdicts = json.loads(face.read_text(encoding="utf-8"))["claims"] if face.is_file() else {}
        return [f"{verdict}: {name}" for name, verdict in verdicts.items()] or [
            f"{name}: not yet evaluated" for name in sorted(shown)
        ]
    return [
        f"{row['verdict']}: {row['claim']}: predicted {claims.bounded(row)}, measured {claims.measured(row)}"
        for row in claims.read(file)
        if row["claim"].partition("[")[0] in shown
    ]


def plugin_report(registry: Registry, kind: str | None = None, name: str | None = None) -> str:
    """What is registered: all kinds, one kind or one name, each with a line that says what it is."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"plugins: {unknown_name('kind', kind, KINDS)}")
    if kind is not None and name is not None:
        return "\n".join(entry_lines(registry.find(kind, name, "plugins"), whole=True))
    lines = []
    for each in (kind,) if kind else KINDS:
        lines.append(each)
        for known in registry.names(each):
            if (each, known) in registry.duplicates:
                lines.append(f"  {known}  (registered twice)")
            else:
                lines += entry_lines(registry.find(each, known), whole=False)
    return "\n".join(lines)


def entry_lines(entry: Registered, whole: bool) -> list[str]:
    """One plugin: what it is, its parameters with their defaults, and its file; `whole`: with all of its text."""
    plugin = entry.plugin
    lines = [f"  {entry.name}  {description(plugin)}"]
    if whole:
        text = documentation(plugin).splitlines()
        lines += [f"      {line}" for line in (text[1:] if text[:1] == [description(plugin)] else text)]
    if isinstance(plugin, type) and is_dataclass(plugin):
        for field, hint, default in parameters(plugin):
            lines.append(
                f"      {field}: {hint}" + (f" = {default}" if default is not None else "   (required)")
            )
    return [*lines, f"      ({entry.source})"]


def description(plugin: Any) -> str:
    """One line that says what a plugin is: a metric's quantity, dimensions, units and where it applies, a figure's
    caption, a claim's statement, the first line of a docstring."""
    if isinstance(plugin, Metric):
        needed = first_line(plugin.applies).removeprefix("Whether ").rstrip(".")
        where = "" if plugin.applies is always or not needed else f"; where {needed}"
        usual = "" if plugin.by_default else "; measured if a config names it"
        return f"{plugin.long_name} ({', '.join(plugin.dimensions)}) [{plugin.units}]{where}{usual}"
    if isinstance(plugin, claims.Claim):
        return plugin.statement
    if isinstance(plugin, Drawing):
        written = plugin.caption if isinstance(plugin.caption, str) else first_line(plugin.draw)
        caption = written or f"drawn from {', '.join(plugin.experiments)}; its caption says what was run"
        return f"[{plugin.status}] {caption.partition('. ')[0]}"
    return first_line(plugin if isinstance(plugin, type) else type(plugin))


def documentation(plugin: Any) -> str:
    """A plugin's docstring."""
    if isinstance(plugin, Metric):
        return inspect.getdoc(plugin.measure) or ""
    if isinstance(plugin, Drawing):
        return inspect.getdoc(plugin.draw) or ""
    return inspect.getdoc(plugin if isinstance(plugin, type) else type(plugin)) or ""


def first_line(documented: Any) -> str:
    """The first line of a docstring, which Python writes itself for a dataclass that has none."""
    text = inspect.getdoc(documented) or ""
    return "" if text.startswith(f"{getattr(documented, '__name__', '')}(") else text.partition("\n")[0]


def abandoned(study: Study) -> list[Path]:
    """The folders of runs and experiments under results/, of papers of the config, that it does not ask for."""
    found: list[Path] = []
    for paper in study.papers.values():
        for folder in sorted(folders(RESULTS / paper.name)):
            if folder.name == "figures":
                continue
            if folder.name not in paper.experiments:
                found += [folder] if is_experiment(folder) else []
                continue
            planned: Mapping[str, Any] = paper.experiments[folder.name].runs
            found += [run for run in sorted(folders(folder)) if run.name not in planned and is_run(run)]
    return found


def folders(parent: Path) -> Iterator[Path]:
    """The folders in a folder."""
    return (path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else iter(())


def is_run(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run's stages and their logs leave there."""
    names = {path.name for path in folder.iterdir()}
    known = {f"{name}.nc" for name, _ in STAGES} | {f"{stage}.log" for _, stage in STAGES}
    known.add(".trajectory.checkpoint")
    return bool(names) and names <= known


def is_experiment(folder: Path) -> bool:
    """The same of an experiment."""
    inside = list(folder.iterdir())
    return bool(inside) and all(
        is_run(path) if path.is_dir() else path.name in ("dataset.nc", "gather.log") for path in inside
    )
