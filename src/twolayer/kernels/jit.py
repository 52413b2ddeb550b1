"""numba's `njit`, with a cache that knows all of our kernels' sources.

numba recompiles a kernel when its file changes, but not when a kernel that it calls changes in another file:
an edited integrator would go on running its old parts. So the cache lies in a folder named for a hash over the
sources of all kernels, in a NUMBA_CACHE_DIR that the user has set too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys

__all__ = ["compiles", "njit", "only_process"]

PACKAGE = Path(__file__).parents[1]
USES = re.compile(r"^from twolayer\.kernels\.jit import", re.MULTILINE)
IMPORTS = re.compile(r"^from (twolayer[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


def kernel_sources() -> list[Path]:
    """The files from which numba's door below can be reached, and all that they import: a kernel freezes constants."""
    files = {file: list(imported(file)) for file in PACKAGE.rglob("*.py")}
    kernels, last = {Path(__file__)}, 0
    while len(kernels) > last:
        last = len(kernels)
        kernels |= {file for file, parts in files.items() if not kernels.isdisjoint(parts)}
    waiting, found = list(kernels), set(kernels)
    while waiting:
        new = set(files[waiting.pop()]) - found
        found |= new
        waiting += new
    return sorted(found)


def imported(file: Path) -> Iterator[Path]:
    """The files of this package that one imports when it is loaded."""
    for module, names in IMPORTS.findall(file.read_text(encoding="utf-8")):
        path = PACKAGE.joinpath(*module.split(".")[1:])
        for part in (path, *(path / name for name in re.findall(r"\w+", names))):
            if part.with_suffix(".py").is_file():
                yield part.with_suffix(".py")


def cache_folder(chosen: str) -> str:
    """The folder for compiled kernels of these very sources, in the folder that the user has chosen or in the package;
    empty where that cannot be written to."""
    if not chosen and not os.access(PACKAGE, os.W_OK):
        return ""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in kernel_sources())).hexdigest()[:12]
    return str(Path(chosen or PACKAGE / "__pycache__") / f"kernels-{digest}")


def load_array_functions() -> None:
    """Load numba's array functions, without which no kernel is compiled, and not all of SciPy with them.

    numba asks there whether SciPy has a BLAS, for the sums of `np.convolve` alone, which takes longer than to load
    most kernels. Kernels with matrix products ask again, when they are compiled and when they first run.
    """
    blas = "scipy.linalg"
    if blas in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules[blas] = None  # Python's sign for a module that cannot be imported
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        del modules[blas]


before_reading: list[Callable[[Any], None]] = []
"""What a kernel needs to be there before it is read: code from the cache knows some kernels by their symbols only."""


class Cache(FunctionCache):
    """numba's cache of a kernel, from which one is read without what it takes to compile one.

    numba acquaints its compiler with all functions that it knows before it looks for a kernel, which takes longer than
    to read most of them. It does so once more before it compiles. Files that cannot be read, as a crash or a full disk
    leaves them, are replaced; where none can be written, the kernel is compiled for this process alone.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        for load in before_reading:
            load(self._py_func)
        rtsys.initialize(target_context)  # arrays made inside a kernel
        with self._guard_against_spurious_io_errors():
            found = self.read(sig, target_context)
            if found:
                return found
        load_array_functions()
        return None

    def read(self, sig: Any, target_context: Any) -> Any:
        """The kernel from its files; None where they have none, or cannot be read, and then they are emptied."""
        try:
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # an altered pickle may raise anything
            with contextlib.suppress(OSError):
                self._cache_file.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def njit(**options: Any) -> Callable[[Any], Any]:
    """numba's `njit`; with `cache=True` its kernel is read as above."""

    def compiled(function: Any) -> Any:
        kernel = numba.njit(**options)(function)
        if options.get("cache") and compiles():
            kernel._cache = Cache(function)  # type: ignore[no-untyped-call]
        return kernel

    return compiled


def compiles() -> bool:
    """Whether kernels are compiled; NUMBA_DISABLE_JIT leaves them as Python, which has no lanes."""
    return not getattr(config, "DISABLE_JIT", False)  # set when numba is loaded


@contextlib.contextmanager
def only_process() -> Iterator[None]:
    """Wait until no other process with the same cache is within; at once where there can be no lock."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder = Path(settings.CACHE_DIR)
            folder.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context((folder / "compiling.lock").open("w")), fcntl.LOCK_EX)
        yield


settings: Any = config
settings.CACHE_DIR = cache_folder(settings.CACHE_DIR)
