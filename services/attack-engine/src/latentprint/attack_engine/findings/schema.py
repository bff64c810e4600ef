"""The JSON Schema of findings.json (draft 2020-12), made from the dataclasses that it holds.

`schema.json` beside this file is what is published. `python -m latentprint.attack_engine.findings.schema` writes it
anew after a change of a field, which also takes another `SCHEMA_VERSION`.
"""

import inspect
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.findings.serialise import SCHEMA_VERSION
from latentprint.attack_engine.questions import QUESTIONS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "https://github.com/latentprint/latentprint/schemas/findings-{version}.json"
_DEFINITIONS = "$defs"
_FINDING, _ANY_FINDING = "Finding", "Finding_Any_"


def published_schema() -> dict[str, Any]:
    """The schema as it ships with the package."""
    text = files("latentprint.attack_engine.findings").joinpath("schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def findings_schema() -> dict[str, Any]:
    """The schema of what `to_json` writes: every field is there, and no other.

    A finding's `result` is described for each registered question; that of a question which the schema does not know
    may be anything.
    """
    schema = _of(Findings)
    definitions = schema.pop(_DEFINITIONS)
    definitions[_FINDING]["allOf"] = list(_results(definitions))
    for definition in (schema, *definitions.values()):
        _close(definition)
    schema["properties"] = {"schema_version": {"const": SCHEMA_VERSION}, **schema["properties"]}
    schema["required"] = ["schema_version", *schema["required"]]
    return {
        "$schema": DRAFT,
        "$id": IDENTIFIER.format(version=SCHEMA_VERSION),
        **schema,
        _DEFINITIONS: dict(sorted(definitions.items())),
    }


def _results(definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For each question, what `result` is where that question was asked; its types go to `definitions`."""
    for entry in QUESTIONS:
        result = entry.value.result
        schema = _of(result)
        definitions.update(schema.pop(_DEFINITIONS, {}))
        definitions[result.__name__] = schema
        yield {
            "if": {"properties": {"question": {"const": entry.name}}},
            "then": {"properties": {"result": {"$ref": f"#/{_DEFINITIONS}/{result.__name__}"}}},
        }


def _of(cls: type[Any]) -> dict[str, Any]:
    text = json.dumps(TypeAdapter(cls).json_schema()).replace(_ANY_FINDING, _FINDING)
    schema: dict[str, Any] = json.loads(text)
    return schema


def _close(definition: dict[str, Any]) -> None:
    """Every field is written, and no other: nothing has a default, and nothing more is allowed."""
    if "properties" not in definition:
        return
    for field in definition["properties"].values():
        field.pop("default", None)
        field.pop("title", None)
    definition["required"] = list(definition["properties"])
    definition["additionalProperties"] = False
    if "description" in definition:
        definition["description"] = inspect.cleandoc(definition["description"])


if __name__ == "__main__":
    Path(__file__).with_name("schema.json").write_text(
        json.dumps(findings_schema(), indent=1, ensure_ascii=False) + "\n"
    )
