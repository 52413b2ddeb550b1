"""Claims: a statement, what it predicts, what was measured, and the verdict."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twolayer.analysis.comparison import Result, by_case, inconclusive
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.storage.verify import runs_digest

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Claim", "Tag", "claim", "evaluate", "summary", "table"]

Tag = Literal["published", "second-hand", "recalled", "derived"]


Evaluate = Callable[[Mapping[str, "xr.Dataset"]], Result | Mapping[str, Result]]


@dataclass(frozen=True)
class Claim:
    """A claim plugin: the statement, its source, how it is known, and the data that it is compared with.

    tag: `published` (read in the paper), `second-hand` (quoted by others), `recalled` (from memory, not checked
    against the paper) or `derived` (worked out, checked numerically).
    evaluate: datasets of `experiments` -> a Result, or several by name, one per case.
    files: netCDF files, relative to the plugin's file, that it also reads; given under their stems.
    late: why a threshold was chosen after the number was seen; empty where it was stated before the run.
    figures: the figures of the paper that show it.
    apart: those of `experiments` that it is evaluated on one after the other, each with its cases.
    """

    evaluate: Evaluate
    statement: str
    source: str
    tag: Tag
    experiments: tuple[str, ...]
    files: tuple[str, ...] = ()
    late: str = ""
    figures: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    def on_these(self, experiments: Iterable[str]) -> Claim | None:
        """The claim on those of its experiments that are among these: what a figure of them bears. None where it needs
        others, or is on none of them."""
        kept = tuple(name for name in self.experiments if name in set(experiments))
        lacking = set(self.experiments) - set(kept)
        if not kept or not lacking <= set(self.apart) or (self.apart and lacking >= set(self.apart)):
            return None
        return replace(self, experiments=kept)

    def of_case(self, case: str) -> tuple[str, ...]:
        """The experiments that a case is about: of those taken apart, the one that it is named for."""
        first = case.partition(", ")[0]
        if len(self.apart) < 2 or first not in self.apart:
            return self.experiments
        return tuple(name for name in self.experiments if name == first or name not in self.apart)


def claim(
    statement: str,
    source: str,
    tag: Tag,
    experiments: Iterable[str],
    files: Iterable[str] = (),
    late: str = "",
) -> Callable[[Evaluate], Claim]:
    """Mark `evaluate(data)` as a claim on the named experiments."""
    return lambda evaluate: Claim(evaluate, statement, source, tag, tuple(experiments), tuple(files), late)


def evaluate(
    claims: Mapping[str, Claim], data: Mapping[str, xr.Dataset], changed: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The rows of `claims.json`. A claim that cannot be evaluated is inconclusive, and says why.

    changed: by experiment, the settings that are not the paper's; each claim on such an experiment says so.
    A row's `runs` is, by experiment, a hash of the runs that it is about (`storage.verify.runs_digest`).
    """
    rows = []
    digests = {
        name: runs_digest(dataset["run"].values.ravel().tolist())
        for name, dataset in data.items()
        if "run" in dataset
    }
    for name, claim in claims.items():
        missing = [experiment for experiment in claim.experiments if experiment not in data]
        if missing:
            found: Result | Mapping[str, Result] = inconclusive(f"not in the config: {', '.join(missing)}")
        else:
            try:
                names = (*claim.experiments, *(Path(file).stem for file in claim.files))
                found = claim.evaluate({name: data[name] for name in names})
            except DataError as error:  # what the config lacks; the message says so
                found = inconclusive(str(error))
            except Exception as error:  # an error in one plugin must not cost the other claims
                found = inconclusive(f"the claim could not be evaluated: {type(error).__name__}: {error}")
        cases = by_case(found) or by_case(None)
        for case, result in cases.items():
            rows.append(
                {
                    "claim": f"{name}[{case}]" if case else name,
                    "statement": claim.statement,
                    "source": claim.source,
                    "tag": claim.tag,
                    "experiments": list(claim.experiments),
                    "runs": {key: digests[key] for key in claim.experiments if key in digests},
                    "figures": list(claim.figures),
                    "changed": "; ".join(
                        f"{experiment}: {changed[experiment]}"
                        for experiment in claim.of_case(case)
                        if changed and experiment in changed
                    ),
                    "threshold": "chosen after the number was seen"
                    if claim.late
                    else "stated before the run",
                    "late": claim.late,
                    **{key: spelled(value) for key, value in asdict(result).items()},
                }
            )
    return rows


