"""gallery: all figures with their claims on one page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from twolayer.analysis.gallery.content import content
from twolayer.analysis.gallery.page import page
from twolayer.storage import atomic

__all__ = ["gallery"]


def gallery(
    output: Path,
    figures: Sequence[Path],
    claims: Sequence[Path],
    failed: Iterable[Path] = (),
    sentences: Iterable[Path] = (),
) -> None:
    """Write the page of what these files hold, see `content`."""
    text = page(content(output.parent, figures, claims, failed, sentences))

    def produce(aside: Path) -> None:
        aside.write_text(text, encoding="utf-8")

    def verify(aside: Path) -> None:
        if aside.read_text(encoding="utf-8") != text:
            raise ValueError("it reads back otherwise than it was written")

    atomic.write(output, produce, verify)
