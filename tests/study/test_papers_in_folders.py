"""A paper whose figures and claims are folders of files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from twolayer.analysis.gallery.content import paper_of
from twolayer.errors import ConfigError
from twolayer.study.fingerprint import closure
from twolayer.study.registry import Registry, load, load_named
from twolayer.study.study import load_study

STUDY = 'from twolayer import Paper\npaper = Paper("mine", "Mine")\nLIMIT = 1.0\n'
FIGURE = """\
from {above}study import paper

@paper.figure("theorem", "Nothing.", on="e")
def {name}(canvas, run):
    pass
"""
CLAIM = """\
from twolayer import at_most
from ..study import LIMIT, paper

@paper.claim("The limit.", "here", "derived", on=(), figures=["second"])
def limit():
    return at_most(0.0, LIMIT)
"""
EXPERIMENT = {
    "problem": {"name": "points", "inputs": [[1.0, 0.5]], "targets": [1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1]},
}


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """The folder of a paper with a figure in a file, another and a claim in folders."""
    folder = tmp_path / "more" / "papers" / "mine"
    texts = {
        "study.py": STUDY,
        "figures.py": FIGURE.format(above=".", name="first"),
        "figures/others.py": FIGURE.format(above="..", name="second"),
        "figures/_shared.py": "1 / 0  # no plugin by its name\n",
        "claims/limits.py": CLAIM,
        "experiments.yaml": yaml.safe_dump({"experiments": {"e": EXPERIMENT}}),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "config.yaml").write_text("plugin_paths: [more]\npapers: {mine: {}}")
    return folder


def measured(registry: Registry) -> tuple[float, float]:
    """What the claim measures, and its limit."""
    result = registry.find("claims", "mine.limit").plugin.evaluate({})[""]
    return float(result.measured), float(result.predicted)


def test_all_files_of_the_folders_are_plugins(paper: Path) -> None:
    registry = load([paper.parents[1]])
    assert registry.failures == {}
    files = {name: registry.find("figures", f"mine.{name}").file for name in ("first", "second")}
    assert files == {"first": paper / "figures.py", "second": paper / "figures" / "others.py"}
    assert {paper_of(file) for file in files.values() if file} == {"mine"}
    planned = load_study([paper.parents[2] / "config.yaml"]).papers["mine"]
    assert set(planned.figures) == {"first", "second"}
    assert set(planned.claims) == {"mine.limit"}


def test_a_folder_file_counts_what_it_imports_from_the_paper(paper: Path) -> None:
    files = closure([paper / "figures" / "others.py"])
    assert paper / "study.py" in files
    assert paper / "figures.py" not in files


def test_a_file_of_the_paper_that_changes_is_imported_anew(paper: Path) -> None:
    """Also where only the folders of a kind are looked at, whose files did not change."""
    more = paper.parents[1]
    assert measured(load_named([more], ("claims",), ["mine.limit"])) == (0.0, 1.0)
    (paper / "study.py").write_text(STUDY.replace("1.0", "3.0"))
    assert measured(load_named([more], ("claims",), ["mine.limit"])) == (0.0, 3.0)


def test_claims_that_cannot_be_loaded_do_not_vanish(paper: Path) -> None:
    (paper / "claims" / "others.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(ConfigError, match=r"papers\.mine: its claims cannot be loaded: .*others\.py: Mod"):
        load_study([paper.parents[2] / "config.yaml"])


@pytest.mark.parametrize("name", ["figures.py", "figures/others.py"])
def test_figures_that_cannot_be_loaded_do_not_vanish(paper: Path, name: str) -> None:
    (paper / name).write_text("def broken(:\n")
    with pytest.raises(
        ConfigError, match=rf"papers\.mine: its figures cannot be loaded: .*{name}: SyntaxError"
    ):
        load_study([paper.parents[2] / "config.yaml"])


def test_names_of_figures_and_papers_that_are_none_are_told_of(paper: Path) -> None:
    config = paper.parents[2] / "config.yaml"
    assert load_study([config]).warnings == []
    file = paper / "claims" / "limits.py"
    file.write_text(CLAIM.replace('["second"]', '["secnd"]'))
    (found,) = load_study([config]).warnings
    assert (
        "papers.mine: the claim 'limit' is on no figure's face: there is no figure 'secnd'. Did you mean"
        in found
    )
    file.write_text(CLAIM)
    (paper / "figures" / "more.py").write_text(
        FIGURE.format(above="..", name="x").replace("paper.f", 'Paper("our", "").f')
    )
    text = (paper / "figures" / "more.py").read_text().replace("import paper", "import Paper")
    (paper / "figures" / "more.py").write_text(text)
    (found,) = load_study([config]).warnings
    assert "figures/more.py is of the paper 'our', by its Paper; the folder is 'mine'" in found
