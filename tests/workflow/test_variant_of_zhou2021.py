"""A variant of a paper under the real Snakemake, to its figures and claims, which say what it changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from project import PROJECT
from snakemake_project import Project

FIGURES = {
    "figure1": False,
    "figure1_film": False,
    "figure2": True,
    "figure3": False,
    "figure4": False,
    "lojasiewicz": True,
    "rates": True,
    "width": True,
    "batches": True,
    "lemmas": True,
    "teachers": True,
    "starts": True,
    "basin": True,
}
CONFIG = f"""\
papers:
  zhou2021_small:
    base: zhou2021
    figures: {json.dumps({name: False for name, drawn in FIGURES.items() if not drawn})}
    experiments:
      figure1:
        seeds: 2
        times: {{values: [1, 5]}}
        sweep: {{initialization: {{ntk: {{name: gaussian, scale: 0.2}}}}}}
        metrics: [loss, hidden]
      states:
        seeds: 20
        sweep:
          - problem: {{plane_1: {{name: gaussian_teacher, dimension: 2, teachers: 1}}}}
            network.neurons: 2
            initialization: {{pair: {{name: around_teachers, angle: [1.0e-4, 0.4636], mirrored: true}}}}
          - problem: {{space_2: {{name: gaussian_teacher, dimension: 5, teachers: 2}}}}
            network.neurons: 8
            initialization: {{mirrored_2: {{name: around_teachers, angle: [2.0e-4, 0.7854], mirrored: true}}}}
      scaling:
        network: {{neurons: 2}}
        seeds: 3
        sweep:
          initialization: {{near: {{name: around_teachers, angle: [1.0e-4, 0.1], mirrored: true}}}}
          problem: {{r_1: {{name: gaussian_teacher, dimension: 10, teachers: 1}}}}
      rates:
        problem: {{teachers: 2, dimension: 4}}
        network: {{neurons: 4}}
        seeds: 2
        times: {{start: 0.1, stop: 300, count: 20, spacing: log}}
        sweep:
          initialization:
            two: {{name: around_teachers, angle: 0.4}}
            background_neurons: {{name: around_teachers, angle: 0.4, shares: [0.8], background_neurons: 0.1}}
      width:
        problem: {{teachers: 2, dimension: 4}}
        dynamics: {{step_size: 0.07}}
        seeds: 3
        times: {{start: 1, stop: 70, count: 12, spacing: log}}
        sweep:
          - network.neurons: 12
            initialization:
              background_12: {{name: around_teachers, angle: 0.4, shares: [0.8], background_neurons: 0.1}}
          - network.neurons: 6
            initialization:
              background_6: {{name: around_teachers, angle: 0.4, shares: [0.8], background_neurons: 0.1}}
      batches:
        problem: {{teachers: 2, dimension: 4}}
        network: {{neurons: 6}}
        initialization: {{name: around_teachers, angle: 0.4, shares: [0.8], background_neurons: 0.1}}
        dynamics: {{batch_size: 64, step_size: 0.07}}
        times: {{start: 1, stop: 70, count: 12, spacing: log}}
        seeds: 3
      basin:
        seeds: 4
        times: {{values: [70]}}
        sweep: {{network.neurons: [9], initialization: {{gaussian: {{name: gaussian, scale: 0.3}}}}}}
      start:
        seeds: 4
        sweep:
          problem: {{plane: {{name: gaussian_teacher, dimension: 2, angles: [10, 100]}}}}
          network.neurons: [8, 20]
      subspace:
        seeds: 4
        sweep:
          network.neurons: [8]
          initialization: {{leading: {{name: nonnegative_least_squares, subspace: 2}}}}
      bisector:
        sweep: {{problem.angles: {{"70": [10, 80]}}}}
"""


@pytest.mark.slow
def test_a_variant_of_a_paper_to_its_figures_and_claims(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(
        PROJECT / "plugins" / "papers" / "zhou2021", project.folder / "plugins" / "papers" / "zhou2021"
    )
    del project.environment["NUMBA_DISABLE_JIT"]
    project.write("config.yaml", CONFIG)
    printed = project.snakemake("zhou2021_small")
    assert "Traceback" not in printed
    folder = project.result("zhou2021_small/figures")
    drawn = {name for name, wanted in FIGURES.items() if wanted}
    assert {file.stem for file in folder.glob("*.png")} == drawn
    faces = {name: json.loads((folder / f"{name}.json").read_text()) for name in drawn}
    for name, face in faces.items():
        assert face["changed"], name
        assert "{" not in face["caption"] + face["details"] or "$" in face["caption"] + face["details"]
    assert "dynamics.step_size: 0.07 (paper: 0.1)" in faces["width"]["changed"]["width"]
    assert "batches of 64 and" in faces["batches"]["caption"]
    assert "$m$ = 6" in faces["batches"]["caption"]
    assert "= 70 against" in faces["basin"]["caption"]
    rows = json.loads(project.result("zhou2021_small/claims.json").read_text())
    bisector = [row for row in rows if row["claim"].startswith("bisector[70")]
    assert {row["verdict"] for row in bisector} == {"holds"}
    for row in rows:
        printed = f"{row['claim']}: {row['detail']}"
        assert "Error" not in printed, printed
        assert "nan" not in printed.lower().split(), printed
