"""generate: the data of a run, drawn once, or once a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from twolayer.datasets import Variables, in_coordinates_of, pack_problem
from twolayer.errors import DataError
from twolayer.model import FiniteData, Network
from twolayer.seeds import random_of

__all__ = ["generate"]


def generate(problem: Any, run: Mapping[str, Any]) -> tuple[Variables, dict[str, Any]]:
    """The variables and attributes of `problem.nc` for a problem plugin's instance.

    A plugin whose `per_seed` is true draws a data set for each seed, from that seed's generator. One that must
    know the network (labels of a teacher of its kind) has `of_network(network)`, which returns what to draw from.
    Where weights will be drawn in reduced coordinates, the teacher is made in them (`reduced`).
    """
    if run.get("initialization", {}).get("draw") == "reduced":
        data = problem.reduced(run["network"]["neurons"])
    else:
        if hasattr(problem, "of_network"):
            problem = problem.of_network(Network(**run["network"]))
        seeds = run["seeds"] if getattr(problem, "per_seed", False) else run["seeds"][:1]
        drawn = [problem.generate(random_of(seed, "problem")) for seed in seeds]
        data = stacked(drawn) if getattr(problem, "per_seed", False) else drawn[0]
    variables = in_coordinates_of(data, pack_problem(data, run["seeds"]))
    for name, (_, values, _) in variables.items():
        if not np.isfinite(values).all():
            spot = np.argwhere(~np.isfinite(values))[0].tolist()
            where = f"{run['paper']}/{run['experiment']}: problem '{run['problem']['name']}'"
            raise DataError(f"{where}: {name}{spot} is {values[tuple(spot)]}; every number must be finite")
    return variables, data.attributes


def stacked(drawn: Sequence[FiniteData]) -> FiniteData:
    """The data sets of several seeds as one with a leading seed axis."""
    inputs = np.stack([data.inputs for data in drawn])
    return replace(drawn[0], inputs=inputs, targets=np.stack([data.targets for data in drawn]))
