"""A paper's claims and figures: decorators that name the experiments each is evaluated on or drawn from.

A claim is a function of one run (or of those that `by` leaves together) that returns a comparison, or several by
name. The framework groups the runs, names the cases, says which run the config does not have, and marks statements
whose wording could not be checked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from twolayer.analysis.claims import Claim, Tag
from twolayer.analysis.comparison import Result, as_read, by_case, inconclusive
from twolayer.analysis.figures import Drawing, Planned, Status, Text
from twolayer.analysis.metric import ALWAYS
from twolayer.analysis.runs import (
    EACH,
    Config,
    Run,
    RunConfigs,
    Select,
    Varied,
    distinguishing_words,
    runs_of,
)
from twolayer.core.registration import mark
from twolayer.core.trajectory import MARKS
from twolayer.core.wording import counted
from twolayer.errors import DataError, PluginError, unknown_name

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["Paper"]

Found = Result | Mapping[str, Result]
Parts = Callable[[Run], Iterable[Run]]


@dataclass(frozen=True)
class Paper:
    """One paper: its name (its folder's), how it is cited, and its symbols for swept words.

    symbols: {"neurons": "n"}: how a case names the swept word; a word without one is spelt out; a label (a value
    that is text) is given without the word.
    setting: {"network.activation": "relu", "problem.samples": None}: what the paper is about, by paths into a run's
    config, each a value or a tuple of values; None where a run may lack it. Outside of it a claim is inconclusive, and
    a figure is refused before training.
    """

    name: str
    citation: str
    symbols: Mapping[str, str] = field(default_factory=dict)
    setting: Mapping[str, Any] = field(default_factory=dict)

    def claim(
        self,
        statement: str,
        source: str,
        tag: Tag,
        *,
        on: str | Sequence[str],
        by: str | Sequence[str] = (),
        select: Select | None = None,
        of: Parts | None = None,
        compared_with: str | Sequence[str] = (),
        figures: Iterable[str] = (),
        files: Iterable[str] = (),
        unverified_reading: bool = False,
        late: str = "",
    ) -> Callable[[Callable[..., Found]], Claim]:
        """Mark `check(run, …)` as a claim.

        statement: the sentence. source: where in the paper, or how it is known. tag: see `Claim`.
        on: the experiment whose runs it is about; several are taken one after the other, each as a separate case; with
        none, as for an identity in closed form, the function gets no run.
        by: the swept words whose values make one case each; without them the function gets all runs at once, and
        with "run" each run alone, whatever was swept, named by the first words that distinguish runs. For a run that
        the statement does not apply to it returns {}.
        of: which of these, or which parts of each (`Run.with_dataset`, by whose labels a case is named), the statement
        applies to: a function of a run that yields them. An experiment without any is inconclusive.
        select: {swept word: value or values}, the runs it is about; default all.
        compared_with: other experiments that the function gets as further arguments, each a `Run` of all its runs.
        figures: the figures that show it. files: netCDF files relative to the plugin, further arguments in this order.
        unverified_reading: the wording could not be checked against the paper: a failure is one of our reading alone.
        late: why the threshold was chosen after the number was seen.
        """
        experiments, words, others = texts(on), texts(by), texts(compared_with)
        read = tuple(files)
        refuse_choice("tag of a claim", tag, Tag)

        def mark_claim(check: Callable[..., Found]) -> Claim:
            refuse_arguments(check, bool(experiments) + len(others) + len(read), "one")

            def evaluate(data: Mapping[str, xr.Dataset]) -> Mapping[str, Result]:
                results: dict[str, Result] = {}
                further = [next(runs_of(name, data[name])) for name in others]
                stored = [data[Path(file).stem] for file in read]
                if not experiments:
                    return by_case(check(*further, *stored))
                for experiment in (name for name in experiments if name in data):
                    prefix = [experiment] if len(experiments) > 1 else []
                    cases = self.cases(experiment, data[experiment], words, select)
                    for case, run in self.parts(experiment, cases, of):
                        found = self.attempt(check, run, further, stored)
                        for name, result in found.items():
                            spelled = ", ".join([*prefix, *case, *[name] * bool(name)])
                            results[spelled] = as_read(result) if unverified_reading else result
                return results or {"": inconclusive("there is no run that it applies to")}

            claim = Claim(
                evaluate,
                statement,
                f"{self.citation}, {source}",
                tag,
                tuple(dict.fromkeys((*experiments, *others))),
                read,
                late,
                tuple(figures),
                tuple(name for name in experiments if name not in others),
            )
            mark(claim, "claims", f"{self.name}.{check.__name__}", claim, check.__module__)
            return claim

        return mark_claim

    def figure(
        self,
        status: Status,
        caption: str | Callable[..., str],
        *,
        on: str | Sequence[str] | Mapping[str, str | Sequence[str]],
        check: Callable[..., Any] | None = None,
        size: tuple[float, float] = (5.5, 3.4),
        frames_per_second: int = 20,
        files: Iterable[str] = (),
        details: str | Callable[..., str] = "",
    ) -> Callable[[Callable[..., Any]], Drawing]:
        """Mark `draw(canvas, run, …)` as a figure; what is marked is drawn.

        status: see `Drawing`. caption: the sentence on the figure's face. details: what else a reader of the gallery
        may ask. Each is a text, or a function of the same runs, which says what was run from them.
        on: the experiments it is drawn from, each given as a `Run` of all its runs, in this order, with the metrics
        and swept words that it takes: {"rate": ["loss", "neurons"]}; it gets no other but
        those of every run. `zhu2025.rate` is an experiment of another paper: the figure is drawn where a config has
        that paper too. A config may name others in their place.
        Named swept words must tell all its runs apart; without any the figure takes each run, whatever was swept.
        check: a function of the `RunConfigs` of each experiment that raises a DataError where the figure could not
        show them. All this is checked before anything runs.
        size: width and height in inches, without the caption. files: as for a claim.
        """
        experiments, read = texts(on), tuple(files)
        refuse_choice("status of a figure", status, Status)
        taken = [texts(names) for names in on.values()] if isinstance(on, Mapping) else []

        def mark_figure(draw: Callable[..., Any]) -> Drawing:
            refuse_arguments(draw, 1 + len(experiments) + len(read), "a canvas and one")

            def validate(planned: Mapping[str, Planned]) -> None:
                refuse_number(draw, experiments, planned)
                for index, (experiment, (runs, metrics)) in enumerate(planned.items()):
                    if "." not in experiment:
                        self.refuse_outside(experiment, Config(runs))
                    if taken:
                        refuse_missing(experiment, taken[min(index, len(taken) - 1)], runs, metrics)
                if check is not None:
                    check(*(RunConfigs(experiment, runs) for experiment, (runs, _) in planned.items()))

            def arguments(data: Mapping[str, xr.Dataset]) -> list[Any]:
                stored = {Path(file).stem for file in read}
                datasets = {name: dataset for name, dataset in data.items() if name not in stored}
                runs = [
                    next(
                        runs_of(name, only(dataset, taken[min(index, len(taken) - 1)]) if taken else dataset)
                    )
                    for index, (name, dataset) in enumerate(datasets.items())
                ]
                return [*runs, *(data[Path(file).stem] for file in read)]

            def said(text: str | Callable[..., str]) -> Text:
                return text if isinstance(text, str) else lambda data: text(*arguments(data))

            @wraps(draw)
            def still(canvas: Figure, data: Mapping[str, xr.Dataset]) -> Any:
                return draw(canvas, *arguments(data))

            @wraps(draw)
            def film(canvas: Figure, data: Mapping[str, xr.Dataset]) -> Any:
                yield from draw(canvas, *arguments(data))

            drawing = Drawing(
                film if inspect.isgeneratorfunction(draw) else still,
                status,
                said(caption),
                size,
                frames_per_second,
                read,
                experiments,
                validate,
                said(details),
                self.citation,
            )
            mark(drawing, "figures", f"{self.name}.{draw.__name__}", drawing, draw.__module__)
            return drawing

        return mark_figure

    def attempt(
        self, check: Callable[..., Found], run: Run | str, further: Sequence[Run], stored: Sequence[Any]
    ) -> dict[str, Result]:
        """The results of a check by name; what the config does not have is inconclusive and says what."""
        if isinstance(run, str):
            return {"": inconclusive(run)}
        try:
            for one in (run, *further):
                self.refuse_outside(one.experiment, one.config)
            found = check(run, *further, *stored)
        except DataError as error:
            return {"": inconclusive(str(error))}
        return by_case(found)

    def refuse_outside(self, experiment: str, config: Config) -> None:
        """A DataError where runs have a setting that the paper is not about."""
        for path, allowed in self.setting.items():
            choices = allowed if isinstance(allowed, tuple) else (allowed,)
            try:
                found = reduce(getattr, path.split("."), config)
            except DataError:  # no such key in this kind of section
                found = None
            for value in found.values if isinstance(found, Varied) else [found]:
                if value not in choices:
                    known = " or ".join("none" if choice is None else str(choice) for choice in choices)
                    raise DataError(f"is about runs with {path}: {known}; '{experiment}' has {value}")

    def cases(
        self, experiment: str, dataset: xr.Dataset, words: Sequence[str], select: Select | None
    ) -> Iterable[tuple[list[str], Run | str]]:
        """The cases of a claim: how each is named, and its runs, or why there are none."""
        wanted = {
            word: value if isinstance(value, list | tuple) else [value]
            for word, value in (select or {}).items()
        }
        together = next(runs_of(experiment, dataset))
        known = together.config.swept
        missing = []
        for word, values in wanted.items():
            found = getattr(known, word)
            have = found.values if isinstance(found, Varied) else [found]
            missing += [(word, value) for value in values if value not in have]
        for word, value in missing:
            yield (
                [self.spelled(word, value)],
                f"the experiment '{experiment}' has no run with {word} = {value}",
            )
        kept = {
            word: [value for value in values if (word, value) not in missing]
            for word, values in wanted.items()
        }
        words = distinguishing_words(dataset) if tuple(words) == EACH else words
        if all(kept.values()):
            for run in runs_of(experiment, dataset, words, kept):
                yield [self.spelled(word, run.swept[word]) for word in words], run

    def named(self, run: Run, *without: str) -> str:
        """`k = 4, m = 20`: runs by the swept words that they share, but for some."""
        return ", ".join(
            self.spelled(word, value) for word, value in run.swept.items() if word not in without
        )

    def parts(
        self, experiment: str, cases: Iterable[tuple[list[str], Run | str]], of: Parts | None
    ) -> Iterable[tuple[list[str], Run | str]]:
        """The cases that `of` makes of each."""
        if of is None:
            yield from cases
            return
        some = False
        for case, run in cases:
            if isinstance(run, str):
                some = True
                yield case, run
                continue
            try:
                parts = list(of(run))
            except DataError as error:
                some = True
                yield case, str(error)
                continue
            for part in parts:
                some = True
                added = [word for word in part.swept if word not in run.swept]
                yield [*case, *(self.spelled(word, part.swept[word]) for word in added)], part
        if not some:
            yield [], f"no run of the experiment '{experiment}' is one that the statement applies to"

    def spelled(self, word: str, value: Any) -> str:
        """`n = 5`, or a label as it is."""
        if isinstance(value, str):
            return value
        return f"{self.symbols.get(word, word)} = {value:g}"


def only(dataset: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """A dataset without the metrics that a figure does not name, so that it names all that it takes but those of every
    run, and what training says of a run."""
    kept = (*names, "run", *ALWAYS, *MARKS)
    return dataset.drop_vars([name for name in dataset.data_vars if name not in kept])


def refuse_choice(what: str, given: object, known: Any) -> None:
    """A PluginError where it is none of the words of a type."""
    if given not in get_args(known):
        raise PluginError(unknown_name(what, given, get_args(known)))


def refuse_arguments(function: Callable[..., Any], count: int, which: str) -> None:
    """A PluginError where a function cannot be called with so many arguments: `which` for each experiment and file."""
    signature = inspect.signature(function)
    try:
        signature.bind(*range(count))
    except TypeError:
        raise PluginError(
            f"{function.__name__}: is called with {counted(count, 'argument')}, {which} for each experiment and file; "
            f"it is {function.__name__}({', '.join(signature.parameters)})"
        ) from None


def refuse_number(draw: Callable[..., Any], usual: Sequence[str], planned: Mapping[str, Planned]) -> None:
    """A DataError where a figure is given more or fewer experiments than it takes."""
    kinds = {parameter.kind for parameter in inspect.signature(draw).parameters.values()}
    if len(planned) != len(usual) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        raise DataError(
            f"is drawn from {counted(len(usual), 'experiment')} ({', '.join(usual)}), not {len(planned)}"
        )


def refuse_missing(
    experiment: str, names: Sequence[str], runs: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> None:
    """A DataError where a figure takes what an experiment neither measures nor sweeps, or a run for each value of
    words of which several runs have the same."""
    swept = runs[0]["swept"]
    for name in names:
        if name not in swept and name not in metrics:
            raise DataError(
                f"shows '{name}', which the experiment '{experiment}' neither measures nor sweeps; it measures "
                f"{', '.join(metrics)} and sweeps {', '.join(swept) or 'nothing'}"
            )
    words = [name for name in names if name in swept]
    if words and len({tuple(run["swept"][word] for word in words) for run in runs}) < len(runs):
        others = [word for word in swept if word not in words]
        raise DataError(
            f"shows one run for each value of {' and '.join(words)}; the experiment '{experiment}' sweeps "
            f"{' and '.join(others)} too"
        )


def texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as names."""
    return (value,) if isinstance(value, str) else tuple(value)
