"""Checkpoints: a training that is killed goes on, bit for bit, from what it has saved, under every dynamics."""

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
from heavy_ball import HeavyBall
from namespaces import backend
from networks import network_of

from twolayer import FiniteData, Teacher, Weights
from twolayer.core.data import Data
from twolayer.core.times import Times
from twolayer.study.registry import load
from twolayer.training import checkpoint, recorded
from twolayer.training.checkpoint import Log
from twolayer.training.stop import StopRule
from twolayer.training.train import train

REGISTRY = load()
SEEDS = [3, 1, 4]
INPUTS = np.random.default_rng(0).standard_normal((3, 12, 3))
DATA: dict[str, Data] = {
    "finite": FiniteData(INPUTS, np.abs(INPUTS[..., 0]) - 0.5 * INPUTS[..., 1]),
    "population": Teacher(np.eye(3)[:2], np.array([1.0, 0.8])),
    "teachers": Teacher(np.stack([np.eye(3)[:2], np.eye(3)[1:], np.eye(3)[:2] + 0.1]), np.ones((3, 2))),
}
SCHEDULE = {"values": [0.1, 1e-4], "until": [3.0]}
DYNAMICS: dict[str, dict[str, Any]] = {
    "gradient_descent": {"step_size": 0.05},
    "regularized_gradient_descent": {"step_size": 0.05, "weight_decay": SCHEDULE},
    "stochastic_gradient_descent": {"step_size": 0.02, "batch_size": 6},
    "momentum": {"step_size": 0.02, "batch_size": 6},
    "halving_gradient_descent": {"step_size": 2.0, "every": 5},
    "adam": {"step_size": 0.02, "batch_size": 5, "epochs": True},
    "gradient_flow": {"rtol": 1e-6, "weight_decay": SCHEDULE},
    "minimize": {"weight_decay": 1e-3},
    "output_fit": {},
    "balancing": {},
    "sequence": {
        "stages": [
            {"name": "stochastic_gradient_descent", "step_size": 0.02, "batch_size": 6, "until": 1},
            {"name": "gradient_descent", "step_size": 0.1, "layers": "hidden", "until": 2},
            {"name": "gradient_flow", "rtol": 1e-6, "until": 3},
            {"name": "minimize", "weight_decay": 1e-3},
            {
                "name": "regularized_gradient_descent",
                "step_size": 0.05,
                "weight_decay": 1e-4,
                "layers": "output",
            },
        ]
    },
}
RULE = StopRule(loss=3e-2)

TRAINED = ("output_fit", "balancing", "sequence")
"""Dynamics that need output weights that are trained."""


PLUGINS: dict[str, Any] = {"heavy_ball": HeavyBall(0.05)}


def made(name: str) -> Any:
    """A dynamics of this test."""
    if name in PLUGINS:
        return PLUGINS[name]
    return REGISTRY.build("dynamics", {"name": name, **DYNAMICS[name]}, "dynamics")[1]


def trained(name: str, kind: str, device: str, log: Log | None, stop: StopRule | None = None) -> Any:
    """A short training of three seeds."""
    start = REGISTRY.build("initializations", {"name": "gaussian", "scale": 0.7}, "initialization")[1]
    network = network_of(4, "relu", output="trained" if name in TRAINED else "fixed")
    times = Times(values=[0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0])
    chosen = backend(device)
    return train(DATA[kind], network, start, made(name), times, SEEDS, chosen, threads=2, stop=stop, log=log)


class Crash(BaseException):
    """The process dies."""


class Mortal(Log):
    """A log whose process dies after so many records; each is written at once."""

    def __init__(self, path: Path, life: float = np.inf) -> None:
        self.life, self.added = life, 0
        super().__init__(path, {"of": "a test"}, 0.0)

    def append(self, *record: Any) -> int:
        """As `Log.append`, while it lives."""
        if self.added > self.life:
            raise Crash
        self.added += 1
        return super().append(*record)

    def close(self) -> None:
        """As the end of a process does."""
        if self.file is not None:
            self.file.close()


def same(one: Any, other: Any) -> None:
    """Bit for bit, with what is said of the seeds."""
    assert one.notes == other.notes
    for part in ("hidden", "output"):
        left, right = (np.asarray(getattr(each.weights, part)) for each in (one, other))
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()
    for mark in (
        "diverged_step",
        "trusted_until",
        "flow_forks",
        "path_trusted_until",
        "stop_time",
        "stop_reason",
    ):
        np.testing.assert_array_equal(getattr(one, mark), getattr(other, mark))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # deaths where generators end
