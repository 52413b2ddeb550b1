"""A command that runs in a copy of the server: this process passes signals on, and ends as that one ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from twolayer.launch.request import DECLINED, Request, endpoint, is_ours

__all__ = ["run_elsewhere"]

PASSED_ON = (signal.SIGINT, signal.SIGTERM)


def run_elsewhere(address: str, arguments: list[str]) -> int | None:
    """The exit status of a command run by the server at `address`; None where it does not answer or declines.

    Where a signal ended the command, the same one ends this process.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, PASSED_ON
        )  # nothing may come between the bytes of the request
        try:
            connection.connect(endpoint(address))
            if not is_ours(connection):
                return None
            Request.of_this_process(arguments).send(connection)
            before = {number: signal.signal(number, pass_on(connection)) for number in PASSED_ON}
        except OSError:
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        answer = answer_on(connection)
        if answer == DECLINED:
            for number, handler in before.items():
                signal.signal(number, handler)
            return None
    status = int(answer or 1)  # no answer: the server was killed, and with it its copies
    if status < 0:
        if -status in PASSED_ON:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def answer_on(connection: socket.socket) -> str:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(64):
            parts.append(part)
    except ConnectionError:
        return ""
    return b"".join(parts).decode()


def pass_on(connection: socket.socket) -> Callable[[int, object], None]:
    """A handler that sends a signal's number to the server."""

    def handler(number: int, frame: object) -> None:
        connection.send(bytes([number]))

    return handler
