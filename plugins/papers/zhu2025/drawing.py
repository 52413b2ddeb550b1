"""How the figures of Zhu, Liu and Cevher 2025 name and order runs, and draw exponential laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer import Run
from twolayer.analysis.labels import symbol_of


def named(run: Run, words: Sequence[str] = (), separator: str = ", ") -> str:
    """A run by its swept values, or those of some words: `$k$ = 2, $m$ = 20`; a label stands alone.

    A run by itself, where nothing is swept, is named by its k and m.
    """
    swept = {word: value for word, value in run.swept.items() if not words or word in words}
    if not run.swept:
        swept = {"teachers": run.config.problem.teachers, "neurons": run.config.network.neurons}
    labels = [value.replace("_", " ") for value in swept.values() if isinstance(value, str)]
    return separator.join(labels or [f"{symbol_of(word)} = {value:g}" for word, value in swept.items()])


def ordered(runs: Run) -> list[Run]:
    """Single runs by their swept values, rising."""
    return sorted(runs.by("run"), key=lambda run: tuple(run.swept.values()))


def decaying(values: Any, rate: float, level: float) -> Any:
    """e^(−rate t) through the point of values (time,) that is nearest to a level."""
    apart = abs(np.log(np.where(values > 0, values, math.nan) / level))
    index = int(np.argmin(np.where(np.isfinite(apart), apart, math.inf)))
    return float(values[index]) * np.exp(-rate * (values.time - float(values.time[index])))
