"""matrix: a start that the config writes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.wording import counted


@initialization("matrix")
@dataclass(frozen=True)
class Matrix(InitializationSpec):
    """All seeds start from `hidden`, a list of features for each neuron, and, where outputs are trained, `output`."""

    hidden: list[list[float]]
    output: list[float] | None = None

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse lists of other lengths than the run's, and missing outputs."""
        _, features = problem.size
        if len(self.hidden) != network.neurons:
            raise ValueError(
                f"hidden: {counted(len(self.hidden), 'list')} for {counted(network.neurons, 'neuron')}; "
                "give one for each"
            )
        for index, vector in enumerate(self.hidden):
            if len(vector) != (len(self.hidden[0]) if features is None else features):
                raise ValueError(f"hidden: [{index}] has {len(vector)} entries; an input has {features}")
        if network.output == "trained" and self.output is None:
            raise ValueError("output: trained outputs need a start; give one number for each neuron")
        if self.output is not None and len(self.output) != network.neurons:
            raise ValueError(
                f"output: {counted(len(self.output), 'number')} for {counted(network.neurons, 'neuron')}; "
                "give one for each"
            )

    def draw(self, data: FiniteData, network: Network, random: np.random.Generator) -> Weights:
        """As written."""
        output = np.zeros(network.neurons) if self.output is None else np.asarray(self.output, np.float64)
        return Weights(np.asarray(self.hidden, dtype=np.float64), output)
