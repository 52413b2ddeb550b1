"""A training that is killed inside one seed, between two saved times, goes on from there with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from namespaces import backend
from networks import network_of

from twolayer import FiniteData, Teacher
from twolayer.core.data import Data
from twolayer.core.times import Times
from twolayer.finite.flow import frames
from twolayer.population import flow, numba_flow
from twolayer.study.registry import load
from twolayer.training import checkpoint
from twolayer.training.checkpoint import Log, records, unpacked
from twolayer.training.train import train

REGISTRY = load()
INPUTS = np.random.default_rng(0).standard_normal((12, 3))
POINTS = FiniteData(INPUTS[None], (np.abs(INPUTS[:, 0]) - 0.5 * INPUTS[:, 1])[None])
TEACHER = Teacher(np.eye(3)[:2], np.array([1.0, 0.8]))

Case = tuple[Data, str, dict[str, Any], dict[str, Any], float]

CASES: dict[str, Case] = {
    "exact flow": (POINTS, "numba", {}, {"name": "gradient_flow", "rtol": 1e-8}, 50.0),
    "exact flow, decay": (
        POINTS, "numba", {"output": "trained"}, {"name": "gradient_flow", "rtol": 1e-8, "weight_decay": 0.01}, 50.0,
    ),
    "smooth flow": (POINTS, "numpy", {"activation": "tanh"}, {"name": "gradient_flow"}, 300.0),
    "Radau of order 13": (TEACHER, "numba", {}, {"name": "gradient_flow"}, 1e4),
    "Radau of order 13, trained": (
        TEACHER, "numba", {"output": "trained"}, {"name": "gradient_flow", "weight_decay": 0.05}, 50.0,
    ),
    "scipy's Radau": (TEACHER, "numpy", {}, {"name": "gradient_flow", "rtol": 1e-7}, 20.0),
    "ROCK and Radau": (TEACHER, "wide", {"neurons": 6}, {"name": "gradient_flow", "rtol": 1e-6}, 300.0),
    "flow of erf": (TEACHER, "numba", {"activation": "erf"}, {"name": "gradient_flow"}, 100.0),
    "order parameters": (
        Teacher(np.eye(6)[:2], np.array([1.0, 0.8])), "numpy", {"activation": "erf"},
        {"name": "order_parameters", "rate": 0.5}, 30.0,
    ),
    "minimum on points": (POINTS, "numpy", {"activation": "tanh"}, {"name": "minimize", "weight_decay": 1e-3}, 1.0),
    "minimum on a teacher": (TEACHER, "numba", {}, {"name": "minimize"}, 1.0),
}  # fmt: skip


def trained(case: Case, log: Log | None) -> Any:
    """A training of one seed, whose only saved times are its first and last."""
    data, device, network, dynamics, last = case
    network = {"neurons": 4, "activation": "relu", "output": "fixed"} | network
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.7}, "initialization")[1]
    made = REGISTRY.build("dynamics", dynamics, "dynamics")[1]
    used = backend("numba" if device == "wide" else device)
    return train(data, network_of(**network), start, made, Times(values=[last]), [3], used, log=log)


class Crash(BaseException):
    """The process dies."""


class Mortal(Log):
    """A log that saves at each opportunity and dies after so many states."""

    def __init__(self, path: Path, life: float = np.inf) -> None:
        self.life, self.states = life, 0
        super().__init__(path, {"of": "a test"}, 0.0)

    def append_state(self, call: str, *record: Any) -> None:
        """As `Log.append_state`, while it lives."""
        super().append_state(call, *record)
        self.states += 1
        if self.states >= self.life:
            raise Crash


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # deaths where generators end
@pytest.mark.parametrize("name", CASES)
def test_goes_on_inside(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each third of the states, the bits are those of a run without a log, and no state is computed
    twice."""
    case = CASES[name]
    monkeypatch.setattr(flow, "AT_A_TIME", 2)
    monkeypatch.setattr(frames, "LOOK", 2)
    if case[1] == "wide":
        monkeypatch.setattr(numba_flow, "WIDE", 4)
    whole = trained(case, None)
    undisturbed = Mortal(tmp_path / "undisturbed")
    same(trained(case, undisturbed), whole)
    Log.close(undisturbed)
    count = undisturbed.states
    assert count >= 6, "long enough to be killed inside"
    path, states = tmp_path / "log", 0
    for _ in range(2):
        log = Mortal(path, count // 3)
        with pytest.raises(Crash):
            trained(case, log)
        assert log.file is not None
        log.file.close()
        states += log.states
    log = Mortal(path)
    same(trained(case, log), whole)
    Log.close(log)
    assert states + log.states <= count + 2


def same(one: Any, other: Any) -> None:
    """Bit for bit, with what is said of the seeds."""
    assert one.notes == other.notes
    for part in ("hidden", "output"):
        left, right = (np.asarray(getattr(each.weights, part)) for each in (one, other))
        assert left.tobytes() == right.tobytes()
    np.testing.assert_array_equal(one.trusted_until, other.trusted_until)


def test_replaced_states_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays small: states that later ones replace are left out, all else is kept, and it is gone on from."""
    case = CASES["exact flow"]
    monkeypatch.setattr(frames, "LOOK", 1)
    whole = trained(case, None)
    path = tmp_path / "log"
    large = Mortal(path)
    trained(case, large)
    Log.close(large)
    size = path.stat().st_size
    path.unlink()
    one = size // large.states
    monkeypatch.setattr(checkpoint, "REPLACED", 3 * one)
    log = Mortal(path, large.states // 2)
    with pytest.raises(Crash):
        trained(case, log)
    assert log.file is not None
    log.file.close()
    assert path.stat().st_size < 6 * one
    log = Mortal(path)
    same(trained(case, log), whole)
    Log.close(log)
    assert log.states < 0.6 * large.states
    assert path.stat().st_size < 6 * one
    assert not path.with_name("log.new").exists()


def test_each_seed_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of one seed that was just written does not keep those of others from being written."""
    now = 0.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    log = Log(tmp_path / "log", {}, 60.0)
    for now in (30.0, 61.0, 62.0, 100.0, 125.0):
        for seed in ("a", "b"):
            log.inside(seed, 1, lambda now=now: {"time": now})
    assert log.file is not None
    log.file.close()
    found = Log(tmp_path / "log", {}, 60.0)
    for seed in ("a", "b"):
        read = found.read_inside(seed)
        assert read is not None
        assert read[1] == {"time": 125.0}


def inside(path: Path) -> int:
    """How many states inside a call the log has."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(
            unpacked(content, arrays=False)[0].get("kind") == "inside" for _, _, content in records(file)
        )


RUN = {
    "paper": "tiny",
    "experiment": "long",
    "name": "default",
    "swept": {},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "seeds": [3],
    "dtype": "float64",
}
FINITE = {"name": "points", "inputs": INPUTS.tolist(), "targets": INPUTS[:, 1].tolist()}
KILLED: dict[str, dict[str, Any]] = {
    "exact flow": {
        "problem": FINITE,
        "network": {"neurons": 30, "activation": "relu", "output": "trained"},
        "dynamics": {"name": "gradient_flow", "weight_decay": 1e-3},
        "times": {"values": [300.0]},
    },
    "smooth flow": {
        "problem": FINITE,
        "network": {"neurons": 20, "activation": "tanh", "output": "trained"},
        "dynamics": {"name": "gradient_flow"},
        "times": {"values": [1000.0]},
    },
    "flow on a teacher": {
        "problem": {"name": "gaussian_teacher", "dimension": 8, "teachers": 2},
        "network": {"neurons": 4, "activation": "relu", "output": "fixed"},
        "dynamics": {"name": "gradient_flow", "rtol": 1e-8},
        "times": {"values": [20.0]},
    },
    "wide flow on a teacher": {
        "problem": {"name": "gaussian_teacher", "dimension": 20, "teachers": 10},
        "network": {"neurons": 30, "activation": "relu", "output": "fixed"},
        "dynamics": {"name": "gradient_flow", "rtol": 1e-6},
        "times": {"values": [3.0]},
    },
    "minimum": {
        "problem": FINITE,
        "network": {"neurons": 40, "activation": "tanh", "output": "trained"},
        "dynamics": {"name": "minimize", "weight_decay": 1e-4},
        "times": {"values": [1.0]},
    },
}
BACKENDS = {"flow on a teacher": "numpy", "wide flow on a teacher": "numba"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("wide") else ()) for name in KILLED]
)
def test_killed_inside(name: str, tmp_path: Path) -> None:
    """`twolayer train` of one seed with one saved time, killed with SIGKILL twice while it is on the way, goes on from
    its states and ends with the bytes of one that was not killed."""
    from twolayer.cli import main

    run = RUN | KILLED[name]
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 0
    base = [sys.executable, "-m", "twolayer.cli", "train", "--problem", str(tmp_path / "problem.nc")]
    base += ["--backend", BACKENDS.get(name, "numba"), "--checkpoint", "0", "--output"]
    subprocess.run([*base, str(tmp_path / "whole.nc")], check=True, capture_output=True)
    count = inside(tmp_path / ".whole.checkpoint")
    assert count >= 4, "long enough to be killed inside"
    saved = tmp_path / ".killed.checkpoint"
    before = 0
    for share in (1, 2):
        process = subprocess.Popen([*base, str(tmp_path / "killed.nc")])
        while process.poll() is None and inside(saved) < max(share * count // 4, before + 1):
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = inside(saved)
    assert before > 0
    subprocess.run([*base, str(tmp_path / "killed.nc")], check=True, capture_output=True)
    assert (tmp_path / "killed.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    assert inside(saved) <= count + 4, (
        "what was saved was not computed again, but for what a kill interrupted"
    )
