"""The base class of laws of data, which say how a file holds them and which problem they pose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from twolayer.errors import DataError, unknown_name

if TYPE_CHECKING:
    from twolayer.core.network import Network
    from twolayer.core.problem import Problem

__all__ = ["Arrays", "Data", "law_of"]

Array = Any
Arrays = dict[str, tuple[tuple[str, ...], Array, str]]
"""name -> (dimensions, values, long name)."""

LAWS: dict[str, type[Data]] = {}
"""The classes of data by the name that files carry; a class enters when it is defined."""


class Data(ABC):
    """A law of data. A subclass names itself, `class FiniteData(Data, law="finite")`, and files say that name.

    teacher: the teacher of whose population the data are, or are a sample, on the host; None where there is none.
    dimension: d where the features are reduced coordinates of it; None where they are all.
    """

    law: ClassVar[str]
    teacher: Any = None
    dimension: int | None = None

    def __init_subclass__(cls, law: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if law:
            cls.law = law
            LAWS[law] = cls

    @property
    @abstractmethod
    def features(self) -> int:
        """The number of coordinates of an input."""

    @property
    def samples(self) -> int | None:
        """The number of samples; None where the loss is an expectation."""
        return None

    @property
    def per_seed(self) -> bool:
        """Whether seeds have different data (a leading `seed` axis)."""
        return False

    @property
    def apart(self) -> bool:
        """Whether a problem is of one seed alone, so that a run of several is as many runs."""
        return False

    @property
    def attributes(self) -> dict[str, Any]:
        """What a file must know in addition to the arrays: the law's name first."""
        return {"law": self.law}

    @abstractmethod
    def arrays(self) -> Arrays:
        """What a file holds; what is drawn for each seed leads with `seed`."""

    @classmethod
    @abstractmethod
    def read(cls, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> Data:
        """The data of a file, from its arrays and attributes."""

    @abstractmethod
    def mapped(self, function: Callable[[Array], Array]) -> Self:
        """The data with a function applied to each array that training works on."""

    @abstractmethod
    def of_seed(self, index: int) -> Data:
        """The data of one seed."""

    def of_seeds(self, chosen: Array) -> Data:
        """The data of some seeds, by their index: these, unless seeds have different data."""
        return self

    def by_teacher(self) -> Sequence[Data]:
        """Data with one teacher each: these, or one for each seed where teachers differ."""
        return [self]

    def with_loss(self, loss: Any) -> Data:
        """The data with the plugin of the loss that they name; these, where they name none."""
        return self

    @abstractmethod
    def stacked(self, others: Sequence[Any]) -> Data:
        """These data and those of the other seeds as one, with a leading seed axis."""

    @abstractmethod
    def problem(self, network: Network) -> Problem:
        """The reference problem of a network on these data."""


def law_of(attributes: Mapping[str, Any], where: str) -> type[Data]:
    """The class that reads a file, by its attribute `law`; DataError where no plugin has brought it."""
    law = str(attributes.get("law"))
    if law not in LAWS:
        raise DataError(f"{where}: {unknown_name('law of data', law, LAWS)}")
    return LAWS[law]
