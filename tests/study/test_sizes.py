"""What no machine holds is refused while the config is read, quickly and in little memory, with number and limit."""

from __future__ import annotations

import io
import json
import re
import resource
from pathlib import Path
from typing import Any

import pytest
from peak_memory import peak_memory

from twolayer.errors import ConfigError
from twolayer.study.merge import load_yaml, read_config
from twolayer.study.sizes import in_words

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "gaussian_teacher", "dimension": 10, "teachers": 1},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 1e-3},
    "dynamics": {"name": "gradient_descent", "step_size": 0.01},
    "times": {"steps": [10]},
    "seeds": 8,
}
WIDE = {
    "network": {"neurons": 10_000},
    "problem": {"name": "gaussian_teacher", "dimension": 1000, "teachers": 1},
    "times": {"start": 0.1, "stop": 100.0, "count": 600, "spacing": "linear"},
    "seeds": 100,
}
MANY = list(range(1, 10_001))
LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "a sweep": (
        {"sweep": {"network.neurons": MANY, "dynamics.step_size": [i * 1e-6 for i in MANY]}},
        r"\.sweep: 10000 × 10000 = 100000000 runs; an experiment has at most 100000",
    ),
    "a list of runs": (
        {"sweep": [{"network.neurons": n} for n in range(1, 100_002)]},
        r"\.sweep: 100001 = 100001 runs",
    ),
    "a count": (
        {"times": {"start": 0.1, "stop": 10, "count": 2 * 10**8, "spacing": "log"}},
        r"\.times\.count: at most 1000000 times, not 200000000",
    ),
    "a step": ({"times": {"steps": [10**14]}}, r"\.times\.steps: 10+ are more than can be run, which is 1e\+13"),
    "frames": (WIDE, r"\.times: 601 saved times .* are 4\.81 TB of weights; a run saves at most 275 GB"),
}  # fmt: skip

READ = """
import sys
from twolayer.study.study import load_study
from twolayer.errors import ConfigError
try:
    load_study([sys.argv[1]])
except ConfigError as error:
    print(error)
"""


def read(file: Path) -> tuple[str, int]:
    """What is said of a config, and the megabytes it took, in another process that may have 4 GB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    said, size = peak_memory(READ, [str(file)], cwd=file.parent, preexec_fn=limit)
    return said, size // 10**6


@pytest.mark.parametrize("what", LARGE)
def test_a_size_is_refused_before_anything_is_built(what: str, tmp_path: Path) -> None:
    changes, message = LARGE[what]
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"papers": {"p": {"experiments": {"e": {**EXPERIMENT, **changes}}}}}))
    said, megabytes = read(file)

    assert re.search(rf"^papers\.p\.experiments\.e{message}", said), said
    assert megabytes < 500


def test_aliases_that_unfold_to_billions(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for last, name in zip("abcdefghij", "bcdefghijk", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]")
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(lines) + "\n")
    said, megabytes = read(file)
    assert "values once aliases are unfolded; a config has at most 5000000" in said
    assert megabytes < 500


def test_aliases_that_are_used_are_no_bomb(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert read_config(file) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_numbers_that_are_what_they_look() -> None:
    file = io.StringIO("a: [0, 0.5, 1_000, 0x10, 10, -3, 1.0e-3, .5, '010']\n")
    file.name = "config.yaml"
    assert load_yaml(file) == {"a": [0, 0.5, 1000, 16, 10, -3, 1e-3, 0.5, "010"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("papers: &a [*a]\n", r"config\.yaml, line 1: a section or list that contains itself"),
        ("papers: &a {b: {c: *a}}\n", r"config\.yaml, line 1: a section or list that contains itself"),
        (
            "papers: " + "[" * 3000 + "]" * 3000 + "\n",
            r"config\.yaml, line 1: more than 100 sections or lists",
        ),
        ("papers: " + "{a: " * 100_000 + "}" * 100_000 + "\n", "more than 100 sections or lists"),
        ("a: " + "9" * 5000 + "\n", r"config\.yaml: has a value that cannot be read: Exceeds the limit"),
        ("a: 2026-13-45\n", r"config\.yaml: has a value that cannot be read: month must be in 1\.\.12"),
        ("a: {1: x,\n 1.0: y}\n", r"config\.yaml, line 2: '1\.0' is given twice: '1' is the same key"),
        ("a: {yes: x, on: y}\n", r"config\.yaml, line 1: 'on' is given twice: 'yes' is the same key"),
        (
            "a: [3,\n 010]\n",
            r"config\.yaml, line 2: 010 is 8 in YAML 1\.1; write the number without a leading 0",
        ),
        ("a: 1:30\n", r"config\.yaml, line 1: 1:30 is 90 in YAML 1\.1"),
    ],
    ids=[
        "a list in itself",
        "a section in itself",
        "3,000 lists deep",
        "100,000 sections deep",
        "5,000 digits",
        "a date that is none",
        "a number twice",
        "a truth twice",
        "octal",
        "base 60",
    ],
)
def test_yaml_that_a_reader_would_break_on(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(file)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (4.8e12, "4.8 TB"), (2**38, "275 GB"), (1e24, "1e+06 EB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words
