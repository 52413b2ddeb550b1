"""generate: the data of a run, drawn once, or once per seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twolayer.core.arrays import LARGEST, place_of_unusable
from twolayer.core.data import Data
from twolayer.core.network import Network
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.seeds import random_of
from twolayer.errors import DataError, PluginError
from twolayer.storage.contents import in_coordinates_of, pack_problem
from twolayer.storage.netcdf import Variables

__all__ = ["generate"]


def generate(
    problem: ProblemSpec, network: Network, run: Mapping[str, Any], reduced: bool = False
) -> tuple[Variables, dict[str, Any]]:
    """The variables and attributes of `problem.nc` for a problem plugin's instance.

    A plugin whose `per_seed` is true draws a data set or a teacher for each seed, from that seed's generator.
    reduced: whether weights will be drawn in reduced coordinates, in which the teacher is then made.
    """
    where = f"{run['paper']}/{run['experiment']}: problem '{run['problem']['name']}'"
    seeds = run["seeds"] if problem.per_seed else run["seeds"][:1]
    data = problem.reduced(network.neurons) if reduced else None
    if data is None:
        drawn = [problem.seed_data(network, random_of(seed, "problem"), seed) for seed in seeds]
        for one in drawn:
            if not isinstance(one, Data):
                raise PluginError(
                    f"{where}: returns {type(one).__name__}; must return FiniteData or a Teacher"
                )
        data = stacked(drawn, seeds, where) if problem.per_seed else drawn[0]
    variables = in_coordinates_of(data, pack_problem(data, run["seeds"]))
    refuse_sizes(variables, where)
    for name, (_, values, _) in variables.items():
        if (found := place_of_unusable(np.asarray(values))) is not None:
            spot, value = found
            raise DataError(
                f"{where}: {name}{spot} is {value}; every number must be finite, and at most {LARGEST:g} in size"
            )
    return variables, data.attributes


def refuse_sizes(variables: Variables, where: str) -> None:
    """A DataError where arrays have not one size along each dimension."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, (dimensions, values, _) in variables.items():
        shape = np.shape(values)
        if len(shape) != len(dimensions):
            raise DataError(f"{where}: {name} has shape {shape}; must be {dimensions}")
        for dimension, size in zip(dimensions, shape, strict=True):
            other, whose = sizes.setdefault(dimension, (size, name))
            if size != other:
                raise DataError(
                    f"{where}: {name} has {dimension}s: {size}, and {whose}: {other}; must be as many"
                )


def stacked(drawn: Sequence[Data], seeds: Sequence[int], where: str) -> Data:
    """The data sets or teachers of several seeds as one with a leading seed axis."""
    for seed, data in zip(seeds, drawn, strict=True):
        refuse_unlike(data, drawn[0], f"{where}: seed {seed} has", f"seed {seeds[0]}")
    return drawn[0].stacked(drawn[1:])


def refuse_unlike(data: Data, first: Data, what: str, whose: str) -> None:
    """Refuse data of one seed that one file does not hold together with those of the first seed."""
    mine, other = pack_problem(data, [0]), pack_problem(first, [0])
    if list(mine) != list(other):
        raise DataError(f"{what} {', '.join(mine)}; must be {', '.join(other)}, as {whose} has")
    for name, (_, values, _) in mine.items():
        shape, wanted = np.shape(values), np.shape(other[name][1])
        if shape != wanted:
            raise DataError(f"{what} {name} of shape {shape}; must be {wanted}, as {whose} has")
    if data.attributes != first.attributes:
        raise DataError(f"{what} {data.attributes}; must be {first.attributes}, as {whose} has")
