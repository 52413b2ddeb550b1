"""Every built-in dynamics, problem, initialization and metric on a device: as on the host, end to end.

The device is `device_arrays`, which keeps apart from the host as CuPy does, with the CUDA kernel compiled for the
host; under the marker `gpu` it is CuPy. What is combined comes from the registry: a plugin with required keys stands
in `EXAMPLES`, any other is included by itself. Only what the code refuses is left out, in the same words on both.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_strict
import device_arrays
import numpy as np
import pytest
from kernels import device_with_kernel
from namespaces import backend

from twolayer.core.arrays import to_host
from twolayer.core.network import placed_like
from twolayer.errors import ConfigError, TwolayerError
from twolayer.stages.generate import generate
from twolayer.stages.measure import measure
from twolayer.stages.train import train
from twolayer.storage import netcdf
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

REGISTRY = load()
METRICS = {name: REGISTRY.find("metrics", name).plugin for name in REGISTRY.names("metrics")}
DEVICES = ["device arrays", pytest.param("cupy", marks=pytest.mark.gpu)]

TRAINED, RTOL, ATOL = {"neurons": 4, "activation": "abs"}, 1e-9, 1e-11
"""The network of the matrix; how far weights of the two may differ, after a few steps."""

DESCENT, FLOW = {"name": "gradient_descent", "step_size": 0.05}, {"name": "gradient_flow", "rtol": 1e-6}
DECAY = {"values": [0.05, 0.02], "until": [0.1]}
EXAMPLES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "problems": {
        "file": [{"path": "{folder}/data.nc"}],
        "gaussian_teacher": [
            {"dimension": 2, "angles": [0.0, 75.0], "norms": [1.0, 0.8]},
            {"dimension": 9, "teachers": 2, "profile": "constant"},
            {"dimension": 3, "teachers": 2, "samples": 6},
            {"dimension": 9, "teachers": 2},
        ],
        "overlapping_teachers": [{"dimension": 3, "overlaps": 0.3, "teachers": 2, "rotated": True}],
        "random_teachers": [{"dimension": 3, "teachers": 2, "samples": 6}],
        "split_data": [
            {
                "training": {"name": "gaussian_teacher", "dimension": 3, "teachers": 2, "samples": 9},
                "held_out": 3,
                "off_distribution": {"name": "gaussian_teacher", "dimension": 3, "teachers": 2, "samples": 4},
            }
        ],
        "teacher_file": [{"dimension": 3, "path": "{folder}/teachers.nc"}],
        "orthogonal": [{"samples": 3, "dimension": 3, "targets": [1.0, -0.7, 0.4], "directions": "random"}],
        "points": [{"inputs": [[1.0, 0.2], [-0.3, 1.1], [0.4, -0.9]], "targets": [1.0, -0.5, 0.6]}],
    },
    "initializations": {
        "aligned": [{"projections": [[0.4, 0.3], [0.5, 0.2]], "angle": 0.1}],
        "around_teachers": [{"angle": 0.1}],
        "covering": [{"scale": 0.3}],
        "dominated": [{"scale": 0.3}],
        "file": [{"path": "{folder}/initial_{features}.nc"}],
        "gaussian": [{"scale": 0.3}, {"scale": 0.3, "draw": "reduced"}],
        "identical": [{"scale": 0.3}],
        "layerwise": [{"hidden_scale": 0.3, "output_scale": 0.2, "law": "uniform"}],
        "matrix": [
            {
                "hidden": [[0.3, -0.2], [-0.1, 0.4], [0.2, 0.2], [-0.3, -0.1]],
                "output": [0.2, -0.1, 0.3, -0.2],
            },
            {
                "hidden": [[0.3, -0.2, 0.1], [-0.1, 0.4, 0.2], [0.2, 0.2, -0.4], [-0.3, -0.1, 0.1]],
                "output": [0.1] * 4,
            },
        ],
        "split": [{"path": "{folder}/split_{features}.nc", "neuron": 1, "share": 0.4, "noise": 0.1}],
        "symmetrized": [{"half": {"name": "gaussian", "scale": 0.3}}],
        "trajectory": [{"path": "{folder}/trajectory_{features}.nc", "time": 1.0}],
    },
    "dynamics": {
        "adam": [{"step_size": 0.05}],
        "gradient_descent": [{"step_size": 0.05}],
        "gradient_flow": [{"rtol": 1e-6, "weight_decay": 0.01}],
        "halving_gradient_descent": [{"step_size": 0.05}],
        "momentum": [{"step_size": 0.05, "batch_size": 2}],
        "order_parameters": [{"rate": 0.1, "rtol": 1e-6}],
        "regularized_gradient_descent": [{"step_size": 0.05, "weight_decay": DECAY}],
        "sequence": [
            {
                "stages": [
                    {**DESCENT, "layers": "hidden", "until": 0.05},
                    {"name": "output_fit", "weight_decay": 0.05},
                    {"name": "balancing"},
                    {**FLOW, "layers": "output", "until": 0.1},
                    {**FLOW, "layers": "hidden", "until": 0.15},
                    {"name": "stochastic_gradient_descent", "step_size": 0.05, "batch_size": 2},
                ]
            }
        ],
        "stochastic_gradient_descent": [{"step_size": 0.05, "batch_size": 2}],
    },
}
OTHER_NETWORKS: list[dict[str, Any]] = [
    {"neurons": 4, "activation": "abs", "output": "tied"},
    {"neurons": 4, "activation": "relu", "output": "fixed", "output_scale": "1/m"},
    {"neurons": 4, "activation": "relu"},
]
NETWORKS = [TRAINED, *OTHER_NETWORKS]


def sections(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Each plugin of a kind as config sections, with a label."""
    return [
        (name if index == 0 else f"{name} {index + 1}", {"name": name, **keys})
        for name in REGISTRY.names(kind)
        for index, keys in enumerate(EXAMPLES[kind].get(name, [{}]))
    ]


