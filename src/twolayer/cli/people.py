"""The verbs that say what there is, write what to begin with, and clean up."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twolayer.core.wording import counted

__all__ = ["clean", "list_", "new", "plugins", "schema", "show", "verify"]


def plugins(options: argparse.Namespace) -> None:
    """List plugins: what each is, its parameters with their defaults, and its file."""
    from twolayer.reports.plugins import plugin_report
    from twolayer.study.registry import load

    registry = load(options.plugin_path)
    print(plugin_report(registry, options.kind, options.plugin))
    for warning in registry.warnings():
        print(f"warning: {warning}", file=sys.stderr)


def schema(options: argparse.Namespace) -> None:
    """Print the JSON schema of config.yaml, with which editors complete and check it."""
    from twolayer.study.json_schema import config_schema
    from twolayer.study.registry import load

    print(json.dumps(config_schema(load(options.plugin_path)), indent=1, ensure_ascii=False))


def studied(options: argparse.Namespace, variants: Sequence[Path] = ()) -> Any:
    """The study of the config files, as the workflow has it; variants: those that `twolayer set` wrote, over them."""
    from twolayer.study.study import load_study

    files = [*(options.configfile or [Path("config.yaml")]), *variants]
    return load_study(
        files, {"plugin_paths": list(map(str, options.plugin_path))} if options.plugin_path else {}
    )


def list_(options: argparse.Namespace) -> None:
    """List papers, experiments, figures and claims: which are up to date, and which are not and why."""
    from twolayer.reports.study import study_report

    print(study_report(studied(options)))
    if variants := [str(file) for file in sorted(Path("results").glob("*/config.yaml"))]:
        print(f"Made by twolayer set, see twolayer list --configfile: {', '.join(variants)}")


def verify(options: argparse.Namespace) -> int:
    """Say which results are cut short, altered, stale or misplaced, and how to make them again; exit status 1 then."""
    from twolayer.verification import report, verification

    found = verification(studied(options), options.paper)
    print("\n".join(map(str, found.to_remake)) if options.files else report(found))
    return int(bool(found.wrong))


def show(options: argparse.Namespace) -> None:
    """Show what made a figure: settings, claims, files, and the command that makes it again."""
    from twolayer.reports.figure import figure_report

    variant = Path("results", options.figure.partition(".")[0], "config.yaml")
    print(figure_report(studied(options, [variant] if variant.is_file() else []), options.figure))


def new(options: argparse.Namespace) -> None:
    """Write a plugin that works, with its test, to begin with."""
    from twolayer.templates import write

    for file in write(options.kind, options.plugin, options.folder):
        print(file)
    print("Change them to what you mean; pytest says whether it is right, docs/plugins.md what it may have.")


def clean(options: argparse.Namespace) -> None:
    """Remove the folders of runs under results/ that no config asks for; without --yes only name them."""
    import shutil

    from twolayer.reports.folders import abandoned

    found = abandoned(studied(options))
    for folder in found:
        print(folder)
        if options.yes:
            shutil.rmtree(folder)
    if not found:
        print("There is no folder that the config does not ask for.")
    elif not options.yes:
        print(f"The config does not ask for {counted(len(found), 'folder')}: remove by twolayer clean --yes.")
