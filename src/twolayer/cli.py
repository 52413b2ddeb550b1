"""The command line: one verb a rule, each reading files, calling its stage and writing files."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # bits must not depend on the number of cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import gc
import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.errors import ConfigError, DataError, TwolayerError

if TYPE_CHECKING:
    from twolayer.analysis.claims import Claim

__all__ = ["main"]


RARELY = 50_000
"""Objects after which Python looks for unused cycles: to load libraries makes very many, all of them of use."""

CHANGED = "{experiment: what is changed from the paper's settings} as JSON"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; errors that a user can cause are one message and exit status 2."""
    gc.set_threshold(RARELY)
    given = sys.argv[1:] if arguments is None else arguments
    given, making = cut(given) if given[:1] == ["set"] else (given, [])
    parsed = parser().parse_args(given)
    parsed.making = making
    try:
        status = parsed.verb(parsed)
        sys.stdout.flush()
    except TwolayerError as error:
        print(f"twolayer {parsed.name}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        place = plugin_place(error)
        if not place:
            raise  # a mistake of ours, of which the traceback tells
        target = getattr(parsed, "output", None)
        where = f"{target[0] if isinstance(target, list) else target}: " if target else ""
        print(f"twolayer {parsed.name}: error: {where}{place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"twolayer {parsed.name}: stopped; nothing half-written was left", file=sys.stderr)
        return 130
    return int(status or 0)


def cut(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before and after `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


class Version(argparse.Action):
    """`--version`: to look it up takes as long as a small job's reading, so only who asks pays."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"twolayer {version('twolayer')}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    top = argparse.ArgumentParser(prog="twolayer", description=(__doc__ or "").splitlines()[0])
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
    one = verb(chart)
    one.add_argument("claims", type=Path, help="claims.json")
    one.add_argument("--style", type=Path, help="a matplotlib style; default: the house style")
    one.add_argument("--output", required=True, nargs="+", type=Path, help=".pdf, .png")
    one = verb(explore)
    one.add_argument("--datasets", nargs="*", default=[], type=Path, help="dataset.nc of each experiment")
    one.add_argument("--output", required=True, type=Path, help="explorer.html")
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
    one = verb(plugins)
    one.add_argument("kind", nargs="?", help="only this kind")
    one.add_argument("plugin", nargs="?", help="only this one of it, with all that it says of itself")
    for function in (list_, verify, show, clean):
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
    one = verb(new)
    one.add_argument(
        "kind", help="dynamics, activation, metric, problem, initialization, loss, paper or backend"
    )
    one.add_argument("plugin", metavar="name", help="its name")
    one.add_argument(
        "--folder", default=Path("plugins"), type=Path, help="the folder of plugins that it is written to"
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
    verb(schema)
    return top


SET_EXAMPLES = """\
TARGET is a paper, <paper>.<figure>, <paper>.<experiment>, or a path under results/. Its results are those of a variant
of the paper, results/<paper>_<settings>; the paper's stay as they are.

A figure with another setting; a sweep of 3 x 2 runs; a paper with one experiment changed and one figure less:
  twolayer set initialization.scale=0.3 -- xu2023.figure1
  twolayer set network.neurons=2,5,10 dynamics.step_size=0.1,0.2 -- mystudy.rate
  twolayer set figure1.seeds=4 figures.toys=false -- xu2023 --cores 4
"""


TRAINED_BY = ("backends", "activations", "losses", "problems", "initializations", "dynamics")
"""The kinds of plugins that training takes."""


def generate(options: argparse.Namespace) -> None:
    """Draw the data of a run."""
    from twolayer.stages.generate import generate as stage
    from twolayer.storage import netcdf
    from twolayer.study.job import Job
    from twolayer.study.registry import load

    try:
        text = options.run
        run = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise DataError(f"--run: {text[1:]} cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"--run: is not JSON: {error}") from error
    needed = {"paper", "experiment", "name", "swept", "problem", "network", "initialization", "seeds"}
    if not isinstance(run, dict) or not needed <= run.keys():
        raise DataError(f"--run: must be a mapping with {', '.join(sorted(needed))}")
    job = Job(run, load(options.plugin_path, ("activations", "losses", "problems", "initializations")))
    variables, attributes = stage(job.problem, job.network, run, job.initialization.in_reduced_coordinates)
    job.loss(variables, attributes)  # refuse what training would
    attributes |= netcdf.provenance("problem", run, job.code("generate"))
    netcdf.write(options.output, variables, attributes)


def train(options: argparse.Namespace) -> None:
    """Train: weights over time, all seeds of a run."""
    from twolayer.stages.train import train as stage
    from twolayer.storage import netcdf, verify
    from twolayer.study.job import Job
    from twolayer.study.memory import refuse_larger_than_machine
    from twolayer.study.registry import load
    from twolayer.training.checkpoint import Log, checkpoint_of

    problem, attributes = netcdf.read(options.problem)
    run = netcdf.read_run(attributes, options.problem, "problem")
    job = Job(run, load(options.plugin_path, TRAINED_BY))  # plugins bring laws of data
    verify.refuse_problem(problem, attributes, options.problem, run)
    refuse_larger_than_machine(job.memory(), options.output)
    placed, backend = job.placed(options.backend, "--backend")
    if placed.note:
        print(f"{options.output}: {placed.note}", file=sys.stderr)
    identity = {**netcdf.provenance("trajectory", run, job.code("train")), "backend": placed.backend}
    identity |= netcdf.made_from({"problem.nc": attributes})
    log = Log(checkpoint_of(options.output), identity, options.checkpoint)
    with prompt_interrupt(), progress_of(options.output, job):
        variables, notes = stage(
            problem,
            attributes,
            job.network,
            run,
            job.initialization,
            job.dynamics,
            backend,
            options.threads,
            job.loss(problem, attributes),
            log,
            options.output.parent,
        )
    made = netcdf.provenance("trajectory", run, job.code("train"))
    made |= {"backend": placed.backend, "notes": "\n".join(notes), **netcdf.coordinates(variables)}
    made |= netcdf.made_from({"problem.nc": attributes})
    refuse_changed(options.problem, attributes, "problem")
    netcdf.write(options.output, variables, made)
    log.close()
    for note in notes:
        print(f"{options.output}: {note}", file=sys.stderr)


@contextlib.contextmanager
def progress_of(output: Path, job: Any) -> Iterator[None]:
    """While a training runs, how far it is: on a terminal in a line, in a workflow's folder in a file for its line."""
    from twolayer.core.times import Times
    from twolayer.training import progress

    clock = job.dynamics.clock(Times(**job.run["times"]))
    with contextlib.ExitStack() as stack:
        if sys.stderr.isatty():
            show = stack.enter_context(progress.on_line(sys.stderr))
        elif progress.FOLDER.parent.is_dir():
            show = stack.enter_context(progress.written_to(progress.file_of(output)))
        else:
            yield
            return
        meter = progress.Meter(len(job.run["seeds"]), clock.time.tolist(), clock.step is not None, show)
        stack.enter_context(meter.listening())
        yield


def refuse_changed(path: Path, attributes: Mapping[str, Any], stage: str) -> None:
    """Refuse to write what was made from a file that has been made anew for another run since: a job may outlive its
    workflow, and a later one's results are not to be overwritten."""
    from twolayer.storage import netcdf, verify

    _, now = netcdf.read(path, ())
    before, after = (netcdf.read_run(found, path, stage) for found in (attributes, now))
    if other := verify.difference(after, before):
        raise DataError(
            f"{path}: has been made again for another run since it was read: {other}; nothing is written"
        )


def measure(options: argparse.Namespace) -> None:
    """Measure the observables of a run."""
    from twolayer.core.times import Times
    from twolayer.stages.measure import measure as stage
    from twolayer.storage import netcdf, verify
    from twolayer.study.job import Job
    from twolayer.study.registry import load
    from twolayer.training.checkpoint import checkpoint_of

    problem, attributes = netcdf.read(options.problem)
    trajectory, trained = netcdf.read(options.trajectory, by_parts=("hidden", "output"))
    run = netcdf.read_run(trained, options.trajectory, "trajectory")
    asked = netcdf.read_run(attributes, options.problem, "problem")
    verify.refuse_other_run(run, options.trajectory, asked, options.problem)
    job = Job(run, load(options.plugin_path, ("activations", "losses", "problems", "metrics", "dynamics")))
    data = verify.refuse_problem(problem, attributes, options.problem, run)
    clock = job.dynamics.clock(Times(**run["times"]))
    verify.refuse_trajectory(trajectory, options.trajectory, run, clock, data.features)
    made = netcdf.provenance("metrics", run, job.code("measure", options.metrics))
    made |= {"backend": trained["backend"], "notes": trained["notes"], "trained_by": trained["code"]}
    made |= netcdf.made_from({"problem.nc": attributes, "trajectory.nc": trained})
    variables, messages = stage(
        problem,
        attributes,
        trajectory,
        job.network,
        run,
        job.metrics(options.metrics),
        job.dynamics,
        job.loss(problem, attributes),
        options.threads,
        options.output.parent,
    )
    refuse_changed(options.trajectory, trained, "trajectory")
    netcdf.write(options.output, variables, made | netcdf.coordinates(variables))
    with contextlib.suppress(OSError):
        checkpoint_of(options.trajectory).unlink(missing_ok=True)
    for message in messages:
        print(f"{options.output}: {message}", file=sys.stderr)


def gather(options: argparse.Namespace) -> None:
    """Gather the metrics of all runs of an experiment into one dataset."""
    from twolayer.stages.gather import gather as stage
    from twolayer.storage import checksum, netcdf, verify
    from twolayer.study.fingerprint import code_of
    from twolayer.study.runs import run_names

    try:
        names = run_names(options.runs)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"--runs: neither names nor the JSON of a product: {error}") from error
    paths = [options.experiment / name / "metrics.nc" for name in names]
    files = [netcdf.read(path) for path in paths]
    runs = [
        netcdf.read_run(attributes, path, "metrics")
        for path, (_, attributes) in zip(paths, files, strict=True)
    ]
    verify.refuse_ungatherable(names, paths, runs, options.digest)
    for path, run, (variables, _) in zip(paths, runs, files, strict=True):
        verify.refuse_metrics(variables, path, run)
    made = netcdf.provenance("dataset", {**runs[0], "name": "all runs"}, code_of("gather"))
    for key in ("backend", "trained_by", "notes"):
        made[key] = "\n".join(dict.fromkeys(attributes[key] for _, attributes in files if attributes[key]))
    carried = checksum.of_list(attributes.get(checksum.KEY, "") for _, attributes in files)
    made |= netcdf.made_from({"metrics.nc": {checksum.KEY: carried}})
    del made["run"]  # a variable here: it differs between the points of the sweep
    gathered = stage(runs, [variables for variables, _ in files])
    netcdf.write(options.output, gathered, made | netcdf.coordinates(gathered, runs[0]["swept"]))


def render(options: argparse.Namespace) -> None:
    """Draw a figure."""
    import matplotlib

    from twolayer.analysis.figures import style_file
    from twolayer.stages.render import render as stage
    from twolayer.storage import netcdf
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
    stage(
        drawing.plugin,
        name,
        opened(options.datasets, options.files, paper),
        netcdf.checksums_of(options.datasets, (*options.files, *options.claim_files), paper),
        code_of("render", files),
        outputs=options.output,
        style=options.style or style_file(),
        changed=changes_of(options),
        claims={name: claim for name, claim in claims.items() if claim is not None},
        claim_data=opened([], options.claim_files),
    )


def claims(options: argparse.Namespace) -> None:
    """Evaluate the claims of a paper (--output), or print those evaluated before as a table."""
    from twolayer.analysis.claims import table
    from twolayer.stages.claims import evaluate
    from twolayer.storage import atomic, checksum, netcdf
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
        netcdf.checksums_of(options.datasets, options.files),
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

    figures, claims, sentences = options.figures, options.claims, options.sentences
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


def evaluated(paper: str | None) -> list[Path]:
    """The claims.json under results/, of one paper or of all."""
    found = sorted(Path("results").glob("*/claims.json"))
    if paper is not None:
        found = [file for file in found if file.parent.name == paper]
    if not found:
        of = f" of '{paper}'" if paper else ""
        raise DataError(
            f"results: there is no claims.json{of}; `snakemake --cores all {paper or ''}".rstrip()
            + "` makes it"
        )
    return found


def changes_of(options: argparse.Namespace) -> dict[str, str]:
    """`--changed`: for each experiment whose settings are not the paper's, which."""
    try:
        found = json.loads(options.changed)
    except json.JSONDecodeError as error:
        raise DataError(f"--changed: is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"--changed: must be a mapping of experiments, is {options.changed}")
    return {str(name): str(changes) for name, changes in found.items()}


def plugins(options: argparse.Namespace) -> None:
    """List plugins: what each is, its parameters with their defaults, and its file."""
    from twolayer.reports import plugin_report
    from twolayer.study.registry import load

    registry = load(options.plugin_path)
    print(plugin_report(registry, options.kind, options.plugin))
    for warning in registry.warnings():
        print(f"warning: {warning}", file=sys.stderr)


def schema(options: argparse.Namespace) -> None:
    """Print the JSON schema of config.yaml, with which editors complete and check it."""
    from twolayer.study.json_schema import config_schema
    from twolayer.study.registry import load

    print(json.dumps(config_schema(load(options.plugin_path)), indent=1, ensure_ascii=False))


def plugin_place(error: BaseException) -> str:
    """Where in a plugin an exception rose, and what it says; empty where no plugin was at work."""
    from twolayer.study.registry import blame

    return blame(error)


def studied(options: argparse.Namespace, variants: Sequence[Path] = ()) -> Any:
    """The study of the config files, as the workflow has it; variants: those that `twolayer set` wrote, over them."""
    from twolayer.study.study import load_study

    files = [*(options.configfile or [Path("config.yaml")]), *variants]
    return load_study(
        files, {"plugin_paths": list(map(str, options.plugin_path))} if options.plugin_path else {}
    )


def list_(options: argparse.Namespace) -> None:
    """List papers, experiments, figures and claims: which are up to date, and which are not and why."""
    from twolayer.reports import study_report

    print(study_report(studied(options)))
    if variants := [str(file) for file in sorted(Path("results").glob("*/config.yaml"))]:
        print(f"Made by twolayer set, see twolayer list --configfile: {', '.join(variants)}")


def verify(options: argparse.Namespace) -> int:
    """Say which results are cut short, altered, stale or misplaced, and how to make them again; exit status 1 then."""
    from twolayer.verification import report, verification

    found = verification(studied(options), options.paper)
    print("\n".join(map(str, found.to_remake)) if options.files else report(found))
    return int(bool(found.wrong))


def show(options: argparse.Namespace) -> None:
    """Show what made a figure: settings, claims, files, and the command that makes it again."""
    from twolayer.reports import figure_report

    variant = Path("results", options.figure.partition(".")[0], "config.yaml")
    print(figure_report(studied(options, [variant] if variant.is_file() else []), options.figure))


def new(options: argparse.Namespace) -> None:
    """Write a plugin that works, with its test, to begin with."""
    from twolayer.templates import write

    for file in write(options.kind, options.plugin, options.folder):
        print(file)
    print("Change them to what you mean; pytest says whether it is right, docs/plugins.md what it may have.")


def set_(options: argparse.Namespace) -> None:
    """Make a paper, figure or experiment with other settings, as a variant: PATH=VALUE ... -- TARGET."""
    import subprocess

    import yaml

    from twolayer.storage import atomic
    from twolayer.study import settings
    from twolayer.study.study import composed_paper, load_study

    if not options.making or not options.settings:
        raise ConfigError(
            "set: needs PATH=VALUE ... -- TARGET: twolayer set network.neurons=50 -- mystudy.rate"
        )
    target_text, *passed = options.making
    given = [settings.read_setting(text) for text in options.settings]
    files = [*[Path("config.yaml")][: Path("config.yaml").is_file()], *options.configfile]
    paths = {"plugin_paths": list(map(str, options.plugin_path))} if options.plugin_path else {}
    name = re.sub(r"\Aresults/", "", target_text).partition("/")[0].partition(".")[0]
    study = load_study(files, paths | {"papers": {name: {}}})
    target = settings.read_target(target_text, study)
    composed = composed_paper(files, target.paper, study.plugin_paths)
    changed = settings.changed_paper(target, given, composed, tuple(study.papers[target.paper].figures))
    variant = settings.variant_name(target.paper, given, options.variant)
    load_study(files, paths | {"papers": {variant: changed}})  # refused here, before it is a file
    file = Path("results", variant, "config.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"papers": {variant: settings.relative_to(changed, file.parent)}}
    if options.plugin_path:
        content["plugin_paths"] = [os.path.relpath(path, file.parent) for path in study.plugin_paths]
    atomic.write_text(
        file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)
    )
    if not any(re.match(r"(-c|-j|-e|--cores|--jobs|--executor|--profile)", option) for option in passed):
        passed += ["--cores", "all"]
    configs = map(str, [*options.configfile, file])
    command = ["snakemake", *passed, "--configfile", *configs, "--", *target.of(variant)]
    print(
        f"{shlex.join(command)}\nWith what {file} says in config.yaml, it joins the gallery.", file=sys.stderr
    )
    if status := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
        raise SystemExit(status)


def clean(options: argparse.Namespace) -> None:
    """Remove the folders of runs under results/ that no config asks for; without --yes only name them."""
    import shutil

    from twolayer.reports import abandoned

    found = abandoned(studied(options))
    for folder in found:
        print(folder)
        if options.yes:
            shutil.rmtree(folder)
    if not found:
        print("There is no folder that the config does not ask for.")
    elif not options.yes:
        print(f"{len(found)} folders that the config does not ask for: twolayer clean --yes removes them.")


@contextlib.contextmanager
def prompt_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once, where no file is open: a compiled kernel would not hear of it for long."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def opened(netcdf: list[Path], files: list[Path], paper: str = "") -> dict[str, Any]:
    """Datasets by the name of their experiment, in a figure of a paper (`experiment_of`), and files by their stem."""
    import xarray as xr

    from twolayer.storage.layout import experiment_of
    from twolayer.storage.netcdf import store_of

    found = {}
    named = [(experiment_of(path, paper) if paper else path.parent.name, path) for path in netcdf] + [
        (path.stem, path) for path in files
    ]
    for name, path in named:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
        try:
            with xr.open_dataset(store_of(path)) as dataset:
                found[name] = dataset.load()
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{path}: is not a netCDF file that can be read: {error}") from error
    return found


if __name__ == "__main__":
    sys.exit(main())
