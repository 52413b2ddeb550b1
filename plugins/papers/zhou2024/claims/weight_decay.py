"""What weight decay does, by Zhou and Ge 2024: to directions, to single neurons, to their balance."""

from __future__ import annotations

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, fit_slope
from twolayer.core.wording import counted
from twolayer.errors import DataError

from .. import measured, theory
from ..sources import DERIVED, RECALLED
from ..theory import paper


@paper.claim(
    "With weight decay the ground-truth directions are captured, without it not",
    "abstract; Σ|a||w|θ² and its limits are derived",
    "published",
    on="descents",
    by="run",
    figures=["directions"],
)
def directions(run: Run) -> Result:
    last = run.mass_weighted_square_angle.isel(time=-1)
    return at_most(last, 1e-10) if measured.trained(run) else at_least(last, 1e-2)


@paper.claim(
    "Each neuron aligns with a teacher, with the right sign, or vanishes; without weight decay most do not",
    RECALLED,
    "recalled",
    on="descents",
    by="run",
    figures=["align_or_vanish"],
    unverified_reading=True,
)
def align_or_vanish(run: Run) -> Result:
    aligned, vanished = measured.fates(run)
    share = float((aligned | vanished).mean())
    detail = (
        f"of {counted(aligned.size, 'neuron')}: {int((aligned & ~vanished).sum())} aligned with the right "
        f"sign to {measured.ALIGNED:.0e}, {int(vanished.sum())} of mass below {measured.VANISHED:.0e}"
    )
    return at_least(share, 1.0, detail) if measured.trained(run) else at_most(share, 0.5, detail)


@paper.claim(
    "a_j² − |w_j|² decays as e^(−2λt)",
    f"{DERIVED}: exact under flow",
    "derived",
    on="balance",
    by="run",
    of=measured.steady,
    figures=["balance"],
)
def balance(run: Run) -> Result:
    size = np.abs(run.imbalance)
    kept = size.where(size > 1e-10 * size.isel(time=0))  # above the rounding of the squares
    decay = float(run.regularization.max())
    return close(fit_slope(np.log(kept), run.time, "time"), -2 * decay, relative=0.02)


@paper.claim(
    "Directions converge exponentially at a rate in proportion to λ: Σ|a||w|θ² ~ e^(−2κλt)",
    f"{DERIVED}: dŵ/dt = sλ∇η near the optimum; κ = (1 − 2/π)/(1 − 2/π) = 1 towards an orthonormal teacher of the "
    "same sign",
    "derived",
    on="descents",
    by="run",
    of=measured.steady,
    figures=["directions"],
)
def rates(run: Run) -> Result:
    square = run.mass_weighted_square_angle
    late = np.log(square.where((square < 1e-6) & (square > measured.ROUNDED)))
    rate = fit_slope(late, run.time, "time") / float(run.regularization.max())
    limit = -2 * theory.least_curvature(measured.certificate_of(run))
    return close(rate, limit, relative=0.05, detail="rate over λ, while Σ|a||w|θ² is between 1e-6 and 1e-26")


@paper.claim(
    "d log(|a||w|)/dt = −2λ(1 − sη(ŵ)) for balanced neurons",
    f"{DERIVED}; exact with the current certificate η",
    "derived",
    on="near_solution",
    by="run",
)
def masses(run: Run) -> Result:
    span = float(run.time[-1] - run.time[max(run.time.size - 3, 0)])
    if run.time.size < 4 or span > 0.1:
        raise DataError(
            "the rate is taken from the last three saved times, which must be within 0.1 of each other"
        )
    middle = run.isel(time=-2)
    rate = np.log(np.abs(run.mass)).differentiate("time").isel(time=-2)
    exact = -2 * middle.regularization * (1 - np.sign(middle.mass) * middle.neuron_certificate)
    detail = (
        f"difference over the largest rate; rates from {float(exact.min()):.3f} to {float(exact.max()):.3f}"
    )
    return at_most(np.abs(rate - exact) / np.abs(exact).max(), 1e-4, detail)
