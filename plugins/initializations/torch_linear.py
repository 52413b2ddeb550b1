"""torch_linear: the start of two layers `torch.nn.Linear`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.data import Data


@initialization("torch_linear")
@dataclass(frozen=True)
class TorchLinear(InitializationSpec):
    """w_jk uniform on ±1/√d and a_j uniform on ±1/√m: the law of `nn.Linear(d, m)` and `nn.Linear(m, 1)` of PyTorch.

    Weights are drawn there by `kaiming_uniform_(a=√5)`, of bound √(6/((1 + a²) fan_in)) = 1/√fan_in, and a bias on
    ±1/√fan_in too. It is the same law; the numbers are not those of PyTorch's generator.
    bias: whether the last feature is the constant 1 (`bias: true` of `points`), whose weight is then the bias: d does
    not count it. scale: a factor on all of it.
    """

    bias: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a bias where it is the only feature."""
        _, features = problem.size
        if self.bias and features == 1:
            raise ValueError("bias: the inputs have one feature, and a bias needs another one; leave it out")

    def draw(self, data: Data, network: Network, random: np.random.Generator) -> Weights:
        """Draw hidden (neuron, feature), then output (neuron)."""
        bound = self.scale / math.sqrt(data.features - self.bias)
        hidden = random.uniform(-bound, bound, (network.neurons, data.features))
        bound = self.scale / math.sqrt(network.neurons)
        return Weights(hidden, random.uniform(-bound, bound, network.neurons))
