"""Lanes: eight numbers of one float type that one instruction works on, as a number inside compiled kernels.

A kernel reads like scalar code; its caller decides what the lanes are (eight seeds, eight neurons). Lanes never mix,
so a number's bits do not depend on its neighbours. LLVM splits the eight where registers are shorter. There are
+, −, ×, / (with plain floats too), and the functions below.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_jitable, register_model

from twolayer.kernels.jit import njit

__all__ = [
    "WIDTH",
    "aligned_zeros",
    "any_less",
    "bits_less",
    "fused",
    "inlined",
    "load",
    "repeat",
    "rounded_difference",
    "rounded_sum",
    "splat",
    "square_root",
    "store",
    "swapped",
    "where_less",
]

WIDTH = 8
FUSED = ("contract",)
"""a·b + c may round once; nothing else is reordered, and NaN and infinity keep their meaning."""

inlined: Any = njit(cache=True, nogil=True, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For a function of lanes: it becomes a part of the kernels that call it, and nothing else can call it."""

instruction: Any = intrinsic  # numba has types for some of its functions only
operator_types: Any = infer_global
operator_code: Any = lower_builtin
insert_function: Any = cgutils.get_or_insert_function


class Lanes(types.Type):
    """The compiler's type of eight float64 or float32 numbers."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(name=f"Lanes({dtype})")
        self.dtype = dtype
        self.vector = ir.VectorType(ir.DoubleType() if dtype == types.float64 else ir.FloatType(), WIDTH)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """In memory and in registers, an LLVM vector."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, type_.vector)  # type: ignore[no-untyped-call]


def splat_value(builder: Any, value: Any, type_: Any) -> Any:
    """A float in all lanes; lanes as they are."""
    if isinstance(type_, Lanes):
        return value
    vector = ir.VectorType(value.type, WIDTH)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)


def address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Where the numbers from `offset` of a flat array lie."""
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), Lanes(array_type.dtype).vector.as_pointer())


def alignment(array_type: Any) -> int:
    """The bytes of one number."""
    return int(array_type.dtype.bitwidth // 8)


def common(*operands: Any) -> tuple[Any, ...]:
    """The type of the lanes among some operands, then what each is taken as: floats as the numbers of the lanes."""
    lanes = next(type_ for type_ in operands if isinstance(type_, Lanes))
    return lanes, *(type_ if isinstance(type_, Lanes) else lanes.dtype for type_ in operands)


def arithmetic(name: str, flags: tuple[str, ...] = FUSED) -> Any:
    """What LLVM does with two operands, of which one may be a float."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pair = zip(arguments, signature.args, strict=True)
        return getattr(builder, name)(*(splat_value(builder, *one) for one in pair), flags=flags)

    return generate


def binary(name: str, flags: tuple[str, ...]) -> Any:
    """A function of two operands."""

    @instruction
    def operation(context: Any, left: Any, right: Any) -> Any:
        lanes, *operands = common(left, right)
        return lanes(*operands), arithmetic(name, flags)

    return operation


def offer(symbol: Any, generate: Any) -> None:
    """Let an operator mean an instruction where lanes take part; as an `overload`, numba would compile a function for
    each operator of each kernel, a tenth of all that it compiles."""

    @operator_types(symbol)
    class OfLanes(AbstractTemplate):
        def generic(self, arguments: Any, keywords: Any) -> Any:
            if not any(isinstance(type_, Lanes) for type_ in arguments):
                return None
            lanes, *operands = common(*arguments)
            return lanes(*operands)

    for operands in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        operator_code(symbol, *operands)(generate)


for name, symbols in (
    ("fadd", (operator.add, operator.iadd)),
    ("fsub", (operator.sub, operator.isub)),
    ("fmul", (operator.mul, operator.imul)),
    ("fdiv", (operator.truediv, operator.itruediv)),
):
    for symbol in symbols:
        offer(symbol, arithmetic(name))

rounded_sum, rounded_difference = binary("fadd", ()), binary("fsub", ())
"""a + b and a − b, each rounded by itself, as compensated sums need them: never fused with a product."""