PROBLEMS, DYNAMICS = dict(sections("problems")), dict(sections("dynamics"))
INITIALIZATIONS = dict(sections("initializations"))
LAWS = ("gaussian_teacher", "gaussian_teacher 4", "points", "split_data")
"""Problems that every dynamics and network is run on: the others are drawn on the host, and have the law of data of
one of these, with other numbers. They run under gradient descent; under all dynamics in tests marked `slow`."""
STARTS_OF_ALL = ("aligned", "around_teachers", "gaussian", "gaussian 2", "identical")
"""Starts that are run under every dynamics: in general position, at special points, and in reduced coordinates."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that plugins read: data, weights, and a trajectory."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(3)

    def write(name: str, variables: dict[str, Any]) -> None:
        described = {key: (dimensions, values, {}) for key, (dimensions, values) in variables.items()}
        netcdf.write(folder / name, described, {})

    inputs = (("sample", "feature"), random.standard_normal((5, 3)))
    write("data.nc", {"inputs": inputs, "targets": (("sample",), random.standard_normal(5))})
    write("teachers.nc", {"teacher_hidden": (("teacher", "feature"), random.standard_normal((2, 3)))})
    for features in (2, 3, 9):
        hidden, output = 0.4 * random.standard_normal((4, features)), 0.4 * random.standard_normal(4)
        names = ("neuron", "feature"), ("neuron",)
        write(
            f"initial_{features}.nc",
            {"initial_hidden": (names[0], hidden), "initial_output": (names[1], output)},
        )
        write(
            f"split_{features}.nc",
            {"initial_hidden": (names[0], hidden[:3]), "initial_output": (names[1], output[:3])},
        )
        lead = ("seed", "time")
        variables = {
            "hidden": ((*lead, *names[0]), hidden[None, None]), "output": ((*lead, *names[1]), output[None, None]),
            "time": (("time",), np.ones(1)), "seed": (("seed",), np.zeros(1, dtype=np.int64)),
        }  # fmt: skip
        write(f"trajectory_{features}.nc", variables)
    return folder


def runs(folder: Path, dynamics: str, problem: str, network: Any, starts: Any, **more: Any) -> Iterator[Any]:
    """The runs of the initializations that the config lets pass, by their names."""
    features = {"gaussian_teacher": 2, "gaussian_teacher 2": 9, "gaussian_teacher 4": 9, "points": 2}.get(
        problem, 3
    )
    for name in starts:
        start = {
            key: value.format(folder=folder, features=features) if isinstance(value, str) else value
            for key, value in INITIALIZATIONS[name].items()
        }
        given = {
            key: value.format(folder=folder) if isinstance(value, str) else value
            for key, value in PROBLEMS[problem].items()
        }
        section = {
            "problem": given, "network": network, "initialization": start, "dynamics": DYNAMICS[dynamics],
            "times": {"values": [0.2]}, "seeds": 2, **more,
        }  # fmt: skip
        try:
            (run,) = make_experiment("paper", "e", section, REGISTRY).runs.values()
        except ConfigError as error:
            if ": missing " in str(
                error
            ):  # a key that the plugin's example lacks, and nothing it is combined with
                raise
        else:
            yield name, run.as_dict()


def trained(run: Any, device: Any) -> tuple[Any, ...] | str:
    """What stands in the problem's and the trajectory's files, or the message in which the run is refused."""
    try:
        problem, attributes = generate(Job(run, REGISTRY).problem, Job(run, REGISTRY).network, run)
        start, dynamics = Job(run, REGISTRY).initialization, Job(run, REGISTRY).dynamics
        trajectory, _ = train(
            problem, attributes, Job(run, REGISTRY).network, run, start, dynamics, device, 1
        )
    except TwolayerError as error:
        return str(error)
    return problem, attributes, trajectory, Job(run, REGISTRY).network, run, METRICS, dynamics


def hold_alike(found: netcdf.Variables, wanted: netcdf.Variables, rtol: float, atol: float) -> None:
    """The variables of a file made with a device against those made on the host: NumPy's, and equal to rounding."""
    assert found.keys() == wanted.keys()
    for name, (dimensions, values, _) in wanted.items():
        assert found[name][0] == dimensions
        assert type(found[name][1]) is type(values)
        np.testing.assert_allclose(found[name][1], values, rtol=rtol, atol=atol, err_msg=name)


