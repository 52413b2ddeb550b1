"""Records and separately compiled kernels, against the same in Python."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from twolayer.kernels.entry import entry
from twolayer.kernels.jit import compiles, njit
from twolayer.kernels.record import Bytes, Cube, Flags, Integers, Layout, Matrix, Record, Vector
from twolayer.kernels.separate import load_separate, separate

SEPARATE = separate(nogil=True, error_model="numpy")


class Everything(Record):
    """One field of each kind."""

    cube: Cube
    factor: float
    matrix: Matrix
    count: int
    vector: Vector
    on: bool
    sides: Bytes
    index: Integers
    flags: Flags


def everything() -> Everything:
    """Numbers that tell the fields apart."""
    return Everything(
        cube=np.arange(24.0).reshape(2, 3, 4),
        factor=-0.5,
        matrix=np.arange(6.0).reshape(3, 2),
        count=-7,
        vector=np.array([0.25, np.inf]),
        on=True,
        sides=np.array([-1, 0, 1], dtype=np.int8),
        index=np.array([2**40], dtype=np.int64),
        flags=np.array([False, True]),
    )


@SEPARATE
def add_row(row: int, record: Everything, share: float) -> float:
    """matrix[row] += share · factor; the sum of the row before."""
    total = 0.0
    for column in range(record.matrix.shape[1]):
        total += record.matrix[row, column]
        record.matrix[row, column] += share * record.factor
    return total


@SEPARATE
def add_rows(record: Everything) -> tuple[float, int]:
    """`add_row` of all rows, twice each."""
    total = 0.0
    for row in range(record.matrix.shape[0]):
        total += add_row(row, record, 1) + add_row(row, record, 3.0)
    return total, record.count


@entry
@njit(nogil=True)
def run(record):  # type: ignore[no-untyped-def]
    """What Python calls."""
    total, count = add_rows(record)
    rest = record.cube[1, 2, 3] + record.vector[0] + record.sides[0] + record.index[0]
    return total, count, record.on and record.flags[1] and not record.flags[0], rest, record.cube.shape


def test_kernels_read_and_write_the_arrays_of_a_record() -> None:
    record = everything()
    before = record.matrix.copy()
    total, count, on, rest, shape = run(record)
    assert (count, bool(on), tuple(shape)) == (-7, True, (2, 3, 4))
    assert rest == 23.0 + 0.25 - 1.0 + 2.0**40
    # Once as it was, and once after the first change of −0.5 to each number.
    assert total == 2.0 * before.sum() - 0.5 * before.size
    np.testing.assert_array_equal(record.matrix, before - 2.0)


def test_a_record_in_one_block_is_as_one_of_single_arrays() -> None:
    """The same numbers from a kernel, which changes the same arrays; and the next record of the layout is of zeros."""
    names = list(Everything.__annotations__)
    single = everything()
    values = {name: getattr(single, name) for name in names}
    layout = Layout(Everything, {name: getattr(value, "shape", value) for name, value in values.items()})
    block = layout.zeros()
    assert (block.factor, block.count, block.on) == (-0.5, -7, True)
    for name, array in block.arrays.items():
        assert array.dtype == values[name].dtype
        assert array.shape == values[name].shape
        assert not array.any()
        assert array.ctypes.data % 64 == 0
        array[...] = values[name]
    assert run(block) == run(single)
    for name, array in block.arrays.items():
        np.testing.assert_array_equal(array, getattr(single, name))
    assert not any(array.any() for array in layout.zeros().arrays.values())


@pytest.mark.parametrize("kind", ["dtype", "axes", "order"])
def test_an_array_that_does_not_fit_is_refused(kind: str) -> None:
    fields = {name: getattr(everything(), name) for name in Everything.__annotations__}
    fields["matrix"] = {
        "dtype": np.zeros((3, 2), dtype=np.float32),
        "axes": np.zeros(6),
        "order": np.zeros((2, 3)).T,
    }[kind]
    with pytest.raises(TypeError, match="matrix must be contiguous, with 2 axes of float64"):
        Everything(**fields)


UNCOMPILED = (
    "NUMBA_DISABLE_JIT is set, so no kernel is compiled: unset it and run `pytest tests/core/test_records.py`"
)


def test_a_kernel_is_compiled_once_however_many_call_it() -> None:
    if not compiles():
        pytest.skip(UNCOMPILED)
    load_separate(run.__wrapped__.py_func)
    run(everything())
    assert len(run.__wrapped__.overloads) == 1
    (code,) = run.__wrapped__.inspect_llvm().values()
    # The entry knows the kernel by its symbol, and has no copy of it.
    assert "declare" in code
    assert not any("define" in line and "add_row" in line for line in code.splitlines())


SCRIPT = """
import numpy as np
from twolayer.kernels.jit import njit
from twolayer.kernels.record import Record, Vector
from twolayer.kernels.separate import separate

class Numbers(Record):
    values: Vector

@separate(cache=True)
def first(record: Numbers) -> float:
    return record.values[0]

@njit(cache=True)
def outer(record):
    return 2.0 * first(record)

print(outer(Numbers(np.array([21.0]))), sum(outer.stats.cache_hits.values()))
"""


def test_a_kernel_from_the_cache_finds_those_that_it_calls(tmp_path: Path) -> None:
    if not compiles():
        pytest.skip(UNCOMPILED)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    printed = [
        subprocess.run(
            [sys.executable, str(script)], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert printed == [["42.0", "0"], ["42.0", "1"]]
