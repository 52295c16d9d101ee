"""The page of the configuration, from its JSON schema."""

import json
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_SCHEMA = REPOSITORY / "schemas/config.schema.json"
#: Larger integers are written as a number of bytes.
_KIB = 1024

#: A bound that every 64-bit integer keeps, which says nothing to a reader.
_LARGEST = 2**63 - 1

Schema = dict[str, Any]


def configuration_page() -> str:
    """Return the page, as Markdown."""
    schema = json.loads(_SCHEMA.read_text())
    definitions = schema["$defs"]
    parts = []
    for key, value in schema["properties"].items():
        parts += [f"## {key}\n", *_keys_below(key, value, definitions)]
    return "\n".join(parts)


def _keys_below(path: str, value: Schema, definitions: dict[str, Schema]) -> list[str]:
    """Return the lines about the keys of a mapping, and then those of mappings inside."""
    name = _definition(value)
    if name is None:
        return [f"{_type(value)}{_default(value)}. {_described(value)}\n"]
    definition = _mapping(definitions[name])
    lines = [_described(definition) + "\n"]
    inside = []
    for key, entry in definition["properties"].items():
        required = key in definition.get("required", [])
        deeper = _definition(entry)
        if deeper == "TrainingOverrides":
            text = "any keys of [training](#training)"
        elif deeper in definitions and "properties" in _mapping(definitions[deeper]):
            text = f"see [below](#{_anchor(f'{path}.{key}')})"
            if deeper.endswith("Choice"):
                text = f"chosen by name, {text}{_default(entry)}"
            inside += [f"### {path}.{key}\n", *_keys_below(f"{path}.{key}", entry, definitions)]
        else:
            text = _type(entry) + _default(entry)
        needed = " **Required.**" if required else ""
        lines.append(f"`{key}`\n: {text}.{needed} {_described(entry)}\n")
    return lines + inside


def _mapping(definition: Schema) -> Schema:
    """Return the mapping that a definition is, or that is one of its alternatives."""
    alternatives = definition.get("anyOf", [])
    return next((one for one in alternatives if "properties" in one), definition)


def _definition(value: Schema) -> str | None:
    """Return the name of the mapping that a value is, or is one of the alternatives of."""
    alternatives = [value, *value.get("anyOf", [])]
    by_name = [one.get("additionalProperties", {}) for one in alternatives]
    for alternative in [*alternatives, *by_name]:
        if isinstance(alternative, dict) and "$ref" in alternative:
            name = alternative["$ref"].removeprefix("#/$defs/")
            return None if name in ("Choice", "PartialChoice") else name
    return None


def _described(value: Schema) -> str:
    """Return the description, with what Markdown would take for HTML as it is."""
    text = value.get("description", "").replace("``", "`")
    return re.sub(r"(?<!`)(\S*<\w+>\S*?)(?=[.,;]?(?:\s|$))", r"`\1`", text)


def _type(value: Schema) -> str:
    if not value:
        return "any values"
    if "$ref" in value:
        return "chosen by name" if value["$ref"].endswith("Choice") else "mapping"
    if "enum" in value:
        return " | ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        types = [_type(one) for one in value["anyOf"]]
        if any("KkMm" in one.get("pattern", "") for one in value["anyOf"]):
            types = ["bytes, like `256MiB`", *types[2:]]
        if any("epoch" in one.get("pattern", "") for one in value["anyOf"]):
            types = ["steps, like `100`, `5%` or `2 epochs`"]
        return " | ".join(dict.fromkeys(types))
    if value.get("type") == "array":
        if value.get("maxItems") == 2:
            return "`[low, high]`" if "type" in value["items"] else "`[start, end]`"
        return f"list of {_type(value['items'])}"
    names = {"object": "mapping", "null": "`null`", "boolean": "`true` | `false`"}
    kind = names.get(value["type"], value["type"])
    return kind + _bounds(value) if not value.get("pattern") else "percentage, like `80%`"


def _bounds(value: Schema) -> str:
    texts = []
    if "minimum" in value:
        texts.append(f"{value['minimum']} or more")
    if "exclusiveMinimum" in value:
        texts.append(f"more than {value['exclusiveMinimum']}")
    if value.get("maximum", _LARGEST) < _LARGEST:
        texts.append(f"{value['maximum']} at most")
    return f" ({', '.join(texts)})" if texts else ""


def _default(value: Schema) -> str:
    if "default" not in value:
        return ""
    return f"; default `{_as_yaml(value['default'])}`"


def _as_yaml(value: Any) -> str:
    if isinstance(value, int) and value > _KIB and value % _KIB == 0:
        kib = value // _KIB
        return f"{kib // _KIB}MiB" if kib % _KIB == 0 else f"{kib}KiB"
    if isinstance(value, dict):
        if list(value) == ["name"]:
            return str(value["name"])
        given = {key: one for key, one in value.items() if one != []}
        return "{" + ", ".join(f"{key}: {_as_yaml(one)}" for key, one in given.items()) + "}"
    return str(value) if isinstance(value, str) else json.dumps(value)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower())
