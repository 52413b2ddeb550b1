"""How the kernels of the flow are compiled."""

from __future__ import annotations

from typing import Any

from twolayer.kernels.jit import njit
from twolayer.kernels.separate import separate

__all__ = ["INNER_DOT", "INNER_KERNEL", "KERNEL", "SEPARATE"]

COMMON: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
"""Without the interpreter's lock, since seeds run in threads, and without a check before every division."""
UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For kernels that only kernels call: the wrappers take longer to compile than most bodies."""

KERNEL: Any = njit(**COMMON)
SEPARATE: Any = separate(**COMMON)
"""For kernels that only kernels call, and that are compiled once."""
INNER_KERNEL: Any = njit(**COMMON, **UNWRAPPED)
"""For small ones, which are compiled into those that call them."""
INNER_DOT: Any = njit(**COMMON, **UNWRAPPED, fastmath={"reassoc", "contract"})
"""For a sum whose order is free, so that it vectorises."""
