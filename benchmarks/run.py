"""twolayer against plain PyTorch, the way the authors' notebook trains, as ratios within one run.

    pip install -e .[benchmarks]
    python benchmarks/run.py                # about two minutes; --full lets PyTorch walk all 200,000 steps

One core for both. Times are those of the working thread's processor clock, so that other work on the machine
counts for neither. Kernels are compiled (and cached) before the clock starts; training alone is timed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from relu import RELU

from twolayer import EmpiricalProblem, FiniteData, Network, Weights
from twolayer.finite.flow import finite_flow
from twolayer.finite.numba_descent import CompiledProblem
from twolayer.study.registry import plugin_folder

STEP_SIZE = 1e-3


@dataclass(frozen=True)
class Run:
    """One of the authors' runs: data and first weights, in float64."""

    inputs: Any
    targets: Any
    start: Weights
    steps: int

    @classmethod
    def load(cls, name: str) -> Run:
        folder = plugin_folder() / "papers" / "boursier2022" / "data"
        with xr.open_dataset(folder / f"boursier2022_{name}.nc") as file:
            arrays = [
                file[key].values.astype(np.float64)
                for key in ("inputs", "targets", "initial_hidden", "initial_output")
            ]
            return cls(arrays[0], arrays[1], Weights(arrays[2], arrays[3]), int(file.attrs["n_iterations"]))

    def problem(self, dtype: str, kind: type[EmpiricalProblem] = CompiledProblem) -> EmpiricalProblem:
        data = FiniteData(self.inputs.astype(dtype), self.targets.astype(dtype), "mean_square")
        return kind(data, Network(len(self.start.output), RELU))


def as_dtype(weights: Weights, dtype: str) -> Weights:
    return Weights(weights.hidden.astype(dtype), weights.output.astype(dtype))


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that the thread worked, and the result."""
    begin = time.thread_time()
    result = work()
    return time.thread_time() - begin, result


def torch_descent(run: Run, start: Weights, steps: int) -> tuple[float, float]:
    """Seconds and the last loss of the notebook's loop: float32, mean squared error, SGD."""
    inputs, targets = (
        torch.tensor(run.inputs, dtype=torch.float32),
        torch.tensor(run.targets, dtype=torch.float32),
    )
    hidden = torch.tensor(start.hidden, dtype=torch.float32, requires_grad=True)
    output = torch.tensor(start.output, dtype=torch.float32, requires_grad=True)
    optimizer, criterion = torch.optim.SGD([hidden, output], lr=STEP_SIZE), torch.nn.MSELoss()

    def walk(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            loss = criterion(torch.relu(inputs @ hidden.T) @ output, targets)
            loss.backward()
            optimizer.step()

    walk(50)
    spent, _ = seconds(lambda: walk(steps))
    end = Weights(hidden.detach().numpy().astype(np.float64), output.detach().numpy().astype(np.float64))
    return spent, float(run.problem("float64").loss(end))


def descent(run: Run, dtype: str, repeats: int) -> tuple[float, float]:
    """Seconds of the whole descent (the best of `repeats`) and the last loss."""
    problem, start = run.problem(dtype), as_dtype(run.start, dtype)
    problem.descend(start, STEP_SIZE, 0.0, 10)
    tried = [seconds(lambda: problem.descend(start, STEP_SIZE, 0.0, run.steps)) for _ in range(repeats)]
    end = as_dtype(tried[0][1], "float64")
    return min(spent for spent, _ in tried), float(run.problem("float64").loss(end))


def flow(run: Run, rtol: float, times: Any) -> tuple[float, Any]:
    """Seconds of the exact flow, and the notebook's loss at times counted as step size · step."""

    def walk(until: Any) -> Any:
        return finite_flow(
            run.inputs, run.targets, run.start.hidden, run.start.output, until,
            loss_weight=1 / len(run.targets), rtol=rtol,
        )  # fmt: skip

    walk(times[:2])
    spent, path = seconds(lambda: walk(times))
    return spent, (path.residual**2).mean(-1)


def report(row: str, ours: float, theirs: float, wanted: float, remark: str) -> None:
    ratio = theirs / ours
    verdict = "yes" if ratio >= wanted else "no"
    print(
        f"| {row} | {theirs:.2f} | {ours:.3g} | {ratio:.1f} | {wanted:g} | {verdict} | {remark} |", flush=True
    )


def main() -> None:
    """Print the table of benchmarks/README.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--full", action="store_true", help="let PyTorch walk all steps of the high dimension"
    )
    parser.add_argument("--rtol", type=float, default=2e-7, help="of the exact flow (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)

    model = next(
        (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")), "unknown"
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "torch"))
    print(f"{model} ({platform.machine()}), {os.cpu_count()} cores, one used; ", end="")
    print(f"Python {platform.python_version()}, {versions}\n")
    print("| training | PyTorch, s | twolayer, s | ratio | wanted | reached | last loss, and remarks |")
    print("|---|---|---|---|---|---|---|")

    two = Run.load("orthogonal_seed0")
    slow, loss = torch_descent(two, two.start, two.steps)
    for dtype in ("float64", "float32"):
        fast, ours = descent(two, dtype, repeats=5)
        report(f"two points, {two.steps:,} steps, {dtype}", fast, slow, 50, f"{ours:.2g}; PyTorch {loss:.2g}")

    high = Run.load("high_dimension_seed4")
    if options.full:
        slow, loss = torch_descent(high, high.start, high.steps)
        remark = f"PyTorch {loss:.4g}"
    else:
        part, problem, state, spent = 5000, high.problem("float64"), high.start, []
        for stage in range(4):  # denormals or patterns could make some stages dearer than others
            spent.append(torch_descent(high, state, part)[0])
            if stage < 3:
                state = problem.descend(state, STEP_SIZE, 0.0, 50_000)
        slow = sum(spent) / (4 * part) * high.steps
        remark = f"PyTorch: from {part:,} steps at 0, 50,000, 100,000 and 150,000"
    for dtype in ("float64", "float32"):
        fast, ours = descent(high, dtype, repeats=1)
        report(f"high dimension, {high.steps:,} steps, {dtype}", fast, slow, 5, f"{ours:.4g}; {remark}")

    times = np.concatenate(
        [[0.0], np.linspace(1.0, STEP_SIZE * high.steps, 200)]
    )  # twice this in the paper's time
    fast, losses = flow(high, options.rtol, times)
    _, exact = flow(high, 1e-12, times)
    error = np.abs(losses - exact).max() / exact[0]
    remark = f"{losses[-1]:.4g}; losses within {error:.1e} of the initial one of rtol 1e-12; {remark}"
    report(f"high dimension, exact flow to t = 400, rtol {options.rtol:g}", fast, slow, 15, remark)


def cpu_lines() -> list[str]:
    """/proc/cpuinfo, where there is one."""
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.is_file() else []


if __name__ == "__main__":
    main()
