"""The flow of given weights on given data, at all the times asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twolayer.core.network import OutputMode
from twolayer.finite.flow.frames import flow_frames
from twolayer.finite.flow.problem import Floats

__all__ = ["FlowPath", "finite_flow"]


@dataclass(frozen=True)
class FlowPath:
    """The flow at all the times asked for.

    `residual` is y − h, integrated as a separate variable where it is too small for the weights to resolve.
    `events` counts changes of activation patterns, `steps` the steps of all neurons together.
    `stationary_from` is the first of the times at which the state was stationary (see `finite_flow`), or infinity.
    `forks` counts the points at which the limit of small descent steps is not unique.
    """

    hidden: Floats  # (time, neuron, feature)
    output: Floats  # (time, neuron)
    residual: Floats  # (time, sample)
    events: int
    steps: int
    stationary_from: float
    forks: int


def finite_flow(
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    hidden: npt.ArrayLike,
    output: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    slopes: tuple[float, float, float] = (0.0, 0.0, 1.0),
    output_layer: OutputMode = "trained",
    loss_weight: float,
    output_scale: float = 1.0,
    weight_decay: float = 0.0,
    rtol: float = 1e-10,
    atol: float = 0.0,
) -> FlowPath:
    """Exact gradient flow of a two-layer network on finite data.

        dw_j/dt = −∂_{w_j} E,  da_j/dt = −∂_{a_j} E,
        E = κ Σ_k (h(x_k) − y_k)² + (λ/2) (|a|² + |W|²),  h(x) = s Σ_j a_j σ(⟨w_j, x⟩),

    with σ' under, at and over 0 from `slopes` (`core.activation.TwoSlope`; by default those of relu),
    continued along activation boundaries as a Filippov system (`sliding`). `output_layer` "fixed" keeps a and
    leaves it out of the penalty; "tied" sets a_j = |w_j| inside E. Between events the flow is integrated by
    Taylor series (`series`), while outputs are negligible in closed form (`decoupled`), and by collocation where
    fast residuals are at rest and slow ones go on (`stiff`).

    inputs (sample, feature), targets (sample,), hidden (neuron, feature), output (neuron,), times (time,)
    strictly increasing from the start. κ = loss_weight, s = output_scale, λ = weight_decay. `rtol` bounds the
    error of a step relative to each neuron, to its mass and to the residual. A neuron with |a| = |w| to 1e-14
    stays so exactly. Without weight decay the state is stationary once every residual is within `atol`, or below
    1e-20 of its scale.

    Raises ValueError for arguments that do not fit, FlowStalled if events stop making progress.

    Source: derived; the flow and its conventions are those of Boursier, Pillaud-Vivien and Flammarion (2022).
    """
    frames = list(
        flow_frames(
            inputs,
            targets,
            hidden,
            output,
            times,
            slopes=slopes,
            output_layer=output_layer,
            loss_weight=loss_weight,
            output_scale=output_scale,
            weight_decay=weight_decay,
            rtol=rtol,
            atol=atol,
        )
    )
    return FlowPath(
        hidden=np.stack([frame.hidden for frame in frames]),
        output=np.stack([frame.output for frame in frames]),
        residual=np.stack([frame.residual for frame in frames]),
        events=frames[-1].events,
        steps=frames[-1].steps,
        stationary_from=min((frame.time for frame in frames if frame.stationary), default=np.inf),
        forks=frames[-1].forks,
    )
