"""What an activation plugin is: σ, which every neuron applies to its preactivation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from twolayer.core.arrays import array_namespace
from twolayer.errors import TrainingError

__all__ = ["Activation", "GaussianKernel", "TwoSlope", "two_slopes"]

Array = Any


class GaussianKernel(ABC):
    """K(A, B, C) = E σ(u·x)σ(v·x) over x ~ N(0, I), with A = |u|², B = |v|², C = u·v, and its derivatives.

    Elementwise on arrays of one shape, which carry their namespace. K is symmetric, K(A, B, C) = K(B, A, C), and obeys
    4K_AB = K_CC, so that derivatives in B follow. By Price's theorem 2K_A = E σ''σ, K_C = E σ'σ', 4K_AA = E σ''''σ,
    2K_AC = E σ'''σ' and K_CC = E σ''σ''.
    """

    @abstractmethod
    def value(self, first: Array, second: Array, inner: Array) -> Array:
        """K(A, B, C)."""

    @abstractmethod
    def first(self, first: Array, second: Array, inner: Array) -> tuple[Array, Array]:
        """2K_A and K_C."""

    @abstractmethod
    def second(self, first: Array, second: Array, inner: Array) -> tuple[Array, Array, Array]:
        """4K_AA, 2K_AC and K_CC."""

    knows_fourth = False
    """Whether it gives `fourth`, which the noise of stochastic gradient descent needs (`order_parameters`)."""

    def fourth(self, covariance: Array) -> Array:
        """E σ'(λ₁)σ'(λ₂)σ(λ₃)σ(λ₄), (…,), of λ ~ N(0, covariance), (…, 4, 4)."""
        raise TrainingError(f"{type(self).__name__} has no closed form of E σ'σ'σσ")

    def squared_error(self, overlaps: Array, coefficients: Array, students: int) -> Array:
        """E σ'(λ_i)σ'(λ_j)(Σ_q c_q σ(λ_q))², (i, j) over the students, which come first: overlaps (unit, unit) is the
        covariance of λ, coefficients c (unit,). Here by `fourth`, at the cost of (students × units)²."""
        xp = array_namespace(overlaps)
        n = overlaps.shape[0]
        index = [xp.arange(size) for size in (students, students, n, n)]
        axes = [xp.reshape(each, (1,) * k + (-1,) + (1,) * (3 - k)) for k, each in enumerate(index)]
        shape = (students, students, n, n)
        rows = [xp.stack([xp.broadcast_to(overlaps[a, b], shape) for b in axes], axis=-1) for a in axes]
        moments = self.fourth(xp.stack(rows, axis=-2))
        return xp.sum(moments * coefficients[:, None] * coefficients, axis=(-2, -1))


class Activation(ABC):
    """σ, elementwise; the fields of the dataclass are its config section.

    A subclass writes `value` and `derivative`, and says what σ is by `even` and `degree`; it may write
    `second_derivative` and give `kernel`. The arrays carry their namespace.
    """

    even = False
    """Whether σ(−z) = σ(z)."""

    degree: float | None = None
    """κ of σ(cz) = c^κ σ(z) for c > 0, or None."""

    slopes: tuple[float, float, float] | None = None
    """σ' under, at and over 0 where σ is linear on either side (`TwoSlope`), or None."""

    compiled = ""
    """The name by which compiled kernels of other activations than those of two slopes know it; empty: they do not."""

    kernel: GaussianKernel | None = None
    """The closed form of a teacher's loss; where it is None, `population.gaussian_kernel` integrates by quadrature."""

    @abstractmethod
    def value(self, preactivation: Array) -> Array:
        """σ(z)."""

    @abstractmethod
    def derivative(self, preactivation: Array) -> Array:
        """σ'(z)."""

    def second_derivative(self, preactivation: Array) -> Array:
        """σ''(z), of the Hessian and of implicit flows.

        Here by differences of σ' over ±1, ±2, ±3 steps of 2⁻⁸, of sixth order: to about 1e-13 in float64 where σ
        varies over lengths of order one. A plugin that knows σ'' writes it.
        """
        step = 2.0**-8
        first, second, third = (
            self.derivative(preactivation + count * step) - self.derivative(preactivation - count * step)
            for count in (1, 2, 3)
        )
        return (45.0 * first - 9.0 * second + third) / (60.0 * step)


def two_slopes(activation: Activation, what: str) -> TwoSlope:
    """The activation, or a TrainingError where it is none that `what`, as a kernel, knows."""
    if not isinstance(activation, TwoSlope):
        raise TrainingError(
            f"{what} knows activations of two slopes, not {type(activation).__name__}; "
            "derive it from TwoSlope if it is linear on either side of 0"
        )
    return activation


class TwoSlope(Activation):
    """σ(z) = `below` · z for z < 0 and `above` · z for z > 0.

    That is p z + q|z| with 2p = above + below and 2q = above − below. A subclass sets the two numbers. It runs
    on every closed form, kernel and flow that relu runs on.
    """

    below: float
    above: float
    degree = 1.0

    @property
    def slopes(self) -> tuple[float, float, float]:  # type: ignore[override]
        """(below, at_zero, above): σ' on either side of 0, and at it."""
        return float(self.below), self.at_zero, float(self.above)

    @property
    def at_zero(self) -> float:
        """σ'(0): the number between both slopes that is nearest to 0, the least subgradient. 0 for relu and |·|."""
        if self.below * self.above <= 0.0:
            return 0.0
        return float(min(self.below, self.above, key=abs))

    @property
    def linear(self) -> float:
        """p of p z + q|z|."""
        return 0.5 * (self.above + self.below)

    @property
    def absolute(self) -> float:
        """q of p z + q|z|."""
        return 0.5 * (self.above - self.below)

    @property
    def even(self) -> bool:  # type: ignore[override]
        """Whether σ(−z) = σ(z)."""
        return self.linear == 0.0

    def value(self, preactivation: Array) -> Array:
        """below · z under 0, above · z over it."""
        xp = array_namespace(preactivation)
        return xp.where(preactivation > 0, self.above * preactivation, self.below * preactivation)

    def derivative(self, preactivation: Array) -> Array:
        """The slope, and `at_zero` at 0."""
        xp = array_namespace(preactivation)
        slope = [slope + xp.zeros_like(preactivation) for slope in self.slopes]
        return xp.where(preactivation > 0, slope[2], xp.where(preactivation < 0, slope[0], slope[1]))

    def second_derivative(self, preactivation: Array) -> Array:
        """0, which it is on either side of 0."""
        return 0.0 * preactivation
