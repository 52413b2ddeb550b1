"""Names, symbols and styles: one for a quantity and one for a swept value, in every figure of every paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["axis_label", "style_of", "symbol_of"]

QUANTITIES = {
    "loss": "loss $L$",
    "objective": r"objective $L + \frac{\lambda}{2}|\theta|^2$",
    "gradient_norm": r"gradient norm $|\nabla L|$",
    "time": "time $t$",
    "step": "step",
    "hidden_norm": r"length $|w|$",
    "teacher_angle": r"angle $\theta$ to the nearest teacher",
    "projection": "projection $h$ on the teacher",
    "spread": r"spread $Z$",
    "balance": r"balance $|a|^2 - |w|^2$",
}
"""What an axis says of a quantity; others are said by their `long_name`."""

SYMBOLS = {
    "neurons": "m",
    "teachers": "k",
    "dimension": "d",
    "samples": "n",
    "scale": r"\sigma",
    "step_size": r"\eta",
    "weight_decay": r"\lambda",
    "batch_size": "B",
    "angle": r"\theta",
}
"""The field's letter of a swept word; a paper may have its own."""

SIZES = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    16,
    20,
    24,
    32,
    40,
    48,
    50,
    64,
    75,
    96,
    100,
    128,
    200,
    256,
    400,
    512,
    1000,
)
"""Whole numbers that are swept: each has its place in the cycle of colours, whatever it is swept with."""

LINES = ("-", "--", ":", "-.")
COLOURS = 7
"""Of the style sheet's cycle, all told apart by the colour-blind."""


def axis_label(variable: Any) -> str:
    """What an axis of an xarray.DataArray says: symbol and meaning, and the units where there are any."""
    units = variable.attrs.get("units", "1")
    text = QUANTITIES.get(str(variable.name), variable.attrs.get("long_name", str(variable.name)))
    return text if units == "1" else f"{text} [{units}]"


def symbol_of(word: str, symbols: Mapping[str, str] | None = None) -> str:
    """`$m$` for a swept word, as mathematics; a word without a letter is itself."""
    letter = {**SYMBOLS, **(symbols or {})}.get(word)
    return f"${letter}$" if letter else word.replace("_", " ")


def style_of(value: Any, values: Sequence[Any]) -> dict[str, str]:
    """Colour and line of a swept value: of a whole number its own everywhere, of others by place among `values`."""
    place = SIZES.index(value) if value in SIZES else list(values).index(value)
    return {"color": f"C{place % COLOURS}", "linestyle": LINES[place // COLOURS % len(LINES)]}
