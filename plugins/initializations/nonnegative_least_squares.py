"""nonnegative_least_squares: random directions, with the masses z ≥ 0 that fit the targets best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.core.output_layer import OutputLayer
from twolayer.core.wording import counted


@initialization("nonnegative_least_squares")
@dataclass(frozen=True)
class NonnegativeLeastSquares(InitializationSpec):
    """w_j ~ N(0, I), z ≥ 0 that minimises the loss of s Σ z_j σ(w_j·x), then w'_j = √(z_j/|w_j|) w_j and a_j = |w'_j|.

    On a teacher the fit is to the population, by the closed forms. z_j = 0 leaves the neuron at 0.
    The length of the w_j as drawn has no effect, so no scale is a parameter.
    subspace: r, to draw directions in the span of the r leading eigenvectors of (1/n) Σ_k y_k (x_k x_kᵀ − I), or of
    E f*(x)(xxᵀ − I) ∝ Σ_l b_l v_l v_lᵀ/|v_l|; left out: in all directions.
    Source: Zhou, Ge and Jin 2021, Appendix E.
    """

    subspace: int | None = None

    def __post_init__(self) -> None:
        if self.subspace is not None and self.subspace < 1:
            raise ValueError(f"subspace: at least 1 direction, is {self.subspace}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse networks that cannot hold the fit, and subspaces that the problem does not have."""
        if network.output == "fixed":
            raise ValueError("sets |a_j| = |w_j|, and the outputs of this network are fixed")
        if network.activation.degree != 1:
            raise ValueError(
                "shares each mass between w and a, which needs σ(cz) = cσ(z) for c > 0, as relu, abs or leaky_relu; "
                f"{type(network.activation).__name__} is not so"
            )
        _, features = problem.size
        if self.subspace is not None and features is not None and self.subspace > features:
            raise ValueError(
                f"subspace: {counted(self.subspace, 'direction')} in dimension {features}; give that or fewer"
            )

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """Draw w, then fit z."""
        drawn = random.standard_normal((network.neurons, data.features))
        if self.subspace is not None:
            basis = leading(data, self.subspace)
            drawn = drawn @ basis @ basis.T
        length = norm(drawn)[:, None]
        directions = drawn / np.where(length > 0, length, 1.0)  # z_j|w_j| is all that counts
        mass = fitted(data, replace(network, output="trained"), directions)
        return Weights(np.sqrt(mass)[:, None] * directions, np.sqrt(mass))


def fitted(data: Any, network: Network, hidden: Any) -> Any:
    """z ≥ 0 that minimises the loss of s Σ z_j σ(w_j·x), (neuron,)."""
    from scipy.optimize import nnls  # for those who fit

    if data.law == "finite":
        matrix = network.scale * network.activation.value(data.inputs @ hidden.T)
        target = data.targets
    else:  # ½|Mz − t|² with MᵀM = G and Mᵀt = h is the loss but for a constant
        layer = OutputLayer.of(data.problem(network), hidden)
        values, vectors, flat = layer.modes()
        roots = np.sqrt(values[~flat])
        matrix = roots[:, None] * vectors[:, ~flat].T
        target = (vectors[:, ~flat].T @ layer.form[1]) / roots
    return nnls(matrix, target, maxiter=100 * len(hidden))[0]


def leading(data: Any, count: int) -> Any:
    """The leading eigenvectors of the targets' second Hermite moment, (feature, count)."""
    if data.law == "finite":
        moment = (data.targets[:, None] * data.inputs).T @ data.inputs / data.samples
        moment = moment - data.targets.mean() * np.eye(data.features)
        return np.linalg.eigh(moment)[1][:, ::-1][:, :count]
    lengths = norm(data.hidden)
    moment = (data.hidden.T * (data.output / lengths)) @ data.hidden
    return np.linalg.eigh(moment)[1][:, ::-1][:, :count]
