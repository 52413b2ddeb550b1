"""From config to runs: merging, sweeps, names, spelling, and the errors that name the place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from project import PROJECT

from twolayer.errors import ConfigError, unknown_name
from twolayer.study.merge import merge_experiment
from twolayer.study.registry import load
from twolayer.study.runs import Experiment, make_experiment, run_names
from twolayer.study.schema import number
from twolayer.study.study import Study, load_study
from twolayer.study.sweep import sweep_points

EXPERIMENT: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.0, 1.0]], "targets": [1.0, -1.0]},
    "network": {"neurons": 3},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"start": 0.1, "stop": 10.0, "count": 5, "spacing": "log"},
    "seeds": 2,
}


REGISTRY = load()


def made(experiment: Any = None, **changes: Any) -> Experiment:
    """An experiment with some of its keys changed; None takes one away."""
    section = {**copy.deepcopy(EXPERIMENT if experiment is None else experiment), **changes}
    section = {key: value for key, value in section.items() if value is not None}
    return make_experiment("paper", "e", section, REGISTRY)


def texts(experiment: Experiment) -> list[str]:
    """The runs as JSON."""
    return [run.json() for run in experiment.runs.values()]


def study(folder: Path, *configs: str, **overrides: Any) -> Study:
    """Configs as files of a folder, loaded in order."""
    files = []
    for index, text in enumerate(configs):
        files.append(folder / f"config{index}.yaml")
        files[-1].write_text(text)
    return load_study(files, overrides)


def one_paper(**experiments: Any) -> str:
    """A config with one paper, as YAML."""
    return yaml.safe_dump({"papers": {"mine": {"experiments": experiments}}})


# ---- merging ----


def test_sections_of_one_name_merge_and_the_rest_replaces(tmp_path: Path) -> None:
    over = {
        "problem": {"loss": "mean_square"},
        "network": {"activation": "abs"},
        "initialization": {"name": "gaussian", "balanced": True},
        "dynamics": {"name": "gradient_flow"},
        "times": {"values": [1, 2]},
        "seeds": [7],
        "metrics": ["loss"],
    }
    base = {**EXPERIMENT, "metrics": ["path_norm"], "sweep": {"network.neurons": [2, 3]}}
    found = study(tmp_path, one_paper(e=base), one_paper(e={**over, "sweep": None}, f=EXPERIMENT))
    experiments = found.papers["mine"].experiments
    assert list(experiments) == ["e", "f"]
    sections = experiments["e"].runs["default"].sections
    assert sections["problem"]["inputs"] == EXPERIMENT["problem"]["inputs"]
    assert sections["problem"]["loss"] == "mean_square"
    assert (sections["network"]["neurons"], sections["network"]["activation"]) == (3, "abs")
    assert (sections["initialization"]["scale"], sections["initialization"]["balanced"]) == (0.1, True)
    assert "step_size" not in sections["dynamics"]
    assert sections["times"] == {"values": [1.0, 2.0]}
    assert sections["seeds"] == [7]
    assert experiments["e"].metrics == ("loss",)


@pytest.mark.parametrize("key", ["times", "sweep", "metrics", "seeds", "dtype"])
def test_these_keys_replace(key: str) -> None:
    assert merge_experiment({key: {"a": 1}}, {key: {"b": 2}}) == {key: {"b": 2}}


@given(
    st.dictionaries(
        st.sampled_from([*EXPERIMENT, "metrics", "sweep", "dtype"]),
        st.dictionaries(st.sampled_from(["name", "scale", "count"]), st.integers(0, 3), max_size=3),
    ),
    st.dictionaries(
        st.sampled_from([*EXPERIMENT, "metrics", "sweep", "dtype"]),
        st.dictionaries(st.sampled_from(["name", "scale", "count"]), st.integers(0, 3), max_size=3),
    ),
)
def test_merging_twice_is_merging_once(base: dict[str, Any], over: dict[str, Any]) -> None:
    kept = copy.deepcopy(base), copy.deepcopy(over)
    once = merge_experiment(base, over)
    assert merge_experiment(once, over) == once
    assert merge_experiment(base, {}) == base
    assert (base, over) == kept
    assert set(once) == set(base) | set(over)


def test_paths_are_read_from_the_folder_of_their_config(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    far = tmp_path.parent / f"{tmp_path.name}-far.nc"
    for file in ("here/data/a.nc", "here/data/b.nc", "d.nc", str(far)):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    section = {**EXPERIMENT, "problem": {"name": "file", "path": "data/a.nc"}}
    section_of_two = {**section, "sweep": {"problem.path": {"one": "data/b.nc", "two": str(far)}}}
    (tmp_path / "here" / "config.yaml").write_text(one_paper(e=section, swept=section_of_two))
    override = {"mine": {"experiments": {"f": {**section, "problem": {"name": "file", "path": "d.nc"}}}}}
    found = load_study([tmp_path / "here" / "config.yaml"], {"papers": override})
    runs = {name: experiment.runs for name, experiment in found.papers["mine"].experiments.items()}
    assert runs["e"]["default"].data_files("problem") == ["here/data/a.nc"]
    assert runs["swept"]["path=one"].data_files("problem") == ["here/data/b.nc"]
    assert runs["swept"]["path=two"].data_files("problem") == [str(far)]
    assert runs["f"]["default"].data_files("problem") == ["d.nc"]


def test_a_data_file_that_is_not_there_is_reported_with_its_place(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    section = {**EXPERIMENT, "problem": {"name": "file", "path": "nodata.nc"}}
    (tmp_path / "config.yaml").write_text(one_paper(e=section))
    with pytest.raises(ConfigError, match=r"experiments\.e\.problem\.path: there is no file 'nodata\.nc'"):
        load_study([tmp_path / "config.yaml"])


def test_overrides_win_and_unknown_top_keys_do_not_pass(tmp_path: Path) -> None:
    assert study(tmp_path, "backend: numba", backend="numpy").backend == "numpy"
    assert study(tmp_path, "backend: numba", "backend: numpy").backend == "numpy"
    with pytest.raises(
        ConfigError, match=r"config0\.yaml: bakend: there is no key 'bakend'\. Did you mean 'backend'"
    ):
        study(tmp_path, "bakend: numpy")
    with pytest.raises(ConfigError, match=r"--config: bakend: .* Did you mean 'backend'"):
        study(tmp_path, "{}", bakend="numpy")
    with pytest.raises(ConfigError, match=r"backend: there is no backend 'nmupy'\. Did you mean 'numpy'"):
        study(tmp_path, "backend: nmupy")


# ---- YAML ----


def test_anchors_and_merge_keys_are_no_duplicates(tmp_path: Path) -> None:
    text = """
    papers:
      mine:
        experiments:
          deep: &deep
            problem: &points {name: points, inputs: [[1.0]], targets: [1.0]}
            network: {neurons: 2}
            initialization: {name: gaussian, scale: 1e-3}
            dynamics: &slow {<<: &any {name: gradient_descent, step_size: 1}, step_size: 0.1}
            times: {steps: [1]}
          shallow:
            <<: *deep
            problem: {<<: *points, loss: mean_square}
            dynamics: {<<: *slow, step_size: 0.2}
    """
    runs = study(tmp_path, text).papers["mine"].experiments
    assert runs["deep"].runs["default"].sections["dynamics"]["step_size"] == 0.1
    assert runs["shallow"].runs["default"].sections["dynamics"]["step_size"] == 0.2
    assert runs["shallow"].runs["default"].sections["problem"]["loss"] == "mean_square"
    assert runs["deep"].runs["default"].sections["initialization"]["scale"] == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend: numpy\nbackend: numba", r"config0\.yaml\"?, line 2: 'backend' is given twice"),
        ("papers: {a: {}, b: {}, a: {}}", "'a' is given twice"),
        ("papers: [", "is not valid YAML"),
        ("papers: {[1, 2]: 3}", "is not valid YAML"),
        ("- a", "must hold keys, not list"),
        ("papers: 3", "papers: must be a section with keys, is 3"),
        ("papers: {mine: {experimints: {}}}", r"papers\.mine\.experimints: .* Did you mean 'experiments'"),
        ("papers: {mine: {experiments: 5}}", r"papers\.mine\.experiments: must be a section"),
        ("papers: {mine: {experiments: {e: 5}}}", r"papers\.mine\.experiments\.e: must be a section"),
        ("papers: {3: {}}", r"papers\.3: a name of letters"),
        ("papers: {mine: {experiments: {figures: {}}}}", r"'figures' is the folder of the figures"),
        ("papers: {mine: {experiments: {a-b: {}}}}", r"experiments\.a-b: a name of letters"),
        ("papers: {xu2023: {figures: {none: {experiments: [e]}}}}", r"figures\.none: there is no figure"),
        ("papers: {mine: {}}", r"papers\.mine: there is no paper 'mine'\. Known: .*boursier2022, .*xu2023, "),
        ("papers: {xu203: {}}", r"papers\.xu203: there is no paper 'xu203'\. Did you mean 'xu2023'"),
        ("plugin_paths: nowhere", "plugin_paths: must be a list"),
        ("plugin_paths: [nowhere]", "plugin_paths: there is no folder '.*nowhere'"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        load_study([tmp_path / "absent.yaml"])
    (tmp_path / "latin.yaml").write_bytes(b"backend: \xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not valid YAML"):
        load_study([tmp_path / "latin.yaml"])


def test_an_experiment_that_no_figure_uses_is_reported(tmp_path: Path) -> None:
    warnings = study(tmp_path, one_paper(e=EXPERIMENT)).warnings
    assert "papers.mine.experiments.e: no figure or claim uses it; `snakemake mine` makes it" in warnings


# ---- sweeps and names ----


def test_a_product_in_config_order() -> None:
    sweep = {"network.neurons": [2, 5], "dynamics.step_size": ["1e-3", 1.0]}
    experiment = made(sweep=sweep)
    assert list(experiment.runs) == [
        "neurons=2,step_size=0.001",
        "neurons=2,step_size=1.0",
        "neurons=5,step_size=0.001",
        "neurons=5,step_size=1.0",
    ]
    run = experiment.runs["neurons=5,step_size=0.001"]
    assert run.swept == {"neurons": 5, "step_size": 1e-3}
    assert run.sections["network"]["neurons"] == 5
    assert json.loads(*experiment.layout()) == {"neurons": ["2", "5"], "step_size": ["0.001", "1.0"]}


def test_a_zip_a_row_a_run() -> None:
    rows = [{"network.neurons": 2, "dtype": "float64"}, {"network.neurons": 5, "dtype": "float32"}]
    experiment = made(sweep=rows)
    assert list(experiment.runs) == ["neurons=2,dtype=float64", "neurons=5,dtype=float32"]
    assert run_names(experiment.layout()) == list(experiment.runs)


def test_labels_for_what_is_no_scalar() -> None:
    targets = {"even": [0.5, 0.5], "split": [0.3, "7e-1"]}
    by_mapping = made(sweep={"problem.targets": targets})
    by_list = made(sweep={"problem.targets": [{label: value} for label, value in targets.items()]})
    assert list(by_mapping.runs) == ["targets=even", "targets=split"]
    assert texts(by_mapping) == texts(by_list)
    assert by_mapping.runs["targets=split"].sections["problem"]["targets"] == [0.3, 0.7]
    whole = made(sweep={"dynamics": {"flow": {"name": "gradient_flow"}}})
    assert whole.runs["dynamics=flow"].sections["dynamics"]["name"] == "gradient_flow"


def test_nothing_swept() -> None:
    assert list(made().runs) == ["default"]
    assert list(made(sweep={}).runs) == ["default"]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"network.neurons": 3}, "must be a list of values"),
        ({"network.neurons": []}, "no values"),
        ([], "an empty list"),
        (0, "must be a section with keys, is 0"),
        ({"neurons": [3]}, "there is no section to sweep 'neurons'"),
        ({"seed": [1, 2]}, "there is no section to sweep 'seed'"),
        ({"network.nuerons": [3]}, r"network\.nuerons: there is no key 'nuerons'. Did you mean 'neurons'"),
        ({"network.neurons.deep": [3]}, "neurons is 3, not a section with keys"),
        ({"network.neurons": [3, 3]}, "two points are both the run 'neurons=3'"),
        ({"dynamics.step_size": [0.001, "1e-3"]}, "two points are both the run 'step_size=0.001'"),
        ({"problem.targets": [[0.5, 0.5]]}, "give it a label"),
        ({"network.neurons": [None]}, "give it a label"),
        ({"problem.targets": {"a/b": [0.5, 0.5]}}, "label 'a/b' must be of letters"),
        ([{"problem.targets": {"a,b": [0.5, 0.5]}}], "label 'a,b' must be of letters"),
        ({"problem.targets": {None: [0.5, 0.5]}}, "label None must be of letters"),
        ({"network.output_scale": ["1/m"]}, "cannot be part of a file name; give it a label"),
        ([{"network.neurons": 2}, {"dtype": "float32"}], "every row of a zip must name the same paths"),
        ({"problem.name": ["points"], "dynamics.name": ["gradient_descent"]}, "end in the same word 'name'"),
        ({"dynamics.step": [1]}, "there is no key 'step'. Did you mean 'step_size'"),
        ({"problem.loss": ["mean_square"]}, "'loss' is a metric of this experiment.*'problem' by labels"),
        ({"problem.targets": {"x" * 250: [1.0, 1.0]}}, "longer than 200 bytes"),
    ],
)
def test_mistakes_in_a_sweep(sweep: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^papers\.paper\.experiments\.e.*{message}"):
        made(sweep=sweep)


def test_a_word_is_refused_only_where_it_is_taken() -> None:
    sweep = {"network.output": ["fixed", "trained"]}
    assert list(made(sweep=sweep).runs) == ["output=fixed", "output=trained"]
    with pytest.raises(ConfigError, match="'output' is a metric of this experiment"):
        made(sweep=sweep, metrics=["output"])


words = st.from_regex(r"[a-z][a-z_]{0,6}", fullmatch=True)
scalars = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.from_regex(r"[A-Za-z0-9_.+-]{1,8}", fullmatch=True),
)


@given(st.dictionaries(words, st.lists(scalars, min_size=1, max_size=3, unique_by=str), max_size=3))
def test_a_layout_stands_for_its_runs(axes: dict[str, list[Any]]) -> None:
    names = run_names([json.dumps({word: [str(value) for value in axis] for word, axis in axes.items()})])
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    experiment = Experiment("p", "e", dict(zip(names, runs_of(points, names), strict=True)), None)
    assert run_names(experiment.layout()) == names
    some = names[1:] or names
    fewer = Experiment("p", "e", {name: experiment.runs[name] for name in some}, None)
    assert run_names(fewer.layout()) == some


def runs_of(points: list[dict[str, Any]], names: list[str]) -> Iterator[Any]:
    """Runs of which only the words count."""
    from twolayer.study.runs import PlannedRun

    for point, name in zip(points, names, strict=True):
        yield PlannedRun("p", "e", name, point, {})


# ---- spelling ----


def spellings(value: float) -> st.SearchStrategy[Any]:
    """Ways in which a config may spell a number."""
    texts = [repr(value), f"{value:.17e}", f"+{value!r}" if value >= 0 else repr(value), f" {value!r}"]
    texts += [f"{value:.17E}"]
    if value == int(value):
        texts += [str(int(value)), f"{int(value)}."]
    ways: list[Any] = [value, *texts]
    if value == int(value):
        ways.append(int(value))
    return st.sampled_from(ways)


numbers = st.floats(1e-12, 1e9) | st.integers(1, 10**9).map(float)


@given(st.data(), numbers, numbers, st.integers(1, 50), st.lists(numbers, min_size=2, max_size=2))
def test_any_spelling_of_the_numbers_is_the_same_run(
    data: st.DataObject, scale: float, step_size: float, neurons: int, targets: list[float]
) -> None:

    def with_numbers(spell: Callable[[float], Any]) -> Experiment:
        return made(
            problem={**EXPERIMENT["problem"], "targets": [spell(target) for target in targets]},
            network={"neurons": spell(float(neurons))},
            initialization={"name": "gaussian", "scale": spell(scale)},
            dynamics={"name": "gradient_descent", "step_size": spell(step_size)},
            times={"steps": [spell(1.0), spell(7.0)]},
            seeds=[spell(0.0), spell(3.0)],
            sweep={"initialization.scale": [spell(scale), spell(2 * scale)]},
        )

    plain = with_numbers(lambda value: value)
    respelt = with_numbers(lambda value: data.draw(spellings(value)))
    assert texts(respelt) == texts(plain)
    assert respelt.layout() == plain.layout()
    assert type(plain.runs[f"scale={scale!r}"].sections["network"]["neurons"]) is int


def test_defaults_are_filled_in_and_order_does_not_count() -> None:
    full = {
        **EXPERIMENT,
        "dtype": "float64",
        "seeds": [0, 1],
        "network": {"neurons": 3, "activation": "relu"},
    }
    backwards = dict(reversed(full.items()))
    assert texts(made(full)) == texts(made()) == texts(made(backwards))


@given(st.text(max_size=12))
def test_text_becomes_a_number_only_where_it_spells_one(text: str) -> None:
    found = number(text)
    if not isinstance(found, str):
        assert float(text) == found or found != found
    else:
        assert found == text
        with pytest.raises(ValueError, match="could not convert"):
            float(text)


# ---- mistakes in an experiment ----

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"problem": None}, ": missing problem"),
    ({"dynamics": None, "times": None}, ": missing dynamics, times"),
    ({"network": {}}, r"\.network: missing neurons"),
    ({"network": {"neurons": 0}}, r"\.network\.neurons: a network has at least 1 neuron, not 0"),
    ({"network": {"neurons": 2.5}}, r"\.network\.neurons: must be a whole number, is 2\.5"),
    ({"network": {"neurons": True}}, r"\.network\.neurons: must be a whole number, is True"),
    ({"network": {"neurons": "many"}}, r"\.network\.neurons: must be a whole number, is 'many'"),
    ({"network": {"neurons": 2, "activation": "rleu"}}, r"\.network\.activation: .* Did you mean 'relu'"),
    (
        {"network": {"neurons": 2, "output": "fixed", "output_values": [1.0]}},
        r"\.network\.output_values: 1 value for 2",
    ),
    (
        {"network": {"neurons": 2, "output_values": 2.0}},
        r"\.network\.output_values: only with 'output: fixed'",
    ),
    ({"network": "big"}, r"\.network: must be a section with keys, is 'big'"),
    ({"dtype": "float16"}, r"\.dtype: there is no dtype 'float16'\. Did you mean 'float64'.*float32"),
    (
        {"problem": {"name": "pionts"}},
        r"\.problem\.name: there is no problem 'pionts'. Did you mean 'points'",
    ),
    ({"problem": {"inputs": [[1.0]]}}, r"\.problem\.name: missing; known: .*points"),
    ({"problem": {"name": "points", "inputs": [[1.0]]}}, r"\.problem: missing targets \(needed by Points\)"),
    (
        {"problem": {"name": "points", "inputs": [[1.0], [2.0, 3.0]], "targets": [1, 2]}},
        r"\.problem\.inputs: every input needs the same number of features",
    ),
    (
        {"problem": {"name": "points", "inputs": [[1.0], [2.0]], "targets": [1]}},
        r"\.problem\.targets: 1 target for 2 inputs",
    ),
    (
        {"problem": {"name": "points", "inputs": [[float("nan")]], "targets": [1]}},
        r"\.problem\.inputs\[0\]\[0\]: must be finite, is nan",
    ),
    (
        {"problem": {"name": "points", "inputs": [[1.0]], "targets": ["inf"]}},
        r"\.problem\.targets\[0\]: must be finite, is inf",
    ),
    (
        {"problem": {"name": "orthogonal", "samples": 3, "dimension": 2, "targets": 1.0}},
        r"\.problem\.samples: 3 inputs cannot be orthogonal in 2 dimensions",
    ),
    ({"initialization": {"name": "gaussian", "scale": -1}}, r"\.initialization\.scale: must be above 0"),
    ({"initialization": {"name": "gaussian", "scale": 10**400}}, r"\.initialization\.scale: must be finite"),
    (
        {"initialization": {"name": "gaussian", "scale": 1, "balanced": 1}},
        r"\.initialization\.balanced: must be true or false, is 1",
    ),
    (
        {"dynamics": "adam"},
        r"\.dynamics: must be a section with keys, is 'adam'; write dynamics: \{name: adam, …\}",
    ),
    ({"dynamics": [1]}, r"\.dynamics: must be a section with keys, is \[1\]"),
    (
        {"network": 5, "sweep": {"network.neurons": [2]}},
        r"\.sweep\.network\.neurons: network is 5, not a section",
    ),
    ({"dynamics": {"name": "gradient_descent", "step_size": 0}}, r"\.dynamics\.step_size: must be above 0"),
    ({"dynamics": {"name": "gradient_flow", "rtol": 1e-30}}, r"\.dynamics\.rtol: must lie in"),
    (
        {"dynamics": {"name": "gradient_flow", "stepsize": 1}},
        r"\.dynamics\.stepsize: there is no key 'stepsize'",
    ),
    (
        {"dynamics": {"name": "gradient_flow", "weight_decay": {"values": [1, 2], "until": []}}},
        r"\.dynamics\.weight_decay\.until: 2 values: one gives way to the next at 1 time, not",
    ),
    (
        {"dynamics": {"name": "gradient_flow"}, "times": {"steps": [1]}},
        r"\.times\.steps: only a descent has steps",
    ),
    ({"times": {}}, r"\.times: give either start, stop, count and spacing"),
    ({"times": {"values": [1], "steps": [1]}}, r"\.times: give either"),
    ({"times": {"values": []}}, r"\.times: at least one time"),
    ({"times": {"values": [1.0, 1.0]}}, r"\.times: times must increase strictly; 1\.0 follows 1\.0"),
    ({"times": {"values": [-1.0]}}, r"\.times: times begin at 0"),
    ({"times": {"start": 1, "stop": 2, "count": 3}}, r"\.times: spacing missing"),
    ({"times": {"start": 0, "stop": 2, "count": 3, "spacing": "log"}}, r"\.times\.start: must be above 0"),
    ({"times": {"start": 2, "stop": 2, "count": 3, "spacing": "linear"}}, r"\.times\.stop: must be later"),
    ({"times": {"start": 1, "stop": 2, "count": 1, "spacing": "linear"}}, r"\.times\.count: at least 2"),
    ({"times": {"values": [1e300]}}, r"\.times: 1e\+301 steps of 0\.1"),
    ({"times": {"steps": [10**18]}}, r"\.times\.steps: 10+ are more than can be run"),
    (
        {"dynamics": {"name": "gradient_descent", "step_size": 1e-300}, "times": {"values": [1e300]}},
        r"\.times: inf steps of 1e-300 until the last time: more than can be run",
    ),
    ({"network": {"neurons": 3, "output_scale": 0}}, r"\.network\.output_scale: must be above 0, is 0"),
    ({"network": {"neurons": 3, "output_scale": -1.0}}, r"\.network\.output_scale: must be above 0, is -1"),
    ({"seeds": 0}, r"\.seeds: from 1 to"),
    ({"seeds": 10**9}, r"\.seeds: from 1 to"),
    ({"seeds": []}, r"\.seeds: one or more different whole numbers"),
    ({"seeds": [1, 1]}, r"\.seeds: one or more different whole numbers"),
    ({"seeds": [-1]}, r"\.seeds: one or more different whole numbers"),
    ({"seeds": [2**63]}, r"\.seeds: one or more different whole numbers"),
    ({"seeds": "two"}, r"\.seeds: must be a number of seeds, or a list of them, is 'two'"),
    ({"metrics": "loss"}, r"\.metrics: must be a list"),
    ({"metrics": ["lost"]}, r"\.metrics: there is no metric 'lost'\. Did you mean 'loss'"),
    ({"metric": ["loss"]}, r"\.metric: there is no key 'metric'\. Did you mean 'metrics'"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[re.sub(r"\W+", "_", m) for _, m in WRONG])
def test_mistakes_in_an_experiment(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^papers\.paper\.experiments\.e{message}"):
        made(**changes)


KEYS = [
    (*place, key)
    for place, section in [((), EXPERIMENT), *(((name,), EXPERIMENT[name]) for name in EXPERIMENT)]
    if isinstance(section, dict)
    for key in section
]


@given(st.sampled_from(KEYS), st.data())
def test_a_misspelt_key_is_an_error_that_names_it(place: tuple[str, ...], data: st.DataObject) -> None:
    *above, key = place
    letter = data.draw(st.integers(0, len(key) - 1))
    wrong = data.draw(st.sampled_from([key[:letter] + key[letter + 1 :], key[:letter] + "q" + key[letter:]]))
    section = copy.deepcopy(EXPERIMENT)
    parent = section[above[0]] if above else section
    parent[wrong] = parent.pop(key)
    with pytest.raises(ConfigError) as caught:
        made(section)
    where = ".".join(("papers.paper.experiments.e", *above))
    assert str(caught.value).startswith(where)
    assert key in str(caught.value) or wrong in str(caught.value)


def attempt(action: Callable[[], Any], place: str) -> Any:
    """What the action gives, or None where it ends in a ConfigError that begins with the place."""
    refused: ConfigError | None = None
    try:
        return action()
    except ConfigError as error:
        refused = error
    assert str(refused).startswith(place)
    return None


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 40) | st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["points", "gaussian", "gradient_flow", "file", "log", "1e-3", "loss", "float32"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "inputs", "targets", "neurons", "values", "steps", "until"])
            | st.integers(0, 2),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from([*KEYS, ("sweep",), ("metrics",), ("dtype",)]), anything)
def test_any_value_is_taken_or_refused_by_a_config_error(place: tuple[str, ...], value: Any) -> None:
    section = copy.deepcopy(EXPERIMENT)
    *above, key = place
    (section[above[0]] if above else section)[key] = value
    experiment = attempt(lambda: made(section), "papers.paper.experiments.e")
    if experiment is not None:
        assert run_names(experiment.layout()) == list(experiment.runs)


@given(anything)
def test_any_sweep_is_taken_or_refused(sweep: Any) -> None:
    points = attempt(lambda: sweep_points(sweep, "here"), "here")
    assert points is None or len(points) > 0


@given(st.dictionaries(st.sampled_from(["backend", "papers", "plugin_paths", "paper"]), anything, max_size=2))
def test_any_override_is_taken_or_refused(overrides: dict[str, Any]) -> None:
    attempt(lambda: load_study([], overrides), "")


def test_an_unknown_name_lists_the_nearest_and_all() -> None:
    message = unknown_name("metric", "lss", ["objective", "loss"])
    assert message == "there is no metric 'lss'. Did you mean 'loss'? Known: loss, objective."
    assert unknown_name("figure", "x", []) == "there is no figure 'x'. Known: none."


def test_claims_and_figures_of_the_papers_name_what_exists() -> None:
    study = load_study([PROJECT / "config.yaml"])
    assert study.warnings == []
    for name, paper in study.papers.items():
        assert paper.claims
        assert paper.figures
        for key, experiments in paper.claims.items():
            assert key.startswith(f"{name}.")
            claim = study.registry.find("claims", key).plugin
            assert set(experiments) <= paper.experiments.keys(), key
            assert set(claim.figures) <= paper.figures.keys(), key


def test_a_claim_on_an_experiment_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.py").write_text(
        "from twolayer import Paper, close\n\npaper = Paper('mine', 'Mine, 2026')\n\n"
        "@paper.claim('x', 'x', 'derived', on='absent')\ndef lost(run):\n    return close(1.0, 1.0, relative=1.0)\n"
    )
    overrides = {"plugin_paths": [str(tmp_path)], "papers": {"mine": {"experiments": {"e": EXPERIMENT}}}}
    warnings = load_study([PROJECT / "config.yaml"], overrides).warnings
    message = "papers.mine: the claim 'lost' is inconclusive; the config has no experiment absent"
    assert message in warnings
