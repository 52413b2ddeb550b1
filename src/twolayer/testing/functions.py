"""What every activation and every loss must do: derivatives that are those of the function, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twolayer.core.activation import Activation
from twolayer.core.loss import Loss
from twolayer.finite.problem import FiniteData
from twolayer.testing.data import follows_its_loss
from twolayer.testing.subject import EXPERIMENTS, REST, Subject, nearly

__all__ = ["ACTIVATION", "LOSS"]

STEP = 1e-5
"""Of a central difference: to about 1e-10 of a smooth function."""

POINTS = np.concatenate([np.linspace(-4, 4, 40), np.random.default_rng(5).normal(size=200)])
"""Preactivations; none is within a step of 0, where two slopes meet."""


def derivatives_are_those_of_the_function(subject: Subject) -> None:
    """σ' and σ'' against central differences of σ and σ'."""
    activation: Activation = subject.plugin
    for name, above, below in (
        ("derivative", activation.derivative, activation.value),
        ("second_derivative", activation.second_derivative, activation.derivative),
    ):
        found, wanted = np.asarray(above(POINTS)), difference(below, POINTS)
        assert found.shape == POINTS.shape, f"{name}: shape {found.shape} for arguments of {POINTS.shape}"
        worst = int(np.argmax(abs(found - wanted)))
        assert nearly(found, wanted, 1e-6, 1e-6), (
            f"{name}: at z = {POINTS[worst]:.4g} it is {found[worst]:.8g}, differences give {wanted[worst]:.8g}"
        )


def difference(function: Callable[[Any], Any], at: Any) -> Any:
    """A derivative by a central difference."""
    return (np.asarray(function(at + STEP)) - np.asarray(function(at - STEP))) / (2 * STEP)


def is_what_it_says(subject: Subject) -> None:
    """`even` and `degree` are true of σ."""
    activation: Activation = subject.plugin
    value = np.asarray(activation.value(POINTS))
    mirrored = np.asarray(activation.value(-POINTS))
    even = nearly(mirrored, value, 1e-12)
    assert even == activation.even, f"even: it says {activation.even}, and σ(−z) = σ(z) is {even}"
    if activation.degree is not None:
        for factor in (0.5, 3.0):
            scaled = np.asarray(activation.value(factor * POINTS))
            assert nearly(scaled, factor**activation.degree * value, 1e-12), (
                f"degree: σ({factor:g} z) is not {factor:g}^{activation.degree:g} σ(z)"
            )


def a_teacher_has_the_loss_of_its_samples(subject: Subject) -> None:
    """The population's loss, which comes from E σ(u·x)σ(v·x), is the mean over samples, to 5 standard errors."""
    experiment = subject.placed({**REST, **EXPERIMENTS["a teacher"]})
    problem = subject.problem(experiment)
    teacher = problem.data
    weights = subject.weights(problem.network, teacher.features)
    inputs = np.random.default_rng(9).normal(size=(200_000, teacher.features))
    scale, act = problem.network.scale, problem.network.activation.value
    wanted = np.asarray(act(inputs @ np.asarray(teacher.hidden).T)) @ np.asarray(teacher.output)
    found = scale * (np.asarray(act(inputs @ weights.hidden[0].T)) @ weights.output[0])
    squares = 0.5 * (found - wanted) ** 2
    loss, error = float(np.asarray(problem.loss(weights)).ravel()[0]), squares.std() / np.sqrt(len(inputs))
    assert abs(loss - squares.mean()) <= 5 * error, (
        f"the loss on a teacher is {loss:.6g}; 200,000 samples have {squares.mean():.6g} ± {error:.2g}"
    )


def loss_derivatives_are_those_of_the_function(subject: Subject) -> None:
    """∂ℓ/∂f and ∂²ℓ/∂f² against central differences."""
    loss: Loss = subject.plugin
    random = np.random.default_rng(6)
    prediction, target = random.normal(size=200), np.where(random.random(200) < 0.5, -1.0, 1.0)
    for name, above, below in (
        ("derivative", loss.derivative, loss.value),
        ("second_derivative", loss.second_derivative, loss.derivative),
    ):
        found = np.asarray(above(prediction, target)) + 0 * prediction
        wanted = difference(lambda at, below=below: below(at, target), prediction)  # type: ignore[misc]
        assert nearly(found, wanted, 1e-6, 1e-6), (
            f"{name}: differs from differences by {abs(found - wanted).max():.3g}"
        )


def a_sample_counts_once(subject: Subject) -> None:
    """L is the mean of ℓ over the samples."""
    experiment = subject.placed({**REST, **EXPERIMENTS["a data set"]})
    problem = subject.problem(experiment)
    assert isinstance(problem.data, FiniteData)
    weights = subject.weights(problem.network, problem.data.features)
    values = subject.plugin.value(np.asarray(problem.predict(weights)), np.asarray(problem.data.targets))
    assert nearly(np.asarray(problem.loss(weights)).ravel()[0], values.mean(), 1e-12), (
        "L is not the mean of ℓ"
    )


ACTIVATION: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check
    for check in (
        derivatives_are_those_of_the_function,
        is_what_it_says,
        a_teacher_has_the_loss_of_its_samples,
        follows_its_loss,
    )
}
LOSS: Mapping[str, Callable[[Subject], Any]] = {
    check.__name__: check
    for check in (loss_derivatives_are_those_of_the_function, a_sample_counts_once, follows_its_loss)
}
