"""Names, symbols and styles: a quantity and a swept value have the same ones in every figure of every paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LINES", "QUANTITIES", "axis_label", "marker_of", "style_of", "symbol_of", "trained_by"]

QUANTITIES = {
    "loss": "loss $L$",
    "objective": r"objective $L + \frac{\lambda}{2}|\theta|^2$",
    "gradient_norm": r"gradient norm $|\nabla L|$",
    "time": "time $t$",
    "step": "step",
    "hidden_norm": r"length $|w|$",
    "teacher_angle": r"angle $\theta$ to the closest teacher",
    "projection": "projection $h$ on the teacher",
    "spread": r"spread $Z$",
    "balance": r"balance $|a|^2 - |w|^2$",
}
"""The label of a quantity's axis; other quantities have their `long_name`."""

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
"""The field's letter for a swept word; a paper may use another."""

COLOURS = 7
"""Of the style sheet's cycle, which the colour-blind can tell apart."""

LINES: tuple[Any, ...] = (
    "-",
    (0, (7, 1.5)),
    (0, (1.2, 1)),
    "-.",
    (0, (3, 1)),
    (0, (7, 1, 1, 1, 1, 1)),
    (0, (10, 2, 2, 2)),
)
MARKERS = "os^Dv<>"

USUAL = {
    **{1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 8: 2, 10: 2, 12: 2, 15: 3, 16: 5, 20: 5, 24: 0, 32: 4, 40: 0, 48: 3},
    **{50: 3, 64: 6, 75: 1, 96: 1, 100: 4, 128: 2, 200: 0, 256: 0, 400: 2, 512: 1, 1000: 4},
}  # fmt: skip
"""The style of whole numbers that are often swept, whatever they are sizes of: those of 1, 2, 5, 10, 20, … and of
1, 2, 4, 8, … differ."""


def trained_by(run: Any) -> str:
    """How runs were trained: `gradient flow`, `gradient descent`, joined by "and" where they differ."""
    names = run.config.dynamics.name
    spelled = (str(name).replace("_", " ") for name in getattr(names, "values", [names]))
    return " and ".join(dict.fromkeys(spelled))


def axis_label(variable: Any) -> str:
    """The label of an axis for an xarray.DataArray: symbol and meaning, and the units where there are any."""
    units = variable.attrs.get("units", "1")
    text = QUANTITIES.get(str(variable.name), variable.attrs.get("long_name", str(variable.name)))
    return text if units == "1" else f"{text} [{units}]"


def symbol_of(word: str, symbols: Mapping[str, str] | None = None) -> str:
    """`$m$` for a swept word, as mathematics; a word without a letter is itself."""
    letter = {**SYMBOLS, **(symbols or {})}.get(word)
    return f"${letter}$" if letter else word.replace("_", " ")


def style_of(value: Any, values: Sequence[Any]) -> dict[str, Any]:
    """Colour and line of one of the values that a figure shows together: no two have the same.

    A whole number has its usual ones in every figure, unless a smaller one of `values` has the same; other values have
    the next that are free, in their order. Of more than seven values some share a colour, with another line.
    """
    number = styles(values)[value]
    return {"color": f"C{number % COLOURS}", "linestyle": LINES[(number + number // COLOURS) % len(LINES)]}


def marker_of(value: Any, values: Sequence[Any]) -> str:
    """The marker of one of the values that a figure shows together, where they are points: see `style_of`."""
    number = styles(values)[value]
    return MARKERS[(number + number // COLOURS) % len(MARKERS)]


def styles(values: Sequence[Any]) -> dict[Any, int]:
    """The number of a style for each distinct value: below seven for the first seven, of different colours."""
    distinct = list(dict.fromkeys(values))
    sizes = sorted(value for value in distinct if isinstance(value, int))
    found: dict[Any, int] = {}
    for value in (*sizes, *(value for value in distinct if not isinstance(value, int))):
        first = len(found) // COLOURS * COLOURS
        usual = USUAL.get(value, value) if isinstance(value, int) else 0
        free = set(range(first, first + COLOURS)) - set(found.values())
        found[value] = min(free, key=lambda number: (number - usual) % COLOURS)
    return found
