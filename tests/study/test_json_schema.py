"""The schema for editors takes what the workflow takes, and names what it refuses."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from project import PROJECT

from twolayer.cli import main
from twolayer.study.json_schema import config_schema
from twolayer.study.registry import load


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    schema = config_schema(load([]))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def faults(validator: jsonschema.protocols.Validator, experiment: Any) -> list[str]:
    """What is wrong with an experiment, in words."""
    config = {"papers": {"study": {"experiments": {"first": experiment}}}}
    return [error.message for error in validator.iter_errors(config)]


def test_configs_that_the_project_ships_are_valid(validator: jsonschema.protocols.Validator) -> None:
    validator.validate(yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8")))
    files = sorted((PROJECT / "plugins" / "papers").glob("*/experiments.yaml"))
    assert len(files) >= 5
    for file in files:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        validator.validate({"papers": {file.parent.name: body}})


@pytest.mark.parametrize(
    ("experiment", "fault"),
    [
        ({"seed": 3}, "'seed' was unexpected"),
        ({"problem": {"name": "gaussian"}}, "'gaussian' is not one of"),
        ({"problem": {"name": "gaussian_teacher", "dimensions": 3}}, "'dimensions' was unexpected"),
        ({"network": {"neurons": 3, "activation": "rely"}}, "is not valid under any of the given schemas"),
        ({"problem": {"name": "points", "loss": "logistik"}}, "is not valid under any of the given schemas"),
        ({"metrics": ["los"]}, "'los' is not one of"),
        ({"dynamics": {"name": "gradient_descent", "step_size": "fast"}}, "is not valid under any"),
        ({"dtype": "float16"}, "'float16' is not one of"),
    ],
)
def test_mistakes_are_named(validator: jsonschema.protocols.Validator, experiment: Any, fault: str) -> None:
    found = faults(validator, experiment)
    assert any(fault in message for message in found), found


def test_parts_of_sections_and_numbers_as_text_are_valid(validator: jsonschema.protocols.Validator) -> None:
    assert faults(validator, {"initialization": {"scale": "1e-3"}, "seeds": 4}) == []
    assert faults(validator, {"dynamics": {"name": "gradient_descent", "step_size": "1e-3"}}) == []
    assert faults(validator, {"problem": {"name": "points", "loss": "logistic"}}) == []
    assert faults(validator, {"problem": {"name": "points", "loss": {"name": "logistic"}}}) == []
    assert faults(validator, {"sweep": {"network.neurons": [2, 3]}}) == []
    assert faults(validator, {"network": {"neurons": 3, "activation": {"name": "relu"}}}) == []


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(config_schema(load([]))))