@pytest.mark.parametrize(
    ("kind", "device", "stop"),
    [
        ("finite", "numpy", None),
        ("finite", "numba", RULE),
        ("finite", "device arrays", None),
        ("population", "numba", None),
        ("population", "numpy", RULE),
        ("teachers", "numba", None),
    ],
)
@pytest.mark.parametrize("name", [*DYNAMICS, *PLUGINS])
def test_resumed_bit_for_bit(
    name: str, kind: str, device: str, stop: StopRule | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies again and again, each time three times later, ends with the bits of one that did not; pieces
    of a descent are of 7 steps here."""
    for limit in ("WORK", "FEWEST", "MOST"):
        monkeypatch.setattr(recorded, limit, 7)
    whole = trained(name, kind, device, None, stop)
    path, deaths = tmp_path / "log", 0
    while True:
        log = Mortal(path, 3.0 * 3.0**deaths)
        try:
            resumed = trained(name, kind, device, log, stop)
            break
        except Crash:
            deaths += 1
            assert deaths < 30, "the training comes no further"
        finally:
            log.close()
    assert deaths > 0
    same(resumed, whole)
    again = Mortal(path)
    same(trained(name, kind, device, again, stop), whole)
    assert again.added == 0, "all was in the log"


def test_no_log_changes_nothing_but_pieces_are_where_they_are(tmp_path: Path) -> None:
    """With and without a log the bits are the same; short descents have no pieces."""
    for name in ("gradient_descent", "gradient_flow"):
        same(
            trained(name, "finite", "numba", Mortal(tmp_path / name)), trained(name, "finite", "numba", None)
        )


def test_a_log_of_another_training_or_damaged(tmp_path: Path) -> None:
    """A log of other settings is not read; one that is cut short or altered anywhere counts up to there."""
    whole = trained("gradient_descent", "finite", "numpy", None)
    path = tmp_path / "log"
    log = Mortal(path)
    trained("gradient_descent", "finite", "numpy", log)
    log.close()
    content = path.read_bytes()
    for size in (0, 3, 10, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        log = Mortal(path)
        same(trained("gradient_descent", "finite", "numpy", log), whole)
        assert log.added > 0
        log.close()
    altered = bytearray(content)
    altered[len(content) // 3] ^= 4
    path.write_bytes(altered)
    log = Mortal(path)
    same(trained("gradient_descent", "finite", "numpy", log), whole)
    log.close()
    other = Log(path, {"of": "another"}, 0.0)
    assert not other.calls
    other.file.close()  # type: ignore[union-attr]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second training with the same log computes all by itself, and leaves the log alone."""
    path = tmp_path / "log"
    first = Mortal(path)
    whole = trained("gradient_descent", "finite", "numpy", first)
    content = path.read_bytes()
    second = Mortal(path)
    assert not second.usable
    same(trained("gradient_descent", "finite", "numpy", second), whole)
    Log.close(second)
    assert path.read_bytes() == content


def test_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written before the interval has passed, then all so far, and then not before the next."""
    now = 0.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    path = tmp_path / "log"
    log = Log(path, {}, 60.0)
    weights = Weights(np.ones((1, 1, 1)), np.ones((1, 1)))
    sizes = []
    for index in range(7):
        now = 25.0 * index
        log.frame("call", index, weights)
        sizes.append(path.stat().st_size if path.exists() else 0)
    assert sizes[:3] == [0, 0, 0]
    assert 0 < sizes[3] == sizes[4] == sizes[5] < sizes[6]
    log.file.close()  # type: ignore[union-attr]
    assert len(Log(path, {}, 60.0).found("call").frames) == 7


RUN = {
    "paper": "tiny",
    "experiment": "long",
    "name": "default",
    "swept": {},
    "problem": {"name": "points", "inputs": INPUTS[0].tolist(), "targets": INPUTS[0, :, 1].tolist()},
    "network": {"neurons": 3, "activation": "relu", "output": "trained"},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "times": {"values": np.arange(1, 40).tolist()},
    "seeds": SEEDS,
    "dtype": "float64",
}


@pytest.mark.parametrize(
    "name",
    [
        "gradient_descent",
        pytest.param("stochastic_gradient_descent", marks=pytest.mark.slow),
        "gradient_flow",
        pytest.param("sequence", marks=pytest.mark.slow),
    ],
)
def test_killed(name: str, tmp_path: Path) -> None:
    """`twolayer train`, killed with SIGKILL when its checkpoint is there, ends with the bytes of one that was not."""
    from twolayer.cli import main

    run = RUN | {"dynamics": {"name": name, **DYNAMICS[name]}}
    assert main(["generate", "--run", json.dumps(run), "--output", str(tmp_path / "problem.nc")]) == 0
    base = [sys.executable, "-m", "twolayer.cli", "train", "--problem", str(tmp_path / "problem.nc")]
    base += ["--backend", "numpy", "--checkpoint", "0", "--output"]
    subprocess.run([*base, str(tmp_path / "whole.nc")], check=True, capture_output=True)
    saved = tmp_path / ".killed.checkpoint"
    for size in (1000, 6000):
        process = subprocess.Popen([*base, str(tmp_path / "killed.nc")])
        while process.poll() is None and not (saved.exists() and saved.stat().st_size > size):
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*base, str(tmp_path / "killed.nc")], check=True, capture_output=True)
    assert (tmp_path / "killed.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    content = saved.read_bytes()
    (tmp_path / "killed.nc").unlink()
    subprocess.run([*base, str(tmp_path / "killed.nc")], check=True, capture_output=True)
    assert (tmp_path / "killed.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    assert saved.read_bytes() == content, "all was read, nothing computed"
    left = saved.with_name(f"{saved.name}.new")
    left.write_bytes(b"of one that was killed while it was written again")
    files = ["--problem", str(tmp_path / "problem.nc"), "--trajectory", str(tmp_path / "killed.nc")]
    assert main(["measure", *files, "--output", str(tmp_path / "metrics.nc")]) == 0
    assert not saved.exists(), "the next stage removes it"
    assert not left.exists()
