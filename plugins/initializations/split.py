"""split: a stored network with one of its neurons in two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import InitializationSpec, Network, Weights, initialization
from twolayer.core.data import Data
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.storage.netcdf import read_seed


@initialization("split")
@dataclass(frozen=True)
class Split(InitializationSpec):
    """The start of a file with neuron w_i replaced by share·w_i at its place and (1 − share)·w_i as the last neuron,
    and noise·N(0, I) added to every hidden weight. Where σ(cz) = cσ(z), splitting alone does not change the function.

    path: a netCDF file as `file` reads it, of a network with one neuron less. neuron: i, from 0 on.
    row: of a file with several starts (`seed`), the one that all seeds begin from; left out, one for each seed.
    Trained outputs of both parts are a_i.
    """

    path: str
    neuron: int
    share: float = 0.5
    noise: float = 0.0
    row: int | None = None

    def __post_init__(self) -> None:
        if self.neuron < 0:
            raise ValueError(f"neuron: from 0 on, is {self.neuron}")
        if not 0 < self.share < 1:
            raise ValueError(f"share: must lie between 0 and 1, is {self.share!r}")
        if self.noise < 0:
            raise ValueError(f"noise: must be 0 or above, is {self.noise!r}")

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """The split network, in float64."""
        wanted: dict[str, tuple[str, ...]] = {"initial_hidden": ("neuron", "feature")}
        if network.output == "trained":
            wanted["initial_output"] = ("neuron",)
        arrays = read_seed(self.path, wanted, seed if self.row is None else self.row)
        hidden, shape = arrays["initial_hidden"], (network.neurons - 1, data.features)
        if hidden.shape != shape:
            raise DataError(
                f"{self.path}: initial_hidden is {hidden.shape}; a network of "
                f"{counted(network.neurons, 'neuron')} is split "
                f"from (neuron, feature) = {shape}"
            )
        if self.neuron >= len(hidden):
            raise DataError(
                f"{self.path}: has {counted(len(hidden), 'neuron')}, and none of number {self.neuron}"
            )
        parts = np.array([[self.share], [1.0 - self.share]]) * hidden[self.neuron]
        split = np.concatenate([hidden, parts[1:]])
        split[self.neuron] = parts[0]
        output = arrays.get("initial_output", np.zeros(len(hidden)))
        noise = self.noise * random.standard_normal(split.shape)
        return Weights(split + noise, np.append(output, output[self.neuron]))
