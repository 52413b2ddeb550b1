"""A command that runs in a copy of the server is like one in a new process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from project import PROJECT

from twolayer.launch import ADDRESS
from twolayer.launch.request import endpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server is started on Linux only")

STARTS = """
import os, sys, time
from twolayer.launch.start import start_server
start_server(sys.argv[1:])
print(os.environ["TWOLAYER_SERVER"], flush=True)
sys.stdin.read()
"""

PLUGIN = """
import os, time
from pathlib import Path
from twolayer import hookimpl

class Scribe:
    name = "scribe"

{top}

@hookimpl
def register_metrics(register):
    Path("seen").write_text(str(os.getppid()))
    {deed}
"""


Server = tuple[subprocess.Popen[str], dict[str, str]]


@contextlib.contextmanager
def served(folder: Path, *plugin_paths: Path) -> Iterator[Server]:
    """The process that has started a server, and the environment of its commands."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "NUMBA_CACHE_DIR": str(folder / "numba")}
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS, *map(str, plugin_paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    within_reason(lambda: answers(address))
    try:
        yield process, environment | {ADDRESS: address}
    finally:
        process.stdin.close()
        process.wait()
        within_reason(lambda: not answers(address))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests whose commands leave it as it is."""
    with served(tmp_path_factory.mktemp("server")) as started:
        yield started


def answers(address: str) -> bool:
    """Whether a server has a socket of that name."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(endpoint(address)) == 0


def within_reason(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def command(
    *arguments: str, folder: Path, environment: dict[str, str], **options: object
) -> subprocess.Popen[str]:
    """`twolayer` with its output as text."""
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "twolayer.launch.command", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def plugin(folder: Path, deed: str, top: str = "") -> list[str]:
    """The arguments of a command that loads a plugin which does something."""
    (folder / "more" / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "more" / "metrics" / "scribe.py").write_text(PLUGIN.format(deed=deed, top=top))
    return ["plugins", "metrics", "--plugin-path", str(folder / "more")]


def server_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The server that a process has started."""
    [server] = psutil.Process(process.pid).children()
    return server


def test_streams_status_folder_and_environment_are_the_commands(shared: Server, tmp_path: Path) -> None:
    seen = "print(Path.cwd(), os.environ['COLOUR'], 'TWOLAYER_SERVER' in os.environ, flush=True); os.write(2, b'err')"
    process, environment = shared
    here = environment | {"COLOUR": "blue"}
    done = command(*plugin(tmp_path, seen), folder=tmp_path, environment=here)
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    assert f"{tmp_path} blue True" in output
    assert "err" in errors
    assert int((tmp_path / "seen").read_text()) == server_of(process).pid
    for arguments, status in (
        (["--version"], 0),
        (["nonsense"], 2),
        (["train", "--problem", "none.nc"], 2),
    ):
        outcomes = []
        for given in (here, {key: value for key, value in here.items() if key != ADDRESS}):
            done = command(*arguments, folder=tmp_path, environment=given)
            outcomes.append((*done.communicate(), done.returncode))
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][2] == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_command_reaches_its_copy(
    shared: Server, tmp_path: Path, number: signal.Signals
) -> None:
    waits = "Path('copy').write_text(str(os.getpid())); time.sleep(600)"
    _, environment = shared
    running = command(*plugin(tmp_path, waits), folder=tmp_path, environment=environment)
    within_reason(lambda: (tmp_path / "copy").exists() and (tmp_path / "copy").read_text())
    copy = psutil.Process(int((tmp_path / "copy").read_text()))
    running.send_signal(number)
    _, errors = running.communicate()
    within_reason(lambda: not copy.is_running())
    if number == signal.SIGINT:
        assert running.returncode == 130
        assert "nothing half-written was left" in errors
    else:
        assert running.returncode == -number


def test_a_copy_that_is_killed_ends_its_command_alike(shared: Server, tmp_path: Path) -> None:
    _, environment = shared
    done = command(*plugin(tmp_path, "os.kill(os.getpid(), 9)"), folder=tmp_path, environment=environment)
    done.communicate()
    assert done.returncode == -signal.SIGKILL
    again = command(*plugin(tmp_path, ""), folder=tmp_path, environment=environment)
    again.communicate()
    assert again.returncode == 0


def test_an_error_in_a_copy_stays_there(shared: Server, tmp_path: Path) -> None:
    process, environment = shared
    done = command(*plugin(tmp_path, "os._exit(7)"), folder=tmp_path, environment=environment)
    done.communicate()
    assert done.returncode == 7
    assert server_of(process).is_running()


def test_a_plugin_that_has_changed_is_loaded_anew(tmp_path: Path) -> None:
    arguments = plugin(tmp_path, "print('before')")
    with served(tmp_path, tmp_path / "more") as (_, environment):
        for word in ("before", "after"):
            plugin(tmp_path, f"print('{word}')")
            output, _ = command(*arguments, folder=tmp_path, environment=environment).communicate()
            assert word in output.split()


def test_where_a_plugin_starts_threads_commands_run_by_themselves(tmp_path: Path) -> None:
    thread = "import threading; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    arguments = plugin(tmp_path, "", thread)
    with served(tmp_path, tmp_path / "more") as (process, environment):
        done = command(*arguments, folder=tmp_path, environment=environment)
        _, errors = done.communicate()
        assert done.returncode == 0, errors
        assert int((tmp_path / "seen").read_text()) == os.getpid()
        assert server_of(process).is_running()


def test_without_a_server_commands_run_by_themselves(tmp_path: Path) -> None:
    environment = os.environ | {ADDRESS: "none", "PYTHONPATH": str(PROJECT / "src")}
    output, _ = command("--version", folder=tmp_path, environment=environment).communicate()
    assert output.startswith("twolayer ")


def test_the_server_outlives_its_starter_until_the_last_command_has_ended(tmp_path: Path) -> None:
    waits = "Path('copy').write_text(''); time.sleep(2); Path('whole').write_text('')"
    with served(tmp_path) as (process, environment):
        server = server_of(process)
        running = command(*plugin(tmp_path, waits), folder=tmp_path, environment=environment)
        within_reason((tmp_path / "copy").exists)
        process.kill()
        running.communicate()
        assert running.returncode == 0
        assert (tmp_path / "whole").exists()
        within_reason(lambda: not server.is_running())


def test_a_killed_server_takes_its_copies_with_it(tmp_path: Path) -> None:
    waits = "Path('copy').write_text(str(os.getpid())); time.sleep(600)"
    with served(tmp_path) as (process, environment):
        running = command(*plugin(tmp_path, waits), folder=tmp_path, environment=environment)
        within_reason(lambda: (tmp_path / "copy").exists() and (tmp_path / "copy").read_text())
        copy = psutil.Process(int((tmp_path / "copy").read_text()))
        server_of(process).kill()
        running.communicate()
        assert running.returncode == 1
        within_reason(lambda: not copy.is_running())
