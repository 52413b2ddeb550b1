"""`twolayer plugins`: what each plugin is."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from typing import Any

from twolayer.analysis import claims
from twolayer.analysis.figures import Drawing
from twolayer.analysis.metric import Metric, always
from twolayer.errors import ConfigError, unknown_name
from twolayer.study.hooks import KINDS
from twolayer.study.registry import Registered, Registry
from twolayer.study.schema import parameters

__all__ = ["plugin_report"]


def plugin_report(registry: Registry, kind: str | None = None, name: str | None = None) -> str:
    """What is registered: all kinds, one kind or one name, each with a line that says what it is."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"plugins: {unknown_name('kind', kind, KINDS)}")
    if kind is not None and name is not None:
        return "\n".join(entry_lines(registry.find(kind, name, "plugins"), whole=True))
    lines = []
    for each in (kind,) if kind else KINDS:
        lines.append(each)
        for known in registry.names(each):
            if (each, known) in registry.duplicates:
                lines.append(f"  {known}  (registered twice)")
            else:
                lines += entry_lines(registry.find(each, known), whole=False)
    return "\n".join(lines)


def entry_lines(entry: Registered, whole: bool) -> list[str]:
    """One plugin: what it is, its parameters with their defaults, and its file; `whole`: with all of its text."""
    plugin = entry.plugin
    lines = [f"  {entry.name}  {description(plugin)}"]
    if whole:
        text = documentation(plugin).splitlines()
        lines += [f"      {line}" for line in (text[1:] if text[:1] == [description(plugin)] else text)]
    if isinstance(plugin, type) and is_dataclass(plugin):
        for field, hint, default in parameters(plugin):
            lines.append(
                f"      {field}: {hint}" + (f" = {default}" if default is not None else "   (required)")
            )
    return [*lines, f"      ({entry.source})"]


def description(plugin: Any) -> str:
    """One line that says what a plugin is: a metric's quantity, dimensions, units and where it applies, a figure's
    caption, a claim's statement, the first line of a docstring."""
    if isinstance(plugin, Metric):
        needed = first_line(plugin.applies).removeprefix("Whether ").rstrip(".")
        where = "" if plugin.applies is always or not needed else f"; where {needed}"
        usual = "" if plugin.by_default else "; measured if a config names it"
        return f"{plugin.long_name} ({', '.join(plugin.dimensions)}) [{plugin.units}]{where}{usual}"
    if isinstance(plugin, claims.Claim):
        return plugin.statement
    if isinstance(plugin, Drawing):
        written = plugin.caption if isinstance(plugin.caption, str) else first_line(plugin.draw)
        caption = written or f"drawn from {', '.join(plugin.experiments)}; its caption says what was run"
        return f"[{plugin.status}] {caption.partition('. ')[0]}"
    return first_line(plugin if isinstance(plugin, type) else type(plugin))


def documentation(plugin: Any) -> str:
    """A plugin's docstring."""
    if isinstance(plugin, Metric):
        return inspect.getdoc(plugin.measure) or ""
    if isinstance(plugin, Drawing):
        return inspect.getdoc(plugin.draw) or ""
    return inspect.getdoc(plugin if isinstance(plugin, type) else type(plugin)) or ""


def first_line(documented: Any) -> str:
    """The first line of a docstring, which Python writes itself for a dataclass that has none."""
    text = inspect.getdoc(documented) or ""
    return "" if text.startswith(f"{getattr(documented, '__name__', '')}(") else text.partition("\n")[0]
