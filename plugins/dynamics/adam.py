"""adam: steps of each weight in units of the size of its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from twolayer import Weights, dynamics
from twolayer.core.arrays import to_host

from ._first_order import FirstOrder, Memory

DIGIT = 2**20
"""The number of a step is saved as two digits of this base, which float32 holds exactly."""


@dynamics("adam")
@dataclass(frozen=True)
class Adam(FirstOrder):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − step_size m̂/(√v̂ + epsilon), entry by entry, g = ∇L(θ).

    m̂ = m/(1 − β₁^k) and v̂ = v/(1 − β₂^k) at step k. Source: Kingma and Ba 2015, as in `torch.optim.Adam` and
    `optax.adam`. β₁ = β₂ = 0 is descent by signs (where |g| is far above epsilon). A weight moves by about step_size a
    step whatever the loss's scale, so that saved times, step_size·step, are no time of the flow. Which axes features
    have matters: it is run in all of them.
    output_step_size: of the output layer, where it is another. batch_size: samples a step; without it all data.
    epochs: whether batches go through the data, each sample once an epoch, in an order drawn for each epoch anew.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 0 and below 1, is {getattr(self, name)!r}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon: must be above 0, is {self.epsilon!r}")

    def direction(self, gradient: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """m̂/(√v̂ + epsilon); m, v and the number of the step are carried."""
        step = 1
        if memory:
            high, low = to_host(memory["step"])[0].tolist()
            step = int(high) * DIGIT + int(low) + 1
        carried: dict[str, Any] = {}
        directions = {}
        for layer in ("hidden", "output"):
            slope = getattr(gradient, layer)
            mean, square = (1.0 - self.beta1) * slope, (1.0 - self.beta2) * slope**2
            if memory:
                mean = self.beta1 * memory[f"mean_{layer}"] + mean
                square = self.beta2 * memory[f"square_{layer}"] + square
            size = array_namespace(square).sqrt(square / (1.0 - self.beta2**step)) + self.epsilon
            directions[layer] = mean / (1.0 - self.beta1**step) / size
            carried |= {f"mean_{layer}": mean, f"square_{layer}": square}
        seeds = gradient.hidden.shape[0]
        carried["step"] = np.tile([float(step // DIGIT), float(step % DIGIT)], (seeds, 1))
        return Weights(**directions), carried
