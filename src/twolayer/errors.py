"""The errors a user can cause. Each says where, what is wrong, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "DataError", "PluginError", "TrainingError", "TwolayerError", "unknown_name"]


class TwolayerError(Exception):
    """Base of all errors that are shown as one message, without a traceback."""


class ConfigError(TwolayerError):
    """A config is wrong; the message begins with the place in it (`papers.x.experiments.y.network`)."""


class DataError(TwolayerError):
    """A file is missing, malformed, or holds values that cannot be used."""


class TrainingError(TwolayerError):
    """A run could not be carried on; the message says at which time or step."""


class PluginError(TwolayerError):
    """A plugin could not be loaded, or asks for a name that another plugin holds."""


def unknown_name(what: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that does not exist: the nearest one that does, then all of them."""
    names = sorted(known)
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return f"there is no {what} '{name}'.{hint} Known: {', '.join(names) if names else 'none'}."
