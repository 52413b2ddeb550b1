"""Words and paths as command lines hold them, whatever letters they are made of."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from twolayer.errors import ConfigError

__all__ = ["quoted", "refuse_braces", "relative"]


def quoted(*words: str) -> str:
    """The words as the shell reads them again. What a rule's command holds has passed here, or Snakemake's `:q`, which
    is the same for one word: `shlex.quote`."""
    return shlex.join(words)


def refuse_braces(path: Path | str, where: str) -> None:
    """Refuse a path that Snakemake would take for a pattern: braces in the name of an input cannot be escaped."""
    if "{" in str(path) or "}" in str(path):
        raise ConfigError(f"{where}: '{path}' has braces, which Snakemake takes for a wildcard; rename it")


def relative(path: Path | str) -> str:
    """A path from the working folder, never to be taken for an option."""
    found = os.path.relpath(path)
    return os.path.join(os.curdir, found) if found.startswith("-") else found
