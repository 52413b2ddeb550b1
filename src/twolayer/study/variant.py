"""What a paper is composed of: its folder, the paper that it is a variant of, and what the config changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twolayer.core.wording import counted
from twolayer.errors import ConfigError, unknown_name
from twolayer.study.merge import merge_papers, read_config
from twolayer.study.schema import number

__all__ = ["Composed", "compose", "paper_files"]

LONGEST = 60
"""Characters of a changed value, at most."""

Body = dict[str, Any]
Layers = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Composed:
    """A paper's experiments and figures as the config has them, and as the paper itself has them.

    lineage: the paper, then the one that it is a variant of, and so on: whose figures and claims it has.
    original: the experiments before the config's changes, where there are any of that name.
    claims: which of its claims are evaluated, a word of `CLAIMS`.
    """

    experiments: dict[str, Any]
    figures: dict[str, Any]
    lineage: tuple[str, ...]
    original: Mapping[str, Any]
    claims: str = "all"

    def changes(self, experiment: str, complete: Callable[[Body], Body] = lambda section: {}) -> str:
        """`path: value (paper: value)` for each setting of an experiment that is not the paper's, or nothing.

        complete: the settings of an experiment with those that it leaves to their defaults, which are said where only
        one of the two has a setting.
        """
        if experiment not in self.original:
            return ""
        sections = self.experiments[experiment], self.original[experiment]
        now, before = comparable(*sections)
        paths = [path for path in dict.fromkeys((*now, *before)) if now.get(path) != before.get(path)]
        if any(path not in now or path not in before for path in paths):
            usual_now, usual_before = (flat(complete(section)) for section in sections)
            now, before = with_count({**usual_now, **now}), with_count({**usual_before, **before})
        return "; ".join(
            f"{path}: {brief(now, path)} (paper: {brief(before, path)})"
            for path in paths
            if now.get(path) != before.get(path)
        )


def paper_files(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """The experiments.yaml of each paper in plugin folders, the last of which overrides the others."""
    files: dict[str, list[Path]] = {}
    for folder in folders:
        for file in sorted(folder.glob("papers/*/experiments.yaml")):
            files.setdefault(file.parent.name, []).append(file)
    return files


def compose(name: str, layers: Layers, files: Mapping[str, Sequence[Path]]) -> Composed:
    """The paper of that name as files and config have it, or a ConfigError.

    layers: the `papers` of each config, with its source, later ones over earlier ones. files: see `paper_files`; only
    those that are needed are read.
    """
    original, lineage = shipped(name, layers, files, ())
    body = overridden(name, original, layers)
    if name not in files and len(lineage) == 1 and not body["experiments"]:
        raise ConfigError(
            f"papers.{name}: {unknown_name('paper', name, known(layers, files) - {name})} A new one has "
            "experiments, or a `base`."
        )
    return Composed(
        body["experiments"], body["figures"], lineage, original["experiments"], body["claims"] or "all"
    )


def shipped(
    name: str, layers: Layers, files: Mapping[str, Sequence[Path]], variants: tuple[str, ...]
) -> tuple[Body, tuple[str, ...]]:
    """The paper before the config's changes, and its lineage; `variants` are those on the way to it."""
    if name in variants:
        raise ConfigError(
            f"papers.{variants[0]}.base: leads back to itself, {' -> '.join((*variants, name))}; "
            "a base is a paper that does not"
        )
    written = empty()
    for file in files.get(name, ()):
        written = merged(name, written, read_config(file), str(file))
    base = overridden(name, written, layers)["base"]
    if name not in files and variants:  # it lives in the config alone, which is then its original
        written = overridden(name, written, layers)
    if base is None:
        return written, (name,)
    if base not in known(layers, files):
        raise ConfigError(f"papers.{name}.base: {unknown_name('paper', base, known(layers, files) - {name})}")
    body, lineage = shipped(base, layers, files, (*variants, name))
    return merged(name, {**body, "base": base}, written, f"papers.{name}"), (name, *lineage)


def empty() -> Body:
    """A paper without anything."""
    return {"experiments": {}, "figures": {}, "base": None, "claims": None}


def merged(name: str, body: Body, over: Any, source: str) -> Body:
    """A paper's body with another one over it; neither is changed."""
    papers = {name: copy.deepcopy(body)}
    if isinstance(over, Mapping):
        unset = [key for key in ("base", "claims") if over.get(key, "") is None]
        over = {key: value for key, value in over.items() if key not in unset}
    merge_papers(papers, {name: over}, source)
    return papers[name]


