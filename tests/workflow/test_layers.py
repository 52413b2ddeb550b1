"""Who may import whom, read from the sources."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from project import PROJECT

from twolayer.study import fingerprint
from twolayer.study.registry import plugin_folder

PACKAGE = PROJECT / "src" / "twolayer"
PLUGINS = PROJECT / "plugins"
KINDS = ("backends", "problems", "initializations", "dynamics", "metrics")

# A room imports only from rows above it; within a room modules import in one direction.
LAYERS = (
    ("errors",),
    ("core",),
    ("kernels", "storage"),
    ("finite",),
    ("population",),
    ("training",),
    ("analysis",),
    ("study",),
    ("stages",),
    ("reports", "templates", "verification"),
    ("cli", "notebook"),
    ("launch", "testing"),
)
LEVEL = {room: level for level, row in enumerate(LAYERS) for room in row}


def imported(file: Path) -> Iterator[tuple[int, str, str]]:
    """(level, module, name) of each import of a file; the name is empty for `import module`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, node.module or "", alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, ""


def imported_rooms(file: Path) -> set[str]:
    """The modules of this package that a file imports, each by the first word below the package."""
    found = set()
    for level, module, name in imported(file):
        assert level == 0, f"{file}: imports within the package are written in full"
        if module == "twolayer":
            found.add(name)
        elif module.startswith("twolayer."):
            found.add(module.split(".")[1])
    return found


MODULES = sorted(file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "plugins")


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_rooms_import_downwards(file: Path) -> None:
    top = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if top == "__init__":
        return
    assert top in LEVEL, f"{top} needs a place in LAYERS"
    for room in imported_rooms(file) - {top, "EXPORTS"}:
        assert LEVEL[room] < LEVEL[top], f"{file.relative_to(PACKAGE)} imports from {room}"


def test_no_arrow_runs_back_within_a_room() -> None:
    graph = {
        file: {found for found in fingerprint.imports(file.resolve()) if found.name != "__init__.py"}
        for file in MODULES
        if file.name != "__init__.py"
    }
    order = TopologicalSorter({file.resolve(): parts for file, parts in graph.items()})
    assert list(order.static_order())  # a circle raises CycleError, which names it


@pytest.mark.parametrize("stage", sorted((PACKAGE / "stages").glob("*.py")), ids=lambda file: file.stem)
def test_a_stage_knows_neither_plugins_nor_another_stage(stage: Path) -> None:
    assert imported_rooms(stage) & {"study", "stages"} == set()


def test_networks_and_the_exact_flow_stand_alone() -> None:
    assert imported_rooms(PACKAGE / "core" / "network.py") == {"core"}
    for file in (PACKAGE / "finite" / "flow").glob("*.py"):
        assert imported_rooms(file) <= {"finite", "kernels", "core", "errors"}
    # array code takes its namespace from the arrays; at the top nothing names a library
    for name in ("arrays", "network", "problem"):
        top = ast.parse((PACKAGE / "core" / f"{name}.py").read_text(encoding="utf-8")).body
        tops = {node.module for node in top if isinstance(node, ast.ImportFrom)}
        tops |= {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        assert not tops.isdisjoint({"array_api_compat", "twolayer.core.arrays"})
        assert "numpy" not in tops


FILES = sorted(file for file in PLUGINS.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PLUGINS)))
def test_a_plugin_imports_public_names_and_no_other_plugin(file: Path) -> None:
    for level, module, name in imported(file):
        if level:
            home = file.parents[level - 1]
            in_paper = home.parent.name == "papers"
            assert level == 1 or (level == 2 and in_paper), f"{file}: imports from outside its folder"
            shared = module.split(".")[0] or name
            assert (home / f"{shared}.py").is_file()
            # the plugins of a kind are independent; a paper's figures and claims may share its theory
            of_paper = in_paper and shared not in ("figures", "claims")
            assert of_paper or shared.startswith("_")
        elif module.split(".")[0] == "twolayer":
            public = importlib.import_module(module).__all__
            assert name in public, f"{file}: {module} does not offer {name}; it offers {', '.join(public)}"
        else:
            assert module.split(".")[0] not in ("plugins", "twolayer_plugins", "snakemake")


def test_kinds_that_compute_do_not_draw() -> None:
    for kind in KINDS:
        for file in (PLUGINS / kind).glob("*.py"):
            assert not {module.split(".")[0] for _, module, _ in imported(file)} & {
                "matplotlib",
                "xarray",
                "pandas",
            }


ALLOWED = {
    "twolayer.analysis.claims",
    "twolayer.errors",
    "twolayer.launch.bytecode",
    "twolayer.launch.start",
    "twolayer.study.command",
    "twolayer.storage.layout",
    "twolayer.storage.verify",
    "twolayer.study.merge",
    "twolayer.study.registry",
    "twolayer.study.study",
}
"""What rules may import."""


def test_rules_import_the_config_and_call_the_command_line() -> None:
    verbs = set()
    for file in (PROJECT / "Snakefile", *(PROJECT / "workflow" / "rules").glob("*.smk")):
        text = file.read_text(encoding="utf-8")
        modules = set(re.findall(r"^\s*(?:from|import) +(twolayer[\w.]*)", text, re.MULTILINE))
        assert modules <= ALLOWED
        assert not re.search(r"^\s+(script|run|notebook|wrapper):", text, re.MULTILINE)
        verbs |= set(re.findall(r"""^ +["']\(?twolayer (\w+) """, text, re.MULTILINE))
    assert verbs == {
        *("generate", "train", "measure", "gather", "render", "claims"),
        *("chart", "explore", "gallery"),
    }


def test_no_two_classes_share_a_name() -> None:
    """One word, one meaning: a class of src or plugins is found by its name alone."""
    places: dict[str, list[str]] = {}
    for folder in (PACKAGE, plugin_folder()):
        for file in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(file.relative_to(folder)))
    assert len(places) > 60
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
