"""Runs as a paper's claims expect them: what a test leaves open is as the paper has it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twolayer import Paper
from twolayer.study.registry import load

__all__ = ["claims_of", "in_setting"]


def claims_of(paper: str) -> SimpleNamespace:
    """The claims of a paper by their names."""
    registry = load([], ("claims",), [paper])
    names = registry.names("claims")
    return SimpleNamespace(**{name.partition(".")[2]: registry.find("claims", name).plugin for name in names})


def in_setting(paper: Paper, run: dict[str, Any]) -> dict[str, Any]:
    """A run's sections with the paper's settings where they are not given."""
    found = {name: dict(section) if isinstance(section, dict) else section for name, section in run.items()}
    for path, allowed in paper.setting.items():
        section, key = path.split(".")
        found.setdefault(section, {}).setdefault(key, allowed[0] if isinstance(allowed, tuple) else allowed)
    return found
