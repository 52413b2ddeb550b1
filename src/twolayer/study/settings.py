"""Settings given on the command line, `network.neurons=50`, and the variant of a paper that they make."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.runs import EXPERIMENT_KEYS, identifier
from twolayer.study.study import Study
from twolayer.study.sweep import set_path
from twolayer.study.variant import Composed

__all__ = ["Setting", "Target", "changed_paper", "read_setting", "read_target", "relative_to", "variant_name"]

LISTS = ("seeds", "metrics")
"""Sections that are lists: values with commas between them are one."""

LONGEST_NAME = 40
"""Letters of a variant's name that its settings make; longer ones end in a hash."""


@dataclass(frozen=True)
class Setting:
    """`PATH=VALUE`: a path in an experiment, and the values that it takes, more than one where it is swept."""

    text: str
    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Target:
    """What is to be made of a paper: the file or rule of its variant, and the experiments that it comes from.

    only: the figure, where it is one alone.
    """

    paper: str
    experiments: tuple[str, ...]
    files: tuple[str, ...]
    only: str = ""

    def of(self, variant: str) -> list[str]:
        """Snakemake's targets for a variant of the paper."""
        return [f"results/{variant}/{file}" for file in self.files] or [variant]


def read_setting(text: str) -> Setting:
    """`network.neurons=50`, or with a comma between values a sweep: `network.neurons=50,100`."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip() or not value.strip():
        raise ConfigError(f"set: {text!r}: must be PATH=VALUE, such as network.neurons=50")
    values = []
    for part in parts(value):
        try:
            values.append(yaml.safe_load(part))
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or error
            raise ConfigError(f"set: {text!r}: {part!r} is not valid YAML: {problem}") from error
    if any(isinstance(each, str) and not each for each in values):
        raise ConfigError(f"set: {text!r}: there is a comma without a value")
    return Setting(text, path.strip(), tuple(values))


def parts(text: str) -> Iterator[str]:
    """A text cut at its commas outside of brackets and quotes."""
    depth, quote, begin = 0, "", 0
    for index, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[begin:index].strip() or "''"
            begin = index + 1
    yield text[begin:].strip() or "''"


def read_target(text: str, study: Study) -> Target:
    """`<paper>`, `<paper>.<figure>`, `<paper>.<experiment>` or a path of a file of a paper under results/."""
    if text.startswith("results/"):
        _, name, *rest = Path(text).parts
        paper = study.paper(name)
        if rest[:1] == ["figures"] and len(rest) == 2:
            return of_figure(study, name, rest[1].partition(".")[0], (text.removeprefix(f"results/{name}/"),))
        experiments = (rest[0],) if rest[0] in paper.experiments else tuple(paper.experiments)
        return Target(name, experiments, ("/".join(rest),))
    name, _, product = text.partition(".")
    paper = study.paper(name)
    if not product:
        return Target(name, tuple(paper.experiments), ())
    if product in paper.figures:
        figure = paper.figures[product]
        return of_figure(study, name, product, (f"figures/{product}.{figure.suffixes[0]}",))
    if product not in paper.experiments:
        known = dict.fromkeys((*paper.figures, *paper.experiments))
        raise ConfigError(f"set: {name}: {unknown_name('figure or experiment', product, known)}")
    return Target(name, (product,), (f"{product}/dataset.nc",))


def of_figure(study: Study, paper: str, name: str, files: tuple[str, ...]) -> Target:
    """The target that is a figure, with the claims on its face where it bears any."""
    figure = study.figure(paper, name)
    claims = ("claims.json",) if study.face_claims(figure) else ()
    return Target(paper, figure.experiments, (*files, *claims), only=name)


def changed_paper(
    target: Target, settings: Sequence[Setting], composed: Composed, figures: Sequence[str]
) -> dict[str, Any]:
    """The section of `papers` that is the variant of the target's paper with these settings.

    composed: the paper as the config has it. figures: its figures, of which a target that is one leaves out the rest
    and the claims that it does not show.
    A path begins with a section, and is then of all experiments of the target, or with an experiment; `figures.NAME`
    is a figure's entry.
    """
    experiments: dict[str, Any] = {}
    drawn: dict[str, Any] = {name: False for name in figures if target.only and name != target.only}
    for setting in settings:
        first, _, rest = setting.path.partition(".")
        top = re.sub(r"\[.*", "", first)
        if first == "figures":
            drawn[rest] = setting.values[0]
        elif top in EXPERIMENT_KEYS:
            for name in target.experiments:
                change(name, setting.path, setting, composed, experiments)
        elif first in composed.experiments:
            if re.sub(r"[.\[].*", "", rest) not in EXPERIMENT_KEYS:
                message = unknown_name("section", rest, EXPERIMENT_KEYS)
                raise ConfigError(f"set: {setting.text!r}: experiment {first}: {message}")
            change(first, rest, setting, composed, experiments)
        else:
            message = unknown_name("section or experiment", first, (*EXPERIMENT_KEYS, *composed.experiments))
            raise ConfigError(f"set: {setting.text!r}: {message}")
    body: dict[str, Any] = {"base": target.paper, "experiments": experiments}
    if target.only:
        body["claims"] = "shown"
    return {**body, "figures": drawn} if drawn else body


def change(name: str, path: str, setting: Setting, composed: Composed, experiments: dict[str, Any]) -> None:
    """Enter a setting into the sections of an experiment that differ from the paper's."""
    where = f"set: {setting.text!r}: experiment {name}"
    changed = experiments.setdefault(name, {})
    section = re.sub(r"[.\[].*", "", path)

    def current(key: str) -> Any:
        return copy.deepcopy(changed.get(key, composed.experiments[name].get(key)))

    values = [list(setting.values)] if section in LISTS and len(setting.values) > 1 else list(setting.values)
    sweep = current("sweep")
    rows = sweep if isinstance(sweep, list) else [sweep or {}]
    if section != "sweep" and section in rows[0] and path != section:
        raise ConfigError(
            f"{where}: its sweep has whole sections '{section}'; set sweep, or '{section}' itself"
        )
    if section != "sweep" and path in rows[0]:
        if isinstance(sweep, list):
            if len(values) > 1:
                raise ConfigError(
                    f"{where}: is one of several settings in each row of its sweep; takes one value"
                )
            changed["sweep"] = [{**row, path: values[0]} for row in sweep]
        else:
            changed["sweep"] = {**sweep, path: values}
    elif len(values) > 1:
        if isinstance(sweep, list):
            raise ConfigError(
                f"{where}: its sweep is a list of runs, to which no axis can be added; set sweep itself"
            )
        changed["sweep"] = {**(sweep or {}), path: values}
    elif path == section:
        changed[section] = values[0]
    else:
        sections = {section: current(section)}
        if sections[section] is None:
            sections[section] = {}
        set_path(sections, path, values[0], where)
        changed[section] = sections[section]


