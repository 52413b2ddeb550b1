"""One run through the stages, plugins looked up by name: what the command line and notebooks share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twolayer.errors import ConfigError
from twolayer.study.fingerprint import code_of, population_of
from twolayer.study.registry import Registered, Registry
from twolayer.study.schema import nested
from twolayer.training.placement import Placement, placement

__all__ = ["PLUGIN_SECTIONS", "code_of_run", "placed_backend", "section_of", "selected_metrics"]

PLUGIN_SECTIONS = {"problem": "problems", "initialization": "initializations", "dynamics": "dynamics"}


def section_of(run: Mapping[str, Any], key: str, registry: Registry) -> Any:
    """The plugin instance that a run's section describes."""
    return registry.build(PLUGIN_SECTIONS[key], run[key], f"{run['experiment']}.{key}")[1]


def placed_backend(
    run: Mapping[str, Any], name: str, registry: Registry, where: str = "backend"
) -> tuple[Placement, Any]:
    """Where a run is trained when the backend `name` is asked for, and the backend that does it."""
    asked = registry.find("backends", name, where).thing
    if not getattr(asked, "on_device", False):
        return Placement(name, False), asked
    placed = placement(name, run, section_of(run, "problem", registry), section_of(run, "dynamics", registry))
    return placed, registry.find("backends", placed.backend, where).thing


def plugins_of(run: Mapping[str, Any], key: str, registry: Registry) -> list[Registered]:
    """The plugins that a run's section names: its own, then those of the sections within it."""
    found, built = registry.build(PLUGIN_SECTIONS[key], run[key], f"{run['experiment']}.{key}")
    return [found, *(registry.find(part.kind, part.name) for part in nested(built))]


def code_of_run(
    stage: str, run: Mapping[str, Any], registry: Registry, metrics: list[str] | None = None
) -> str:
    """The fingerprint of the code that a stage of this run executes."""
    problem = registry.section(PLUGIN_SECTIONS["problem"], run["problem"], f"{run['experiment']}.problem")[0]
    if stage == "generate":
        plugins = [problem]
    elif stage == "train":
        plugins = [*plugins_of(run, "initialization", registry), *plugins_of(run, "dynamics", registry)]
    elif stage == "measure":
        plugins = [registry.find("metrics", name) for name in selected_metrics(registry, metrics)]
    else:
        plugins = []
    more = population_of(problem.file) if stage in ("train", "measure") else []
    return code_of(stage, [*(plugin.file for plugin in plugins), *more])


def selected_metrics(registry: Registry, names: list[str] | None) -> list[str]:
    """The metrics to measure: those named, or all by default; `loss` and `gradient_norm` always."""
    for name in names or ():
        registry.find("metrics", name, "metrics")
    if names is None:
        return [name for name in registry.names("metrics") if registry.find("metrics", name).thing.by_default]
    return list(dict.fromkeys(("loss", "gradient_norm", *names)))


def style_file() -> Path:
    """The house style of the figures."""
    package = Path(__file__).parents[1]
    for style in (package / "figures.mplstyle", package.parents[1] / "workflow" / "figures.mplstyle"):
        if style.is_file():
            return style
    raise ConfigError("figures.mplstyle is missing from the installation")
