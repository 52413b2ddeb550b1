"""trajectory: start where another run was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import InitializationSpec, Network, Weights, initialization
from twolayer.core.data import Data
from twolayer.errors import DataError
from twolayer.storage.netcdf import read


@initialization("trajectory")
@dataclass(frozen=True)
class TrajectoryStart(InitializationSpec):
    """The weights of a `trajectory.nc` at one of its saved times: each seed takes up where the same seed was.

    A file with a single seed serves every seed.
    """

    path: str
    time: float

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """Read the weights, widened to float64."""
        variables, _ = read(self.path)
        for name in ("hidden", "output", "time", "seed"):
            if name not in variables:
                raise DataError(f"{self.path}: is no trajectory file: it has no variable '{name}'")
        times, seeds = variables["time"][1], variables["seed"][1].tolist()
        index = int(np.argmin(np.abs(times - self.time)))
        if not np.isclose(times[index], self.time, rtol=1e-9, atol=0):
            raise DataError(
                f"{self.path}: no time {self.time!r} was saved; the nearest is {float(times[index])!r}"
            )
        if len(seeds) > 1 and seed not in seeds:
            raise DataError(f"{self.path}: has the seeds {seeds}, not {seed}")
        place = seeds.index(seed) if len(seeds) > 1 else 0
        hidden, output = variables["hidden"][1][place, index], variables["output"][1][place, index]
        shape = (network.neurons, data.features)
        if hidden.shape != shape:
            message = f"{self.path}: hidden is {hidden.shape}; this run has (neuron, feature) = {shape}"
            if (dimension := variables["hidden"][2].get("input_dimension")) is not None:
                message += (
                    f". The file is in {hidden.shape[1]} reduced coordinates of {dimension} features, teachers first: "
                    f"a problem of dimension {hidden.shape[1]} goes on from it"
                )
            raise DataError(message)
        if not (np.isfinite(hidden).all() and np.isfinite(output).all()):
            raise DataError(f"{self.path}: seed {seed} had diverged by time {self.time!r}")
        return Weights(hidden.astype(np.float64), output.astype(np.float64))
