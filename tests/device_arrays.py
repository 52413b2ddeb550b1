"""Arrays that keep to themselves as CuPy's do: a stand-in for a GPU, in which host and device never mix.

array-api-strict knows the standard's functions and no others, but takes NumPy arrays in. Here functions and operators
refuse NumPy arrays and any other foreign ones, nothing is turned into a NumPy array implicitly, and NumPy's functions
refuse the arrays. As on a device: reductions give arrays without dimensions, which Python may ask for their number,
and scalars of Python and of NumPy take part. The only ways across are `namespace.asarray` and `get` (or DLPack, where
the host is named as its target).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
from array_api_compat import numpy as host

STANDARD = frozenset(name for name in dir(array_api_strict) if not name.startswith("_"))
OWN = frozenset({"ascontiguousarray"})
"""Of CuPy alone, for those who write into arrays."""

CREATION = frozenset(
    ["arange", "asarray", "broadcast_shapes", "empty", "eye", "finfo", "full", "iinfo", "isdtype"]
)
"""Functions that are handed no array."""

TWO_SIDED = frozenset(
    [
        "add",
        "atan2",
        "divide",
        "equal",
        "greater",
        "less",
        "maximum",
        "minimum",
        "multiply",
        "pow",
        "subtract",
    ]
)
"""Functions whose first argument may be a scalar."""

PLAIN = (bool, int, float, complex, str, type(None), type(...), slice, np.generic, np.dtype, type)

HOST, CUDA = (1, 0), (2, 0)
"""Devices, as DLPack numbers them."""


class Device:
    """The one device there is."""

    def __repr__(self) -> str:
        return "<device 0>"


DEVICE = Device()


def inner(item: Any) -> Any:
    """What an argument holds, on the device: arrays of this type, scalars, and lists of those."""
    if isinstance(item, DeviceArray):
        return item._data
    if isinstance(item, list | tuple):
        return type(item)(inner(part) for part in item)
    if isinstance(item, PLAIN):
        return item
    raise TypeError(f"Unsupported type {type(item)}")


def outer(result: Any) -> Any:
    """A result, on the device."""
    if isinstance(result, np.ndarray | np.generic):
        return DeviceArray(np.asarray(result))
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*map(outer, result))
    if isinstance(result, list | tuple):
        return type(result)(map(outer, result))
    return result


def has_array(item: Any) -> bool:
    """Whether an argument is an array of this type, or a list of such."""
    if isinstance(item, list | tuple):
        return len(item) > 0 and all(isinstance(part, DeviceArray) for part in item)
    return isinstance(item, DeviceArray)


class DeviceArray:
    """An array on the device."""

    __array_ufunc__ = None  # NumPy's operators leave the word to ours, its functions refuse
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    dtype = property(lambda self: self._data.dtype)
    device = property(lambda self: DEVICE)
    T = property(lambda self: DeviceArray(self._data.T))
    mT = property(lambda self: DeviceArray(self._data.mT))

    def get(self) -> np.ndarray:
        """A copy on the host."""
        return self._data.copy()

    def shared(self) -> np.ndarray:
        """The memory of the device itself, as a kernel sees it: for stand-ins of kernels only."""
        return self._data

    def item(self) -> Any:
        """The number of an array that has one."""
        return self._data.item()

    __float__ = __int__ = __complex__ = __bool__ = None  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
            "array explicitly."
        )

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        raise TypeError(f"{function.__name__} of NumPy was given an array of the device")

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return namespace

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA

    def __dlpack__(self, *, dl_device: Any = None, copy: Any = None, **options: Any) -> Any:
        if dl_device != HOST:
            raise BufferError("the array lies on the device")
        return self.get().__dlpack__(**options)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Any:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return outer(self._data[inner_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[inner_index(key)] = inner(value)

    def __repr__(self) -> str:
        return f"DeviceArray({self._data!r})"


def inner_index(key: Any) -> Any:
    """An index: numbers, slices, and arrays of the device; lists are left to NumPy."""
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, list | str | float):
            raise TypeError(f"Unsupported index {part!r}")
    return inner(key)


def unary(name: str) -> Callable[[DeviceArray], DeviceArray]:
    return lambda self: outer(getattr(operator, name)(self._data))


def binary(name: str) -> tuple[Callable[[Any, Any], Any], ...]:
    """An operator, the same from the right, and in place."""
    act = getattr(operator, name)

    def quiet(left: Any, right: Any) -> Any:
        with np.errstate(all="ignore"):  # a device does not warn
            return outer(act(left, right))

    def in_place(self: DeviceArray, other: Any) -> DeviceArray:
        self._data[...] = quiet(self._data, inner(other))._data
        return self

    return (
        lambda self, other: quiet(self._data, inner(other)),
        lambda self, other: quiet(inner(other), self._data),
        in_place,
    )


for operation in ("neg", "pos", "abs", "invert"):
    setattr(DeviceArray, f"__{operation}__", unary(f"__{operation}__"))
for operation in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    for prefix, act in zip(("", "r", "i"), binary(f"__{operation}__"), strict=True):
        setattr(DeviceArray, f"__{prefix}{operation}__", act)
for operation in ("lt", "le", "eq", "ne", "gt", "ge"):
    setattr(DeviceArray, f"__{operation}__", binary(f"__{operation}__")[0])
for number in (float, int, complex, bool):
    setattr(DeviceArray, f"__{number.__name__}__", lambda self, number=number: number(self._data.item()))


class Functions:
    """Functions of the standard, on arrays of the device alone."""

    def __init__(self, source: Any, name: str) -> None:
        self.__name__, self._source = name, source

    def __getattr__(self, name: str) -> Any:
        if name not in STANDARD | OWN and self._source is host:
            raise AttributeError(f"{self.__name__} has no {name}")
        found = getattr(self._source, name)
        return self._guarded(name, found) if callable(found) and not isinstance(found, type) else found

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **keywords: Any) -> Any:
            asked = arguments if name in TWO_SIDED else arguments[:1]
            if name not in CREATION and not any(map(has_array, asked)):
                raise TypeError(f"{name}: Unsupported type {type(arguments[0])}")
            if keywords.pop("device", DEVICE) not in (DEVICE, None):
                raise TypeError(f"{name}: there is no such device")
            with np.errstate(all="ignore"):
                return outer(
                    function(*inner(arguments), **{key: inner(value) for key, value in keywords.items()})
                )

        return guarded


class Namespace(Functions):
    """The array namespace of the device."""

    linalg = Functions(host.linalg, "device_arrays.linalg")

    def asarray(
        self, item: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None
    ) -> DeviceArray:
        """The explicit way onto the device, and the only function that takes a NumPy array."""
        if device not in (DEVICE, None):
            raise TypeError(f"asarray: there is no device {device!r}")
        if isinstance(item, DeviceArray):
            return DeviceArray(host.asarray(item._data, dtype=dtype, copy=copy))
        return DeviceArray(np.array(item if isinstance(item, np.ndarray) else inner(item), dtype=dtype))


namespace = Namespace(host, "device_arrays")
