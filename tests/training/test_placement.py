"""Which runs a card is asked for: by their size, in the log, and under the real Snakemake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snakemake_project import Project

from twolayer.errors import ConfigError
from twolayer.storage import netcdf
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.training.placement import ARRAY_STEP, ARRAY_WORK, KERNEL_WORK

REGISTRY = load()
SMALL = "end before a card has started"
TEACHER = {"name": "gaussian_teacher", "dimension": 20, "teachers": 3}
SAMPLES = {**TEACHER, "samples": 1024}
DESCENT = {"name": "gradient_descent", "step_size": 1e-3}
FLOW = {"name": "gradient_flow"}
PER_STEP = 10 * 13 * 13  # students × units × coordinates of (10, 3, 20)
ENOUGH = -(-KERNEL_WORK // (4096 * PER_STEP))
PER_STEP_OF_SAMPLES = 10 * 1024 * 20


def placed(backend: str = "cupy", **sections: Any) -> Any:
    section = {
        "problem": TEACHER, "network": {"neurons": 10}, "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": DESCENT, "times": {"steps": [ENOUGH]}, "seeds": 4096, **sections,
    }  # fmt: skip
    (run,) = make_experiment("paper", "e", section, REGISTRY).runs.values()
    return Job(run.as_dict(), REGISTRY).placed(backend)[0]


def stages(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"name": "sequence", "stages": list(listed)}


ON_HOST: dict[str, tuple[dict[str, Any], str]] = {
    "few steps": ({"times": {"steps": [ENOUGH - 1]}}, SMALL),
    "few seeds": ({"seeds": 4095}, SMALL),
    "a flow": ({"dynamics": FLOW, "times": {"values": [1.0]}}, "gradient flow is computed on the host"),
    "a jump": ({"dynamics": {"name": "output_fit"}, "times": {"values": [1.0]}}, "it takes no steps"),
    "a flow after a descent": (
        {"dynamics": stages({**DESCENT, "until": 10}, FLOW), "times": {"values": [11.0]}},
        "gradient flow is computed on the host",
    ),
    "short stages": (
        {
            "dynamics": stages({**DESCENT, "until": 0.5}, {"name": "balancing"}, DESCENT),
            "times": {"values": [1.0]},
        },
        SMALL,
    ),
    "few samples": ({"problem": SAMPLES, "seeds": 50, "times": {"steps": [10**6]}}, "too small for a card"),
    "few steps on samples": ({"problem": SAMPLES, "times": {"steps": [100]}}, SMALL),
    "small batches": (
        {"dynamics": {**DESCENT, "name": "stochastic_gradient_descent", "batch_size": 8}, "seeds": 100},
        "too small for a card",
    ),
    "points": (
        {"problem": {"name": "points", "inputs": [[1.0, 2.0]], "targets": [1.0]}, "seeds": 1},
        "too small for a card",
    ),
}
ON_DEVICE: dict[str, dict[str, Any]] = {
    "many seeds": {},
    "stages": {
        "dynamics": stages({**DESCENT, "until": 1}, DESCENT),
        "times": {"values": [ENOUGH * 1e-3 + 1]},
    },
    "samples": {
        "problem": SAMPLES,
        "seeds": -(-ARRAY_STEP // PER_STEP_OF_SAMPLES),
        "times": {"steps": [-(-ARRAY_WORK // ARRAY_STEP)]},
    },
    "a file that is not there yet": {"problem": {"name": "file", "path": "results/none.nc"}, "seeds": 1},
}


@pytest.mark.parametrize("case", ON_HOST)
def test_small_runs_and_flows_are_trained_on_the_host(case: str) -> None:
    sections, reason = ON_HOST[case]
    found = placed(**sections)
    assert (found.backend, found.on_device) == ("numba", False)
    assert reason in found.reason
    assert found.note.startswith("trained on the host (numba): ")


@pytest.mark.parametrize("case", ON_DEVICE)
def test_large_descents_are_trained_on_the_device(case: str) -> None:
    found = placed(**ON_DEVICE[case])
    assert (found.backend, found.on_device, found.note) == ("cupy", True, "")


@pytest.mark.parametrize("case", [*ON_HOST, *ON_DEVICE])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_backends_without_a_device_keep_all_runs(backend: str, case: str) -> None:
    found = placed(backend, **(ON_HOST[case][0] if case in ON_HOST else ON_DEVICE[case]))
    assert (found.backend, found.on_device, found.note) == (backend, False, "")


def test_a_file_tells_its_size(tmp_path: Path) -> None:
    inputs = np.ones((3, 2))
    variables = {"inputs": (("sample", "feature"), inputs, {}), "targets": (("sample",), np.ones(3), {})}
    netcdf.write(tmp_path / "small.nc", variables, {})
    found = placed(problem={"name": "file", "path": str(tmp_path / "small.nc")}, seeds=1)
    assert "1 seed, 10 neurons and 3 samples is too small" in found.reason


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no backend 'cuda'"):
        placed("cuda")


# ---- under Snakemake ----------------------------------------------------------------------------------------

CARD = '''\
"""card: NumPy, taken for a device that jobs share."""

import numpy as np

from twolayer import Backend, backend


@backend("card")
class Card(Backend):
    on_device = True

    def asarray(self, array, dtype):
        return np.asarray(array, dtype=dtype)
'''

HOLD = '''\
"""hold: stand still, and tell for how long the card was in use."""

import time
from dataclasses import dataclass
from pathlib import Path

from twolayer import Descent, dynamics


@dynamics("hold")
@dataclass(frozen=True)
class Hold(Descent):
    def steps(self, problem, weights, random):
        begin = time.time()
        time.sleep(1.5)
        with Path("in_use").open("a") as file:
            file.write(f"{begin} {time.time()}\\n")
        while True:
            yield weights
'''

SHARED = """\
backend: card
papers:
  shared:
    experiments:
      large:
        problem: {name: drawn, dimension: 2}
        network: {neurons: 2}
        initialization: {name: gaussian, scale: 1.0}
        dynamics: {name: hold, step_size: 1.0}
        times: {steps: [1]}
        sweep: {initialization.scale: [0.1, 0.2, 0.3]}
      small:
        problem: {name: points, inputs: [[1.0, 0.0], [0.0, 1.0]], targets: [1.0, -1.0]}
        network: {neurons: 2}
        initialization: {name: gaussian, scale: 1.0}
        dynamics: {name: gradient_flow}
        times: {values: [1.0]}
