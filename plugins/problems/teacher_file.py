"""teacher_file: teachers from a file, one set for all seeds or one for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import problem
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_seed, shapes_of

from ._teachers import MadeTeachers

HIDDEN, OUTPUT = ("teacher", "feature"), ("teacher",)


@problem("teacher_file")
@dataclass(frozen=True)
class TeacherFile(MadeTeachers):
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_dimension), with v = `teacher_hidden(teacher, feature)` of a file.

    b = `teacher_output(teacher)`, or 1 where the file lacks it. Either may have a first dimension `seed`, a row for
    each seed: by the file's variable `seed(seed)`, or else row s for seed s, from 0 on. A `problem.nc` is such a file.
    profile, samples, noise and loss: as of `gaussian_teacher`. shared: one sample for all seeds.
    """

    path: str

    def __post_init__(self) -> None:
        self.check()

    @property
    def draws_vectors(self) -> bool:
        """Whether the file has teachers for each seed; not where it cannot be read yet."""
        try:
            found = shapes_of(self.path, ("teacher_hidden", "teacher_output"))
        except DataError:
            return False
        return any(next(iter(sizes), None) == "seed" for sizes in found.values())

    @property
    def per_seed(self) -> bool:
        """Whether each seed has another teacher, or another sample."""
        return self.draws_vectors or (self.samples is not None and not self.shared)

    def outputs(self, seed: int) -> float | list[float]:
        """b of a seed."""
        if "teacher_output" not in shapes_of(self.path, ("teacher_output",)):
            return 1.0
        found: list[float] = read_seed(self.path, {"teacher_output": OUTPUT}, seed)["teacher_output"].tolist()
        return found

    def vectors(self, random: np.random.Generator, seed: int) -> Any:
        """v of a seed."""
        return read_seed(self.path, {"teacher_hidden": HIDDEN}, seed)["teacher_hidden"]

    def of_seed(self, random: np.random.Generator, seed: int) -> Any:
        """As of the base; DataError where the file's numbers are refused."""
        vectors = self.vectors(random, seed)
        if vectors.shape[-1] != self.dimension:
            raise DataError(
                f"{self.path}: teacher_hidden has {counted(vectors.shape[-1], 'feature')}; dimension is "
                f"{self.dimension}"
            )
        try:
            return self.placed(vectors, self.outputs(seed))
        except ValueError as error:
            raise DataError(f"{self.path}: seed {seed}: {error}") from None
