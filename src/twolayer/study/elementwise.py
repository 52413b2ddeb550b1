"""σ and ℓ of a plugin are functions of numbers: their values have the shape of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twolayer.core.activation import Activation, TwoSlope
from twolayer.core.loss import Loss, SquareLoss
from twolayer.errors import ConfigError
from twolayer.study.plugin_errors import blame, reason_of

__all__ = ["refuse_activation", "refuse_loss"]

NUMBERS = np.array([[-1.5], [-0.5], [1.0]])
"""Where it is looked at: two axes, one of length 1, as sums over one of them keep the other."""

TARGETS = np.array([[-1.0], [1.0], [1.0]])
"""Those that a loss of labels knows too."""


def refuse_activation(activation: Activation, where: str) -> None:
    """A ConfigError where σ or σ' is not elementwise."""
    if not isinstance(activation, TwoSlope):
        for function in (activation.value, activation.derivative):
            refuse(function, (NUMBERS,), where)


def refuse_loss(loss: Loss, where: str) -> None:
    """A ConfigError where ℓ, ℓ' or ℓ'' is not elementwise."""
    if not isinstance(loss, SquareLoss):
        for function in (loss.value, loss.derivative, loss.second_derivative):
            refuse(function, (NUMBERS, TARGETS), where)


def refuse(function: Callable[..., Any], arguments: tuple[Any, ...], where: str) -> None:
    """A ConfigError where a function fails, or gives another shape than it is given."""
    try:
        with np.errstate(all="ignore"):
            shape = np.shape(function(*arguments))
    except Exception as error:
        raise ConfigError(f"{where}: {blame(error) or reason_of(error)}") from None
    if shape != NUMBERS.shape:
        raise ConfigError(
            f"{where}: {function.__qualname__} gives an array of shape {shape} for numbers of shape {NUMBERS.shape}; "
            "must be elementwise"
        )
