"""A file that is not of the run, of the shape or of the numbers that a stage asks for is an error, never a result."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from twolayer.cli import main
from twolayer.storage import contents, netcdf
from twolayer.storage.verify import difference, digest_of, why_stale

RUN: dict[str, Any] = {
    "paper": "p",
    "experiment": "e",
    "name": "neurons=2,step_size=0.1",
    "swept": {"neurons": 2, "step_size": 0.1},
    "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1, "samples": 6},
    "network": {"neurons": 2, "activation": "relu", "output": "trained"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"steps": [1, 10, 50]},
    "seeds": [0, 4],
    "dtype": "float64",
}


def run_of(neurons: int = 2, step_size: float = 0.1, **more: Any) -> dict[str, Any]:
    """A run of the sweep."""
    run = copy.deepcopy(RUN) | more
    run["network"]["neurons"], run["dynamics"]["step_size"] = neurons, step_size
    run["swept"] = {"neurons": neurons, "step_size": step_size}
    run["name"] = f"neurons={neurons},step_size={step_size}"
    return run


RUNS = [run_of(neurons, step_size) for neurons in (2, 3) for step_size in (0.1, 0.2)]
NAMES = [run["name"] for run in RUNS]


def training(at: Path, output: Path) -> list[str]:
    """The command that trains a run into a file."""
    return ["train", "--problem", f"{at}/problem.nc", "--backend", "numpy", "--output", str(output)]


def measuring(at: Path, output: Path) -> list[str]:
    """The command that measures a run."""
    return [
        "measure",
        "--problem",
        f"{at}/problem.nc",
        "--trajectory",
        f"{at}/trajectory.nc",
        "--output",
        str(output),
    ]


def pipeline(at: Path, run: dict[str, Any]) -> None:
    """A run from generate to measure."""
    assert main(["generate", "--run", json.dumps(run), "--output", f"{at}/problem.nc"]) == 0
    trained = ["--backend", "numpy", "--output", f"{at}/trajectory.nc"]
    assert main(["train", "--problem", f"{at}/problem.nc", *trained]) == 0
    assert main(measuring(at, at / "metrics.nc")) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of a sweep, and the folder of another experiment with a run of the same name."""
    folder = tmp_path_factory.mktemp("results")
    for run in RUNS:
        pipeline(folder / "e" / run["name"], run)
    other = run_of(experiment="other", times={"steps": [1, 10, 60]})
    pipeline(folder / "other" / other["name"], other)
    return folder


