"""What a plugin of each kind must be to be registered, and the names that it may have."""

from __future__ import annotations

import dataclasses
import json
import keyword
from typing import Any

from twolayer.analysis.claims import Claim
from twolayer.analysis.figures import Drawing
from twolayer.analysis.metric import Metric
from twolayer.core.activation import Activation
from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics
from twolayer.core.initialization import InitializationSpec
from twolayer.core.loss import Loss
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.trajectory import MARKS
from twolayer.errors import PluginError
from twolayer.study.plugin_methods import wrong_method
from twolayer.study.schema import canonical

__all__ = ["OF_PAPERS", "RESERVED", "check"]

OF_PAPERS = ("figures", "claims")
"""The kinds whose names are <paper>.<name>."""

BASES: dict[str, type] = {
    "backends": Backend,
    "activations": Activation,
    "losses": Loss,
    "problems": ProblemSpec,
    "initializations": InitializationSpec,
    "dynamics": Dynamics,
    "metrics": Metric,
    "figures": Drawing,
    "claims": Claim,
}
"""What a plugin of each kind is: an instance of the class, or for what a config section is built into, a subclass."""

DIMENSIONS = frozenset(("seed", "time", "neuron", "feature", "sample", "teacher"))
"""The dimensions that datasets share."""

RESERVED = DIMENSIONS | {"step", "run", *MARKS}
"""Dimensions and variables of every dataset, which neither a metric nor a swept word may have for a name."""

SECTIONS = ("activations", "problems", "initializations", "dynamics")


def check(kind: str, name: str, plugin: Any) -> None:
    """Refuse a plugin that cannot be what it is registered as."""
    base = BASES[kind]
    if kind in SECTIONS:
        if not (isinstance(plugin, type) and issubclass(plugin, base)):
            raise PluginError(
                f"register_{kind}: '{name}' ({getattr(plugin, '__name__', repr(plugin))}) must be a subclass of "
                f"twolayer.{base.__name__}"
            )
        if not dataclasses.is_dataclass(plugin):
            raise PluginError(
                f"register_{kind}: '{name}' must be a dataclass (its fields are its config section)"
            )
        fields = {field.name for field in dataclasses.fields(plugin)}
        annotated = {key: str(hint) for key, hint in vars(plugin).get("__annotations__", {}).items()}
        if forgotten := [
            key for key, hint in annotated.items() if key not in fields and "ClassVar" not in hint
        ]:
            raise PluginError(
                f"register_{kind}: '{name}' has the field '{forgotten[0]}', but {plugin.__name__} is no dataclass; "
                "write @dataclass(frozen=True) above the class"
            )
        for field in dataclasses.fields(plugin):
            if field.default is not dataclasses.MISSING and not storable(field.default):
                raise PluginError(
                    f"register_{kind}: '{name}' has the field '{field.name}' with the default {field.default!r}, "
                    "which no config can hold; must be a number, a word, a list or a mapping"
                )
        if missing := sorted(getattr(plugin, "__abstractmethods__", ())):
            raise PluginError(
                f"register_{kind}: '{name}' ({plugin.__name__}) must define {', '.join(missing)}"
            )
        if wrong := wrong_method(plugin, base):
            raise PluginError(f"register_{kind}: '{name}' ({plugin.__name__}) must define {wrong}")
    elif not isinstance(plugin, base):
        raise PluginError(f"register_{kind}: '{name}' ({plugin!r}) must be a {base.__name__}")
    if kind == "metrics":
        check_variable(name, plugin)
    parts = name.split(".") if kind == "figures" else ()
    if not all(part.isidentifier() for part in parts):
        raise PluginError(
            f"register_figures: {name!r} becomes files: paper and figure must be of letters, digits and '_'"
        )
    if kind in ("figures", "claims") and name.count(".") != 1:
        raise PluginError(f"register_{kind}: '{name}' must be named '<paper>.<{kind.removesuffix('s')}>'")


def storable(value: Any) -> bool:
    """Whether a run can be written with it, as JSON."""
    try:
        json.dumps(canonical(value))
    except TypeError:
        return False
    return True


def check_variable(name: str, metric: Metric) -> None:
    """Refuse a metric whose name, or a dimension of which, cannot be one of a dataset."""
    for word, what in ((name, "name"), *((dimension, "dimension") for dimension in metric.dimensions)):
        if not isinstance(word, str) or not word.isidentifier() or keyword.iskeyword(word):
            raise PluginError(
                f"register_metrics: '{name}': its {what} must be a Python identifier, as a variable of the dataset; "
                f"is {word!r}"
            )
    if name in RESERVED or name in metric.dimensions:
        raise PluginError(
            f"register_metrics: '{name}' is the name of a dimension or a variable of every dataset; choose another"
            if name in RESERVED
            else f"register_metrics: '{name}' is also the name of one of its dimensions; rename one of them"
        )
    if taken := sorted(set(metric.dimensions) & (RESERVED - DIMENSIONS)):
        raise PluginError(
            f"register_metrics: '{name}': '{taken[0]}' is a variable of every dataset, not a dimension"
        )
    if len(set(metric.dimensions)) < len(metric.dimensions):
        raise PluginError(f"register_metrics: '{name}' has a dimension twice: {', '.join(metric.dimensions)}")
