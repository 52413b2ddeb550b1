"""The records of Snakemake in, lines for a reader out."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import threading
import time
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_twolayer.errors import plain_error
from snakemake_logger_plugin_twolayer.jobs import Job, Progress
from snakemake_logger_plugin_twolayer.logs import is_empty, message_of, note_of
from snakemake_logger_plugin_twolayer.plan import plan_lines
from twolayer.core.wording import counted

__all__ = ["LogHandler"]

EVERY = 20.0
"""Seconds between two lines on progress, where they cannot overwrite one another."""


OFTEN, SELDOM = 1.0, 60.0
"""Seconds between two looks at how far running jobs are: on a terminal, and where lines cannot be overwritten."""


SCREEN = 16
"""Lines that a dry run takes for what would run; where there are more experiments, each paper takes one."""


NOTES = 5
"""Jobs with something to note that are named at the end of a run."""


CHATTER = re.compile(
    r"Building DAG|Using shell|Select jobs|Conda environments|Singularity|Group jobs|Elapsed time|"
    r"Shutting down|This was a dry-run|Some jobs were triggered|Rules with provenance|host: |Using profile|"
    r"Assuming unrestricted|Will exit after|If you prefer|Changing to shadow|Trying to restart|Reasons:|    \(check|"
    r"Cannot restore|Exiting because|Storing|Removing output files|\d+ jobs have \w+ provenance|"
    r"Updating checkpoint|Terminating|Config file .* is extended|\s*$"
)
"""How the messages of Snakemake begin that say nothing a reader can use."""


SAID_BY_THE_JOB = re.compile(
    r"At least one job did not complete successfully|CalledProcessError in file .*\.smk"
)
"""What Snakemake says of a failed command and at its end; the failed job says which it is, and why."""


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
            lines = [f"{counted(len(self.failed), 'job')} failed:"]
            for job, message in self.failed:
                lines.append(f"  {job.name()}")
                lines += [f"      {line}" for line in message.splitlines()]
                lines += [f"      log: {log}" for log in job.logs]
            self.say("\n".join(lines))
        if self.noted:
            more = len(self.noted) - NOTES
            lines = [f"{counted(len(self.noted), 'job')} left a note:"]
            for job in self.noted[:NOTES]:
                lines.append(f"  {job.name()}: {note_of(job.logs)}")
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
