"""The kernels that Python calls: compiled by one process at a time, with what they call apart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from numba import typeof

from twolayer.kernels.jit import compiles, only_process

__all__ = ["annotated_entry", "entry"]


def entry(kernel: Any) -> Any:
    """A kernel that Python alone calls: it is compiled, or read from the cache, while no other process does so.

    Two processes that begin together would each compile for a minute what one of them can read from the other.
    """
    if not compiles():
        return kernel

    @functools.wraps(kernel)
    def run(*arguments: Any) -> Any:
        if not kernel.overloads:
            compile_alone(kernel, tuple(map(typeof, arguments)))
        return kernel(*arguments)

    return run


def annotated_entry(kernel: Any) -> Any:
    """As `entry`, for the one signature that the annotations spell: a call does not look at the types of records,
    which takes numba longer than a short integration."""
    if not compiles():
        return kernel
    compiled: list[Callable[..., Any]] = []

    @functools.wraps(kernel)
    def run(*arguments: Any) -> Any:
        if not compiled:
            from twolayer.kernels.record import numba_type

            hints = get_type_hints(kernel.py_func, include_extras=True)
            names = inspect.signature(kernel.py_func).parameters
            compile_alone(kernel, tuple(numba_type(hints[name]) for name in names))
            (result,) = kernel.overloads.values()
            compiled.append(result.entry_point)
        return compiled[0](*arguments)

    return run


def compile_alone(kernel: Any, types: tuple[Any, ...]) -> None:
    """Compile a kernel and what it calls apart, or read them from the cache, while no other process does."""
    from twolayer.kernels.separate import load_separate

    with only_process():
        load_separate(kernel.py_func)
        kernel.compile(types)
