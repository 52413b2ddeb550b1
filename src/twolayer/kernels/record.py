"""Records: named arrays and numbers that compiled kernels take by one pointer.

numba passes a tuple of arrays as some hundred separate arguments, at every call again, and compiling them takes
longer than compiling the kernels. A record passes the address of a table of its arrays instead. Its fields do not
change, only the numbers in its arrays do; in a kernel its arrays are borrowed, and live as long as the record.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core.pythonapi import NativeValue, unbox
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr_generic, models, register_model, typeof_impl
from numba.np.numpy_support import as_dtype

__all__ = [
    "Bytes",
    "Cube",
    "Flags",
    "Integers",
    "Layout",
    "Matrix",
    "Pairs",
    "Record",
    "Signs",
    "Vector",
    "numba_type",
]

Vector = Annotated[npt.NDArray[np.float64], types.float64, 1]
Matrix = Annotated[npt.NDArray[np.float64], types.float64, 2]
Cube = Annotated[npt.NDArray[np.float64], types.float64, 3]
Integers = Annotated[npt.NDArray[np.int64], types.int64, 1]
Pairs = Annotated[npt.NDArray[np.int64], types.int64, 2]
Bytes = Annotated[npt.NDArray[np.int8], types.int8, 1]
Signs = Annotated[npt.NDArray[np.int8], types.int8, 2]
Flags = Annotated[npt.NDArray[np.bool_], types.boolean, 1]

NUMBERS: dict[Any, Any] = {int: types.int64, float: types.float64, bool: types.boolean}
WORD: Any = ir.IntType(64)
LINE = 64
"""The bytes of a cache line."""
once: Any = functools.cache
from_python: Any = unbox  # numba has types for some of its functions only
lower_field: Any = lower_getattr_generic
native: Any = NativeValue


def numba_type(annotation: Any) -> Any:
    """The compiler's type of what one of the annotations above, a number or a record stands for."""
    if get_origin(annotation) is Annotated:
        _, number, axes = get_args(annotation)
        return types.Array(number, axes, "C")
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return record_type(annotation)
    return NUMBERS[annotation]


@dataclass_transform(frozen_default=True, eq_default=False)
class Record:
    """Base class: a subclass names its fields, with the annotations above, int, float or bool."""

    address: int
    words: npt.NDArray[np.int64]

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, eq=False)(cls)
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            setattr(cls, field.name, InBlock(field.name))

    def __post_init__(self) -> None:
        words: list[int] = []
        for name, kind, wanted in words_of(type(self)):
            value = getattr(self, name)
            if wanted is not None:
                if value.dtype != wanted or value.ndim != kind.ndim or not value.flags.c_contiguous:
                    raise TypeError(f"{name} must be contiguous, with {kind.ndim} axes of {kind.dtype}")
                words.append(address_of(value))
                words.extend(value.shape)
            else:
                words.append(word_of(kind, value))
        table = np.array(words, dtype=np.int64)
        object.__setattr__(self, "words", table)
        object.__setattr__(self, "address", address_of(table))

    @property
    def arrays(self) -> dict[str, Any]:
        """Its arrays by name."""
        return {name: getattr(self, name) for name, _, wanted in words_of(type(self)) if wanted is not None}


