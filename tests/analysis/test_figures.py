"""Figures as files: what stands on their face, the house style whoever draws, lettered panels, films."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from twolayer.analysis.claims import Claim
from twolayer.analysis.comparison import Result
from twolayer.analysis.drawing import reference, show_all, space_labels
from twolayer.analysis.face import FACE_SIZE, Face, broken, length_of, verdict_line
from twolayer.analysis.figures import Drawing, drawing, letter_panels, render, style_file, styled
from twolayer.errors import DataError


@drawing("theorem", "Two panels of $x^2$.", size=(5.5, 2.0))
def two_panels(canvas: Figure, data: Mapping[str, xr.Dataset]) -> None:
    for axes in canvas.subplots(1, 2):
        axes.plot([0, 1], [0, 1], label="line")
        axes.set(xlabel="time $t$", ylabel="loss $L$")
        axes.legend()


@drawing("inferred", "A line that grows.", size=(3.0, 2.0), frames_per_second=10)
def growing(canvas: Figure, data: Mapping[str, xr.Dataset]) -> Any:
    axes = canvas.subplots()
    (line,) = axes.plot([], [])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for end in (0.2, 0.6, 1.0):
        line.set_data([0, end], [0, end])
        yield [line]


def row(name: str, verdict: str) -> dict[str, str]:
    return {"claim": name, "verdict": verdict}


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([row("a", "holds")], "Claims: 1 holds."),
        ([row("a[1]", "holds"), row("a[2]", "holds")], "Claims: 2 hold."),
        ([row("a", "holds"), row("b[k = 2]", "fails")], "Claims: 1 holds; 1 does not: b[k = 2]."),
        (
            [
                row("a[1]", "fails"),
                row("a[2]", "not reproduced under this reading"),
                row("c", "inconclusive"),
            ],
            "Claims: 0 hold; 2 do not: a (2 cases); 1 inconclusive: c.",
        ),
    ],
)
def test_the_face_counts_verdicts_and_names_what_does_not_hold(rows: Any, line: str) -> None:
    assert verdict_line(rows) == line


WORDS = st.lists(
    st.sampled_from(["descent", "η", "of", "$\\frac{1}{2} x + y$", "($T^{-3}$)", "σ√d", "network.neurons:"]),
    min_size=1,
    max_size=40,
)


@given(WORDS, st.integers(60, 400))
def test_lines_fit_and_mathematics_stays_whole(words: list[str], width: int) -> None:
    lines = broken(" ".join(words), width)
    assert " ".join(lines) == " ".join(words)
    for line in lines:
        assert line.count("$") % 2 == 0
        alone = " " not in line.replace("$\\frac{1}{2} x + y$", "")
        assert alone or length_of(line) <= width


def test_the_face_has_room_below_the_panels_and_inside_the_paper() -> None:
    claims = [row(f"claim_{index}", "fails") for index in range(20)]
    long = Face("paper.figure", "published", "A sentence that is long. " * 12, claims=claims)
    canvas = Figure(figsize=(5.5, 2 + long.height(5.5)), dpi=100)
    long.write(canvas)
    canvas.draw_without_rendering()
    for text in canvas.findobj(Text):
        if text.get_text():
            box = text.get_window_extent()
            assert 0 <= box.x0 < box.x1 <= 550
            assert 0 <= box.y0 < box.y1 <= 100 * long.height(5.5)


def test_lines_of_the_face_are_evenly_apart_whatever_mathematics_they_have() -> None:
    plain, tall = "Words and more words. " * 9, r"A root $\arccos(1/\sqrt{k})$ and words. " * 9
    baselines = []
    for caption in (plain, tall):
        canvas = Figure(figsize=(7.0, 3.0))
        Face("paper.figure", "theorem", caption, changed={"rate": "seeds: 3"}).write(canvas)
        baselines.append([text.get_position()[1] for text in canvas.texts[2:] if text.get_va() == "baseline"])
    assert min(map(len, baselines)) >= 3
    for found in baselines:
        np.testing.assert_allclose(np.diff(found), np.diff(found)[0])


def test_what_the_face_says_is_in_the_json_and_on_the_claims_evaluated(tmp_path: Path) -> None:
    def check(data: Mapping[str, xr.Dataset]) -> Mapping[str, Result]:
        assert list(data) == ["one"]
        return {case: Result(1.0, 1.0, "at most", case, "") for case in ("holds", "fails")}

    data = {"one": xr.Dataset({"loss": ("time", np.arange(3.0))})}
    claims = {"rate": Claim(check, "L falls", "here", "derived", ("one",))}
    render(two_panels, "paper.two", data, [tmp_path / "two.json"], style_file(), {"one": "x: 1 → 2"}, claims)
    found = json.loads((tmp_path / "two.json").read_text())
    assert found["status"] == "theorem"
    assert found["caption"] == "Two panels of $x^2$."
    assert found["changed"] == {"one": "x: 1 → 2"}
    assert found["claims"] == {"rate[holds]": "holds", "rate[fails]": "fails"}


def test_personal_settings_of_matplotlib_change_nothing(tmp_path: Path) -> None:
    render(two_panels, "paper.two", {}, [tmp_path / "plain.png", tmp_path / "plain.pdf"], style_file())
    (tmp_path / "matplotlibrc").write_text(
        "axes.facecolor: black\nfigure.facecolor: red\nfont.size: 30\nsavefig.dpi: 20\ntext.usetex: True\n"
        "axes.prop_cycle: cycler('color', ['111111'])\nfigure.constrained_layout.use: True\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_figures import render, style_file, two_panels\n"
        "import matplotlib; assert matplotlib.rcParams['font.size'] == 30\n"
        "render(two_panels, 'paper.two', {}, [Path('mine.png'), Path('mine.pdf')], style_file())\n"
    )
    environment = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for suffix in ("png", "pdf"):
        mine, plain = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("mine", "plain"))
        assert mine == plain


def test_letters_of_the_house_style_are_at_least_seven_points() -> None:
    with matplotlib.style.context([style_file()], after_reset=True):
        canvas = Figure(figsize=(5.5, 3.0))
        two_panels.draw(canvas, {})
        letter_panels(canvas)
        canvas.draw_without_rendering()
        sizes = [text.get_fontsize() for text in canvas.findobj(Text) if text.get_text()]
    assert min(sizes) >= FACE_SIZE


def test_panels_are_lettered_once() -> None:
    canvas = Figure()
    grid = canvas.subplots(2, 2)
    grid[0, 0].twinx()
    grid[1, 1].set_axis_off()
    canvas.colorbar(grid[0, 1].imshow(np.eye(2)), ax=grid[0, 1])
    letter_panels(canvas)
    letters = [text.get_text() for axes in canvas.axes for text in axes.texts]
    assert letters == ["a", "b", "c"]
    single = Figure()
    single.subplots()
    letter_panels(single)
    assert not single.axes[0].texts


def test_a_film_has_its_last_frame_as_a_picture_and_ends_on_it(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("film.mp4", "film.mp4.png", "film.mp4.json")]
    render(growing, "paper.growing", {}, outputs, style_file())
    assert all(path.stat().st_size for path in outputs)
    poster = imread(outputs[1])
    height, width = poster.shape[:2]
    blue = np.abs(poster[..., :3] - np.array([0x00, 0x72, 0xB2]) / 255).sum(axis=-1) < 0.2
    assert blue[: height // 2, width // 2 :].any(), "the line reaches its end in the picture"
    import imageio_ffmpeg

    frames, _ = imageio_ffmpeg.count_frames_and_secs(outputs[0])
    assert frames == 3 + 15


def test_a_figure_without_metadata_of_runs_has_only_its_sentence() -> None:
    drawing = Drawing(lambda canvas, data: None, "published", lambda data: f"{len(data)} experiments.")
    face = drawing.face("paper.figure", {"one": xr.Dataset(), "two": xr.Dataset()})
    assert face.paragraphs() == ["2 experiments."]
    assert face.text().strip() == "paper.figure [published]. 2 experiments."


@pytest.mark.parametrize("limits", [(1.5e-3, 8e-2), (2e-3, 9e-3), (1e-3, 1e1), (3.0, 3.5)])
@pytest.mark.parametrize("columns", [2, 3])
def test_labels_of_a_logarithmic_axis_do_not_lie_on_each_other(
    limits: tuple[float, float], columns: int
) -> None:
    """Narrow panels with fewer than two powers of ten in view, which Matplotlib labels in between; beside a legend."""
    with styled(style_file()):
        canvas = Figure(figsize=(7.0, 3.0), layout="constrained")
        for axes in canvas.subplots(1, columns):
            axes.set(xscale="log", xlim=limits)
        axes.plot(limits, [0, 1], label="a legend beside the panels")
        if columns < 3:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        space_labels(canvas)
        canvas.draw_without_rendering()
        for axes in canvas.axes:
            found = [label for label in axes.get_xticklabels(which="both") if label.get_text()]
            boxes = [label.get_window_extent() for label in found]
            inside = [box for box in boxes if axes.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1 + 1]
            assert inside
            inside.sort(key=lambda box: box.x0)
            assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(inside))


@drawing("theorem", "A function $f'$.", size=(3.0, 2.0))
def derivative(canvas: Figure, data: Mapping[str, xr.Dataset]) -> None:
    canvas.subplots().set_ylabel("$f'$")


def test_a_prime_leaves_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The letters of a PDF with a prime are in a font whose date is before 1970."""
    outputs = [tmp_path / name for name in ("derivative.pdf", "derivative.png", "derivative.json")]
    render(derivative, "p.derivative", {}, outputs, style_file())
    assert b"Cmsy10" in outputs[0].read_bytes()
    assert not caplog.records


