"""points: data written in the config."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, ProblemSpec, problem
from twolayer.core.wording import counted


@problem("points")
@dataclass(frozen=True)
class Points(ProblemSpec):
    """Inputs (sample, feature), or a flat list where there is one feature, and their targets.

    bias: append the constant coordinate 1 to every input, so that w·x holds the bias.
    """

    inputs: list[float] | list[list[float]]
    targets: list[float]
    bias: bool = False
    loss: str = "half_mean_square"

    def __post_init__(self) -> None:
        lengths = {len(row) if isinstance(row, list) else 0 for row in self.inputs}
        if not self.inputs or len(lengths) > 1:
            raise ValueError(f"inputs: every input needs the same number of features, not {sorted(lengths)}")
        if lengths == {0} and isinstance(self.inputs[0], list):
            raise ValueError("inputs: an input needs at least 1 feature")
        if len(self.inputs) != len(self.targets):
            raise ValueError(
                f"targets: {counted(len(self.targets), 'target')} for {counted(len(self.inputs), 'input')}"
            )

    @property
    def laws(self) -> frozenset[str]:
        """Finite data, of no teacher."""
        return frozenset({"finite"})

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of points and of features."""
        first = self.inputs[0]
        return len(self.targets), (len(first) if isinstance(first, list) else 1) + self.bias

    def generate(self, random: np.random.Generator) -> FiniteData:
        """The points as arrays."""
        inputs = np.asarray(self.inputs, dtype=np.float64).reshape(len(self.inputs), -1)
        if self.bias:
            inputs = np.column_stack([inputs, np.ones(len(inputs))])
        return FiniteData(inputs, np.asarray(self.targets, dtype=np.float64), self.loss)