class InBlock:
    """An array of a record that lies in a block of memory (`Layout`): made when Python asks for it first, as most are
    for kernels alone."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, record: Any, owner: Any) -> Any:
        if record is None:
            return self
        dtype, shape, start = vars(record)["layout"].arrays[self.name]
        array = np.ndarray(shape, dtype, record.block, start)
        vars(record)[self.name] = array
        return array


Kind = TypeVar("Kind", bound=Record)


class Layout(Generic[Kind]):
    """Where the arrays of records of one class and size lie in a block of memory, each on a cache line.

    Records of zeros are made of it in a few microseconds, however many arrays they have.

    fields: by name, the shape of an array, or a number.
    """

    def __init__(self, cls: type[Kind], fields: Mapping[str, Any]) -> None:
        self.cls = cls
        self.arrays: dict[str, tuple[Any, tuple[int, ...], int]] = {}
        """Numbers' type, shape and first byte of each array."""
        words: list[int] = []
        addresses: list[bool] = []
        bytes_so_far = LINE * -(-8 * record_type(cls).words // LINE)
        for name, kind, wanted in words_of(cls):
            value = fields[name]
            if wanted is None:
                words.append(word_of(kind, value))
                addresses.append(False)
                continue
            self.arrays[name] = wanted, tuple(value), bytes_so_far
            words += [bytes_so_far, *value]
            addresses += [True] + [False] * len(value)
            bytes_so_far += LINE * -(-math.prod(value) * wanted.itemsize // LINE)
        self.size = bytes_so_far // 8
        self.words, self.addresses = np.array(words), np.array(addresses, dtype=np.int64)
        numbers = {name: fields[name] for name, _, wanted in words_of(cls) if wanted is None}
        self.fixed = {"layout": self, **numbers}

    def zeros(self) -> Kind:
        """A record whose arrays are 0."""
        memory = np.zeros(self.size + LINE // 8, dtype=np.int64)
        base = address_of(memory)
        skip = -base % LINE
        block = memory[skip // 8 :]
        count = self.words.size
        np.multiply(self.addresses, base + skip, out=block[:count])
        block[:count] += self.words
        record = object.__new__(self.cls)
        vars(record).update(self.fixed, block=block, address=base + skip)
        return record


def word_of(kind: Any, number: Any) -> int:
    """The word of a number."""
    return int(np.float64(number).view(np.int64)) if kind == types.float64 else int(number)


def address_of(array: Any) -> int:
    """Where the numbers of an array lie; NumPy's dictionary of it takes a microsecond, and records have dozens."""
    if array.size and array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return int(array.__array_interface__["data"][0])


@once
def words_of(cls: Any) -> list[tuple[str, Any, Any]]:
    """The name, the compiler's type and, of an array, the numbers' type of each field of a class of records."""
    return [
        (name, kind, as_dtype(kind.dtype) if isinstance(kind, types.Array) else None)
        for name, kind in fields_of(cls).items()
    ]


@once
def fields_of(cls: Any) -> dict[str, Any]:
    """The compiler's types of the fields of a class of records."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: numba_type(hints[field.name]) for field in dataclasses.fields(cls)}


class RecordType(types.Type):
    """The compiler's type of the records of one class."""

    def __init__(self, cls: type[Record]) -> None:
        self.fields = fields_of(cls)
        self.words = sum(1 + getattr(kind, "ndim", 0) for kind in self.fields.values())
        """How long the table is."""
        super().__init__(name=f"{cls.__module__}.{cls.__qualname__}({self.fields})")

    def first_word(self, name: str) -> int:
        """Where the table has the words of a field."""
        index = 0
        for field, kind in self.fields.items():
            if field == name:
                return index
            index += 1 + getattr(kind, "ndim", 0)
        raise AttributeError(name)


@once
def record_type(cls: Any) -> RecordType:
    """One type per class."""
    return RecordType(cls)


@typeof_impl.register(Record)
def type_of_record(value: Record, context: Any) -> RecordType:
    """The type of a record that is passed from Python."""
    return record_type(type(value))


@register_model(RecordType)
class RecordModel(models.PrimitiveModel):
    """A pointer to the words."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, WORD.as_pointer())  # type: ignore[no-untyped-call]


@from_python(RecordType)
def unbox_record(type_: Any, value: Any, context: Any) -> Any:
    """The address of the words of a record from Python."""
    number = context.pyapi.object_getattr_string(value, "address")
    address = context.pyapi.long_as_longlong(number)
    context.pyapi.decref(number)
    return native(context.builder.inttoptr(address, WORD.as_pointer()))


@infer_getattr
class RecordAttribute(AttributeTemplate):
    """The type of a field."""

    key = RecordType

    def generic_resolve(self, type_: Any, name: str) -> Any:  # type: ignore[override]
        """None where there is no such field."""
        return type_.fields.get(name)


@lower_field(RecordType)
def load_field(context: Any, builder: Any, type_: Any, value: Any, name: str) -> Any:
    """Read a field. The words never change, so that loops need not read them again."""
    from numba.np import arrayobj  # slow to load, and not needed where kernels come from the cache

    fill_in: Any = arrayobj.populate_array
    kind, start = type_.fields[name], type_.first_word(name)

    def word(index: int) -> Any:
        pointer = builder.gep(value, [ir.Constant(WORD, index)], inbounds=True)
        loaded = builder.load(pointer)
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    if not isinstance(kind, types.Array):
        first = word(start)
        if kind == types.float64:
            return builder.bitcast(first, ir.DoubleType())
        return builder.icmp_signed("!=", first, ir.Constant(WORD, 0)) if kind == types.boolean else first
    array = context.make_array(kind)(context, builder)
    number = context.get_data_type(kind.dtype)
    size = context.get_abi_sizeof(number)
    shape = [word(start + 1 + axis) for axis in range(kind.ndim)]
    strides = [ir.Constant(WORD, size)]
    for extent in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], extent, flags=["nsw"]))
    fill_in(
        array,
        data=builder.inttoptr(word(start), number.as_pointer()),
        shape=shape,
        strides=strides,
        itemsize=ir.Constant(WORD, size),
        meminfo=None,
    )
    return array._getvalue()
