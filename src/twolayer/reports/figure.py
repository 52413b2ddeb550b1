"""`twolayer show`: what made a figure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from twolayer.analysis import claims
from twolayer.core.wording import counted
from twolayer.errors import ConfigError, unknown_name
from twolayer.reports.states import datasets_of, experiment_state, figure_state, files_of
from twolayer.storage.layout import RESULTS
from twolayer.study.planned import Figure
from twolayer.study.runs import Experiment
from twolayer.study.study import Study

__all__ = ["figure_report"]


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
            f"  experiment {key} ({experiment_state(study, experiment)}), {counted(len(experiment.runs), 'run')}"
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