def variant_name(paper: str, settings: Sequence[Setting], given: str | None = None) -> str:
    """The name of the variant: the one given, or the paper's with the settings: `xu2023_scale_0_3`."""
    if given is not None:
        identifier(given, "set: --name")
        if given == paper:
            raise ConfigError(f"set: --name: must not be {paper} itself, whose results stay")
        return given
    words = [
        f"{setting.path.rpartition('.')[2]}={','.join(map(str, setting.values))}" for setting in settings
    ]
    slug = re.sub(r"\W+", "_", "_".join(words)).strip("_")
    if len(slug) > LONGEST_NAME:
        text = " ".join(f"{setting.path}={setting.values}" for setting in settings)
        slug = f"{slug[: LONGEST_NAME - 7]}_{sha256(text.encode()).hexdigest()[:6]}"
    return f"{paper}_{slug}"


def relative_to(content: Any, folder: Path) -> Any:
    """A config with its paths, which are from the working folder, as a file in `folder` has to name them."""
    if isinstance(content, Mapping):
        return {
            key: os.path.relpath(value, folder)
            if str(key).rpartition(".")[2] == "path" and isinstance(value, str)
            else relative_to(value, folder)
            for key, value in content.items()
        }
    return [relative_to(item, folder) for item in content] if isinstance(content, list) else content
