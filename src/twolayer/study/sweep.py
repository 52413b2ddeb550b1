"""Sweeps: the points of a product or a zip over dotted paths, and their words."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.job import PLUGIN_SECTIONS
from twolayer.study.merge import mapping
from twolayer.study.schema import number
from twolayer.study.sizes import refuse_runs

__all__ = ["sweep_points"]

SECTIONS = (*PLUGIN_SECTIONS, "network", "times", "stop")
"""The sections of a run that have keys."""

EXAMPLES = {"network": "neurons", "dynamics": "step_size", "initialization": "scale", "problem": "dimension"}
"""A setting of a section that is often swept."""

SAFE = r"[A-Za-z0-9_.+-]+"

WORD = r"[A-Za-z0-9_]+(\[[0-9]+\])*"


def refuse_taken(paths: Iterable[str], taken: Mapping[str, str], where: str) -> None:
    """Refuse swept words that name something else in the dataset."""
    for path in paths:
        section, word = str(path).partition(".")[0], str(path).rpartition(".")[2]
        if word in taken:
            raise ConfigError(
                f"{where}.{path}: '{word}' is {taken[word]} and cannot name a swept dimension too; "
                f"sweep the section '{section}' by labels instead"
            )


def sweep_points(sweep: Any, where: str) -> list[dict[str, tuple[Any, Any]]]:
    """The points of a sweep: for each, path -> (label or None, value). A mapping is a product, a list a zip."""
    if isinstance(sweep, list):
        if not sweep:
            raise ConfigError(f"{where}: an empty list; leave sweep out instead")
        refuse_runs({"rows": sweep}, where)
        points = [
            {path: labelled(value, f"{where}[{index}].{path}") for path, value in mapping(row, where).items()}
            for index, row in enumerate(sweep)
        ]
        if any(list(point) != list(points[0]) for point in points):
            raise ConfigError(f"{where}: every row of a zip must name the same paths: {list(points[0])}")
        paths = list(points[0])
    else:
        axes = {path: axis(values, f"{where}.{path}") for path, values in mapping(sweep, where).items()}
        refuse_runs(axes, where)
        paths = list(axes)
        points = [dict(zip(paths, values, strict=True)) for values in itertools.product(*axes.values())]
    words: dict[str, str] = {}
    for path in paths:
        word = str(path).rpartition(".")[2]
        choices = (*SECTIONS, "dtype", "seeds")
        if str(path).partition(".")[0] not in choices:
            raise ConfigError(
                f"{where}.{path}: {unknown_name('section to sweep', path, choices)} A path begins with its section: "
                "network.neurons, dynamics.step_size."
            )
        if not re.fullmatch(WORD, word):
            raise ConfigError(
                f"{where}.{path}: {word!r} cannot name runs and a dimension; a key of letters, digits and '_' can"
            )
        if word in words:
            raise ConfigError(
                f"{where}: '{words[word]}' and '{path}' end in the same word '{word}', which names runs and "
                "dimensions; sweep one of them, or both as one labelled section"
            )
        words[word] = str(path)
    return points


def refuse_settings(values: Mapping[Any, Any], where: str) -> None:
    """Refuse settings of a section where its labelled variants are meant: a sweep writes them as a path."""
    section = where.rpartition(".")[2]
    for key, value in values.items():
        if section in SECTIONS and not isinstance(value, Mapping):
            raise ConfigError(
                f"{where}: has {key}: {value!r}, which is no whole section; to sweep a setting of it write its path, "
                f"{section}.{key}: [...]; a whole section by labels is {section}: {{label: {{...}}, ...}}"
            )


def axis(values: Any, where: str) -> list[tuple[Any, Any]]:
    """The (label, value) pairs along one swept path."""
    if isinstance(values, Mapping):
        refuse_settings(values, where)
        pairs = [labelled({label: value}, where) for label, value in values.items()]
    elif isinstance(values, list):
        section = where.rpartition(".")[2]
        if section in SECTIONS and not all(isinstance(value, Mapping) for value in values):
            raise ConfigError(
                f"{where}: {values!r} are no whole sections; to sweep a setting of it write its path, such as "
                f"{section}.{EXAMPLES.get(section, 'KEY')}: [...]; a whole section by labels is {section}: "
                "{label: {...}, ...}"
            )
        pairs = [labelled(value, where) for value in values]
    else:
        raise ConfigError(f"{where}: must be a list of values (or label: value), is {values!r}")
    if not pairs:
        raise ConfigError(f"{where}: no values")
    return pairs


def labelled(value: Any, where: str) -> tuple[Any, Any]:
    """(label, value) of one value of a sweep: a scalar needs no label (None)."""
    if isinstance(value, Mapping) and len(value) == 1:
        label, labelled_value = next(iter(value.items()))
        if label is None or isinstance(label, bool) or not re.fullmatch(SAFE, str(label)):
            raise ConfigError(f"{where}: label {label!r} must be of letters, digits, '_', '.', '+', '-'")
        return label, labelled_value
    if isinstance(value, list | Mapping) or value is None:
        raise ConfigError(
            f"{where}: {value!r} is no single number or word; give it a label, {{label: value}}"
        )
    if isinstance(number(value), str) and not re.fullmatch(SAFE, value):
        raise ConfigError(
            f"{where}: {value!r} cannot be part of a file name; give it a label, {{label: value}}"
        )
    return None, value


def set_path(raw: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set a dotted path in nested sections; `stages[1]` is the second section of a list.

    where: how errors begin.
    """
    *parents, last = words_of(path)
    section: Any = raw
    for parent in parents:
        if isinstance(section, list) and isinstance(parent, int) and parent < len(section):
            section = section[parent]
        elif isinstance(section, dict) and isinstance(parent, str):
            section = section.setdefault(parent, {})
        else:
            raise ConfigError(f"{where}: there is no [{parent}]")
        if not isinstance(section, dict | list):
            raise ConfigError(f"{where}: {parent} is {section!r}, not a section with keys")
    if not isinstance(section, dict) or isinstance(last, int):
        raise ConfigError(f"{where}: must end in a key of a section")
    section[last] = copy.deepcopy(value)


def words_of(path: str) -> list[str | int]:
    """`dynamics.stages[1].until` as dynamics, stages, 1, until."""
    words: list[str | int] = []
    for part in str(path).split("."):
        word, _, indices = part.partition("[")
        numbers = re.findall(r"(\d+)\]", indices)
        if indices and "".join(f"[{number}]" for number in numbers) == f"[{indices}":
            words += [word, *map(int, numbers)]
        else:
            words.append(part)
    return words


def get_path(sections: Mapping[str, Any], path: str) -> Any:
    """The checked value at a dotted path: spelt one way, whatever the config's spelling."""
    value: Any = sections
    for part in words_of(path):
        value = value[part]
    return value
