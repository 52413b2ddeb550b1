"""What a command asks of the server, and how it travels through a socket."""

from __future__ import annotations

import json
import os
import socket
import struct

__all__ = ["DECLINED", "Request", "endpoint", "is_ours"]

DECLINED = "declined"
"""The answer of a server that does not run a command; else it is the exit status."""

STREAMS = (0, 1, 2)
"""Standard input, output and error, which travel as open files."""


def endpoint(name: str) -> str:
    """The address of that name among Linux's sockets without a file, which end with their process, however it ends."""
    return f"\0{name}"


def is_ours(connection: socket.socket) -> bool:
    """Whether the other side is a process of the same user: a socket without a file has no permissions."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


class Request:
    """A command as it was given: its arguments, working folder and environment.

    Without what takes a command longer to load than all else: dataclasses and typing.
    """

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
        self.arguments = arguments
        self.folder = folder
        self.environment = environment

    @classmethod
    def of_this_process(cls, arguments: list[str]) -> Request:
        """The command that this process was started for."""
        return cls(arguments, os.getcwd(), dict(os.environ))

    def send(self, connection: socket.socket) -> None:
        """Send it, with the streams of this process."""
        text = json.dumps(vars(self)).encode()
        socket.send_fds(connection, [len(text).to_bytes(8, "big")], STREAMS)
        connection.sendall(text)

    @classmethod
    def receive(cls, connection: socket.socket) -> tuple[Request, list[int]]:
        """A request, and the streams that came with it; an OSError where the other side goes away."""
        header, streams, _, _ = socket.recv_fds(connection, 8, len(STREAMS))
        missing = int.from_bytes(header, "big")
        parts = []
        while missing:
            parts.append(connection.recv(min(missing, 1 << 20)))
            missing -= len(parts[-1])
            if not parts[-1]:
                break
        if missing or len(streams) != len(STREAMS):
            for stream in streams:
                os.close(stream)
            raise ConnectionError("a command went away before it had asked")
        return cls(**json.loads(b"".join(parts))), streams
