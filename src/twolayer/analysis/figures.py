"""Figures: how a plugin draws one, and how it is written to a file with its caption below it."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twolayer.errors import ConfigError
from twolayer.storage import atomic

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Planned", "figure", "render", "style_file"]

Status = Literal["published", "inferred", "theorem"]
Draw = Callable[["Figure", Mapping[str, "xr.Dataset"]], Any]
Planned = tuple[Sequence[Mapping[str, Any]], Sequence[str]]
"""An experiment before it is run: the sections of its runs, and its metrics."""

CAPTION_SIZE = 6.5
"""Points; a letter is about 0.57 times as wide."""

FILM_RESOLUTION = 150
"""Pixels per inch."""


@dataclass(frozen=True)
class Drawing:
    """A figure plugin: the function that draws, and what is printed with the figure.

    status: `published` (setting and axes are the paper's), `inferred` (setting reconstructed) or `theorem`
    (no such figure in the paper: a check of a statement).
    size: width and height in inches, without the caption. A draw that yields is an animation, one frame per yield.
    It may yield the artists that move: then only these are drawn again, in this order and on top.
    files: netCDF files, relative to the plugin's file, that it is drawn from too, in `data` under their stems.
    experiments: what it is drawn from, unless the config names others.
    caption: a text, or a function of the data that says what was run.
    validate: a DataError where it could not show these experiments.
    """

    draw: Draw
    status: Status
    caption: str | Callable[[Mapping[str, xr.Dataset]], str]
    size: tuple[float, float] = (6.0, 4.0)
    frames_per_second: int = 20
    files: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    validate: Callable[[Mapping[str, Planned]], None] = lambda planned: None

    @property
    def animated(self) -> bool:
        """Whether it is an animation."""
        return inspect.isgeneratorfunction(self.draw)


def figure(
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
) -> None:
    """Draw a figure and write it to each output (.pdf, .png, .mp4); the same data give the same bytes.

    changed: by experiment, the settings that are not the paper's, which the caption says.
    """
    import matplotlib
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    lines = caption_lines(drawing, name, data, changed or {})
    foot = (len(lines) * CAPTION_SIZE * 1.35 + 6) / 72
    width, height = drawing.size
    with styles.context([style] if style else []):
        canvas = Figure(figsize=(width, height + foot), layout="constrained")
        canvas.get_layout_engine().set(rect=(0, foot / (height + foot), 1, height / (height + foot)))  # type: ignore[union-attr,call-arg]
        canvas.text(
            0.012, 0.5 * foot / (height + foot), "\n".join(lines), fontsize=CAPTION_SIZE, color="0.3",
            va="center", linespacing=1.25, in_layout=False,
        )  # fmt: skip
        drawn = drawing.draw(canvas, data)
        for output in outputs:
            if drawing.animated:
                atomic.write(
                    output, lambda temporary: film(canvas, drawn, temporary, drawing), verify=not_empty
                )
            else:
                metadata = {"Title": name, "Subject": " ".join(lines)}
                stamp = {"CreationDate": None} if output.suffix == ".pdf" else {"Software": None}
                if output.suffix == ".png":
                    metadata = {"Title": name, "Description": " ".join(lines)}
                atomic.write(
                    output,
                    lambda temporary, metadata={**metadata, **stamp}: canvas.savefig(
                        temporary, metadata=metadata
                    ),  # type: ignore[misc]
                    verify=not_empty,
                )
                canvas.set_layout_engine("none")  # laid out once, so that all files are the same


def film(canvas: Figure, frames: Any, output: Path, drawing: Drawing) -> None:
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
        fps=drawing.frames_per_second,
        macro_block_size=1,
        quality=None,
        codec="libx264",
        ffmpeg_log_level="error",
        output_params=[*reproducible, *even],
    )
    writer.send(None)
    background: Any = None
    for moving in frames:
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
    writer.close()


def not_empty(path: Path) -> None:
    """Refuse a file without content."""
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")


def caption_lines(
    drawing: Drawing, name: str, data: Mapping[str, xr.Dataset], changed: Mapping[str, str]
) -> list[str]:
    """The text below the figure: its status, what it shows, what was changed, and what was run, one experiment per
    line."""
    letters = int(drawing.size[0] * 72 / (CAPTION_SIZE * 0.57))
    caption = drawing.caption if isinstance(drawing.caption, str) else drawing.caption(data)
    text = [f"{name} [{drawing.status}]. {caption}"]
    text += [f"Changed setting of {experiment}: {changes}." for experiment, changes in changed.items()]
    text += [f"{experiment}: {summary(dataset)}" for experiment, dataset in data.items() if "run" in dataset]
    return [line for part in text for line in textwrap.wrap(part, letters)]


def summary(dataset: xr.Dataset) -> str:
    """What was run, in one line: the sections of the run, and the range of the swept values."""
    runs = [json.loads(text) for text in dataset["run"].values.ravel() if text]
    first = runs[0]
    swept = {word: [run["swept"][word] for run in runs] for word in first["swept"]}
    network = first["network"]
    sections = {
        "problem": section_summary(first["problem"], swept),
        "network": "" if "neurons" in swept else f"m = {network['neurons']}",
        "activation": f"{network['activation']}, {network['output']} outputs",
        "initialization": section_summary(first["initialization"], swept),
        "dynamics": section_summary(first["dynamics"], swept),
        "dtype": first["dtype"],
    }
    parts = [text for key, text in sections.items() if text and key not in swept]
    parts.append(f"{len(first['seeds'])} seed{'s' if len(first['seeds']) > 1 else ''}")
    for word, values in swept.items():
        distinct = list(dict.fromkeys(values))
        ends = distinct if len(distinct) < 4 else [distinct[0], "…", distinct[-1]]
        parts.append(f"runs with {word} = {', '.join(brief(value) for value in ends)}")
    return "; ".join(parts) + "."


def section_summary(section: Mapping[str, Any], swept: Mapping[str, Any]) -> str:
    """A section's name with its parameters that are one number or word and were not swept."""
    parameters = [
        f"{key} {brief(value)}"
        for key, value in section.items()
        if key not in ("name", "path", *swept)
        and isinstance(value, int | float | str)
        and not isinstance(value, bool)
    ]
    if section.get("path"):
        parameters.append(Path(section["path"]).name)
    return section["name"].replace("_", " ") + (f" ({', '.join(parameters)})" if parameters else "")


def brief(value: Any) -> str:
    """A number to three digits, or a word."""
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("_", " ")


def style_file() -> Path:
    """The house style of the figures."""
    package = Path(__file__).parents[1]
    for style in (package / "figures.mplstyle", package.parents[1] / "workflow" / "figures.mplstyle"):
        if style.is_file():
            return style
    raise ConfigError("figures.mplstyle is missing from the installation")
