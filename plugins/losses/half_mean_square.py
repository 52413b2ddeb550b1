"""half_mean_square: L = (1/2n) Σ_k (f(x_k) − y_k)², the default, and the loss of a teacher's population too."""

from dataclasses import dataclass

from twolayer import SquareLoss, loss


@loss("half_mean_square")
@dataclass(frozen=True)
class HalfMeanSquare(SquareLoss):
    """ℓ(f, y) = ½(f − y)²."""

    factor: float = 0.5
