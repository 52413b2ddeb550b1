"""Frames: what a dynamics yields, kept on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.arrays import to_host
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.errors import PluginError

__all__ = ["kept"]


def kept(frame: Any, start: Weights, dynamics: Dynamics, index: int, frames: int) -> Weights:
    """A frame as a copy on the host, as a dynamics may change it later; PluginError where it is one too many of
    `frames`, or not of the shape of the start."""
    where = f"dynamics {type(dynamics).__name__}"
    if index == frames:
        raise PluginError(f"{where}: yields more than {frames} frames; must yield one for each saved time")
    for name in ("hidden", "output"):
        shape, wanted = getattr(getattr(frame, name, None), "shape", None), getattr(start, name).shape
        if shape != wanted:
            raise PluginError(
                f"{where}: frame {index} has {name} of shape {shape}; must be Weights with {name} of shape {wanted}"
            )
    return Weights(np.array(to_host(frame.hidden)), np.array(to_host(frame.output)))
