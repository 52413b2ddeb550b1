"""From arguments to a verb, and from errors to one message and an exit status."""

from __future__ import annotations

import gc
import os
import sys

from twolayer.cli.arguments import parser
from twolayer.errors import TwolayerError

__all__ = ["main"]

RARELY = 50_000
"""Objects after which Python looks for unused cycles: to load libraries makes very many, all of them of use."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; errors that a user can cause are one message and exit status 2."""
    gc.set_threshold(RARELY)
    given = sys.argv[1:] if arguments is None else arguments
    given, making = cut(given) if given[:1] == ["set"] else (given, [])
    parsed = parser().parse_args(given)
    parsed.making = making
    try:
        status = parsed.verb(parsed)
        sys.stdout.flush()
    except TwolayerError as error:
        print(f"twolayer {parsed.name}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        place = plugin_place(error)
        if not place:
            raise  # a mistake of ours, of which the traceback tells
        target = getattr(parsed, "output", None)
        where = f"{target[0] if isinstance(target, list) else target}: " if target else ""
        print(f"twolayer {parsed.name}: error: {where}{place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"twolayer {parsed.name}: stopped; nothing half-written was left", file=sys.stderr)
        return 130
    return int(status or 0)


def cut(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before and after `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def plugin_place(error: BaseException) -> str:
    """Where in a plugin an exception rose, and what it says; empty where no plugin was at work."""
    from twolayer.study.plugin_errors import blame

    return blame(error)
