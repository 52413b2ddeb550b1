"""The metrics that apply to a run, found as the config's check finds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twolayer.study.job import Job
from twolayer.study.registry import Registry

__all__ = ["applicable_metrics"]


def applicable_metrics(run: Mapping[str, Any], registry: Registry) -> list[str]:
    """The names of all metrics that apply to a run, given as the JSON that its files carry."""
    probed = Job(run, registry).probe()
    assert probed is not None
    return [
        name for name in registry.names("metrics") if registry.find("metrics", name).plugin.applies(*probed)
    ]
