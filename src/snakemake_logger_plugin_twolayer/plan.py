"""What a dry run says: how many jobs of which rules would run, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from snakemake_logger_plugin_twolayer.jobs import Job

__all__ = ["causes_of", "plan_lines"]

FIRST_CAUSES = ("Missing output files", "Forced execution", "Updated input files")
"""Reasons to run a job that do not follow from another job."""


WORDS = {"Forced execution": "not of this config or code, or forced"}
"""What a terminal shows in place of Snakemake's words: the workflow forces what it found to be another run's."""


def plan_lines(jobs: Iterable[Job], depth: int) -> list[str]:
    """A line for each group of jobs whose first `depth` wildcards agree: how many of each rule, and why."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if job.wildcards:
            name = "/".join(
                str(value) for key, value in job.wildcards.items() if key in ("paper", "experiment")[:depth]
            )
            if "figure" in job.wildcards or job.rule == "claims" or "experiment" not in job.wildcards:
                name = f"{job.wildcards.get('paper', job.rule)}: figures and claims" if depth > 1 else name
            groups.setdefault(name or job.rule, []).append(job)
    width = max(map(len, groups), default=0)
    lines = []
    for name, members in groups.items():
        rules = Counter(job.rule for job in members)
        causes = Counter(cause for job in members for cause in causes_of(job.reason))
        why = (
            "; ".join(f"{cause} ({count})" for cause, count in causes.most_common(3)) or "follows from others"
        )
        lines.append(
            f"  {name:{width}}  {', '.join(f'{count} {rule}' for rule, count in rules.items())}  because: {why}"
        )
    return lines


def causes_of(reason: str) -> list[str]:
    """Why a job runs, in words, without what follows from another job."""
    causes = []
    for part in reason.split("; "):
        cause = part.partition(":")[0].strip()
        if "since last execution" in cause or cause in FIRST_CAUSES:
            causes.append(WORDS.get(cause, cause.lower()))
    return causes
