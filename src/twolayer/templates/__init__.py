"""Plugins to begin with: `twolayer new KIND NAME` writes one that works, with its test.

A template is a file of this folder; $name, $Class, $kind and $folder stand for what is written in their place.
"""

from __future__ import annotations

import keyword
from pathlib import Path

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.plugin_checks import RESERVED
from twolayer.study.registry import load, plugin_folder

__all__ = ["TEMPLATES", "write"]

PLUGINS = {
    "activation": ("activations", '"$name"'),
    "loss": ("losses", '"$name"'),
    "problem": ("problems", '{"name": "$name", "samples": 4, "dimension": 3}'),
    "initialization": ("initializations", '{"name": "$name", "radius": 0.5}'),
    "dynamics": ("dynamics", '{"name": "$name", "step_size": 0.02}'),
    "metric": ("metrics", '"$name"'),
    "backend": ("backends", '"$name"'),
}
"""By the word of the command: the kind, and the section by which the test names the plugin."""

TEMPLATES = (*PLUGINS, "paper")

PAPER = ("experiments.yaml", "theory.py", "figures.py", "claims.py")
"""The files of a paper."""


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a plugin below a folder of plugins, and its test next to that folder; the files, which must not exist."""
    kind = {plural: word for word, (plural, _) in PLUGINS.items()}.get(kind, kind)
    if kind not in TEMPLATES:
        raise ConfigError(f"new: {unknown_name('kind', kind, TEMPLATES)}")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(
            f"new: a name of letters, digits and '_' that begins with a letter, and no word of Python, not {name!r}"
        )
    texts: dict[Path, str]
    if kind == "paper":
        place = folder / "papers" / name
        texts = {
            **{place / file: template(f"paper/{file}") for file in PAPER},
            tests_of(folder) / f"test_{name}.py": template("paper/test.py"),
        }
        plural, section = "papers", ""
    else:
        plural, section = PLUGINS[kind]
        refuse_taken(plural, name, folder)
        texts = {
            folder / plural / f"{name}.py": template(f"{kind}.py"),
            tests_of(folder) / f"test_{name}.py": template("test.py").replace("$section", section),
        }
    for file in texts:
        if file.exists():
            raise ConfigError(f"new: {file}: is there already; choose another name")
    words = {"$name": name, "$Class": class_name(name), "$kind": plural, "$folder": folder.resolve().name}
    for file, text in texts.items():
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(texts)


def refuse_taken(kind: str, name: str, folder: Path) -> None:
    """A ConfigError where a plugin of the kind has the name, or where none may have it."""
    if kind == "metrics" and name in RESERVED:
        raise ConfigError(f"new: every dataset has a dimension or variable '{name}'; choose another name")
    further = folder.is_dir() and folder.resolve() != plugin_folder().resolve()
    registry = load([folder] if further else [], kinds=[kind])
    if name in registry.names(kind):
        file = registry.find(kind, name).file
        raise ConfigError(f"new: there is a plugin '{name}' of {kind} already ({file}); choose another name")


def template(name: str) -> str:
    """The template of a file."""
    return (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")


def tests_of(folder: Path) -> Path:
    """Where the test of a plugin goes: `tests` next to its folder."""
    return folder.parent / "tests"


def class_name(name: str) -> str:
    """`HeavyBall` of `heavy_ball`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
