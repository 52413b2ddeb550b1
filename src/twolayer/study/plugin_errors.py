"""Errors that rise in plugins, in one line: which plugin, where in it, and what."""

from __future__ import annotations

from twolayer.errors import PluginError

__all__ = ["blame", "reason_of"]


def blame(error: BaseException) -> str:
    """The plugin that an exception rose in, or that called what raised it; empty where there is none."""
    found, step, last = None, error.__traceback__, error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").startswith("twolayer_plugins."):
            found = step
        step, last = step.tb_next, step
    if found is None or last is None:
        return ""
    code = found.tb_frame.f_code
    text = " ".join(str(error).split())
    return (
        f"the plugin {code.co_filename} failed in line {found.tb_lineno}, in {code.co_name}: "
        f"{type(error).__name__}: {text}"
        + (
            f" (raised in {last.tb_frame.f_code.co_filename}, line {last.tb_lineno})"
            if last is not found
            else ""
        )
    )


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the line of the plugin where it rose."""
    where = ""
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})"
    elif error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        if "twolayer_plugins" in last.tb_frame.f_globals.get("__name__", ""):
            where = f" (line {last.tb_lineno})"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{where}" if not isinstance(error, PluginError) else text