def spelled(value: Any) -> Any:
    """JSON knows no NaN: null stands for it."""
    value = value.item() if hasattr(value, "item") else value  # NumPy's scalars
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a claims.json."""
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as a claims.json: {error}") from error


def table(files: Iterable[Path], failing: bool = False) -> str:
    """The claims of several papers as a table for the terminal, and below it why those that do not hold do not.

    failing: only those.
    """
    rows = [("claim", "tag", "predicted", "measured", "compared", "verdict")]
    found = [(file, row) for file in files for row in read(file)]
    reasons = []
    for file, row in found:
        name = f"{file.parent.name}.{row['claim']}"
        if row["verdict"] != "holds":
            reasons.append(f"{row['verdict']}: {name}: {row['statement']}. Measured: {row['detail'] or '–'}")
        elif failing:
            continue
        rows.append(
            (
                name,
                row["tag"] + (", changed setting" if row.get("changed") else ""),
                bounded(row),
                measured(row),
                (row["tolerance"] or "–") + (" (chosen late)" if row.get("late") else ""),
                row["verdict"],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    head = [lines[0], "-" * len(lines[0]), *lines[1:], ""] if len(rows) > 1 else []
    return "\n".join([*head, *reasons, *[""] * bool(reasons), total(row for _, row in found)])


def summary(files: Iterable[Path], most: int = 20) -> str:
    """The end of a run: how many claims have which verdict, and at most `most` of those that do not hold."""
    found = [(file, row) for file in files for row in read(file)]
    failing = [(file, row) for file, row in found if row["verdict"] != "holds"]
    lines = [
        f"  {row['verdict']}: {file.parent.name}.{row['claim']}: {compared(row)}"
        for file, row in failing[:most]
    ]
    if len(failing) > most:
        lines.append(f"  and {len(failing) - most} more")
    if failing:
        lines.append("  why: twolayer claims --failing")
    return "\n".join([total(row for _, row in found), *lines])


def total(rows: Iterable[Mapping[str, Any]]) -> str:
    """`39 claims: 32 hold, 7 fail, 0 inconclusive`."""
    count = Counter(row["verdict"] for row in rows)
    parts = [
        f"{count[verdict]} {text}" for verdict, text in VERDICTS.items() if count[verdict] or text in ALWAYS
    ]
    return f"{counted(count.total(), 'claim')}: {', '.join(parts)}"


def compared(row: Mapping[str, Any]) -> str:
    """What was predicted and measured for a row; why nothing was, where nothing was."""
    if row["measured"] is None and row["detail"]:
        return str(row["detail"])
    return f"predicted {bounded(row)}, measured {measured(row)}"


def bounded(row: Mapping[str, Any]) -> str:
    """What a row predicts, with the side of a bound."""
    bound = {"at most": "≤ ", "at least": "≥ ", "above": "> "}.get(row["tolerance"].split(",")[0], "")
    return bound + cell(row["predicted"], digits_of_row(row))


def measured(row: Mapping[str, Any]) -> str:
    """What was measured for a row."""
    return cell(row["measured"], digits_of_row(row))


def digits_of_row(row: Mapping[str, Any]) -> int:
    """Six, or as many more as tell what was measured from what was predicted where the claim does not hold."""
    return 6 if row["verdict"] == "holds" else distinct_digits(row["predicted"], row["measured"], 6)


def distinct_digits(first: Any, second: Any, least: int) -> int:
    """The digits with which two different numbers are spelt differently, `least` or more."""
    if not all(isinstance(value, float | int) for value in (first, second)) or first == second:
        return least
    return next(
        (digits for digits in range(least, 17) if f"{first:.{digits}g}" != f"{second:.{digits}g}"), 17
    )


VERDICTS = {
    "holds": "hold",
    "fails": "fail",
    "not reproduced under this reading": "not reproduced under this reading",
    "inconclusive": "inconclusive",
}
ALWAYS = ("hold", "fail", "inconclusive")
"""Verdicts whose count is shown even where it is 0."""


def cell(value: Any, digits: int = 6) -> str:
    """A number or word in the table."""
    return f"{value:.{digits}g}" if isinstance(value, float | int) else value or "–"
