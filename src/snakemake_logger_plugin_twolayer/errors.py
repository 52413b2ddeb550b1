"""Errors that a user can cause, each in one message: Snakemake answers them with a traceback, or says less."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from snakemake_logger_plugin_twolayer.logs import text_of

__all__ = ["error_in_arguments", "error_in_yaml", "plain_error"]

TARGETS = (
    "Targets are a paper's name, and the files results/<paper>/claims.json, results/<paper>/figures/<figure>.pdf, "
    ".png or .mp4, results/<paper>/<experiment>/dataset.nc and results/<paper>/<experiment>/<run>/problem.nc, "
    "trajectory.nc or metrics.nc. `twolayer list` names papers, experiments and figures."
)


def plain_error(text: str) -> str:
    """Snakemake's report of an error: of one that a user can cause, the message alone."""
    if "Config file is not valid" in text:
        return error_in_yaml(sys.argv) or text
    if found := re.search(r"No rule to produce (.*?) \(if you use", text):
        papers = [folder.name for folder in Path("plugins", "papers").glob("[!_]*")]
        near = [f"Did you mean '{name}'? " for name in get_close_matches(found[1], papers, 1)]
        return f"{found[1]}: there is no such target. {''.join(near)}{TARGETS}"
    if found := re.search(r"Error:\n  \w*Error: (.*?)\nWildcards:", text, re.DOTALL):
        return found[1] if "ConfigError: " in found[0] else text
    text = re.sub(r"\AWorkflowError in file \"[^\n]*\.smk\", line \d+:\n", "", text)
    return re.sub(r"\n  File \"[^\n]*\.smk\", line \d+, in <module>\s*\Z", "", text)


def error_in_yaml(arguments: Sequence[str]) -> str:
    """What is wrong in the files of --configfile, with the line; Snakemake says neither."""
    from twolayer.errors import ConfigError
    from twolayer.study.merge import read_config

    for argument in arguments[1:]:
        if argument.endswith((".yaml", ".yml", ".json")) and Path(argument).is_file():
            try:
                read_config(Path(argument))
            except ConfigError as error:
                return str(error)
    return ""


def error_in_arguments(arguments: Sequence[str]) -> str:
    """What is wrong with arguments of Snakemake that it answers with a traceback or all its options; "" if nothing.

    Snakemake loads this module before it reads them.
    """
    if missing := missing_config(arguments):
        return missing
    values = iter(arguments)
    for argument in values:
        option, _, value = argument.partition("=")
        if option in ("-C", "--config") or argument.startswith("--config="):
            settings = (
                [value] if value else itertools.takewhile(lambda each: not each.startswith("-"), values)
            )
            for setting in settings:
                path, _, found = setting.partition("=")
                if "." in path:
                    nested = f"{found or 'VALUE'}"
                    first, *words = path.split(".")
                    for word in reversed(words):
                        nested = f"{{{word}: {nested}}}"
                    return (
                        f"--config {setting}: a key has no dots; write --config '{first}={nested}', or "
                        "`twolayer set PATH=VALUE -- TARGET`, which keeps the paper's results"
                    )
        if option == "--profile":
            profile = value or next(values, "")
            executor = executor_of(Path(profile))
            package = f"snakemake_executor_plugin_{executor.replace('-', '_')}"
            if executor not in ("", "local", "dryrun", "touch") and not importlib.util.find_spec(package):
                extra = "-e '.[cluster]'" if executor == "slurm" else package.replace("_", "-")
                return f"{profile}: its executor '{executor}' is not installed: pip install {extra}"
    return ""


def missing_config(arguments: Sequence[str]) -> str:
    """A file of `--configfile` that is not there; "" if all are. With `--directory` they are looked for elsewhere."""
    if any(argument.partition("=")[0] in ("-d", "--directory") for argument in arguments):
        return ""
    for index, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--configfile", "--configfiles"):
            after = itertools.takewhile(lambda each: not each.startswith("-"), arguments[index + 1 :])
            for file in [value] if value else after:
                if not Path(file).is_file():
                    return f"--configfile {file}: there is no such file; targets come after `--`"
    return ""


def executor_of(profile: Path) -> str:
    """The executor that a profile names; "" where it names none or is not there."""
    for file in sorted(profile.glob("config*.y*ml")):
        if found := re.search(r"^executor:\s*['\"]?([\w-]+)", text_of(str(file)), re.MULTILINE):
            return found[1]
    return ""
