"""What a run says on the terminal: the records of Snakemake in, lines for a reader out."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_twolayer import LogHandler
from snakemake_logger_plugin_twolayer.errors import error_in_arguments, error_in_yaml, plain_error
from snakemake_logger_plugin_twolayer.jobs import Progress
from snakemake_logger_plugin_twolayer.logs import message_of
from snakemake_logger_plugin_twolayer.plan import causes_of
from twolayer.training.progress import FOLDER, State, duration, file_of, written_to


def handler(monkeypatch: pytest.MonkeyPatch, dryrun: bool = False) -> tuple[LogHandler, io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    settings: Any = SimpleNamespace(
        stdout=dryrun, dryrun=dryrun, verbose=False, debug_dag=False, quiet=None, nocolor=True
    )
    return LogHandler(settings, None), stream


def record(message: str = "", event: LogEvent | None = None, level: int = logging.INFO, **fields: Any) -> Any:
    made = logging.makeLogRecord({"msg": message, "levelno": level, **fields})
    if event is not None:
        made.event = event
    return made


def job(
    number: int, rule: str, log: str = "", reason: str = "Missing output files: x", **wildcards: str
) -> Any:
    fields = {"jobid": number, "rule_name": rule, "wildcards": wildcards, "reason": reason}
    return record(event=LogEvent.JOB_INFO, log=[log] if log else [], **fields)


def test_a_failed_job_is_said_once_with_its_message_and_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown, stream = handler(monkeypatch)
    log = tmp_path / "train.log"
    log.write_text("a note\ntwolayer train: error: p/e: seed 3 went wrong\n  at step 7\n")
    shown.emit(record("Building DAG of jobs..."))
    shown.emit(record("Job stats:\njob count", LogEvent.RUN_INFO, stats={"train": 2, "total": 2}))
    shown.emit(job(1, "train", str(log), paper="p", experiment="e", run="default"))
    shown.emit(job(2, "train", paper="p", experiment="e", run="other"))
    for _ in range(2):  # a group of jobs says it twice
        error = {"jobid": 1, "rule_name": "train", "log": [str(log)]}
        shown.emit(record("Error in rule train", LogEvent.JOB_ERROR, logging.ERROR, **error))
    shown.emit(record("", LogEvent.JOB_FINISHED, job_id=2))
    shown.emit(record("3 claims: 3 hold", ending=True))
    shown.emit(record("Complete log(s): x"))
    last = "WorkflowError:\nAt least one job did not complete successfully."
    shown.emit(record(last, LogEvent.ERROR, logging.ERROR))
    lines = stream.getvalue().splitlines()
    assert lines[2:] == [
        "1 job failed:",
        "  train p/e/default",
        "      twolayer train: error: p/e: seed 3 went wrong",
        "        at step 7",
        f"      log: {log}",
        "3 claims: 3 hold",
        "Complete log(s): x",
    ]


def test_notes_are_shown_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown, stream = handler(monkeypatch)
    log = tmp_path / "train.log"
    log.write_text("seed 0 diverged at step 3\n")
    shown.emit(job(1, "train", str(log), paper="p", experiment="e", run="default"))
    shown.emit(record("", LogEvent.JOB_FINISHED, job_id=1))
    shown.emit(record("", ending=True))
    assert "1 job left a note:\n  train p/e/default: seed 0 diverged at step 3\n" in stream.getvalue()
    file = "results/p/e/default/trajectory.nc"
    log.write_text(f"{file}: seed 0 diverged at step 3\n{file}: seed 1 diverged at step 4\n")
    shown.emit(job(2, "train", str(log), paper="p", experiment="e", run="default"))
    shown.emit(record("", LogEvent.JOB_FINISHED, job_id=2))
    shown.emit(record("", ending=True))
    assert stream.getvalue().endswith(
        f"1 job left a note:\n  train p/e/default: seed 0 diverged at step 3 (and 1 more: {log})\n"
    )


def test_a_long_training_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    output = "results/p/e/default/trajectory.nc"
    shown, stream = handler(monkeypatch)
    shown.overwrites = True
    running = job(1, "train", paper="p", experiment="e", run="default")
    running.output = [output]
    shown.emit(record("Job stats:", LogEvent.RUN_INFO, stats={"train": 1, "total": 1}))
    with written_to(file_of(output)) as show:
        show(State(3.2e5, 0.45, 1.2e-9, 400.0))
        shown.emit(running)
    line = "0 of 1 job, 7 min left: train p/e/default at t = 3.2e+05 (45 %), loss 1.2e-09, 7 min left"
    short = "0 of 1 job, 7 min left: 45% train p/e/default"
    with written_to(file_of(output)) as show:
        show(State(3.2e5, 0.45, 1.2e-9, 400.0))
        assert shown.progress.line(0) == shown.progress.line(0, len(line)) == line
        assert shown.progress.line(0, 79) == short
        assert shown.progress.line(0, 20) == short[:19] + "…"
    shown.say_progress()
    assert stream.getvalue().endswith("\r\033[K0 of 1 job: train p/e/default")
    assert not list(FOLDER.iterdir())
    shown.close()
    assert shown.closed.is_set()


def test_a_dry_run_takes_a_screenful(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, stream = handler(monkeypatch, dryrun=True)
    number = 0
    for paper in "ab":
        for experiment in range(30):
            for rule in ("generate", "train", "measure"):
                number += 1
                reason = (
                    "Missing output files: x"
                    if rule == "generate"
                    else "Input files updated by another job: x"
                )
                shown.emit(
                    job(number, rule, reason=reason, paper=paper, experiment=f"e{experiment}", run="default")
                )
    shown.emit(record("This was a dry-run (flag -n). The order of jobs ..."))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  a  30 generate, 30 train, 30 measure  because: missing output files (30)"
    assert len(lines) < 10


def test_nothing_to_be_done_and_warnings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, stream = handler(monkeypatch)
    nothing = "Nothing to be done (all requested files are present and up to date)."
    for text, level in ((nothing, logging.INFO), ("The disk is nearly full.", logging.WARNING)):
        shown.emit(record(text, level=level))
    assert stream.getvalue() == f"{nothing}\nThe disk is nearly full.\n"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", "it left no message: was it killed?"),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        (
            "a note\ntwolayer train: error: p: wrong\n  and why\n",
            "twolayer train: error: p: wrong\n  and why",
        ),
    ],
)
def test_the_message_of_a_log(tmp_path: Path, log: str, message: str) -> None:
    file = tmp_path / "a.log"
    file.write_text(log)
    assert message_of([str(file)]) == message


def test_a_job_that_follows_from_another_is_no_cause() -> None:
    reason = "Missing output files: a, b; Code has changed since last execution; Input files updated by another job: c"
    assert causes_of(reason) == ["missing output files", "code has changed since last execution"]


def test_an_error_of_the_config_is_the_message_alone() -> None:
    text = 'WorkflowError in file "/a/workflow/rules/study.smk", line 32:\npapers.x: wrong\n'
    text += '  File "/a/workflow/rules/study.smk", line 32, in <module>'
    assert plain_error(text) == "papers.x: wrong"


def test_the_time_left_follows_from_each_kind_of_job() -> None:
    progress = Progress({"train": 4, "render": 2}, began=0.0)
    assert progress.left() is None
    progress.done.update(train=1, render=1)
    progress.seconds.update(train=60, render=6)
    assert progress.left() == pytest.approx(3 * 60 + 6, rel=0.2)  # one at a time
    assert [duration(seconds) for seconds in (40.2, 200.0, 7500.0)] == ["40 s", "3 min", "2 h 5 min"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:\n\tb: 1\n", "line 2, column 1"),
        ("a:\n  b: 1\n c: 2\n", "line 3, column 2"),
        ("a: {b: 1\n", "line 2, column 1"),
    ],
    ids=["tab", "indentation", "brace"],
)
def test_an_error_in_yaml_has_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    printed = error_in_yaml(["snakemake", "--configfile", str(file)])
    assert printed.startswith(f"{file}: is not valid YAML")
    assert printed.endswith(f'in "{file}", {place}')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "a.b=1"], "--config a.b=1: a key has no dots; write --config 'a={b: 1}'"),
        (["-n", "--config", "x=1", "papers.p.q=2", "--", "p"], "write --config 'papers={p: {q: 2}}'"),
        (["--config=a.b=1"], "write --config 'a={b: 1}'"),
        (["--config", "backend=numpy", "-n", "results/p/a.b=1/dataset.nc"], ""),
        (["results/p/e/scale=0.1/metrics.nc"], ""),
        (["--profile", "cloud"], "cloud: its executor 'nowhere-at-all' is not installed: pip install "),
        (["--profile=here"], ""),
        (["--profile", "missing"], ""),
        (["--configfile", "none.yaml", "--", "p"], "--configfile none.yaml: there is no such file"),
        (["-n", "--configfile", "here/config.yaml", "p"], "--configfile p: there is no such file; targets come after"),
        (["--configfile=here/config.yaml", "p"], ""),
        (["-n", "--configfile", "here/config.yaml", "--", "p"], ""),
        (["--directory", "elsewhere", "--configfile", "none.yaml"], ""),
    ],
)  # fmt: skip
def test_arguments_that_snakemake_answers_with_a_traceback(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, executor in (("cloud", "nowhere-at-all"), ("here", "local")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"jobs: 3\nexecutor: {executor}  # as it is\n")
    found = error_in_arguments(arguments)
    assert message in found
    assert bool(found) == bool(message)