@pytest.fixture
def experiment(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be edited."""
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results" / "e"


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The message: one line."""
    out, warned = capsys.readouterr()
    assert out == ""
    assert len(warned.splitlines()) == 1, warned
    return warned


def rewritten(path: Path, change: Callable[[netcdf.Variables, dict[str, Any]], None]) -> None:
    """Write a file again, its variables and attributes changed."""
    variables, attributes = netcdf.read(path)
    change(variables, attributes)
    netcdf.write(path, variables, attributes)


def with_values(
    name: str, values: Callable[[Any], Any]
) -> Callable[[netcdf.Variables, dict[str, Any]], None]:
    """A change of the numbers of one variable."""

    def change(variables: netcdf.Variables, attributes: dict[str, Any]) -> None:
        dimensions, found, described = variables[name]
        variables[name] = (dimensions, values(found.copy()), described)

    return change


def at_index(index: Any, value: float) -> Callable[[Any], Any]:
    """A change of one number."""

    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


def cut(dimension: str, count: int) -> Callable[[netcdf.Variables, dict[str, Any]], None]:
    """A change that keeps the first few along a dimension."""

    def change(variables: netcdf.Variables, attributes: dict[str, Any]) -> None:
        for name, (dimensions, values, described) in variables.items():
            chosen = tuple(slice(count if each == dimension else None) for each in dimensions)
            variables[name] = (dimensions, values[chosen], described)

    return change


def without(name: str) -> Callable[[netcdf.Variables, dict[str, Any]], None]:
    """A change that drops a variable."""
    return lambda variables, attributes: variables.pop(name) and None


def with_run(**changes: Any) -> Callable[[netcdf.Variables, dict[str, Any]], None]:
    """A change of the run that the file carries."""

    def change(variables: netcdf.Variables, attributes: dict[str, Any]) -> None:
        attributes["run"] = json.dumps(json.loads(attributes["run"]) | changes)

    return change


WRONG_TRAJECTORIES: dict[str, tuple[Callable[[netcdf.Variables, dict[str, Any]], None], str]] = {
    "infinite weights": (
        with_values("hidden", at_index((0, 1, 0, 2), np.inf)),
        "hidden[0, 1, 0, 2] is inf; must be finite",
    ),
    "infinite output": (
        with_values("output", at_index((1, 2, 1), -np.inf)),
        "output[1, 2, 1] is -inf; must be finite",
    ),
    "infinite time": (with_values("time", at_index(3, np.inf)), "time[3] is inf; must be finite"),
    "time reversed": (with_values("time", lambda time: time[::-1]), "time[0] is 5.0; its run asks for 0.0"),
    "a time twice": (with_values("time", at_index(2, 0.1)), "time[2] is 0.1; its run asks for 1.0"),
    "a step twice": (with_values("step", at_index(2, 1)), "step[2] is 1; its run asks for 10"),
    "fewer times": (
        cut("time", 3),
        "hidden (seed, time, neuron, feature) has shape (2, 3, 2, 3); its run asks for (2, 4, 2, 3)",
    ),
    "fewer seeds": (cut("seed", 1), "has shape (1, 4, 2, 3); its run asks for (2, 4, 2, 3)"),
    "fewer neurons": (cut("neuron", 1), "has shape (2, 4, 1, 3); its run asks for (2, 4, 2, 3)"),
    "fewer features": (cut("feature", 2), "has shape (2, 4, 2, 2); its run asks for (2, 4, 2, 3)"),
    "other seeds": (with_values("seed", at_index(1, 7)), "seed[1] is 7; its run asks for 4"),
    "no weight decay": (
        without("weight_decay"),
        "has no variable 'weight_decay'; its variables are hidden, output",
    ),
    "no step": (without("step"), "has no variable 'step'"),
    "another run": (with_run(seeds=[0, 1]), "is of another run than"),
    "a run of another kind": (with_run(times={"values": [1.0]}), "times.steps is missing, not [1, 10, 50]"),
    "a run that says nothing": (
        lambda variables, attributes: attributes.update(run="[]"),
        "its run must be a mapping with dtype",
    ),
    "a run that is no JSON": (
        lambda variables, attributes: attributes.update(run="{"),
        "its run is not JSON",
    ),
}


@pytest.mark.parametrize("what", WRONG_TRAJECTORIES)
def test_measure_refuses_a_wrong_trajectory(experiment: Path, capsys: Any, what: str) -> None:
    """One line names the file, what is wrong and what would be right; nothing is written."""
    at = experiment / NAMES[0]
    change, message = WRONG_TRAJECTORIES[what]
    rewritten(at / "trajectory.nc", change)
    assert main(measuring(at, experiment / "made.nc")) == 2
    printed = one_line(capsys)
    assert printed.startswith(f"twolayer measure: error: {at}/trajectory.nc: ")
    assert message in printed
    assert not (experiment / "made.nc").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (f"e/{NAMES[1]}", f'name is "{NAMES[1]}", not "{NAMES[0]}"'),
        (f"e/{NAMES[2]}", f'name is "{NAMES[2]}", not "{NAMES[0]}"'),
        (f"other/{NAMES[0]}", 'experiment is "other", not "e"'),
    ],
)
def test_measure_refuses_the_trajectory_of_another_run(
    experiment: Path, capsys: Any, source: str, message: str
) -> None:
    """A trajectory copied from elsewhere, whatever its shape."""
    at = experiment / NAMES[0]
    shutil.copy(experiment.parent / source / "trajectory.nc", at / "trajectory.nc")
    assert main(measuring(at, experiment / "made.nc")) == 2
    assert f"{at}/trajectory.nc: is of another run than {at}/problem.nc: {message}" in one_line(capsys)


