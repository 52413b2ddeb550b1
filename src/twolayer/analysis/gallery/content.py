"""What the gallery shows, read from the files of a study: papers, their figures, and their claims by family."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twolayer.analysis import claims as claim_files
from twolayer.errors import DataError

__all__ = ["VERDICTS", "Case", "Family", "ShownFigure", "ShownPaper", "content", "count"]

STATED = {
    "published": "The paper states",
    "second-hand": "The paper is quoted as stating",
    "recalled": "The paper states, from memory, not checked against it",
}
"""How a statement is introduced, by its tag; derived ones are not the paper's."""

SLIDER = 'id="slider"'
"""What a page of neurons over time has that shows any."""

VERDICTS = ("fails", "not reproduced under this reading", "inconclusive", "holds")
"""The worst first."""


@dataclass(frozen=True)
class Case:
    """One row of claims.json: a claim on some of the runs."""

    name: str
    bound: str
    predicted: float | str | None
    measured: float | str | None
    tolerance: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class Family:
    """A claim with all its cases, the worst first."""

    paper: str
    name: str
    statement: str
    source: str
    tag: str
    late: str
    changed: str
    experiments: tuple[str, ...]
    figures: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of cases by verdict, the worst first."""
        return count(self.cases)

    @property
    def verdict(self) -> str:
        """The worst verdict."""
        return self.cases[0].verdict

    @property
    def open_cases(self) -> tuple[Case, ...]:
        """The cases that do not hold."""
        return tuple(case for case in self.cases if case.verdict != "holds")

    @property
    def anchor(self) -> str:
        """Where it stands on the page in full for the first time."""
        return f"{self.paper}.claim.{self.name}"


@dataclass
class ShownFigure:
    """A figure: its files as links from the page, what its description says, and the claims that name it.

    in_paper: what the published figure shows, in a sentence, where there is one. without_claims: why no claim names
    it, where that is said. has_config: whether there is a config.yaml of its paper alone.
    made: whether its files are there. failed: whether the last job for it failed, so that it is of an earlier run.
    """

    paper: str
    name: str
    animated: bool
    image: str
    full: str
    log: str
    made: bool
    failed: bool
    size: tuple[int, int] = (0, 0)
    description: Mapping[str, Any] = field(default_factory=dict)
    families: list[Family] = field(default_factory=list)
    in_paper: str = ""
    without_claims: str = ""
    has_config: bool = False

    @property
    def stated(self) -> tuple[str, list[str]]:
        """What the paper states of it, where it shows no such figure, by the best known statements, and how."""
        for tag, known in STATED.items():
            if found := [family.statement for family in self.families if family.tag == tag]:
                return known, found
        return "", []

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"{self.paper}.figure.{self.name}"

    @property
    def target(self) -> str:
        """The file that Snakemake is asked for."""
        return f"results/{self.paper}/figures/{self.name}.{'mp4' if self.animated else 'pdf'}"

    @property
    def command(self) -> str:
        """What draws it again: of a variant that `twolayer set` made with the config that it wrote."""
        config = f" --configfile results/{self.paper}/config.yaml --" if self.has_config else ""
        return f"snakemake --cores 2 --force{config} {self.target}"

    @property
    def counts(self) -> dict[str, int]:
        """Its claims' cases by verdict."""
        return count(case for family in self.families for case in family.cases)


@dataclass
class ShownPaper:
    """A paper with its figures and claims.

    claims_made: whether it has a claims.json, or asks for none. claims_failed: whether the last job for it failed.
    explorer: a link to the page of its neurons over time, where there is one. chart: a link to the image of all its
    claims in one chart, where there is one.
    """

    name: str
    figures: list[ShownFigure] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    claims_made: bool = True
    claims_failed: bool = False
    claims_log: str = ""
    explorer: str = ""
    chart: str = ""
    chart_size: tuple[int, int] = (0, 0)

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"{self.name}.paper"

    @property
    def citation(self) -> str:
        """How it is cited, as its figures say."""
        return next((str(c) for figure in self.figures if (c := figure.description.get("citation"))), "")

    @property
    def counts(self) -> dict[str, int]:
        """Its claims' cases by verdict."""
        return count(case for family in self.families for case in family.cases)

    @property
    def changed(self) -> dict[str, str]:
        """By experiment, the settings that are not the paper's."""
        found: dict[str, str] = {}
        for figure in self.figures:
            found |= figure.description.get("changed", {})
        for family in self.families:
            for text in filter(None, family.changed.split("; ")):
                experiment, separator, changes = text.partition(": ")
                if separator and experiment in family.experiments:
                    found.setdefault(experiment, changes)
        return found

    @property
    def open_families(self) -> list[Family]:
        """The claims with a case that does not hold."""
        return [family for family in self.families if family.open_cases]

    @property
    def families_without_figure(self) -> list[Family]:
        """The claims that no figure of the page shows."""
        shown = {figure.name for figure in self.figures}
        return [family for family in self.families if not shown.intersection(family.figures)]

    @property
    def figures_without_claims(self) -> list[ShownFigure]:
        """The figures that no claim names."""
        return [figure for figure in self.figures if not figure.families]


def count(cases: Iterable[Case]) -> dict[str, int]:
    """The number of cases by verdict, the worst first, without those that do not occur."""
    found = Counter(case.verdict for case in cases)
    return {verdict: found[verdict] for verdict in (*VERDICTS, *found) if found[verdict]}


