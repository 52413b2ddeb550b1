"""What is done to arrays of any namespace."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, is_cupy_array, is_numpy_array

__all__ = ["norm", "to_host"]

Array = Any


def norm(vectors: Array) -> Array:
    """The Euclidean norm over the last axis, safe where squares leave the range of floats."""
    xp = array_namespace(vectors)
    largest = xp.max(xp.abs(vectors), axis=-1, keepdims=True)
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest[..., 0] * xp.sqrt(xp.sum((vectors / safe) ** 2, axis=-1))


def to_host(array: Array) -> Any:
    """An array of any namespace as a NumPy array: the one way from a device to the host."""
    import numpy as np

    if is_numpy_array(array):
        return array
    return array.get() if is_cupy_array(array) else np.from_dlpack(array, device="cpu")
