"""The largest memory that a Python script took, by itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

__all__ = ["VERB", "peak_memory"]

# VmHWM belongs to this program alone; ru_maxrss would count the process that started it too.
LAST = """
print(int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) * 1024)
"""
# Any verb of the command line, whose arguments follow.
VERB = "import sys; from twolayer.cli import main; assert main(sys.argv[1:]) == 0"


def peak_memory(script: str, arguments: list[str], **options: Any) -> tuple[str, int]:
    """What a script printed in a new process, and the most memory that this took, bytes."""
    done = subprocess.run(
        [sys.executable, "-c", script + LAST, *arguments],
        capture_output=True,
        text=True,
        check=True,
        **options,
    )
    *printed, size = done.stdout.splitlines()
    return "\n".join(printed), int(size)
