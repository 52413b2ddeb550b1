"""Kernels that are compiled once, apart from those that call them.

numba links a kernel into each kernel that calls it, and optimizes the two together: one that lies five calls deep is
compiled five times. `separate` compiles a kernel for the one signature that its annotations spell, and callers reach
it by its symbol. For kernels that do enough for a call to cost nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import llvmlite.binding as llvm
from numba.core import cgutils
from numba.extending import intrinsic

from twolayer.kernels.jit import before_reading, compiles, njit
from twolayer.kernels.record import numba_type

__all__ = ["load_separate", "separate"]

KERNELS: dict[Any, Separate] = {}
"""By what kernels call."""
instruction: Any = intrinsic  # numba has types for some of its functions only
insert_function: Any = cgutils.get_or_insert_function
if_unlikely: Any = cgutils.if_unlikely


class Separate:
    """A kernel with one signature."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.kernel: Any = njit(**options)(function)
        self.result: Any = None
        self.symbol = self.make_symbol()

    def load(self) -> Any:
        """Compile it, or read it from the cache, with what it calls, and make its symbol known; once."""
        if self.result is None:
            load_separate(self.function)
            hints = get_type_hints(self.function, include_extras=True)
            self.kernel.compile(
                tuple(numba_type(hints[name]) for name in inspect.signature(self.function).parameters)
            )
            (self.result,) = self.kernel.overloads.values()
            address = self.result.library.get_pointer_to_function(self.result.fndesc.llvm_func_name)
            llvm.add_symbol(self.name, address)
        return self.result

    @property
    def name(self) -> str:
        """The symbol: numba's name for it counts what a process has compiled, and changes from one to the next."""
        return f"{self.function.__module__}.{self.function.__name__}{self.result.signature}"

    def call(self, context: Any, builder: Any, signature: Any, values: Any) -> Any:
        """Declare the symbol and call it; what it raises, the caller raises."""
        convention = context.call_conv
        kind = convention.get_function_type(signature.return_type, signature.args)
        function = insert_function(builder.module, kind, self.name)
        status, result = convention.call_function(
            builder, function, signature.return_type, signature.args, values
        )
        with if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    def make_symbol(self) -> Any:
        """What kernels call."""

        def typed(context: Any, *arguments: Any) -> Any:
            return self.load().signature, self.call

        parameters = inspect.signature(self.function).parameters.values()
        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typed.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
        typed.__name__ = self.function.__name__
        return instruction(typed)


def separate(**options: Any) -> Any:
    """Decorator: options are those of `njit`. The kernel is called by kernels alone."""

    def decorate(function: Callable[..., Any]) -> Any:
        if not compiles():
            return function
        kernel = Separate(function, options | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True})
        KERNELS[kernel.symbol] = kernel
        return kernel.symbol

    return decorate


def load_separate(function: Any) -> None:
    """Load what a function calls, and what that calls: code from the cache knows it by its symbol only."""
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        kernel = KERNELS.get(called) if callable(called) else None
        if kernel is not None:
            kernel.load()
        elif hasattr(called, "py_func"):
            load_separate(called.py_func)


before_reading.append(load_separate)
