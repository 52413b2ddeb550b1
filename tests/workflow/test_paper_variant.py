"""A variant of a paper, run by the real Snakemake to its figures and claims: they follow what was run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from project import PROJECT
from snakemake_project import Project

VARIANT = """
papers:
  near:
    base: xu2023
    experiments:
      figure1:
        initialization: {scale: 0.3}
        dynamics: {step_size: 0.1}
        times: {steps: [1, 2, 3, 8, 20, 50, 100, 200, 300, 400, 500, 700, 1000, 1500, 2000]}
        seeds: 2
        sweep: {problem.dimension: [3], network.neurons: [1, 4]}
      phases:
        dynamics: {step_size: 1.0e-2}
        times: {start: 0.01, stop: 20, count: 40, spacing: log}
        seeds: 2
        sweep: {network.neurons: [4]}
      mirrored: {times: {start: 0.1, stop: 100, count: 30, spacing: log}}
      exact_rank: {seeds: 2}
"""


@pytest.mark.slow
def test_figures_and_claims_of_a_variant_say_what_was_run(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    del project.environment["NUMBA_DISABLE_JIT"]
    shutil.copytree(
        PROJECT / "plugins" / "papers" / "xu2023", project.folder / "plugins" / "papers" / "xu2023"
    )
    project.write("config.yaml", VARIANT)
    project.snakemake("near")

    for figure in ("figure1", "phases", "rate", "toys", "lower_bound"):
        face = json.loads(project.result(f"near/figures/{figure}.json").read_text())
        assert project.result(f"near/figures/{figure}.png").stat().st_size > 10_000
        for experiment in face["runs"]:
            assert experiment in face["changed"], (figure, experiment)
        text = " ".join([face["caption"], face["details"], *face["runs"].values()])
        assert "16 seeds" not in text
        assert "= 10" not in text
    changed = json.loads(project.result("near/figures/figure1.json").read_text())["changed"]["figure1"]
    assert "initialization.scale: 0.3 (paper: 0.1)" in changed
    assert "dynamics.step_size: 0.1 (paper: 0.05)" in changed

    rows = json.loads(project.result("near/claims.json").read_text())
    assert not [row["claim"] for row in rows if "could not be evaluated" in (row["detail"] or "")]
    assert all(row["changed"] for row in rows if row["experiments"])
    assert {row["verdict"] for row in rows} >= {"holds", "inconclusive"}
    cases = " ".join(row["claim"] for row in rows)
    assert "n = 4" in cases
    assert "n = 10" not in cases
