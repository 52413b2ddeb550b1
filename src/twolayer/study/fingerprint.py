"""What code a result depends on: a hash over what the files of a stage compute, following their imports.

Content counts, not time stamps, so a fresh checkout or a touched file reruns nothing. Of a file counts what can
change a number: no comment, docstring, layout, error, check of config or note. Imports are read from the sources
(`ast`); they are followed within this package, a plugin's folder and a plugin's package. An acceleration
counts for the law of data and the kind of dynamics that it serves. Third-party libraries are recorded by version
in each file instead.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

__all__ = ["closure", "code_of", "read_package"]

PACKAGE = Path(__file__).parents[1]

FACTS = PACKAGE / "__pycache__" / "facts"
"""Where what was read from sources is kept."""
OWN_TEXT = Path(__file__).read_bytes()
"""Which decides what is read from them."""

ACCELERATIONS = {
    ("finite", "descent"): ("finite/numba_descent.py", "kernels/minibatch.py"),
    ("finite", "flow"): ("finite/flow/*.py",),
    ("population", "descent"): (
        "population/numba_descent.py",
        "population/fused_descent.py",
        "population/numba_one_pass.py",
        "population/angle_polynomial.py",
        "population/cuda_descent.py",
        "population/cuda_descent.cu",
        "population/cuda_directions.cu",
        "population/cuda_near_descent.cu",
        "population/cuda_batches.py",
        "population/cuda_batches.cu",
        "kernels/minibatch.py",
        "kernels/normals.py",
        "core/counter.py",
    ),
    ("population", "flow"): (
        "population/flow.py",
        "population/flow_integrator.py",
        "population/ode_system.py",
        "population/at_zero.py",
        "population/numba_flow.py",
        "population/numba_hessian.py",
        "population/numba_law.py",
        "population/numba_modes.py",
        "population/numba_radau.py",
        "population/numba_radau_step.py",
        "population/numba_units.py",
        "population/radau_memory.py",
        "population/numba_stages.py",
        "population/radau_tables.py",
    ),
}
"""What computes for one law of data and one kind of dynamics. All backends' count: which one ran is no part of a run's
identity. Whatever else is imported counts for all."""

PAGES = ("gallery", "explore")
"""The stages that fill templates."""

WITHOUT_NUMBERS = (
    "errors.py",
    "core/progress.py",
    "population/stability.py",
    "storage/atomic.py",
    "study/registry.py",
    "study/schema.py",
    "training/diagnosis.py",
)
"""What refuses, finds, reports or moves a file into its place, and computes no number of a result."""

CHECKS = re.compile(r"validate\w*|_?refuse\w*")
"""The names of functions that only check, where they return nothing."""


def code_of(
    stage: str, plugins: Iterable[Path | None] = (), laws: Iterable[str] = (), kinds: Iterable[str] = ()
) -> str:
    """A hash over the code of a stage, the given plugin files and all that they import, 16 hex digits.

    laws: `finite`, `population`, the laws of data it works on. kinds: `descent`, `flow`, the kinds of dynamics.
    """
    core, left_out = of_package(stage, frozenset(laws), frozenset(kinds))
    return digest(core | {resolved(file) for file in plugins if file is not None}, left_out)


def read_package() -> None:
    """Read the sources of this package ahead, for all that this process and its copies ask of them."""
    for file in PACKAGE.rglob("*.py"):
        computed(resolved(file))
        imports(resolved(file))
    for law, kind in ACCELERATIONS:
        accelerations(law, kind)


@cache
def of_package(
    stage: str, laws: frozenset[str], kinds: frozenset[str]
) -> tuple[frozenset[Path], frozenset[Path]]:
    """The files of this package that a stage begins with, and those that do not count for it."""
    used = {
        file for key in ACCELERATIONS if key[0] in laws and key[1] in kinds for file in accelerations(*key)
    }
    other = {file for key in ACCELERATIONS for file in accelerations(*key)} - used
    other |= {resolved(file) for law in {"population"} - laws for file in (PACKAGE / law).glob("*.py")}
    left_out = other | {resolved(PACKAGE / name) for name in WITHOUT_NUMBERS}
    core = {resolved(PACKAGE / "stages" / f"{stage}.py")}
    if stage in PAGES:
        core.update((PACKAGE / "analysis" / "gallery" / "templates").resolve().iterdir())
    return frozenset(used | core), frozenset(left_out)


@cache
def accelerations(law: str, kind: str) -> frozenset[Path]:
    """The files of one law of data and kind of dynamics."""
    return frozenset(resolved(file) for pattern in ACCELERATIONS[law, kind] for file in PACKAGE.glob(pattern))


@cache
def resolved(file: Path) -> Path:
    """A file's path without links."""
    return file.resolve()


@cache
def digest(files: frozenset[Path], left_out: frozenset[Path]) -> str:
    """The hash for a set of files; cached, since many runs share one."""
    hashes = sorted(computed(file) for file in closure(files, left_out))
    return hashlib.sha256(b"".join(hashes)).hexdigest()[:16]


def closure(files: Iterable[Path], left_out: frozenset[Path] = frozenset()) -> set[Path]:
    """The files and all that they import, directly or not, without what is left out."""
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in seen and file not in left_out:
            seen.add(file)
            waiting += imports(file)
    return seen


