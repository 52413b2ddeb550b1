"""Two-layer networks and their weights.

Arrays carry their namespace (NumPy, CuPy, array-api-strict): nothing here names a library. Shapes are
written with the words of the datasets: seed, neuron, feature, sample. A leading `seed` axis broadcasts
everywhere, and may be missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from array_api_compat import device

from twolayer.core.activation import Activation
from twolayer.core.arrays import array_namespace, norm
from twolayer.core.wording import counted

__all__ = ["FIXED", "OUTPUTS", "TIED", "TRAINED", "Network", "OutputMode", "Weights", "placed_like"]

Array = Any

OutputMode = Literal["fixed", "trained", "tied"]

FIXED, TRAINED, TIED = 0, 1, 2
"""The output modes as kernels number them: d ln|w_j|/dt of a neuron with |a_j| = |w_j|, where 1 is that of trained
outputs."""

OUTPUTS: dict[str, int] = {"fixed": FIXED, "trained": TRAINED, "tied": TIED}
"""The number of each output mode."""


@dataclass(frozen=True)
class Weights:
    """The state of a network, a vector space: `hidden` (…, neuron, feature), `output` (…, neuron)."""

    hidden: Array
    output: Array

    of_flow: ClassVar[bool] = False
    forks, stall, resting = None, (), None
    """Set for the weights of a flow only (`trajectory.FlowWeights`)."""
    memory: ClassVar[Any] = None
    """Set where a dynamics carries more from step to step (`trajectory.WeightsWithMemory`)."""

    def mapped(self, function: Callable[[Array], Array]) -> Weights:
        """The same state with a function applied to each of its arrays of weights and memory."""
        return replace(self, hidden=function(self.hidden), output=function(self.output))

    def __add__(self, other: Weights) -> Weights:
        refuse_other(other, "+")
        return Weights(self.hidden + other.hidden, self.output + other.output)

    def __sub__(self, other: Weights) -> Weights:
        refuse_other(other, "-")
        return Weights(self.hidden - other.hidden, self.output - other.output)

    def __neg__(self) -> Weights:
        return Weights(-self.hidden, -self.output)

    def __mul__(self, factor: float) -> Weights:
        if isinstance(factor, Weights):
            raise TypeError(f"weights * weights: {ARITHMETIC}")
        return Weights(self.hidden * factor, self.output * factor)

    def __rmul__(self, factor: float) -> Weights:
        return Weights(factor * self.hidden, factor * self.output)

    def __truediv__(self, divisor: float) -> Weights:
        if isinstance(divisor, Weights):
            raise TypeError(f"weights / weights: {ARITHMETIC}")
        return Weights(self.hidden / divisor, self.output / divisor)

    def __pow__(self, power: Any) -> Weights:
        raise TypeError(f"weights ** {power!r}: {ARITHMETIC}")


ARITHMETIC = (
    "weights add, subtract, and take a number as a factor or divisor; for anything else write "
    "Weights(f(weights.hidden), f(weights.output))"
)


def refuse_other(other: object, sign: str) -> None:
    """A TypeError where weights meet what has no two layers."""
    if not isinstance(other, Weights):
        raise TypeError(f"weights {sign} {type(other).__name__}: {ARITHMETIC}")


@dataclass(frozen=True)
class Network:
    """The network f(x) = s Σ_j a_j σ(w_j·x).

    neurons: m, the number of hidden neurons. activation: σ.
    output: `trained` (a_j is a parameter), `fixed` (a_j = output_values) or `tied` (a_j = |w_j|).
    output_values: one number for all neurons or a list of m, with `fixed` only.
    output_scale: s, a number, `1/m` or `1/sqrt(m)`.
    """

    neurons: int
    activation: Activation
    output: OutputMode = "trained"
    output_values: float | list[float] = 1.0
    output_scale: float | Literal["1/m", "1/sqrt(m)"] = 1.0

    def __post_init__(self) -> None:
        if self.neurons < 1:
            raise ValueError(f"neurons: a network has at least 1 neuron, not {self.neurons}")
        if isinstance(self.output_values, list) and len(self.output_values) != self.neurons:
            raise ValueError(
                f"output_values: {counted(len(self.output_values), 'value')} for "
                f"{counted(self.neurons, 'neuron')}; give one for each"
            )
        if self.output != "fixed" and self.output_values != 1.0:
            raise ValueError(f"output_values: only with 'output: fixed', here it is '{self.output}'")
        if not isinstance(self.output_scale, str) and not 0 < self.output_scale < math.inf:
            raise ValueError(
                f"output_scale: must be above 0, is {self.output_scale!r}; output_values have signs"
            )

    @property
    def scale(self) -> float:
        """The factor s on the sum."""
        if self.output_scale == "1/m":
            return 1.0 / self.neurons
        if self.output_scale == "1/sqrt(m)":
            return 1.0 / math.sqrt(self.neurons)
        return float(self.output_scale)

    @property
    def mode(self) -> int:
        """The number of the output mode: `FIXED`, `TRAINED` or `TIED`."""
        return OUTPUTS[self.output]

    def with_tied_outputs(self, weights: Weights) -> Weights:
        """The weights with a_j = |w_j| where outputs are tied."""
        if self.output != "tied":
            return weights
        return Weights(weights.hidden, norm(weights.hidden))


def placed_like(array: Any, other: Array) -> Array:
    """An array of the host in the namespace, on the device and in the precision of another."""
    xp = array_namespace(other)
    return xp.asarray(array, dtype=other.dtype, device=device(other))
