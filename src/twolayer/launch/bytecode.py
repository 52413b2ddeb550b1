"""Bytecode of what a process has loaded, for the next process.

`pip install --no-compile` leaves it to Python, which compiles what it loads and keeps it, unless the shell forbids
that (PYTHONDONTWRITEBYTECODE): Snakemake would be compiled at each start.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import sys

__all__ = ["keep_bytecode"]


def keep_bytecode() -> None:
    """Have this process keep bytecode from now on, and write what it has loaded without."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if spec and spec.has_location and spec.cached and not os.path.exists(spec.cached):
            with contextlib.suppress(OSError):  # a folder of the system's
                py_compile.compile(spec.origin, spec.cached, quiet=2)
