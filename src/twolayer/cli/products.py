"""The verbs that make what is looked at: figures, claims, pages."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.errors import DataError

if TYPE_CHECKING:
    from twolayer.analysis.claims import Claim

__all__ = ["chart", "claims", "explore", "gallery", "opened", "render"]


def render(options: argparse.Namespace) -> None:
    """Draw a figure."""
    import matplotlib

    from twolayer.analysis.figures import style_file
    from twolayer.stages.render import render as stage
    from twolayer.storage import contents
    from twolayer.storage.layout import experiment_of
    from twolayer.study.fingerprint import code_of
    from twolayer.study.registry import load_named

    matplotlib.use("agg")
    kinds = ("figures", "claims") if options.claims else ("figures",)
    registry = load_named(options.plugin_path, kinds, (options.figure, *options.claims))
    name = options.face or options.figure
    paper = name.partition(".")[0]
    shown = [experiment_of(path, paper) for path in options.datasets]
    claims = {
        claim.partition(".")[2]: registry.find("claims", claim).plugin.on_these(shown)
        for claim in options.claims
    }
    drawing = registry.find("figures", options.figure)
    files = [drawing.file, *(registry.find("claims", claim).file for claim in options.claims)]
    notes = stage(
        drawing.plugin,
        name,
        opened(options.datasets, options.files, paper),
        contents.checksums_of(options.datasets, (*options.files, *options.claim_files), paper),
        code_of("render", files),
        outputs=options.output,
        style=options.style or style_file(),
        changed=changes_of(options),
        claims={name: claim for name, claim in claims.items() if claim is not None},
        claim_data=opened([], options.claim_files),
    )
    for note in notes:
        print(note, file=sys.stderr)


def claims(options: argparse.Namespace) -> None:
    """Evaluate the claims of a paper (--output), or print those evaluated before as a table."""
    from twolayer.analysis.claims import table
    from twolayer.stages.claims import evaluate
    from twolayer.storage import atomic, checksum, contents
    from twolayer.study.fingerprint import code_of

    if options.table or not options.output:
        print(table(options.table or evaluated(options.paper), options.failing))
        return
    from twolayer.study.registry import inherited, load

    if not options.paper:
        raise DataError("claims: --output needs a paper")
    lineage = (options.paper, *options.base)
    registry = load(options.plugin_path, ("claims",), lineage)
    entries = {
        name: registry.find("claims", full) for name, full in inherited("claims", lineage, registry).items()
    }
    found = {name: entry.plugin for name, entry in entries.items()}
    if options.only is not None:
        kept = only_of(options.only, found)
        found, entries = kept, {name: entries[name] for name in kept}
    rows = evaluate(found, opened(options.datasets, options.files), changes_of(options))
    signed = checksum.signed_rows(
        rows,
        contents.checksums_of(options.datasets, options.files),
        code_of("claims", [entry.file for entry in entries.values()]),
    )
    atomic.write_text(options.output, json.dumps(signed, indent=1, ensure_ascii=False) + "\n")


def only_of(text: str, claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """`--only`: of claims those that it names, each on the experiments that it names."""
    try:
        only = json.loads(text)
        return {name: found for name in only if (found := claims[name].on_these(only[name])) is not None}
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise DataError(
            f"--only: is not JSON of {{claim: [experiments]}} with known claims: {error}"
        ) from error


def evaluated(paper: str | None) -> list[Path]:
    """The claims.json under results/, of one paper or of all."""
    found = sorted(Path("results").glob("*/claims.json"))
    if paper is not None:
        found = [file for file in found if file.parent.name == paper]
    if not found:
        if paper and (meant := near(paper)):
            raise DataError(f"results: there is no claims.json of '{paper}'. Did you mean '{meant}'?")
        of = f" of '{paper}'" if paper else ""
        raise DataError(
            f"results: there is no claims.json{of}; `snakemake --cores all {paper or ''}".rstrip()
            + "` makes it"
        )
    return found


def chart(options: argparse.Namespace) -> None:
    """Draw all claims of a paper, measured over predicted, as one chart."""
    from twolayer.analysis.figures import style_file
    from twolayer.stages.chart import chart as stage

    stage(options.claims, options.output, options.style or style_file())


def explore(options: argparse.Namespace) -> None:
    """Show the neurons of a paper's runs over time on one page."""
    from twolayer.stages.explore import explore as stage
    from twolayer.study.fingerprint import code_of

    stage(options.datasets, options.output, code_of("explore"))


def gallery(options: argparse.Namespace) -> None:
    """Show figures with their claims on one page: of papers under results/, or of given files."""
    from twolayer.stages.gallery import gallery as stage
    from twolayer.study.fingerprint import code_of
    from twolayer.study.registry import plugin_folder

    figures, claims, sentences = [*options.figures], [*options.claims], options.sentences
    if not figures and not claims:
        for paper in options.papers or sorted(path.name for path in Path("results").glob("*")):
            folder = Path("results", paper)
            drawn, evaluated = sorted(folder.glob("figures/*.json")), folder / "claims.json"
            if paper in options.papers and not drawn and not evaluated.is_file():
                raise DataError(
                    f"gallery: {folder} has neither figures nor claims; `snakemake {paper}` makes them"
                )
            figures += drawn
            claims += [evaluated] * evaluated.is_file()
        sentences = sentences or sorted(plugin_folder().glob("papers/*/gallery.yaml"))
    stage(options.output, figures, claims, options.failed, sentences, code_of("gallery"))
    if options.papers:
        print(options.output)


def near(paper: str) -> str:
    """The known paper that a name without results may stand for; nothing where it is itself known or like none."""
    from twolayer.study.registry import plugin_folder

    folders = {file.parent.name for file in plugin_folder().glob("papers/*/experiments.yaml")}
    known = sorted(folders | {file.parents[1].name for file in Path("results").glob("*/*/dataset.nc")})
    found = [] if paper in known else get_close_matches(paper, known, 1)
    return found[0] if found else ""


def changes_of(options: argparse.Namespace) -> dict[str, str]:
    """`--changed`: for each experiment whose settings are not the paper's, which."""
    try:
        found = json.loads(options.changed)
    except json.JSONDecodeError as error:
        raise DataError(f"--changed: is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"--changed: must be a mapping of experiments, is {options.changed}")
    return {str(name): str(changes) for name, changes in found.items()}


def opened(datasets: list[Path], files: list[Path], paper: str = "") -> dict[str, Any]:
    """Datasets by the name of their experiment, in a figure of a paper (`experiment_of`), and files by their stem.

    Each must be as it was written, by its checksum; files of other programs, and of notebooks, carry none.
    """
    import xarray as xr

    from twolayer.storage import checksum, netcdf, verify
    from twolayer.storage.layout import experiment_of

    found = {}
    named = [(experiment_of(path, paper) if paper else path.parent.name, path) for path in datasets] + [
        (path.stem, path) for path in files
    ]
    for name, path in named:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        try:
            with xr.open_dataset(netcdf.store_of(path)) as dataset:
                found[name] = dataset.load()
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{path}: is not a netCDF file that can be read: {error}") from error
        if checksum.KEY in found[name].attrs:
            verify.refuse_altered(*netcdf.read(path), path)
    return found
