"""A copy of the project on which tests run the real Snakemake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from project import PROJECT

__all__ = ["Project"]


class Project:
    """A copy of the project that tests may edit, and Snakemake on it."""

    def __init__(self, folder: Path, origin: Path | None = None) -> None:
        self.folder = folder
        if origin is not None:
            shutil.copytree(origin, folder)
        else:
            unwanted = shutil.ignore_patterns("papers")
            for part in ("src", "plugins", "workflow", "profiles"):
                shutil.copytree(PROJECT / part, folder / part, ignore=unwanted)
            shutil.copy(PROJECT / "Snakefile", folder)
            self.write(
                "bin/twolayer", f'#!/bin/sh\nexec "{sys.executable}" -m twolayer.launch.command "$@"\n'
            )
            (folder / "bin" / "twolayer").chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join(
                [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "PYTHONPATH": str(folder / "src"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NUMBA_DISABLE_JIT": "1",  # the runs are tiny; compiling would take half a minute
        }

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Snakemake, in a new process group as a terminal would start it."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def snakemake(self, *arguments: str, status: int = 0) -> str:
        """The output of a run that ends with the given exit status."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        assert process.returncode == status, output
        return output

    def result(self, name: str) -> Path:
        """A path below results/."""
        return self.folder / "results" / name
