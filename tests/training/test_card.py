"""Two trainings on one machine do not share a card: cards are files here, and processes take them for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twolayer.training import card

TRAINING = """
import os, sys
from twolayer.training.card import one_card
with one_card() as card:
    print(card, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")


def training() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(stream: object) -> str:
    return str(stream.readline()).strip()  # type: ignore[attr-defined]


def test_trainings_take_different_cards_and_then_turns() -> None:
    first, second = training(), training()
    assert {line(first.stdout), line(second.stdout)} == {"3 3", "5 5"}
    third = training()
    assert line(third.stderr) == "waits for a card: another training has 3, 5"
    second.kill()  # a card is free however its training ended
    assert line(third.stdout) in ("3 3", "5 5")
    for each in (first, second, third):
        each.communicate("\n")


def test_slurm_gives_cards_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """There every job may see its card as number 0."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with card.one_card() as first, card.one_card() as second:
        assert first is second is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_cards_without_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the driver lists; none where there is no driver, or where the list is empty."""
    monkeypatch.setattr(card, "CARDS", tmp_path / "gpus")
    assert card.visible({}) == []
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert card.visible({}) == ["0", "1"]
    assert card.visible({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert card.visible({"CUDA_VISIBLE_DEVICES": "GPU-7c2, 1"}) == ["GPU-7c2", "1"]
