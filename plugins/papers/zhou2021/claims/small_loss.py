"""Theorem 3 and Lemmas 10 and 12 of Zhou, Ge and Jin 2021: what a small loss forces of directions and averages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from twolayer import Result, Run

from .. import measured, theory
from ..comparisons import Found, at_least_exponent, at_the_end, bounded, exponent_of
from ..theory import paper

DIRECTIONS = "Zero loss forces every direction to be a teacher's: Σ|w|²δ² ≤ O(√L)"

LEMMA_10 = "Lemma 10: the average neurons are near their teachers, |v_i| ≤ poly · L^{3/8}"

LEMMA_12 = "Lemma 12: |R₂|² = O(L^{3/4})"

ALONG: dict[str, Any] = {"on": "rates", "by": "initialization", "figures": ["lemmas"]}


@paper.claim(DIRECTIONS, "Theorem 3 and C.6; of random states", "published", on="states", figures=["lemmas"])
def directions(run: Run) -> Result:
    return bounded(run, measured.square_angle, 0.5)


@paper.claim(
    DIRECTIONS, "Theorem 3 and C.6; as the exponent of L along flows, at least ½", "published", **ALONG
)
def directions_along(run: Run) -> Found:
    return at_least_exponent(run, measured.square_angle(run), 0.5)


@paper.claim(
    f"{DIRECTIONS}, also with a student at right angles to all teachers",
    "Theorem 3 and C.6; as the exponent of L along descent, at least ½",
    "published",
    on="width",
    by="initialization",
    select={"initialization": "orthogonal"},
    figures=["lemmas"],
)
def directions_of_background_neurons(run: Run) -> Found:
    return at_least_exponent(run, measured.square_angle(run), 0.5, decades=2.5)


@paper.claim(LEMMA_10, "Lemma 10; of random states", "published", on="states", figures=["lemmas"])
def average_neurons(run: Run) -> Result:
    return bounded(run, measured.average_neuron, 3 / 8)


@paper.claim(LEMMA_10, "Lemma 10; as the exponent of L along flows, at least 3/8", "published", **ALONG)
def average_neurons_along(run: Run) -> Found:
    return at_least_exponent(run, measured.average_neuron(run), 3 / 8)


@paper.claim(LEMMA_12, "Lemma 12; of random states", "published", on="states", figures=["lemmas"])
def second_part(run: Run) -> Result:
    return bounded(run, measured.second_part, 3 / 4)


@paper.claim(LEMMA_12, "Lemma 12; as the exponent of L along flows, at least 3/4", "published", **ALONG)
def second_part_along(run: Run) -> Found:
    return at_least_exponent(run, measured.second_part(run), 3 / 4)


@paper.claim(
    "Sharper than Lemmas 10 and 12 and C.6 where all students are near teachers: |v_i| ~ L^{2/3}, Σ|w|²δ² ~ L^{2/3}, "
    "and |R₂|²/2L → 1",
    "an average neuron is pulled by E R₂ ~ δ²; exponents for L < 1e-10",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": ["two", "four"]},
    figures=["lemmas"],
)
def sharp_exponents(run: Run) -> Mapping[str, Result]:
    share = measured.second_part(run) / (2 * measured.loss_of(run))
    return {
        "|v_i|": exponent_of(run, measured.average_neuron(run), 2 / 3, 1e-10, 5.0),
        "Σ|w|²δ²": exponent_of(run, measured.square_angle(run), 2 / 3, 1e-10, 5.0),
        "|R₂|²/2L": at_the_end(measured.limit(run, share, 1e-3), 1.0, 1e-3),
    }


@paper.claim(
    "Two students per teacher turn as Σ|w|²δ · t → rπ/2, whatever their masses",
    "leading order near alignment, at the end of the runs",
    "derived",
    on="rates",
    by="initialization",
    select={"initialization": "two"},
    figures=["lemmas"],
)
def turning(run: Run) -> Result:
    turned = measured.limit(run, run.mass_weighted_angle * run.time, 1e-3)
    return at_the_end(turned, len(measured.lengths(run)) * np.pi / 2, 1e-3)


@paper.claim(
    "A student at right angles to all teachers attains C.6's exponent, Σ|w|²δ²/√L → (π²/4)√(2/κ)",
    "leading order near alignment, at the end of the runs",
    "derived",
    on="width",
    by="initialization",
    select={"initialization": "orthogonal"},
)
def turning_of_background_neurons(run: Run) -> Result:
    share = measured.limit(run, measured.square_angle(run) / np.sqrt(measured.loss_of(run)), 0.01)
    exact = 0.25 * np.pi**2 * math.sqrt(2 / theory.orthogonal_curvature(measured.teacher_weights(run)))
    return at_the_end(share, exact, 0.01)
