"""Figures: how a plugin draws one, and how it is written to files with its face at the foot."""

from __future__ import annotations

import contextlib
import inspect
import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twolayer.analysis.claims import Claim, evaluate
from twolayer.analysis.drawing import space_labels
from twolayer.analysis.face import Face, run_summary
from twolayer.analysis.matplotlib_internals import speed_up
from twolayer.errors import ConfigError, DataError
from twolayer.storage import atomic, checksum

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Planned", "drawing", "render", "style_file", "styled"]

Status = Literal["published", "inferred", "theorem"]
Draw = Callable[["Figure", Mapping[str, "xr.Dataset"]], Any]
Text = str | Callable[[Mapping[str, "xr.Dataset"]], str]
Planned = tuple[Sequence[Mapping[str, Any]], Sequence[str]]
"""An experiment before it is run: the sections of its runs, and its metrics."""

STILL = (".pdf", ".png")
"""What a still figure is written as."""

FILM_RESOLUTION = 150
"""Pixels per inch."""

HELD = 1.5
"""Seconds for which the last frame of a film stands."""


@dataclass(frozen=True)
class Drawing:
    """A figure plugin: the function that draws, and what is printed with the figure.

    status: `published` (setting and axes are the paper's), `inferred` (setting reconstructed) or `theorem`
    (no such figure in the paper: a check of a statement).
    size: width and height in inches, without the caption. A draw that yields is an animation, one frame per yield.
    It may yield the artists that move: then only these are drawn again, in this order and on top.
    files: netCDF files, relative to the plugin's file, that it is drawn from too, in `data` under their stems.
    experiments: what it is drawn from, unless the config names others.
    caption: the sentence on its face, a text or a function of the data. details: what else a reader may ask, in the
    gallery and in the files' metadata, likewise.
    validate: a DataError where it could not show these experiments.
    citation: the paper, as it is cited.
    """

    draw: Draw
    status: Status
    caption: Text
    size: tuple[float, float] = (6.0, 4.0)
    frames_per_second: int = 20
    files: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    validate: Callable[[Mapping[str, Planned]], None] = lambda planned: None
    details: Text = ""
    citation: str = ""

    @property
    def animated(self) -> bool:
        """Whether it is an animation."""
        return inspect.isgeneratorfunction(self.draw)

    def face(
        self,
        name: str,
        data: Mapping[str, xr.Dataset],
        changed: Mapping[str, str] | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> Face:
        """Its face under a name, drawn from data; `changed` and `rows` (of claims) as for a `Face`."""
        caption, details = (
            text if isinstance(text, str) else text(data) for text in (self.caption, self.details)
        )
        runs = {experiment: run_summary(dataset) for experiment, dataset in data.items() if "run" in dataset}
        return Face(name, self.status, caption, details, changed or {}, runs, rows)

    def canvas(self, face: Face) -> Figure:
        """An empty figure of its size, with a face at the foot."""
        from matplotlib.figure import Figure

        width, height = self.size
        foot = face.height(width)
        canvas = Figure(figsize=(width, height + foot), layout="constrained")
        canvas.get_layout_engine().set(rect=(0, foot / (height + foot), 1, height / (height + foot)))  # type: ignore[union-attr,call-arg]
        face.write(canvas)
        return canvas


def drawing(
    status: Status,
    caption: str,
    size: tuple[float, float] = (6.0, 4.0),
    frames_per_second: int = 20,
    files: Sequence[str] = (),
) -> Callable[[Draw], Drawing]:
    """Mark `draw(figure, data)` as a figure; `data` maps the experiments' names to their datasets."""
    return lambda draw: Drawing(draw, status, caption, size, frames_per_second, tuple(files))


def render(
    drawing: Drawing,
    name: str,
    data: Mapping[str, xr.Dataset],
    outputs: Sequence[Path],
    style: Path | None,
    changed: Mapping[str, str] | None = None,
    claims: Mapping[str, Claim] | None = None,
    claim_data: Mapping[str, xr.Dataset] | None = None,
    made: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Draw a figure and write it to each output (.pdf, .png, .mp4, and .json: what its face says); the same data give
    the same bytes. Returns a note on each panel that shows nothing.

    style: a matplotlib style on top of matplotlib's defaults: nobody's settings change a figure.
    changed: by experiment, the settings that are not the paper's, which the face says.
    claims: those whose verdicts stand on the face. claim_data: what they are evaluated on besides `data`.
    made: how the figure was made, further entries of the .json (`analysis.description`).
    """
    speed_up()
    rows = evaluate(claims or {}, {**data, **(claim_data or {})}, changed)
    face = drawing.face(name, data, changed, rows)
    with styled(style), mathematics(name):
        canvas = drawing.canvas(face)
        drawn = drawing.draw(canvas, data)
        notes = () if drawing.animated else empty_panels(canvas, name)
        if drawing.animated:
            films, posters = ([path for path in outputs if path.suffix == end] for end in (".mp4", ".png"))
            for output in films:
                atomic.write(
                    output,
                    lambda aside: film(canvas, drawn, aside, drawing.frames_per_second),
                    verify=not_empty,
                )
        else:
            letter_panels(canvas)
            space_labels(canvas)
            posters = [path for path in outputs if path.suffix != ".json"]
        for output in posters:
            write_still(canvas, output, face)
    for output in outputs:
        if output.suffix == ".json":
            files = {path.name: checksum.of_file(path) for path in outputs if path != output}
            write_record({**face.record(), **(made or {}), "checksums": files}, output)
    return notes


def styled(style: Path | None) -> contextlib.AbstractContextManager[None]:
    """In this context a style counts on top of matplotlib's defaults, whatever a user's matplotlibrc says."""
    from matplotlib import style as styles

    return styles.context([style] if style else [], after_reset=True)


def write_record(record: Mapping[str, Any], output: Path) -> None:
    """Write what a face says, and how the figure was made."""
    text = json.dumps(checksum.signed_record(record), indent=1, ensure_ascii=False) + "\n"
    atomic.write_text(output, text)


@contextlib.contextmanager
def mathematics(name: str) -> Iterator[None]:
    """A DataError for a text between dollars that is no mathematics of Matplotlib's."""
    try:
        yield
    except ValueError as error:
        if "Parse" not in str(error):  # ParseFatalException, ParseSyntaxException
            raise
        what = str(error).strip().splitlines()
        raise DataError(
            f"{name}: the mathematics {what[0]!r} is not known to Matplotlib: {what[-1]}"
        ) from None


def empty_panels(canvas: Figure, name: str) -> tuple[str, ...]:
    """A note on each panel that shows no finite number; a DataError for a figure without any panel."""
    if not canvas.axes:
        raise DataError(f"{name}: draws nothing on the figure that it is handed; axes = figure.subplots()")
    notes = []
    for number, axes in enumerate(canvas.axes, 1):
        shown = [*axes.collections, *axes.images, *axes.patches, *axes.texts, *axes.tables, *axes.artists]
        points = any(
            np.isfinite(np.asarray(line.get_xydata(), float)).all(axis=-1).any() for line in axes.lines
        )
        if axes.get_visible() and axes.axison and not shown and not points:
            notes.append(
                f"{name}: panel {number} of {len(canvas.axes)} shows nothing: no finite number is drawn"
            )
    return tuple(notes)


def write_still(canvas: Figure, output: Path, face: Face) -> None:
    """Write a figure as it stands."""
    if output.suffix not in STILL:
        raise DataError(f"{output}: a figure is written as {', '.join(STILL)}; an animation as .mp4")
    if output.suffix == ".pdf":
        metadata = {"Title": face.name, "Subject": face.text(), "CreationDate": None}
    else:
        metadata = {"Title": face.name, "Description": face.text(), "Software": None}

    def produce(aside: Path) -> None:
        with mathematics(face.name):
            canvas.savefig(aside, metadata=metadata)

    atomic.write(output, produce, verify=not_empty)
    # laid out once, so that all files are the same; "none" would draw each twice
    canvas.set_layout_engine(None)


def letter_panels(canvas: Figure) -> None:
    """a, b, c, … above the panels' upper left corners, where there are several: not colour bars, nor a second pair of
    axes in the place of another."""
    panels: list[Any] = []
    for axes in canvas.axes:
        place = axes.get_position(original=True).bounds
        taken = any(place == other.get_position(original=True).bounds for other in panels)
        if axes.get_visible() and axes.axison and axes.get_label() != "<colorbar>" and not taken:
            panels.append(axes)
    for letter, axes in zip(string.ascii_lowercase, panels if len(panels) > 1 else [], strict=False):
        axes.annotate(
            letter, (0, 1), xycoords="axes fraction", xytext=(-3, 3), textcoords="offset points",
            ha="right", va="bottom", fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def film(canvas: Figure, frames: Any, output: Path, frames_per_second: int) -> None:
    """Write the frames of an animation as H.264, with the ffmpeg that comes from the package index."""
    import imageio_ffmpeg
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas.set_dpi(FILM_RESOLUTION)
    page: Any = FigureCanvasAgg(canvas)
    width, height = page.get_width_height()
    reproducible = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
    even = ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2"]  # yuv420p needs even numbers of pixels
    writer = imageio_ffmpeg.write_frames(
        output,
        (width, height),
        pix_fmt_in="rgba",
        fps=frames_per_second,
        macro_block_size=1,
        quality=None,
        codec="libx264",
        ffmpeg_log_level="error",
        output_params=[*reproducible, *even],
    )
    writer.send(None)
    background: Any = None
    for moving in frames:
        if background is None:
            letter_panels(canvas)
            space_labels(canvas)
        for artist in moving or ():
            artist.set_animated(True)  # drawn apart from the background
        if background is None or not moving:
            canvas.draw_without_rendering()  # lays out ticks and title
            page.draw()
            background = page.copy_from_bbox(canvas.bbox)
            canvas.set_layout_engine("none")  # laid out once, so that the axes do not move
        else:
            page.restore_region(background)
        for artist in moving or ():
            canvas.draw_artist(artist)
        writer.send(page.buffer_rgba())
    for _ in range(int(HELD * frames_per_second)):
        writer.send(page.buffer_rgba())
    writer.close()


def not_empty(path: Path) -> None:
    """Refuse a file without content."""
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")


def style_file() -> Path:
    """The house style of the figures."""
    package = Path(__file__).parents[1]
    for style in (package / "figures.mplstyle", package.parents[1] / "workflow" / "figures.mplstyle"):
        if style.is_file():
            return style
    raise ConfigError("figures.mplstyle is missing from the installation")
