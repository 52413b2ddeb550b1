"""around_teachers: students at a given angle to their teachers, in random directions, and background neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Teacher, Weights, initialization
from twolayer.core.wording import counted
from twolayer.population.closed_form import unit


@initialization("around_teachers")
@dataclass(frozen=True)
class AroundTeachers(InitializationSpec):
    """c_j w_j = share_j b_l |v_l| (v̂_l + tan(angle) e_j), c_j = s a_j, with e_j uniform on the unit sphere of v_l's
    orthogonal complement: every student stands at exactly `angle` to its teacher.

    shares: of each teacher, one for each of its students; whether they sum to 1 is up to them. Left out, all
    neurons are dealt to the teachers in turn, and a teacher's students share it equally. Students stand in rounds, one
    of each teacher.
    angle: in radians, one number; or [low, high], between which each seed draws one, uniform in the logarithm.
    mirrored: students come in pairs ±e, so that shares that sum to 1 leave no residual; pairs share alike.
    background_neurons: the scale ε of the neurons beyond the shares, w_j ~ N(0, ε² I), orthogonal to all teachers if
    background_orthogonal.
    Trained outputs are a_j = ±|w_j| with the sign of b; those of background neurons are positive, or have signs by
    fair coins if background_signs is random. For |·| each hidden weight has a random sign.
    """

    angle: float | list[float]
    shares: list[float] | None = None
    mirrored: bool = False
    background_neurons: float = 0.0
    background_orthogonal: bool = False
    background_signs: Literal["positive", "random"] = "positive"

    def __post_init__(self) -> None:
        ends = self.angle if isinstance(self.angle, list) else [self.angle]
        if isinstance(self.angle, list) and not (len(ends) == 2 and 0 < ends[0] < ends[1]):
            raise ValueError(f"angle: a range is [low, high] with 0 < low < high, not {self.angle}")
        if ends[0] < 0:
            raise ValueError(f"angle: must be 0 or above, is {self.angle!r}")
        if max(ends) >= math.pi / 2:
            raise ValueError(f"angle: is in radians, and must be below π/2; is {self.angle!r}")
        if self.background_neurons < 0:
            raise ValueError(f"background_neurons: must be 0 or above, is {self.background_neurons!r}")
        if self.shares is not None:
            if not all(share > 0 for share in self.shares):
                raise ValueError(f"shares: must be above 0, as in {self.shares}")
            pairs = list(zip(self.shares[::2], self.shares[1::2], strict=False))
            if self.mirrored and (len(self.shares) % 2 or any(left != right for left, right in pairs)):
                raise ValueError(
                    f"shares: mirrored students come in pairs that share alike, not {self.shares}"
                )

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse problems without teachers, and numbers or signs that cannot be."""
        teachers, dimension = len(problem.teacher_outputs), problem.size[1] or 0
        if not teachers:
            raise ValueError(
                "angle: only a problem with teachers ('gaussian_teacher') has students around them"
            )
        if self.shares is None:
            left, right = divmod(network.neurons, teachers)
            if right or not left:
                raise ValueError(
                    f"shares: {counted(network.neurons, 'neuron')} cannot be dealt evenly to "
                    f"{counted(teachers, 'teacher')}; give shares"
                )
            if self.mirrored and left % 2:
                raise ValueError(
                    f"mirrored: {counted(left, 'student')} of a teacher cannot be dealt into pairs"
                )
        elif len(self.shares) * teachers > network.neurons:
            raise ValueError(
                f"shares: {counted(len(self.shares), 'student')} for each of {counted(teachers, 'teacher')}: "
                f"more than {counted(network.neurons, 'neuron')}"
            )
        elif len(self.shares) * teachers < network.neurons and not self.background_neurons > 0:
            raise ValueError(
                f"background_neurons: {counted(network.neurons - len(self.shares) * teachers, 'neuron')} "
                "beyond the shares; give a scale"
            )
        if self.background_signs == "random" and network.output != "trained":
            raise ValueError(
                f"background_signs: a {network.output} output weight has no sign to draw; must be positive"
            )
        if self.background_orthogonal and teachers >= dimension:
            raise ValueError(
                f"background_orthogonal: no direction is orthogonal to {counted(teachers, 'teacher')} in "
                f"dimension {dimension}"
            )
        if dimension == 1 and self.angle != 0:
            raise ValueError("angle: no direction is orthogonal to a teacher in 1 dimension; give 0")
        outputs = np.asarray(network.output_values if network.output == "fixed" else 1.0)
        if network.output != "trained" and not np.all(
            np.multiply.outer(np.asarray(problem.teacher_outputs), outputs) * network.scale > 0
        ):
            raise ValueError(
                f"output: a {network.output} output weight has not the sign of every teacher's coefficient"
            )

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """Draw the students of each teacher, teacher after teacher in each round, then the background neurons."""
        teacher: Teacher = data.teacher
        count, features = teacher.hidden.shape
        shares = self.shares or [count / network.neurons] * (network.neurons // count)
        size = self.angle
        if isinstance(size, list):
            size = math.exp(random.uniform(*np.log(size)))
        axes = unit(teacher.hidden)
        length = teacher.output * np.linalg.norm(teacher.hidden, axis=-1)
        heavy = np.empty((len(shares), count, features))
        rest = np.empty((count, features))
        for place, share in enumerate(shares):
            if self.mirrored and place % 2:
                rest = -rest
            else:
                rest = random.standard_normal((count, features))
                rest -= (rest * axes).sum(-1, keepdims=True) * axes
                rest = math.tan(size) * unit(rest)
            heavy[place] = share * length[:, None] * (axes + rest)
        heavy = heavy.reshape(-1, features) / network.scale
        mass = np.linalg.norm(heavy, axis=-1)
        background = self.background_neurons * random.standard_normal(
            (network.neurons - len(heavy), features)
        )
        if self.background_orthogonal:
            span = np.linalg.qr(axes.T)[0]
            background -= background @ span @ span.T
        sign = np.tile(np.sign(length), len(shares))
        if network.output == "fixed":
            output = np.broadcast_to(
                np.asarray(network.output_values, dtype=np.float64), network.neurons
            ).copy()
            hidden = heavy / output[: len(heavy), None]
        else:
            hidden = heavy * (sign / np.sqrt(mass))[:, None]
            output = np.concatenate([sign * np.sqrt(mass), np.linalg.norm(background, axis=-1)])
        hidden = np.concatenate([hidden, background])
        if network.activation.even:
            hidden *= random.choice([-1.0, 1.0], (network.neurons, 1))
        if self.background_signs == "random":
            output[len(heavy) :] *= random.choice([-1.0, 1.0], len(background))
        return Weights(hidden, output)
