"""To start a server for the commands of this process and of those that it starts."""

from __future__ import annotations

import atexit
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence

from twolayer.launch import ADDRESS

__all__ = ["start_server"]

LAST_WORD = 10.0
"""Seconds that a server without commands has to end."""


def start_server(plugin_paths: Sequence[str] = ()) -> None:
    """Start a server that lives as long as this process; commands find it by their environment.

    Only where processes fork as a rule: elsewhere each command loads what it needs.
    """
    if sys.platform != "linux":
        return
    name = f"twolayer-{secrets.token_hex(16)}"
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "twolayer.launch.server", name, *plugin_paths],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the commands, which pass it on
    )
    os.environ[ADDRESS] = name
    atexit.register(end, server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Let a server end, and wait for it."""
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(LAST_WORD)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
