"""file: data from a netCDF file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, ProblemSpec, problem
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_arrays


@problem("file")
@dataclass(frozen=True)
class FileProblem(ProblemSpec):
    """`inputs(sample, feature)` and `targets(sample)` of a netCDF file; whatever else it holds is not read.

    Packed integers are unpacked; an entry that the file calls missing, or that was never written, is refused.
    """

    path: str
    loss: str = "half_mean_square"

    @property
    def laws(self) -> frozenset[str]:
        """Finite data, of no teacher."""
        return frozenset({"finite"})

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The numbers of samples and of features; None where the file cannot be read yet."""
        try:
            samples, features = read_arrays(self.path, {"inputs": ("sample", "feature")})["inputs"].shape
        except DataError:
            return None, None
        return samples, features

    def generate(self, random: np.random.Generator) -> FiniteData:
        """The file's data, widened to float64."""
        arrays = read_arrays(self.path, {"inputs": ("sample", "feature"), "targets": ("sample",)})
        return FiniteData(arrays["inputs"], arrays["targets"], self.loss)
