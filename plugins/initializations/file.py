"""file: initial weights from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from twolayer import InitializationSpec, Network, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.core.data import Data
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_seed


@initialization("file")
@dataclass(frozen=True)
class FileStart(InitializationSpec):
    """`initial_hidden(neuron, feature)` and `initial_output(neuron)` of a `.nc`, `.npz` or `.csv` file; with a first
    dimension `seed`, each seed has a start: by the file's variable `seed(seed)`, or else seed s the s-th, from 0 on.

    coordinates: `full`, all d features; `reduced`, on a teacher: the min(d, m + k) coordinates of the span of teachers
    and students, the teachers' first, in which the run's files then are.
    balanced: set a_j = sign(a_j)|w_j| in float64, where the file is balanced only to its precision.
    Where outputs are fixed or tied, `initial_output` is not used and may be missing.
    """

    path: str
    balanced: bool = False
    coordinates: Literal["full", "reduced"] = "full"

    @property
    def in_reduced_coordinates(self) -> bool:
        """As `coordinates` says."""
        return self.coordinates == "reduced"

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """The file's weights, widened to float64."""
        shape = (network.neurons, data.features)
        wanted: dict[str, tuple[str, ...]] = {"initial_hidden": ("neuron", "feature")}
        if network.output == "trained":
            wanted["initial_output"] = ("neuron",)
        arrays = read_seed(self.path, wanted, seed)
        hidden = arrays["initial_hidden"]
        if hidden.shape != shape:
            raise DataError(
                f"{self.path}: initial_hidden is {hidden.shape}; this run has (neuron, feature) = {shape}"
            )
        output = arrays.get("initial_output", np.zeros(network.neurons))
        return Weights(hidden, np.sign(output) * norm(hidden) if self.balanced else output)
