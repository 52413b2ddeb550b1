"""Runs as a paper's claims expect them: what a test leaves open is as the paper has it."""

from __future__ import annotations

from typing import Any

from twolayer import Paper


def in_setting(paper: Paper, run: dict[str, Any]) -> dict[str, Any]:
    """A run's sections with the paper's settings where they are not given."""
    found = {name: dict(section) if isinstance(section, dict) else section for name, section in run.items()}
    for path, allowed in paper.setting.items():
        section, key = path.split(".")
        found.setdefault(section, {}).setdefault(key, allowed[0] if isinstance(allowed, tuple) else allowed)
    return found
