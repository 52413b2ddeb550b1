"""Numbers of things in messages and captions."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 seed`, `3 seeds`; plural: where it is not the noun with an s, `classes`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
