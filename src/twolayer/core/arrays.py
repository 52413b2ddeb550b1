"""What is done to arrays of any namespace."""

from __future__ import annotations

from typing import Any

import array_api_compat
from array_api_compat import is_cupy_array, is_numpy_array

__all__ = ["LARGEST", "array_namespace", "norm", "place_of_unusable", "to_host"]

Array = Any


def array_namespace(*arrays: Array) -> Any:
    """The array API of some arrays: NumPy for NumPy arrays, which have it, and else the layer of `array_api_compat`.

    The layer over NumPy would do the same, but loads all of NumPy, a tenth of a second for each job of a study.
    """
    import numpy as np

    for array in arrays:  # the type first, as the general question takes as long as a small operation
        if type(array) is not np.ndarray and not is_numpy_array(array):
            break
    else:
        return np
    return array_api_compat.array_namespace(*arrays)


def norm(vectors: Array) -> Array:
    """The Euclidean norm over the last axis, safe where squares leave the range of floats.

    In kernels: `kernels.sphere.length_of`.
    """
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


LARGEST = 1e100
"""The largest number of data and of a start: products of three of them are finite."""


def place_of_unusable(array: Any) -> tuple[str, float] | None:
    """`[0, 3]` and the number there, the first of an array on the host that is not finite or above `LARGEST` in size;
    None where all can be computed with."""
    import numpy as np

    usable = np.abs(array) <= LARGEST
    if usable.all():
        return None
    spot = np.argwhere(~usable)[0].tolist()
    return str(spot), float(array[tuple(spot)])
