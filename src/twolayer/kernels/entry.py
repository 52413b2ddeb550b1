"""The kernels that Python calls: compiled by one process at a time, with what they call apart."""

from __future__ import annotations

import functools
from typing import Any

from numba import typeof

from twolayer.kernels.jit import compiles, only_process

__all__ = ["entry"]


def entry(kernel: Any) -> Any:
    """A kernel that Python alone calls: it is compiled, or read from the cache, while no other process does so.

    Two processes that begin together would each compile for a minute what one of them can read from the other.
    """
    if not compiles():
        return kernel

    @functools.wraps(kernel)
    def run(*arguments: Any) -> Any:
        if not kernel.overloads:
            from twolayer.kernels.separate import load_separate

            with only_process():
                load_separate(kernel.py_func)
                kernel.compile(tuple(map(typeof, arguments)))
        return kernel(*arguments)

    return run
