"""Where the project lies, and how a package is installed for a test."""

import subprocess
import sys
from pathlib import Path

__all__ = ["PROJECT", "install"]

PROJECT = Path(__file__).parents[1]


def install(package: Path, site: Path) -> None:
    """Install a package into a folder, from what is here alone."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(package)], check=True)
