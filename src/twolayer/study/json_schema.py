"""The JSON schema of a config, for editors: which keys there are, what each means, and which values it takes.

It is made from the signatures of the plugins that are registered. A config is merged over the experiments that a paper
ships, so no key is required; where a section names its plugin, only that plugin's keys are allowed.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from typing import Any, Literal, Union, get_args, get_origin

from twolayer.core.network import Network
from twolayer.core.times import Times
from twolayer.study.job import PLUGIN_SECTIONS
from twolayer.study.merge import CLAIMS
from twolayer.study.registry import Registry
from twolayer.study.runs import DTYPES
from twolayer.study.schema import Nested, type_hints
from twolayer.training.stop import StopRule

__all__ = ["config_schema"]

Schema = dict[str, Any]

NUMBER: Schema = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$"}]
}
"""YAML 1.1 reads `1e-3` as text."""

SCALARS: dict[Any, Schema] = {
    int: NUMBER,
    float: NUMBER,
    bool: {"type": "boolean"},
    str: {"type": "string"},
    type(None): {"type": "null"},
}


def config_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12) of config.yaml."""
    definitions = {kind: section(registry, kind) for kind in PLUGIN_SECTIONS.values()}
    definitions["network"] = network(registry)
    definitions["experiment"] = experiment(registry)
    definitions["paper"] = or_null(
        {
            "base": described({"type": ["string", "null"]}, "the paper that this one is a variant of"),
            "experiments": {
                "type": ["object", "null"],
                "additionalProperties": {"$ref": "#/$defs/experiment"},
            },
            "figures": {"type": ["object", "null"], "additionalProperties": figure(registry)},
            "claims": described(
                {"enum": [*CLAIMS, None]}, "which claims are evaluated: all, or those that its figures show"
            ),
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "twolayer config",
        **closed(
            {
                "backend": described(
                    {"enum": registry.names("backends")}, "where training runs; no part of a run's identity"
                ),
                "plugin_paths": described(
                    {"type": "array", "items": {"type": "string"}}, "further folders of plugins"
                ),
                "checkpoint": described(
                    closed({"seconds": {"type": "number", "minimum": 0}}),
                    "how often a training saves what it has",
                ),
                "papers": {
                    "type": ["object", "null"],
                    "additionalProperties": {"$ref": "#/$defs/paper"},
                },
            }
        ),
        "$defs": definitions,
    }


def experiment(registry: Registry) -> Schema:
    """An experiment, which the config may name in part."""
    sections: dict[str, Schema] = {
        name: {"$ref": f"#/$defs/{kind}"} for name, kind in PLUGIN_SECTIONS.items()
    }
    points = {"type": "object", "propertyNames": {"pattern": r"^\w+(\.[\w\[\]]+)*$"}}
    return closed(
        {
            **sections,
            "network": {"$ref": "#/$defs/network"},
            "times": described(of_dataclass(Times, registry), summary(Times)),
            "seeds": described(
                {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
                "a number n (seeds 0 … n − 1), or a list of whole numbers",
            ),
            "stop": described(or_null(fields(StopRule, registry)), summary(StopRule)),
            "dtype": described({"enum": list(DTYPES)}, "the precision of training"),
            "metrics": described(
                {"type": ["array", "null"], "items": {"enum": registry.names("metrics")}},
                "what is measured; all that apply and are measured by default, where it is left out",
            ),
            "sweep": described(
                {"anyOf": [points, {"type": "array", "items": points}, {"type": "null"}]},
                "a mapping of dotted paths to lists of values is their product, a list of mappings a zip",
            ),
        }
    )


def figure(registry: Registry) -> Schema:
    """A figure: `false` leaves it out."""
    asked = closed(
        {
            "experiments": {"type": "array", "items": {"type": "string"}},
            "drawn_by": {"enum": registry.names("figures")},
        }
    )
    return {"anyOf": [{"const": False}, {"type": "null"}, asked]}


def network(registry: Registry) -> Schema:
    """The section `network`, whose activation is a plugin, named alone or in a section."""
    found = of_dataclass(Network, registry)
    names = registry.names("activations")
    found["properties"]["activation"] = {"anyOf": [{"enum": names}, section(registry, "activations")]}
    return described(found, summary(Network))


def section(registry: Registry, kind: str, further: Schema | None = None) -> Schema:
    """A section that names a plugin of a kind: `name`, and the keys of the plugin so named; `further` ones of its
    place."""
    names = registry.names(kind)
    rules = []
    for name in names:
        plugin = registry.find(kind, name).plugin
        if not dataclasses.is_dataclass(plugin):
            continue
        keys = {**fields(plugin, registry), **(further or {}), "name": {"const": name}}
        if kind == "problems" and "loss" in keys:
            named_alone = {**keys["loss"], "enum": registry.names("losses")}
            keys["loss"] = {"anyOf": [named_alone, section(registry, "losses")]}
        named = {"properties": {"name": {"const": name}}, "required": ["name"]}
        rules.append({"if": named, "then": described(closed(keys), summary(plugin))})
    return {"type": "object", "properties": {"name": {"enum": names}}, "allOf": rules}


def fields(cls: Any, registry: Registry) -> dict[str, Schema]:
    """The fields of a dataclass, each with its default."""
    hints = type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if field.init:
            found[field.name] = of_type(hints[field.name], registry)
            if isinstance(field.default, bool | int | float | str):
                found[field.name] = {**found[field.name], "default": field.default}
    return found


def of_dataclass(cls: Any, registry: Registry) -> Schema:
    """A section that a dataclass describes."""
    return closed(fields(cls, registry))


def of_type(hint: Any, registry: Registry) -> Schema:
    """The values that a type stands for in a config; a type that is none of a config's takes any."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [of_type(part, registry) for part in get_args(hint)]}
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin in (list, tuple):
        inner = get_args(hint)[0] if get_args(hint) else Any
        return {"type": "array", "items": of_type(inner, registry)}
    if origin is dict:
        return {"type": "object", "additionalProperties": of_type(get_args(hint)[1], registry)}
    if isinstance(hint, type) and issubclass(hint, Nested):
        keys = [field.name for field in dataclasses.fields(hint) if field.name not in ("name", "plugin")]
        return {"type": "object", "properties": {"name": {"type": "string"}, **{key: {} for key in keys}}}
    if dataclasses.is_dataclass(hint) and not inspect.isabstract(hint):
        return of_dataclass(hint, registry)
    return SCALARS.get(hint, {})


def closed(properties: dict[str, Schema]) -> Schema:
    """A section with these keys and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def or_null(properties: dict[str, Schema]) -> Schema:
    """A section with these keys and no others, or nothing."""
    return {**closed(properties), "type": ["object", "null"]}


def described(schema: Schema, text: str) -> Schema:
    """With what an editor shows at the key."""
    return {**schema, "description": text}


def summary(plugin: Any) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(plugin) or "").split("\n\n")[0].split())