def chosen(name: str) -> Any:
    return device_with_kernel() if name == "device arrays" else backend(name)


def on_devices(kind: Any, name: str, all_problems: bool) -> Iterator[Any]:
    """The cases of a dynamics or a network, by its name, on each problem; slow for the stand-in outside LAWS."""
    for problem in PROBLEMS:
        once = not all_problems and problem not in LAWS
        yield pytest.param(
            kind,
            problem,
            "device arrays",
            marks=[pytest.mark.slow] * once,
            id=f"{name}-{problem}-device arrays",
        )
        yield pytest.param(kind, problem, "cupy", marks=pytest.mark.gpu, id=f"{name}-{problem}-cupy")


@pytest.mark.parametrize(
    ("dynamics", "problem", "device"),
    [case for name in DYNAMICS for case in on_devices(name, name, name == "gradient_descent")],
)
def test_every_start_runs_as_on_the_host(dynamics: str, problem: str, device: str, folder: Path) -> None:
    """All metrics are measured of descents; those of weights in general position are compared with the host's, too,
    on a teacher and on samples.

    Starts are drawn on the host: those that differ by their numbers alone are run under one dynamics.
    """
    done = set()
    starts = INITIALIZATIONS if dynamics == "gradient_descent" else STARTS_OF_ALL
    for name, run in runs(folder, dynamics, problem, TRAINED, starts):
        there, here = trained(run, chosen(device)), trained(run, backend("numpy"))
        if isinstance(there, str) or isinstance(here, str):
            assert there == here
            continue
        hold_alike(there[2], here[2], RTOL, ATOL)
        general = name == "gaussian" and problem in ("gaussian_teacher", "points")
        if general or dynamics == "gradient_descent":
            measured, _ = measure(*there)
            assert {"loss", "gradient_norm", "mass"} <= measured.keys()
        if general:
            hold_alike(measured, measure(*here)[0], 1e-6, 1e-8)
        done.add(name)
    if dynamics == "gradient_descent":
        assert {"file", "gaussian", "identical", "split", "symmetrized", "trajectory"} <= done
    elif dynamics != "order_parameters":  # which knows fixed outputs only
        assert {"gaussian", "identical"} <= done


