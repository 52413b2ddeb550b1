"""What retrains after an edit: the table of accelerations by law of data and kind of dynamics, and what counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twolayer.study import fingerprint
from twolayer.study.fingerprint import PACKAGE
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

REGISTRY = load()
PROBLEMS = {
    "finite": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "population": {"name": "gaussian_teacher", "dimension": 4, "teachers": 1},
    "sample": {"name": "gaussian_teacher", "dimension": 4, "teachers": 1, "samples": 8},
}
DYNAMICS = {
    "descent": {"name": "gradient_descent", "step_size": 0.01},
    "flow": {"name": "gradient_flow"},
    "stages": {
        "name": "sequence",
        "stages": [{"name": "gradient_descent", "step_size": 0.01, "until": 0.5}, {"name": "gradient_flow"}],
    },
}
RUNS = [(law, kind) for law in PROBLEMS for kind in DYNAMICS]
TRAINED = {("train", *run) for run in RUNS}
MEASURED = {("measure", *run) for run in RUNS}
GENERATED = {("generate", *run) for run in RUNS}


def job(law: str, kind: str) -> Job:
    section = {
        "problem": PROBLEMS[law], "network": {"neurons": 2}, "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": DYNAMICS[kind], "times": {"values": [1.0]},
    }  # fmt: skip
    (run,) = make_experiment("paper", "e", section, REGISTRY).runs.values()
    return Job(run.as_dict(), REGISTRY)


JOBS = {run: job(*run) for run in RUNS}


def codes() -> dict[tuple[str, str, str], str]:
    for cached in (fingerprint.digest, fingerprint.computed, fingerprint.imports, fingerprint.facts_of):
        cached.cache_clear()
    return {
        (stage, *run): JOBS[run].code(stage) for stage in ("generate", "train", "measure") for run in RUNS
    }


def changed(monkeypatch: pytest.MonkeyPatch, name: str, edit: Callable[[str], str]) -> set[Any]:
    """The codes that change with an edit of one file of the package, or of a plugin."""
    before = codes()
    file = PACKAGE / name
    file = (file if file.is_file() else PACKAGE.parents[1] / name).resolve()
    plain = fingerprint.source_of
    assert edit(plain(file)) != plain(file)
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "source_of", lambda at: edit(plain(at)) if at == file else plain(at))
        after = codes()
    codes()
    return {key for key, code in after.items() if code != before[key]}


def appended(text: str) -> Callable[[str], str]:
    return lambda source: source + text


FLOWS, DESCENTS = ("flow", "stages"), ("descent", "stages")
NUMBER = "\n\nNEW = 1.0\n"
TABLE = {
    "finite/flow/coupled.py": {("train", law, kind) for law in ("finite", "sample") for kind in FLOWS}
    | {("measure", law, kind) for law in ("finite", "sample") for kind in FLOWS},
    "finite/numba_descent.py": {("train", law, kind) for law in ("finite", "sample") for kind in DESCENTS},
    "population/numba_descent.py": {
        ("train", law, kind) for law in ("population", "sample") for kind in DESCENTS
    },
    "population/flow.py": {
        (stage, law, kind)
        for stage in ("train", "measure")
        for law in ("population", "sample")
        for kind in FLOWS
    },
    "kernels/minibatch.py": {("train", law, kind) for law in PROBLEMS for kind in DESCENTS},
    "core/network.py": TRAINED | MEASURED | GENERATED,
    "training/diagnosis.py": set(),
    "errors.py": set(),
    "core/progress.py": set(),
    "population/stability.py": set(),
    "storage/atomic.py": set(),
    "study/schema.py": set(),
    "stages/gather.py": set(),
    "plugins/metrics/loss.py": MEASURED,
    "plugins/dynamics/gradient_descent.py": {("train", law, kind) for law in PROBLEMS for kind in DESCENTS},
    "plugins/dynamics/gradient_flow.py": {("train", law, kind) for law in PROBLEMS for kind in FLOWS},
}


@pytest.mark.parametrize("name", TABLE)
def test_what_an_edit_makes_again(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert changed(monkeypatch, name, appended(NUMBER)) == TABLE[name]


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("core/network.py", appended("\n\n# a comment\n")),
        ("core/network.py", lambda source: source.replace('"""Two-layer', '"""Our two-layer', 1)),
        ("core/network.py", lambda source: source.replace("a network has at least 1", "a network needs 1")),
        ("core/network.py", lambda source: source.replace("import math\n", "import math\n\n", 1)),
        (
            "plugins/dynamics/gradient_descent.py",
            lambda source: source.replace("def validate_last_stage", "def validate_last_stages", 1),
        ),
        (
            "plugins/problems/gaussian_teacher.py",
            lambda source: source.replace('word = "coincide"', 'word = "are one"', 1),
        ),
        ("population/numba_descent.py", appended("\n\n# a comment\n")),
        ("population/cuda_descent.cu", appended("\n// a comment\n/* and another */\n")),
    ],
    ids=[
        "comment",
        "docstring",
        "error",
        "layout",
        "check",
        "refusal",
        "comment in a kernel",
        "comment in CUDA",
    ],
)
def test_what_changes_no_number_makes_nothing_again(
    monkeypatch: pytest.MonkeyPatch, name: str, edit: Callable[[str], str]
) -> None:
    assert changed(monkeypatch, name, edit) == set()


def test_the_cuda_kernel_counts_for_descents_on_teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = changed(monkeypatch, "population/cuda_descent.cu", appended("\nint more = 1;\n"))
    assert found == {("train", law, kind) for law in ("population", "sample") for kind in DESCENTS}


def test_what_is_kept_of_sources_changes_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kept, read back, damaged, of another text, and where nothing can be written."""
    known = codes()
    monkeypatch.setattr(fingerprint, "FACTS", tmp_path / "facts")
    assert codes() == known
    kept = sorted((tmp_path / "facts").iterdir())
    assert len(kept) > 20
    assert codes() == known
    for file, other in zip(kept, [*kept[1:], kept[0]], strict=True):
        file.write_bytes(other.read_bytes()[: -1 if file < other else None])
    assert codes() == known
    (tmp_path / "file").touch()
    monkeypatch.setattr(fingerprint, "FACTS", tmp_path / "file")
    assert codes() == known


def test_every_acceleration_is_a_file() -> None:
    for law, kind in fingerprint.ACCELERATIONS:
        assert fingerprint.accelerations(law, kind)


def test_the_cache_of_kernels_knows_the_constants_that_they_froze() -> None:
    from twolayer.kernels import jit

    names = {str(Path(file).relative_to(PACKAGE)) for file in jit.kernel_sources()}
    assert {"population/orthogonal_form.py", "population/closed_form.py", "finite/flow/coupled.py"} <= names
    assert not names & {"study/study.py", "analysis/claims.py", "cli/jobs.py"}
