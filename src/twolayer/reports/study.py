"""`twolayer list`: papers with their experiments, figures and claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twolayer.core.wording import counted
from twolayer.reports.states import claims_state, experiment_state, figure_state
from twolayer.study.runs import Experiment
from twolayer.study.study import Study

__all__ = ["study_report"]


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
        used = {name for figure in paper.figures.values() for name in figure.experiments}
        used |= {name for names in paper.claims.values() for name in names}
        width = max(map(len, (*paper.experiments, *paper.figures, "")))
        for experiment in paper.experiments.values():
            runs, seeds = len(experiment.runs), seeds_of(experiment)
            size = f"{counted(runs, 'run')} of {counted(seeds, 'seed')}"
            state = states[paper.name, experiment.name]
            idle = ", and nothing asks for it" if state == "missing" and experiment.name not in used else ""
            lines.append(f"    {experiment.name:{width}}  {size}: {state}{idle}")
        lines.append("  figures")
        for figure in paper.figures.values():
            remark = sources_remark(states, paper.name, figure.experiments)
            state = figure_state(figure)
            lines.append(f"    {figure.name:{width}}  {state}{remark if state == 'drawn' else ''}")
        if paper.claims:
            sources = dict.fromkeys(name for names in paper.claims.values() for name in names)
            state = claims_state(paper)
            remark = sources_remark(states, paper.name, sources)
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
    return f", of {counted(len(old), 'experiment')} not up to date: {shown}"


def seeds_of(experiment: Experiment) -> int:
    """The seeds of an experiment's first run."""
    return len(next(iter(experiment.runs.values())).sections["seeds"])
