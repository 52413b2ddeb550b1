"""Lanes: eight float64 numbers that one instruction works on, as a number inside compiled kernels.

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
from numba.extending import intrinsic, models, overload, register_model

from twolayer.kernels.jit import njit

__all__ = ["WIDTH", "aligned_zeros", "load", "repeat", "splat", "square_root", "store", "where_less"]

WIDTH = 8
VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
FUSED = ("contract",)
"""a·b + c may round once; nothing else is reordered, and NaN and infinity keep their meaning."""

instruction: Any = intrinsic  # numba has types for some of its functions only
insert_function: Any = cgutils.get_or_insert_function


class Lanes(types.Type):
    """The compiler's type of eight float64 numbers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """In memory and in registers, an LLVM vector."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, VECTOR)  # type: ignore[no-untyped-call]


def splat_value(builder: Any, value: Any, type_: Any) -> Any:
    """A float in all lanes; lanes as they are."""
    if isinstance(type_, Lanes):
        return value
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), mask)


def address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Where the numbers from `offset` of a flat array lie."""
    data = context.make_array(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), VECTOR.as_pointer())


def float_or_lanes(type_: Any) -> Any:
    """The type that an operand of lanes is taken as."""
    return type_ if isinstance(type_, Lanes) else types.float64


def binary(name: str) -> Any:
    """An instruction on two operands, of which one may be a float."""

    @instruction
    def operation(context: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pair = zip(arguments, signature.args, strict=True)
            return getattr(builder, name)(*(splat_value(builder, *one) for one in pair), flags=FUSED)

        return LANES(float_or_lanes(left), float_or_lanes(right)), generate

    return operation


def offer(symbol: Any, operation: Any) -> None:
    """Let `symbol` mean `operation` where lanes take part."""

    def apply(left: Any, right: Any) -> Any:
        return operation(left, right)

    @overload(symbol)
    def of_lanes(left: Any, right: Any) -> Any:
        return apply if isinstance(left, Lanes) or isinstance(right, Lanes) else None


for name, symbols in (
    ("fadd", (operator.add, operator.iadd)),
    ("fsub", (operator.sub, operator.isub)),
    ("fmul", (operator.mul, operator.imul)),
    ("fdiv", (operator.truediv, operator.itruediv)),
):
    for symbol in symbols:
        offer(symbol, binary(name))


@instruction
def load(context: Any, array: Any, offset: Any) -> Any:
    """The lanes at array[offset : offset + 8], of a flat float64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(address(context, builder, signature.args[0], *arguments), align=8)

    return LANES(array, types.intp), generate


@instruction
def repeat(context: Any, array: Any, offset: Any) -> Any:
    """array[offset] of a flat float64 array, in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
        return splat_value(builder, builder.load(builder.gep(data, [arguments[1]])), types.float64)

    return LANES(array, types.intp), generate


@instruction
def store(context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Put lanes at array[offset : offset + 8]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, offset, value = arguments
        target = address(context, builder, signature.args[0], array, offset)
        builder.store(splat_value(builder, value, signature.args[2]), target, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, float_or_lanes(value)), generate


@instruction
def splat(context: Any, value: Any) -> Any:
    """A float in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return splat_value(builder, arguments[0], signature.args[0])

    return LANES(types.float64), generate


@instruction
def where_less(context: Any, left: Any, right: Any, chosen: Any, other: Any) -> Any:
    """`chosen` in the lanes where left < right, `other` elsewhere (and where either is NaN)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [splat_value(builder, *one) for one in zip(arguments, signature.args, strict=True)]
        return builder.select(builder.fcmp_ordered("<", values[0], values[1]), values[2], values[3])

    return LANES(*(float_or_lanes(type_) for type_ in (left, right, chosen, other))), generate


@instruction
def square_root(context: Any, value: Any) -> Any:
    """√ of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR])
        root = insert_function(builder.module, kind, f"llvm.sqrt.v{WIDTH}f64")
        return builder.call(root, arguments)

    return LANES(LANES), generate


@njit(cache=True, nogil=True)
def aligned_zeros(rows: int, columns: int, like: Any) -> Any:
    """Zeros (rows, columns) that begin on a cache line; with 16 columns or a multiple, so does each row."""
    spare = np.zeros(rows * columns + 64 // like.itemsize, like.dtype)
    skip = (-spare.ctypes.data % 64) // like.itemsize
    return spare[skip : skip + rows * columns].reshape((rows, columns))
