"""The JSON schema in the repository is the one that the settings give."""

import json

import jsonschema
import yaml

from memtrain.config.schema import config_schema


def test_schema_has_not_drifted(repository):
    stored = (repository / "schemas" / "config.schema.json").read_text()
    assert stored == config_schema(), "run `make schema`"


def test_every_key_is_described():
    schema = json.loads(config_schema())
    for model in [schema, *schema["$defs"].values()]:
        for alternative in model.get("anyOf", [model]):
            for key, part in alternative.get("properties", {}).items():
                assert part.get("description"), f"{key} has no description"


def test_the_configurations_of_the_repository_are_valid(repository):
    schema = json.loads(config_schema())
    for path in [repository / "config.yaml", *repository.glob("examples/*/config.yaml")]:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
