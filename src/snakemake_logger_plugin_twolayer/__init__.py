"""What a run of the workflow says on the terminal: how far it is, and at its end what failed and why.

Snakemake finds this module by its name; `profiles/default` asks for it. All that Snakemake says by itself, each job's
command among it, stands in the log file under `.snakemake/log`; with `--verbose` it comes to the terminal too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from snakemake_logger_plugin_twolayer.errors import error_in_arguments
from snakemake_logger_plugin_twolayer.handler import LogHandler

__all__ = ["LogHandler"]


def is_snakemake(program: Path) -> bool:
    """Whether a program is Snakemake's command, or `python -m snakemake`."""
    return program.name == "snakemake" or program.parts[-2:] == ("snakemake", "__main__.py")


if is_snakemake(Path(sys.argv[0])) and (wrong := error_in_arguments(sys.argv[1:])):
    print(f"snakemake: error: {wrong}", file=sys.stderr)
    raise SystemExit(2)