@cache
def computed(file: Path) -> bytes:
    """A hash over what a file computes."""
    if file.suffix == ".py":
        return bytes.fromhex(facts_of(file)["computed"])
    text = " ".join(re.sub(r"/\*.*?\*/|//[^\n]*", " ", source_of(file), flags=re.DOTALL).split())
    return hashlib.sha256(text.encode()).digest()


def source_of(file: Path) -> str:
    """A file's text."""
    return file.read_text(encoding="utf-8")


@cache
def facts_of(file: Path) -> dict[str, Any]:
    """What a source computes, as a hash, and what it imports: read from its syntax tree once for each content.

    To parse the sources takes each of a study's many short jobs as long as to load them. So the facts are kept
    among the bytecode, with the hash of the text that they are of; where nothing can be written, they are read anew.
    """
    text = source_of(file)
    source = hashlib.sha256(OWN_TEXT + text.encode()).hexdigest()
    kept = FACTS / f"{hashlib.sha256(bytes(file)).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found: dict[str, Any] = json.loads(kept.read_bytes())
        if found["source"] == source:
            return found
    tree = ast.parse(text)
    words = "\n".join(skeleton(tree)).encode()
    made = {"source": source, "computed": hashlib.sha256(words).hexdigest(), "imports": imports_in(tree)}
    with contextlib.suppress(OSError):
        FACTS.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(made), encoding="utf-8")
        os.replace(aside, kept)
    return made


def skeleton(node: ast.AST) -> list[str]:
    """The syntax tree in words that do not depend on Python's version, without what changes no number."""
    words: list[str] = []
    collect(node, words)
    return words


def collect(node: ast.AST, words: list[str]) -> None:
    """Add the words of a node to those of the tree: a list, as generators within generators are slow."""
    words.append(type(node).__name__)
    for name in node._fields:
        if name in ("ctx", "kind", "type_comment"):
            continue
        value: Any = getattr(node, name, None)
        items = value if isinstance(value, list) else [value]
        if name in ("body", "orelse", "finalbody") and isinstance(value, list):
            items = [item for item in items if counts(item)]
        for item in items:
            if isinstance(item, ast.AST):
                collect(item, words)
            elif item is not None:
                words.append(f"{name} {item!r}")
    words.append(".")


def counts(statement: ast.stmt) -> bool:
    """Whether a statement can change a number: text that stands alone, an error, and what only refuses cannot."""
    if isinstance(statement, ast.Raise | ast.Assert | ast.Pass):
        return False
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If):
        return any(counts(part) for part in (*statement.body, *statement.orelse))
    if isinstance(statement, ast.For):
        return any(counts(part) for part in statement.body)
    if isinstance(statement, ast.FunctionDef):
        return not CHECKS.fullmatch(statement.name) or returns(statement)
    return not is_exports(statement)


def returns(function: ast.FunctionDef) -> bool:
    """Whether a function returns a value."""
    return any(isinstance(node, ast.Return) and node.value is not None for node in statements(function))


def is_exports(statement: ast.stmt) -> bool:
    """Whether it is `__all__ = …`."""
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"


@cache
def imports(file: Path) -> tuple[Path, ...]:
    """The files of ours that one file imports."""
    if file.suffix != ".py":
        return ()
    return tuple(dict.fromkeys(found for found in imported(file) if found != file))


def imported(file: Path) -> Iterator[Path]:
    for level, module, name in facts_of(file)["imports"]:
        if level:
            yield from in_folder(file.parents[level - 1], [*filter(None, module.split(".")), name])
        elif module == "twolayer" and name:
            yield from exported(name)
        else:  # a name may be a module
            yield from module_files(f"{module}.{name}" if name else module, file)


def imports_in(tree: ast.Module) -> list[tuple[int, str, str]]:
    """The (level, module, name) of each `from ..module import name`, name "" for `import module`."""
    found: list[tuple[int, str, str]] = []
    for node in statements(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module or "", alias.name) for alias in node.names]
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements within a node, which alone can import."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()):
            yield child
            yield from statements(child)


def exported(name: str) -> Iterator[Path]:
    """The file behind `from twolayer import name`: a module, or one of the lazily exported names."""
    from twolayer import EXPORTS

    yield from in_folder(PACKAGE, EXPORTS.get(name, name).split("."))


def module_files(module: str, importer: Path) -> Iterator[Path]:
    """The file of a module of this package or of the importing plugin's package."""
    first, *rest = module.split(".")
    if first == "twolayer":
        yield from in_folder(PACKAGE, rest)
    elif first in importer.parts and (spec := importlib.util.find_spec(first)) and spec.origin:
        yield from in_folder(Path(spec.origin).parent, rest)


def in_folder(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The module `names` below a folder, as a file or a package, with the packages on the way."""
    return tuple(file for name in accumulate(names, os.path.join) for file in module_at(f"{folder}/{name}"))


@cache
def module_at(path: str) -> tuple[Path, ...]:
    """The file of a module, or of a package: the disk is asked once, however often it is imported."""
    return tuple(
        Path(file).resolve() for file in (f"{path}.py", f"{path}/__init__.py") if os.path.isfile(file)
    )
