"""`twolayer.figure`: a paper's figure from datasets in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml
from matplotlib.figure import Figure

import twolayer
from twolayer.errors import ConfigError, DataError
from twolayer.study.registry import plugin_folder

SHORT = {"times": {"start": 0.1, "stop": 100.0, "count": 20, "spacing": "log"}}


@pytest.fixture(scope="module")
def toys() -> dict[str, xr.Dataset]:
    """The datasets of `xu2023.toys`, of short runs."""
    file = plugin_folder() / "papers" / "xu2023" / "experiments.yaml"
    experiments: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["experiments"]
    changed = {"mirrored": SHORT, "exact_rank": {"times": {"steps": [1, 10, 20, 40]}, "seeds": 2}}
    return {name: twolayer.run({**experiments[name], **change}) for name, change in changed.items()}


def test_a_figure_is_drawn_with_its_face(toys: dict[str, xr.Dataset]) -> None:
    canvas = twolayer.figure("xu2023.toys", *toys.values())
    assert isinstance(canvas, Figure)
    assert all(axes.get_xlabel() for axes in canvas.axes)
    assert canvas.axes[0].get_ylabel()
    assert "xu2023.toys" in [text.get_text() for text in canvas.texts]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("xu2023.tois", ["mirrored", "exact_rank"], r"Did you mean 'xu2023\.toys'"),
        ("xu2023.toys", ["mirrored"], "takes a dataset of each of mirrored, exact_rank; was given Dataset"),
        ("xu2023.toys", [], "was given nothing"),
    ],
)
def test_mistakes_are_named(toys: dict[str, xr.Dataset], name: str, given: list[str], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        twolayer.figure(name, *(toys[one] for one in given))


def test_a_dataset_without_what_is_shown_is_refused(toys: dict[str, xr.Dataset]) -> None:
    mirrored, exact = toys.values()
    with pytest.raises(DataError, match=r"xu2023\.toys: shows 'loss', which the experiment 'exact_rank'"):
        twolayer.figure("xu2023.toys", mirrored, exact.drop_vars("loss"))
    with pytest.raises(DataError, match="has no variable 'run'"):
        twolayer.figure("xu2023.toys", mirrored, exact.drop_vars("run"))


def test_of_a_film_the_last_frame(tmp_path: Path) -> None:
    folder = tmp_path / "papers" / "mine"
    folder.mkdir(parents=True)
    (folder / "figures.py").write_text(
        "from twolayer import Paper\npaper = Paper('mine', 'me')\n"
        "@paper.figure('theorem', 'Loss.', on={'one': 'loss'})\n"
        "def film(canvas, run):\n"
        "    axes = canvas.subplots()\n"
        "    for time in run.time.values:\n"
        "        axes.set_title(f'{time:g}')\n"
        "        yield\n"
    )
    dataset = twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 2, "teachers": 1},
            "network": {"neurons": 1},
            "initialization": {"name": "gaussian", "scale": 0.5},
            "dynamics": {"name": "gradient_descent", "step_size": 0.5},
            "times": {"steps": [1, 2]},
            "seeds": 1,
        },
        "numpy",
    )
    canvas = twolayer.figure("mine.film", dataset, plugin_paths=[str(tmp_path)])
    assert canvas.axes[0].get_title() == "1"
