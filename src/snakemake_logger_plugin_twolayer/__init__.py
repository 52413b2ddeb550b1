"""What a run of the workflow says on the terminal: how far it is, and at its end what failed and why.

Snakemake finds this module by its name; `profiles/default` asks for it. All that Snakemake says by itself, each job's
command among it, stands in the log file under `.snakemake/log`; with `--verbose` it comes to the terminal too.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from twolayer.training import progress as training

__all__ = ["LogHandler", "message_of"]

EVERY = 20.0
"""Seconds between two lines on progress, where they cannot overwrite one another."""

OFTEN, SELDOM = 1.0, 60.0
"""Seconds between two looks at how far running jobs are: on a terminal, and where lines cannot be overwritten."""

SCREEN = 16
"""Lines that a dry run takes for what would run; where there are more experiments, each paper takes one."""

NAMED = 8
"""Running jobs that a line of progress names, at most: those of a cluster may be thousands."""

NOTES = 5
"""Jobs with something to note that are named at the end of a run."""

SHOWN = 400
"""Letters of a job's message that are shown; all of it stands in its log."""

CHATTER = re.compile(
    r"Building DAG|Using shell|Select jobs|Conda environments|Singularity|Group jobs|Elapsed time|"
    r"Shutting down|This was a dry-run|Some jobs were triggered|Rules with provenance|host: |Using profile|"
    r"Assuming unrestricted|Will exit after|If you prefer|Changing to shadow|Trying to restart|Reasons:|    \(check|"
    r"Cannot restore|Exiting because|Storing|Removing output files|\d+ jobs have \w+ provenance|"
    r"Updating checkpoint|Terminating|Config file .* is extended|\s*$"
)
"""How the messages of Snakemake begin that say nothing a reader can use."""

FIRST_CAUSES = ("Missing output files", "Forced execution", "Updated input files")
"""Reasons to run a job that do not follow from another job."""

WORDS = {"Forced execution": "not of this config or code, or forced"}
"""What a terminal shows in place of Snakemake's words: the workflow forces what it found to be another run's."""

TARGETS = (
    "Targets are a paper's name, and the files results/<paper>/claims.json, results/<paper>/figures/<figure>.pdf, "
    ".png or .mp4, results/<paper>/<experiment>/dataset.nc and results/<paper>/<experiment>/<run>/problem.nc, "
    "trajectory.nc or metrics.nc. `twolayer list` names papers, experiments and figures."
)

SAID_BY_THE_JOB = re.compile(
    r"At least one job did not complete successfully|CalledProcessError in file .*\.smk"
)
"""What Snakemake says of a failed command and at its end; the failed job says which it is, and why."""


