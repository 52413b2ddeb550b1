"""Dense linear systems: L U with pivots, in plain loops.

The same bits whatever the number of threads, which LAPACK does not promise, and no slower at the sizes here.
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.kernels import INNER_DOT, SEPARATE
from twolayer.kernels.record import Integers, Matrix, Vector

__all__ = ["factor_lu", "largest_of", "solve_lu"]

PANEL = 4
"""Columns that are eliminated together, so that the rest of the matrix is read once for four of them."""


@SEPARATE
def largest_of(values: Matrix) -> float:
    """The largest absolute value; NaN where there is one."""
    largest = 0.0
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            size = abs(values[row, column])
            # Negated, so that NaN is kept.
            if not size <= largest:
                largest = size
    return largest


@SEPARATE
def factor_lu(matrix: Matrix, swaps: Integers) -> bool:
    """L U of a matrix (n, n) in place, L with a diagonal of ones; False if a pivot is 0.

    swaps (n,): the row that came to each place when it was its turn.
    """
    size = swaps.size
    for first in range(0, size, PANEL):
        last = min(first + PANEL, size)
        for pivot in range(first, last):
            best = pivot
            for row in range(pivot + 1, size):
                if abs(matrix[row, pivot]) > abs(matrix[best, pivot]):
                    best = row
            swaps[pivot] = best
            if matrix[best, pivot] == 0.0:
                return False
            if best != pivot:
                for column in range(size):
                    matrix[pivot, column], matrix[best, column] = matrix[best, column], matrix[pivot, column]
            for row in range(pivot + 1, size):
                matrix[row, pivot] /= matrix[pivot, pivot]
                for column in range(pivot + 1, last):
                    matrix[row, column] -= matrix[row, pivot] * matrix[pivot, column]
        for row in range(first + 1, last):
            for pivot in range(first, row):
                for column in range(last, size):
                    matrix[row, column] -= matrix[row, pivot] * matrix[pivot, column]
        for row in range(last, size):
            f0, f1, f2, f3 = (
                matrix[row, first],
                matrix[row, first + 1],
                matrix[row, first + 2],
                matrix[row, first + 3],
            )
            for column in range(last, size):
                matrix[row, column] -= (f0 * matrix[first, column] + f1 * matrix[first + 1, column]) + (
                    f2 * matrix[first + 2, column] + f3 * matrix[first + 3, column]
                )
    return True


@INNER_DOT
def dot_part(matrix: Matrix, row: int, first: int, last: int, vector: Vector) -> float:
    """Σ of matrix[row, i] vector[i] over first ≤ i < last."""
    total = 0.0
    for i in range(first, last):
        total += matrix[row, i] * vector[i]
    return total


@SEPARATE
def solve_lu(matrix: Matrix, swaps: Integers, right: Vector) -> None:
    """Solve with the factors of `factor_lu`; the right side (n,) becomes the solution."""
    size = right.size
    for row in range(size):
        right[row], right[swaps[row]] = right[swaps[row]], right[row]
    for row in range(size):
        right[row] -= dot_part(matrix, row, np.int64(0), row, right)
    for row in range(size - 1, -1, -1):
        right[row] = (right[row] - dot_part(matrix, row, row + 1, size, right)) / matrix[row, row]
