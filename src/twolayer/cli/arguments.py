"""The verbs and their options."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twolayer.cli.jobs import gather, generate, measure, train
from twolayer.cli.people import clean, list_, new, plugins, schema, show, verify
from twolayer.cli.products import chart, claims, explore, gallery, render
from twolayer.cli.variants import SET_EXAMPLES, set_

__all__ = ["parser"]

TITLE = (
    "Experiments of papers on two-layer networks. `snakemake` makes results, and calls the verbs from `generate` on; "
    "those before are for people."
)

CHANGED = "{experiment: what is changed from the paper's settings} as JSON"


Verb = Callable[[Any], argparse.ArgumentParser]
"""Adds a function as a verb; its options are added to what it returns."""


class Version(argparse.Action):
    """`--version`: to look it up takes as long as a small job's reading, so only who asks pays."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"twolayer {version('twolayer')}")
        parser.exit()


@functools.cache
def parser() -> argparse.ArgumentParser:
    """The verbs and their options: those for people first."""
    top = argparse.ArgumentParser(prog="twolayer", description=TITLE)
    top.add_argument("--version", action=Version, nargs=0, help="say which version this is")
    verbs = top.add_subparsers(dest="name", required=True, metavar="verb")

    def verb(function: Any) -> argparse.ArgumentParser:
        name = function.__name__.rstrip("_")
        added = verbs.add_parser(name, help=function.__doc__, description=function.__doc__)
        added.set_defaults(verb=function)
        added.add_argument(
            "--plugin-path", action="append", default=[], type=Path, help="a further folder of plugins"
        )
        return added

    verbs_for_people(verb)
    verbs_of_jobs(verb)
    return top


def verbs_for_people(verb: Verb) -> None:
    """Those that one calls by hand; rules call two of them, `claims` and `gallery`, too."""
    for function in (list_, show, verify, clean):
        one = verb(function)
        one.add_argument(
            "--configfile", nargs="+", type=Path, help="config files, later ones first; default: config.yaml"
        )
        if function is show:
            one.add_argument("figure", help="<paper>.<figure>")
        if function is verify:
            one.add_argument("paper", nargs="?", help="only this paper")
            one.add_argument(
                "--files", action="store_true", help="print the files to make again, nothing else"
            )
        if function is clean:
            one.add_argument("--yes", action="store_true", help="remove them")
    one = verb(claims)
    one.add_argument("paper", nargs="?", help="the paper; to print: default all")
    one.add_argument(
        "--base", nargs="*", default=[], help="the papers that it is a variant of, the nearest first"
    )
    one.add_argument("--only", help="{claim: [experiments]} as JSON: these alone, on these; default: all")
    one.add_argument("--changed", default="{}", help=CHANGED)
    one.add_argument("--datasets", nargs="*", default=[], type=Path, help="dataset.nc of each experiment")
    one.add_argument("--files", nargs="*", default=[], type=Path, help="further files they are evaluated on")
    one.add_argument("--output", type=Path, help="claims.json")
    one.add_argument("--table", nargs="+", type=Path, help="only print these claims.json files")
    one.add_argument("--failing", action="store_true", help="print those alone that do not hold")
    one = verb(gallery)
    one.add_argument(
        "papers", nargs="*", help="papers under results/ to show; default: all, or the files given"
    )
    one.add_argument(
        "--figures", nargs="*", default=[], type=Path, help="the .json that describes each figure"
    )
    one.add_argument("--claims", nargs="*", default=[], type=Path, help="the claims.json of each paper")
    one.add_argument("--failed", nargs="*", default=[], type=Path, help="those of them whose last job failed")
    one.add_argument(
        "--sentences",
        nargs="*",
        default=[],
        type=Path,
        help="gallery.yaml: what papers show in their figures",
    )
    one.add_argument(
        "--output",
        default=Path("results", "index.html"),
        type=Path,
        help="the page; default: results/index.html",
    )
    one = verb(set_)
    one.usage = "twolayer set PATH=VALUE [PATH=VALUE ...] -- TARGET [options of snakemake]"
    one.epilog = SET_EXAMPLES
    one.formatter_class = argparse.RawDescriptionHelpFormatter
    one.add_argument(
        "settings", nargs="*", metavar="PATH=VALUE", help="a setting; with commas between values a sweep"
    )
    one.add_argument("--variant", help="the name of the variant; default: made of the settings")
    one.add_argument("--configfile", nargs="+", type=Path, default=[], help="config files over config.yaml")
    one = verb(plugins)
    one.add_argument("kind", nargs="?", help="only this kind")
    one.add_argument("plugin", nargs="?", help="only this one of it, with all that it says of itself")
    one = verb(new)
    one.add_argument(
        "kind", help="dynamics, activation, metric, problem, initialization, loss, paper or backend"
    )
    one.add_argument("plugin", metavar="name", help="its name")
    one.add_argument(
        "--folder", default=Path("plugins"), type=Path, help="the folder of plugins that it is written to"
    )
    verb(schema)


