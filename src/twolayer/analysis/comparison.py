"""Comparisons of measured, labelled arrays with predictions: each gives a verdict at the worst point.

`measured` and what it is compared with are numbers or xarray.DataArrays, aligned by label. The
result names the value at the worst point and where that is; NaN (what `where` leaves out) takes no part.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

__all__ = [
    "Result",
    "above",
    "as_read",
    "at_least",
    "at_most",
    "by_case",
    "close",
    "equivalent",
    "inconclusive",
]

Verdict = Literal["holds", "fails", "not reproduced under this reading", "inconclusive"]


@dataclass(frozen=True)
class Result:
    """One measurement and one prediction. tolerance: in words, how the two were compared. allowed: where they have to
    agree, the largest difference at this point; NaN for a bound."""

    predicted: float | str
    measured: float | str
    tolerance: str
    verdict: Verdict
    detail: str = ""
    allowed: float = math.nan


def close(
    measured: Any, predicted: Any, relative: float = 0.0, absolute: float = 0.0, detail: str = ""
) -> Result:
    """Holds if |measured − predicted| ≤ absolute + relative·|predicted|, everywhere."""
    tolerance = " + ".join(
        [f"{relative:.3g} relative"] * (relative != 0) + [f"{absolute:.3g} absolute"] * (absolute != 0)
    )
    room = absolute + relative * abs(predicted)
    found, exact, point = worst(measured, predicted, abs(measured - predicted) - room, "farthest")
    allowed = absolute + relative * abs(exact)
    holds = abs(found - exact) <= allowed
    judgement = judged(
        exact, found, f"within {tolerance or '0 absolute'}", holds, joined(point, detail), allowed
    )
    return replace(judgement, allowed=float(allowed))


def at_most(measured: Any, limit: Any, detail: str = "") -> Result:
    """Holds if measured ≤ limit, everywhere."""
    # for a single limit the largest value: its difference from the limit would be rounded
    violation = measured - limit if np.ndim(limit) else measured
    found, bound, point = worst(measured, limit, violation, "largest")
    return judged(bound, found, "at most", found <= bound, joined(point, detail))


def at_least(measured: Any, limit: Any, detail: str = "") -> Result:
    """Holds if measured ≥ limit, everywhere."""
    violation = limit - measured if np.ndim(limit) else -measured
    found, bound, point = worst(measured, limit, violation, "least")
    return judged(bound, found, "at least", found >= bound, joined(point, detail))


def above(measured: float, limit: float, interval: tuple[float, float], detail: str = "") -> Result:
    """Holds if the whole interval around measured lies above the limit, fails if it lies below; else inconclusive."""
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return inconclusive(f"no interval was measured. {detail}".strip())
    found = judged(limit, measured, f"above, by [{low:.4g}, {high:.4g}]", low > limit, detail, low, high)
    if found.verdict == "fails" and not high < limit:
        return replace(
            found, verdict="inconclusive", detail=f"the interval contains the limit. {detail}".strip()
        )
    return found


def equivalent(
    measured: float, predicted: float, interval: tuple[float, float], margin: float, detail: str = ""
) -> Result:
    """Equivalence: holds if the whole interval around measured lies within `margin` of it, fails if the
    whole interval lies outside, and is inconclusive otherwise: noise, which widens the interval, never makes it hold.

    The margin is an absolute one, stated before the run, and never taken from the interval.
    """
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return inconclusive(f"no interval was measured. {detail}".strip())
    tolerance = f"within {margin:.3g} absolute, by [{low:.4g}, {high:.4g}]"
    holds = predicted - margin <= low and high <= predicted + margin
    found = replace(judged(predicted, measured, tolerance, holds, detail, margin), allowed=float(margin))
    if found.verdict == "fails" and low <= predicted + margin and high >= predicted - margin:
        return replace(
            found, verdict="inconclusive", detail=f"the interval crosses the margin. {detail}".strip()
        )
    return found


def as_read(result: Result) -> Result:
    """A result on a statement whose wording could not be checked: a failure is one of our reading of it alone."""
    if result.verdict != "fails":
        return result
    return replace(result, verdict="not reproduced under this reading")


def inconclusive(reason: str) -> Result:
    """No verdict, and why."""
    return Result(math.nan, math.nan, "", "inconclusive", reason)


def by_case(found: Any) -> dict[str, Result]:
    """What a claim returned, as results by case: what is no result is inconclusive, and says what it is."""
    if found is None:
        return {"": inconclusive("the claim returned no result")}
    cases = found if isinstance(found, Mapping) else {"": found}
    return {
        str(case): result
        if isinstance(result, Result)
        else inconclusive(
            f"the claim returned {reprlib.repr(result)}; it must return a Result, or several by name"
        )
        for case, result in cases.items()
    }


def judged(
    predicted: float, measured: float, tolerance: str, holds: bool, detail: str, *allowed: float
) -> Result:
    """A result; a measurement, a prediction or a tolerance (`allowed`) that is not finite decides nothing."""
    verdict: Verdict = "holds" if holds else "fails"
    if not math.isfinite(measured):
        kind = "not a number" if math.isnan(measured) else "infinite"
        verdict, detail = "inconclusive", joined(f"the measured value is {kind}", detail)
    elif not math.isfinite(predicted):
        verdict, detail = "inconclusive", joined("the prediction is not a finite number", detail)
    elif not all(map(math.isfinite, allowed)):
        verdict, detail = "inconclusive", joined("the tolerance is not a finite number", detail)
    return Result(float(predicted), float(measured), tolerance, verdict, detail)


def worst(measured: Any, predicted: Any, violation: Any, word: str) -> tuple[float, float, str]:
    """Measured and predicted where the violation is largest, and in words where that is, of how many."""
    if not np.ndim(violation):
        return float(measured), float(predicted), ""
    flat = np.ravel(np.asarray(violation, dtype=float))
    flat = np.where(np.isnan(flat), -np.inf, flat)
    known = flat > -np.inf
    if not known.any():
        return math.nan, float(np.ravel(predicted)[0]), nowhere(violation)
    index = int(np.argmax(flat))
    if is_labelled(violation):
        values, exact = (
            (part + 0 * violation).transpose(*violation.dims).values for part in (measured, predicted)
        )
    else:
        values, exact = np.broadcast_arrays(measured, predicted)
    number = np.ravel(values)
    return float(number[index]), float(np.ravel(exact)[index]), where(violation, index, number[known], word)


def where(violation: Any, index: int, values: Any, word: str) -> str:
    """`largest of 480, at seed = 3, time = 12.5; median .31`."""
    text = f"{word} of {len(values)}"
    if is_labelled(violation):
        indices = dict(zip(violation.dims, np.unravel_index(index, violation.shape), strict=True))
        point = violation.isel(
            indices
        )  # a coordinate may have further dimensions: times that differ between runs
        labels = [
            f"{dimension} = {label(point[dimension].values if dimension in point.coords else position)}"
            for dimension, position in indices.items()
            if violation.sizes[dimension] > 1
        ]
        text += f", at {', '.join(labels)}" if labels else ""
    return f"{text}; median {np.median(values):.3g}" if len(values) > 1 else text


def nowhere(violation: Any) -> str:
    """`none of 480 is a number: seed = 0 to 4, time = 0 to 12.5`: where all that was compared is NaN."""
    if not np.size(violation):
        return "no number is left to compare"
    text = f"none of {np.size(violation)} is a number"
    if not is_labelled(violation):
        return text
    ranges = []
    for dimension, size in violation.sizes.items():
        if dimension in violation.coords and size > 1:
            ends = np.ravel(violation[dimension].values)[[0, -1]]
            ranges.append(f"{dimension} = {label(ends[0])} to {label(ends[1])}")
    return f"{text}: {', '.join(ranges)}" if ranges else text


def is_labelled(array: Any) -> bool:
    """Whether an array is an xarray.DataArray. xarray takes long to import, hence not at the top."""
    import xarray as xr

    return isinstance(array, xr.DataArray)


def label(value: Any) -> str:
    """A coordinate's value, to four digits."""
    return f"{value:.4g}" if np.asarray(value).dtype.kind == "f" else str(value)


def joined(*parts: str) -> str:
    """Those of the parts that say something, as sentences of one line."""
    return ". ".join(part for part in parts if part)