def overridden(name: str, body: Body, layers: Layers) -> Body:
    """A paper's body with what each config says of it."""
    for source, papers in layers:
        if name in papers:
            body = merged(name, body, papers[name], source)
    return body


def known(layers: Layers, files: Mapping[str, Sequence[Path]]) -> set[str]:
    """The names of all papers: with a folder, or in a config."""
    return {*files, *(name for _, papers in layers for name in papers)}


def comparable(now: Body, before: Body) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of an experiment now and before by dotted path; of sweeps of as many runs those of each run, of
    other lists of runs those with new values."""
    first, second = (
        section.get("sweep") if isinstance(section, Mapping) else None for section in (now, before)
    )
    if first and isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return of_rows(now, before, list(map(flat, first)), list(map(flat, second)))
    if (
        isinstance(first, list | Mapping)
        and isinstance(second, list | Mapping)
        and type(first) is not type(second)
    ):
        return flat({**now, "sweep": sweep_summary(first)}), flat({**before, "sweep": sweep_summary(second)})
    if isinstance(first, list) and isinstance(second, list):
        values, known = distinct(first), distinct(second)
        new = [
            path
            for path in values
            if path in known and any(value not in known[path] for value in values[path])
        ]
        return (
            {**flat(now), **{f"sweep.{path}": alone(values[path]) for path in new}},
            {**flat(before), **{f"sweep.{path}": alone(known[path]) for path in new}},
        )
    return flat(now), flat(before)


def of_rows(
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    first: Sequence[dict[str, Any]],
    second: Sequence[dict[str, Any]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of sweeps of as many runs: a value that all runs have now is said once, others run by run."""
    known = distinct(second)
    same = {
        path: value
        for path, value in first[0].items()
        if all(path in row and row[path] == value for row in first) and all(path in row for row in second)
    }
    rows = [
        [{path: value for path, value in row.items() if path not in same} for row in part]
        for part in (first, second)
    ]
    return (
        {
            **flat({**now, "sweep": numbered(rows[0])}),
            **{f"sweep.{path}": value for path, value in same.items()},
        },
        {
            **flat({**before, "sweep": numbered(rows[1])}),
            **{f"sweep.{path}": alone(known[path]) for path in same},
        },
    )


def distinct(rows: Sequence[Any]) -> dict[str, Any]:
    """The distinct values that each setting has in the rows of a zip, by dotted path."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        for path, value in flat(row).items():
            values = found.setdefault(path, [])
            if value not in values:
                values.append(value)
    return found


def with_count(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in which the seeds 0 … n − 1 are n."""
    seeds = settings.get("seeds")
    if isinstance(seeds, list) and seeds == list(range(len(seeds))):
        return {**settings, "seeds": len(seeds)}
    return settings


def alone(values: list[Any]) -> Any:
    """A single value without its list."""
    return values[0] if len(values) == 1 else values


def sweep_summary(sweep: Sequence[Any] | Mapping[str, Any]) -> str:
    """A sweep that is not of the other's kind, in words: `over network.neurons and dtype`, or `8 runs`."""
    return f"over {' and '.join(sweep)}" if isinstance(sweep, Mapping) else counted(len(sweep), "run")


def numbered(rows: Sequence[Any]) -> dict[str, Any]:
    """The rows of a zip by their number, from 1."""
    return {f"run {index}": row for index, row in enumerate(rows, 1)}


def flat(section: Any, path: str = "") -> dict[str, Any]:
    """The settings of a section by dotted path, numbers as numbers; a list is one value, but one of values with labels
    is a section, an empty section none."""
    if (
        isinstance(section, list)
        and section
        and all(isinstance(item, Mapping) and len(item) == 1 for item in section)
    ):
        labels = [label for item in section for label in item]
        if len(set(labels)) == len(labels):
            section = {label: value for item in section for label, value in item.items()}
    if isinstance(section, Mapping):
        return {
            place: value
            for key, part in section.items()
            for place, value in flat(part, f"{path}.{key}".lstrip(".")).items()
        }
    return {path: [number(item) for item in section] if isinstance(section, list) else number(section)}


def brief(settings: Mapping[str, Any], path: str) -> str:
    """A setting in a few letters; `none` where it is missing."""
    if settings.get(path) is None:
        return "none"
    value = settings[path]
    text = f"[{', '.join(map(spelled, value))}]" if isinstance(value, list) else spelled(value)
    if len(text) > LONGEST and isinstance(value, list):
        if any(isinstance(item, Mapping | list) for item in value):
            return counted(len(value), "run" if path == "sweep" else "value")
        return f"{len(value)} values, {spelled(value[0])} to {spelled(value[-1])}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def spelled(value: Any) -> str:
    """A number to six digits, other values as they are."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
