"""Numbers of things in messages."""

from __future__ import annotations

from twolayer.core.wording import counted


def test_one_is_no_plural() -> None:
    assert [counted(count, "claim") for count in range(3)] == ["0 claims", "1 claim", "2 claims"]
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
