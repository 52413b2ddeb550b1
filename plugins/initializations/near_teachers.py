"""near_teachers: students about their teachers, and dust between them: where a local analysis begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import FiniteData, Network, Teacher, Weights, hookimpl
from twolayer.gaussian import unit


@dataclass(frozen=True)
class NearTeachers:
    """`students` neurons for each teacher, and the network's other neurons as dust; all balanced, |a_j| = |w_j|.

    A student of teacher l stands at `angle` (radians) to v_l, in a direction drawn uniformly about it, and has the
    mass s a_j|w_j| = b_l|v_l|/students, sign included. A grain of dust has a direction drawn uniformly from the
    sphere, and the mass ±dust_mass by a fair coin.
    """

    students: int
    angle: float
    dust_mass: float = 0.0

    def __post_init__(self) -> None:
        if self.students < 1:
            raise ValueError(f"students: at least 1 for each teacher, is {self.students}")
        if not 0 <= self.angle < math.pi / 2:
            raise ValueError(f"angle: must lie in [0, π/2) radians, is {self.angle!r}")
        if self.dust_mass < 0:
            raise ValueError(f"dust_mass: must be 0 or above, is {self.dust_mass!r}")

    def check(self, problem: Any, network: Network) -> None:
        """Refuse problems without teachers, too few neurons, and outputs that cannot have signs."""
        teachers = getattr(problem, "count", None)
        if teachers is None:
            raise ValueError("only a problem with teachers ('gaussian_teacher') has students near them")
        if network.output != "trained":
            raise ValueError(f"output weights must be trained; those of this network are '{network.output}'")
        if self.students * teachers > network.neurons:
            raise ValueError(
                f"students: {self.students} for each of {teachers} teachers are more than {network.neurons} neurons"
            )
        if problem.dimension < 2 and self.angle > 0:
            raise ValueError("angle: one dimension has none; must be 0")

    def draw(self, data: FiniteData | Teacher, network: Network, random: np.random.Generator) -> Weights:
        """Draw tangents of the students, then directions and signs of the dust."""
        teacher = data.teacher
        axes = np.repeat(unit(teacher.hidden), self.students, axis=0)
        tangent = random.standard_normal(axes.shape)
        tangent = unit(tangent - (tangent * axes).sum(-1, keepdims=True) * axes)
        own = math.cos(self.angle) * axes + math.sin(self.angle) * tangent
        share = teacher.output * np.linalg.norm(teacher.hidden, axis=-1) / self.students
        count = network.neurons - len(own)
        dust = unit(random.standard_normal((count, data.features)))
        signs = random.choice([-1.0, 1.0], count)
        mass = np.concatenate([np.repeat(share, self.students), self.dust_mass * signs])
        size = np.sqrt(np.abs(mass) / network.scale)
        return Weights(size[:, None] * np.concatenate([own, dust]), np.sign(mass) * size)


@hookimpl
def register_initializations(register: Any) -> None:
    register("near_teachers", NearTeachers)
