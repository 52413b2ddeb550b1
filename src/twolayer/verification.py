"""Which results are whole, and of the config: what `twolayer verify` finds.

Each file is read to its end and compared with the checksum that it carries; its run, its code and the checksums of the
files that it was made from with the config and with the files that are there. Nothing that Snakemake noted counts, so
results that were copied are judged like those that were made here.
"""

from __future__ import annotations

import json
import re
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.storage import checksum, netcdf
from twolayer.storage.layout import RESULTS, dataset_file
from twolayer.storage.verify import why_altered, why_stale
from twolayer.study.planned import Figure, PlannedPaper
from twolayer.study.runs import Experiment, PlannedRun
from twolayer.study.study import Study

__all__ = ["Verification", "Wrong", "report", "verification"]

STAGES = {"problem": ("generate", ()), "trajectory": ("train", ("problem.nc",))}
STAGES |= {"metrics": ("measure", ("problem.nc", "trajectory.nc"))}
"""The files of a run: the stage that makes each, and from which of the others."""

FILES_SHOWN = 20
"""Files that a command line names, at most."""

PDF_STREAM = re.compile(rb"/Filter /FlateDecode.*?>>\s*stream\r?\n(.*?)\nendstream", re.DOTALL)


@dataclass(frozen=True)
class Wrong:
    """A file that is not what it should be, and why. asked_for: whether the config asks for a file of its name."""

    path: Path
    reason: str
    asked_for: bool = True


@dataclass
class Verification:
    """What was found of a study's results.

    whole: how many files are as they should be. missing: those that are not there. left_over: files and folders that
    no config asks for, whole or not looked into.
    """

    whole: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    left_over: list[Path] = field(default_factory=list)

    @property
    def to_remake(self) -> list[Path]:
        """The wrong files that the workflow makes."""
        return [found.path for found in self.wrong if found.asked_for]

    def look(self, path: Path, why: Callable[[Path], str]) -> None:
        """Count a file: missing, wrong for a reason, or whole where the reason is empty."""
        if not path.is_file():
            self.missing.append(path)
        elif reason := why(path):
            self.wrong.append(Wrong(path, reason))
        else:
            self.whole += 1


def verification(study: Study, paper: str | None = None) -> Verification:
    """What is found of the results of a study, or of one of its papers."""
    papers = [study.paper(paper)] if paper else list(study.papers.values())
    found = Verification()
    for planned in papers:
        look_at_paper(study, planned, found)
    if paper is None:
        found.look(RESULTS / "index.html", lambda path: why_page(path, study.code("gallery")))
        known = set(study.papers)
        found.left_over += [
            folder for folder in sorted(RESULTS.glob("*")) if folder.is_dir() and folder.name not in known
        ]
    return found


def look_at_paper(study: Study, paper: PlannedPaper, found: Verification) -> None:
    """Add what is found of a paper."""
    folder = RESULTS / paper.name
    expected = set()
    for experiment in paper.experiments.values():
        for run in experiment.runs.values():
            for stage in STAGES:
                path = folder / experiment.name / run.name / f"{stage}.nc"
                expected.add(path)
                found.look(path, lambda path, run=run, stage=stage: why_run(study, run, stage, path))  # type: ignore[misc]
        path = folder / experiment.name / "dataset.nc"
        expected.add(path)
        found.look(path, lambda path, experiment=experiment: why_dataset(study, experiment, path))  # type: ignore[misc]
    for figure in paper.figures.values():
        base = folder / "figures" / figure.name
        *pictures, record = (base.with_name(f"{figure.name}.{suffix}") for suffix in figure.suffixes)
        found.look(record, lambda path, figure=figure: why_figure(study, figure, path))  # type: ignore[misc]
        for path in pictures:
            found.look(path, lambda path, record=record: why_picture(path, record))  # type: ignore[misc]
    if paper.claims:
        found.look(folder / "claims.json", lambda path: why_claims(study, paper, path))
        for suffix in ("pdf", "png"):
            found.look(folder / f"claims.{suffix}", why_damaged)
    if paper.figures or paper.claims:
        found.look(folder / "explorer.html", lambda path: why_page(path, study.code("explore")))
    for path in sorted(folder.rglob("*.nc")):
        if path not in expected:
            judge_unexpected(study, path, found)


def why_unreadable(path: Path) -> tuple[str, dict[str, Any]]:
    """Why a netCDF file cannot be trusted by itself, and its attributes: cut short, no netCDF, or altered."""
    length = stated_length(path)
    size = path.stat().st_size
    if length is not None and size != length:
        word = "is cut short" if size < length else "was written over"
        return f"{word}: it has {size} bytes of {length}", {}
    try:
        variables, attributes = netcdf.read(path)
    except DataError as error:
        return str(error).removeprefix(f"{path}: "), {}
    except Exception as error:  # an error of the library, on a damaged file
        return f"cannot be read: {error}", {}
    return why_altered(variables, attributes), attributes


