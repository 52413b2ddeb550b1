"""What a loss plugin is: ℓ(f, y) of a prediction and a target, whose mean over the samples is L."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from twolayer.errors import TrainingError, unknown_name

__all__ = ["Loss", "SquareLoss", "loss_of", "refuse_other_losses"]

Array = Any


class Loss(ABC):
    """ℓ(f, y), elementwise, and its first two derivatives in f: L = (1/n) Σ_k ℓ(f(x_k), y_k).

    The arrays are of one shape (…, sample) and carry their namespace.
    """

    @property
    def square_factor(self) -> float | None:
        """c where ℓ = c (f − y)²; None for any other loss."""
        return None

    @abstractmethod
    def value(self, prediction: Array, target: Array) -> Array:
        """ℓ(f, y)."""

    @abstractmethod
    def derivative(self, prediction: Array, target: Array) -> Array:
        """∂ℓ/∂f."""

    @abstractmethod
    def second_derivative(self, prediction: Array, target: Array) -> Array:
        """∂²ℓ/∂f²."""

    def refuse_targets(self, targets: Any) -> None:
        """Refuse, by a ValueError, targets (…, sample), on the host, that it has no meaning for."""


@dataclass(frozen=True)
class SquareLoss(Loss):
    """ℓ(f, y) = factor · (f − y)². Kernels and the exact flow know losses of this form."""

    factor: float

    @property
    def square_factor(self) -> float:
        """The factor."""
        return self.factor

    def value(self, prediction: Array, target: Array) -> Array:
        """factor · (f − y)²."""
        return self.factor * (prediction - target) ** 2

    def derivative(self, prediction: Array, target: Array) -> Array:
        """2 · factor · (f − y)."""
        return 2.0 * self.factor * (prediction - target)

    def second_derivative(self, prediction: Array, target: Array) -> Array:
        """2 · factor."""
        return 2.0 * self.factor + 0.0 * prediction


FACTORS = {"half_mean_square": 0.5, "mean_square": 1.0}
"""The losses that data have without a plugin, as in a notebook: square ones, by their factor."""


def loss_of(name: str, given: Loss | None) -> Loss:
    """The loss that data carry, or the square loss of that name; TrainingError where it is neither."""
    if given is not None:
        return given
    if name not in FACTORS:
        raise TrainingError(
            f"{unknown_name('loss', name, FACTORS)} Data with another loss need its plugin, "
            "FiniteData(…, loss_function=…)"
        )
    return SquareLoss(FACTORS[name])


def refuse_other_losses(loss: Loss, name: str, what: str) -> None:
    """Refuse, by a ValueError, a loss that is not square, for what knows square losses only."""
    if loss.square_factor is None:
        raise ValueError(f"{what} knows square losses, not '{name}'")
