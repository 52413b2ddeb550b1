"""order_parameters: the limit of one-pass stochastic gradient descent in high dimension, an ODE on overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Flow, Loss, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.arrays import to_host
from twolayer.core.network import placed_like
from twolayer.core.trajectory import Clock, FlowWeights
from twolayer.population.order_parameters import (
    OrderParameterEquations,
    PathEndsError,
    Variance,
    WeightsOfOverlaps,
    closed_kernel,
    order_8,
)

UNREAL = 1e4
"""Where Q − M P⁻¹ Mᵀ has an eigenvalue below 0 by more than rtol times this, the path is no longer one of weights."""


@dynamics("order_parameters")
@dataclass(frozen=True)
class OrderParameters(Flow):
    """The equations of Saad and Solla on Q = W Wᵀ and M = W Vᵀ, at the time step_size × step of the descent.

    It is the limit d → ∞ of `stochastic_gradient_descent` with batch_size 1 and step_size = rate/d. Output weights are
    fixed. Frames are weights with these Q and M: they need m + k features, and their directions mean nothing else.
    rate: γ = step_size × d.
    variance: what of the noise of the samples enters Q: `full`; `noise`, the part of the label noise alone (the
    problem's `noise`); `none`, which is the gradient flow.
    spherical: each |w_j| stays, as with the descent's `spherical`.
    rtol, atol: error of a step, relative and absolute, of Dormand and Prince's method of order 8.
    Source: Saad and Solla 1995; Arnaboldi, Stephan, Krzakala and Loureiro 2023.
    """

    rate: float
    variance: Variance = "full"
    spherical: bool = False
    rtol: float = 1e-10
    atol: float = 1e-12

    stays_in_span = True
    kinds = frozenset()  # none of the code that accelerates flows of weights
    host_reason = "the equations of order parameters are integrated on the host"

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"rate: must be above 0, is {self.rate!r}; variance: none leaves it out")
        for name in ("rtol", "atol"):
            if not 1e-14 <= getattr(self, name) <= 1e-2:
                raise ValueError(f"{name}: must lie in [1e-14, 0.01], is {getattr(self, name)!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse what the equations do not describe."""
        samples, features = problem.size
        count = len(problem.teacher_outputs)
        if "population" not in problem.laws or samples is not None:
            raise ValueError(
                "name: order_parameters needs a teacher on the whole population ('gaussian_teacher')"
            )
        if problem.profile != "none":
            raise ValueError("name: order_parameters knows no profile; set problem.profile: none")
        if network.output != "fixed":
            raise ValueError(
                f"name: order_parameters knows fixed output weights; network.output is '{network.output}'"
            )
        needed = network.neurons + count
        if features is not None and features < needed:
            raise ValueError(
                f"name: order_parameters keeps Q and M as weights, which needs m + k = {needed} features; "
                f"problem.dimension is {features}. The equations know of d by rate = step_size × d only: give "
                f"problem.dimension: {needed}"
            )
        kernel = closed_kernel(network.activation)
        name = type(network.activation).__name__
        if kernel is None:
            raise ValueError(
                f"name: order_parameters needs E σ(u·x)σ(v·x) in closed form, a `kernel`, which {name} has not"
            )
        if self.variance == "full" and not kernel.knows_fourth:
            raise ValueError(
                f"variance: 'full' needs E σ'σ'σσ in closed form, `fourth` of a kernel, which {name} has not; "
                "'none' and 'noise' do without"
            )

    def validate_loss(self, loss: Loss, name: str, network: Network) -> None:
        """The population's loss is square."""

    def checks_rounding(self, problem: Problem) -> bool:
        """No."""
        return False

    def restarts(self) -> bool:
        """Yes: the overlaps are those of the weights."""
        return True

    def resumes(self) -> bool:
        """Not from saved times: the integrator's steps go beyond them. It saves its state."""
        return False

    def seed_by_seed(self, problem: Problem) -> bool:
        """Yes."""
        return True

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """Weights with the overlaps of the saved times, all seeds; the start as it is, NaN from a stall on."""
        hidden, output = to_host(weights.hidden).astype(np.float64), to_host(weights.output)
        paths = [self.path(problem, *seed, clock.time) for seed in zip(hidden, output, strict=True)]
        stalls = [""] * len(paths)
        for _ in clock.time:
            frames: list[np.ndarray | None] = []
            for seed, path in enumerate(paths):
                try:
                    frames.append(next(path, None))
                except PathEndsError as end:
                    stalls[seed] = str(end)
                    frames.append(None)
            lost = np.full(hidden.shape[1:], np.nan)
            stacked = np.stack([lost if frame is None else frame for frame in frames])
            yield FlowWeights(placed_like(stacked, weights.hidden), weights.output, None, tuple(stalls))

    def path(
        self, problem: Problem, hidden: np.ndarray, output: np.ndarray, times: np.ndarray
    ) -> Iterator[np.ndarray]:
        """The hidden weights of one seed at the times, (neuron, feature), as they are reached."""
        teacher = problem.data.mapped(lambda array: to_host(array).astype(np.float64))
        kernel = closed_kernel(problem.network.activation)
        assert kernel is not None  # `validate`
        equations = OrderParameterEquations(
            kernel,
            np.concatenate([problem.network.scale * output, -teacher.output]),
            teacher.hidden @ teacher.hidden.T,
            self.rate,
            teacher.noise,
            self.variance,
            self.spherical,
        )
        frame = WeightsOfOverlaps.of(teacher.hidden, len(hidden))
        shape = (len(hidden), len(equations.coefficients))
        start = frame.rows(hidden).ravel()

        def velocity(time: float, state: np.ndarray) -> np.ndarray:
            return equations.velocity(state.reshape(shape)).ravel()

        allowed = UNREAL * self.rtol

        def check(time: float, state: np.ndarray) -> None:
            shortfall = frame.shortfall(state.reshape(shape))
            if shortfall > allowed:
                raise PathEndsError(
                    f"at t = {time:.6g} the overlaps are those of no weights: Q − M P⁻¹ Mᵀ has an eigenvalue below 0 "
                    f"by {shortfall:.2g} of the largest |w|². Errors of the steps grow along this path; a smaller "
                    "rtol, or another start, may carry it further"
                )

        states = order_8(velocity, start, times, self.rtol, self.atol, check, self.states)
        for index, state in enumerate(states):
            yield frame.hidden(state.reshape(shape)) if index else hidden