def test_measure_takes_a_seed_that_diverged(experiment: Path) -> None:
    """NaN frames are those of a seed that diverged, not a wrong file."""
    at = experiment / NAMES[0]
    rewritten(at / "trajectory.nc", with_values("hidden", at_index((0, slice(2, None)), np.nan)))
    assert main(measuring(at, experiment / "made.nc")) == 0


WRONG_PROBLEMS: dict[str, tuple[Callable[[netcdf.Variables, dict[str, Any]], None], str]] = {
    "not a number": (
        with_values("inputs", at_index((0, 1, 2), np.nan)),
        "inputs[0, 1, 2] is nan; every number must be finite",
    ),
    "infinite": (
        with_values("targets", at_index((1, 5), np.inf)),
        "targets[1, 5] is inf; every number must be finite",
    ),
    "no targets": (without("targets"), "has no 'targets', which data of the law 'finite' need"),
    "other seeds": (with_values("seed", at_index(0, 9)), "seed[0] is 9; its run asks for 0"),
    "text": (
        lambda variables, attributes: variables.update(remark=(("n",), np.array(["a"], object), {})),
        "remark does not hold numbers",
    ),
    "other dimensions": (
        lambda variables, attributes: variables.update(targets=(("seed", "n"), *variables["targets"][1:])),
        "targets has the dimensions (seed, n); must be (seed, sample)",
    ),
}


@pytest.mark.parametrize("verb", ["train", "measure"])
@pytest.mark.parametrize("what", WRONG_PROBLEMS)
def test_train_and_measure_refuse_a_wrong_problem(
    experiment: Path, capsys: Any, what: str, verb: str
) -> None:
    """The file, the variable and the index are named: no run is said to have diverged."""
    at = experiment / NAMES[0]
    change, message = WRONG_PROBLEMS[what]
    rewritten(at / "problem.nc", change)
    assert (
        main(
            training(at, experiment / "made.nc") if verb == "train" else measuring(at, experiment / "made.nc")
        )
        == 2
    )
    assert f"error: {at}/problem.nc: {message}" in one_line(capsys)
    assert not (experiment / "made.nc").exists()


def gathering(experiment: Path, *names: str, digest: str | None = None) -> int:
    """Gather some runs; the exit status."""
    more = ["--digest", digest] if digest else []
    return main(["gather", str(experiment), "--runs", *names, *more, "--output", f"{experiment}/made.nc"])


def copied(source: str) -> Callable[[Path], Any]:
    """The metrics of the first run replaced by others."""
    return lambda experiment: shutil.copy(
        experiment.parent / source / "metrics.nc", experiment / NAMES[0] / "metrics.nc"
    )


def edited(change: Callable[[netcdf.Variables, dict[str, Any]], None]) -> Callable[[Path], Any]:
    """The metrics of the first run changed."""
    return lambda experiment: rewritten(experiment / NAMES[0] / "metrics.nc", change)


WRONG_METRICS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "the same run twice": (
        copied(f"e/{NAMES[1]}"),
        f"is of the run '{NAMES[1]}'; must be of the run '{NAMES[0]}', as its folder says",
    ),
    "another experiment": (copied(f"other/{NAMES[0]}"), "is of another experiment than"),
    "missing": (lambda experiment: (experiment / NAMES[0] / "metrics.nc").unlink(), "there is no such file"),
    "other swept words": (
        edited(with_run(swept={"neurons": 2})),
        "sweeps neurons; must sweep neurons, step_size",
    ),
    "time reversed": (
        edited(with_values("time", lambda time: time[::-1])),
        "time must increase strictly from 0, unlike [5.0,",
    ),
    "a time twice": (
        edited(with_values("time", at_index(2, 0.1))),
        "time must increase strictly from 0, unlike [0.0, 0.1, 0.1",
    ),
    "infinite time": (edited(with_values("time", at_index(3, np.inf))), "time must increase strictly from 0"),
    "no time": (edited(without("time")), "has no variable 'time'"),
    "other seeds": (edited(with_values("seed", at_index(1, 3))), "seed[1] is 3; its run asks for 4"),
    "fewer seeds": (edited(cut("seed", 1)), "seed (seed) has shape (1,); its run asks for (2,)"),
}