def stated_length(path: Path) -> int | None:
    """The length that a netCDF-4 file states at its beginning; None where it states none."""
    with path.open("rb") as file:
        head = file.read(48)
    # the superblock of HDF5, version 2: signature, version, size of offsets, …, end-of-file address at byte 28
    if head[:8] != b"\x89HDF\r\n\x1a\n" or head[8:10] != b"\x02\x08" or len(head) < 36:
        return None
    return int.from_bytes(head[28:36], "little")


def carried(path: Path) -> str | None:
    """The checksum that a netCDF file carries; None where there is no such file, or none that can be read."""
    if not path.is_file():
        return None
    try:
        return str(netcdf.read(path, ())[1].get(checksum.KEY, ""))
    except Exception:  # what is wrong with it is said of it
        return None


def why_other_sources(sources: Mapping[str, Any], actual: Mapping[str, str | None]) -> str:
    """Which source a file was not made from as it is now; sources that are not there cannot be compared."""
    for name, now in actual.items():
        if now is not None and sources.get(name) != now:
            return f"is stale: it was made from another {name} than the one that is there"
    return ""


def why_run(study: Study, run: PlannedRun, stage: str, path: Path) -> str:
    """Why a file of a run is wrong; empty where it is not."""
    reason, attributes = why_unreadable(path)
    maker, inputs = STAGES[stage]
    reason = reason or why_stale(path, stage, [run.json()], study.code(maker, run))
    return reason or why_other_sources(
        sources_of(attributes), {name: carried(path.with_name(name)) for name in inputs}
    )


def sources_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The checksums of the sources that a netCDF file carries."""
    try:
        found = json.loads(attributes.get(checksum.SOURCES, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def why_dataset(study: Study, experiment: Experiment, path: Path) -> str:
    """Why a dataset is wrong; empty where it is not."""
    reason, attributes = why_unreadable(path)
    runs = [run.json() for run in experiment.runs.values()]
    reason = reason or why_stale(path, "dataset", runs, study.code("gather"))
    metrics = [carried(path.parent / run.name / "metrics.nc") for run in experiment.runs.values()]
    known = [each for each in metrics if each is not None]
    actual = checksum.of_list(known) if len(known) == len(metrics) else None
    return reason or why_other_sources(sources_of(attributes), {"metrics.nc": actual})


def read_json(path: Path) -> Any:
    """What a JSON file holds; ValueError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"is cut short or no JSON: {error}") from error


def datasets(paper: str, experiments: Iterable[str]) -> dict[str, str | None]:
    """The checksums of the datasets that are there."""
    return {name: carried(dataset_file(paper, name)) for name in experiments}


def files(paths: Iterable[str]) -> dict[str, str | None]:
    """The checksums of further sources, by the stem of their names."""
    return {Path(path).stem: checksum.of_file(Path(path)) for path in paths if Path(path).is_file()}


def why_figure(study: Study, figure: Figure, path: Path) -> str:
    """Why the description of a figure is wrong; empty where it is not."""
    try:
        record = read_json(path)
    except ValueError as error:
        return str(error)
    if not isinstance(record, dict) or checksum.KEY not in record:
        return "carries no checksum: it was made by another program, or an earlier version"
    if checksum.of_record(record) != record[checksum.KEY]:
        return "is altered: what it holds is not what was written"
    if record.get("figure") != f"{figure.paper}.{figure.name}":
        return f"is misplaced: it describes {record.get('figure')}"
    if record.get("code") != study.code("render", paper=figure.paper, figure=figure.name):
        return "is stale: it was made by other code"
    actual = datasets(figure.paper, figure.experiments)
    actual |= files((*study.files_of("figures", figure.registered), *study.face_files(figure)))
    return why_other_sources(record.get(checksum.SOURCES, {}), actual)


def why_picture(path: Path, record: Path) -> str:
    """Why a picture is wrong: damaged, or another one than its description speaks of; empty where it is neither."""
    if reason := why_damaged(path):
        return reason
    try:
        stated = read_json(record).get("checksums", {}).get(path.name)
    except (OSError, ValueError, AttributeError):
        return ""  # what is wrong with the description is said of it
    if stated is not None and stated != checksum.of_file(path):
        return f"is altered: it is not the picture that {record.name} describes"
    return ""


def why_damaged(path: Path) -> str:
    """Why a PDF or PNG file is damaged, by the checksums that these formats have; empty where it is not."""
    content = path.read_bytes()
    if path.suffix == ".png":
        return why_png_damaged(content)
    if path.suffix == ".pdf":
        if not content.startswith(b"%PDF") or not content.rstrip().endswith(b"%%EOF"):
            return "is cut short or no PDF"
        for stream in PDF_STREAM.findall(content):
            try:
                zlib.decompress(stream)
            except zlib.error:
                return "is altered: a part of it does not unpack"
    return "" if content else "is empty"


