"""The initial weights of all seeds, checked: of the network's shape, finite, and within the range of the precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer.core.arrays import LARGEST, place_of_unusable
from twolayer.core.data import Data
from twolayer.core.initialization import InitializationSpec
from twolayer.core.network import Network, Weights
from twolayer.core.problem import data_of
from twolayer.core.seeds import random_of
from twolayer.errors import PluginError, TrainingError

__all__ = ["refuse_out_of_range", "start"]


def start(
    initialization: InitializationSpec, data: Data, network: Network, seeds: Sequence[int]
) -> tuple[Any, Any]:
    """The initial weights of all seeds in float64: hidden (seed, neuron, feature), output (seed, neuron).

    The drawn output is looked at where outputs are trained only; elsewhere it is 0 here. PluginError where a draw is
    not an array of finite numbers in the network's shape.
    """
    hidden, output = [], []
    for index, seed in enumerate(seeds):
        where = f"initialization {type(initialization).__name__}: seed {seed}"
        drawn = initialization.weights(data_of(data, index), network, random_of(seed, "initialization"), seed)
        if not isinstance(drawn, Weights):
            raise PluginError(f"{where}: returns {type(drawn).__name__}; must return Weights(hidden, output)")
        hidden.append(numbers(drawn.hidden, (network.neurons, data.features), f"{where}: hidden"))
        output.append(
            numbers(drawn.output, (network.neurons,), f"{where}: output")
            if network.output == "trained"
            else np.zeros(network.neurons)
        )
    return np.stack(hidden), np.stack(output)


def numbers(drawn: Any, shape: tuple[int, ...], what: str) -> Any:
    """A drawn array in float64, a copy, checked."""
    axes = ("neuron", "feature")[: len(shape)]
    wanted = f"must be an array of numbers of shape {shape}, {axes}"
    try:
        array = np.asarray(drawn)
    except ValueError as error:
        raise PluginError(f"{what} is no array ({error}); {wanted}") from error
    if np.ma.is_masked(drawn):
        raise PluginError(f"{what} has masked entries; {wanted}")
    if array.dtype.kind not in "fiu":
        raise PluginError(f"{what} is {type(drawn).__name__} of dtype {array.dtype}; {wanted}")
    if array.shape != shape:
        raise PluginError(f"{what} has shape {array.shape}; {wanted}")
    array = array.astype(np.float64)
    if (found := place_of_unusable(array)) is not None:
        spot, value = found
        raise PluginError(
            f"{what}{spot} is {value}; every number must be finite, and at most {LARGEST:g} in size"
        )
    return array


def refuse_out_of_range(name: str, array: Any, dtype: str, vectors: bool) -> None:
    """Refuse a float64 array that another precision cannot hold: TrainingError where a number, or a vector along the
    last axis, would become infinite, or is not 0 and yet smaller than the smallest number of full precision."""
    if dtype == "float64":
        return
    limits = np.finfo(dtype)
    size = np.abs(np.asarray(array, dtype=np.float64))
    size = size.max(-1) if vectors else size
    wrong = (size > limits.max) | ((size > 0) & (size < limits.smallest_normal))
    if wrong.any():
        spot = np.argwhere(wrong)[0].tolist()
        raise TrainingError(
            f"dtype: {name}{spot} has size {size[tuple(spot)]:.3g}; {dtype} has 0 and sizes from "
            f"{limits.smallest_normal:.3g} to {limits.max:.3g}: train in float64, or change the scale"
        )