@pytest.mark.parametrize("what", WRONG_METRICS)
def test_gather_refuses_wrong_metrics(experiment: Path, capsys: Any, what: str) -> None:
    """No run leaves the dataset, and none stands in another's place, with exit status 0."""
    change, message = WRONG_METRICS[what]
    change(experiment)
    names = [*NAMES[1:], NAMES[0]]  # the wrong one last: the others agree
    assert gathering(experiment, *names) == 2
    printed = one_line(capsys)
    assert printed.startswith(f"twolayer gather: error: {experiment}/{NAMES[0]}/metrics.nc: ")
    assert message in printed
    assert not (experiment / "made.nc").exists()


def test_gather_refuses_a_run_named_twice(experiment: Path, capsys: Any) -> None:
    assert gathering(experiment, NAMES[0], NAMES[0]) == 2
    assert f"names the run '{NAMES[0]}' twice" in one_line(capsys)


def test_gather_refuses_runs_that_are_not_those_of_the_config(experiment: Path, capsys: Any) -> None:
    """A digest of the config's runs tells metrics of other settings; with a problem in their folder, by name."""
    digest = digest_of(json.dumps(run) for run in RUNS)
    assert gathering(experiment, *NAMES, digest=digest) == 0
    (experiment / "made.nc").unlink()
    rewritten(experiment / NAMES[2] / "metrics.nc", with_run(seeds=[0, 4], dtype="float32"))
    assert gathering(experiment, *NAMES, digest=digest) == 2
    assert (
        f'{NAMES[2]}/metrics.nc: is of another run than {experiment}/{NAMES[2]}/problem.nc: dtype is "float32"'
        in (one_line(capsys))
    )
    rewritten(experiment / NAMES[2] / "problem.nc", with_run(dtype="float32"))
    assert gathering(experiment, *NAMES, digest=digest) == 2
    assert f"{experiment}: the metrics are not of the runs that the config asks for" in one_line(capsys)
    assert not (experiment / "made.nc").exists()


def test_gather_refuses_a_variable_over_other_dimensions(experiment: Path, capsys: Any) -> None:
    def turned(variables: netcdf.Variables, attributes: dict[str, Any]) -> None:
        dimensions, values, described = variables["loss"]
        variables["loss"] = (dimensions[::-1], values.T, described)

    rewritten(experiment / NAMES[0] / "metrics.nc", turned)
    assert gathering(experiment, *NAMES) == 2
    assert "'loss' has the dimensions (time, seed) and (seed, time) in different runs" in one_line(capsys)


@pytest.mark.parametrize("verb", ["train", "measure"])
def test_a_job_that_outlives_its_workflow_overwrites_nothing(
    experiment: Path, capsys: Any, monkeypatch: Any, verb: str
) -> None:
    """What was read is made again for another run while the job works: it refuses to write what it made."""
    at = experiment / NAMES[0]
    name = {"train": "problem", "measure": "trajectory"}[verb]
    stage = __import__(f"twolayer.stages.{verb}", fromlist=[verb])
    work = getattr(stage, verb)

    def slowly(*arguments: Any, **more: Any) -> Any:
        made = work(*arguments, **more)
        rewritten(at / f"{name}.nc", with_run(dtype="float32"))
        return made

    monkeypatch.setattr(stage, verb, slowly)
    assert (
        main(
            training(at, experiment / "made.nc") if verb == "train" else measuring(at, experiment / "made.nc")
        )
        == 2
    )
    assert (
        f'{at}/{name}.nc: has been made again for another run since it was read: dtype is "float32", not'
        in (one_line(capsys))
    )
    assert not (experiment / "made.nc").exists()


# ---- what counts as done ----


