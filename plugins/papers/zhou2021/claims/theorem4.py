"""Theorem 4 of Zhou, Ge and Jin 2021: gradients against losses, and the saddles that no ε₀ is above."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from twolayer import Result, Run, at_least, at_most, close, inconclusive

from .. import measured, theory
from ..comparisons import STATES, at_the_end, exponent_of, growth_of, states_of
from ..theory import paper

LOJASIEWICZ = (
    "L ≤ ε₀ implies |∇L| ≥ κL with κ = Θ(1/√(r w_max)): √(r w_max)|∇L|/L ≥ ½ where L is at most half that of the "
    "lowest stationary state known to us, students on both bisectors of two teachers"
)

CEILING_LATE = (
    "the former ceiling, Δ³/6π, was lowered after a search had found stationary states below it; no random state had "
    "come near them"
)


def lojasiewicz_ratio(run: Run) -> Result:
    """√(r w_max)|∇L|/L against ½ where the loss is small."""
    loss = measured.small_loss(states_of(run))
    ratio = measured.scaled_gradient(states_of(run)).where(loss.notnull())
    return at_least(ratio, theory.KAPPA, f"L from {loss.min():.1e} to {loss.max():.1e}")


@paper.claim(
    LOJASIEWICZ,
    "Theorem 4; ½ and that ceiling are ours",
    "published",
    on=STATES,
    by="initialization",
    figures=["lojasiewicz"],
    late=CEILING_LATE,
)
def lojasiewicz(run: Run) -> Result:
    return lojasiewicz_ratio(run)


@paper.claim(
    LOJASIEWICZ,
    "Theorem 4, along Figure 1; ½ and that ceiling are ours",
    "published",
    on="figure1",
    by="initialization",
    select={"problem": "population", "initialization": ["mean_field", "local"]},
    figures=["figure1"],
    late=CEILING_LATE,
)
def lojasiewicz_figure1(run: Run) -> Result:
    return lojasiewicz_ratio(run)


@paper.claim(
    "Theorem 4's exponent 1 is not sharp: |∇L| ~ L^{2/3} near teachers",
    "while L < 1e-6; a bound |∇L| ≥ κL that is sharp would be 1",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": ["two", "four"]},
    figures=["lojasiewicz"],
)
def gradient_exponents(run: Run) -> Result:
    return exponent_of(run, run.gradient_norm, 2 / 3)


@paper.claim(
    "Theorem 4's exponent 1 is not sharp: |∇L| ~ 2^{7/4} κ^{1/4} L^{3/4} with far background neurons",
    "κ of a student at right angles to all teachers; while L < 1e-6, the constant at the end",
    "derived",
    on="width",
    by="initialization",
    select={"initialization": "orthogonal"},
    figures=["lojasiewicz"],
)
def gradient_of_background_neurons(run: Run) -> Mapping[str, Result]:
    constant = 2**1.75 * theory.orthogonal_curvature(measured.teacher_weights(run)) ** 0.25
    ratio = measured.limit(run, run.gradient_norm / measured.loss_of(run) ** 0.75, 0.01)
    return {
        "exponent": exponent_of(run, run.gradient_norm, 3 / 4),
        "constant": at_the_end(ratio, constant, 0.01),
    }


@paper.claim(
    "|∇L|² ≤ 8 L Σ|w_j|², of any state",
    "by Cauchy and Schwarz; one student on one teacher has equality",
    "derived",
    on=(*STATES, "scaling"),
)
def gradient_ceiling(run: Run) -> Result:
    states = states_of(run)
    loss = measured.loss_of(states)
    bound = 8 * loss.where(loss > measured.FLOOR) * states.mass.sum("neuron")
    return at_most(states.gradient_norm**2 / bound, 1 + 1e-9)


@paper.claim(
    "Lemma 14: |∇L|_F² = O(r³w_max³): |∇L|² ≤ c r³w_max³ with a c that grows neither with r nor with w_max",
    "Lemma 14; for L ≤ L(0), where c = 4(1 + √(π/2)) = 9.01 follows from |∇L|² ≤ 8 L Σ|w_j|². Exponents of the "
    "steepest of the far states: all teachers missed by the same share, w_max one teacher of two",
    "published",
    on="scaling",
    select={"initialization": "far"},
)
def gradient_size(run: Run) -> Mapping[str, Result]:
    lengths, steepest = [], []
    for part in run.by("problem", initialization="far"):
        start = part.isel(time=0)
        length = measured.lengths(part)
        slope = (start.gradient_norm**2).where(start.loss <= theory.loss_at_zero(length))
        lengths.append(length)
        steepest.append(float(slope.max()))
    shares = np.array([size / (len(w) * w.max()) ** 3 for w, size in zip(lengths, steepest, strict=True)])
    if np.isnan(shares).all():
        return {"": inconclusive("no state has a loss of at most L(0)")}
    return {
        "c": at_most(shares, theory.STEEPEST, "largest |∇L|²/(r³w_max³) of each run's states with L ≤ L(0)"),
        **{
            f"exponent of {word}": growth_of(word, slope, 3.0, "largest |∇L|²")
            for word, slope in theory.growth(lengths, steepest).items()
        },
    }


@paper.claim(
    "Students on both bisectors of two orthogonal teachers are stationary at L = 0.0579, below Δ³/6π = 0.206: no ε₀ "
    "of Theorem 4 is of that size",
    "½(2 + 2K(Δ) − hᵀG⁻¹h) in closed form, |∇L| by the exact gradient; no run",
    "derived",
    on=(),
    figures=["lojasiewicz"],
)
def cross() -> Mapping[str, Result]:
    delta = math.pi / 2
    loss, slope = theory.cross_state(delta)
    return {
        "|∇L|": at_most(slope, 1e-12),
        "L": close(loss, theory.cross_loss(delta), relative=1e-12),
        "L, against Δ³/6π": at_most(loss, 0.5 * theory.bisector_order(delta)),
    }


NEARLY_LEFT = math.radians(75.0)
"""From this Δ on students come to the bisector slowly, as at 81.4° it stops to be the best line."""


@paper.claim(
    "All students on the bisector of two teachers: stationary, with L = 1 + K(Δ) − 2K(Δ/2)² = Δ³/3π (1 + O(Δ²))",
    "in closed form: a ceiling on any valid ε₀ of Theorem 4; O(Δ²) as Δ²/10",
    "derived",
    on="bisector",
    by="angles",
    figures=["teachers", "lojasiewicz"],
)
def bisector(run: Run) -> Mapping[str, Result]:
    last, delta = run.isel(time=-1), measured.bisected(run)
    if delta > NEARLY_LEFT and measured.still_falls(run):
        return {
            "": inconclusive(
                "the run is too short: so near to 81.4° students come to the bisector ever slower"
            )
        }
    exact = float(theory.bisector_loss(delta))
    return {
        "|∇L|": at_most(last.gradient_norm, 1e-10),
        "L": close(last.loss, exact, relative=1e-8, absolute=1e-15),
        "L/(Δ³/3π)": close(last.loss / theory.bisector_order(delta), 1.0, absolute=0.1 * delta**2),
    }
