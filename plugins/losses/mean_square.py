"""mean_square: L = (1/n) Σ_k (f(x_k) − y_k)²."""

from dataclasses import dataclass

from twolayer import SquareLoss, loss


@loss("mean_square")
@dataclass(frozen=True)
class MeanSquare(SquareLoss):
    """ℓ(f, y) = (f − y)²."""

    factor: float = 1.0
