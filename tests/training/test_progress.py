"""How far a training has come: shares, states, and who hears of them."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest

import twolayer
from twolayer.core.progress import LOGGER, reached
from twolayer.training import progress
from twolayer.training.progress import Meter, State, on_line, read, wanted, written_to

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 2},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 5, 10]},
    "seeds": 3,
}


@pytest.fixture(autouse=True)
def each_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state is shown, however soon."""
    monkeypatch.setattr(progress, "EVERY", 0.0)


def test_the_share_of_a_descent_is_that_of_its_steps_and_of_a_flow_that_of_its_frames() -> None:
    times = [0.0, 1.0, 10.0, 100.0]
    assert Meter(1, times, True, print).share_at(10.0) == 0.1
    assert Meter(1, times, False, print).share_at(10.0) == pytest.approx(2 / 3)
    assert Meter(1, times, False, print).share_at(9.0) == pytest.approx(1 / 3)


def test_seeds_one_after_another_add_up_also_where_one_ends_early() -> None:
    states: list[State] = []
    with Meter(4, [0.0, 1.0, 2.0], False, states.append).listening():
        for time in (0.0, 1.0, 2.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0):
            reached(time, 1, lambda: [0.5])
        for time in (0.0, 1.0, 2.0):  # and all of them again, as frames
            reached(time, 4, lambda: [0.5, 0.25, 0.125, 1.0])
    shares = [state.share for state in states]
    assert shares[:6] == [0.0, 0.125, 0.25, 0.25, 0.375, 0.5]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert states[-1].loss == 0.375


def test_a_loss_that_cannot_be_computed_stops_nothing() -> None:
    states: list[State] = []

    def loss() -> Any:
        raise ZeroDivisionError

    with Meter(1, [0.0, 1.0], True, states.append).listening():
        reached(1.0, 1, loss)
    assert math.isnan(states[0].loss)
    assert str(states[0]) == "t = 1 (100 %)"


def test_nothing_is_printed_and_nothing_computed_where_nobody_listens() -> None:
    def loss() -> Any:
        raise AssertionError

    reached(1.0, 1, loss)
    assert not any(isinstance(handler, Meter) for handler in LOGGER.handlers)


def test_a_state_in_words() -> None:
    assert str(State(3.2e5, 0.45, 1.2e-9, 400.0)) == "t = 3.2e+05 (45 %), loss 1.2e-09, 7 min left"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dynamics": {"name": "gradient_flow"}, "times": {"values": [0.5, 1.0]}},
        {"stop": {"loss": 1e-9}},
        {"dynamics": {"name": "gradient_flow"}, "times": {"values": [0.5, 1.0]}, "stop": {"loss": 1e-9}},
    ],
    ids=["descent", "flow", "descent with stop", "flow with stop"],
)
def test_a_run_shows_one_line_and_clears_it(changes: Any, capsys: pytest.CaptureFixture[str]) -> None:
    given = EXPERIMENT | changes
    quiet = twolayer.run(given, "numpy")
    assert capsys.readouterr().err == ""  # no terminal, nobody asked
    with_progress = twolayer.run(given, "numpy", progress=True)
    lines = capsys.readouterr().err.split("\r")
    losses = quiet["loss"].isel(time=-1).values
    known = [*losses, np.median(losses)]  # of a seed, or of all
    assert lines[-3].strip() in [f"t = 1 (100 %), loss {loss:.3g}" for loss in known]
    assert lines[-2].strip() == lines[-1] == ""
    assert quiet.identical(with_progress)
    assert not any(isinstance(handler, Meter) for handler in LOGGER.handlers)


def test_a_terminal_and_a_notebook_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    assert not wanted(stream)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert wanted(stream)
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(progress.sys.modules, "IPython", type("IPython", (), {"get_ipython": lambda: shell}))
    assert wanted(io.StringIO())


def test_a_file_says_the_last_state_and_is_gone_at_the_end(tmp_path: Any) -> None:
    file = tmp_path / "deep" / "state.json"
    state = State(1.0, 0.5, math.nan, 3.0)
    with written_to(file) as show:
        assert read(file) is None
        show(state)
        assert str(read(file)) == str(state)
    assert read(file) is None


def test_a_line_is_cleared() -> None:
    stream = io.StringIO()
    with on_line(stream, "m=2") as show:
        show(State(1.0, 0.5, 0.25, math.nan))
    assert stream.getvalue() == "\rm=2: t = 1 (50 %), loss 0.25\r" + " " * 28 + "\r"