def why_png_damaged(content: bytes) -> str:
    """The same of a PNG: chunks of length, name, data and CRC, up to IEND."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "is cut short or no PNG"
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunk, stated = (
            content[at + 4 : at + 8 + length],
            content[at + 8 + length : at + 12 + length],
        )
        if len(stated) == 4 and zlib.crc32(chunk) != int.from_bytes(stated, "big"):
            return "is altered: a part of it does not agree with its checksum"
        at += 12 + length
        if chunk[:4] == b"IEND":
            return "" if at == len(content) else "was written over: it goes on after its end"
    return "is cut short"


def why_claims(study: Study, paper: PlannedPaper, path: Path) -> str:
    """Why a claims.json is wrong; empty where it is not."""
    try:
        rows = read_json(path)
    except ValueError as error:
        return str(error)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and checksum.KEY in row for row in rows):
        return "carries no checksum: it was made by another program, or an earlier version"
    total = checksum.of_record(rows)
    if not rows or any(row[checksum.KEY] != total for row in rows):
        return "is altered: its rows are not those that were written"
    if rows[0].get("code") != study.code("claims", paper=paper.name):
        return "is stale: it was made by other code"
    actual = datasets(paper.name, study.claim_experiments(paper.name))
    actual |= files(study.claim_files(paper.name))
    return why_other_sources(rows[0].get(checksum.SOURCES, {}), actual)


def why_page(path: Path, code: str) -> str:
    """Why a page is wrong; empty where it is not."""
    try:
        record, actual = checksum.page_record(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"is cut short, or was made by an earlier version: {error}"
    if record.get(checksum.KEY) != actual:
        return "is altered: what it shows is not what was written"
    if record.get("code") != code:
        return "is stale: it was made by other code"
    sources = record.get(checksum.SOURCES, {})
    return why_other_sources(sources, {name: now_of(path.parent / name, name) for name in sources})


def now_of(path: Path, name: str) -> str | None:
    """The checksum of a page's source: a file, or an experiment's folder with its dataset."""
    if path.is_dir():
        return carried(path / "dataset.nc")
    return checksum.of_file(path) if path.is_file() else None


def judge_unexpected(study: Study, path: Path, found: Verification) -> None:
    """Add a netCDF file where the config asks for none: left over from a config before, or of somewhere else."""
    if path.name.startswith("."):
        found.left_over.append(path)  # of a job that was killed
        return
    try:
        attributes = netcdf.read(path, ())[1]
        title = str(attributes.get("title"))
        run = json.loads(attributes["run"]) if "run" in attributes else {}
    except Exception:  # whatever the library says of it
        found.wrong.append(Wrong(path, "is foreign: no netCDF file that can be read", asked_for=False))
        return
    stage = title.removeprefix("twolayer ").partition(" ")[0]
    if title.startswith("twolayer dataset of "):
        origin = RESULTS.joinpath(*title.removeprefix("twolayer dataset of ").split("/")[:2], "dataset.nc")
    elif stage in STAGES and {"paper", "experiment", "name"} <= run.keys():
        origin = RESULTS / run["paper"] / run["experiment"] / run["name"] / f"{stage}.nc"
    else:
        found.wrong.append(Wrong(path, "is foreign: twolayer did not make it", asked_for=False))
        return
    if origin == path:
        found.left_over.append(path.parent)
    else:
        found.wrong.append(Wrong(path, f"is misplaced: it is {origin}", asked_for=False))


def report(found: Verification) -> str:
    """What was found, and how to make it right."""
    lines = [f"{wrong.path}: {wrong.reason}" for wrong in found.wrong]
    left = list(dict.fromkeys(found.left_over))
    lines += [f"{path}: the config does not ask for it" for path in left]
    if lines:
        lines.append("")
    lines.append(
        f"Whole and of this config: {counted(found.whole, 'file')}; wrong: {len(found.wrong)}; not there: "
        f"{len(found.missing)}."
    )
    lines += list(remedies(found, left))
    return "\n".join(lines)


def remedies(found: Verification, left: Sequence[Path]) -> Iterator[str]:
    """The commands that make it right."""
    if found.to_remake:
        named = shlex.join(map(str, found.to_remake))
        if len(found.to_remake) > FILES_SHOWN:
            yield "To make the wrong ones again, and what is made from them:"
            yield "  twolayer verify --files | xargs -d '\\n' snakemake --cores all --forcerun"
        else:
            yield "To make the wrong ones again, and what is made from them:"
            yield f"  snakemake --cores all --forcerun {named}"
    if astray := [str(wrong.path) for wrong in found.wrong if not wrong.asked_for]:
        yield f"Not of this place, to be moved or removed: {shlex.join(astray)}"
    if left:
        yield "What the config does not ask for may stay; twolayer clean --yes removes such folders of runs."
    if found.missing:
        yield "What is not there: snakemake --cores all makes it."
