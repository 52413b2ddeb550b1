"""To start a server for the commands of this process and of those that it starts."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twolayer.launch.request import ADDRESS

__all__ = ["start_server"]

LAST_WORD = 10.0
"""Seconds that a server without commands has to end."""


def start_server(plugin_paths: Sequence[str] = ()) -> None:
    """Start a server that lives as long as this process; commands find it by their environment.

    Only where processes fork as a rule: elsewhere each command loads what it needs.
    """
    if sys.platform != "linux":
        return
    address = Path(tempfile.mkdtemp(prefix="twolayer-"), "socket")
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "twolayer.launch.server", address, *plugin_paths],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the commands, which pass it on
    )
    os.environ[ADDRESS] = str(address)
    atexit.register(end, server, address.parent)


def end(server: subprocess.Popen[bytes], folder: Path) -> None:
    """Let a server end, wait for it, and remove its folder where it was killed before it could."""
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(LAST_WORD)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)
