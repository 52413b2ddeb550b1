"""The process that has loaded the libraries: it forks for each command that asks, and says how the copy ended.

It runs as `python -m twolayer.launch.server NAME PLUGIN_PATH...` until its standard input ends, that is, as long as
the process that started it lives; commands that run then are finished. It runs no command itself, so that a command
finds nothing of an earlier one; a plugin whose file has changed is loaded anew, as in a notebook (`study.registry`).
It declines, and the command runs in a new process, where this package's sources have changed since they were loaded,
or where a library or a plugin has started threads, which a fork would lose.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from twolayer.launch.request import DECLINED, Request, endpoint, is_ours

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""What keeps NumPy from starting threads."""
__all__ = ["Server", "main"]

PATIENCE = 10.0
"""Seconds within which a command that has connected must have asked."""

ASIDE = ("testing", "launch")
"""Parts of this package that no command uses."""

LIBRARIES = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "netCDF4",
    "numba",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.stats",
    "xarray",
)
"""What commands load, further than this package."""

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class Server:
    """The socket, the commands that run, and what was loaded."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.loaded = sources()
        self.running: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()

    def serve(self) -> Request | None:
        """Answer commands until standard input ends and none runs, then None; in a copy: the request to run."""
        ended, wakeup = socket.socketpair()
        for end in (ended, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # it wakes the selector
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.selector.register(ended, selectors.EVENT_READ)
        self.selector.register(self.listening, selectors.EVENT_READ)
        while self.running or self.listening.fileno() >= 0:
            for key, _ in self.selector.select():
                if key.fileobj is ended:
                    ended.recv(1 << 10)
                    self.report_ended()
                elif key.fileobj is sys.stdin:
                    self.selector.unregister(sys.stdin)
                    self.selector.unregister(self.listening)
                    self.listening.close()
                elif key.fileobj is self.listening:
                    if request := self.accept():
                        return request
                else:
                    self.pass_on(key.data)
        return None

    def accept(self) -> Request | None:
        """Take a command in: None in this process, its request in the copy that is to run it."""
        connection, _ = self.listening.accept()
        connection.settimeout(PATIENCE)
        try:
            if not is_ours(connection):
                raise PermissionError("a command of another user")
            request, streams = Request.receive(connection)
        except OSError:
            connection.close()
            return None
        if self.declines():
            answer(connection, DECLINED)
        elif copy := os.fork():
            self.running[copy] = connection
            self.selector.register(connection, selectors.EVENT_READ, copy)
        else:
            self.become(streams)
            return request
        for stream in streams:
            os.close(stream)
        return None

    def declines(self) -> bool:
        """Whether a copy could differ from a process that starts now."""
        return sources() != self.loaded or psutil.Process().num_threads() > 1

    def become(self, streams: list[int]) -> None:
        """Leave, in a copy, what is the server's, and take the command's streams."""
        end_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.selector.close()
        for connection in (self.listening, *self.running.values()):
            connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)

    def pass_on(self, copy: int) -> None:
        """Pass on what comes for a copy: the numbers of signals; where its command was killed, so is it."""
        if copy not in self.running:  # it has ended since the selector looked
            return
        try:
            numbers = self.running[copy].recv(16)
        except ConnectionError:
            numbers = b""
        for number in numbers or [signal.SIGKILL]:
            os.kill(copy, number)
        if not numbers:
            self.selector.unregister(self.running[copy])

    def report_ended(self) -> None:
        """Answer the commands whose copies have ended."""
        for copy in list(self.running):
            ended, status = os.waitpid(copy, os.WNOHANG)
            if ended:
                connection = self.running.pop(copy)
                with contextlib.suppress(KeyError):
                    self.selector.unregister(connection)
                answer(connection, str(os.waitstatus_to_exitcode(status)))


def answer(connection: socket.socket, text: str) -> None:
    """Send the last word on a command."""
    with contextlib.suppress(OSError):  # it may have been killed
        connection.sendall(text.encode())
    connection.close()


def end_with_parent() -> None:
    """Have this copy be killed where the server is, as a command is where its process is."""
    with contextlib.suppress(AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


@functools.cache
def folder() -> Path:
    """Where this package is."""
    return Path(__file__).resolve().parents[1]


def sources() -> dict[str, tuple[int, int]]:
    """Size and time of each source of this package."""
    found: dict[str, tuple[int, int]] = {}
    waiting = [str(folder())]
    while waiting:  # as each command waits for it: several times as fast as pathlib
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found[entry.path] = (status.st_size, status.st_mtime_ns)
                elif entry.is_dir() and entry.name != "__pycache__":
                    waiting.append(entry.path)
    return found


def load_libraries() -> None:
    """Import what commands import, build what numba and Matplotlib build at their first kernel and figure, and read
    what each command asks of this package's sources and of the installed libraries."""
    for name in (*LIBRARIES, *modules()):
        with contextlib.suppress(ImportError):  # CuPy, where there is none
            importlib.import_module(name)
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()

    from twolayer.analysis.figures import style_file, styled
    from twolayer.analysis.matplotlib_internals import draw_powers, speed_up
    from twolayer.cli.arguments import parser
    from twolayer.storage.contents import versions
    from twolayer.study.fingerprint import read_package

    parser()
    versions()
    read_package()
    speed_up()
    with styled(style_file()):
        draw_powers()


def modules() -> Iterator[str]:
    """The modules of this package that commands use."""
    for part in pkgutil.iter_modules([str(folder())], "twolayer."):
        if part.name.rpartition(".")[2] not in ASIDE:
            yield part.name
            if part.ispkg:
                below = pkgutil.walk_packages([str(folder() / part.name.rpartition(".")[2])], f"{part.name}.")
                yield from (module.name for module in below)


def run(request: Request) -> int:
    """Run a command in this process, which is a copy; its exit status."""
    from twolayer.cli import main

    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv[1:] = request.arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main(request.arguments)
    except SystemExit as wish:
        return wish.code if isinstance(wish.code, int) else int(wish.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


def main(name: str, *plugin_paths: str) -> int:
    """Serve under a name until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # commands pass it on
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(endpoint(name))
        listening.listen(128)  # who asks before all is loaded waits
        server = Server(listening)
        os.environ.update(ONE_THREAD)
        load_libraries()
        from twolayer.study import registry

        registry.load(plugin_paths)  # what it finds is found again by each command, but has been imported
        gc.collect()
        gc.freeze()  # a copy's collections need not look at it
        request = server.serve()
    if request is None:
        return 0
    status = run(request)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)  # the server's end is not the copy's


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
