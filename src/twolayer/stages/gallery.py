"""gallery: all figures with their claims on one page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from twolayer.analysis.gallery.content import content
from twolayer.analysis.gallery.page import page
from twolayer.storage import atomic, checksum

__all__ = ["gallery"]


def gallery(
    output: Path,
    figures: Sequence[Path],
    claims: Sequence[Path],
    failed: Iterable[Path] = (),
    sentences: Iterable[Path] = (),
    code: str = "",
) -> None:
    """Write the page of what these files hold, see `content`.

    code: the fingerprint of the code that makes it, which it carries.
    """
    text = page(content(output.parent, figures, claims, failed, sentences))
    files = [file for file in (*figures, *claims) if file.is_file()]
    sources = {os.path.relpath(file, output.parent): checksum.of_file(file) for file in files}
    atomic.write_text(output, checksum.signed_page(text, sources, code))
