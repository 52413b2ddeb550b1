"""momentum: heavy ball, and Nesterov's accelerated gradient."""

from __future__ import annotations

from dataclasses import dataclass

from twolayer import Network, ProblemSpec, Weights, dynamics

from ._first_order import FirstOrder, Memory


@dynamics("momentum")
@dataclass(frozen=True)
class Momentum(FirstOrder):
    """v ← momentum v + ∇L(θ), θ ← θ − step_size v; nesterov: θ ← θ − step_size (∇L(θ) + momentum v).

    It is the heavy ball θ_{k+1} = θ_k − step_size ∇L(θ_k) + momentum (θ_k − θ_{k−1}) (Polyak 1964), and the rule of
    `torch.optim.SGD` and `optax.sgd`; momentum: 0 is gradient descent. Far from 1 it moves like gradient flow at the
    time step_size·step/(1 − momentum). Saved times are step_size·step.
    output_step_size: of the output layer, where it is another. batch_size: samples a step; without it all data.
    epochs: whether batches go through the data, each sample once an epoch, in an order drawn for each epoch anew.
    """

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: must be at least 0 and below 1, is {self.momentum!r}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: without momentum it changes nothing; give momentum, or leave it out")

    @property
    def stays_in_span(self) -> bool:  # type: ignore[override]
        """With the population's gradient: velocities are sums of gradients. Fresh samples leave the span."""
        return self.batch_size is None

    def validate_last_stage(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a step above the limit that a problem knows of, where every minimum is unstable.

        On a quadratic with curvature h the heavy ball is stable for step_size h < 2(1 + momentum), Nesterov's for
        step_size h < 2(1 + momentum)/(1 + 2 momentum).
        """
        if self.batch_size is not None or self.output_step_size is not None:
            return
        factor = (1 + self.momentum) / ((1 + 2 * self.momentum) if self.nesterov else 1.0)
        limit = factor * problem.step_limit(network)
        if self.step_size > limit:
            raise ValueError(
                f"step_size: is {self.step_size!r}, above the stability limit: for a step size above {limit:.6g} "
                "with this momentum every minimum in which no student is at 0 is left"
            )

    def direction(self, gradient: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """v, or ∇L + momentum v; v is carried."""
        velocity = gradient
        if memory:
            velocity = self.momentum * Weights(memory["hidden"], memory["output"]) + gradient
        carried = {"hidden": velocity.hidden, "output": velocity.output}
        return gradient + self.momentum * velocity if self.nesterov else velocity, carried
