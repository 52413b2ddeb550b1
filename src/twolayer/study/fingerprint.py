"""What code a result depends on: a hash over the files of a stage, following their imports.

Content counts, not time stamps, so a fresh checkout or a touched file reruns nothing. The closure is read
from the sources (`ast`), imports inside functions included; it stays within this package, a plugin's own
folder and a plugin's own package. Third-party libraries are recorded by version in each file instead.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

__all__ = ["closure", "code_of", "population_of"]

PACKAGE = Path(__file__).parents[1]

KERNELS = ("finite/numba_descent.py",)
"""The kernels of every backend count for training: which one ran is no part of a run's identity."""


POPULATION = (
    "population/problem.py",
    "population/numba_descent.py",
    "population/numba_flow.py",
    "population/cuda_descent.py",
    "population/cuda_descent.cu",
    "population/flow.py",
)
"""What training and measuring on a teacher run, and on finite data do not."""


def population_of(problem: Path | None) -> list[Path]:
    """The code of population problems, for a problem plugin that makes a teacher (which it must import)."""
    files = [PACKAGE / name for name in POPULATION if (PACKAGE / name).is_file()]
    return files if problem is not None and files[0].resolve() in closure([problem.resolve()]) else []


def code_of(stage: str, plugins: Iterable[Path | None] = ()) -> str:
    """A hash over the code of a stage, the given plugin files and all that they import, 16 hex digits."""
    core = [PACKAGE / "stages" / f"{stage}.py", *(PACKAGE / name for name in KERNELS if stage == "train")]
    return digest(frozenset(file.resolve() for file in (*core, *plugins) if file is not None))


@cache
def digest(files: frozenset[Path]) -> str:
    """The hash for a set of files; cached, since many runs share one."""
    hashes = sorted(hashlib.sha256(file.read_bytes()).digest() for file in closure(files))
    return hashlib.sha256(b"".join(hashes)).hexdigest()[:16]


def closure(files: Iterable[Path]) -> set[Path]:
    """The files and all that they import, directly or not."""
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imports(file)
    return seen


@cache
def imports(file: Path) -> tuple[Path, ...]:
    """The files of ours that one file imports."""
    if file.suffix != ".py":
        return ()
    return tuple(dict.fromkeys(found for found in imported(file) if found != file))


def imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from module_files(alias.name, file)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                above = node.module.split(".") if node.module else []
                for alias in node.names:
                    yield from in_folder(file.parents[node.level - 1], [*above, alias.name])
            elif node.module == "twolayer":
                for alias in node.names:
                    yield from exported(alias.name)
            elif node.module:
                for alias in node.names:  # a name may be a module
                    yield from module_files(f"{node.module}.{alias.name}", file)


def exported(name: str) -> Iterator[Path]:
    """The file behind `from twolayer import name`: a module, or one of the lazily exported names."""
    from twolayer import EXPORTS

    yield from in_folder(PACKAGE, EXPORTS.get(name, name).split("."))


def module_files(module: str, importer: Path) -> Iterator[Path]:
    """The file of a module of this package or of the importing plugin's own package."""
    first, *rest = module.split(".")
    if first == "twolayer":
        yield from in_folder(PACKAGE, rest)
    elif first in importer.parts and (spec := importlib.util.find_spec(first)) and spec.origin:
        yield from in_folder(Path(spec.origin).parent, rest)


def in_folder(folder: Path, names: list[str]) -> Iterator[Path]:
    """The module `names` below a folder, as a file or a package, with the packages on the way."""
    for name in names:
        folder = folder / name
        for file in (folder.with_suffix(".py"), folder / "__init__.py"):
            if file.is_file():
                yield file.resolve()