"""

DRAWN = '''\
"""drawn: data whose number the config does not tell."""

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, ProblemSpec, problem


@problem("drawn")
@dataclass(frozen=True)
class Drawn(ProblemSpec):
    dimension: int

    def generate(self, random):
        return FiniteData(random.standard_normal((3, self.dimension)), np.ones(3))
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    made.write("config.yaml", SHARED)
    made.write("plugins/backends/card.py", CARD)
    made.write("plugins/dynamics/hold.py", HOLD)
    made.write("plugins/problems/drawn.py", DRAWN)
    return made


def most_at_once(project: Project) -> int:
    """How many used the card at once."""
    lines = (project.folder / "in_use").read_text().splitlines()
    spans = [tuple(map(float, line.split())) for line in lines]
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


def test_jobs_ask_for_the_card_that_they_use(project: Project) -> None:
    printed = project.snakemake("--dry-run", "--verbose", "shared")
    jobs = [job for job in printed.split("\n\n") if "trajectory.nc" in job and "rule train:" in job]
    asked = {re.findall(r"results/shared/(\w+)", job)[0]: re.findall(r"gpu=(\d)", job) for job in jobs}
    assert asked == {"large": ["1"], "small": ["0"]}
    printed = project.snakemake("--dry-run", "--verbose", "shared", "--config", "backend=numba")
    assert set(re.findall(r"gpu=(\d)", printed)) == {"0"}


@pytest.mark.slow
def test_one_job_at_a_time_holds_the_card_unless_the_profile_says_otherwise(project: Project) -> None:
    large = [f"results/shared/large/scale={scale}/trajectory.nc" for scale in (0.1, 0.2, 0.3)]
    small = "results/shared/small/default/trajectory.nc"
    printed = project.snakemake("--cores", "4", *large, small)
    assert (
        "train shared/small/default: trained on the host (numba): gradient flow is computed on the host"
        in printed
    )
    assert "train shared/large" not in printed.partition("left a note")[2]
    assert most_at_once(project) == 1
    for backend, file in (("card", large[0]), ("numba", small)):
        assert netcdf.read(project.folder / file)[1]["backend"] == backend
    (project.folder / "in_use").unlink()
    project.snakemake("--cores", "4", "--resources", "gpu=3", "--forcerun", "train", "--", *large)
    assert most_at_once(project) > 1
