"""numba's `njit`, with a cache that knows all of our kernels' sources.

numba recompiles a kernel when its own file changes, but not when a kernel that it calls changes in another file:
an edited integrator would go on running its old parts. So the cache lies in a folder named for a hash over the
sources of all kernels. A NUMBA_CACHE_DIR of the user's own is left alone.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import config

__all__ = ["njit"]

PACKAGE = Path(__file__).parent
KERNEL_SOURCES = (
    "compiled.py",
    "compiled_batches.py",
    "compiled_flow.py",
    "compiled_population.py",
    "leaving_zero.py",
    "lanes.py",
    "sphere.py",
    "finite_flow/*.py",
)


def cache_folder() -> Path:
    """The folder for compiled kernels of these very sources."""
    files = sorted(file for pattern in KERNEL_SOURCES for file in PACKAGE.glob(pattern))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return PACKAGE / "__pycache__" / f"kernels-{digest}"


settings: Any = config
if not settings.CACHE_DIR and os.access(PACKAGE, os.W_OK):
    settings.CACHE_DIR = str(cache_folder())