def test_panels_that_show_nothing_are_told_of(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("figure.pdf", "figure.png", "figure.json")]

    @drawing("theorem", "Panels.")
    def panels(canvas: Figure, data: Mapping[str, xr.Dataset]) -> None:
        first, second, third, fourth = canvas.subplots(1, 4)
        first.plot([1, 2], [np.nan, np.nan])
        second.plot([1, np.nan], [2, 1])
        third.text(0.5, 0.5, "a word")
        fourth.set_axis_off()

    note = "p.figure: panel 1 of 4 shows nothing: no finite number is drawn"
    assert render(panels, "p.figure", {}, outputs, style_file()) == (note,)
    assert render(two_panels, "p.figure", {}, outputs, style_file()) == ()

    @drawing("theorem", "On another figure.")
    def elsewhere(canvas: Figure, data: Mapping[str, xr.Dataset]) -> None:
        Figure().subplots().plot([1, 2])

    with pytest.raises(DataError, match=r"^p\.figure: draws nothing on the figure that it is handed"):
        render(elsewhere, "p.figure", {}, outputs, style_file())


@pytest.mark.parametrize("place", ["caption", "title"])
def test_mathematics_that_is_none_is_quoted(tmp_path: Path, place: str) -> None:
    text = r"A $\fooo{x}$."

    @drawing("theorem", text if place == "caption" else "Fine.")
    def wrong(canvas: Figure, data: Mapping[str, xr.Dataset]) -> None:
        canvas.subplots().set_title(text if place == "title" else "fine")

    outputs = [tmp_path / "figure.pdf"]
    with pytest.raises(
        DataError, match=r"^p\.figure: the mathematics '\\\\fooo\{x\}' is not known .*Unknown symbol"
    ):
        render(wrong, "p.figure", {}, outputs, style_file())
    assert not outputs[0].exists()


def test_upper_limits_do_not_cut_what_was_measured() -> None:
    """Lines and points above the limit raise it; references, and values below it, do not."""
    left, right = Figure().subplots(1, 2)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlim=(1, 10), ylim=(1e-3, 8))
        reference(axes, [1, 1e6], [1, 1e6])
        axes.plot([2, 5], [1e-9, 7.0])
        axes.axhline(1e5)
        show_all(axes)
        assert axes.get_xlim() == (1, 10)
        assert axes.get_ylim() == (1e-3, 8)
    left.plot([20], [50.0], "o")
    left.plot([np.nan], [np.inf], "o")
    show_all(left, "y")
    assert left.get_xlim() == (1, 10)
    assert left.get_ylim() == (1e-3, 100.0)
    show_all(left)
    assert left.get_xlim() == (1, 40)