@dataclass
class Job:
    """A job as Snakemake announces it."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str
    logs: list[str]
    outputs: list[str] = field(default_factory=list)
    started: float = 0.0

    def state(self) -> training.State | None:
        """How far it is, where it says so."""
        return training.read(training.file_of(self.outputs[0])) if self.outputs else None

    def name(self) -> str:
        """`train zhu2025/rate/neurons=2`."""
        return " ".join([self.rule, "/".join(str(value) for value in self.wildcards.values())]).strip()


@dataclass
class Progress:
    """What has run, what runs, and how long the rest takes."""

    planned: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> int:
        """The number of jobs."""
        return sum(self.planned.values())

    @property
    def finished(self) -> int:
        """Those of them that have ended."""
        return self.done.total()

    def start(self, number: int, job: Job) -> None:
        """A job begins."""
        job.started = time.monotonic()
        self.running[number] = job

    def finish(self, number: int) -> Job | None:
        """A job has ended well."""
        job = self.running.pop(number, None)
        if job is not None:
            self.done[job.rule] += 1
            self.seconds[job.rule] += time.monotonic() - job.started  # type: ignore[assignment]
        return job

    def left(self) -> float | None:
        """Seconds until the end: each kind of job takes as long as it took so far; None before any has ended."""
        if not self.finished:
            return None
        usual = self.seconds.total() / self.finished
        work = sum(
            max(0, count - self.done[rule])
            * (self.seconds[rule] / self.done[rule] if self.done[rule] else usual)
            for rule, count in self.planned.items()
        )
        at_once = max(1.0, self.seconds.total() / max(1e-9, time.monotonic() - self.began))
        return work / at_once

    def line(self, failed: int, width: int | None = None) -> str:
        """`317 of 749 jobs, 2 failed, 2 min left: train zhu2025/rate/neurons=2 at t = 3e+04 (45 %), …`; of jobs only
        the share done where that is wider than `width`, which cuts what is still wider."""
        parts = [f"{self.finished} of {self.total} jobs"]
        if failed:
            parts.append(f"{failed} failed")
        states = [(job.name(), job.state()) for job in itertools.islice(self.running.values(), NAMED)]
        known = [self.left(), *(state.left for _, state in states if state)]
        left = max((each for each in known if each is not None and math.isfinite(each)), default=None)
        if left is not None and self.finished < self.total:
            parts.append(f"{training.duration(left)} left")
        head = ", ".join(parts) + ": " * bool(states)
        more = f", and {len(self.running) - NAMED} more" * (len(self.running) > NAMED)
        whole = head + ", ".join(f"{name} at {state}" if state else name for name, state in states) + more
        if width is None or len(whole) <= width:
            return whole
        short = head + ", ".join(f"{state.share:.0%} {name}" if state else name for name, state in states)
        return short if len(short) <= width else f"{short[: width - 1]}…"


class LogHandler(LogHandlerBase):
    """Takes the place of what Snakemake prints on the terminal."""

    def __post_init__(self) -> None:
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self.overwrites = self.stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.dry = self.common_settings.dryrun
        self.announced: dict[int, Job] = {}
        self.progress = Progress()
        self.failed: list[tuple[Job, str]] = []
        self.noted: list[Job] = []
        self.last = time.monotonic()
        self.bar = False
        self.whole = whole_output(self.common_settings, self.stream)
        self.closed = threading.Event()
        if self.whole is None and not self.dry:
            threading.Thread(target=self.keep_saying, daemon=True).start()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Say what a record means for the reader, if anything."""
        try:
            if self.whole is not None:
                if self.whole.filter(record):
                    self.whole.emit(record)
                return
            self.take(getattr(record, "event", None), record)
        except BrokenPipeError:
            self.stream = open(os.devnull, "w")  # noqa: SIM115  # nobody reads any more
        except Exception:
            self.handleError(record)

    def take(self, event: LogEvent | None, record: Any) -> None:
        """Take one record."""
        if event == LogEvent.RUN_INFO:
            self.plan(record)
        elif event == LogEvent.JOB_INFO:
            outputs = list(map(str, getattr(record, "output", ())))
            job = Job(
                record.rule_name,
                dict(record.wildcards or {}),
                str(record.reason),
                list(record.log),
                outputs,
            )
            self.announced[record.jobid] = job
            if not self.dry:
                self.progress.start(record.jobid, job)
                self.say_progress()
        elif event == LogEvent.JOB_FINISHED:
            job_done = self.progress.finish(record.job_id)
            if job_done is not None and any(not is_empty(log) for log in job_done.logs):
                self.noted.append(job_done)
            self.say_progress()
        elif event == LogEvent.JOB_ERROR:
            self.fail(record)
        elif event == LogEvent.ERROR:
            if not SAID_BY_THE_JOB.search(str(record.msg)):
                self.say_failures()
                self.say(plain_error(str(record.msg)))
        elif event is None:
            text = str(record.msg or "")
            if getattr(record, "ending", False) or text.startswith("Complete log"):
                self.say_failures()
            if text.startswith("This was a dry-run"):
                self.say_plan()
            elif not CHATTER.match(text):
                self.say(text)

    def plan(self, record: Any) -> None:
        """Snakemake's table of jobs, once: a dry run prints it before and after its jobs."""
        stats = {str(rule): int(count) for rule, count in record.stats.items() if rule != "total"}
        if stats != self.progress.planned:
            self.progress.planned = stats
            self.say(str(record.msg))

    def fail(self, record: Any) -> None:
        """Note a failed job, with its one message."""
        job = self.progress.running.pop(record.jobid, None) or self.announced.get(record.jobid)
        if job is None:
            job = Job(record.rule_name, {}, "", list(record.log))
        if all(job is not known for known, _ in self.failed):
            self.failed.append((job, message_of(job.logs)))
        self.say_progress()

    def say(self, text: str) -> None:
        """Print, in the place of the line on progress."""
        self.stream.write(("\r\033[K" if self.bar else "") + text.rstrip("\n") + "\n")
        self.stream.flush()
        self.bar = False

    def say_progress(self) -> None:
        """The line on progress: always on a terminal, every so often in a log."""
        if self.overwrites:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\033[K" + self.progress.line(len(self.failed), width))
            self.stream.flush()
            self.bar = True
        elif time.monotonic() - self.last > EVERY or self.progress.finished == self.progress.total:
            self.last = time.monotonic()
            self.say(self.progress.line(len(self.failed)))

    def keep_saying(self) -> None:
        """The line on progress from time to time while jobs run, as a long one says how far it is."""
        while not self.closed.wait(OFTEN if self.overwrites else SELDOM):
            with self.lock or threading.Lock():
                if self.progress.running and not self.closed.is_set():
                    if not self.overwrites:
                        self.last = time.monotonic() - EVERY
                    self.say_progress()

    def say_failures(self) -> None:
        """The jobs that failed, each with its message and its log, and those that have something to note."""
        if self.failed:
            lines = [f"{len(self.failed)} job{'s' if len(self.failed) > 1 else ''} failed:"]
            for job, message in self.failed:
                lines.append(f"  {job.name()}")
                lines += [f"      {line}" for line in message.splitlines()]
                lines += [f"      log: {log}" for log in job.logs]
            self.say("\n".join(lines))
        if self.noted:
            more = len(self.noted) - NOTES
            lines = [f"{len(self.noted)} job{'s' if len(self.noted) > 1 else ''} left a note:"]
            for job in self.noted[:NOTES]:
                text = " ".join(line for log in job.logs for line in text_of(log).split("\n")).strip()
                note = re.sub(r"\A\S+\.nc: ", "", text)
                lines.append(f"  {job.name()}: {note[:SHOWN]}{'…' * (len(note) > SHOWN)}")
            self.say("\n".join([*lines, *[f"  and {more} more; see their logs"] * (more > 0)]))
        self.failed, self.noted = [], []

    def say_plan(self) -> None:
        """What would run and why, in a screenful: a line for each experiment, or paper where these are many."""
        jobs = list(self.announced.values())
        for depth in (2, 1):
            lines = plan_lines(jobs, depth)
            if len(lines) <= SCREEN:
                break
        self.say("\n".join([*lines, "", "A dry run: nothing was made. All of it, job by job: --verbose."]))

    def close(self) -> None:
        """The end: the terminal is left on a fresh line."""
        self.closed.set()
        if self.bar:
            self.stream.write("\n")
            self.bar = False
        super().close()


def plan_lines(jobs: Iterable[Job], depth: int) -> list[str]:
    """A line for each group of jobs whose first `depth` wildcards agree: how many of each rule, and why."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if job.wildcards:
            name = "/".join(
                str(value) for key, value in job.wildcards.items() if key in ("paper", "experiment")[:depth]
            )
            if "figure" in job.wildcards or job.rule == "claims" or "experiment" not in job.wildcards:
                name = f"{job.wildcards.get('paper', job.rule)}: figures and claims" if depth > 1 else name
            groups.setdefault(name or job.rule, []).append(job)
    width = max(map(len, groups), default=0)
    lines = []
    for name, members in groups.items():
        rules = Counter(job.rule for job in members)
        causes = Counter(cause for job in members for cause in causes_of(job.reason))
        why = (
            "; ".join(f"{cause} ({count})" for cause, count in causes.most_common(3)) or "follows from others"
        )
        lines.append(
            f"  {name:{width}}  {', '.join(f'{count} {rule}' for rule, count in rules.items())}  because: {why}"
        )
    return lines


def causes_of(reason: str) -> list[str]:
    """Why a job runs, in words, without what follows from another job."""
    causes = []
    for part in reason.split("; "):
        cause = part.partition(":")[0].strip()
        if "since last execution" in cause or cause in FIRST_CAUSES:
            causes.append(WORDS.get(cause, cause.lower()))
    return causes


def message_of(logs: Iterable[str]) -> str:
    """The one message of a job's log: our error, the last line of a traceback, or the last line."""
    lines = [line for log in logs for line in text_of(log).splitlines() if line.strip()]
    if not lines:
        return "it left no message: was it killed?"
    for index in range(len(lines) - 1, -1, -1):
        if re.match(r"twolayer \w+: (error|stopped)", lines[index]):
            text = "\n".join(lines[index:])
            return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return lines[-1][:SHOWN]


def text_of(log: str) -> str:
    """A log's text; empty where there is none."""
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def is_empty(log: str) -> bool:
    """Whether a log has nothing in it."""
    path = Path(log)
    return not path.is_file() or path.stat().st_size == 0


def plain_error(text: str) -> str:
    """Snakemake's report of an error: of one that a user can cause, the message alone."""
    if "Config file is not valid" in text:
        return error_in_yaml(sys.argv) or text
    if found := re.search(r"No rule to produce (.*?) \(if you use", text):
        papers = [folder.name for folder in Path("plugins", "papers").glob("[!_]*")]
        near = [f"Did you mean '{name}'? " for name in get_close_matches(found[1], papers, 1)]
        return f"{found[1]}: there is no such target. {''.join(near)}{TARGETS}"
    if found := re.search(r"Error:\n  \w*Error: (.*?)\nWildcards:", text, re.DOTALL):
        return found[1] if "ConfigError: " in found[0] else text
    text = re.sub(r"\AWorkflowError in file \"[^\n]*\.smk\", line \d+:\n", "", text)
    return re.sub(r"\n  File \"[^\n]*\.smk\", line \d+, in <module>\s*\Z", "", text)


def error_in_yaml(arguments: Sequence[str]) -> str:
    """What is wrong in the files of --configfile, with the line; Snakemake says neither."""
    from twolayer.errors import ConfigError
    from twolayer.study.merge import read_config

    for argument in arguments[1:]:
        if argument.endswith((".yaml", ".yml", ".json")) and Path(argument).is_file():
            try:
                read_config(Path(argument))
            except ConfigError as error:
                return str(error)
    return ""


def error_in_arguments(arguments: Sequence[str]) -> str:
    """What is wrong with arguments of Snakemake that it answers with a traceback or all its options; "" if nothing.

    Snakemake loads this module before it reads them.
    """
    if missing := missing_config(arguments):
        return missing
    values = iter(arguments)
    for argument in values:
        option, _, value = argument.partition("=")
        if option in ("-C", "--config") or argument.startswith("--config="):
            settings = (
                [value] if value else itertools.takewhile(lambda each: not each.startswith("-"), values)
            )
            for setting in settings:
                path, _, found = setting.partition("=")
                if "." in path:
                    nested = f"{found or 'VALUE'}"
                    first, *words = path.split(".")
                    for word in reversed(words):
                        nested = f"{{{word}: {nested}}}"
                    return (
                        f"--config {setting}: a key has no dots; write --config '{first}={nested}', or "
                        "`twolayer set PATH=VALUE -- TARGET`, which keeps the paper's results"
                    )
        if option == "--profile":
            profile = value or next(values, "")
            executor = executor_of(Path(profile))
            package = f"snakemake_executor_plugin_{executor.replace('-', '_')}"
            if executor not in ("", "local", "dryrun", "touch") and not importlib.util.find_spec(package):
                extra = "-e '.[cluster]'" if executor == "slurm" else package.replace("_", "-")
                return f"{profile}: its executor '{executor}' is not installed: pip install {extra}"
    return ""


def missing_config(arguments: Sequence[str]) -> str:
    """A file of `--configfile` that is not there; "" if all are. With `--directory` they are looked for elsewhere."""
    if any(argument.partition("=")[0] in ("-d", "--directory") for argument in arguments):
        return ""
    for index, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--configfile", "--configfiles"):
            after = itertools.takewhile(lambda each: not each.startswith("-"), arguments[index + 1 :])
            for file in [value] if value else after:
                if not Path(file).is_file():
                    return f"--configfile {file}: there is no such file; targets come after `--`"
    return ""


def executor_of(profile: Path) -> str:
    """The executor that a profile names; "" where it names none or is not there."""
    for file in sorted(profile.glob("config*.y*ml")):
        if found := re.search(r"^executor:\s*['\"]?([\w-]+)", text_of(str(file)), re.MULTILINE):
            return found[1]
    return ""


def whole_output(settings: Any, stream: Any) -> Any:
    """Snakemake's handler, for those who want to see all or nothing; None for the rest."""
    if not (settings.verbose or settings.debug_dag or settings.quiet):
        return None
    from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

    return ColorizingTextHandler(
        nocolor=settings.nocolor,
        stream=stream,
        formatter=DefaultFormatter(settings.quiet, settings.show_failed_logs),
        filter=DefaultFilter(
            settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
        ),
    )


def is_snakemake(program: Path) -> bool:
    """Whether a program is Snakemake's command, or `python -m snakemake`."""
    return program.name == "snakemake" or program.parts[-2:] == ("snakemake", "__main__.py")


if is_snakemake(Path(sys.argv[0])) and (wrong := error_in_arguments(sys.argv[1:])):
    print(f"snakemake: error: {wrong}", file=sys.stderr)
    raise SystemExit(2)