def verbs_of_jobs(verb: Verb) -> None:
    """Those that rules call, in the order in which a run needs them."""
    one = verb(generate)
    one.add_argument("--run", required=True, help="the run, as JSON, or @FILE that holds it")
    one.add_argument("--output", required=True, type=Path, help="problem.nc")
    one = verb(train)
    one.add_argument("--problem", required=True, type=Path, help="problem.nc, which carries the run")
    one.add_argument("--backend", default="numba")
    one.add_argument("--threads", type=int, default=1, help="seeds worked on at once")
    one.add_argument(
        "--checkpoint", type=float, default=60.0, help="seconds between two saves of a training under way"
    )
    one.add_argument("--output", required=True, type=Path, help="trajectory.nc")
    one = verb(measure)
    one.add_argument("--problem", required=True, type=Path, help="problem.nc")
    one.add_argument("--trajectory", required=True, type=Path, help="trajectory.nc")
    one.add_argument("--metrics", nargs="*", help="names; default: all that apply")
    one.add_argument("--threads", type=int, default=1, help="batches of networks measured at once")
    one.add_argument("--output", required=True, type=Path, help="metrics.nc")
    one = verb(gather)
    one.add_argument("experiment", type=Path, help="the experiment's folder")
    one.add_argument(
        "--runs", required=True, nargs="+", help="their names, or {word: [values]} of a product as JSON"
    )
    one.add_argument("--digest", help="a hash of the runs as the config has them; others are refused")
    one.add_argument("--output", required=True, type=Path, help="dataset.nc")
    one = verb(render)
    one.add_argument("figure", help="<paper>.<figure>, the plugin that draws it")
    one.add_argument("--name", dest="face", help="<paper>.<figure> on its face; default: the plugin's")
    one.add_argument("--changed", default="{}", help=CHANGED)
    one.add_argument("--datasets", required=True, nargs="+", type=Path, help="dataset.nc of each experiment")
    one.add_argument("--files", nargs="*", default=[], type=Path, help="further files that it is drawn from")
    one.add_argument("--claims", nargs="*", default=[], help="<paper>.<claim>, whose verdicts its face says")
    one.add_argument("--claim-files", nargs="*", default=[], type=Path, help="files they are evaluated on")
    one.add_argument("--style", type=Path, help="a matplotlib style; default: the house style")
    one.add_argument(
        "--output", required=True, nargs="+", type=Path, help=".pdf, .png, .mp4 for an animation, .json"
    )
    one = verb(chart)
    one.add_argument("claims", type=Path, help="claims.json")
    one.add_argument("--style", type=Path, help="a matplotlib style; default: the house style")
    one.add_argument("--output", required=True, nargs="+", type=Path, help=".pdf, .png")
    one = verb(explore)
    one.add_argument("--datasets", nargs="*", default=[], type=Path, help="dataset.nc of each experiment")
    one.add_argument("--output", required=True, type=Path, help="explorer.html")
