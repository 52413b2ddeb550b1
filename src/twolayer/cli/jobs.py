"""The verbs that make the files of an experiment: problem, trajectory, metrics, dataset."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twolayer.errors import DataError

__all__ = ["gather", "generate", "measure", "train"]

TRAINED_BY = ("backends", "activations", "losses", "problems", "initializations", "dynamics")
"""The kinds of plugins that training takes."""


def generate(options: argparse.Namespace) -> None:
    """Draw the data of a run."""
    from twolayer.stages.generate import generate as stage
    from twolayer.storage import contents, netcdf
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
    attributes |= contents.provenance("problem", run, job.code("generate"))
    netcdf.write(options.output, variables, attributes)


def train(options: argparse.Namespace) -> None:
    """Train: weights over time, all seeds of a run."""
    from twolayer.stages.train import train as stage
    from twolayer.storage import contents, netcdf, verify
    from twolayer.study.job import Job
    from twolayer.study.memory import refuse_larger_than_machine
    from twolayer.study.registry import load
    from twolayer.training.card import one_card
    from twolayer.training.checkpoint import Log, checkpoint_of

    problem, attributes = netcdf.read(options.problem)
    run = contents.read_run(attributes, options.problem, "problem")
    verify.refuse_altered(problem, attributes, options.problem)
    job = Job(run, load(options.plugin_path, TRAINED_BY))  # plugins bring laws of data
    verify.refuse_problem(problem, attributes, options.problem, run)
    refuse_larger_than_machine(job.memory(), options.output)
    placed, backend = job.placed(options.backend, "--backend")
    if placed.note:
        print(f"{options.output}: {placed.note}", file=sys.stderr)
    identity = {**contents.provenance("trajectory", run, job.code("train")), "backend": placed.backend}
    identity |= contents.made_from({"problem.nc": attributes})
    log = Log(checkpoint_of(options.output), identity, options.checkpoint)
    card = one_card() if placed.on_device else contextlib.nullcontext()
    with prompt_interrupt(), card, progress_of(options.output, job):
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
    made = contents.provenance("trajectory", run, job.code("train"))
    made |= {"backend": placed.backend, "notes": "\n".join(notes), **contents.coordinates(variables)}
    made |= contents.made_from({"problem.nc": attributes})
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
    from twolayer.storage import contents, netcdf, verify

    _, now = netcdf.read(path, ())
    before, after = (contents.read_run(found, path, stage) for found in (attributes, now))
    if other := verify.difference(after, before):
        raise DataError(
            f"{path}: has been made again for another run since it was read: {other}; nothing is written"
        )


def measure(options: argparse.Namespace) -> None:
    """Measure the observables of a run."""
    from twolayer.core.times import Times
    from twolayer.stages.measure import measure as stage
    from twolayer.storage import contents, netcdf, verify
    from twolayer.study.job import Job
    from twolayer.study.registry import load
    from twolayer.training.checkpoint import remove

    problem, attributes = netcdf.read(options.problem)
    trajectory, trained = netcdf.read(options.trajectory, by_parts=("hidden", "output"))
    run = contents.read_run(trained, options.trajectory, "trajectory")
    asked = contents.read_run(attributes, options.problem, "problem")
    verify.refuse_other_run(run, options.trajectory, asked, options.problem)
    verify.refuse_altered(problem, attributes, options.problem)
    verify.refuse_altered(trajectory, trained, options.trajectory)
    job = Job(run, load(options.plugin_path, ("activations", "losses", "problems", "metrics", "dynamics")))
    data = verify.refuse_problem(problem, attributes, options.problem, run)
    clock = job.dynamics.clock(Times(**run["times"]))
    verify.refuse_trajectory(trajectory, options.trajectory, run, clock, data.features)
    made = contents.provenance("metrics", run, job.code("measure", options.metrics))
    made |= {"backend": trained["backend"], "notes": trained["notes"], "trained_by": trained["code"]}
    made |= contents.made_from({"problem.nc": attributes, "trajectory.nc": trained})
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
    netcdf.write(options.output, variables, made | contents.coordinates(variables))
    with contextlib.suppress(OSError):
        remove(options.trajectory)
    for message in messages:
        print(f"{options.output}: {message}", file=sys.stderr)


def gather(options: argparse.Namespace) -> None:
    """Gather the metrics of all runs of an experiment into one dataset."""
    from twolayer.stages.gather import gather as stage
    from twolayer.storage import checksum, contents, netcdf, verify
    from twolayer.study.fingerprint import code_of
    from twolayer.study.runs import run_names

    try:
        names = run_names(options.runs)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"--runs: neither names nor the JSON of a product: {error}") from error
    paths = [options.experiment / name / "metrics.nc" for name in names]
    files = [netcdf.read(path) for path in paths]
    runs = [
        contents.read_run(attributes, path, "metrics")
        for path, (_, attributes) in zip(paths, files, strict=True)
    ]
    for path, (variables, attributes) in zip(paths, files, strict=True):
        verify.refuse_altered(variables, attributes, path)
    verify.refuse_ungatherable(names, paths, runs, options.digest)
    for path, run, (variables, _) in zip(paths, runs, files, strict=True):
        verify.refuse_metrics(variables, path, run)
    made = contents.provenance("dataset", {**runs[0], "name": "all runs"}, code_of("gather"))
    for key in ("backend", "trained_by", "notes"):
        made[key] = "\n".join(dict.fromkeys(attributes[key] for _, attributes in files if attributes[key]))
    carried = checksum.of_list(attributes.get(checksum.KEY, "") for _, attributes in files)
    made |= contents.made_from({"metrics.nc": {checksum.KEY: carried}})
    del made["run"]  # a variable here: it differs between the points of the sweep
    gathered = stage(runs, [variables for variables, _ in files])
    netcdf.write(options.output, gathered, made | contents.coordinates(gathered, runs[0]["swept"]))


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