@instruction
def load(context: Any, array: Any, offset: Any) -> Any:
    """The lanes at array[offset : offset + 8], of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        return builder.load(address(context, builder, kind, *arguments), align=alignment(kind))

    return Lanes(array.dtype)(array, types.intp), generate


@instruction
def repeat(context: Any, array: Any, offset: Any) -> Any:
    """array[offset] of a flat array, in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
        return splat_value(builder, builder.load(builder.gep(data, [arguments[1]])), signature.args[0].dtype)

    return Lanes(array.dtype)(array, types.intp), generate


@instruction
def store(context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Put lanes at array[offset : offset + 8]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, offset, value = arguments
        target = address(context, builder, signature.args[0], array, offset)
        builder.store(
            splat_value(builder, value, signature.args[2]), target, align=alignment(signature.args[0])
        )
        return context.get_dummy_value()

    taken = value if isinstance(value, Lanes) else array.dtype
    return types.void(array, types.intp, taken), generate


@instruction
def splat(context: Any, value: Any) -> Any:
    """A float in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return splat_value(builder, arguments[0], signature.args[0])

    return Lanes(value)(value), generate


@instruction
def swapped(context: Any, value: Any) -> Any:
    """Lanes 1 and 2, 3 and 4, 5 and 6 in each other's place."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0, 2, 1, 4, 3, 6, 5, 7])
        return builder.shuffle_vector(arguments[0], ir.Constant(value.vector, ir.Undefined), mask)

    return value(value), generate


@instruction
def where_less(context: Any, left: Any, right: Any, chosen: Any, other: Any) -> Any:
    """`chosen` in the lanes where left < right, `other` elsewhere (and where either is NaN)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [splat_value(builder, *one) for one in zip(arguments, signature.args, strict=True)]
        return builder.select(builder.fcmp_ordered("<", values[0], values[1]), values[2], values[3])

    lanes, *operands = common(left, right, chosen, other)
    return lanes(*operands), generate


@instruction
def any_less(context: Any, left: Any, right: Any) -> Any:
    """Whether left < right in any lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [splat_value(builder, *one) for one in zip(arguments, signature.args, strict=True)]
        bits = builder.bitcast(builder.fcmp_ordered("<", *values), ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    _, *operands = common(left, right)
    return types.boolean(*operands), generate


@instruction
def bits_less(context: Any, left: Any, right: Any) -> Any:
    """The lanes in which left < right as the bits of a number, the first as the lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [splat_value(builder, *one) for one in zip(arguments, signature.args, strict=True)]
        bits = builder.bitcast(builder.fcmp_ordered("<", *values), ir.IntType(WIDTH))
        return builder.zext(bits, ir.IntType(64))

    _, *operands = common(left, right)
    return types.int64(*operands), generate


@instruction
def fused(context: Any, left: Any, right: Any, added: Any) -> Any:
    """left · right + added, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = signature.return_type
        values = [splat_value(builder, *one) for one in zip(arguments, signature.args, strict=True)]
        kind = ir.FunctionType(lanes.vector, [lanes.vector] * 3)
        name = f"llvm.fma.v{WIDTH}f{lanes.dtype.bitwidth}"
        return builder.call(insert_function(builder.module, kind, name), values)

    lanes, *operands = common(left, right, added)
    return lanes(*operands), generate


@instruction
def square_root(context: Any, value: Any) -> Any:
    """√ of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = signature.return_type
        kind = ir.FunctionType(lanes.vector, [lanes.vector])
        root = insert_function(builder.module, kind, f"llvm.sqrt.v{WIDTH}f{lanes.dtype.bitwidth}")
        return builder.call(root, arguments)

    return value(value), generate


@register_jitable  # compiled once for all constants that kernels call it with, as by njit it is not
def aligned_zeros(rows: int, columns: int, like: Any) -> Any:
    """Zeros (rows, columns) that begin on a cache line; with 16 columns or a multiple, so does each row."""
    spare = np.zeros(rows * columns + 64 // like.itemsize, like.dtype)
    skip = (-spare.ctypes.data % 64) // like.itemsize
    return spare[skip : skip + rows * columns].reshape((rows, columns))