@pytest.mark.parametrize(
    ("network", "problem", "device"),
    [
        case
        for network in OTHER_NETWORKS
        for case in on_devices(network, network.get("output", "relu"), False)
    ],
)
def test_every_network_runs_as_on_the_host(network: Any, problem: str, device: str, folder: Path) -> None:
    done = set()
    for dynamics in DYNAMICS:
        for _, run in runs(folder, dynamics, problem, network, ["gaussian"], dtype="float64"):
            there, here = trained(run, chosen(device)), trained(run, backend("numpy"))
            assert not isinstance(there, str), there
            assert not isinstance(here, str), here
            hold_alike(there[2], here[2], RTOL, ATOL)
            done.add(dynamics)
    assert {"gradient_descent", "gradient_flow", "stochastic_gradient_descent"} <= done
    assert ("order_parameters" in done) == (
        problem == "gaussian_teacher 4" and network.get("output") == "fixed"
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("step_size", [3.0, 8.0])
@pytest.mark.parametrize("problem", ["points", "gaussian_teacher 3"])
def test_steps_that_are_too_large_are_reported_as_on_the_host(
    problem: str, step_size: float, device: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Divergence, and the twin that shows chaos: the same steps and times, where rounding does not decide them."""
    monkeypatch.setitem(DYNAMICS, "large steps", {"name": "gradient_descent", "step_size": step_size})
    ((_, run),) = runs(folder, "large steps", problem, TRAINED, ["gaussian"], times={"steps": [1, 5, 20, 50]})
    there, here = trained(run, chosen(device)), trained(run, backend("numpy"))
    assert not isinstance(there, str), there
    assert not isinstance(here, str), here
    assert (here[2]["diverged_step"][1] > 0).any()
    for name in ("diverged_step", "path_trusted_until"):
        np.testing.assert_array_equal(there[2][name][1], here[2][name][1])


def test_no_metric_is_left_out(folder: Path) -> None:
    """The matrix has a run for each: they are in these."""
    measured: set[str] = set()
    decaying = itertools.product(["gradient_flow"], ("gaussian_teacher", "split_data", "points"), NETWORKS)
    unscaled = {"neurons": 4, "activation": "relu", "output": "fixed"}
    for dynamics, problem, network in (*decaying, ("gradient_descent", "gaussian_teacher", unscaled)):
        for _, run in runs(folder, dynamics, problem, network, ["gaussian"]):
            made = trained(run, chosen("device arrays"))
            assert not isinstance(made, str), made
            measured |= measure(*made)[0].keys()
    assert set(METRICS) <= measured


# ---- the stand-in -------------------------------------------------------------------------------------------

XP, HOST = device_arrays.namespace, np.ones(3)
ARRAY = XP.asarray(np.array([[0.0, 1.0, 2.0]] * 3))
REFUSED = {
    "asarray": lambda: np.asarray(ARRAY),
    "from_dlpack": lambda: np.from_dlpack(ARRAY),
    "a NumPy function": lambda: np.stack([ARRAY]),
    "a NumPy ufunc": lambda: np.isfinite(ARRAY),
    "into a NumPy array": lambda: HOST.copy().__setitem__(slice(None), ARRAY[0]),
    "a mask of a NumPy array": lambda: HOST[ARRAY[0] > 1],
    "host + device": lambda: HOST + ARRAY,
    "device + host": lambda: ARRAY + HOST,
    "host @ device": lambda: np.eye(3) @ ARRAY,
    "device < host": lambda: ARRAY < HOST,
    "in place": lambda: operator.iadd(ARRAY, HOST),
    "into an array": lambda: ARRAY.__setitem__(0, HOST),
    "an index": lambda: ARRAY[np.array([0, 1])],
    "matmul": lambda: XP.matmul(ARRAY, np.eye(3)),
    "matmul from the left": lambda: XP.matmul(np.eye(3), ARRAY),
    "where": lambda: XP.where(ARRAY > 1, HOST, 0.0),
    "concat": lambda: XP.concat([ARRAY, np.eye(3)]),
    "a sum": lambda: XP.sum(HOST),
    "a sum of a number": lambda: XP.sum(1.0),
    "other arrays": lambda: ARRAY + array_api_strict.ones(3),
    "a range": lambda: range(XP.asarray(3)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_stand_in_refuses_what_cupy_refuses(what: str) -> None:
    with pytest.raises((TypeError, BufferError)):
        REFUSED[what]()


def test_the_stand_in_takes_scalars_and_names_its_ways_out() -> None:
    """As CuPy: numbers of Python and NumPy take part, arrays without dimensions have one, results stay there."""
    for made in (
        2.0 * ARRAY,
        np.float64(2.0) * ARRAY,
        ARRAY + ARRAY,
        XP.where(ARRAY > 1, ARRAY, 0.0),
        ARRAY[0, 0],
    ):
        assert isinstance(made, device_arrays.DeviceArray)
    assert float(XP.sum(ARRAY)) == 9.0
    assert bool(XP.all(ARRAY >= 0.0))
    np.testing.assert_array_equal(to_host(ARRAY), ARRAY.get())
    back = placed_like(HOST, ARRAY)
    assert isinstance(back, device_arrays.DeviceArray)
    assert back.dtype == ARRAY.dtype
