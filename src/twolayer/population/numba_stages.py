"""Velocities of the stages of an implicit step on a teacher: up to eight states of one seed in the lanes.

By the sums of `numba_groups`, which for eight states take little longer than `numba_law.fill_velocity` for one.
"""

from __future__ import annotations

from typing import Any

from twolayer.core.network import TIED, TRAINED
from twolayer.kernels.record import Vector
from twolayer.kernels.simd import inlined, load, splat, store
from twolayer.population.lanes import normalize
from twolayer.population.numba_form_field import field
from twolayer.population.numba_forms import Form
from twolayer.population.numba_groups import group, place_teachers
from twolayer.population.numba_units import SEPARATE, Law

__all__ = ["fill_velocities"]


@inlined
def copy_teachers(law: Any, form: Any) -> None:
    """The teachers and their outputs, in all lanes."""
    m, d = form.students, form.coordinates
    for q in range(law.outputs.size):
        store(form.coefficient, (m + q) * 8, splat(-law.outputs[q]))
        for a in range(d):
            store(form.vectors, ((m + q) * d + a) * 8, splat(law.teachers[q, a]))


@SEPARATE
def fill_velocities(points: Vector, law: Law, form: Form, out: Vector) -> None:
    """−∇ of the objective at each of eight states into `out`, both (parameter, lane), flat, as `fill_velocity` to
    rounding.

    form: what it keeps of the teachers is found where it is not there yet.
    """
    m, d = form.students, form.coordinates
    scale, linear, curved, constant = law.numbers[0], law.numbers[1], law.numbers[2], law.numbers[3]
    if form.length[m * 8] == 0.0:
        copy_teachers(law, form)
        place_teachers(form)
    for p in range(0, 8 * m * d, 8):
        store(form.vectors, p, load(points, p))
    for i in range(m):
        output = splat(law.given[i])
        if law.mode == TRAINED:
            output = load(points, 8 * (m * d + i))
        store(form.coefficient, i * 8, scale * output)
    if law.mode == TIED:
        for i in range(m):
            length = normalize(form.vectors, form.direction, i * d * 8, 8, d)
            store(form.coefficient, i * 8, scale * length)
    group(form, form.groups > 0 or law.turn, False)
    field(form, linear, curved, constant, 0.0 if curved != 0.0 else 2.0 * linear)
    for i in range(m):
        turn_to_velocity(i, law.mode, scale, law.numbers[4], form)
        for a in range(8 * i * d, 8 * (i + 1) * d, 8):
            store(out, a, load(form.force, a))
        if law.mode == TRAINED:
            store(out, 8 * (m * d + i), load(form.value, 0))


@inlined
def turn_to_velocity(i: int, mode: int, scale: float, decay: float, form: Any) -> None:
    """−∂/∂w of the objective in place of the force on student i, and −∂/∂a in `value` where a is trained."""
    row, sign = form.coordinates * 8, load(form.sign, i * 8)
    by_output = splat(0.0)
    for d in range(i * row, (i + 1) * row, 8):
        by_output += load(form.vectors, d) * load(form.force, d)
    by_output = scale * sign * by_output
    for d in range(i * row, (i + 1) * row, 8):
        vector = sign * load(form.vectors, d)
        value = load(form.coefficient, i * 8) * load(form.force, d) + decay * vector
        if mode == TIED:
            value += by_output * sign * load(form.direction, d) + decay * vector
        store(form.force, d, 0.0 - value)
    if mode == TRAINED:
        store(form.value, 0, 0.0 - (by_output + decay / scale * load(form.coefficient, i * 8)))
