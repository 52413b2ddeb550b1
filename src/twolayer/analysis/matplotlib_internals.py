"""What figures take from Matplotlib beyond its documented interface, for speed and for quiet: it changes no picture.

Matplotlib keeps its last fifty parsed formulas by the renderer, and makes a new renderer for the layout and for each
file: a label is parsed again for each of them. The fonts of a PDF it writes with all tables that they need to be laid
out, which it has done itself. Each of the two is a fifth of what a figure takes. The date of its font with the
prime of $f'$ is before 1970, of which every PDF with one would warn.
"""

from __future__ import annotations

import functools
import io
import logging
from typing import Any

__all__ = ["draw_powers", "speed_up"]

FORMULAS = 4096
"""Parsed formulas that are kept."""

LAYOUT = ["GDEF", "GPOS", "GSUB"]
"""The tables of a font by which letters become glyphs in their places: a PDF lists these."""

POWERS = range(-20, 13)
"""The powers of ten that are parsed beforehand: tick labels of logarithmic axes."""


@functools.cache
def speed_up() -> None:
    """Have all figures of this process share formulas, and write fonts without tables that no PDF needs."""
    share_formulas()
    drop_layout()
    logging.getLogger("fontTools.ttLib.tables._h_e_a_d").setLevel(logging.ERROR)


def share_formulas() -> None:
    """Have the renderers of one kind share what they parsed."""
    from matplotlib.mathtext import MathTextParser

    parser: Any = MathTextParser
    parse = getattr(getattr(parser, "_parse_cached", None), "__wrapped__", None)
    if parse is None:  # another version of Matplotlib, which keeps them otherwise
        return
    parser.__eq__ = lambda self, other: isinstance(other, parser) and kind_of(self) == kind_of(other)
    parser.__hash__ = lambda self: hash(kind_of(self))
    parser._parse_cached = functools.lru_cache(FORMULAS)(parse)


def kind_of(parser: Any) -> Any:
    """What a parser makes, vectors or pixels; a parser without the word is equal to itself alone."""
    return getattr(parser, "_output_type", id(parser))


def drop_layout() -> None:
    """Leave tables of layout out of the fonts of a PDF."""
    from fontTools.subset import Options  # type: ignore[import-untyped]

    options: Any = Options
    if dropped := getattr(options, "_drop_tables_default", None):
        options._drop_tables_default = [*dropped, *LAYOUT]


def draw_powers() -> None:
    """Draw tick labels into a PDF and a PNG that nobody reads: for what the first figure of a process takes."""
    from matplotlib.figure import Figure

    canvas = Figure(layout="constrained")
    axes = canvas.subplots()
    axes.loglog([10.0 ** POWERS[0], 10.0 ** POWERS[-1]], [1.0, 10.0], label="$x$")
    axes.set_xticks([10.0**power for power in POWERS])
    axes.legend()
    for kind in ("pdf", "png"):
        canvas.savefig(io.BytesIO(), format=kind)
        canvas.set_layout_engine(None)
