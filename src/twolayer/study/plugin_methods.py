"""The methods that a plugin's class must write, and the arguments that they are called with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from twolayer.core.dynamics import Descent, InstantUpdate
from twolayer.core.initialization import InitializationSpec

__all__ = ["wrong_method"]

EITHER = (
    (Descent, ("steps", "trajectory")),
    (InstantUpdate, ("update", "trajectory")),
    (InitializationSpec, ("draw", "weights")),
)
"""A base, and methods one of which a subclass must write: the first, or one that does without it."""


def wrong_method(plugin: type, base: type) -> str:
    """A method as it should be that a plugin's class has not, or with other arguments; empty where there is none.

    base: the class that all plugins of the kind are derived from.
    """
    bases: list[type] = [base, *(one for one, _ in EITHER if issubclass(plugin, one) and one is not base)]
    for one, methods in EITHER:
        if issubclass(plugin, one) and all(
            getattr(plugin, method) is getattr(one, method) for method in methods
        ):
            return called(one, methods[0])
    for parent in bases:
        for method, written in written_in(plugin, parent):
            if not takes(written, len(arguments(getattr(parent, method)))):
                return f"{called(parent, method)}; it is {called(plugin, method)}"
    return ""


def written_in(plugin: type, base: type) -> Iterator[tuple[str, FunctionType]]:
    """The methods of a base that a class, or one between both, writes itself."""
    for name, method in vars(base).items():
        if isinstance(method, FunctionType) and not name.startswith("_"):
            written = inspect.getattr_static(plugin, name)
            if isinstance(written, FunctionType) and written is not method:
                yield name, written


def arguments(method: Any) -> list[str]:
    """The names of a function's positional arguments."""
    code = method.__code__
    return list(code.co_varnames[: code.co_argcount])


def takes(method: FunctionType, count: int) -> bool:
    """Whether a function can be called with so many positional arguments."""
    code, optional = method.__code__, len(method.__defaults__ or ())
    return code.co_argcount - optional <= count and (
        count <= code.co_argcount or bool(code.co_flags & inspect.CO_VARARGS)
    )


def called(cls: type, method: str) -> str:
    """`steps(problem, weights, random)`."""
    return f"{method}({', '.join(arguments(getattr(cls, method))[1:])})"
