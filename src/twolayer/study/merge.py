"""Config files: read, anchored at their folders, and merged."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.job import PLUGIN_SECTIONS
from twolayer.study.sizes import refuse_deep, refuse_unfolded

__all__ = ["CLAIMS"]


Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times faster, where there is one


def load_yaml(stream: Any) -> Any:
    """YAML in which a key given twice is an error; plain YAML lets the last one win silently."""
    text, name = stream.read(), stream.name
    refuse_deep(yaml.parse(named(text, name), Loader))
    loader = Loader(named(text, name))
    try:
        node = loader.get_single_node()
        refuse_unfolded(node)
        refuse_misread(node, loader, set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def named(text: str, name: str) -> Any:
    """A text as a file of a name, which errors of YAML say."""
    file: Any = io.StringIO(text)
    file.name = name
    return file


NUMBERS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))

MISREAD = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""What YAML 1.1 reads as octal, `010`, or in base 60, `1:30`."""


def refuse_misread(node: Any, loader: Any, seen: set[int]) -> None:
    """Refuse a mapping that has a key twice, also as another spelling of the same number, before merged keys are in
    it; and numbers that YAML 1.1 reads as others than they look."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            refuse_misread(item, loader, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: dict[Any, str] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                refuse_misread(key, loader, seen)
                meant = loader.construct_object(key) if key.tag in NUMBERS else key.value
                if meant in keys:
                    place = f"{key.start_mark.name}, line {key.start_mark.line + 1}"
                    same = "" if keys[meant] == key.value else f": '{keys[meant]}' is the same key"
                    raise ConfigError(f"{place}: '{key.value}' is given twice{same}")
                keys[meant] = key.value
            refuse_misread(value, loader, seen)
    elif isinstance(node, yaml.ScalarNode) and node.tag in NUMBERS and MISREAD.fullmatch(node.value):
        place = f"{node.start_mark.name}, line {node.start_mark.line + 1}"
        raise ConfigError(
            f"{place}: {node.value} is {loader.construct_object(node)} in YAML 1.1; write the number without a "
            "leading 0 or colons"
        )


def read_config(file: Path) -> dict[str, Any]:
    """A config file, its relative paths anchored at its folder."""
    try:
        with file.open(encoding="utf-8") as stream:
            content = load_yaml(stream)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not valid YAML: {error}") from error
    except ValueError as error:  # a number of 5,000 digits, a date in a thirteenth month
        raise ConfigError(f"{file}: has a value that cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: must hold keys, not {type(content).__name__}")
    return anchored(content, file.parent)


def anchored(content: Any, folder: Path) -> Any:
    """The content with each relative `path` (and `plugin_paths`) read from the folder of its config."""

    def anchor(value: Any) -> Any:
        if isinstance(value, str):
            if "\0" in value:
                raise ConfigError(f"{value!r} is not the path of a file: it has a null character")
            absolute = (folder / value).resolve()
            return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(absolute)
        if isinstance(value, list):
            return [anchor(item) for item in value]
        if isinstance(value, dict):
            return {key: anchor(item) for key, item in value.items()}
        return value

    if isinstance(content, dict):
        return {
            key: anchor(value)
            if key == "plugin_paths" or str(key).rpartition(".")[2] == "path"
            else anchored(value, folder)
            for key, value in content.items()
        }
    return [anchored(item, folder) for item in content] if isinstance(content, list) else content


CLAIMS = ("all", "shown")
"""Which claims of a paper are evaluated: all, or those on the faces of its figures, on the figures' experiments."""


def merge_papers(base: dict[str, Any], over: Any, source: str) -> None:
    """Merge papers, and in them experiments and figures, by name; `base` is changed."""
    for paper, body in mapping(over, f"{source}: papers").items():
        place = f"{source}: papers.{paper}"
        into = base.setdefault(paper, {"experiments": {}, "figures": {}, "base": None, "claims": None})
        for key, value in mapping(body, place).items():
            if key not in into:
                raise ConfigError(f"{place}.{key}: {unknown_name('key', key, into)}")
            if key == "base":
                if not isinstance(value, str):
                    raise ConfigError(f"{place}.base: must be the name of a paper, is {value!r}")
                into[key] = value
                continue
            if key == "claims":
                if value not in CLAIMS:
                    raise ConfigError(f"{place}.claims: must be {' or '.join(CLAIMS)}, is {value!r}")
                into[key] = value
                continue
            for name, section in mapping(value, f"{place}.{key}").items():
                if key == "figures" and section is False:  # left out
                    into[key][name] = False
                    continue
                section = mapping(section, f"{place}.{key}.{name}")
                old = into[key].get(name, {})
                into[key][name] = merge_experiment(old, section) if key == "experiments" else section


def merge_experiment(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Section by section: one with the same name (or none) is merged, all else replaces."""
    merged = dict(base)
    for key, value in over.items():
        old = base.get(key)
        named_alike = (
            isinstance(value, Mapping)
            and isinstance(old, Mapping)
            and key in (*PLUGIN_SECTIONS, "network")
            and value.get("name", old.get("name")) == old.get("name")
        )
        merged[key] = {**old, **value} if named_alike else value  # type: ignore[dict-item]
    return merged


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A section that may be left empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: must be a section with keys, is {value!r}")
    return value
