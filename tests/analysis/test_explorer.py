"""The page of neurons over time: planes, progress, the frames shown, and what is stored of them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery_files import write_run

from twolayer.analysis.explorer import frames_of, plane_of, progress_of, scene, seeds_shown
from twolayer.errors import DataError
from twolayer.stages.explore import explore


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_two_features_are_shown_as_they_are(random: np.random.Generator) -> None:
    plane, share = plane_of(random.normal(size=(7, 4, 2)))
    np.testing.assert_array_equal(plane, np.eye(2))
    assert share == 1


def test_the_plane_is_the_one_that_the_neurons_lie_in(random: np.random.Generator) -> None:
    basis = np.linalg.qr(random.normal(size=(6, 2)))[0]
    growing = np.exp(np.arange(9.0))[:, np.newaxis, np.newaxis]
    vectors = growing * random.normal(size=(9, 5, 2)) @ basis.T
    plane, share = plane_of(vectors)
    np.testing.assert_allclose(plane @ plane.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(vectors @ plane.T @ plane, vectors, rtol=1e-9, atol=1e-9)
    assert share == pytest.approx(1, abs=1e-12)
    off = vectors + 1e-3 * growing * random.normal(size=(9, 5, 6))
    assert 0.999 < plane_of(off)[1] < 1


def test_progress_grows_while_directions_turn_and_stands_still_while_all_grow() -> None:
    angle = np.concatenate([np.linspace(0, 1, 6), np.full(5, 1.0)])
    size = np.exp(np.arange(11.0) - 30)
    vectors = (
        size[:, np.newaxis, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, np.newaxis]
    )
    progress = progress_of(vectors)
    np.testing.assert_allclose(progress[:6], np.linspace(0, 1, 6), atol=1e-12)
    np.testing.assert_allclose(progress[5:], 1, atol=1e-12)
    np.testing.assert_allclose(progress_of(np.ones((5, 2, 2))), np.linspace(0, 1, 5))  # nothing moves


@pytest.mark.parametrize("saved", [6, 60, 61, 600])
def test_frames_have_both_ends_and_are_few(saved: int) -> None:
    frames = frames_of(np.linspace(0, 1, saved) ** 8)
    assert frames[0] == 0
    assert frames[-1] == saved - 1
    assert len(frames) <= 62
    assert np.all(np.diff(frames) > 0)


def test_positions_are_stored_to_a_part_in_thirty_thousand(random: np.random.Generator) -> None:
    hidden = random.normal(size=(8, 5, 2)) * np.exp(np.arange(8.0) - 40)[:, np.newaxis, np.newaxis]
    output = random.normal(size=(8, 5))
    hidden[3] = np.nan  # a frame that diverged is left out
    made = scene(hidden, output, np.arange(8.0), np.exp(-np.arange(8.0)), np.array([[0.6, 0.8]]))
    kept = np.arange(8) != 3
    expected = (np.abs(output)[..., np.newaxis] * hidden)[kept]
    stored = np.frombuffer(base64.b64decode(made["points"]), dtype="<i2").reshape(7, 5, 2)
    scale = np.array(made["scale"])[:, np.newaxis, np.newaxis]
    largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(stored / 32767 * scale - expected) <= 4e-5 * largest)
    assert made["sign"] == np.sign(output[-1]).astype(int).tolist()
    assert made["time"] == [0, 1, 2, 4, 5, 6, 7]
    assert made["teachers"] == [[0.6, 0.8]]


def test_as_many_seeds_are_shown_as_the_page_has_room_for() -> None:
    run = (8, 60, 100)  # 36 kB for each seed
    assert seeds_shown([run], most=4, budget=1_000_000) == 4
    assert seeds_shown([run], most=4, budget=80_000) == 2
    assert seeds_shown([run] * 50, most=4, budget=80_000) == 1


def stored(page: Path) -> Any:
    """The data of a page."""
    match = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert match
    return json.loads(match[1])


def test_the_page_has_every_run_with_enough_times_and_is_the_same_each_time(tmp_path: Path) -> None:
    films = write_run(tmp_path / "study" / "descent", times=9)
    stills = write_run(tmp_path / "study" / "states", times=2)
    page = tmp_path / "study" / "explorer.html"
    explore([films, stills], page)
    first = page.read_bytes()
    explore([films, stills], page)
    assert page.read_bytes() == first
    data = stored(page)
    assert list(data) == ["descent"]
    assert [run["swept"] for run in data["descent"]] == [{"neurons": 2}]
    assert list(data["descent"][0]["seeds"]) == ["0", "1"]
    assert len(data["descent"][0]["seeds"]["1"]["time"]) == 9
    explore([stills], page)
    assert "No run of this paper has enough saved times" in page.read_text()


def test_a_missing_trajectory_is_one_message(tmp_path: Path) -> None:
    dataset = write_run(tmp_path / "study" / "descent", times=9)
    (tmp_path / "study" / "descent" / "neurons=2" / "trajectory.nc").unlink()
    with pytest.raises(DataError, match=r"trajectory\.nc: there is no such file"):
        explore([dataset], tmp_path / "study" / "explorer.html")
