"""What several figures of Zhou and Ge 2024 are drawn with: colours, names and styles of weight decay."""

from __future__ import annotations

from twolayer import Run
from twolayer.analysis.labels import style_of

PLUS, MINUS = "C0", "C1"
"""Colours of positive and negative masses, and of their teachers."""


def schedule(run: Run) -> str:
    """`$λ$ = 0.02`, or how a λ that changes is called."""
    least, most = float(run.regularization.min()), float(run.regularization.max())
    return (
        rf"$\lambda$ = {most:g}"
        if least == most
        else rf"$\lambda$ {run.swept.get('weight_decay', 'changes')}"
    )


def styled(runs: list[Run]) -> list[tuple[Run, dict[str, str], bool]]:
    """Runs with the style of their weight decay, and whether that is constant and above 0."""
    names = [schedule(run) for run in runs]
    steady = [run.regularization.min() == run.regularization.max() > 0 for run in runs]
    return [
        (run, style_of(name, names), bool(one)) for run, name, one in zip(runs, names, steady, strict=True)
    ]
