"""A config section against the dataclass it becomes: the signature is the schema.

The fields' types and defaults say which keys there are; `__post_init__` refuses values out of range by
raising ValueError("key: what is wrong"). Everything is reported with its place in the config.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from twolayer.errors import ConfigError, unknown_name

__all__ = ["Nested", "build", "canonical", "nested", "number", "parameters"]

Section = TypeVar("Section")

Find = Callable[[str, object, str], tuple[Any, Mapping[str, Any]]]
"""(kind, section, where) -> the registered plugin that the section names, and the section's other keys."""


@dataclass(frozen=True)
class Nested:
    """Base of a section inside a plugin's section that asks for a further plugin.

    A subclass says of which `kind`, and adds fields. In the config `name`, the subclass's keys and the
    keys of the plugin so named stand side by side; here `plugin` is what they built.
    """

    name: str
    plugin: Any

    kind: ClassVar[str]


def build(cls: type[Section], section: object, where: str, find: Find | None = None) -> Section:
    """The section as an instance of a dataclass, or a ConfigError that names the place.

    find: looks plugins up, for sections that hold further ones (`Nested`).
    """
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: must be a section with keys, is {section!r}")
    if issubclass(cls, Nested):
        return build_nested(cls, section, where, find)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in section:
        if key not in fields:
            message = unknown_name("key", key, fields)
            if isinstance(vars(cls).get(key), int | float | str | list):
                message += f" '{key}' of {cls.__name__} is none, as it has no type: write {key}: float = …"
            raise ConfigError(f"{where}.{key}: {message}")
    missing = [name for name, field in fields.items() if required(field) and name not in section]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)} (needed by {cls.__name__})")
    hints = type_hints(cls)  # type: ignore[arg-type]
    values = {key: convert(value, hints[key], f"{where}.{key}", find) for key, value in section.items()}
    return constructed(cls, values, where)


def constructed(cls: type[Section], values: Mapping[str, Any], where: str) -> Section:
    """An instance of a dataclass; what it refuses is raised with its place."""
    try:
        return cls(**values)
    except ValueError as error:
        key, colon, rest = str(error).partition(": ")
        of_field = re.split(r"[.\[]", key)[0] in {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        raise ConfigError(f"{where}.{key}: {rest}" if colon and of_field else f"{where}: {error}") from None


def build_nested(cls: type[Section], section: Mapping[str, Any], where: str, find: Find | None) -> Section:
    """A section whose keys are those of its class and those of the plugin that it names."""
    if find is None:
        raise ConfigError(f"{where}: names a plugin where none can be looked up")
    found, rest = find(cls.kind, section, where)  # type: ignore[attr-defined]
    fields = [field.name for field in dataclasses.fields(cls) if field.name not in ("name", "plugin")]  # type: ignore[arg-type]
    parts = [field.name for field in dataclasses.fields(found.plugin) if field.init]
    for key in rest:
        if key not in (*fields, *parts):
            raise ConfigError(f"{where}.{key}: {unknown_name('key', key, (*fields, *parts))}")
    plugin = build(found.plugin, {key: rest[key] for key in rest if key not in fields}, where, find)
    hints = type_hints(cls)  # type: ignore[arg-type]
    values = {key: convert(rest[key], hints[key], f"{where}.{key}", find) for key in fields if key in rest}
    return constructed(cls, {"name": found.name, "plugin": plugin, **values}, where)


def nested(value: Any) -> Iterator[Nested]:
    """The `Nested` sections inside a section that was built, however deep."""
    if isinstance(value, Nested):
        yield value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from nested(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from nested(item)


@cache
def type_hints(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields; cached, since the runs of a sweep ask for the same ones."""
    return get_type_hints(cls)


def required(field: dataclasses.Field[Any]) -> bool:
    """Whether a config must name the field."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def parameters(cls: type) -> list[tuple[str, str, str | None]]:
    """(name, type, default or None where required) of each field, as `twolayer plugins` shows them."""
    rows = []
    for field in dataclasses.fields(cls):
        default = None
        if field.default is not dataclasses.MISSING:
            default = repr(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = repr(field.default_factory())
        hint = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        rows.append((field.name, hint, default))
    return rows


def canonical(value: Any) -> Any:
    """A section as plain mappings, lists and scalars, defaults filled in: equal runs are equal text."""
    if isinstance(value, Nested):
        fields = {
            field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)[2:]
        }
        return {"name": value.name, **canonical(value.plugin), **fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: canonical(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def number(value: Any) -> Any:
    """A string that spells a number as that number (YAML 1.1 reads `1e-3` as text); all else unchanged."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def convert(value: Any, hint: Any, where: str, find: Find | None = None) -> Any:
    """The value as the type `hint`, or a ConfigError."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return convert_union(value, get_args(hint), where, find)
    if origin is Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{where}: {unknown_name('choice', value, map(str, get_args(hint)))}")
        return value
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: must be a list, is {value!r}")
        inner = get_args(hint)[0] if get_args(hint) else Any
        return [convert(item, inner, f"{where}[{index}]", find) for index, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: must be a mapping, is {value!r}")
        return {key: convert(item, get_args(hint)[1], f"{where}.{key}", find) for key, item in value.items()}
    if inspect.isabstract(hint) and isinstance(value, hint):
        return value  # a plugin that was built before
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, where, find)  # type: ignore[arg-type]
    return convert_scalar(value, hint, where)


def convert_union(value: Any, hints: tuple[Any, ...], where: str, find: Find | None = None) -> Any:
    """The first of several types that the value fits; where none does, the error of the nearest in shape,
    found deepest in the value."""
    if value is None and type(None) in hints:
        return None
    errors: list[tuple[bool, int, int, ConfigError]] = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return convert(value, hint, where, find)
        except ConfigError as error:
            shape = isinstance(value, Mapping) == (get_origin(hint) is dict or dataclasses.is_dataclass(hint))
            shape = shape and isinstance(value, list) == (get_origin(hint) is list)
            depth = len(str(error).partition(": ")[0])
            errors.append((not shape, -depth, len(errors), error))
    raise min(errors)[-1]


def convert_scalar(value: Any, hint: type, where: str) -> Any:
    """A number, truth value or text."""
    if hint in (int, float):
        value = number(value)
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= sys.float_info.max else math.inf
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not hint:
        raise ConfigError(f"{where}: must be {names.get(hint, hint)}, is {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: must be finite, is {value!r}")
    return value