def content(
    folder: Path,
    figures: Sequence[Path],
    claims: Sequence[Path],
    failed: Iterable[Path] = (),
    sentences: Iterable[Path] = (),
) -> list[ShownPaper]:
    """The papers of a gallery in the order in which their files are given.

    folder: the page's, from which links lead. figures: the descriptions of figures (results/<paper>/figures/*.json).
    claims: the claims.json files (results/<paper>/claims.json). A file that is missing is shown as not made. failed:
    files whose last job failed, so that what is there is of an earlier run. sentences: the gallery.yaml of papers
    (`sentences_of`).
    """
    broken = set(failed)
    said = {
        (file.parent.name, name): texts for file in sentences for name, texts in sentences_of(file).items()
    }
    papers: dict[str, ShownPaper] = {}
    for home in dict.fromkeys((*(file.parent for file in claims), *(file.parents[1] for file in figures))):
        explorer = home / "explorer.html"
        shows = explorer.is_file() and SLIDER in explorer.read_text(encoding="utf-8")
        papers[home.name] = ShownPaper(home.name, explorer=link(explorer, folder) if shows else "")
    for file in claims:
        paper = papers[file.parent.name]
        paper.claims_made, paper.claims_failed = file.is_file(), file in broken
        paper.claims_log = link(file.with_suffix(".log"), folder)
        if (chart := file.with_suffix(".png")).is_file():
            paper.chart, paper.chart_size = link(chart, folder), png_size(chart)
        paper.families = list(families(paper.name, claim_files.read(file))) if paper.claims_made else []
    for file in figures:
        paper = papers[file.parents[1].name]
        figure = shown_figure(file, paper.name, folder, file in broken)
        source = figure.description.get("source", {"file": "", "function": ""})
        texts = said.get((paper_of(Path(source["file"])), source["function"]), {})
        figure.in_paper, figure.without_claims = texts.get("paper", ""), texts.get("without_claims", "")
        figure.has_config = file.parents[1].joinpath("config.yaml").is_file()
        paper.figures.append(figure)
    for paper in papers.values():
        for figure in paper.figures:
            figure.families = [family for family in paper.families if figure.name in family.figures]
    return list(papers.values())


def paper_of(source: Path) -> str:
    """The paper that a figure is drawn by: its file is `figures.py` in the paper's folder, or in `figures/` there."""
    folder = source.parent
    return folder.parent.name if folder.name == "figures" else folder.name


def families(paper: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Family]:
    """The rows of a claims.json by claim; those with the worst verdict first, else in the order of the file."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["claim"].partition("[")[0], []).append(row)
    made = [family(paper, name, group) for name, group in groups.items()]
    yield from sorted(made, key=lambda each: rank(each.verdict))


def family(paper: str, name: str, rows: Sequence[Mapping[str, Any]]) -> Family:
    """The rows of one claim."""
    cases = sorted((case_of(row) for row in rows), key=lambda case: rank(case.verdict))
    first = rows[0]
    return Family(
        paper,
        name,
        first["statement"],
        first["source"],
        first["tag"],
        first.get("late", ""),
        first.get("changed", ""),
        tuple(first.get("experiments", ())),
        tuple(first.get("figures", ())),
        tuple(cases),
    )


def case_of(row: Mapping[str, Any]) -> Case:
    """One row of claims.json."""
    name = row["claim"].partition("[")[2].removesuffix("]")
    bound = {"at most": "≤", "at least": "≥", "above": ">"}.get(row["tolerance"].split(",")[0], "")
    return Case(
        name, bound, row["predicted"], row["measured"], row["tolerance"], row["verdict"], row["detail"] or ""
    )


def rank(verdict: str) -> int:
    """The place of a verdict, the worst first; one that is not known comes before all."""
    return VERDICTS.index(verdict) if verdict in VERDICTS else -1


def shown_figure(file: Path, paper: str, folder: Path, failed: bool) -> ShownFigure:
    """A figure by the file that describes it."""
    animated = file.name.endswith(".mp4.json")
    name = file.name.removesuffix(".json").removesuffix(".mp4")
    image = file.with_name(f"{name}.mp4.png" if animated else f"{name}.png")
    full = file.with_name(f"{name}.mp4" if animated else f"{name}.pdf")
    log = file.with_name(f"{name}.animate.log" if animated else f"{name}.render.log")
    made = all(path.is_file() for path in (file, image, full))
    figure = ShownFigure(
        paper, name, animated, link(image, folder), link(full, folder), link(log, folder), made, failed
    )
    if made:
        figure.size = png_size(image)
        try:
            figure.description = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{file}: cannot be read as the description of a figure: {error}") from error
    return figure


SENTENCES = {"paper", "without_claims"}
"""What a gallery.yaml may say of a figure: what the paper shows there; why no claim names the figure."""


def sentences_of(file: Path) -> dict[str, dict[str, str]]:
    """The sentences of a gallery.yaml, {figure: sentence} or {figure: {paper: sentence, without_claims: sentence}}."""
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read as {{figure: sentence}}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{file}: must be a mapping of figures, each with a sentence")
    texts = {
        str(name): {"paper": given} if isinstance(given, str) else given for name, given in found.items()
    }
    for name, given in texts.items():
        if not (
            isinstance(given, dict)
            and given.keys() <= SENTENCES
            and all(isinstance(text, str) for text in given.values())
        ):
            raise DataError(
                f"{file}: {name}: must be a sentence, or a mapping of {', '.join(sorted(SENTENCES))}"
            )
    return texts


def png_size(file: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header."""
    head = file.open("rb").read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        raise DataError(f"{file}: is not a PNG image")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def link(file: Path, folder: Path) -> str:
    """A relative link from a page in `folder`."""
    return Path(os.path.relpath(file, folder)).as_posix()
