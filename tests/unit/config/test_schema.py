"""The JSON schema in the repository is the one that the settings give."""

import json

import jsonschema
import pytest
import yaml

from memtrain.config.reading import parse_configuration
from memtrain.config.schema import config_schema
from memtrain.core.errors import UserError


def test_schema_has_not_drifted(repository):
    stored = (repository / "schemas" / "config.schema.json").read_text()
    assert stored == config_schema(), "run `make schema`"


def test_every_key_is_described():
    schema = json.loads(config_schema())
    for model in [schema, *schema["$defs"].values()]:
        for alternative in model.get("anyOf", [model]):
            for key, part in alternative.get("properties", {}).items():
                assert part.get("description"), f"{key} has no description"


@pytest.mark.slow
def test_the_configurations_of_the_repository_are_valid(repository):
    schema = json.loads(config_schema())
    for path in [repository / "config.yaml", *repository.glob("examples/*/config.yaml")]:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


@pytest.mark.parametrize(
    ("warmup", "is_valid"),
    [
        *[(text, True) for text in ("5%", "2 epochs", 100, None)],
        *[({"steps": steps, "start_factor": 0.1}, True) for steps in (100, "5%")],
        ({"epochs": 2}, True),
        ({"epochs": 2, "start_factor": 0.1}, True),
        *[(wrong, False) for wrong in ("soon", {"epochs": 2, "steps": 3}, {"factor": 1}, -1)],
    ],
)
def test_the_schema_takes_a_warmup_as_the_settings_do(warmup, is_valid):
    content = {
        "dataset": {"name": "small", "mock": {"rows": 10}},
        "splits": {"all": {"train": [0, 10]}},
        "training": {"scheduler": {"name": "CosineAnnealingLR", "warmup": warmup}},
    }
    validator = jsonschema.Draft202012Validator(json.loads(config_schema()))
    assert validator.is_valid(content) == is_valid
    try:
        parse_configuration(content)
    except UserError:
        assert not is_valid
    else:
        assert is_valid
