"""A config section against the dataclass it becomes: the signature is the schema.

The fields' types and defaults say which keys there are; `__post_init__` refuses values out of range by
raising ValueError("key: what is wrong"). Everything is reported with its place in the config.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from twolayer.errors import ConfigError, unknown_name

__all__ = ["build", "canonical", "number", "parameters"]

Section = TypeVar("Section")


def build(cls: type[Section], section: object, where: str) -> Section:
    """The section as an instance of a dataclass, or a ConfigError that names the place."""
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: must be a section with keys, is {section!r}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in section:
        if key not in fields:
            raise ConfigError(f"{where}.{key}: {unknown_name('key', key, fields)}")
    missing = [name for name, field in fields.items() if required(field) and name not in section]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)} (needed by {cls.__name__})")
    hints = type_hints(cls)  # type: ignore[arg-type]
    values = {key: convert(value, hints[key], f"{where}.{key}") for key, value in section.items()}
    try:
        return cls(**values)
    except ValueError as error:
        key, colon, rest = str(error).partition(": ")
        place = f"{where}.{key}: {rest}" if colon and key in fields else f"{where}: {error}"
        raise ConfigError(place) from None


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


def convert(value: Any, hint: Any, where: str) -> Any:
    """The value as the type `hint`, or a ConfigError."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return convert_union(value, get_args(hint), where)
    if origin is Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{where}: {unknown_name('choice', value, map(str, get_args(hint)))}")
        return value
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: must be a list, is {value!r}")
        inner = get_args(hint)[0] if get_args(hint) else Any
        return [convert(item, inner, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: must be a mapping, is {value!r}")
        return {key: convert(item, get_args(hint)[1], f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, where)  # type: ignore[arg-type]
    return convert_scalar(value, hint, where)


def convert_union(value: Any, hints: tuple[Any, ...], where: str) -> Any:
    """The first of several types that the value fits; where none does, the error of the nearest in shape,
    found deepest in the value."""
    if value is None and type(None) in hints:
        return None
    errors: list[tuple[bool, int, int, ConfigError]] = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return convert(value, hint, where)
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
