"""What the logs of jobs say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["SHOWN", "is_empty", "message_of", "note_of", "text_of"]

SHOWN = 400
"""Letters of a job's message that are shown; all of it stands in its log."""


def message_of(logs: Iterable[str]) -> str:
    """The one message of a job's log: our error, the last line of a traceback, or the last line."""
    lines = [line for log in logs for line in text_of(log).splitlines() if line.strip()]
    if not lines:
        return "it left no message: was it killed?"
    for index in range(len(lines) - 1, -1, -1):
        if re.match(r"twolayer \w+: (error|stopped)", lines[index]):
            text = "\n".join(lines[index:])
            return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return lines[-1][:SHOWN]


def note_of(logs: Iterable[str]) -> str:
    """The first note in a job's logs, without the file that it is about, and how many more there are, and where."""
    notes = [(log, line) for log in logs for line in text_of(log).splitlines() if line.strip()]
    if not notes:
        return ""
    note = re.sub(r"\A\S+\.nc: ", "", notes[0][1].strip())
    more = f" (and {len(notes) - 1} more: {notes[0][0]})" if len(notes) > 1 else ""
    return f"{note[:SHOWN]}{'…' * (len(note) > SHOWN)}{more}"


def text_of(log: str) -> str:
    """A log's text; empty where there is none."""
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def is_empty(log: str) -> bool:
    """Whether a log has nothing in it."""
    path = Path(log)
    return not path.is_file() or path.stat().st_size == 0
