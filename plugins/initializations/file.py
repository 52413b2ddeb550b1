"""file: initial weights from a netCDF file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from twolayer import FiniteData, InitializationSpec, Network, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_arrays


@initialization("file")
@dataclass(frozen=True)
class FileStart(InitializationSpec):
    """`initial_hidden(neuron, feature)` and `initial_output(neuron)` of a netCDF file, for every seed.

    coordinates: `full`, all d features; `reduced`, on a teacher: the min(d, m + k) coordinates of the span of teachers
    and students, the teachers' first, in which the run's files then are.
    balanced: set a_j = sign(a_j)|w_j| in float64, where the file is balanced only to its precision.
    """

    path: str
    balanced: bool = False
    coordinates: Literal["full", "reduced"] = "full"

    @property
    def in_reduced_coordinates(self) -> bool:
        """As `coordinates` says."""
        return self.coordinates == "reduced"

    def draw(self, data: FiniteData, network: Network, random: np.random.Generator) -> Weights:
        """The file's weights, widened to float64."""
        shape = (network.neurons, data.features)
        wanted = {"initial_hidden": ("neuron", "feature"), "initial_output": ("neuron",)}
        arrays = read_arrays(self.path, wanted)
        hidden, output = arrays["initial_hidden"], arrays["initial_output"]
        if hidden.shape != shape:
            raise DataError(
                f"{self.path}: initial_hidden is {hidden.shape}; this run has (neuron, feature) = {shape}"
            )
        return Weights(hidden, np.sign(output) * norm(hidden) if self.balanced else output)
