"""Figure 1 of Xu and Du 2023: its curves, read off the print, and the rate of one student."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from twolayer import Result, Run, close
from twolayer.errors import DataError

from .. import measured, theory
from ..theory import paper

READ_OFF = "Figure 1 (read off the print; d and seed are not stated)"

NEAR_MINIMUM = 1e-4
"""Loss below which one student falls at the rate of the Hessian."""


def printed_in(ends: Mapping[int, float]) -> Callable[[Run], list[Run]]:
    """The run in units of |v|, if a curve of its n is printed."""
    return lambda run: [measured.in_units(run)] if run.config.network.neurons in ends else []


@paper.claim(
    "Figure 1 left: the loss at iteration 500, by n",
    READ_OFF,
    "published",
    on="figure1",
    by="run",
    of=printed_in(theory.ENDS_LEFT),
    figures=["figure1"],
    unverified_reading=True,
)
def ends_left(run: Run) -> Result:
    found = np.log10(measured.at_step(run, theory.LEFT).loss)
    end = np.log10(theory.ENDS_LEFT[run.config.network.neurons])
    detail = f"log10 of the loss, {run.range_over_seeds(found, '.2f')}"
    return close(float(found.median()), float(end), absolute=0.3, detail=detail)


@paper.claim(
    "Figure 1 right: log_{ηT} L at iteration 50000, by n",
    READ_OFF,
    "published",
    on="figure1",
    by="run",
    of=printed_in(theory.ENDS_RIGHT),
    figures=["figure1"],
    unverified_reading=True,
    late="0.1 is what earlier runs of other dimensions were within",
)
def ends_right(run: Run) -> Result:
    end = measured.at_step(run, theory.END)
    found = np.log(end.loss) / np.log(end.time)
    detail = run.range_over_seeds(found, ".3f")
    return close(
        float(found.median()), theory.ENDS_RIGHT[run.config.network.neurons], absolute=0.1, detail=detail
    )


@paper.claim(
    "One student learns at a linear rate: near the minimum the loss falls by (1 − η/2)² per step",
    "n = 1; the rate is derived (the Hessian there is ½I)",
    "derived",
    on="figure1",
    by="run",
    of=measured.single,
    figures=["figure1"],
)
def one_student(run: Run) -> Result:
    first, last = 300, theory.LEFT
    if not (measured.at_step(run, first).loss < NEAR_MINIMUM).all():
        raise DataError(
            f"the rate is that near the minimum; at iteration {first} a loss of '{run.experiment}' is above "
            f"{NEAR_MINIMUM:g}"
        )
    early, late = (
        np.log(measured.at_step(run, step).loss.drop_vars(["time", "step"])) for step in (first, last)
    )
    rates, exact = (late - early) / (last - first), 2 * np.log(1 - run.config.dynamics.step_size / 2)
    detail = f"log of the loss per step, iterations {first} to {last}: {measured.described(rates)}"
    return close(rates, float(exact), relative=0.01, detail=detail)
