"""numpy: the reference. Array code on the host, every seed in one array."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Backend, backend


@backend("numpy")
class NumPy(Backend):
    """Arrays are NumPy's, and a problem is the array code itself."""

    def asarray(self, array: Any, dtype: str) -> Any:
        """A host array, on the host."""
        return np.asarray(array, dtype=dtype)