def test_differences_are_named_by_their_place() -> None:
    one = {"a": {"b": [1, {"c": 2.0}]}, "d": "x" * 200}
    assert difference(one, copy.deepcopy(one)) == ""
    assert difference({**one, "a": {"b": [1, {"c": 3.0}]}}, one) == "a.b[1].c is 3.0, not 2.0"
    assert difference({"a": {"b": [1]}}, {"a": {"b": [1, 2]}}) == "a.b is [1], not [1, 2]"
    assert difference({}, {"a": 1}) == "a is missing, not 1"
    assert len(difference({"d": 0}, {"d": "x" * 200})) < 100


def test_what_a_config_asks_for_is_found_in_the_file_itself(experiment: Path) -> None:
    """Each file of a run by its run, its stage, its code and its length; a dataset by its runs."""
    at, run = experiment / NAMES[0], json.dumps(RUNS[0])
    for stage in ("problem", "trajectory", "metrics"):
        path = at / f"{stage}.nc"
        _, attributes = netcdf.read(path)
        assert why_stale(path, stage, [run]) == ""
        assert why_stale(path, stage, [run], attributes["code"]) == ""
        assert why_stale(path, stage, [run], "0" * 16) == "was made by other code"
        other = json.dumps(run_of(step_size=0.3) | {"name": NAMES[0], "swept": RUNS[0]["swept"]})
        assert why_stale(path, stage, [other]) == "is of another run: dynamics.step_size is 0.1, not 0.3"
        newer = json.loads(run)
        newer["dynamics"]["decay"] = None
        said = "is of another run: it was made by a version that had no setting dynamics.decay"
        assert why_stale(path, stage, [json.dumps(newer)]) == said
        whole = path.read_bytes()
        for piece in (b"", whole[:4], whole[: len(whole) // 2], whole[:-1], b"not a file of ours"):
            path.write_bytes(piece)
            assert why_stale(path, stage, [run]) == f"is no {stage} file that can be read"
        path.write_bytes(whole)
    shutil.copy(at / "trajectory.nc", at / "metrics.nc")
    assert why_stale(at / "metrics.nc", "metrics", [run]) == "is no metrics file that can be read"


def test_a_dataset_is_compared_run_by_run(experiment: Path) -> None:
    assert gathering(experiment, *NAMES) == 0
    path, runs = experiment / "made.nc", [json.dumps(run) for run in RUNS]
    assert why_stale(path, "dataset", runs) == ""
    assert why_stale(path, "dataset", runs[:-1]) == f"has the run '{NAMES[-1]}'"
    more = json.dumps(run_of(4, 0.1))
    assert why_stale(path, "dataset", [*runs, more]) == "lacks the run 'neurons=4,step_size=0.1'"
    changed = [json.dumps({**run, "seeds": [0, 5]}) for run in RUNS]
    assert why_stale(path, "dataset", changed) == "is of another run: seeds[1] is 4, not 5"
    assert gathering(experiment, NAMES[1]) == 0
    assert why_stale(path, "dataset", runs[1:2]) == ""
    assert why_stale(path, "dataset", runs[:1]).startswith("is of another run: name is ")
    path.write_bytes(path.read_bytes()[:-100])
    assert why_stale(path, "dataset", runs) == "is no dataset file that can be read"


def test_what_lies_deep_in_a_file_is_found_too(tmp_path: Path) -> None:
    """A long run, and attributes added later, may lie beyond the first bytes: then the library reads the file."""
    run = {**RUN, "targets": list(range(20000))}
    netcdf.write(
        tmp_path / "problem.nc", {"x": (("n",), np.ones(9), {})}, contents.provenance("problem", run, "c")
    )
    assert len(json.dumps(run)) > 1 << 16
    assert why_stale(tmp_path / "problem.nc", "problem", [json.dumps(run)], "c") == ""
    with netCDF4.Dataset(tmp_path / "problem.nc", "a") as file:
        file.setncattr("remark", "seen")
    assert why_stale(tmp_path / "problem.nc", "problem", [json.dumps(run)], "c") == ""
