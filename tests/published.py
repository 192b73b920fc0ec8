"""The published schemas, closed: a property that a schema does not know is a mistake here, though readers ignore it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema

from orchgate.lib import files

if TYPE_CHECKING:
    from collections.abc import Iterator


@lru_cache
def schema(name: str) -> dict[str, Any]:
    """A schema as it is published."""
    found: dict[str, Any] = json.loads(files.read_data("schemas", f"{name}.json"))
    return found


@lru_cache
def closed(name: str) -> dict[str, Any]:
    """A schema that allows no property beside those that it describes, where one part alone describes an object."""
    whole = schema(name)
    shared = {ref for part in parts(whole) for one in part.get("allOf", ()) if (ref := one.get("$ref"))}
    found: dict[str, Any] = _closed(whole)
    for ref in shared:
        found["$defs"][ref.rpartition("/")[2]].pop("additionalProperties", None)
    return found


def valid(document: Any, name: str) -> Any:
    """The document, if it fits the closed schema. Raises ValidationError."""
    jsonschema.validate(document, closed(name))
    return document


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema."""
    if isinstance(node, dict):
        yield node
    for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(one)


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {key: _closed(one) for key, one in part.items()}
    if isinstance(part.get("properties"), dict) and part.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
