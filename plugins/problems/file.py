"""file: data from a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, Network, ProblemSpec, problem
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_arrays, read_seed, shapes_of

WANTED = {"inputs": ("sample", "feature"), "targets": ("sample",)}


@problem("file")
@dataclass(frozen=True)
class FileProblem(ProblemSpec):
    """`inputs(sample, feature)` and `targets(sample)` of a `.nc`, `.npz` or `.csv` file; all else in it is not read.

    Either may have a first dimension `seed`: data then differ by seed, by the file's variable `seed(seed)`, or else
    seed s takes the s-th, from 0 on. Packed integers are unpacked; an entry that the file calls missing, or
    that was never written, is refused.
    """

    path: str
    loss: str = "half_mean_square"

    @property
    def laws(self) -> frozenset[str]:
        """Finite data, of no teacher."""
        return frozenset({"finite"})

    @property
    def per_seed(self) -> bool:
        """Whether inputs or targets have a dimension `seed`; not where the file cannot be read yet."""
        try:
            found = shapes_of(self.path, WANTED)
        except DataError:
            return False
        return any(tuple(found.get(name, ())) == ("seed", *wanted) for name, wanted in WANTED.items())

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The numbers of samples and of features; None where the file cannot be read yet."""
        try:
            found = shapes_of(self.path, WANTED)["inputs"]
        except (DataError, KeyError):
            return None, None
        return found.get("sample"), found.get("feature")

    def generate(self, random: np.random.Generator) -> FiniteData:
        """The data of a file that all seeds share, widened to float64."""
        arrays = read_arrays(self.path, WANTED)
        return FiniteData(arrays["inputs"], arrays["targets"], self.loss)

    def seed_data(self, network: Network, random: np.random.Generator, seed: int) -> FiniteData:
        """The data of a seed, widened to float64."""
        arrays = read_seed(self.path, WANTED, seed)
        return FiniteData(arrays["inputs"], arrays["targets"], self.loss)
