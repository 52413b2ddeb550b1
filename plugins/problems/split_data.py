"""split_data: data of another problem, some of them held out, and data of a further law to be tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from twolayer import FiniteData, Network, ProblemSpec, problem
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.study.schema import Nested


@dataclass(frozen=True)
class Part(Nested):
    """A problem by name, with its keys."""

    kind: ClassVar[str] = "problems"


@problem("split_data")
@dataclass(frozen=True)
class SplitData(ProblemSpec):
    """The data of the problem `training`, with further sets on which the loss is measured and nothing is trained.

    held_out: how many of the training's samples are taken out, drawn anew for each seed; or their share, below 1; or
    another problem, whose samples they are. off_distribution: a problem with inputs of another law.
    shared: one split for all seeds. The metrics are `held_out_loss` and `off_distribution_loss`.
    """

    training: Part
    held_out: int | float | Part | None = None
    off_distribution: Part | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        if self.held_out is None and self.off_distribution is None:
            raise ValueError("give held_out or off_distribution, or name the problem itself")
        if isinstance(self.held_out, int | float) and not self.held_out > 0:
            raise ValueError(f"held_out: must be above 0, is {self.held_out!r}")
        if isinstance(self.held_out, float) and not self.held_out < 1:
            raise ValueError(f"held_out: a share is below 1, a number is whole; it is {self.held_out!r}")
        if self.shared and not isinstance(self.held_out, int | float):
            raise ValueError("shared: only where samples of the training are drawn; leave it out")
        for key, part in self.parts.items():
            if "finite" not in part.plugin.laws:
                raise ValueError(
                    f"{key}: must have samples, and '{part.name}' is a population; set its samples"
                )
        features = {part.plugin.size[1] for part in self.parts.values()} - {None}
        if len(features) > 1:
            raise ValueError(f"all sets need as many features, and they have {sorted(features)}")
        samples = self.training.plugin.size[0]
        if samples is not None:
            self.taken_out(samples)

    @property
    def parts(self) -> dict[str, Part]:
        """The problems by key."""
        found = {
            "training": self.training,
            "held_out": self.held_out,
            "off_distribution": self.off_distribution,
        }
        return {key: part for key, part in found.items() if isinstance(part, Part)}

    def taken_out(self, samples: int) -> int:
        """How many of the samples are taken out; ValueError where none or all are."""
        if not isinstance(self.held_out, int | float):
            return 0
        share = isinstance(self.held_out, float)
        count = round(self.held_out * samples) if share else int(self.held_out)
        if not 1 <= count < samples:
            raise ValueError(
                f"held_out: takes {count} of {counted(samples, 'sample')}; must be 1 to {samples - 1}"
            )
        return count

    @property
    def loss(self) -> str:  # type: ignore[override]
        """The training's."""
        return str(self.training.plugin.loss)

    @property
    def laws(self) -> frozenset[str]:
        """The training's."""
        return frozenset(self.training.plugin.laws)

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The numbers of samples to train on and of features."""
        samples, features = self.training.plugin.size
        return (None if samples is None else samples - self.taken_out(samples)), features

    @property
    def teacher_outputs(self) -> tuple[float, ...]:
        """The training's."""
        return tuple(self.training.plugin.teacher_outputs)

    @property
    def per_seed(self) -> bool:
        """Whether a part has other data for each seed, or is split anew."""
        drawn = isinstance(self.held_out, int | float) and not self.shared
        return drawn or any(part.plugin.per_seed for part in self.parts.values())

    def validate(self, network: Network) -> None:
        """Refuse what a part refuses."""
        for key, part in self.parts.items():
            try:
                part.plugin.validate(network)
            except ValueError as error:
                raise ValueError(f"{key}.{error}") from None

    def generate(self, random: np.random.Generator) -> FiniteData:
        """The training's data alone."""
        found: FiniteData = self.training.plugin.generate(random)
        return found

    def seed_data(self, network: Network, random: np.random.Generator, seed: int) -> FiniteData:
        """The training's data of a seed, then what is held out, then what is of another law."""
        data: Any = self.training.plugin.seed_data(network, random, seed)
        further: dict[str, FiniteData] = {}
        if isinstance(self.held_out, Part):
            further["held_out"] = self.held_out.plugin.seed_data(network, random, seed)
        elif self.held_out is not None:
            try:
                count = self.taken_out(data.samples)
            except ValueError as error:
                raise DataError(f"problem.{error}") from None
            splitter = np.random.default_rng(0) if self.shared else random
            order = splitter.permutation(data.samples)
            taken, left = np.sort(order[:count]), np.sort(order[count:])
            further["held_out"] = FiniteData(data.inputs[taken], data.targets[taken], data.loss)
            data = replace(data, inputs=data.inputs[left], targets=data.targets[left])
        if self.off_distribution is not None:
            further["off_distribution"] = self.off_distribution.plugin.seed_data(network, random, seed)
        for key, part in further.items():
            if part.features != data.features:
                raise DataError(
                    f"problem.{key}: has {counted(part.features, 'feature')}; the training has {data.features}"
                )
        alike = {name: replace(part, loss=data.loss, teacher=None) for name, part in further.items()}
        found: FiniteData = replace(data, further=alike)
        return found
