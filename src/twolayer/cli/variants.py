"""The verb that makes a paper, figure or experiment with other settings."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twolayer.errors import ConfigError

__all__ = ["SET_EXAMPLES", "set_"]

SET_EXAMPLES = """\
TARGET is a paper, <paper>.<figure>, <paper>.<experiment>, or a path under results/. Its results are those of a variant
of the paper, results/<paper>_<settings>; the paper's stay as they are.

A figure with another setting; a sweep of 3 x 2 runs; a paper with one experiment changed and one figure less:
  twolayer set initialization.scale=0.3 -- xu2023.figure1
  twolayer set network.neurons=2,5,10 dynamics.step_size=0.1,0.2 -- mystudy.rate
  twolayer set figure1.seeds=4 figures.toys=false -- xu2023 --cores 4
"""


def set_(options: argparse.Namespace) -> None:
    """Make a paper, figure or experiment with other settings, as a variant: PATH=VALUE ... -- TARGET."""
    import subprocess

    import yaml

    from twolayer.storage import atomic
    from twolayer.study import settings
    from twolayer.study.study import composed_paper, load_study

    if not options.making or not options.settings:
        raise ConfigError(
            "set: needs PATH=VALUE ... -- TARGET: twolayer set network.neurons=50 -- mystudy.rate"
        )
    target_text, *passed = options.making
    given = [settings.read_setting(text) for text in options.settings]
    files = [*[Path("config.yaml")][: Path("config.yaml").is_file()], *options.configfile]
    paths = {"plugin_paths": list(map(str, options.plugin_path))} if options.plugin_path else {}
    name = re.sub(r"\Aresults/", "", target_text).partition("/")[0].partition(".")[0]
    study = load_study(files, paths | {"papers": {name: {}}})
    target = settings.read_target(target_text, study)
    composed = composed_paper(files, target.paper, study.plugin_paths)
    changed = settings.changed_paper(target, given, composed, tuple(study.papers[target.paper].figures))
    variant = settings.variant_name(target.paper, given, options.variant)
    check(files, paths, variant, changed, leave_out=not target.only and bool(target.files))
    file = Path("results", variant, "config.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"papers": {variant: settings.relative_to(changed, file.parent)}}
    if options.plugin_path:
        content["plugin_paths"] = [os.path.relpath(path, file.parent) for path in study.plugin_paths]
    atomic.write_text(
        file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
    )
    if not any(re.match(r"(-c|-j|-e|--cores|--jobs|--executor|--profile)", option) for option in passed):
        passed += ["--cores", "all"]
    configs = map(str, [*options.configfile, file])
    command = ["snakemake", *passed, "--configfile", *configs, "--", *target.of(variant)]
    print(
        f"{shlex.join(command)}\nWith what {file} says in config.yaml, it joins the gallery.", file=sys.stderr
    )
    if status := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
        raise SystemExit(status)


def check(
    files: Sequence[Path], paths: dict[str, Any], variant: str, changed: dict[str, Any], leave_out: bool
) -> None:
    """Refuse a variant here, before it is a file.

    leave_out: whether figures that cannot show it are left out of `changed`, with a word on each: where what is asked
    for is none of them.
    """
    from twolayer.study.study import load_study

    while True:
        try:
            load_study(files, paths | {"papers": {variant: changed}})
            return
        except ConfigError as error:
            refused = re.match(rf"papers\.{variant}\.figures\.(\w+): (.*)", str(error))
            if refused is None or not leave_out:
                raise
            changed.setdefault("figures", {})[refused[1]] = False
            print(f"without the figure {refused[1]}, which {refused[2]}", file=sys.stderr)
