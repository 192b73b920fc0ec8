"""The JSON schema of the configuration, made from the table of keys; `schemas/config.json` is held to it."""

from __future__ import annotations

from orchgate.config.table import FREE, TABLE


def schema() -> dict[str, object]:
    """Draft 2020-12 schema of `orchgate.toml`."""
    properties: dict[str, object] = {
        key: {**spec.kind.schema(), "description": spec.help} for key, spec in TABLE[""].items()
    }
    for name, keys in TABLE.items():
        if name:
            inner = {key: {**spec.kind.schema(), "description": spec.help} for key, spec in keys.items()}
            properties[name] = {"type": "object", "properties": inner, "additionalProperties": False}
    for name, key in FREE.items():
        properties[name] = {**key.kind.schema(), "description": key.help}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:orchgate:schema:config-v1",
        "title": "orchgate configuration: orchgate.toml, or [tool.orchgate] in pyproject.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
