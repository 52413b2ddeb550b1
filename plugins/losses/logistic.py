"""logistic: L = (1/n) Σ_k log(1 + exp(−y_k f(x_k))), for labels ±1."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Loss, loss
from twolayer.core.arrays import array_namespace


@loss("logistic")
class Logistic(Loss):
    """ℓ(f, y) = log(1 + exp(−y f)), the negative log-likelihood of the label y = ±1 with P(y) = 1/(1 + exp(−y f)).

    Where the data can be separated L has no minimum: weights grow for ever.
    """

    def value(self, prediction: Any, target: Any) -> Any:
        """log(1 + e^(−yf)), which leaves the range of floats nowhere."""
        xp = array_namespace(prediction)
        margin = target * prediction
        positive = xp.where(margin > 0, margin, xp.zeros_like(margin))
        return positive - margin + xp.log1p(xp.exp(-xp.abs(margin)))

    def derivative(self, prediction: Any, target: Any) -> Any:
        """−y/(1 + e^(yf))."""
        return -target * self.doubt(target * prediction)

    def second_derivative(self, prediction: Any, target: Any) -> Any:
        """1/((1 + e^f)(1 + e^(−f)))."""
        return self.doubt(prediction) * self.doubt(-prediction)

    def doubt(self, margin: Any) -> Any:
        """1/(1 + e^z), to all its digits for large z too."""
        xp = array_namespace(margin)
        small = xp.exp(-xp.abs(margin))
        return xp.where(margin > 0, small, xp.ones_like(small)) / (1.0 + small)

    def refuse_targets(self, targets: Any) -> None:
        """Refuse labels other than ±1."""
        wrong = np.argwhere(np.abs(targets) != 1)
        if len(wrong):
            spot = wrong[0].tolist()
            raise ValueError(f"targets{spot} is {float(targets[tuple(spot)])!r}; labels must be -1 or 1")
